// bind_windows.h: what the bindings of convolution and pooling share: float32 arrays in the layout
// that the kernels take, and arguments with one number per spatial axis.
//
// Arrays (N, C, *S) may be channels last: C-contiguous with the channels as the last axis. What is
// computed from such an array lies in memory in the same way, as in PyTorch.
#pragma once

#include "bind.h"
#include "layout.h"

namespace rl {
namespace {

inline PyObject* object(PyArrayObject* array) { return reinterpret_cast<PyObject*>(array); }
inline float* floats(PyArrayObject* array) { return data<float>(array); }
inline PyArrayObject* new_floats(int ndim, const npy_intp* shape) {
    return new_array(ndim, shape, NPY_FLOAT32);
}

// What to return when an argument was not usable: the error if there is one.
inline PyObject* give_up() { return PyErr_Occurred() ? nullptr : not_handled(); }

inline bool is_channels_last(PyArrayObject* array) {
    const int ndim = PyArray_NDIM(array);
    if (ndim < 4 || ndim > 5 || is_contiguous(array) || PyArray_SIZE(array) == 0) return false;
    npy_intp step = PyArray_ITEMSIZE(array);
    const auto lies = [&](int axis) {
        const bool here = PyArray_DIM(array, axis) == 1 || PyArray_STRIDE(array, axis) == step;
        step *= PyArray_DIM(array, axis);
        return here;
    };
    if (!lies(1)) return false;
    for (int axis = ndim - 1; axis >= 2; axis--)
        if (!lies(axis)) return false;
    return lies(0);
}

// A fresh array (N, C, *S) that is channels last.
inline PyArrayObject* new_channels_last(int ndim, const npy_intp* shape, int type_num) {
    PyArray_Descr* type = PyArray_DescrFromType(type_num);
    npy_intp strides[NPY_MAXDIMS], step = PyDataType_ELSIZE(type);
    const auto place = [&](int axis) {
        strides[axis] = step;
        step *= shape[axis];
    };
    place(1);
    for (int axis = ndim - 1; axis >= 2; axis--) place(axis);
    place(0);
    return reinterpret_cast<PyArrayObject*>(
        PyArray_NewFromDescr(&PyArray_Type, type, ndim, shape, strides, nullptr, 0, nullptr));
}

// Pixels in a plane, or volume, of an array (N, C, *S).
inline int64_t pixels(PyArrayObject* array) {
    int64_t n = 1;
    for (int axis = 2; axis < PyArray_NDIM(array); axis++) n *= PyArray_DIM(array, axis);
    return n;
}

// A C-contiguous copy of a channels-last array; null with an error set.
inline PyArrayObject* channels_first_copy(PyArrayObject* array) {
    PyArrayObject* copy = new_floats(PyArray_NDIM(array), PyArray_DIMS(array));
    if (copy == nullptr) return nullptr;
    ReleaseGil released(PyArray_SIZE(array) > kReleaseGilElements);
    layout_kernels().turn(PyArray_DIM(array, 0), pixels(array), PyArray_DIM(array, 1),
                          floats(array), floats(copy));
    return copy;
}

// A C-contiguous result as a channels-last one; takes the reference, null with an error set.
inline PyArrayObject* made_channels_last(PyArrayObject* array) {
    PyArrayObject* last =
        new_channels_last(PyArray_NDIM(array), PyArray_DIMS(array), NPY_FLOAT32);
    if (last != nullptr) {
        ReleaseGil released(PyArray_SIZE(array) > kReleaseGilElements);
        layout_kernels().turn(PyArray_DIM(array, 0), PyArray_DIM(array, 1), pixels(array),
                              floats(array), floats(last));
    }
    Py_DECREF(array);
    return last;
}

enum class Layout { channels_first, either };

// A reference to a float32 array, aligned and C-contiguous, or with Layout::either channels last,
// copied if need be. `ok()` is false for everything else, and if the copy failed, with Python's
// error set. `channels_last()` tells how the argument lay.
class FloatArray {
  public:
    FloatArray(PyObject* object, int min_dims, int max_dims,
               Layout wanted = Layout::channels_first) {
        PyArrayObject* array = as_array(object);
        if (!array || PyArray_TYPE(array) != NPY_FLOAT32 || !PyArray_ISNOTSWAPPED(array)) return;
        if (PyArray_NDIM(array) < min_dims || PyArray_NDIM(array) > max_dims) return;
        const bool aligned = PyArray_ISALIGNED(array);
        channels_last_ = aligned && is_channels_last(array);
        if (aligned && (is_contiguous(array) || (channels_last_ && wanted == Layout::either))) {
            Py_INCREF(object);
            array_ = array;
        } else if (channels_last_) {
            array_ = channels_first_copy(array);
        } else {
            array_ = reinterpret_cast<PyArrayObject*>(
                PyArray_FromArray(array, nullptr, NPY_ARRAY_IN_ARRAY));
        }
    }
    ~FloatArray() { Py_XDECREF(reinterpret_cast<PyObject*>(array_)); }
    FloatArray(const FloatArray&) = delete;
    FloatArray& operator=(const FloatArray&) = delete;

    bool ok() const { return array_ != nullptr; }
    bool channels_last() const { return channels_last_; }
    const float* floats() const { return rl::data<float>(array_); }
    int ndim() const { return PyArray_NDIM(array_); }
    int64_t dim(int i) const { return PyArray_DIM(array_, i); }
    int64_t size() const { return PyArray_SIZE(array_); }

    // Makes a channels-last array that was kept as it is C-contiguous, and from then on takes it
    // for nothing else; false with an error set.
    bool make_channels_first() {
        if (is_contiguous(array_)) return true;
        PyArrayObject* copy = channels_first_copy(array_);
        Py_DECREF(reinterpret_cast<PyObject*>(array_));
        array_ = copy;
        channels_last_ = false;
        return copy != nullptr;
    }

  private:
    PyArrayObject* array_ = nullptr;
    bool channels_last_ = false;
};

inline void dims_of(const FloatArray& array, int64_t* dims) {
    for (int i = 0; i < array.ndim(); i++) dims[i] = array.dim(i);
}

// One int per spatial axis as (depth, height, width); those that are missing are `missing`.
inline bool read_axes(PyObject* object, int axes, int64_t missing, int64_t* depth, int64_t* height,
                      int64_t* width) {
    int64_t values[3] = {};
    if (as_int_tuple(object, values, 3) != axes) return false;
    *depth = axes == 3 ? values[0] : missing;
    *height = axes >= 2 ? values[axes - 2] : missing;
    *width = values[axes - 1];
    return true;
}

}  // namespace
}  // namespace rl
