// bind_pool.cpp: pooling for NumPy arrays of float32 with one, two or three spatial axes.
//
// Inputs of any layout are taken; channels-last ones as they are, what is neither C-contiguous nor
// channels last is copied first. Results lie in memory as the input does. Other dtypes are not
// handled here and go to the reference kernels.
#include "bind_windows.h"
#include "pool.h"

namespace rl {
namespace {

const PoolFunctions& functions_for(const FloatArray& array) {
    return array.channels_last() ? pool_kernels().last : pool_kernels().first;
}

PyArrayObject* new_in_layout(const FloatArray& like, const npy_intp* shape, int type_num) {
    return like.channels_last() ? new_channels_last(like.ndim(), shape, type_num)
                                : new_array(like.ndim(), shape, type_num);
}

int64_t pooled_size(int64_t n, int64_t k, int64_t stride, int64_t pad, int64_t dil, bool ceil) {
    const int64_t span = n + 2 * pad - dil * (k - 1) - 1;
    if (span < 0 && !ceil) return 0;
    if (!ceil) return span / stride + 1;
    const int64_t windows = (span + stride - 1) / stride + 1;
    return (windows - 1) * stride >= n + pad ? windows - 1 : windows;
}

// The planes of an (N, C, *S) or (C, *S) shape; false if positions would not fit in 32 bits.
bool read_planes(const int64_t* dims, int ndim, int axes, PoolShape* s) {
    if (ndim <= axes) return false;
    s->planes = 1;
    for (int i = 0; i < ndim - axes; i++) s->planes *= dims[i];
    s->channels = dims[ndim - axes - 1];
    s->D = axes == 3 ? dims[ndim - 3] : 1;
    s->H = axes >= 2 ? dims[ndim - 2] : 1;
    s->W = dims[ndim - 1];
    return s->D > 0 && s->H > 0 && s->W > 0 &&
           (s->D + 64) * (s->H + 64) * (s->W + 64) < (int64_t(1) << 30);
}

// kernel_size, stride, padding from args[0..2] for as many axes as kernel_size has; 0 if unfit.
int read_window(PyObject* const* args, PoolShape* s) {
    if (!PyTuple_Check(args[0])) return 0;
    const int axes = int(PyTuple_GET_SIZE(args[0]));
    if (axes < 1 || axes > 3 || !read_axes(args[0], axes, 1, &s->KD, &s->KH, &s->KW) ||
        !read_axes(args[1], axes, 1, &s->stride_d, &s->stride_h, &s->stride_w) ||
        !read_axes(args[2], axes, 0, &s->pad_d, &s->pad_h, &s->pad_w))
        return 0;
    s->dil_d = s->dil_h = s->dil_w = 1;
    const bool sane = s->KD > 0 && s->KH > 0 && s->KW > 0 && s->stride_d > 0 && s->stride_h > 0 &&
                      s->stride_w > 0 && s->pad_d <= s->KD && s->pad_h <= s->KH &&
                      s->pad_w <= s->KW;
    return sane ? axes : 0;
}

bool set_output(PoolShape* s, bool ceil) {
    s->OD = pooled_size(s->D, s->KD, s->stride_d, s->pad_d, s->dil_d, ceil);
    s->OH = pooled_size(s->H, s->KH, s->stride_h, s->pad_h, s->dil_h, ceil);
    s->OW = pooled_size(s->W, s->KW, s->stride_w, s->pad_w, s->dil_w, ceil);
    return s->OD > 0 && s->OH > 0 && s->OW > 0;
}

// Shape of the pooled array: the leading axes of x, then the output plane.
void pooled_shape(const FloatArray& x, int axes, const PoolShape& s, npy_intp* shape) {
    const int ndim = x.ndim();
    for (int i = 0; i < ndim - axes; i++) shape[i] = npy_intp(x.dim(i));
    if (axes == 3) shape[ndim - 3] = npy_intp(s.OD);
    if (axes >= 2) shape[ndim - 2] = npy_intp(s.OH);
    shape[ndim - 1] = npy_intp(s.OW);
}

// Channels last has a meaning only for (N, C, *S); any other shape that looks so is copied.
bool usable(FloatArray* x, int axes) {
    return x->ndim() == axes + 2 || x->make_channels_first();
}

typedef void (*Maximiser)(const PoolShape&, const float*, float*, int64_t*);

// The pair of maxima and their positions.
PyObject* run_maximum(const FloatArray& x, const npy_intp* shape, const PoolShape& s,
                      Maximiser kernel) {
    Owned y(new_in_layout(x, shape, NPY_FLOAT32));
    Owned indices(y.get() ? new_in_layout(x, shape, NPY_INT64) : nullptr);
    if (!indices.get()) return nullptr;
    {
        ReleaseGil released(x.size() > kReleaseGilElements);
        kernel(s, x.floats(), floats(y.get()), data<int64_t>(indices.get()));
    }
    return PyTuple_Pack(2, object(y.get()), object(indices.get()));
}

// A channels-last copy of an array of any layout; null with an error set.
PyArrayObject* copied_channels_last(PyArrayObject* array) {
    PyArrayObject* copy =
        new_channels_last(PyArray_NDIM(array), PyArray_DIMS(array), PyArray_TYPE(array));
    if (copy && PyArray_CopyInto(copy, array) < 0) Py_CLEAR(copy);
    return copy;
}

// The arguments of max_pool and max_pool_values; the number of axes, or 0.
int read_max_pool(FloatArray* x, PyObject* const* args, PoolShape* s, npy_intp* shape) {
    int64_t dims[5];
    dims_of(*x, dims);
    const int axes = read_window(args, s);
    if (axes == 0 || !read_planes(dims, x->ndim(), axes, s) ||
        !read_axes(args[3], axes, 1, &s->dil_d, &s->dil_h, &s->dil_w) || s->dil_d < 1 ||
        s->dil_h < 1 || s->dil_w < 1 || !set_output(s, PyObject_IsTrue(args[4])) ||
        !usable(x, axes))
        return 0;
    pooled_shape(*x, axes, *s, shape);
    return axes;
}

PyObject* max_pool(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 6) return not_handled();
    FloatArray x(args[0], 2, 5, Layout::either);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    npy_intp shape[5];
    if (!read_max_pool(&x, args + 1, &s, shape)) return give_up();
    return run_maximum(x, shape, s, functions_for(x).max_pool);
}

PyObject* max_pool_values(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 6) return not_handled();
    FloatArray x(args[0], 2, 5, Layout::either);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    npy_intp shape[5];
    if (!read_max_pool(&x, args + 1, &s, shape)) return give_up();
    PyArrayObject* y = new_in_layout(x, shape, NPY_FLOAT32);
    if (!y) return nullptr;
    ReleaseGil released(x.size() > kReleaseGilElements);
    functions_for(x).max_pool(s, x.floats(), floats(y), nullptr);
    return object(y);
}

