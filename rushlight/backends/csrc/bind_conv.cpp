// bind_conv.cpp: convolution and pooling for NumPy arrays of float32 with one or two spatial axes.
//
// Inputs of any layout are taken; what is not C-contiguous is copied first. Other dtypes and three
// spatial axes are not handled here and go to the reference kernels.
#include "bind.h"
#include "conv.h"
#include "pool.h"

namespace rl {
namespace {

constexpr int64_t kReleaseGilWork = 500000;

// A reference to a float32 array, C-contiguous and aligned, copied if need be. `ok()` is false for
// everything else, and if the copy failed, with Python's error set.
class FloatArray {
  public:
    FloatArray(PyObject* object, int min_dims, int max_dims) {
        PyArrayObject* array = as_array(object);
        if (!array || PyArray_TYPE(array) != NPY_FLOAT32 || !PyArray_ISNOTSWAPPED(array)) return;
        if (PyArray_NDIM(array) < min_dims || PyArray_NDIM(array) > max_dims) return;
        if (is_contiguous(array) && PyArray_ISALIGNED(array)) {
            Py_INCREF(object);
            array_ = array;
        } else {
            array_ = reinterpret_cast<PyArrayObject*>(
                PyArray_FromArray(array, nullptr, NPY_ARRAY_IN_ARRAY));
        }
    }
    ~FloatArray() { Py_XDECREF(reinterpret_cast<PyObject*>(array_)); }
    FloatArray(const FloatArray&) = delete;
    FloatArray& operator=(const FloatArray&) = delete;

    bool ok() const { return array_ != nullptr; }
    const float* floats() const { return rl::data<float>(array_); }
    int ndim() const { return PyArray_NDIM(array_); }
    int64_t dim(int i) const { return PyArray_DIM(array_, i); }
    int64_t size() const { return PyArray_SIZE(array_); }

