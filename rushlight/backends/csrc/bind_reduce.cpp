// Python functions of the reductions: sum, mean, amax, amin (x, axes, keepdims), argmax, argmin
// (x, axis, keepdims) and norm2(x).
#include "bind.h"  // Python.h must come before the system's headers

#include <math.h>
#include <stdlib.h>

#include "reduce.h"

namespace {

using namespace rl;

int reduce_number(PyArrayObject* x) {
    switch (PyArray_TYPE(x)) {
        case NPY_FLOAT: return kReduceFloat32;
        case NPY_DOUBLE: return kReduceFloat64;
        case NPY_LONG:
        case NPY_LONGLONG: return PyArray_ITEMSIZE(x) == 8 ? kReduceInt64 : -1;
        default: return -1;
    }
}

// Which axes the argument names; false when it is neither None nor a tuple of valid axes.
bool read_axes(PyObject* axes, int ndim, bool* reduced) {
    if (is_none(axes)) {
        for (int i = 0; i < ndim; i++) reduced[i] = true;
        return true;
    }
    int64_t list[NPY_MAXDIMS];
    const int n = as_int_tuple(axes, list, NPY_MAXDIMS);
    if (n < 0) return false;
    for (int i = 0; i < ndim; i++) reduced[i] = false;
    for (int i = 0; i < n; i++) {
        if (list[i] < 0 || list[i] >= ndim) return false;
        reduced[list[i]] = true;
    }
    return true;
}

// Appends an axis to kept or reduced ones, merged with the one before where memory allows it.
bool append_axis(int* dims, int64_t* shape, int64_t* stride, int64_t length, int64_t step) {
    if (*dims > 0 && stride[*dims - 1] == length * step) {
        shape[*dims - 1] *= length;
        stride[*dims - 1] = step;
        return true;
    }
    if (*dims == kReduceMostDims) return false;
    shape[*dims] = length;
    stride[*dims] = step;
    ++*dims;
    return true;
}

// The axes of more than one element that are reduced (or kept), in their order or as they lie in
// memory; how many.
int select_axes(PyArrayObject* x, const bool* reduced, bool which, bool by_stride, int* axes) {
    int n = 0;
    for (int i = 0; i < PyArray_NDIM(x); i++) {
        if (reduced[i] != which || PyArray_DIM(x, i) == 1) continue;
        int at = n++;
        for (; by_stride && at > 0 && PyArray_STRIDE(x, axes[at - 1]) < PyArray_STRIDE(x, i); at--)
            axes[at] = axes[at - 1];
        axes[at] = i;
    }
    return n;
}
bool append_axes(PyArrayObject* x, int n, const int* axes, int* dims, int64_t* shape,
                 int64_t* stride) {
    for (int k = 0; k < n; k++) {
        const int64_t step = PyArray_STRIDE(x, axes[k]) / PyArray_ITEMSIZE(x);
        if (!append_axis(dims, shape, stride, PyArray_DIM(x, axes[k]), step)) return false;
    }
    return true;
}

// Sorts x's axes, the reduced ones as they lie in memory; false for a layout in which the elements
// of a kept axis are the closest to one another, but have gaps between them.
bool describe(PyArrayObject* x, const bool* reduced, ReduceCall* call, bool* along_rows) {
    int axes[NPY_MAXDIMS] = {};
    call->kept_dims = call->reduced_dims = 0;
    int n = select_axes(x, reduced, false, false, axes);
    if (!append_axes(x, n, axes, &call->kept_dims, call->kept_shape, call->kept_stride))
        return false;
    n = select_axes(x, reduced, true, true, axes);
    if (!append_axes(x, n, axes, &call->reduced_dims, call->reduced_shape, call->reduced_stride))
        return false;
    const int r = call->reduced_dims, k = call->kept_dims;
    if (r == 0) return false;
    *along_rows = call->reduced_stride[r - 1] == 1;
    if (*along_rows || (k > 0 && call->kept_stride[k - 1] == 1)) return true;
    const int64_t step = call->reduced_stride[r - 1];
    for (int i = 0; i < k; i++)
        if (llabs(call->kept_stride[i]) < llabs(step)) return false;
    return *along_rows = true;
}

PyArrayObject* reduced_result(PyArrayObject* x, const bool* reduced, bool keepdims, int type_num) {
    npy_intp shape[NPY_MAXDIMS];
    int ndim = 0;
    for (int i = 0; i < PyArray_NDIM(x); i++) {
        if (!reduced[i])
            shape[ndim++] = PyArray_DIM(x, i);
        else if (keepdims)
            shape[ndim++] = 1;
    }
    return new_array(ndim, shape, type_num);
}

PyObject* reduce(ReduceOp op, bool mean, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs == 3 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_behaved(x) || PyArray_SIZE(x) == 0) return not_handled();
    const int number = reduce_number(x);
    const bool integer = number == kReduceInt64;
    if (number < 0 || (integer && mean)) return not_handled();
    bool reduced[NPY_MAXDIMS], along_rows;
    ReduceCall call;
    if (!read_axes(args[1], PyArray_NDIM(x), reduced) || !describe(x, reduced, &call, &along_rows))
        return not_handled();
    const ReduceFunction function = along_rows ? reduce_kernels().along_rows[op][number]
                                               : reduce_kernels().along_columns[op][number];
    if (function == nullptr) return not_handled();
    PyArrayObject* out =
        reduced_result(x, reduced, PyObject_IsTrue(args[2]) != 0, PyArray_TYPE(x));
    if (out == nullptr) return nullptr;
    call.x = PyArray_DATA(x);
    call.out = PyArray_DATA(out);
    call.scale = mean ? double(PyArray_SIZE(out)) / double(PyArray_SIZE(x)) : 1.0;
    {
        ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
        function(call);
    }
    return reinterpret_cast<PyObject*>(out);
}

