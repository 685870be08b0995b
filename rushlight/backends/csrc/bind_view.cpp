// Python functions of arrays that need no kernel: broadcast_to(x, shape), as_strided(x, shape,
// strides), select(x, axis, index), slice(x, axis, start, stop, step), concatenate(arrays, axis), full(shape, value, dtype) and fill(x, value). NumPy's own take
// microseconds of Python for each.
#include "bind.h"

#include "parallel.h"

#include <string.h>

namespace {

using namespace rl;

// A view of x's memory, `offset` bytes behind its first element; writable if x is.
PyObject* view_of(PyArrayObject* x, int ndim, const npy_intp* shape, const npy_intp* strides,
                  int64_t offset = 0) {
    PyArray_Descr* dtype = PyArray_DESCR(x);
    Py_INCREF(dtype);
    PyObject* view = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, shape, strides,
                                          PyArray_BYTES(x) + offset, PyArray_FLAGS(x) & NPY_ARRAY_WRITEABLE,
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

// view(x, shape): another shape of the same elements, a copy only where there is no view
PyObject* py_view(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? as_array(args[0]) : nullptr;
    npy_intp shape[NPY_MAXDIMS];
    const int ndim = x == nullptr ? -1 : as_sizes(args[1], shape);
    if (ndim < 0) return not_handled();
    PyArray_Dims sizes = {shape, ndim};
    return PyArray_Newshape(x, &sizes, NPY_CORDER);
}

// transpose(x): the axes in reverse order
PyObject* py_transpose(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 1 ? as_array(args[0]) : nullptr;
    return x == nullptr ? not_handled() : PyArray_Transpose(x, nullptr);
}

// select(x, axis, index): the part at `index`, without the axis
PyObject* py_select(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 3 ? as_array(args[0]) : nullptr;
    int64_t axis, index;
    if (x == nullptr || !as_int64(args[1], &axis) || !as_int64(args[2], &index) || axis < 0 ||
        axis >= PyArray_NDIM(x) || index < 0 || index >= PyArray_DIM(x, int(axis)))
        return not_handled();
    npy_intp shape[NPY_MAXDIMS], strides[NPY_MAXDIMS];
    int ndim = 0;
    for (int i = 0; i < PyArray_NDIM(x); i++) {
        if (i == axis) continue;
        shape[ndim] = PyArray_DIM(x, i);
        strides[ndim++] = PyArray_STRIDE(x, i);
    }
    return view_of(x, ndim, shape, strides, index * PyArray_STRIDE(x, int(axis)));
}

// slice(x, axis, start, stop, step): 0 <= start <= stop <= size, step > 0
PyObject* py_slice(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 5 ? as_array(args[0]) : nullptr;
    int64_t axis, start, stop, step;
    if (x == nullptr || !as_int64(args[1], &axis) || !as_int64(args[2], &start) ||
        !as_int64(args[3], &stop) || !as_int64(args[4], &step) || axis < 0 ||
        axis >= PyArray_NDIM(x) || start < 0 || stop < start || step <= 0 ||
        stop > PyArray_DIM(x, int(axis)))
        return not_handled();
    npy_intp shape[NPY_MAXDIMS], strides[NPY_MAXDIMS];
    for (int i = 0; i < PyArray_NDIM(x); i++) {
        shape[i] = PyArray_DIM(x, i);
        strides[i] = PyArray_STRIDE(x, i);
    }
    const int64_t first = start * strides[axis];
    shape[axis] = (stop - start + step - 1) / step;
    if (__builtin_mul_overflow(strides[axis], step, &strides[axis])) return not_handled();
    return view_of(x, PyArray_NDIM(x), shape, strides, shape[axis] > 0 ? first : 0);
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

// ------------------------------------------------------------------ one number everywhere
constexpr int64_t kFillGrain = 1 << 18;

template <class T>
void fill(PyArrayObject* array, T value) {
    T* const at = data<T>(array);
    ReleaseGil unlocked(PyArray_SIZE(array) >= kFillGrain);
    parallel_for(PyArray_SIZE(array), kFillGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) at[i] = value;
    });
}

void clear(PyArrayObject* array) {
    char* const at = PyArray_BYTES(array);
    ReleaseGil unlocked(PyArray_SIZE(array) >= kFillGrain);
    parallel_for(PyArray_NBYTES(array), 4 * kFillGrain, [&](int64_t begin, int64_t end) {
        memset(at + begin, 0, size_t(end - begin));
    });
}

// Writes a Python number that the type holds exactly or, as a fraction, rounded; false for others.
bool fill_with(PyArrayObject* array, PyObject* value) {
    double number;
    int64_t whole = 1;
    const bool is_whole = PyLong_Check(value) && as_int64(value, &whole);
    switch (PyArray_TYPE(array)) {
        case NPY_FLOAT:
            if (!as_double(value, &number)) return false;
            fill(array, float(number));
            return true;
        case NPY_DOUBLE:
            if (!as_double(value, &number)) return false;
            fill(array, number);
            return true;
        case NPY_INT64:
            if (is_whole) fill(array, whole);
            return is_whole;
        default:
            return false;
    }
}

// full(shape, value, dtype) for the common dtypes and Python numbers.
PyObject* py_full(PyObject*, PyObject* const* args, Py_ssize_t n) {
    npy_intp shape[NPY_MAXDIMS];
    if (n != 3 || !PyArray_DescrCheck(args[2])) return not_handled();
    const PyArray_Descr* dtype = reinterpret_cast<PyArray_Descr*>(args[2]);
    const int ndim = as_sizes(args[0], shape);
    if (ndim < 0 || !PyArray_ISNBO(dtype->byteorder)) return not_handled();
    for (int i = 0; i < ndim; i++)
        if (shape[i] < 0) return not_handled();
    const int type = dtype->type_num;
    if (type != NPY_FLOAT && type != NPY_DOUBLE && type != NPY_INT64) return not_handled();
    Owned array(new_array(ndim, shape, type));
    if (array.get() == nullptr) return nullptr;
    return fill_with(array.get(), args[1]) ? array.release() : not_handled();
}

// fill(x, value): None, or NotImplemented.
PyObject* py_fill(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_contiguous(x) || !is_behaved(x) || !PyArray_ISWRITEABLE(x) ||
        PyDataType_REFCHK(PyArray_DESCR(x)))
        return not_handled();
    int64_t whole = 1;
    const bool is_zero = PyLong_CheckExact(args[1]) && as_int64(args[1], &whole) && whole == 0;
    if (is_zero)
        clear(x);
    else if (!fill_with(x, args[1]))
        return not_handled();
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef view_methods[] = {
    method("broadcast_to", py_broadcast_to, "(x, shape), or NotImplemented."),
    method("as_strided", py_as_strided, "(x, shape, strides), or NotImplemented."),
    method("view", py_view, "(x, shape), or NotImplemented."),
    method("transpose", py_transpose, "(x), or NotImplemented."),
    method("select", py_select, "(x, axis, index), or NotImplemented."),
    method("slice", py_slice, "(x, axis, start, stop, step), or NotImplemented."),
    method("concatenate", py_concatenate, "(arrays, axis), or NotImplemented."),
    method("full", py_full, "(shape, value, dtype), or NotImplemented."),
    method("fill", py_fill, "(x, value): None, or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
