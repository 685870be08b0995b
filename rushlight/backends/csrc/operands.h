// operands.h: what bindings of elementwise functions share: operands of one dtype that broadcast,
// the result's memory, and the walk over all of them.
//
// A fresh result lies in memory as its operands do: its axes are ordered by the strides of the
// first operand that tells two axes apart (broadcast axes tell nothing), so that the sum of two
// transposed arrays is a transposed array and is computed in the order of memory. An operand that
// lies the other way round is turned by tiles of 64 rows and columns (16 KB of floats) into a
// buffer and read from there.
#pragma once

#include "bind.h"
#include "allocator.h"
#include "elementwise.h"
#include "image.h"
#include "strided.h"

namespace rl {

inline int number_of(PyArrayObject* array) {
    switch (PyArray_TYPE(array)) {
        case NPY_FLOAT: return kFloat32;
        case NPY_DOUBLE: return kFloat64;
        case NPY_LONG:
        case NPY_LONGLONG: return PyArray_ITEMSIZE(array) == 8 ? kInt64 : kInt32;
        case NPY_INT: return kInt32;
        default: return -1;
    }
}

// A Python number as one element of the array type; false when it has no such value.
inline bool as_element(PyObject* object, int number, Element* element) {
    if (number == kFloat32 || number == kFloat64) {
        double value;
        if (!as_double(object, &value)) return false;
        if (number == kFloat32)
            element->f32 = float(value);
        else
            element->f64 = value;
        return true;
    }
    int64_t value;
    if (!as_int64(object, &value)) return false;
    element->i64 = value;
    if (number == kInt32) {
        if (value != int32_t(value)) return false;
        element->i32 = int32_t(value);
    }
    return true;
}

inline void set_element(int value, int number, Element* element) {
    switch (number) {
        case kFloat32: element->f32 = float(value); break;
        case kFloat64: element->f64 = value; break;
        case kInt32: element->i32 = value; break;
        default: element->i64 = value;
    }
}

// Widens `shape` (rank `ndim`) to what it broadcasts to with `array`; the rank, or -1 when they do
// not fit.
inline int broadcast_with(PyArrayObject* array, int ndim, npy_intp* shape) {
    const int more = PyArray_NDIM(array) - ndim;
    if (more > 0) {
        for (int i = ndim - 1; i >= 0; i--) shape[i + more] = shape[i];
        for (int i = 0; i < more; i++) shape[i] = 1;
        ndim += more;
    }
    const int shift = ndim - PyArray_NDIM(array);
    for (int i = shift; i < ndim; i++) {
        const npy_intp size = PyArray_DIM(array, i - shift);
        if (size != shape[i] && size != 1 && shape[i] != 1) return -1;
        if (shape[i] == 1) shape[i] = size;
    }
    return ndim;
}

// Whether `out` may be written while `other` is read in the same order: they are the same elements
// or lie apart.
inline bool safe_overlap(PyArrayObject* out, PyArrayObject* other) {
    if (PyArray_DATA(out) == PyArray_DATA(other) && same_shape(out, other)) {
        for (int i = 0; i < PyArray_NDIM(out); i++)
            if (PyArray_STRIDE(out, i) != PyArray_STRIDE(other, i)) return false;
        return true;
    }
    char *low[2], *high[2];
    PyArrayObject* arrays[2] = {out, other};
    for (int k = 0; k < 2; k++) {
        low[k] = high[k] = static_cast<char*>(PyArray_DATA(arrays[k]));
        for (int i = 0; i < PyArray_NDIM(arrays[k]); i++) {
            const npy_intp reach = (PyArray_DIM(arrays[k], i) - 1) * PyArray_STRIDE(arrays[k], i);
            (reach < 0 ? low[k] : high[k]) += reach;
        }
        high[k] += PyArray_ITEMSIZE(arrays[k]);
    }
    return high[0] <= low[1] || high[1] <= low[0];
}

// `out` as given, checked; a new reference. Null: not handled.
inline PyArrayObject* given_result(PyObject* out, int ndim, const npy_intp* shape, int type_num) {
    PyArrayObject* array = as_array(out);
    if (array == nullptr || !PyArray_EquivTypenums(PyArray_TYPE(array), type_num) ||
        !PyArray_ISWRITEABLE(array) || !is_behaved(array) || PyArray_NDIM(array) != ndim)
        return nullptr;
    for (int i = 0; i < ndim; i++)
        if (PyArray_DIM(array, i) != shape[i]) return nullptr;
    Py_INCREF(out);
    return array;
}

// `out` as given, checked, or a fresh C-contiguous array; a new reference. Null: not handled, or
// out of memory.
inline PyArrayObject* result_array(PyObject* out, int ndim, const npy_intp* shape, int type_num) {
    if (out == nullptr || is_none(out)) return new_array(ndim, shape, type_num);
    return given_result(out, ndim, shape, type_num);
}

inline PyObject* failed() { return PyErr_Occurred() ? nullptr : not_handled(); }

// Elementwise functions of an array and another operand, and of an array alone, into `out` unless it is
// null (bind_elementwise.cpp). NotImplemented if there is no loop for them.
PyObject* binary(BinaryOp op, PyObject* x, PyObject* y, PyObject* out);
PyObject* unary(UnaryLoop loop, PyArrayObject* x, PyObject* out);

constexpr int64_t kTileRows = 64, kTileColumns = 64;
constexpr int64_t kTurnedElements = 4096;  // below that all operands stay in the first-level cache

// Operand 0 is the result, the others are read: arrays, or one element that repeats.
template <int operands>
struct ElementwiseCall {
    PyArrayObject* arrays[operands] = {};  // null for a repeated element
    Element elements[operands];
    int ndim = 0;
    npy_intp shape[NPY_MAXDIMS];
    bool is_flat = true;  // all arrays have the result's shape and are C-contiguous

