// bind_conv.cpp: convolution for NumPy arrays of float32 with one, two or three spatial axes.
//
// Inputs of any layout are taken; what is not C-contiguous is copied first. Results are channels
// last where an input is. Other dtypes are not handled here and go to the reference kernels.
#include "bind_windows.h"
#include "conv_volume.h"

namespace rl {
namespace {

constexpr int64_t kReleaseGilWork = 500000;

// stride, padding, dilation, groups: the last four arguments of every convolution kernel.
bool read_window(PyObject* const* args, int axes, VolumeShape* v) {
    ConvShape& s = v->plane;
    return read_axes(args[0], axes, 1, &v->stride_d, &s.stride_h, &s.stride_w) &&
           read_axes(args[1], axes, 0, &v->pad_d, &s.pad_h, &s.pad_w) &&
           read_axes(args[2], axes, 1, &v->dil_d, &s.dil_h, &s.dil_w) &&
           as_int64(args[3], &s.groups) && s.groups > 0 && v->stride_d > 0 && s.stride_h > 0 &&
           s.stride_w > 0 && v->dil_d > 0 && s.dil_h > 0 && s.dil_w > 0;
}

int64_t output_size(int64_t n, int64_t pad, int64_t dil, int64_t k, int64_t stride) {
    return (n + 2 * pad - dil * (k - 1) - 1) / stride + 1;
}

// Depth, height and width from the shape of an array (N, C, *S).
void read_size(const int64_t* dims, int axes, int64_t* depth, int64_t* height, int64_t* width) {
    *depth = axes == 3 ? dims[2] : 1;
    *height = axes >= 2 ? dims[axes] : 1;
    *width = dims[axes + 1];
}

// Fills the shape from the sizes of x and weight; false if they do not fit together.
bool finish_shape(VolumeShape* v, const int64_t* x, const int64_t* weight, int axes) {
    ConvShape& s = v->plane;
    s.N = x[0], s.C = x[1], s.O = weight[0];
    read_size(x, axes, &v->D, &s.H, &s.W);
    read_size(weight, axes, &v->KD, &s.KH, &s.KW);
    if (s.C != weight[1] * s.groups || s.O % s.groups != 0) return false;
    v->OD = output_size(v->D, v->pad_d, v->dil_d, v->KD, v->stride_d);
    s.OH = output_size(s.H, s.pad_h, s.dil_h, s.KH, s.stride_h);
    s.OW = output_size(s.W, s.pad_w, s.dil_w, s.KW, s.stride_w);
    // Offsets into a plane are 32-bit.
    const int64_t plane = (s.H + 2 * s.pad_h + s.stride_h) * (s.W + 2 * s.pad_w + s.stride_w);
    return v->KD > 0 && s.KH > 0 && s.KW > 0 && v->OD > 0 && s.OH > 0 && s.OW > 0 &&
           (s.C * v->KD + s.O + 1) * plane < (int64_t(1) << 30) && s.C > 0 && s.O > 0;
}

bool is_grad_of(const FloatArray& grad, const VolumeShape& v, int axes) {
    return grad.dim(0) == v.plane.N && grad.dim(1) == v.plane.O &&
           grad.dim(axes + 1) == v.plane.OW && (axes < 2 || grad.dim(axes) == v.plane.OH) &&
           (axes < 3 || grad.dim(2) == v.OD);
}

bool is_worth_the_gil(const VolumeShape& v) {
    return v.plane.work() * v.KD * v.OD > kReleaseGilWork;
}

// The result, in its layout, or the lack of memory.
PyObject* finish(PyArrayObject* result, bool enough_memory, bool channels_last) {
    if (!enough_memory) {
        Py_DECREF(result);
        return PyErr_NoMemory();
    }
    return object(channels_last ? made_channels_last(result) : result);
}

PyObject* conv(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 8) return not_handled();
    FloatArray x(args[0], 3, 5), weight(args[1], 3, 5);
    if (!x.ok() || !weight.ok() || x.ndim() != weight.ndim()) return give_up();
    const int axes = x.ndim() - 2;
    VolumeShape v;
    int64_t x_dims[5], weight_dims[5];
    dims_of(x, x_dims);
    dims_of(weight, weight_dims);
    if (!read_window(args + 3, axes, &v) || !finish_shape(&v, x_dims, weight_dims, axes))
        return not_handled();
    v.plane.relu = args[7] == Py_True;
    FloatArray bias(args[2], 1, 1);
    if (!is_none(args[2]) && (!bias.ok() || bias.size() != v.plane.O)) return give_up();

