// Python functions of softmax and the losses.
#include "bind.h"  // Python.h must come before the system's headers

#include "bind_floats.h"
#include "loss.h"
#include "softmax.h"

namespace {

using namespace rl;

bool alike_floats(PyArrayObject* x, PyArrayObject* y) {
    return x != nullptr && y != nullptr && PyArray_TYPE(x) == PyArray_TYPE(y) && same_shape(x, y);
}

// ------------------------------------------------------------------ softmax
struct Slices {
    int64_t outer = 1, length = 1, inner = 1;
};
bool slices_along(PyArrayObject* x, PyObject* dim, Slices* slices) {
    int64_t axis;
    const int ndim = PyArray_NDIM(x);
    if (!as_int64(dim, &axis)) return false;
    if (ndim == 0) return true;
    if (axis < 0) axis += ndim;
    if (axis < 0 || axis >= ndim) return false;
    for (int i = 0; i < axis; i++) slices->outer *= PyArray_DIM(x, i);
    slices->length = PyArray_DIM(x, int(axis));
    for (int i = int(axis) + 1; i < ndim; i++) slices->inner *= PyArray_DIM(x, i);
    return true;
}

template <bool log>
PyObject* py_softmax(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 2) return not_handled();
    const FloatInput input(args[0], Order::contiguous);
    PyArrayObject* x = input.get();
    Slices s;
    if (x == nullptr || !slices_along(x, args[1], &s)) return give_up();
    PyArrayObject* out = new_like(x);
    if (out == nullptr) return nullptr;
    if (PyArray_SIZE(x) == 0) return reinterpret_cast<PyObject*>(out);
    const SoftmaxKernels& kernels = softmax_kernels();
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements / 4);
    if (PyArray_TYPE(x) == NPY_FLOAT)
        (log ? kernels.f32.log_softmax : kernels.f32.softmax)(data<float>(out), data<float>(x),
                                                             s.outer, s.length, s.inner);
    else
        (log ? kernels.f64.log_softmax : kernels.f64.softmax)(data<double>(out), data<double>(x),
                                                             s.outer, s.length, s.inner);
    return reinterpret_cast<PyObject*>(out);
}

template <bool log>
PyObject* py_softmax_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 3) return not_handled();
    const FloatInput inputs[] = {{args[0], Order::contiguous}, {args[1], Order::contiguous}};
    PyArrayObject *grad = inputs[0].get(), *result = inputs[1].get();
    Slices s;
    if (!alike_floats(grad, result) || !slices_along(grad, args[2], &s)) return give_up();
    PyArrayObject* out = new_like(grad);
    if (out == nullptr) return nullptr;
    if (PyArray_SIZE(grad) == 0) return reinterpret_cast<PyObject*>(out);
    const SoftmaxKernels& kernels = softmax_kernels();
    ReleaseGil unlocked(PyArray_SIZE(grad) >= kReleaseGilElements / 4);
    if (PyArray_TYPE(grad) == NPY_FLOAT)
        (log ? kernels.f32.log_softmax_grad : kernels.f32.softmax_grad)(
            data<float>(out), data<float>(grad), data<float>(result), s.outer, s.length, s.inner);
    else
        (log ? kernels.f64.log_softmax_grad : kernels.f64.softmax_grad)(
            data<double>(out), data<double>(grad), data<double>(result), s.outer, s.length,
            s.inner);
    return reinterpret_cast<PyObject*>(out);
}

// ------------------------------------------------------------------ nll
enum class Reduction { none, mean, sum, unknown };
Reduction as_reduction(PyObject* object) {
    if (!PyUnicode_Check(object)) return Reduction::unknown;
    if (PyUnicode_CompareWithASCIIString(object, "mean") == 0) return Reduction::mean;
    if (PyUnicode_CompareWithASCIIString(object, "sum") == 0) return Reduction::sum;
    if (PyUnicode_CompareWithASCIIString(object, "none") == 0) return Reduction::none;
    return Reduction::unknown;
}

// (batch, classes, inner) of logp's shape; false if the target's does not go with it.
struct NllShape {
    int64_t batch = 1, classes = 1, inner = 1;
};
bool nll_shape(int ndim, const int64_t* shape, PyArrayObject* target, NllShape* s) {
    if (ndim < 1) return false;
    s->batch = ndim == 1 ? 1 : shape[0];
    s->classes = ndim == 1 ? shape[0] : shape[1];
    for (int i = 2; i < ndim; i++) s->inner *= shape[i];
    return PyArray_SIZE(target) == s->batch * s->inner;
}

