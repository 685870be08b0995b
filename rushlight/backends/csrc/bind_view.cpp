// Python functions of arrays that need no kernel: broadcast_to(x, shape), as_strided(x, shape,
// strides), concatenate(arrays, axis) and full(shape, value, dtype). NumPy's own take microseconds of Python for each.
#include "bind.h"

#include <string.h>

namespace {

using namespace rl;

// A view of x's memory from its first element; writable if x is.
PyObject* view_of(PyArrayObject* x, int ndim, const npy_intp* shape, const npy_intp* strides) {
    PyArray_Descr* dtype = PyArray_DESCR(x);
    Py_INCREF(dtype);
    PyObject* view = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, shape, strides,
                                          PyArray_DATA(x), PyArray_FLAGS(x) & NPY_ARRAY_WRITEABLE,
                                          nullptr);
    if (view == nullptr) return nullptr;
    Py_INCREF(x);
    if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(view),
                              reinterpret_cast<PyObject*>(x)) < 0)
        Py_CLEAR(view);
    return view;
}

// A sequence of ints as sizes; their number, or -1.
int as_sizes(PyObject* object, npy_intp* sizes) {
    const bool is_list = PyList_Check(object);
    if (!is_list && !PyTuple_Check(object)) return -1;
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(object);
    if (n > NPY_MAXDIMS) return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        int64_t value;
        if (!as_int64(PySequence_Fast_GET_ITEM(object, i), &value)) return -1;
        sizes[i] = value;
    }
    return int(n);
}

PyObject* py_broadcast_to(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? as_array(args[0]) : nullptr;
    npy_intp shape[NPY_MAXDIMS], strides[NPY_MAXDIMS];
    const int ndim = x == nullptr ? -1 : as_sizes(args[1], shape);
    const int lead = x == nullptr ? 0 : ndim - PyArray_NDIM(x);
    if (ndim < 0 || lead < 0) return not_handled();
    for (int i = 0; i < ndim; i++) {
        const npy_intp size = i < lead ? 1 : PyArray_DIM(x, i - lead);
        if (shape[i] < 0 || (size != 1 && size != shape[i])) return not_handled();
        strides[i] = i < lead || size != shape[i] ? 0 : PyArray_STRIDE(x, i - lead);
    }
    return view_of(x, ndim, shape, strides);
}

// No bounds are checked, as in the kernel's contract: the caller knows the memory.
PyObject* py_as_strided(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 3 ? as_array(args[0]) : nullptr;
    npy_intp shape[NPY_MAXDIMS], strides[NPY_MAXDIMS];
    if (x == nullptr) return not_handled();
    const int ndim = as_sizes(args[1], shape);
    if (ndim < 0 || as_sizes(args[2], strides) != ndim) return not_handled();
    return view_of(x, ndim, shape, strides);
}

// concatenate(arrays, axis): contiguous arrays of one dtype. Seen from the axis on, each array is a
// row of blocks, and the blocks of all arrays take turns in the result.
PyObject* py_concatenate(PyObject*, PyObject* const* args, Py_ssize_t n) {
    int64_t axis;
    if (n != 2 || !(PyList_Check(args[0]) || PyTuple_Check(args[0])) || !as_int64(args[1], &axis))
        return not_handled();
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(args[0]);
    PyArrayObject* first = count > 0 ? as_array(PySequence_Fast_GET_ITEM(args[0], 0)) : nullptr;
    if (first == nullptr || axis < 0 || axis >= PyArray_NDIM(first) ||
        PyDataType_REFCHK(PyArray_DESCR(first)))
        return not_handled();
    const int ndim = PyArray_NDIM(first);
    npy_intp shape[NPY_MAXDIMS];
    for (int i = 0; i < ndim; i++) shape[i] = i == axis ? 0 : PyArray_DIM(first, i);
    for (Py_ssize_t k = 0; k < count; k++) {
        PyArrayObject* array = as_array(PySequence_Fast_GET_ITEM(args[0], k));
        if (array == nullptr || PyArray_DESCR(array) != PyArray_DESCR(first) ||
            PyArray_NDIM(array) != ndim || !is_contiguous(array))
            return not_handled();
        for (int i = 0; i < ndim; i++)
            if (i != axis && PyArray_DIM(array, i) != shape[i]) return not_handled();
        shape[axis] += PyArray_DIM(array, int(axis));
    }
    int64_t outer = 1, outer_bytes = PyArray_ITEMSIZE(first);
    for (int i = 0; i < ndim; i++) (i < axis ? outer : outer_bytes) *= shape[i];
    PyArray_Descr* dtype = PyArray_DESCR(first);
    Py_INCREF(dtype);
    PyObject* out = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, shape, nullptr, nullptr, 0,
                                         nullptr);
    if (out == nullptr || outer == 0) return out;
    char* to = PyArray_BYTES(reinterpret_cast<PyArrayObject*>(out));
    for (Py_ssize_t k = 0; k < count; k++) {
        PyArrayObject* array = as_array(PySequence_Fast_GET_ITEM(args[0], k));
        const int64_t block = PyArray_NBYTES(array) / outer;
        for (int64_t i = 0; i < outer; i++)
            memcpy(to + i * outer_bytes, PyArray_BYTES(array) + i * block, size_t(block));
        to += block;
    }
    return out;
}

template <class T>
void fill(PyArrayObject* array, T value) {
    T* at = data<T>(array);
    for (npy_intp i = 0, size = PyArray_SIZE(array); i < size; i++) at[i] = value;
}

// full(shape, value, dtype) for the common dtypes and Python numbers.
PyObject* py_full(PyObject*, PyObject* const* args, Py_ssize_t n) {
    npy_intp shape[NPY_MAXDIMS];
    if (n != 3 || !PyArray_DescrCheck(args[2])) return not_handled();
    const int type_num = reinterpret_cast<PyArray_Descr*>(args[2])->type_num;
    const int ndim = as_sizes(args[0], shape);
    if (ndim < 0 || !PyArray_ISNBO(reinterpret_cast<PyArray_Descr*>(args[2])->byteorder))
        return not_handled();
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 0) return not_handled();
    double number = 0;
    int64_t whole = 0;
    const bool is_float = type_num == NPY_FLOAT || type_num == NPY_DOUBLE;
    if (is_float ? !as_double(args[1], &number)
                 : type_num != NPY_INT64 || !as_int64(args[1], &whole))
        return not_handled();
    PyArrayObject* array = new_array(ndim, shape, type_num);
    if (array == nullptr) return nullptr;
    if (type_num == NPY_FLOAT)
        fill(array, float(number));
    else if (type_num == NPY_DOUBLE)
        fill(array, number);
    else
        fill(array, whole);
    return reinterpret_cast<PyObject*>(array);
}

}  // namespace

PyMethodDef view_methods[] = {
    method("broadcast_to", py_broadcast_to, "(x, shape), or NotImplemented."),
    method("as_strided", py_as_strided, "(x, shape, strides), or NotImplemented."),
    method("concatenate", py_concatenate, "(arrays, axis), or NotImplemented."),
    method("full", py_full, "(shape, value, dtype), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