    // Takes the array as operand k; false when its elements cannot be read or it does not fit.
    bool set_array(int k, PyArrayObject* array) {
        if (!is_behaved(array)) return false;
        arrays[k] = array;
        ndim = broadcast_with(array, ndim, shape);
        return ndim >= 0;
    }
    // An operand that is an array of this type, or a Python number that the type can hold.
    bool set_operand(int k, PyObject* object, int number) {
        PyArrayObject* array = as_array(object);
        if (array == nullptr) return as_element(object, number, &elements[k]);
        return number_of(array) == number && set_array(k, array);
    }

    // Makes or checks the result; call after all operands are set. False: not handled, or failed.
    bool set_result(PyObject* out, PyArray_Descr* descr) {
        for (int k = 1; k < operands; k++) is_flat = is_flat && is_plain(arrays[k]);
        if (out != nullptr && !is_none(out)) {
            arrays[0] = given_result(out, ndim, shape, descr->type_num);
            if (arrays[0] == nullptr) return false;
            is_flat = is_flat && is_contiguous(arrays[0]);
            for (int k = 1; k < operands; k++)
                if (arrays[k] != nullptr && !safe_overlap(arrays[0], arrays[k])) return drop();
        } else {
            npy_intp strides[NPY_MAXDIMS];
            if (!is_flat) set_strides(strides, PyDataType_ELSIZE(descr));
            Py_INCREF(descr);
            arrays[0] = reinterpret_cast<PyArrayObject*>(
                PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, is_flat ? nullptr : strides,
                                     nullptr, 0, nullptr));
            if (arrays[0] == nullptr) return false;
        }
        return true;
    }

    // Calls loop(pointers, strides in bytes, n) for every run, and returns the result.
    template <class Loop>
    PyObject* run(const Loop& loop) {
        const int64_t n = PyArray_SIZE(arrays[0]);
        ReleaseGil unlocked(n >= kReleaseGilElements);
        if (is_flat && n <= kElementGrain) {
            char* at[operands];
            int64_t strides[operands];
            for (int k = 0; k < operands; k++) {
                at[k] = data_of(k);
                strides[k] = arrays[k] != nullptr ? PyArray_ITEMSIZE(arrays[k]) : 0;
            }
            loop(at, strides, n);
        } else {
            StridedWalk<operands> walk;
            start(&walk);
            if (n >= kTurnedElements && any_turned(walk)) {
                run_turned(walk, loop);
                return reinterpret_cast<PyObject*>(arrays[0]);
            }
            int64_t strides[operands];
            for (int k = 0; k < operands; k++) strides[k] = walk.stride[k][walk.ndim - 1];
            walk.for_each_run(
                [&](char* const* at, int64_t count) { loop(at, strides, count); });
        }
        return reinterpret_cast<PyObject*>(arrays[0]);
    }