PyArrayObject* class_weights(PyObject* object, int type_num, int64_t classes, bool* usable) {
    PyArrayObject* weight = is_none(object) ? nullptr : contiguous_of(object, type_num);
    *usable = is_none(object) || (weight != nullptr && PyArray_SIZE(weight) == classes);
    return weight;
}

template <class T>
PyObject* nll_forward(const LossFunctions<T>& kernels, PyArrayObject* logp, PyArrayObject* target,
                      PyArrayObject* weight, int64_t ignore, Reduction reduction, NllShape s) {
    const int type = PyArray_TYPE(logp);
    const bool each = reduction == Reduction::none;
    PyArrayObject* loss = each ? new_array(PyArray_NDIM(target), PyArray_DIMS(target), type)
                               : new_array(0, nullptr, type);
    PyArrayObject* total = new_array(0, nullptr, type);
    if (loss == nullptr || total == nullptr) {
        Py_XDECREF(loss);
        Py_XDECREF(total);
        return nullptr;
    }
    double sum = 0, total_weight = 0;
    if (!kernels.nll(data<T>(logp), data<int64_t>(target), weight ? data<T>(weight) : nullptr,
                     ignore, s.batch, s.classes, s.inner, each ? data<T>(loss) : nullptr, &sum,
                     &total_weight)) {
        Py_DECREF(loss);
        Py_DECREF(total);
        return not_handled();
    }
    *data<T>(total) = each ? T(0) : T(total_weight);
    if (!each) *data<T>(loss) = T(reduction == Reduction::mean ? sum / total_weight : sum);
    return Py_BuildValue("(NN)", loss, total);
}

// nll_loss(logp, target, weight, ignore_index, reduction)
PyObject* py_nll_loss(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 5) return not_handled();
    const FloatInput input(args[0], Order::contiguous);
    PyArrayObject *logp = input.get(), *target = contiguous_of(args[1], NPY_INT64);
    int64_t ignore, shape[NPY_MAXDIMS];
    if (logp == nullptr || target == nullptr || !as_int64(args[3], &ignore)) return give_up();
    for (int i = 0; i < PyArray_NDIM(logp); i++) shape[i] = PyArray_DIM(logp, i);
    NllShape s;
    bool usable;
    if (!nll_shape(PyArray_NDIM(logp), shape, target, &s)) return not_handled();
    PyArrayObject* weight = class_weights(args[2], PyArray_TYPE(logp), s.classes, &usable);
    const Reduction reduction = as_reduction(args[4]);
    if (!usable || reduction == Reduction::unknown) return not_handled();
    return PyArray_TYPE(logp) == NPY_FLOAT
               ? nll_forward(loss_kernels().f32, logp, target, weight, ignore, reduction, s)
               : nll_forward(loss_kernels().f64, logp, target, weight, ignore, reduction, s);
}

template <class T>
bool nll_backward(const LossFunctions<T>& kernels, PyArrayObject* out, PyArrayObject* grad,
                  PyArrayObject* target, PyArrayObject* weight, int64_t ignore,
                  PyArrayObject* total, NllShape s) {
    const double divisor = total != nullptr ? double(*data<T>(total)) : 1.0;
    return kernels.nll_grad(data<T>(out), data<T>(grad), PyArray_SIZE(grad) != 1,
                            data<int64_t>(target), weight ? data<T>(weight) : nullptr, ignore,
                            s.batch, s.classes, s.inner, divisor);
}

// nll_loss_grad(grad, target, weight, total_weight, logp_shape, ignore_index, reduction)
PyObject* py_nll_loss_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 7) return not_handled();
    const FloatInput input(args[0], Order::contiguous);
    PyArrayObject *grad = input.get(), *target = contiguous_of(args[1], NPY_INT64);
    int64_t ignore, shape[NPY_MAXDIMS];
    if (grad == nullptr || target == nullptr || !as_int64(args[5], &ignore)) return give_up();
    const int ndim = as_int_tuple(args[4], shape, NPY_MAXDIMS), type = PyArray_TYPE(grad);
    NllShape s;
    bool usable;
    if (ndim < 1 || !nll_shape(ndim, shape, target, &s)) return not_handled();
    PyArrayObject* weight = class_weights(args[2], type, s.classes, &usable);
    const Reduction reduction = as_reduction(args[6]);
    PyArrayObject* total =
        reduction == Reduction::mean ? contiguous_of(args[3], type) : nullptr;
    const int64_t grads = reduction == Reduction::none ? PyArray_SIZE(target) : 1;
    if (!usable || reduction == Reduction::unknown || PyArray_SIZE(grad) != grads ||
        (reduction == Reduction::mean && (total == nullptr || PyArray_SIZE(total) != 1)))
        return not_handled();
    npy_intp dims[NPY_MAXDIMS];
    for (int i = 0; i < ndim; i++) dims[i] = npy_intp(shape[i]);
    PyArrayObject* out = new_array(ndim, dims, type);
    if (out == nullptr) return nullptr;
    const bool done =
        type == NPY_FLOAT
            ? nll_backward(loss_kernels().f32, out, grad, target, weight, ignore, total, s)
            : nll_backward(loss_kernels().f64, out, grad, target, weight, ignore, total, s);
    if (!done) {
        Py_DECREF(out);
        return not_handled();
    }
    return reinterpret_cast<PyObject*>(out);
}