PyObject* max_pool_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 3) return not_handled();
    PyArrayObject* indices = as_array(args[1]);
    if (!indices || PyArray_TYPE(indices) != NPY_INT64 || !is_behaved(indices))
        return not_handled();
    const bool last = is_channels_last(indices);
    if (!last && !is_contiguous(indices)) return not_handled();
    PyArrayObject* given = as_array(args[0]);
    if (!given || PyArray_TYPE(given) != NPY_FLOAT32 || !same_shape(given, indices))
        return not_handled();
    Owned turned;
    if (last && !(is_behaved(given) && is_channels_last(given))) {
        turned.set(copied_channels_last(given));
        if (!turned.get()) return nullptr;
    }
    FloatArray grad(turned.get() ? object(turned.get()) : args[0], 3, 5,
                    last ? Layout::either : Layout::channels_first);
    PoolShape s = {};
    int64_t dims[5];
    if (!grad.ok() || as_int_tuple(args[2], dims, 5) != grad.ndim()) return give_up();
    const int axes = grad.ndim() - 2;
    if (!read_planes(dims, grad.ndim(), axes, &s) || dims[0] != grad.dim(0) ||
        dims[1] != grad.dim(1))
        return not_handled();
    s.OD = axes == 3 ? grad.dim(2) : 1;
    s.OH = axes >= 2 ? grad.dim(axes) : 1;
    s.OW = grad.dim(axes + 1);
    npy_intp shape[5];
    for (int i = 0; i < grad.ndim(); i++) shape[i] = npy_intp(dims[i]);
    PyArrayObject* dx = last ? new_channels_last(grad.ndim(), shape, NPY_FLOAT32)
                             : new_floats(grad.ndim(), shape);
    if (!dx) return nullptr;
    const PoolFunctions& functions = last ? pool_kernels().last : pool_kernels().first;
    ReleaseGil released(s.planes * s.in() > kReleaseGilElements);
    functions.max_pool_grad(s, grad.floats(), data<int64_t>(indices), floats(dx));
    return object(dx);
}

// ceil_mode, count_include_pad, divisor_override.
bool read_average(PyObject* const* args, PoolShape* s, bool* ceil) {
    *ceil = PyObject_IsTrue(args[0]);
    s->count_include_pad = PyObject_IsTrue(args[1]);
    s->divisor = 0;
    return is_none(args[2]) || as_int64(args[2], &s->divisor);
}

typedef void (*Averager)(const PoolShape&, const float*, float*);

// The shared end of the averages, and of their gradients.
PyObject* run_average(const FloatArray& from, const npy_intp* shape, const PoolShape& s,
                      Averager kernel) {
    PyArrayObject* result = new_in_layout(from, shape, NPY_FLOAT32);
    if (!result) return nullptr;
    ReleaseGil released(s.planes * s.in() > kReleaseGilElements);
    kernel(s, from.floats(), floats(result));
    return object(result);
}