  private:
    char* data_of(int k) {
        return arrays[k] != nullptr ? PyArray_BYTES(arrays[k])
                                    : reinterpret_cast<char*>(&elements[k]);
    }
    bool is_plain(PyArrayObject* array) const {
        if (array == nullptr) return true;
        if (!is_contiguous(array) || PyArray_NDIM(array) != ndim) return false;
        for (int i = 0; i < ndim; i++)
            if (PyArray_DIM(array, i) != shape[i]) return false;
        return true;
    }
    bool drop() {
        Py_CLEAR(arrays[0]);
        return false;
    }
    void start(StridedWalk<operands>* walk) {
        for (int k = 0; k < operands; k++) {
            if (arrays[k] != nullptr)
                walk->set_operand(k, arrays[k], ndim, shape);
            else
                walk->set_scalar(k, &elements[k]);
        }
        walk->take_shape(ndim, shape);
        walk->order_axes(0);
        walk->merge();
    }
    // Whether operand k is side by side along the next-to-innermost axis instead of the innermost
    // one.
    bool is_turned(const StridedWalk<operands>& walk, int k) const {
        const int last = walk.ndim - 1;
        if (arrays[k] == nullptr || last < 1) return false;
        const int64_t item = PyArray_ITEMSIZE(arrays[k]), step = walk.stride[k][last];
        return walk.stride[k][last - 1] == item && step != item && step != 0 &&
               (item == 4 || item == 8);
    }
    bool any_turned(const StridedWalk<operands>& walk) const {
        for (int k = 1; k < operands; k++)
            if (is_turned(walk, k)) return true;
        return false;
    }
    // As `run`, with the last two axes taken by tiles into which turned operands are copied.
    template <class Loop>
    void run_turned(const StridedWalk<operands>& walk, const Loop& loop) const {
        const int last = walk.ndim - 1;
        const int64_t rows = walk.shape[last - 1], columns = walk.shape[last];
        StridedWalk<operands> outer = walk;
        outer.ndim = last;
        outer.shape[last - 1] = (rows + kTileRows - 1) / kTileRows;
        for (int k = 0; k < operands; k++) outer.stride[k][last - 1] *= kTileRows;
        outer.for_each_element(columns * kTileRows, [&](char* const* at, int64_t block) {
            const int64_t left = rows - block * kTileRows;
            run_tiles(walk, at, left < kTileRows ? left : kTileRows, columns, loop);
        });
    }
    template <class Loop>
    void run_tiles(const StridedWalk<operands>& walk, char* const* at, int64_t rows,
                   int64_t columns, const Loop& loop) const {
        alignas(64) char buffer[operands - 1][kTileRows * kTileColumns * sizeof(double)];
        const int last = walk.ndim - 1;
        for (int64_t c = 0; c < columns; c += kTileColumns) {
            const int64_t width = columns - c < kTileColumns ? columns - c : kTileColumns;
            char* row[operands];
            int64_t row_step[operands], strides[operands];
            for (int k = 0; k < operands; k++) {
                row[k] = at[k] + c * walk.stride[k][last];
                row_step[k] = walk.stride[k][last - 1];
                strides[k] = walk.stride[k][last];
                if (k == 0 || !is_turned(walk, k)) continue;
                const int64_t item = PyArray_ITEMSIZE(arrays[k]);
                image_kernels().transpose(buffer[k - 1], row[k], rows, width, width * item,
                                          strides[k], item);
                row[k] = buffer[k - 1];
                row_step[k] = width * item;
                strides[k] = item;
            }
            for (int64_t r = 0; r < rows; r++) {
                loop(row, strides, width);
                for (int k = 0; k < operands; k++) row[k] += row_step[k];
            }
        }
    }
    // The strides of a dense result whose axes are ordered as the operands' are.
    void set_strides(npy_intp* strides, npy_intp item) {
        StridedWalk<operands> order;
        for (int k = 1; k < operands; k++)
            if (arrays[k] != nullptr) order.set_operand(k, arrays[k], ndim, shape);
        order.take_shape(ndim, shape);
        order.order_axes(1);
        for (int i = ndim - 1; i >= 0; i--) {
            strides[order.axis[i]] = item;
            item *= order.shape[i] > 0 ? order.shape[i] : 1;
        }
    }
};

}  // namespace rl
