// Python functions of the activations with constants: leaky_relu(x, slope, out) and so on, and
// their gradients, leaky_relu_grad(grad, x, slope, out). Arrays are float32 or float64 in any
// layout, the constants Python numbers; what is not taken is left to the reference.
#include "operands.h"  // Python.h must come before the system's headers

#include <float.h>

#include "activation.h"

namespace {

using namespace rl;

// Whether the array is of a type that the kernels take: 0 float, 1 double, -1 another one.
int float_number(PyArrayObject* array) {
    const int number = array != nullptr ? number_of(array) : -1;
    return number == kFloat32 || number == kFloat64 ? number : -1;
}

bool read_constants(PyObject* const* args, int count, double* constants) {
    for (int i = 0; i < count; i++)
        if (!as_double(args[i], &constants[i])) return false;
    return true;
}

PyObject* activation(Activation kind, PyArrayObject* x, int number, const double* constants,
                     PyObject* out) {
    ElementwiseCall<2> call;
    if (!call.set_array(1, x)) return not_handled();
    if (!call.set_result(out, PyArray_DESCR(x))) return failed();
    const ActivationLoop loop = activation_kernels().loops[kind][number];
    const int64_t item = PyArray_ITEMSIZE(x);
    return call.run([&](char* const* at, const int64_t* stride, int64_t n) {
        loop(at[0], at[1], n, stride[0] / item, stride[1] / item, constants);
    });
}

PyObject* gradient(ActivationGrad kind, PyObject* const* arrays, const double* constants,
                   PyObject* out) {
    PyArrayObject* grad = as_array(arrays[0]);
    const int number = float_number(grad);
    ElementwiseCall<3> call;
    if (number < 0 || as_array(arrays[1]) == nullptr || !call.set_array(1, grad) ||
        !call.set_operand(2, arrays[1], number))
        return not_handled();
    if (!call.set_result(out, PyArray_DESCR(grad))) return failed();
    const ActivationGradLoop loop = activation_kernels().grads[kind][number];
    const int64_t item = PyArray_ITEMSIZE(grad);
    return call.run([&](char* const* at, const int64_t* stride, int64_t n) {
        loop(at[0], at[1], at[2], n, stride[0] / item, stride[1] / item, stride[2] / item,
             constants);
    });
}

PyObject* argument(PyObject* const* args, Py_ssize_t n, Py_ssize_t i) {
    return i < n ? args[i] : nullptr;
}

// (x, constants..., out=None)
template <Activation kind, int count>
PyObject* py_activation(PyObject*, PyObject* const* args, Py_ssize_t n) {
    double constants[kMostConstants] = {};
    PyArrayObject* x = n >= 1 + count ? as_array(args[0]) : nullptr;
    const int number = float_number(x);
    if (number < 0 || !read_constants(args + 1, count, constants)) return not_handled();
    return activation(kind, x, number, constants, argument(args, n, 1 + count));
}

// (grad, x, constants..., out=None)
template <ActivationGrad kind, int count>
PyObject* py_gradient(PyObject*, PyObject* const* args, Py_ssize_t n) {
    double constants[kMostConstants] = {};
    if (n < 2 + count || !read_constants(args + 2, count, constants)) return not_handled();
    return gradient(kind, args, constants, argument(args, n, 2 + count));
}

// elu_grad(grad, x, alpha, scale, slope, of_result, out=None)
PyObject* py_elu_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    double constants[kMostConstants] = {};
    if (n < 6 || !read_constants(args + 2, 3, constants)) return not_handled();
    const ActivationGrad kind = PyObject_IsTrue(args[5]) == 1 ? kEluGradOfResult : kEluGrad;
    return gradient(kind, args, constants, argument(args, n, 6));
}

// nan_to_num(x, nan, posinf, neginf, out=None): None stands for the dtype's limits
PyObject* py_nan_to_num(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n >= 4 ? as_array(args[0]) : nullptr;
    const int number = float_number(x);
    if (number < 0) return not_handled();
    const double most = number == kFloat32 ? FLT_MAX : DBL_MAX;
    double constants[kMostConstants] = {0, most, -most};
    for (int i = 0; i < 3; i++)
        if (!is_none(args[1 + i]) && !as_double(args[1 + i], &constants[i])) return not_handled();
    return activation(kNanToNum, x, number, constants, argument(args, n, 4));
}

const char kDoc[] = "(x, constants..., out=None), or NotImplemented.";
const char kGradDoc[] = "(grad, x, constants..., out=None), or NotImplemented.";

}  // namespace

PyMethodDef activation_methods[] = {
    method("leaky_relu", py_activation<kLeakyRelu, 1>, kDoc),
    method("elu", py_activation<kElu, 3>, kDoc),
    method("threshold", py_activation<kThreshold, 2>, kDoc),
    method("hardsigmoid", py_activation<kHardsigmoid, 0>, kDoc),
    method("hardswish", py_activation<kHardswish, 0>, kDoc),
    method("mish", py_activation<kMish, 0>, kDoc),
    method("nan_to_num", py_nan_to_num, kDoc),
    method("softplus", py_activation<kSoftplus, 2>, kDoc),
    method("logsigmoid", py_activation<kLogsigmoid, 0>, kDoc),
    method("softshrink", py_activation<kSoftshrink, 1>, kDoc),
    method("hardshrink", py_activation<kHardshrink, 1>, kDoc),
    method("leaky_relu_grad", py_gradient<kLeakyReluGrad, 1>, kGradDoc),
    method("elu_grad", py_elu_grad, kGradDoc),
    method("threshold_grad", py_gradient<kThresholdGrad, 1>, kGradDoc),
    method("hardtanh_grad", py_gradient<kHardtanhGrad, 2>, kGradDoc),
    method("hardsigmoid_grad", py_gradient<kHardsigmoidGrad, 0>, kGradDoc),
    method("hardswish_grad", py_gradient<kHardswishGrad, 0>, kGradDoc),
    method("mish_grad", py_gradient<kMishGrad, 0>, kGradDoc),
    method("softplus_grad", py_gradient<kSoftplusGrad, 2>, kGradDoc),
    method("logsigmoid_grad", py_gradient<kLogsigmoidGrad, 0>, kGradDoc),
    method("shrink_grad", py_gradient<kShrinkGrad, 1>, kGradDoc),
    {nullptr, nullptr, 0, nullptr},
};