  private:
    PyArrayObject* array_ = nullptr;
};

// What to return when an argument was not usable: the error if there is one.
PyObject* give_up() { return PyErr_Occurred() ? nullptr : not_handled(); }

// One int per spatial axis as (height, width); a missing height is `missing`.
bool read_pair(PyObject* object, int axes, int64_t missing, int64_t* height, int64_t* width) {
    int64_t values[2] = {};
    if (as_int_tuple(object, values, 2) != axes) return false;
    *height = axes == 2 ? values[0] : missing;
    *width = values[axes - 1];
    return true;
}

PyArrayObject* new_floats(int ndim, const npy_intp* shape) {
    return new_array(ndim, shape, NPY_FLOAT32);
}
float* floats(PyArrayObject* array) { return data<float>(array); }
PyObject* object(PyArrayObject* array) { return reinterpret_cast<PyObject*>(array); }

void clear(PyArrayObject* array) {
    memset(PyArray_DATA(array), 0, size_t(PyArray_NBYTES(array)));
}

// ------------------------------------------------------------------ convolution
// stride, padding, dilation, groups: the last four arguments of every convolution kernel.
bool read_window(PyObject* const* args, int axes, ConvShape* s) {
    return read_pair(args[0], axes, 1, &s->stride_h, &s->stride_w) &&
           read_pair(args[1], axes, 0, &s->pad_h, &s->pad_w) &&
           read_pair(args[2], axes, 1, &s->dil_h, &s->dil_w) && as_int64(args[3], &s->groups) &&
           s->groups > 0 && s->stride_h > 0 && s->stride_w > 0 && s->dil_h > 0 && s->dil_w > 0;
}

int64_t output_size(int64_t n, int64_t pad, int64_t dil, int64_t k, int64_t stride) {
    return (n + 2 * pad - dil * (k - 1) - 1) / stride + 1;
}

// Fills the shape from the sizes of x and weight; false if they do not fit together.
bool finish_shape(ConvShape* s, const int64_t* x, const int64_t* weight, int axes) {
    s->N = x[0], s->C = x[1];
    s->H = axes == 2 ? x[2] : 1, s->W = x[axes + 1];
    s->O = weight[0];
    s->KH = axes == 2 ? weight[2] : 1, s->KW = weight[axes + 1];
    if (s->C != weight[1] * s->groups || s->O % s->groups != 0) return false;
    s->OH = output_size(s->H, s->pad_h, s->dil_h, s->KH, s->stride_h);
    s->OW = output_size(s->W, s->pad_w, s->dil_w, s->KW, s->stride_w);
    // Offsets into a plane are 32-bit.
    const int64_t plane = (s->H + 2 * s->pad_h + s->stride_h) * (s->W + 2 * s->pad_w + s->stride_w);
    return s->KH > 0 && s->KW > 0 && s->OH > 0 && s->OW > 0 &&
           (s->C + s->O + 1) * plane < (int64_t(1) << 30) && s->C > 0 && s->O > 0;
}

bool is_grad_of(const FloatArray& grad, const ConvShape& s, int axes) {
    return grad.dim(0) == s.N && grad.dim(1) == s.O && grad.dim(axes + 1) == s.OW &&
           (axes == 1 || grad.dim(2) == s.OH);
}

void dims_of(const FloatArray& array, int64_t* dims) {
    for (int i = 0; i < array.ndim(); i++) dims[i] = array.dim(i);
}

PyObject* conv(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    FloatArray x(args[0], 3, 4), weight(args[1], 3, 4);
    if (!x.ok() || !weight.ok() || x.ndim() != weight.ndim()) return give_up();
    const int axes = x.ndim() - 2;
    ConvShape s;
    int64_t x_dims[4], weight_dims[4];
    dims_of(x, x_dims);
    dims_of(weight, weight_dims);
    if (!read_window(args + 3, axes, &s) || !finish_shape(&s, x_dims, weight_dims, axes))
        return not_handled();
    FloatArray bias(args[2], 1, 1);
    if (!is_none(args[2]) && (!bias.ok() || bias.size() != s.O)) return give_up();

    const npy_intp shape[] = {npy_intp(s.N), npy_intp(s.O), npy_intp(axes == 2 ? s.OH : s.OW),
                              npy_intp(s.OW)};
    PyArrayObject* y = new_floats(axes + 2, shape);
    if (!y) return nullptr;
    if (s.N > 0) {
        ReleaseGil released(s.work() > kReleaseGilWork);
        conv_kernels().forward(s, x.floats(), weight.floats(), bias.ok() ? bias.floats() : nullptr,
                               floats(y));
    }
    return object(y);
}

PyObject* conv_input_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    FloatArray grad(args[0], 3, 4), weight(args[1], 3, 4);
    if (!grad.ok() || !weight.ok() || grad.ndim() != weight.ndim()) return give_up();
    const int axes = grad.ndim() - 2;
    ConvShape s;
    int64_t x_dims[4], weight_dims[4];
    dims_of(weight, weight_dims);
    if (as_int_tuple(args[2], x_dims, 4) != axes + 2 || !read_window(args + 3, axes, &s) ||
        !finish_shape(&s, x_dims, weight_dims, axes) || !is_grad_of(grad, s, axes))
        return not_handled();
    npy_intp shape[4];
    for (int i = 0; i < axes + 2; i++) shape[i] = npy_intp(x_dims[i]);
    PyArrayObject* dx = new_floats(axes + 2, shape);
    if (!dx) return nullptr;
    if (s.N > 0) {
        ReleaseGil released(s.work() > kReleaseGilWork);
        conv_kernels().input_grad(s, grad.floats(), weight.floats(), floats(dx));
    }
    return object(dx);
}

PyObject* conv_weight_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    FloatArray grad(args[0], 3, 4), x(args[1], 3, 4);
    if (!grad.ok() || !x.ok() || grad.ndim() != x.ndim()) return give_up();
    const int axes = grad.ndim() - 2;
    ConvShape s;
    int64_t x_dims[4], weight_dims[4];
    dims_of(x, x_dims);
    if (as_int_tuple(args[2], weight_dims, 4) != axes + 2 || !read_window(args + 3, axes, &s) ||
        !finish_shape(&s, x_dims, weight_dims, axes) || !is_grad_of(grad, s, axes))
        return not_handled();
    npy_intp shape[4];
    for (int i = 0; i < axes + 2; i++) shape[i] = npy_intp(weight_dims[i]);
    PyArrayObject* dweight = new_floats(axes + 2, shape);
    if (!dweight) return nullptr;
    if (s.N == 0) {
        clear(dweight);
    } else {
        ReleaseGil released(s.work() > kReleaseGilWork);
        conv_kernels().weight_grad(s, grad.floats(), x.floats(), floats(dweight));
    }
    return object(dweight);
}

