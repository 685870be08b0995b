// Python functions of two arrays of floats: remainder(x, y, out=None) and so on, some of which take
// integers as well. `y` is an array of x's dtype that broadcasts with it, or a Python number. What
// is not taken is left to the reference.
#include "operands.h"  // Python.h must come before the system's headers

#include "bind_integers.h"
#include "pointwise.h"

namespace {

using namespace rl;

template <PointwiseOp op>
PyObject* py_pointwise(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n >= 2 ? as_array(args[0]) : nullptr;
    const int number = x != nullptr ? number_of(x) : -1;
    const bool is_float = number == kFloat32 || number == kFloat64;
    const BinaryLoop loop = is_float ? pointwise_kernels().loops[op][number] : nullptr;
    ElementwiseCall<3> call;
    if (loop == nullptr || !call.set_array(1, x) || !call.set_operand(2, args[1], number))
        return not_handled();
    if (!call.set_result(n >= 3 ? args[2] : nullptr, PyArray_DESCR(x))) return failed();
    const int64_t item = PyArray_ITEMSIZE(x);
    return call.run([&](char* const* at, const int64_t* stride, int64_t count) {
        loop(at[0], at[1], at[2], count, stride[0] / item, stride[1] / item, stride[2] / item);
    });
}

template <PointwiseOp op, DivisionOp of_integers>
PyObject* py_division(PyObject* self, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n >= 2 ? as_array(args[0]) : nullptr;
    if (x != nullptr && PyArray_ISINTEGER(x)) return divide_integers(of_integers, args, n);
    return py_pointwise<op>(self, args, n);
}

// Powers; to the number 3 as two products, as in PyTorch.
PyObject* py_pow(PyObject* self, PyObject* const* args, Py_ssize_t n) {
    double exponent;
    const bool is_cube = n >= 2 && as_array(args[1]) == nullptr &&
                         as_double(args[1], &exponent) && exponent == 3;
    return is_cube ? py_pointwise<kCube>(self, args, n) : py_pointwise<kPow>(self, args, n);
}

const char kDoc[] = "(x, y, out=None), or NotImplemented.";

}  // namespace

PyMethodDef pointwise_methods[] = {
    method("fmod", py_division<kFmod, kIntFmod>, kDoc),
    method("remainder", py_division<kRemainder, kIntRemainder>, kDoc),
    method("floor_div", py_division<kFloorDiv, kIntFloorDiv>, kDoc),
    method("trunc_div", py_division<kTruncDiv, kIntTruncDiv>, kDoc),
    method("hypot", py_pointwise<kHypot>, kDoc),
    method("copysign", py_pointwise<kCopysign>, kDoc),
    method("heaviside", py_pointwise<kHeaviside>, kDoc),
    method("nextafter", py_pointwise<kNextafter>, kDoc),
    method("pow", py_pow, kDoc),
    method("atan2", py_pointwise<kAtan2>, kDoc),
    method("xlogy", py_pointwise<kXlogy>, kDoc),
    {nullptr, nullptr, 0, nullptr},
};
