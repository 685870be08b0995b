// Python functions of indexing by int64 numbers.
//
// take, put_along_axis and their like work along one axis; index_get, index_put and index_add take the
// index of `x[index]` if it means numbers along one axis: of neighbouring axes of a contiguous x that
// have numbers each, which count as one axis then.
#include "bind.h"  // Python.h must come before the system's headers

#include "index.h"
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
        run.next_x = last > 0 ? walk.stride[kTarget][last - 1] : 0;
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

constexpr int64_t kApart = 256;  // bytes of x, at least, for each thread

// Whether threads that divide this axis stay out of each other's way: each writes to cache lines of
// its own, and reads values that lie together. Two threads with interleaved parts of 2 KB took twice
// as long as one alone.
bool is_divisible(const StridedWalk<3>& walk, int axis) {
    const int64_t step = walk.stride[kTarget][axis];
    if (walk.shape[axis] * (step < 0 ? -step : step) < kApart * num_threads()) return false;
    for (int i = 0; i < walk.ndim; i++)
        if (walk.shape[i] > 1 && walk.stride[kValues][i] > walk.stride[kValues][axis]) return false;
    return true;
}

// As walk_in_order, with threads that divide the longest axis along which x moves: they never write
// to one element, and every element is written in the order of the walk.
template <class Body>
void walk_by_target(const StridedWalk<3>& walk, const Body& body) {
    int split = -1;
    for (int i = 0; i < walk.ndim; i++)
        if (walk.stride[kTarget][i] != 0 && (split < 0 || walk.shape[i] > walk.shape[split]))
            split = i;
    if (split < 0 || !is_divisible(walk, split)) return walk_in_order(walk, body);
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
    run->is_checked = checked == Py_True || all_name(numbers, 0, run->axis_size);
    return run->is_checked || all_name(numbers, -run->axis_size, run->axis_size);
}

// Takes a run whose numbers lie side by side, and looks at some at a time just before they are used,
// when they are near. False if one names nothing; what it would have named has not been read.
constexpr int64_t kLookedAt = 2048;
bool take_unchecked(char* const* at, int64_t count, IndexRun run, int64_t item) {
    const IndexKernels& kernels = index_kernels();
    for (int64_t i = 0; i < count; i += kLookedAt) {
        const int64_t n = count - i < kLookedAt ? count - i : kLookedAt;
        const char* const numbers = at[kNumbers] + i * run.index_step;
        const int64_t* const first = reinterpret_cast<const int64_t*>(numbers);
        run.is_checked = kernels.within(first, n, 0, run.axis_size);
        if (!run.is_checked && !kernels.within(first, n, -run.axis_size, run.axis_size))
            return false;
        kernels.take(at[kValues] + i * run.value_step, numbers, at[kTarget] + i * run.x_step, n,
                     run, item);
    }
    return true;
}

// The elements of x, or its slices, that the numbers name along an axis.
PyObject* take_from(PyArrayObject* x, PyArrayObject* numbers, int64_t axis, PyObject* checked,
                    bool along) {
    const int64_t item = PyArray_ITEMSIZE(x);
    if (PyDataType_REFCHK(PyArray_DESCR(x)) || (item & (item - 1)) != 0 || item == 0 || item > 16 ||
        !is_behaved(x))
        return not_handled();
    IndexedWalk indexed;
    if (!(along ? indexed.along(x, numbers, axis) : indexed.slices(x, numbers, axis)))
        return not_handled();
    PyArray_Descr* descr = PyArray_DESCR(x);
    Py_INCREF(descr);
    Owned out(reinterpret_cast<PyArrayObject*>(PyArray_NewFromDescr(
        &PyArray_Type, descr, indexed.ndim, indexed.shape, nullptr, nullptr, 0, nullptr)));
    if (out.get() == nullptr) return nullptr;
    indexed.start(x, out.get());
    const bool looks_on_the_way = checked != Py_True && PyArray_SIZE(out.get()) > 0 &&
                                  indexed.run.index_step == int64_t(sizeof(int64_t));
    if (!looks_on_the_way && !are_usable(numbers, checked, &indexed.run)) return not_handled();
    if (PyArray_SIZE(out.get()) == 0) return out.release();
    const IndexKernels& kernels = index_kernels();
    bool names_nothing = false;
    {
        ReleaseGil unlocked(PyArray_SIZE(out.get()) >= kReleaseGilElements);
        indexed.walk.for_each_run([&](char* const* at, int64_t count) {
            if (!looks_on_the_way)
                kernels.take(at[kValues], at[kNumbers], at[kTarget], count, indexed.run, item);
            else if (!take_unchecked(at, count, indexed.run, item))
                __atomic_store_n(&names_nothing, true, __ATOMIC_RELAXED);
        });
    }
    return names_nothing ? not_handled() : out.release();
}