PyObject* conv_bias_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 1) return not_handled();
    FloatArray grad(args[0], 2, 32);
    if (!grad.ok()) return give_up();
    int64_t plane = 1;
    for (int i = 2; i < grad.ndim(); i++) plane *= grad.dim(i);
    const npy_intp shape[] = {npy_intp(grad.dim(1))};
    PyArrayObject* dbias = new_floats(1, shape);
    if (!dbias) return nullptr;
    ReleaseGil released(grad.size() > kReleaseGilElements);
    conv_kernels().bias_grad(grad.dim(0), grad.dim(1), plane, grad.floats(), floats(dbias));
    return object(dbias);
}

// ------------------------------------------------------------------ pooling
int64_t pooled_size(int64_t n, int64_t k, int64_t stride, int64_t pad, int64_t dil, bool ceil) {
    const int64_t span = n + 2 * pad - dil * (k - 1) - 1;
    if (span < 0 && !ceil) return 0;
    if (!ceil) return span / stride + 1;
    const int64_t windows = (span + stride - 1) / stride + 1;
    return (windows - 1) * stride >= n + pad ? windows - 1 : windows;
}

// The planes of an (N, C, *S) shape; false if positions would not fit in 32 bits.
bool read_planes(const int64_t* dims, int ndim, int axes, PoolShape* s) {
    s->planes = 1;
    for (int i = 0; i < ndim - axes; i++) s->planes *= dims[i];
    s->H = axes == 2 ? dims[ndim - 2] : 1;
    s->W = dims[ndim - 1];
    return s->H > 0 && s->W > 0 && (s->H + 64) * (s->W + 64) < (int64_t(1) << 30);
}

// kernel_size, stride, padding from args[0..2] for as many axes as kernel_size has; 0 if unfit.
int read_pool_window(PyObject* const* args, PoolShape* s) {
    if (!PyTuple_Check(args[0])) return 0;
    const int axes = int(PyTuple_GET_SIZE(args[0]));
    if (axes < 1 || axes > 2 || !read_pair(args[0], axes, 1, &s->KH, &s->KW) ||
        !read_pair(args[1], axes, 1, &s->stride_h, &s->stride_w) ||
        !read_pair(args[2], axes, 0, &s->pad_h, &s->pad_w))
        return 0;
    s->dil_h = s->dil_w = 1;
    const bool sane = s->KH > 0 && s->KW > 0 && s->stride_h > 0 && s->stride_w > 0 &&
                      s->pad_h <= s->KH && s->pad_w <= s->KW;
    return sane ? axes : 0;
}

bool set_output(PoolShape* s, bool ceil) {
    s->OH = pooled_size(s->H, s->KH, s->stride_h, s->pad_h, s->dil_h, ceil);
    s->OW = pooled_size(s->W, s->KW, s->stride_w, s->pad_w, s->dil_w, ceil);
    return s->OH > 0 && s->OW > 0;
}

// Shape of the pooled array: the leading axes of x, then the output plane.
void pooled_shape(const FloatArray& x, int axes, const PoolShape& s, npy_intp* shape) {
    for (int i = 0; i < x.ndim() - axes; i++) shape[i] = npy_intp(x.dim(i));
    if (axes == 2) shape[x.ndim() - 2] = npy_intp(s.OH);
    shape[x.ndim() - 1] = npy_intp(s.OW);
}

