// Python functions of indexing, order and scans.
#include "bind.h"  // Python.h must come before the system's headers

#include "index.h"
#include "order.h"
#include "scan.h"
#include "strided.h"

namespace {

using namespace rl;

PyObject* as_object(PyArrayObject* array) { return reinterpret_cast<PyObject*>(array); }

// An int64 array that kernels can read, with any strides; else null.
PyArrayObject* numbers_of(PyObject* object) {
    PyArrayObject* array = as_array(object);
    if (array == nullptr || PyArray_TYPE(array) != NPY_INT64 || !is_behaved(array)) return nullptr;
    return array;
}

// ------------------------------------------------------------------ walks
constexpr int kValues = 0, kNumbers = 1, kTarget = 2;  // the operands

// A walk over values, numbers and x, and what its runs need to know.
struct IndexedWalk {
    StridedWalk<3> walk;
    IndexRun run;
    int ndim = 0;
    npy_intp shape[NPY_MAXDIMS];
    npy_intp x_stride[NPY_MAXDIMS];

    bool set_axis(PyArrayObject* x, int64_t axis) {
        if (axis < 0 || axis >= PyArray_NDIM(x)) return false;
        run.axis_stride = PyArray_STRIDE(x, int(axis));
        run.axis_size = PyArray_DIM(x, int(axis));
        run.is_checked = false;
        return true;
    }
    void append(npy_intp size, npy_intp stride) {
        shape[ndim] = size;
        x_stride[ndim++] = stride;
    }
    // Where numbers stand along one axis of x, elsewhere place by place.
    bool along(PyArrayObject* x, PyArrayObject* numbers, int64_t axis) {
        if (PyArray_NDIM(x) != PyArray_NDIM(numbers) || !set_axis(x, axis)) return false;
        for (int i = 0; i < PyArray_NDIM(x); i++) {
            if (i != axis && PyArray_DIM(numbers, i) > PyArray_DIM(x, i)) return false;
            append(PyArray_DIM(numbers, i), i == axis ? 0 : PyArray_STRIDE(x, i));
        }
        walk.set_operand(kNumbers, numbers, ndim, shape);
        return true;
    }
    // Where numbers, of any shape, stand for an axis of x: whole slices.
    bool slices(PyArrayObject* x, PyArrayObject* numbers, int64_t axis) {
        const int more = PyArray_NDIM(numbers);
        if (PyArray_NDIM(x) + more > NPY_MAXDIMS || !set_axis(x, axis)) return false;
        for (int i = 0; i < axis; i++) append(PyArray_DIM(x, i), PyArray_STRIDE(x, i));
        for (int i = 0; i < more; i++) append(PyArray_DIM(numbers, i), 0);
        for (int i = int(axis) + 1; i < PyArray_NDIM(x); i++)
            append(PyArray_DIM(x, i), PyArray_STRIDE(x, i));
        walk.set_scalar(kNumbers, PyArray_DATA(numbers));
        for (int i = 0; i < ndim; i++) walk.stride[kNumbers][i] = 0;
        for (int i = 0; i < more; i++)
            walk.stride[kNumbers][axis + i] = PyArray_STRIDE(numbers, i);
        return true;
    }
    // Whether `values` broadcasts to the walk's shape.
    bool takes_values(PyArrayObject* values) const {
        const int shift = ndim - PyArray_NDIM(values);
        if (shift < 0) return false;
        for (int i = 0; i < PyArray_NDIM(values); i++)
            if (PyArray_DIM(values, i) != 1 && PyArray_DIM(values, i) != shape[shift + i])
                return false;
        return true;
    }
    void start(PyArrayObject* x, PyArrayObject* values) {
        walk.set_operand(kValues, values, ndim, shape);
        walk.set_scalar(kTarget, PyArray_DATA(x));
        for (int i = 0; i < ndim; i++) walk.stride[kTarget][i] = x_stride[i];
        walk.merge(ndim, shape);
        const int last = walk.ndim - 1;
        run.value_step = walk.stride[kValues][last];
        run.index_step = walk.stride[kNumbers][last];
        run.x_step = walk.stride[kTarget][last];
    }
};

// Calls body(pointers, n) for every run, in C order, on this thread.
template <class Body>
void walk_in_order(const StridedWalk<3>& walk, const Body& body) {
    const int last = walk.ndim - 1;
    int64_t index[NPY_MAXDIMS] = {};
    char* at[3] = {walk.base[0], walk.base[1], walk.base[2]};
    if (walk.size() == 0) return;
    for (;;) {
        body(at, walk.shape[last]);
        int i = last - 1;
        for (; i >= 0; i--) {
            for (int k = 0; k < 3; k++) at[k] += walk.stride[k][i];
            if (++index[i] < walk.shape[i]) break;
            for (int k = 0; k < 3; k++) at[k] -= walk.shape[i] * walk.stride[k][i];
            index[i] = 0;
        }
        if (i < 0) return;
    }
}

// As walk_in_order, with threads that divide the longest axis along which x moves: they never write
// to one element, and every element is written in the order of the walk.
template <class Body>
void walk_by_target(const StridedWalk<3>& walk, const Body& body) {
    int split = -1;
    for (int i = 0; i < walk.ndim; i++)
        if (walk.stride[kTarget][i] != 0 && (split < 0 || walk.shape[i] > walk.shape[split]))
            split = i;
    if (split < 0) return walk_in_order(walk, body);
    const int64_t length = walk.shape[split];
    const int64_t grain = length == 0 ? 1 : 1 + kElementGrain / (walk.size() / length + 1);
    parallel_for(length, grain, [&](int64_t begin, int64_t end) {
        StridedWalk<3> part = walk;
        part.shape[split] = end - begin;
        for (int k = 0; k < 3; k++) part.base[k] += begin * walk.stride[k][split];
        walk_in_order(part, body);
    });
}

// Whether all numbers name one of `size` elements, negative ones counting from the end.
bool all_name(PyArrayObject* numbers, int64_t low, int64_t high) {
    if (is_contiguous(numbers))
        return index_kernels().within(data<int64_t>(numbers), PyArray_SIZE(numbers), low, high);
    StridedWalk<1> walk;
    walk.set_operand(0, numbers, PyArray_NDIM(numbers), PyArray_DIMS(numbers));
    walk.merge(PyArray_NDIM(numbers), PyArray_DIMS(numbers));
    const int64_t step = walk.stride[0][walk.ndim - 1];
    bool outside = false;
    walk.for_each_run([&](char* const* at, int64_t n) {
        bool here = false;
        for (int64_t i = 0; i < n; i++) {
            const int64_t number = *reinterpret_cast<const int64_t*>(at[0] + i * step);
            here |= number < low || number >= high;
        }
        if (here) __atomic_store_n(&outside, true, __ATOMIC_RELAXED);
    });
    return !outside;
}

// The bytes between the first and the last element of an array.
void extent(PyArrayObject* array, const char** low, const char** high) {
    *low = *high = PyArray_BYTES(array);
    for (int i = 0; i < PyArray_NDIM(array); i++) {
        const int64_t reach = (PyArray_DIM(array, i) - 1) * PyArray_STRIDE(array, i);
        *(reach < 0 ? low : high) += reach;
    }
    *high += PyArray_ITEMSIZE(array);
}

bool may_overlap(PyArrayObject* a, PyArrayObject* b) {
    const char *a_low, *a_high, *b_low, *b_high;
    extent(a, &a_low, &a_high);
    extent(b, &b_low, &b_high);
    return a_low < b_high && b_low < a_high;
}

// ------------------------------------------------------------------ reading
// within(indices, low, high): whether low <= i < high for all
PyObject* py_within(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* numbers = n == 3 ? numbers_of(args[0]) : nullptr;
    int64_t low, high;
    if (numbers == nullptr || !as_int64(args[1], &low) || !as_int64(args[2], &high))
        return not_handled();
    return PyBool_FromLong(all_name(numbers, low, high));
}

// Whether the numbers may be used: the caller says that they are in [0, size), or they are looked
// at here.
bool are_usable(PyArrayObject* numbers, PyObject* checked, IndexRun* run) {
    run->is_checked = checked == Py_True;
    return run->is_checked || all_name(numbers, -run->axis_size, run->axis_size);
}

// join_numbers(shape, indices): the int64 arrays `indices`, of one shape, name elements along axes
// of these sizes; where they do in the axes taken together. A range error is the reference's to
// report.
PyObject* py_join_numbers(PyObject*, PyObject* const* args, Py_ssize_t n) {
    int64_t sizes[NPY_MAXDIMS];
    const int count = n == 2 ? as_int_tuple(args[0], sizes, NPY_MAXDIMS) : -1;
    if (count < 1 || !PyTuple_Check(args[1]) || PyTuple_GET_SIZE(args[1]) != count)
        return not_handled();
    PyArrayObject* first = contiguous_of(PyTuple_GET_ITEM(args[1], 0), NPY_INT64);
    if (first == nullptr) return not_handled();
    Owned joined(new_like(first));
    if (joined.get() == nullptr) return nullptr;
    int64_t* out = joined.values<int64_t>();
    const int64_t total = PyArray_SIZE(first);
    for (int k = 0; k < count; k++) {
        PyArrayObject* numbers = contiguous_of(PyTuple_GET_ITEM(args[1], k), NPY_INT64);
        if (numbers == nullptr || !same_shape(numbers, first) ||
            !all_name(numbers, -sizes[k], sizes[k]))
            return not_handled();
        const int64_t* from = data<int64_t>(numbers);
        for (int64_t i = 0; i < total; i++) {
            const int64_t number = from[i] + (from[i] < 0 ? sizes[k] : 0);
            out[i] = k == 0 ? number : out[i] * sizes[k] + number;
        }
    }
    return joined.release();
}

// take(x, indices, axis, checked); take_along_axis is of the same form
template <bool along>
PyObject* py_take(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 4 ? as_array(args[0]) : nullptr;
    PyArrayObject* numbers = n == 4 ? numbers_of(args[1]) : nullptr;
    int64_t axis;
    if (x == nullptr || numbers == nullptr || !as_int64(args[2], &axis)) return not_handled();
    const int64_t item = PyArray_ITEMSIZE(x);
    if (PyDataType_REFCHK(PyArray_DESCR(x)) || (item & (item - 1)) != 0 || item == 0 || item > 16 ||
        !is_behaved(x))
        return not_handled();
    IndexedWalk indexed;
    if (!(along ? indexed.along(x, numbers, axis) : indexed.slices(x, numbers, axis)) ||
        !are_usable(numbers, args[3], &indexed.run))
        return not_handled();
    PyArray_Descr* descr = PyArray_DESCR(x);
    Py_INCREF(descr);
    PyArrayObject* out = reinterpret_cast<PyArrayObject*>(PyArray_NewFromDescr(
        &PyArray_Type, descr, indexed.ndim, indexed.shape, nullptr, nullptr, 0, nullptr));
    if (out == nullptr || PyArray_SIZE(out) == 0) return as_object(out);
    indexed.start(x, out);
    ReleaseGil unlocked(PyArray_SIZE(out) >= kReleaseGilElements);
    const IndexKernels& kernels = index_kernels();
    indexed.walk.for_each_run([&](char* const* at, int64_t count) {
        kernels.take(at[kValues], at[kNumbers], at[kTarget], count, indexed.run, item);
    });
    return as_object(out);
}

// ------------------------------------------------------------------ writing
// Fills the walk; false for what is not handled.
bool prepare_write(PyObject* const* args, bool along, IndexedWalk* indexed) {
    PyArrayObject* x = as_array(args[0]);
    PyArrayObject* numbers = numbers_of(args[1]);
    PyArrayObject* values = as_array(args[2]);
    int64_t axis;
    if (x == nullptr || numbers == nullptr || values == nullptr || !as_int64(args[3], &axis))
        return false;
    if (PyArray_DESCR(values) != PyArray_DESCR(x) || !is_behaved(x) || !is_behaved(values) ||
        !PyArray_ISWRITEABLE(x) || PyDataType_REFCHK(PyArray_DESCR(x)))
        return false;
    if (!(along ? indexed->along(x, numbers, axis) : indexed->slices(x, numbers, axis)) ||
        !indexed->takes_values(values) || may_overlap(x, values) || may_overlap(x, numbers) ||
        !are_usable(numbers, args[4], &indexed->run))
        return false;
    indexed->start(x, values);
    return true;
}

// put_along_axis(x, indices, values, axis, checked); put_slices is of the same form
template <bool along>
PyObject* py_put(PyObject*, PyObject* const* args, Py_ssize_t n) {
    IndexedWalk indexed;
    if (n != 5 || !prepare_write(args, along, &indexed)) return not_handled();
    const int64_t item = PyArray_ITEMSIZE(as_array(args[0]));
    if ((item & (item - 1)) != 0 || item == 0 || item > 16) return not_handled();
    {
        ReleaseGil unlocked(indexed.walk.size() >= kReleaseGilElements);
        const IndexKernels& kernels = index_kernels();
        walk_by_target(indexed.walk, [&](char* const* at, int64_t count) {
            kernels.put(at[kValues], at[kNumbers], at[kTarget], count, indexed.run, item);
        });
    }
    Py_RETURN_NONE;
}

// add_along_axis(x, indices, values, axis, checked); add_slices is of the same form
template <bool along>
PyObject* py_add(PyObject*, PyObject* const* args, Py_ssize_t n) {
    IndexedWalk indexed;
    if (n != 5 || !prepare_write(args, along, &indexed)) return not_handled();
    const int type = PyArray_TYPE(as_array(args[0]));
    const IndexKernels& kernels = index_kernels();
    auto add = kernels.add_f32;
    if (type == NPY_DOUBLE)
        add = kernels.add_f64;
    else if (type == NPY_INT64)
        add = kernels.add_i64;
    else if (type != NPY_FLOAT)
        return not_handled();
    {
        ReleaseGil unlocked(indexed.walk.size() >= kReleaseGilElements);
        walk_by_target(indexed.walk, [&](char* const* at, int64_t count) {
            add(at[kValues], at[kNumbers], at[kTarget], count, indexed.run);
        });
    }
    Py_RETURN_NONE;
}

// add_rows(table, from, to, scale or None, count): table (V, D) contiguous, the others 1-D
PyObject* py_add_rows(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* table = n == 5 ? as_array(args[0]) : nullptr;
    if (table == nullptr || PyArray_NDIM(table) != 2) return not_handled();
    const int type = PyArray_TYPE(table);
    PyArrayObject* from = contiguous_of(args[1], NPY_INT64);
    PyArrayObject* to = contiguous_of(args[2], NPY_INT64);
    PyArrayObject* scale = is_none(args[3]) ? nullptr : contiguous_of(args[3], type);
    int64_t count;
    if ((type != NPY_FLOAT && type != NPY_DOUBLE) || contiguous_of(args[0], type) == nullptr ||
        from == nullptr || to == nullptr || !same_shape(from, to) || !as_int64(args[4], &count) ||
        count < 0 || (!is_none(args[3]) && (scale == nullptr || !same_shape(scale, from))) ||
        !all_name(from, 0, PyArray_DIM(table, 0)) || !all_name(to, 0, count))
        return not_handled();
    npy_intp shape[] = {npy_intp(count), PyArray_DIM(table, 1)};
    PyArrayObject* out = reinterpret_cast<PyArrayObject*>(PyArray_ZEROS(2, shape, type, 0));
    const int64_t rows = PyArray_SIZE(from), width = shape[1];
    if (out == nullptr || rows == 0 || width == 0) return as_object(out);
    ReleaseGil unlocked(rows * width >= kReleaseGilElements);
    if (type == NPY_FLOAT)
        index_kernels().add_rows_f32(data<float>(out), data<float>(table), data<int64_t>(from),
                                     data<int64_t>(to), scale ? data<float>(scale) : nullptr, rows,
                                     count, width);
    else
        index_kernels().add_rows_f64(data<double>(out), data<double>(table), data<int64_t>(from),
                                     data<int64_t>(to), scale ? data<double>(scale) : nullptr,
                                     rows, count, width);
    return as_object(out);
}

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

const char kWriteDoc[] = "(x, indices, values, axis, checked): None, or NotImplemented.";

}  // namespace

PyMethodDef index_methods[] = {
    method("within", py_within, "(indices, low, high), or NotImplemented."),
    method("join_numbers", py_join_numbers, "(shape, indices), or NotImplemented."),
    method("take", py_take<false>, "(x, indices, axis, checked), or NotImplemented."),
    method("take_along_axis", py_take<true>, "(x, indices, axis, checked), or NotImplemented."),
    method("put_along_axis", py_put<true>, kWriteDoc),
    method("put_slices", py_put<false>, kWriteDoc),
    method("add_along_axis", py_add<true>, kWriteDoc),
    method("add_slices", py_add<false>, kWriteDoc),
    method("add_rows", py_add_rows, "(table, from, to, scale, count), or NotImplemented."),
    method("sort", py_sort, "(x, descending), or NotImplemented."),
    method("topk", py_topk, "(x, k, largest), or NotImplemented."),
    method("cumsum", py_scan<false>, "(x, axis), or NotImplemented."),
    method("cumprod", py_scan<true>, "(x, axis), or NotImplemented."),
    method("logsumexp", py_logsumexp, "(x, axes), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
