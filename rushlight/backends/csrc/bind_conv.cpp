// bind_conv.cpp: convolution for NumPy arrays of float32 with one, two or three spatial axes.
//
// Inputs of any layout are taken. With two axes they are read as they lie if they are C-contiguous
// or channels last, and what lies otherwise is copied first; with three, what is channels last,
// too. Results are channels last where an input is. Other dtypes are not handled here and go to
// the reference kernels.
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

// An image or weight (N, C, *S) as the kernels take it.
class ImageArray : public FloatArray {
  public:
    explicit ImageArray(PyObject* object)
        : FloatArray(object, 3, 5, has_two_axes(object) ? Layout::either : Layout::channels_first) {
    }

    // Whether the kernel meets it channels last.
    bool read_last() const { return channels_last() && ndim() == 4; }

  private:
    static bool has_two_axes(PyObject* object) {
        PyArrayObject* array = as_array(object);
        return array != nullptr && PyArray_NDIM(array) == 4;
    }
};

// What a kernel writes to. The kernel for three axes writes channels first.
PyArrayObject* new_result(int axes, const npy_intp* shape, bool channels_last) {
    if (channels_last && axes == 2) return new_channels_last(axes + 2, shape, NPY_FLOAT32);
    return new_floats(axes + 2, shape);
}

// The result, in its layout, or the lack of memory.
PyObject* finish(PyArrayObject* result, bool enough_memory, bool channels_last) {
    if (!enough_memory) {
        Py_DECREF(result);
        return PyErr_NoMemory();
    }
    const bool turn = channels_last && PyArray_NDIM(result) == 5;
    return object(turn ? made_channels_last(result) : result);
}

PyObject* conv(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 8) return not_handled();
    const ImageArray x(args[0]), weight(args[1]);
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
    const bool channels_last = x.channels_last() || weight.channels_last();
    v.plane.x_last = x.read_last(), v.plane.weight_last = weight.read_last();
    v.plane.y_last = channels_last && axes == 2;
    PyArrayObject* y = new_result(axes, shape, channels_last);
    if (!y) return nullptr;
    bool enough = true;
    if (v.plane.N > 0) {
        ReleaseGil released(is_worth_the_gil(v));
        const float* b = bias.ok() ? bias.floats() : nullptr;
        if (axes == 3)
            enough = volume_kernels().forward(v, x.floats(), weight.floats(), b, floats(y));
        else
            enough = conv_kernels().forward(v.plane, x.floats(), weight.floats(), b, floats(y));
    }
    return finish(y, enough, channels_last);
}

PyObject* conv_input_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    const ImageArray grad(args[0]), weight(args[1]);
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
    const bool channels_last = grad.channels_last() || weight.channels_last();
    v.plane.y_last = grad.read_last(), v.plane.weight_last = weight.read_last();
    v.plane.x_last = channels_last && axes == 2;
    PyArrayObject* dx = new_result(axes, shape, channels_last);
    if (!dx) return nullptr;
    bool enough = true;
    if (v.plane.N > 0) {
        ReleaseGil released(is_worth_the_gil(v));
        if (axes == 3)
            enough = volume_kernels().input_grad(v, grad.floats(), weight.floats(), floats(dx));
        else
            enough =
                conv_kernels().input_grad(v.plane, grad.floats(), weight.floats(), floats(dx));
    }
    return finish(dx, enough, channels_last);
}

PyObject* conv_weight_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 7) return not_handled();
    const ImageArray grad(args[0]), x(args[1]);
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
    v.plane.y_last = grad.read_last(), v.plane.x_last = x.read_last();
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
            enough =
                conv_kernels().weight_grad(v.plane, grad.floats(), x.floats(), floats(dweight));
    }
    return finish(dweight, enough, false);
}

PyObject* conv_bias_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 1) return not_handled();
    const FloatArray grad(args[0], 2, 32, Layout::either);
    if (!grad.ok()) return give_up();
    int64_t plane = 1;
    for (int i = 2; i < grad.ndim(); i++) plane *= grad.dim(i);
    const npy_intp shape[] = {npy_intp(grad.dim(1))};
    PyArrayObject* dbias = new_floats(1, shape);
    if (!dbias) return nullptr;
    ReleaseGil released(grad.size() > kReleaseGilElements);
    conv_kernels().bias_grad(grad.dim(0), grad.dim(1), plane, grad.channels_last(), grad.floats(),
                             floats(dbias));
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
