// Python functions of the normalisations: float32 and float64, everything contiguous.
#include "bind.h"
#include "bind_floats.h"
#include "norm.h"

namespace {

using namespace rl;

// A vector argument of n elements, or None. False for anything else.
template <class T>
bool vector_or_none(PyObject* object, int type_num, int64_t n, T** values) {
    *values = nullptr;
    if (is_none(object)) return true;
    PyArrayObject* array = contiguous_of(object, type_num);
    if (array == nullptr || PyArray_SIZE(array) != n) return false;
    *values = data<T>(array);
    return true;
}

bool has_elements(const FloatInput& x) {
    return x.get() != nullptr && PyArray_SIZE(x.get()) != 0;
}
bool goes_with(const FloatInput& grad, const FloatInput& x) {
    return grad.get() != nullptr && PyArray_TYPE(grad.get()) == PyArray_TYPE(x.get()) &&
           same_shape(grad.get(), x.get());
}
// The gradient in the order of x, whose shape it has.
Order order_beside(const FloatInput& x, PyObject* grad) {
    PyArrayObject* array = as_array(grad);
    const bool fits = x.get() != nullptr && array != nullptr && same_shape(array, x.get());
    return fits ? x.order() : Order::either;
}

bool read_needs(PyObject* object, int count, bool* needs) {
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != count) return false;
    for (int i = 0; i < count; i++) needs[i] = PyObject_IsTrue(PyTuple_GET_ITEM(object, i)) == 1;
    return true;
}

PyObject* triple(Owned& a, Owned& b, Owned& c) {
    PyObject* first = a.release();
    PyObject* second = b.release();
    return Py_BuildValue("(NNN)", first, second, c.release());
}

// ------------------------------------------------------------------ batch norm
template <class T>
void set_channels(ChannelNorm<T>* call, const FloatInput& input) {
    PyArrayObject* x = input.get();
    call->x = data<T>(x);
    call->channels = PyArray_DIM(x, 1);
    const int64_t pixels = PyArray_SIZE(x) / call->channels;
    call->batch = input.channels_last() ? pixels : PyArray_DIM(x, 0);
    call->inner = pixels / call->batch;
}

// batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps)
template <class T>
PyObject* batch_norm(const NormFunctions<T>& kernels, const FloatInput& x, PyObject* const* args) {
    const int type = PyArray_TYPE(x.get());
    ChannelNorm<T> call = {};
    set_channels(&call, x);
    T *weight, *bias;
    if (!vector_or_none(args[1], type, call.channels, &weight) ||
        !vector_or_none(args[2], type, call.channels, &bias) ||
        !vector_or_none(args[3], type, call.channels, &call.running_mean) ||
        !vector_or_none(args[4], type, call.channels, &call.running_var) ||
        !as_double(args[6], &call.momentum) || !as_double(args[7], &call.eps))
        return not_handled();
    call.training = PyObject_IsTrue(args[5]) == 1;
    if (!call.training && (call.running_mean == nullptr || call.running_var == nullptr))
        return not_handled();
    call.weight = weight;
    call.bias = bias;
    const npy_intp channels = npy_intp(call.channels);
    Owned out(x.result()), mean(new_array(1, &channels, type));
    Owned invstd(new_array(1, &channels, type));
    if (!out.get() || !mean.get() || !invstd.get()) return nullptr;
    call.out = out.values<T>();
    call.mean = mean.values<T>();
    call.invstd = invstd.values<T>();
    {
        ReleaseGil unlocked(PyArray_SIZE(x.get()) >= kReleaseGilElements);
        kernels.channels_forward(call);
    }
    return triple(out, mean, invstd);
}
PyObject* py_batch_norm(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 8) return not_handled();
    const FloatInput x(args[0], Order::either);
    if (!has_elements(x) || PyArray_NDIM(x.get()) < 2) return give_up();
    return PyArray_TYPE(x.get()) == NPY_FLOAT ? batch_norm(norm_kernels().f32, x, args)
                                              : batch_norm(norm_kernels().f64, x, args);
}