// take(x, indices, axis, checked); take_along_axis is of the same form
template <bool along>
PyObject* py_take(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 4 ? as_array(args[0]) : nullptr;
    PyArrayObject* numbers = n == 4 ? numbers_of(args[1]) : nullptr;
    int64_t axis;
    if (x == nullptr || numbers == nullptr || !as_int64(args[2], &axis)) return not_handled();
    return take_from(x, numbers, axis, args[3], along);
}

// ------------------------------------------------------------------ writing
// `values` as an array of x's dtype, a new reference; null with an error.
PyArrayObject* values_for(PyArrayObject* x, PyObject* values) {
    PyArray_Descr* dtype = PyArray_DESCR(x);
    PyArrayObject* array = as_array(values);
    if (array != nullptr && PyArray_DESCR(array) == dtype) {
        Py_INCREF(values);
        return array;
    }
    Py_INCREF(dtype);
    return reinterpret_cast<PyArrayObject*>(
        PyArray_FromAny(values, dtype, 0, 0, NPY_ARRAY_FORCECAST, nullptr));
}

typedef void (*AddRun)(const char*, const char*, char*, int64_t, const IndexRun&);

// Adds run by run, or writes where there is no `add`.
void write_runs(const IndexedWalk& indexed, AddRun add, int64_t item) {
    const IndexKernels& kernels = index_kernels();
    walk_by_target(indexed.walk, [&](char* const* at, int64_t count) {
        if (add != nullptr)
            add(at[kValues], at[kNumbers], at[kTarget], count, indexed.run);
        else
            kernels.put(at[kValues], at[kNumbers], at[kTarget], count, indexed.run, item);
    });
}

// Writes (or adds) values where numbers stand: None, or NotImplemented.
PyObject* write_to(PyArrayObject* x, PyArrayObject* numbers, PyObject* given, int64_t axis,
                   PyObject* checked, bool along, bool adds) {
    const int type = PyArray_TYPE(x);
    const int64_t item = PyArray_ITEMSIZE(x);
    if (adds ? type != NPY_FLOAT && type != NPY_DOUBLE && type != NPY_INT64
             : (item & (item - 1)) != 0 || item == 0 || item > 16)
        return not_handled();
    if (!is_behaved(x) || !PyArray_ISWRITEABLE(x) || PyDataType_REFCHK(PyArray_DESCR(x)))
        return not_handled();
    Owned values(values_for(x, given));
    if (values.get() == nullptr) return nullptr;
    IndexedWalk indexed;
    if (!(along ? indexed.along(x, numbers, axis) : indexed.slices(x, numbers, axis)) ||
        !is_behaved(values.get()) || !indexed.takes_values(values.get()) ||
        may_overlap(x, values.get()) || may_overlap(x, numbers) ||
        !are_usable(numbers, checked, &indexed.run))
        return not_handled();
    indexed.start(x, values.get());
    const IndexKernels& kernels = index_kernels();
    const AddRun add = type == NPY_FLOAT    ? kernels.add_f32
                       : type == NPY_DOUBLE ? kernels.add_f64
                                            : kernels.add_i64;
    {
        ReleaseGil unlocked(indexed.walk.size() >= kReleaseGilElements);
        write_runs(indexed, adds ? add : nullptr, item);
    }
    Py_RETURN_NONE;
}

// put_along_axis(x, indices, values, axis, checked); add_along_axis is of the same form
template <bool adds>
PyObject* py_write_along(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 5 ? as_array(args[0]) : nullptr;
    PyArrayObject* numbers = n == 5 ? numbers_of(args[1]) : nullptr;
    int64_t axis;
    if (x == nullptr || numbers == nullptr || !as_int64(args[3], &axis)) return not_handled();
    return write_to(x, numbers, args[2], axis, args[4], true, adds);
}

// ------------------------------------------------------------------ x[index]
bool is_everything(PyObject* object) {
    if (!PySlice_Check(object)) return false;
    const PySliceObject* slice = reinterpret_cast<PySliceObject*>(object);
    return is_none(slice->start) && is_none(slice->stop) && is_none(slice->step);
}

// An index as numbers along one axis of x, or of x with neighbouring axes joined.
struct SingleAxis {
    Owned x, numbers;
    int axis = 0;