    npy_intp shape[5] = {npy_intp(v.plane.N), npy_intp(v.plane.O), npy_intp(v.OD)};
    if (axes >= 2) shape[axes] = npy_intp(v.plane.OH);
    shape[axes + 1] = npy_intp(v.plane.OW);
    PyArrayObject* y = new_floats(axes + 2, shape);
    if (!y) return nullptr;
    bool enough = true;
    if (v.plane.N > 0) {
        ReleaseGil released(is_worth_the_gil(v));
        const float* b = bias.ok() ? bias.floats() : nullptr;
        if (axes == 3)
            enough = volume_kernels().forward(v, x.floats(), weight.floats(), b, floats(y));
        else
            conv_kernels().forward(v.plane, x.floats(), weight.floats(), b, floats(y));
    }
    return finish(y, enough, x.channels_last() || weight.channels_last());
}

PyObject* conv_input_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    FloatArray grad(args[0], 3, 5), weight(args[1], 3, 5);
    if (!grad.ok() || !weight.ok() || grad.ndim() != weight.ndim()) return give_up();
    const int axes = grad.ndim() - 2;
    VolumeShape v;
    int64_t x_dims[5], weight_dims[5];
    dims_of(weight, weight_dims);
    if (as_int_tuple(args[2], x_dims, 5) != axes + 2 || !read_window(args + 3, axes, &v) ||
        !finish_shape(&v, x_dims, weight_dims, axes) || !is_grad_of(grad, v, axes))
        return not_handled();
    npy_intp shape[5];
    for (int i = 0; i < axes + 2; i++) shape[i] = npy_intp(x_dims[i]);
    PyArrayObject* dx = new_floats(axes + 2, shape);
    if (!dx) return nullptr;
    bool enough = true;
    if (v.plane.N > 0) {
        ReleaseGil released(is_worth_the_gil(v));
        if (axes == 3)
            enough = volume_kernels().input_grad(v, grad.floats(), weight.floats(), floats(dx));
        else
            conv_kernels().input_grad(v.plane, grad.floats(), weight.floats(), floats(dx));
    }
    return finish(dx, enough, grad.channels_last() || weight.channels_last());
}

PyObject* conv_weight_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    FloatArray grad(args[0], 3, 5), x(args[1], 3, 5);
    if (!grad.ok() || !x.ok() || grad.ndim() != x.ndim()) return give_up();
    const int axes = grad.ndim() - 2;
    VolumeShape v;
    int64_t x_dims[5], weight_dims[5];
    dims_of(x, x_dims);
    if (as_int_tuple(args[2], weight_dims, 5) != axes + 2 || !read_window(args + 3, axes, &v) ||
        !finish_shape(&v, x_dims, weight_dims, axes) || !is_grad_of(grad, v, axes))
        return not_handled();
    npy_intp shape[5];
    for (int i = 0; i < axes + 2; i++) shape[i] = npy_intp(weight_dims[i]);
    PyArrayObject* dweight = new_floats(axes + 2, shape);
    if (!dweight) return nullptr;
    bool enough = true;
    if (v.plane.N == 0) {
        memset(PyArray_DATA(dweight), 0, size_t(PyArray_NBYTES(dweight)));
    } else {
        ReleaseGil released(is_worth_the_gil(v));
        if (axes == 3)
            enough = volume_kernels().weight_grad(v, grad.floats(), x.floats(), floats(dweight));
        else
            conv_kernels().weight_grad(v.plane, grad.floats(), x.floats(), floats(dweight));
    }
    return finish(dweight, enough, false);
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

}  // namespace
}  // namespace rl

extern PyMethodDef conv_methods[];
PyMethodDef conv_methods[] = {
    rl::method("conv", rl::conv, "conv(x, weight, bias, stride, padding, dilation, groups, relu)"),
    rl::method("conv_input_grad", rl::conv_input_grad,
               "conv_input_grad(grad, weight, input_shape, stride, padding, dilation, groups)"),
    rl::method("conv_weight_grad", rl::conv_weight_grad,
               "conv_weight_grad(grad, x, weight_shape, stride, padding, dilation, groups)"),
    rl::method("conv_bias_grad", rl::conv_bias_grad, "conv_bias_grad(grad)"),
    {nullptr, nullptr, 0, nullptr},
};