// batch_norm_grad(grad, x, weight, mean, invstd, training, needs)
template <class T>
PyObject* batch_norm_grad(const NormFunctions<T>& kernels, const FloatInput& x,
                          const FloatInput& grad, PyObject* const* args) {
    const int type = PyArray_TYPE(x.get());
    ChannelNorm<T> call = {};
    set_channels(&call, x);
    bool needs[3];
    T* weight;
    if (!vector_or_none(args[2], type, call.channels, &weight) ||
        !vector_or_none(args[3], type, call.channels, &call.mean) || !call.mean ||
        !vector_or_none(args[4], type, call.channels, &call.invstd) || !call.invstd ||
        !read_needs(args[6], 3, needs))
        return not_handled();
    call.weight = weight;
    call.grad = data<T>(grad.get());
    call.training = PyObject_IsTrue(args[5]) == 1;
    const npy_intp channels = npy_intp(call.channels);
    Owned dx(needs[0] ? x.result() : nullptr);
    Owned dweight(needs[1] ? new_array(1, &channels, type) : nullptr);
    Owned dbias(needs[2] ? new_array(1, &channels, type) : nullptr);
    if (PyErr_Occurred()) return nullptr;
    call.out = dx.values<T>();
    call.dweight = dweight.values<T>();
    call.dbias = dbias.values<T>();
    {
        ReleaseGil unlocked(PyArray_SIZE(x.get()) >= kReleaseGilElements);
        kernels.channels_backward(call);
    }
    return triple(dx, dweight, dbias);
}
PyObject* py_batch_norm_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 7) return not_handled();
    const FloatInput x(args[1], Order::either), grad(args[0], order_beside(x, args[0]));
    if (!has_elements(x) || !goes_with(grad, x) || PyArray_NDIM(x.get()) < 2) return give_up();
    return PyArray_TYPE(x.get()) == NPY_FLOAT ? batch_norm_grad(norm_kernels().f32, x, grad, args)
                                              : batch_norm_grad(norm_kernels().f64, x, grad, args);
}

// ------------------------------------------------------------------ layer, RMS and group norm
// Rows of the last `axes` axes, and the shape of their statistics (those axes are 1).
template <class T>
bool set_rows(RowNorm<T>* call, PyArrayObject* x, PyObject* axes_arg, npy_intp* stat_shape) {
    int64_t axes;
    const int ndim = PyArray_NDIM(x);
    if (!as_int64(axes_arg, &axes) || axes < 1 || axes > ndim) return false;
    call->rows = call->length = 1;
    for (int i = 0; i < ndim; i++) {
        const bool along = i >= ndim - axes;
        (along ? call->length : call->rows) *= PyArray_DIM(x, i);
        stat_shape[i] = along ? 1 : PyArray_DIM(x, i);
    }
    call->x = data<T>(x);
    return true;
}

// layer_norm(x, weight, bias, axes, eps), rms_norm(x, weight, axes, eps)
template <class T, bool rms>
PyObject* row_norm(const NormFunctions<T>& kernels, PyArrayObject* x, PyObject* const* args) {
    const int type = PyArray_TYPE(x), axes_at = rms ? 2 : 3;
    RowNorm<T> call = {};
    npy_intp stat_shape[NPY_MAXDIMS];
    T *weight, *bias = nullptr;
    if (!set_rows(&call, x, args[axes_at], stat_shape) ||
        !vector_or_none(args[1], type, call.length, &weight) ||
        (!rms && !vector_or_none(args[2], type, call.length, &bias)) ||
        !as_double(args[axes_at + 1], &call.eps))
        return not_handled();
    call.weight = weight;
    call.bias = bias;
    Owned out(new_like(x)), rstd(new_array(PyArray_NDIM(x), stat_shape, type));
    Owned mean(rms ? nullptr : new_array(PyArray_NDIM(x), stat_shape, type));
    if (!out.get() || !rstd.get() || (!rms && !mean.get())) return nullptr;
    call.out = out.values<T>();
    call.mean = mean.values<T>();
    call.rstd = rstd.values<T>();
    {
        ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
        kernels.rows_forward(call);
    }
    if (!rms) return triple(out, mean, rstd);
    PyObject* first = out.release();
    return Py_BuildValue("(NN)", first, rstd.release());
}
template <bool rms>
PyObject* py_row_norm(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != (rms ? 4 : 5)) return not_handled();
    const FloatInput x(args[0], Order::contiguous);
    if (!has_elements(x)) return give_up();
    return PyArray_TYPE(x.get()) == NPY_FLOAT
               ? row_norm<float, rms>(norm_kernels().f32, x.get(), args)
               : row_norm<double, rms>(norm_kernels().f64, x.get(), args);
}