    // False for an index that cannot be read so, and with a Python error.
    bool read(PyObject* array, PyObject* index) {
        PyArrayObject* whole = as_array(array);
        if (whole == nullptr) return false;
        if (!PyTuple_Check(index)) return take(whole, numbers_of(index), 0);
        int first = -1, last = -1;
        for (int i = 0; i < int(PyTuple_GET_SIZE(index)); i++) {
            PyObject* item = PyTuple_GET_ITEM(index, i);
            if (is_everything(item)) continue;
            if (numbers_of(item) == nullptr || (first >= 0 && last != i - 1)) return false;
            if (first < 0) first = i;
            last = i;
        }
        if (first < 0 || last >= PyArray_NDIM(whole)) return false;
        if (first == last) return take(whole, numbers_of(PyTuple_GET_ITEM(index, first)), first);
        return is_contiguous(whole) && PyArray_SIZE(whole) > 0 && join(whole, index, first, last);
    }

  private:
    bool take(PyArrayObject* whole, PyArrayObject* given, int at) {
        if (given == nullptr) return false;
        Py_INCREF(whole);
        x.set(whole);
        Py_INCREF(given);
        numbers.set(given);
        axis = at;
        return true;
    }
    // Numbers of one shape, of axes `first` to `last`, as numbers of these axes taken together.
    bool join(PyArrayObject* whole, PyObject* index, int first, int last) {
        PyArrayObject* like = numbers_of(PyTuple_GET_ITEM(index, first));
        numbers.set(new_like(like));
        if (numbers.get() == nullptr) return false;
        int64_t* out = numbers.values<int64_t>();
        npy_intp shape[NPY_MAXDIMS];
        int ndim = 0;
        for (int i = 0; i < PyArray_NDIM(whole); i++) {
            const npy_intp size = PyArray_DIM(whole, i);
            if (i > first && i <= last)
                shape[ndim - 1] *= size;
            else
                shape[ndim++] = size;
            if (i < first || i > last) continue;
            PyArrayObject* given = contiguous_of(PyTuple_GET_ITEM(index, i), NPY_INT64);
            if (given == nullptr || !same_shape(given, like) || !all_name(given, -size, size))
                return false;
            const int64_t* from = data<int64_t>(given);
            for (int64_t k = 0, total = PyArray_SIZE(given); k < total; k++) {
                const int64_t number = from[k] + (from[k] < 0 ? size : 0);
                out[k] = i == first ? number : out[k] * size + number;
            }
        }
        PyArray_Dims dims = {shape, ndim};
        x.set(reinterpret_cast<PyArrayObject*>(PyArray_Newshape(whole, &dims, NPY_CORDER)));
        axis = first;
        return x.get() != nullptr;
    }
};

// NotImplemented, unless an error is set.
PyObject* not_read() { return PyErr_Occurred() ? nullptr : not_handled(); }

// index_get(x, index)
PyObject* py_index_get(PyObject*, PyObject* const* args, Py_ssize_t n) {
    SingleAxis one;
    if (n != 2 || !one.read(args[0], args[1])) return not_read();
    return take_from(one.x.get(), one.numbers.get(), one.axis, Py_False, false);
}

// index_put(x, index, values, checked); index_add is of the same form
template <bool adds>
PyObject* py_index_write(PyObject*, PyObject* const* args, Py_ssize_t n) {
    SingleAxis one;
    if (n != 4 || !one.read(args[0], args[1])) return not_read();
    return write_to(one.x.get(), one.numbers.get(), args[2], one.axis, args[3], false, adds);
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

const char kWriteDoc[] = "(x, indices, values, axis, checked): None, or NotImplemented.";

}  // namespace

PyMethodDef index_methods[] = {
    method("within", py_within, "(indices, low, high), or NotImplemented."),
    method("take", py_take<false>, "(x, indices, axis, checked), or NotImplemented."),
    method("take_along_axis", py_take<true>, "(x, indices, axis, checked), or NotImplemented."),
    method("put_along_axis", py_write_along<false>, kWriteDoc),
    method("add_along_axis", py_write_along<true>, kWriteDoc),
    method("index_get", py_index_get, "(x, index), or NotImplemented."),
    method("index_put", py_index_write<false>, "(x, index, values, checked), as put_along_axis."),
    method("index_add", py_index_write<true>, "(x, index, values, checked), as add_along_axis."),
    method("add_rows", py_add_rows, "(table, from, to, scale, count), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