PyObject* max_pool(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 6) return not_handled();
    FloatArray x(args[0], 2, 4);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    int64_t dims[4];
    dims_of(x, dims);
    const int axes = read_pool_window(args + 1, &s);
    if (axes == 0 || x.ndim() <= axes || !read_planes(dims, x.ndim(), axes, &s) ||
        !read_pair(args[4], axes, 1, &s.dil_h, &s.dil_w) || s.dil_h < 1 || s.dil_w < 1 ||
        !set_output(&s, PyObject_IsTrue(args[5])))
        return not_handled();
    npy_intp shape[4];
    pooled_shape(x, axes, s, shape);
    PyArrayObject* y = new_floats(x.ndim(), shape);
    PyArrayObject* indices = y ? new_array(x.ndim(), shape, NPY_INT64) : nullptr;
    if (!indices) {
        Py_XDECREF(object(y));
        return nullptr;
    }
    {
        ReleaseGil released(x.size() > kReleaseGilElements);
        pool_kernels().max_pool(s, x.floats(), floats(y), data<int64_t>(indices));
    }
    PyObject* pair = PyTuple_Pack(2, object(y), object(indices));
    Py_DECREF(object(y));
    Py_DECREF(object(indices));
    return pair;
}

PyObject* max_pool_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 3) return not_handled();
    FloatArray grad(args[0], 3, 5);
    PyArrayObject* indices = contiguous_of(args[1], NPY_INT64);
    int64_t dims[5];
    if (!grad.ok() || !indices || PyArray_SIZE(indices) != grad.size() ||
        as_int_tuple(args[2], dims, 5) != grad.ndim())
        return give_up();
    int64_t in_plane = 1, out_plane = 1;
    npy_intp shape[5];
    for (int i = 0; i < grad.ndim(); i++) {
        shape[i] = npy_intp(dims[i]);
        if (i >= 2) in_plane *= dims[i], out_plane *= grad.dim(i);
    }
    if (dims[0] != grad.dim(0) || dims[1] != grad.dim(1)) return not_handled();
    PyArrayObject* dx = new_floats(grad.ndim(), shape);
    if (!dx) return nullptr;
    ReleaseGil released(dims[0] * dims[1] * in_plane > kReleaseGilElements);
    pool_kernels().max_pool_grad(dims[0] * dims[1], in_plane, out_plane, grad.floats(),
                                 data<int64_t>(indices), floats(dx));
    return object(dx);
}

// ceil_mode, count_include_pad, divisor_override.
bool read_average(PyObject* const* args, PoolShape* s, bool* ceil) {
    *ceil = PyObject_IsTrue(args[0]);
    s->count_include_pad = PyObject_IsTrue(args[1]);
    s->divisor = 0;
    return is_none(args[2]) || as_int64(args[2], &s->divisor);
}

PyObject* avg_pool(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    FloatArray x(args[0], 2, 4);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    bool ceil = false;
    int64_t dims[4];
    dims_of(x, dims);
    const int axes = read_pool_window(args + 1, &s);
    if (axes == 0 || x.ndim() <= axes || !read_planes(dims, x.ndim(), axes, &s) ||
        !read_average(args + 4, &s, &ceil) || !set_output(&s, ceil))
        return not_handled();
    npy_intp shape[4];
    pooled_shape(x, axes, s, shape);
    PyArrayObject* y = new_floats(x.ndim(), shape);
    if (!y) return nullptr;
    ReleaseGil released(x.size() > kReleaseGilElements);
    pool_kernels().avg_pool(s, x.floats(), floats(y));
    return object(y);
}

// The shared end of the two average gradients.
PyObject* spread_average(const FloatArray& grad, const int64_t* dims, const PoolShape& s,
                         void (*kernel)(const PoolShape&, const float*, float*)) {
    npy_intp shape[4];
    for (int i = 0; i < grad.ndim(); i++) shape[i] = npy_intp(dims[i]);
    PyArrayObject* dx = new_floats(grad.ndim(), shape);
    if (!dx) return nullptr;
    ReleaseGil released(s.planes * s.H * s.W > kReleaseGilElements);
    kernel(s, grad.floats(), floats(dx));
    return object(dx);
}

