// Python functions of masks, bool arrays: where they hold, and the elements there.
//
// A mask is cut into parts. What holds in each is counted first, which says where in the result the
// part's places begin; then the parts are written, several at a time.
#include "bind.h"  // Python.h must come before the system's headers

#include <string.h>

#include "index.h"
#include "parallel.h"

namespace {

using namespace rl;

constexpr int kMostParts = 64;
constexpr int64_t kPart = 32768;  // places at least: about 10 microseconds

class Parts {
  public:
    explicit Parts(PyArrayObject* mask)
        : mask_(data<uint8_t>(mask)), n_(PyArray_SIZE(mask)), length_(kPart) {
        if (n_ > kMostParts * length_) length_ = (n_ + kMostParts - 1) / kMostParts;
        count_ = int((n_ + length_ - 1) / length_);
        int64_t counts[kMostParts];
        for_each([&](int64_t part, int64_t begin, int64_t size) {
            counts[part] = index_kernels().count(mask_ + begin, size);
        });
        start_[0] = 0;
        for (int i = 0; i < count_; i++) start_[i + 1] = start_[i] + counts[i];
    }

    int64_t total() const { return start_[count_]; }

    // Calls body(first place in the result, mask, how many hold, first place in the mask).
    template <class Body>
    void write(const Body& body) const {
        for_each([&](int64_t part, int64_t begin, int64_t) {
            body(start_[part], mask_ + begin, start_[part + 1] - start_[part], begin);
        });
    }

  private:
    template <class Body>
    void for_each(const Body& body) const {
        parallel_for(count_, 1, [&](int64_t first, int64_t last) {
            for (int64_t part = first; part < last; part++) {
                const int64_t begin = part * length_;
                body(part, begin, n_ - begin < length_ ? n_ - begin : length_);
            }
        });
    }

    const uint8_t* mask_;
    int64_t n_, length_;
    int count_;
    int64_t start_[kMostParts + 1];
};

// nonzero(mask): (count, ndim) int64, the indices where the mask holds, in C order
PyObject* py_nonzero(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* mask = n == 1 ? contiguous_of(args[0], NPY_BOOL) : nullptr;
    if (mask == nullptr || PyArray_NDIM(mask) == 0) return not_handled();
    const Parts parts(mask);
    const int ndim = PyArray_NDIM(mask);
    const npy_intp shape[] = {npy_intp(parts.total()), ndim};
    PyArrayObject* out = new_array(2, shape, NPY_INT64);
    if (out == nullptr) return nullptr;
    int64_t* const to = data<int64_t>(out);
    ReleaseGil unlocked(PyArray_SIZE(mask) >= kReleaseGilElements);
    parts.write([&](int64_t start, const uint8_t* at, int64_t count, int64_t begin) {
        int64_t* const rows = to + start * ndim;
        index_kernels().positions(rows, at, count, begin);
        // From the last row on, each flat position is overwritten after it was read.
        for (int64_t k = count - 1; ndim > 1 && k >= 0; k--) {
            int64_t position = rows[k];
            for (int j = ndim - 1; j >= 0; j--) {
                rows[k * ndim + j] = position % PyArray_DIM(mask, j);
                position /= PyArray_DIM(mask, j);
            }
        }
    });
    return reinterpret_cast<PyObject*>(out);
}

// any(mask, axes, keepdims) and all, of all axes: a 0-dim bool
template <bool wanted>
PyObject* py_truth(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* mask = n == 3 ? contiguous_of(args[0], NPY_BOOL) : nullptr;
    if (mask == nullptr || !is_none(args[1]) || args[2] != Py_False) return not_handled();
    const size_t bytes = size_t(PyArray_SIZE(mask));
    const bool found = bytes > 0 && memchr(PyArray_DATA(mask), wanted, bytes) != nullptr;
    PyArrayObject* out = new_array(0, nullptr, NPY_BOOL);
    if (out != nullptr) *data<npy_bool>(out) = npy_bool(found == wanted);
    return reinterpret_cast<PyObject*>(out);
}

// masked_select(x, mask): the elements of a contiguous x where the mask of its shape holds; the
// slices, where the mask has fewer axes
PyObject* py_masked_select(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? as_array(args[0]) : nullptr;
    PyArrayObject* mask = n == 2 ? contiguous_of(args[1], NPY_BOOL) : nullptr;
    if (x == nullptr || mask == nullptr || !is_contiguous(x) || PyArray_NDIM(mask) == 0 ||
        PyArray_NDIM(mask) > PyArray_NDIM(x) || PyDataType_REFCHK(PyArray_DESCR(x)))
        return not_handled();
    npy_intp shape[NPY_MAXDIMS];
    int ndim = 1;
    int64_t item = PyArray_ITEMSIZE(x);
    for (int i = 0; i < PyArray_NDIM(x); i++) {
        if (i >= PyArray_NDIM(mask))
            item *= shape[ndim++] = PyArray_DIM(x, i);
        else if (PyArray_DIM(mask, i) != PyArray_DIM(x, i))
            return not_handled();
    }
    const Parts parts(mask);
    shape[0] = parts.total();
    PyArray_Descr* dtype = PyArray_DESCR(x);
    Py_INCREF(dtype);
    PyArrayObject* out = reinterpret_cast<PyArrayObject*>(
        PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, shape, nullptr, nullptr, 0, nullptr));
    if (out == nullptr || item == 0) return reinterpret_cast<PyObject*>(out);
    char *const to = PyArray_BYTES(out), *const from = PyArray_BYTES(x);
    const bool is_small = item <= 16 && (item & (item - 1)) == 0;
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
    parts.write([&](int64_t start, const uint8_t* at, int64_t count, int64_t begin) {
        char* row = to + start * item;
        if (is_small) return index_kernels().compress(row, from + begin * item, at, count, item);
        for (int64_t i = 0, kept = 0; kept < count; i++) {
            if (!at[i]) continue;
            memcpy(row + kept++ * item, from + (begin + i) * item, size_t(item));
        }
    });
    return reinterpret_cast<PyObject*>(out);
}

}  // namespace

PyMethodDef mask_methods[] = {
    method("nonzero", py_nonzero, "(mask), or NotImplemented."),
    method("any", py_truth<true>, "(mask, axes, keepdims), or NotImplemented."),
    method("all", py_truth<false>, "(mask, axes, keepdims), or NotImplemented."),
    method("masked_select", py_masked_select, "(x, mask), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