template <ReduceOp op, bool mean>
PyObject* py_reduce(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    return reduce(op, mean, args, nargs);
}

// argmax(x, axis, keepdims): the last axis of a contiguous array, or all of it (axis None).
PyObject* arg_extreme(bool largest, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs == 3 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_behaved(x) || !is_contiguous(x) || PyArray_SIZE(x) == 0)
        return not_handled();
    const int number = reduce_number(x), ndim = PyArray_NDIM(x);
    bool reduced[NPY_MAXDIMS];
    int64_t axis = ndim - 1, columns = PyArray_SIZE(x);
    for (int i = 0; i < ndim; i++) reduced[i] = is_none(args[1]);
    if (!is_none(args[1])) {
        if (!as_int64(args[1], &axis) || axis != ndim - 1 || ndim == 0) return not_handled();
        reduced[axis] = true;
        columns = PyArray_DIM(x, int(axis));
    }
    if (number < 0) return not_handled();
    PyArrayObject* out = reduced_result(x, reduced, PyObject_IsTrue(args[2]) != 0, NPY_INT64);
    if (out == nullptr) return nullptr;
    const auto function = largest ? reduce_kernels().argmax[number] : reduce_kernels().argmin[number];
    {
        ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
        function(data<int64_t>(out), PyArray_DATA(x), PyArray_SIZE(x) / columns, columns);
    }
    return reinterpret_cast<PyObject*>(out);
}
PyObject* py_argmax(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    return arg_extreme(true, args, nargs);
}
PyObject* py_argmin(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    return arg_extreme(false, args, nargs);
}

// Whether the elements fill their memory, in whatever order of axes.
bool is_dense(PyArrayObject* x) {
    const bool all[NPY_MAXDIMS] = {};
    int axes[NPY_MAXDIMS] = {};
    npy_intp step = PyArray_ITEMSIZE(x);
    for (int k = select_axes(x, all, false, true, axes) - 1; k >= 0; k--) {
        if (PyArray_STRIDE(x, axes[k]) != step) return false;
        step *= PyArray_DIM(x, axes[k]);
    }
    return true;
}

// norm2(x): the 2-norm of all elements, 0-dim
PyObject* py_norm2(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs == 1 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_behaved(x) || (!is_contiguous(x) && !is_dense(x)))
        return not_handled();
    const int type = PyArray_TYPE(x);
    if (type != NPY_FLOAT && type != NPY_DOUBLE) return not_handled();
    const ReduceKernels& kernels = reduce_kernels();
    double sum;
    {
        ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
        sum = type == NPY_FLOAT ? kernels.sum_squares_f32(data<float>(x), PyArray_SIZE(x))
                                : kernels.sum_squares_f64(data<double>(x), PyArray_SIZE(x));
    }
    PyArrayObject* out = new_array(0, nullptr, type);
    if (out == nullptr) return nullptr;
    if (type == NPY_FLOAT)
        *data<float>(out) = float(sqrt(sum));
    else
        *data<double>(out) = sqrt(sum);
    return reinterpret_cast<PyObject*>(out);
}

const char kReduceDoc[] = "(x, axes, keepdims), or NotImplemented.";
const char kArgDoc[] = "(x, axis, keepdims), or NotImplemented.";

}  // namespace

PyMethodDef reduce_methods[] = {
    method("sum", py_reduce<kSum, false>, kReduceDoc),
    method("mean", py_reduce<kSum, true>, kReduceDoc),
    method("amax", py_reduce<kMax, false>, kReduceDoc),
    method("amin", py_reduce<kMin, false>, kReduceDoc),
    method("norm2", py_norm2, "(x): the 2-norm of all elements, or NotImplemented."),
    method("argmax", py_argmax, kArgDoc),
    method("argmin", py_argmin, kArgDoc),
    {nullptr, nullptr, 0, nullptr},
};