// The gradients' arrays in the parameters' shape: x's last axes, or one axis of channels.
template <class T>
bool row_gradients(RowNorm<T>* call, const bool* needs, const FloatInput& x, int dims,
                   const npy_intp* shape, Owned* dx, Owned* dweight, Owned* dbias) {
    const int type = PyArray_TYPE(x.get());
    if (needs[0]) dx->set(x.result());
    if (needs[1]) dweight->set(new_array(dims, shape, type));
    if (needs[2]) dbias->set(new_array(dims, shape, type));
    call->out = dx->values<T>();
    call->dweight = dweight->values<T>();
    call->dbias = dbias->values<T>();
    return !PyErr_Occurred();
}

// layer_norm_grad(grad, x, weight, mean, rstd, axes, needs),
// rms_norm_grad(grad, x, weight, rstd, axes, needs)
template <class T, bool rms>
PyObject* row_norm_grad(const NormFunctions<T>& kernels, const FloatInput& input,
                        const FloatInput& grad, PyObject* const* args) {
    PyArrayObject* x = input.get();
    const int type = PyArray_TYPE(x), rstd_at = rms ? 3 : 4;
    RowNorm<T> call = {};
    npy_intp stat_shape[NPY_MAXDIMS];
    bool needs[3] = {};
    T* weight;
    if (!set_rows(&call, x, args[rstd_at + 1], stat_shape) ||
        !vector_or_none(args[2], type, call.length, &weight) ||
        (!rms && (!vector_or_none(args[3], type, call.rows, &call.mean) || !call.mean)) ||
        !vector_or_none(args[rstd_at], type, call.rows, &call.rstd) || !call.rstd ||
        !read_needs(args[rstd_at + 2], rms ? 2 : 3, needs))
        return not_handled();
    call.weight = weight;
    call.grad = data<T>(grad.get());
    int64_t axes = 0;
    as_int64(args[rstd_at + 1], &axes);
    Owned dx, dweight, dbias;
    const npy_intp* shape = PyArray_DIMS(x) + PyArray_NDIM(x) - axes;
    if (!row_gradients(&call, needs, input, int(axes), shape, &dx, &dweight, &dbias))
        return nullptr;
    {
        ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
        kernels.rows_backward(call);
    }
    if (!rms) return triple(dx, dweight, dbias);
    PyObject* first = dx.release();
    return Py_BuildValue("(NN)", first, dweight.release());
}
template <bool rms>
PyObject* py_row_norm_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != (rms ? 6 : 7)) return not_handled();
    const FloatInput x(args[1], Order::contiguous), grad(args[0], Order::contiguous);
    if (!has_elements(x) || !goes_with(grad, x)) return give_up();
    return PyArray_TYPE(x.get()) == NPY_FLOAT
               ? row_norm_grad<float, rms>(norm_kernels().f32, x, grad, args)
               : row_norm_grad<double, rms>(norm_kernels().f64, x, grad, args);
}

template <class T>
bool set_groups(RowNorm<T>* call, const FloatInput& input, PyObject* groups_arg) {
    PyArrayObject* x = input.get();
    if (PyArray_NDIM(x) < 2 || !as_int64(groups_arg, &call->groups) || call->groups < 1 ||
        PyArray_DIM(x, 1) % call->groups != 0)
        return false;
    call->rows = PyArray_DIM(x, 0) * call->groups;
    call->length = PyArray_SIZE(x) / call->rows;
    call->inner = call->length / (PyArray_DIM(x, 1) / call->groups);
    call->x = data<T>(x);
    call->channels_last = input.channels_last();
    return true;
}

