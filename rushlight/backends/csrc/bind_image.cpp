// Python functions for images, stacking, contiguous copies and embeddings.
#include "bind.h"  // Python.h must come before the system's headers

#include <vector>

#include "image.h"
#include "strided_copy.h"

namespace {

using namespace rl;

// image_to_float(pixels): uint8 (H, W, C)
PyObject* py_image_to_float(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs == 1 ? contiguous_of(args[0], NPY_UINT8) : nullptr;
    if (x == nullptr || PyArray_NDIM(x) != 3) return not_handled();
    const npy_intp shape[] = {PyArray_DIM(x, 2), PyArray_DIM(x, 0), PyArray_DIM(x, 1)};
    PyArrayObject* out = new_array(3, shape, NPY_FLOAT);
    if (out == nullptr) return nullptr;
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
    image_kernels().to_float(data<float>(out), data<uint8_t>(x), shape[1] * shape[2], shape[0]);
    return reinterpret_cast<PyObject*>(out);
}

// normalize(x, mean, std, out): float32 (..., C, H, W)
PyObject* py_normalize(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 4) return not_handled();
    PyArrayObject* x = contiguous_of(args[0], NPY_FLOAT);
    PyArrayObject* mean = contiguous_of(args[1], NPY_FLOAT);
    PyArrayObject* std = contiguous_of(args[2], NPY_FLOAT);
    const int ndim = x != nullptr ? PyArray_NDIM(x) : 0;
    if (x == nullptr || mean == nullptr || std == nullptr || ndim < 3) return not_handled();
    const int64_t channels = PyArray_DIM(x, ndim - 3);
    const int64_t pixels = PyArray_DIM(x, ndim - 2) * PyArray_DIM(x, ndim - 1);
    if (PyArray_SIZE(mean) != channels || PyArray_SIZE(std) != channels) return not_handled();
    PyArrayObject* out = is_none(args[3]) ? new_like(x) : contiguous_of(args[3], NPY_FLOAT);
    if (out == nullptr) return PyErr_Occurred() ? nullptr : not_handled();
    if (!is_none(args[3])) {
        const bool elsewhere =
            PyArray_BYTES(out) + PyArray_NBYTES(out) <= PyArray_BYTES(x) ||
            PyArray_BYTES(x) + PyArray_NBYTES(x) <= PyArray_BYTES(out);
        if (!same_shape(out, x) || !PyArray_ISWRITEABLE(out) ||
            (PyArray_DATA(out) != PyArray_DATA(x) && !elsewhere))
            return not_handled();
        Py_INCREF(out);
    }
    if (PyArray_SIZE(x) == 0) return reinterpret_cast<PyObject*>(out);
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
    image_kernels().normalize(data<float>(out), data<float>(x), data<float>(mean), data<float>(std),
                              PyArray_SIZE(x) / (channels * pixels), channels, pixels);
    return reinterpret_cast<PyObject*>(out);
}

// stack(list): contiguous arrays of one shape and dtype
PyObject* py_stack(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 1 || !(PyList_Check(args[0]) || PyTuple_Check(args[0]))) return not_handled();
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(args[0]);
    PyArrayObject* first = count > 0 ? as_array(PySequence_Fast_GET_ITEM(args[0], 0)) : nullptr;
    if (first == nullptr || PyArray_NDIM(first) >= NPY_MAXDIMS ||
        PyDataType_REFCHK(PyArray_DESCR(first)))
        return not_handled();
    std::vector<const char*> blocks(static_cast<size_t>(count));
    for (Py_ssize_t i = 0; i < count; i++) {
        PyArrayObject* array = as_array(PySequence_Fast_GET_ITEM(args[0], i));
        if (array == nullptr || PyArray_DESCR(array) != PyArray_DESCR(first) ||
            !is_contiguous(array) || !same_shape(array, first))
            return not_handled();
        blocks[size_t(i)] = PyArray_BYTES(array);
    }
    npy_intp shape[NPY_MAXDIMS];
    shape[0] = count;
    for (int i = 0; i < PyArray_NDIM(first); i++) shape[i + 1] = PyArray_DIM(first, i);
    PyArray_Descr* descr = PyArray_DESCR(first);
    Py_INCREF(descr);
    PyObject* out = PyArray_NewFromDescr(&PyArray_Type, descr, PyArray_NDIM(first) + 1, shape,
                                         nullptr, nullptr, 0, nullptr);
    if (out == nullptr) return nullptr;
    const int64_t bytes = PyArray_NBYTES(first);
    ReleaseGil unlocked(bytes * count >= 4 * kReleaseGilElements);
    image_kernels().gather(PyArray_BYTES(reinterpret_cast<PyArrayObject*>(out)), blocks.data(),
                           count, bytes);
    return out;
}

// ------------------------------------------------------------------ copy
// copy(x), C-contiguous
PyObject* py_copy(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs == 1 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_copyable(x)) return not_handled();
    PyArray_Descr* descr = PyArray_DESCR(x);
    Py_INCREF(descr);
    PyArrayObject* out = reinterpret_cast<PyArrayObject*>(PyArray_NewFromDescr(
        &PyArray_Type, descr, PyArray_NDIM(x), PyArray_DIMS(x), nullptr, nullptr, 0, nullptr));
    if (out == nullptr) return nullptr;
    copy_elements(out, x);
    return reinterpret_cast<PyObject*>(out);
}

// ------------------------------------------------------------------ embedding
// embedding(weight, indices)
PyObject* py_embedding(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* weight = nargs == 2 ? as_array(args[0]) : nullptr;
    PyArrayObject* indices = nargs == 2 ? contiguous_of(args[1], NPY_INT64) : nullptr;
    if (weight == nullptr || indices == nullptr || PyArray_NDIM(weight) != 2 ||
        !is_contiguous(weight) || PyDataType_REFCHK(PyArray_DESCR(weight)) ||
        PyArray_NDIM(indices) >= NPY_MAXDIMS)
        return not_handled();
    const int ndim = PyArray_NDIM(indices);
    npy_intp shape[NPY_MAXDIMS];
    for (int i = 0; i < ndim; i++) shape[i] = PyArray_DIM(indices, i);
    shape[ndim] = PyArray_DIM(weight, 1);
    PyArray_Descr* descr = PyArray_DESCR(weight);
    Py_INCREF(descr);
    PyArrayObject* out = reinterpret_cast<PyArrayObject*>(PyArray_NewFromDescr(
        &PyArray_Type, descr, ndim + 1, shape, nullptr, nullptr, 0, nullptr));
    if (out == nullptr) return nullptr;
    const int64_t row_bytes = PyArray_DIM(weight, 1) * PyArray_ITEMSIZE(weight);
    bool done;
    {
        ReleaseGil unlocked(PyArray_SIZE(out) >= kReleaseGilElements);
        done = image_kernels().take_rows(PyArray_BYTES(out), PyArray_BYTES(weight),
                                         PyArray_DIM(weight, 0), row_bytes, data<int64_t>(indices),
                                         PyArray_SIZE(indices));
    }
    if (!done) {
        Py_DECREF(out);
        return not_handled();
    }
    return reinterpret_cast<PyObject*>(out);
}

}  // namespace

PyMethodDef image_methods[] = {
    method("image_to_float", py_image_to_float, "(pixels), or NotImplemented."),
    method("normalize", py_normalize, "(x, mean, std, out), or NotImplemented."),
    method("stack", py_stack, "(arrays), or NotImplemented."),
    method("copy", py_copy, "(x), or NotImplemented."),
    method("embedding", py_embedding, "(weight, indices), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