PyObject* avg_pool_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 8) return not_handled();
    FloatArray grad(args[0], 2, 4);
    if (!grad.ok()) return give_up();
    PoolShape s = {};
    bool ceil = false;
    int64_t dims[4];
    const int axes = read_pool_window(args + 2, &s);
    if (axes == 0 || as_int_tuple(args[1], dims, 4) != grad.ndim() || grad.ndim() <= axes ||
        !read_planes(dims, grad.ndim(), axes, &s) || !read_average(args + 5, &s, &ceil) ||
        !set_output(&s, ceil) || s.planes * s.OH * s.OW != grad.size())
        return not_handled();
    return spread_average(grad, dims, s, pool_kernels().avg_pool_grad);
}

PyObject* adaptive_avg_pool(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2 || !PyTuple_Check(args[1])) return not_handled();
    FloatArray x(args[0], 2, 4);
    if (!x.ok()) return give_up();
    PoolShape s = {};
    int64_t dims[4];
    dims_of(x, dims);
    const int axes = int(PyTuple_GET_SIZE(args[1]));
    if (axes < 1 || axes > 2 || x.ndim() <= axes || !read_planes(dims, x.ndim(), axes, &s) ||
        !read_pair(args[1], axes, 1, &s.OH, &s.OW) || s.OH < 1 || s.OW < 1)
        return not_handled();
    npy_intp shape[4];
    pooled_shape(x, axes, s, shape);
    PyArrayObject* y = new_floats(x.ndim(), shape);
    if (!y) return nullptr;
    ReleaseGil released(x.size() > kReleaseGilElements);
    pool_kernels().adaptive_avg_pool(s, x.floats(), floats(y));
    return object(y);
}

PyObject* adaptive_avg_pool_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2) return not_handled();
    FloatArray grad(args[0], 3, 4);
    if (!grad.ok()) return give_up();
    PoolShape s = {};
    int64_t dims[4];
    const int axes = grad.ndim() - 2;
    if (as_int_tuple(args[1], dims, 4) != grad.ndim() ||
        !read_planes(dims, grad.ndim(), axes, &s))
        return not_handled();
    s.OH = axes == 2 ? grad.dim(2) : 1;
    s.OW = grad.dim(axes + 1);
    if (s.OH < 1 || s.OW < 1 || s.planes * s.OH * s.OW != grad.size()) return not_handled();
    return spread_average(grad, dims, s, pool_kernels().adaptive_avg_pool_grad);
}

}  // namespace
}  // namespace rl

extern PyMethodDef conv_methods[];
PyMethodDef conv_methods[] = {
    rl::method("conv", rl::conv, "conv(x, weight, bias, stride, padding, dilation, groups)"),
    rl::method("conv_input_grad", rl::conv_input_grad,
               "conv_input_grad(grad, weight, input_shape, stride, padding, dilation, groups)"),
    rl::method("conv_weight_grad", rl::conv_weight_grad,
               "conv_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)"),
    rl::method("conv_bias_grad", rl::conv_bias_grad, "conv_bias_grad(grad)"),
    rl::method("max_pool", rl::max_pool,
               "max_pool(x, kernel_size, stride, padding, dilation, ceil_mode) -> (out, indices)"),
    rl::method("max_pool_grad", rl::max_pool_grad, "max_pool_grad(grad, indices, input_shape)"),
    rl::method("avg_pool", rl::avg_pool,
               "avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor)"),
    rl::method("avg_pool_grad", rl::avg_pool_grad,
               "avg_pool_grad(grad, input_shape, kernel_size, stride, padding, ceil_mode, "
               "count_include_pad, divisor)"),
    rl::method("adaptive_avg_pool", rl::adaptive_avg_pool, "adaptive_avg_pool(x, output_size)"),
    rl::method("adaptive_avg_pool_grad", rl::adaptive_avg_pool_grad,
               "adaptive_avg_pool_grad(grad, input_shape)"),
    {nullptr, nullptr, 0, nullptr},
};