// group_norm(x, weight, bias, groups, eps)
template <class T>
PyObject* group_norm(const NormFunctions<T>& kernels, const FloatInput& input,
                     PyObject* const* args) {
    PyArrayObject* x = input.get();
    const int type = PyArray_TYPE(x);
    RowNorm<T> call = {};
    T *weight, *bias;
    if (!set_groups(&call, input, args[3]) ||
        !vector_or_none(args[1], type, PyArray_DIM(x, 1), &weight) ||
        !vector_or_none(args[2], type, PyArray_DIM(x, 1), &bias) || !as_double(args[4], &call.eps))
        return not_handled();
    call.weight = weight;
    call.bias = bias;
    const npy_intp shape[] = {PyArray_DIM(x, 0), npy_intp(call.groups)};
    Owned out(input.result()), mean(new_array(2, shape, type)), rstd(new_array(2, shape, type));
    if (!out.get() || !mean.get() || !rstd.get()) return nullptr;
    call.out = out.values<T>();
    call.mean = mean.values<T>();
    call.rstd = rstd.values<T>();
    {
        ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
        kernels.rows_forward(call);
    }
    return triple(out, mean, rstd);
}
PyObject* py_group_norm(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 5) return not_handled();
    const FloatInput x(args[0], Order::either);
    if (!has_elements(x)) return give_up();
    return PyArray_TYPE(x.get()) == NPY_FLOAT ? group_norm(norm_kernels().f32, x, args)
                                              : group_norm(norm_kernels().f64, x, args);
}

// group_norm_grad(grad, x, weight, mean, rstd, groups, needs)
template <class T>
PyObject* group_norm_grad(const NormFunctions<T>& kernels, const FloatInput& input,
                          const FloatInput& grad, PyObject* const* args) {
    PyArrayObject* x = input.get();
    const int type = PyArray_TYPE(x);
    RowNorm<T> call = {};
    bool needs[3];
    T* weight;
    if (!set_groups(&call, input, args[5]) ||
        !vector_or_none(args[2], type, PyArray_DIM(x, 1), &weight) ||
        !vector_or_none(args[3], type, call.rows, &call.mean) || !call.mean ||
        !vector_or_none(args[4], type, call.rows, &call.rstd) || !call.rstd ||
        !read_needs(args[6], 3, needs))
        return not_handled();
    call.weight = weight;
    call.grad = data<T>(grad.get());
    Owned dx, dweight, dbias;
    if (!row_gradients(&call, needs, input, 1, PyArray_DIMS(x) + 1, &dx, &dweight, &dbias))
        return nullptr;
    {
        ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
        kernels.rows_backward(call);
    }
    return triple(dx, dweight, dbias);
}
PyObject* py_group_norm_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 7) return not_handled();
    const FloatInput x(args[1], Order::either), grad(args[0], order_beside(x, args[0]));
    if (!has_elements(x) || !goes_with(grad, x)) return give_up();
    return PyArray_TYPE(x.get()) == NPY_FLOAT ? group_norm_grad(norm_kernels().f32, x, grad, args)
                                              : group_norm_grad(norm_kernels().f64, x, grad, args);
}

}  // namespace

PyMethodDef norm_methods[] = {
    method("batch_norm", py_batch_norm,
           "(x, weight, bias, running_mean, running_var, training, momentum, eps)."),
    method("batch_norm_grad", py_batch_norm_grad,
           "(grad, x, weight, mean, invstd, training, needs)."),
    method("layer_norm", py_row_norm<false>, "(x, weight, bias, axes, eps)."),
    method("layer_norm_grad", py_row_norm_grad<false>, "(grad, x, weight, mean, rstd, axes, needs)."),
    method("rms_norm", py_row_norm<true>, "(x, weight, axes, eps)."),
    method("rms_norm_grad", py_row_norm_grad<true>, "(grad, x, weight, rstd, axes, needs)."),
    method("group_norm", py_group_norm, "(x, weight, bias, groups, eps)."),
    method("group_norm_grad", py_group_norm_grad,
           "(grad, x, weight, mean, rstd, groups, needs)."),
    {nullptr, nullptr, 0, nullptr},
};