PyObject* avg_pool(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    FloatArray x(args[0], 2, 5, Layout::either);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    bool ceil = false;
    int64_t dims[5];
    dims_of(x, dims);
    const int axes = read_window(args + 1, &s);
    if (axes == 0 || !read_planes(dims, x.ndim(), axes, &s) ||
        !read_average(args + 4, &s, &ceil) || !set_output(&s, ceil) || !usable(&x, axes))
        return give_up();
    npy_intp shape[5];
    pooled_shape(x, axes, s, shape);
    return run_average(x, shape, s, functions_for(x).avg_pool);
}

PyObject* avg_pool_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 8) return not_handled();
    FloatArray grad(args[0], 2, 5, Layout::either);
    if (!grad.ok()) return give_up();
    PoolShape s = {};
    bool ceil = false;
    int64_t dims[5];
    const int axes = read_window(args + 2, &s);
    if (axes == 0 || as_int_tuple(args[1], dims, 5) != grad.ndim() ||
        !read_planes(dims, grad.ndim(), axes, &s) || !read_average(args + 5, &s, &ceil) ||
        !set_output(&s, ceil) || s.planes * s.out() != grad.size() || !usable(&grad, axes))
        return give_up();
    npy_intp shape[5];
    for (int i = 0; i < grad.ndim(); i++) shape[i] = npy_intp(dims[i]);
    return run_average(grad, shape, s, functions_for(grad).avg_pool_grad);
}

// The arguments of the adaptive kernels; the number of axes, or 0.
int read_adaptive(FloatArray* x, PyObject* output_size, PoolShape* s, npy_intp* shape) {
    if (!PyTuple_Check(output_size)) return 0;
    int64_t dims[5];
    dims_of(*x, dims);
    const int axes = int(PyTuple_GET_SIZE(output_size));
    if (axes < 1 || axes > 3 || !read_planes(dims, x->ndim(), axes, s) ||
        !read_axes(output_size, axes, 1, &s->OD, &s->OH, &s->OW) || s->OD < 1 || s->OH < 1 ||
        s->OW < 1 || !usable(x, axes))
        return 0;
    pooled_shape(*x, axes, *s, shape);
    return axes;
}

PyObject* adaptive_max_pool(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2) return not_handled();
    FloatArray x(args[0], 2, 5, Layout::either);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    npy_intp shape[5];
    if (!read_adaptive(&x, args[1], &s, shape)) return give_up();
    return run_maximum(x, shape, s, functions_for(x).adaptive_max_pool);
}

PyObject* adaptive_avg_pool(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2) return not_handled();
    FloatArray x(args[0], 2, 5, Layout::either);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    npy_intp shape[5];
    if (!read_adaptive(&x, args[1], &s, shape)) return give_up();
    return run_average(x, shape, s, functions_for(x).adaptive_avg_pool);
}

PyObject* adaptive_avg_pool_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2) return not_handled();
    FloatArray grad(args[0], 3, 5, Layout::either);
    if (!grad.ok()) return give_up();
    PoolShape s = {};
    int64_t dims[5];
    const int axes = grad.ndim() - 2;
    if (as_int_tuple(args[1], dims, 5) != grad.ndim() ||
        !read_planes(dims, grad.ndim(), axes, &s))
        return not_handled();
    s.OD = axes == 3 ? grad.dim(2) : 1;
    s.OH = axes >= 2 ? grad.dim(axes) : 1;
    s.OW = grad.dim(axes + 1);
    if (s.out() < 1 || s.planes * s.out() != grad.size()) return not_handled();
    npy_intp shape[5];
    for (int i = 0; i < grad.ndim(); i++) shape[i] = npy_intp(dims[i]);
    return run_average(grad, shape, s, functions_for(grad).adaptive_avg_pool_grad);
}

}  // namespace
}  // namespace rl

extern PyMethodDef pool_methods[];
PyMethodDef pool_methods[] = {
    rl::method("max_pool", rl::max_pool,
               "max_pool(x, kernel_size, stride, padding, dilation, ceil_mode) -> (out, indices)"),
    rl::method("max_pool_values", rl::max_pool_values,
               "max_pool_values(x, kernel_size, stride, padding, dilation, ceil_mode)"),
    rl::method("max_pool_grad", rl::max_pool_grad, "max_pool_grad(grad, indices, input_shape)"),
    rl::method("avg_pool", rl::avg_pool,
               "avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor)"),
    rl::method("avg_pool_grad", rl::avg_pool_grad,
               "avg_pool_grad(grad, input_shape, kernel_size, stride, padding, ceil_mode, "
               "count_include_pad, divisor)"),
    rl::method("adaptive_max_pool", rl::adaptive_max_pool,
               "adaptive_max_pool(x, output_size) -> (out, indices)"),
    rl::method("adaptive_avg_pool", rl::adaptive_avg_pool, "adaptive_avg_pool(x, output_size)"),
    rl::method("adaptive_avg_pool_grad", rl::adaptive_avg_pool_grad,
               "adaptive_avg_pool_grad(grad, input_shape)"),
    {nullptr, nullptr, 0, nullptr},
};