// ------------------------------------------------------------------ mse
// mse_loss(x, y, reduction), not for "none"
PyObject* py_mse_loss(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 3) return not_handled();
    const FloatInput inputs[] = {{args[0], Order::contiguous}, {args[1], Order::contiguous}};
    PyArrayObject *x = inputs[0].get(), *y = inputs[1].get();
    if (!alike_floats(x, y)) return give_up();
    const Reduction reduction = as_reduction(args[2]);
    const int64_t n = PyArray_SIZE(x);
    if ((reduction != Reduction::mean && reduction != Reduction::sum) || n == 0)
        return not_handled();
    const bool single = PyArray_TYPE(x) == NPY_FLOAT;
    double sum;
    {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        sum = single ? loss_kernels().f32.squared_distance(data<float>(x), data<float>(y), n)
                     : loss_kernels().f64.squared_distance(data<double>(x), data<double>(y), n);
    }
    if (reduction == Reduction::mean) sum /= double(n);
    PyArrayObject* out = new_array(0, nullptr, PyArray_TYPE(x));
    if (out == nullptr) return nullptr;
    if (single)
        *data<float>(out) = float(sum);
    else
        *data<double>(out) = sum;
    return reinterpret_cast<PyObject*>(out);
}

// mse_loss_grad(grad, x, y, reduction), not for "none"
PyObject* py_mse_loss_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 4) return not_handled();
    const FloatInput inputs[] = {{args[0], Order::contiguous}, {args[1], Order::contiguous},
                                 {args[2], Order::contiguous}};
    PyArrayObject *grad = inputs[0].get(), *x = inputs[1].get(), *y = inputs[2].get();
    if (!alike_floats(x, y) || grad == nullptr || PyArray_SIZE(grad) != 1 ||
        PyArray_TYPE(grad) != PyArray_TYPE(x))
        return give_up();
    const Reduction reduction = as_reduction(args[3]);
    const int64_t n = PyArray_SIZE(x);
    if (reduction != Reduction::mean && reduction != Reduction::sum) return not_handled();
    PyArrayObject* out = new_like(x);
    if (out == nullptr) return nullptr;
    const bool single = PyArray_TYPE(x) == NPY_FLOAT;
    const double upstream = single ? double(*data<float>(grad)) : *data<double>(grad);
    const double scale = reduction == Reduction::mean ? 2 * upstream / double(n) : 2 * upstream;
    ReleaseGil unlocked(n >= kReleaseGilElements);
    if (single)
        loss_kernels().f32.scaled_difference(data<float>(out), data<float>(x), data<float>(y),
                                             scale, n);
    else
        loss_kernels().f64.scaled_difference(data<double>(out), data<double>(x), data<double>(y),
                                             scale, n);
    return reinterpret_cast<PyObject*>(out);
}

}  // namespace

PyMethodDef softmax_methods[] = {
    method("softmax", py_softmax<false>, "(x, dim), or NotImplemented."),
    method("log_softmax", py_softmax<true>, "(x, dim), or NotImplemented."),
    method("softmax_grad", py_softmax_grad<false>, "(grad, result, dim), or NotImplemented."),
    method("log_softmax_grad", py_softmax_grad<true>, "(grad, result, dim), or NotImplemented."),
    method("nll_loss", py_nll_loss,
           "(logp, target, weight, ignore_index, reduction), or NotImplemented."),
    method("nll_loss_grad", py_nll_loss_grad,
           "(grad, target, weight, total_weight, logp_shape, ignore_index, reduction), or "
           "NotImplemented."),
    method("mse_loss", py_mse_loss, "(x, y, reduction), or NotImplemented."),
    method("mse_loss_grad", py_mse_loss_grad, "(grad, x, y, reduction), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
