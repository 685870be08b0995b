// Python functions of order and scans.
#include "bind.h"  // Python.h must come before the system's headers

#include "order.h"
#include "scan.h"

namespace {

using namespace rl;

PyObject* as_object(PyArrayObject* array) { return reinterpret_cast<PyObject*>(array); }

// ------------------------------------------------------------------ order
PyArrayObject* contiguous_number_array(PyObject* object) {
    PyArrayObject* x = as_array(object);
    if (x == nullptr || !is_behaved(x) || !is_contiguous(x) || PyArray_NDIM(x) == 0) return nullptr;
    const int type = PyArray_TYPE(x);
    return type == NPY_FLOAT || type == NPY_DOUBLE || type == NPY_INT64 ? x : nullptr;
}

template <class T>
bool order_rows(const OrderFunctions<T>& kernels, PyArrayObject* values, PyArrayObject* indices,
                PyArrayObject* x, int64_t k, bool descending) {
    const int64_t n = PyArray_DIM(x, PyArray_NDIM(x) - 1), rows = PyArray_SIZE(x) / n;
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements / 4);
    if (k < 0)
        return kernels.sort(data<T>(values), data<int64_t>(indices), data<T>(x), rows, n,
                            descending);
    return kernels.topk(data<T>(values), data<int64_t>(indices), data<T>(x), rows, n, k,
                        descending);
}

// The pair (values, indices) along the last axis; k < 0 for all in order.
PyObject* ordered(PyArrayObject* x, int64_t k, bool descending) {
    const int ndim = PyArray_NDIM(x);
    const int64_t n = PyArray_DIM(x, ndim - 1);
    if (k > n || n >= (int64_t(1) << 31)) return not_handled();
    npy_intp shape[NPY_MAXDIMS];
    for (int i = 0; i < ndim; i++) shape[i] = PyArray_DIM(x, i);
    if (k >= 0) shape[ndim - 1] = k;
    Owned values(new_array(ndim, shape, PyArray_TYPE(x)));
    Owned indices(new_array(ndim, shape, NPY_INT64));
    if (values.get() == nullptr || indices.get() == nullptr) return nullptr;
    bool done = true;
    if (PyArray_SIZE(values.get()) > 0) {
        const OrderKernels& kernels = order_kernels();
        const int type = PyArray_TYPE(x);
        if (type == NPY_FLOAT)
            done = order_rows(kernels.f32, values.get(), indices.get(), x, k, descending);
        else if (type == NPY_DOUBLE)
            done = order_rows(kernels.f64, values.get(), indices.get(), x, k, descending);
        else
            done = order_rows(kernels.i64, values.get(), indices.get(), x, k, descending);
    }
    if (!done) return PyErr_NoMemory();
    PyObject* pair = PyTuple_New(2);
    if (pair == nullptr) return nullptr;
    PyTuple_SET_ITEM(pair, 0, values.release());
    PyTuple_SET_ITEM(pair, 1, indices.release());
    return pair;
}

// sort(x, descending), along the last axis
PyObject* py_sort(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? contiguous_number_array(args[0]) : nullptr;
    return x == nullptr ? not_handled() : ordered(x, -1, args[1] == Py_True);
}

// topk(x, k, largest), along the last axis
PyObject* py_topk(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 3 ? contiguous_number_array(args[0]) : nullptr;
    int64_t k;
    if (x == nullptr || !as_int64(args[1], &k) || k < 0) return not_handled();
    return ordered(x, k, args[2] == Py_True);
}

// ------------------------------------------------------------------ scans
template <class T>
void run_scan(const ScanFunctions<T>& kernels, bool product, PyArrayObject* out, PyArrayObject* x,
              const int64_t (&s)[3]) {
    (product ? kernels.cumprod : kernels.cumsum)(data<T>(out), data<T>(x), s[0], s[1], s[2]);
}

// cumsum(x, axis), cumprod(x, axis)
template <bool product>
PyObject* py_scan(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? contiguous_number_array(args[0]) : nullptr;
    int64_t axis;
    if (x == nullptr || !as_int64(args[1], &axis)) return not_handled();
    const int ndim = PyArray_NDIM(x);
    if (axis < 0) axis += ndim;
    if (axis < 0 || axis >= ndim) return not_handled();
    int64_t sizes[3] = {1, PyArray_DIM(x, int(axis)), 1};
    for (int i = 0; i < ndim; i++)
        if (i != axis) sizes[i < axis ? 0 : 2] *= PyArray_DIM(x, i);
    PyArrayObject* out = new_like(x);
    if (out == nullptr || PyArray_SIZE(x) == 0) return as_object(out);
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
    const ScanKernels& kernels = scan_kernels();
    const int type = PyArray_TYPE(x);
    if (type == NPY_FLOAT)
        run_scan(kernels.f32, product, out, x, sizes);
    else if (type == NPY_DOUBLE)
        run_scan(kernels.f64, product, out, x, sizes);
    else
        run_scan(kernels.i64, product, out, x, sizes);
    return as_object(out);
}

// logsumexp(x, axes), over the last `axes` axes
PyObject* py_logsumexp(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? contiguous_number_array(args[0]) : nullptr;
    int64_t axes;
    if (x == nullptr || PyArray_TYPE(x) == NPY_INT64 || !as_int64(args[1], &axes))
        return not_handled();
    const int kept = PyArray_NDIM(x) - int(axes);
    if (axes < 1 || kept < 0) return not_handled();
    int64_t length = 1;
    for (int i = kept; i < PyArray_NDIM(x); i++) length *= PyArray_DIM(x, i);
    PyArrayObject* out = new_array(kept, PyArray_DIMS(x), PyArray_TYPE(x));
    if (out == nullptr) return nullptr;
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements / 4);
    if (PyArray_TYPE(x) == NPY_FLOAT)
        scan_kernels().logsumexp_f32(data<float>(out), data<float>(x), PyArray_SIZE(out), length);
    else
        scan_kernels().logsumexp_f64(data<double>(out), data<double>(x), PyArray_SIZE(out),
                                     length);
    return as_object(out);
}

}  // namespace

PyMethodDef order_methods[] = {
    method("sort", py_sort, "(x, descending), or NotImplemented."),
    method("topk", py_topk, "(x, k, largest), or NotImplemented."),
    method("cumsum", py_scan<false>, "(x, axis), or NotImplemented."),
    method("cumprod", py_scan<true>, "(x, axis), or NotImplemented."),
    method("logsumexp", py_logsumexp, "(x, axes), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
