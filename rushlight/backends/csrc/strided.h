// strided.h: walking several arrays of one shape and different strides, run by run.
//
// Axes are ordered as the operands lie in memory (if asked) and merged where every operand allows
// it, so that contiguous arrays of any rank become one run, and a broadcast row costs one call per
// row. The innermost axis is the run.
#pragma once

#include <stdint.h>

#include "bind.h"
#include "parallel.h"

namespace rl {

// Elements that are worth a thread: about 10 microseconds of arithmetic. Below twice as many the
// work is done serially.
constexpr int64_t kElementGrain = 65536;
// Rows with gaps between them end what the processor foresees of memory. The first 512 bytes of a row
// that is at least 1 KB ahead are asked for where the operands are larger than the second-level
// cache: more of a row, or a row farther ahead, is slower again (Zen 4).
constexpr int64_t kFarBytes = 2 << 20, kAheadBytes = 1024, kRowStart = 512, kShortRow = 256;

template <int operands>
struct StridedWalk {
    int ndim = 0;
    int64_t shape[NPY_MAXDIMS] = {};
    int64_t stride[operands][NPY_MAXDIMS] = {};  // in bytes
    char* base[operands] = {};
    int axis[NPY_MAXDIMS];  // the numbers of the axes before they were ordered

    // Adds the axes of `array`, right-aligned in `dims`; missing and size-1 axes repeat (stride 0).
    void set_operand(int k, PyArrayObject* array, int dims_ndim, const npy_intp* dims) {
        base[k] = static_cast<char*>(PyArray_DATA(array));
        const int shift = dims_ndim - PyArray_NDIM(array);
        for (int i = 0; i < dims_ndim; i++) {
            const bool repeats = i < shift || PyArray_DIM(array, i - shift) != dims[i];
            stride[k][i] = repeats ? 0 : PyArray_STRIDE(array, i - shift);
        }
    }
    void set_scalar(int k, void* value) { base[k] = static_cast<char*>(value); }

    // The shape that all operands have, before its axes are ordered and merged.
    void take_shape(int dims_ndim, const npy_intp* dims) {
        ndim = dims_ndim;
        for (int i = 0; i < ndim; i++) {
            shape[i] = dims[i];
            axis[i] = i;
        }
    }

    // Brings the axis with the smallest strides to the end. Of two axes the first operand from
    // `first` on that moves along both decides.
    void order_axes(int first) {
        for (int i = ndim - 2; i >= 0; i--) {
            int at = i;
            for (int next = i + 1; next < ndim; next++) {
                const int decided = compare(first, at, next);
                if (decided < 0) break;
                if (decided == 0) continue;
                swap_axes(at, next);
                at = next;
            }
        }
    }

    // Takes the shape and merges axes; call after all operands are set.
    void merge(int dims_ndim, const npy_intp* dims) {
        take_shape(dims_ndim, dims);
        merge();
    }
    void merge() {
        int last = -1;  // the merged axis that is being grown
        for (int i = 0; i < ndim; i++) {
            const int64_t length = shape[i];
            if (length == 1) continue;
            if (last >= 0 && joins(last, i, length)) {
                shape[last] *= length;
            } else {
                shape[++last] = length;
            }
            for (int k = 0; k < operands; k++) stride[k][last] = stride[k][i];
        }
        ndim = last + 1;
        if (ndim == 0) {
            ndim = 1;
            shape[0] = 1;
        }
    }

    int64_t size() const {
        int64_t n = 1;
        for (int i = 0; i < ndim; i++) n *= shape[i];
        return n;
    }

    // Calls run(pointers, n) for every run, in parallel when there is much to do; the byte strides
    // inside a run are stride[k][ndim - 1].
    template <class Run>
    void for_each_run(const Run& run) const {
        const int64_t inner = shape[ndim - 1];
        if (inner == 0 || size() == 0) return;
        if (ndim == 1) {
            parallel_for(inner, kElementGrain, [&](int64_t begin, int64_t end) {
                char* at[operands];
                for (int k = 0; k < operands; k++) at[k] = base[k] + begin * stride[k][0];
                run(at, end - begin);
            });
            return;
        }
        const int64_t rows_per_grain = 1 + (kElementGrain - 1) / inner;
        parallel_for(size() / inner, rows_per_grain,
                     [&](int64_t begin, int64_t end) { walk_rows(begin, end, run); });
    }

    // Calls visit(pointers, place on the innermost axis) for every element of the walk, in
    // parallel; each stands for `weight` elements of work.
    template <class Visit>
    void for_each_element(int64_t weight, const Visit& visit) const {
        const int64_t inner = shape[ndim - 1];
        if (size() == 0) return;
        parallel_for(size(), 1 + (kElementGrain - 1) / weight, [&](int64_t begin, int64_t end) {
            for (int64_t place = begin; place < end; place++) {
                int64_t rest = place;
                char* at[operands];
                for (int k = 0; k < operands; k++) at[k] = base[k];
                for (int i = ndim - 1; i >= 0; i--) {
                    for (int k = 0; k < operands; k++) at[k] += rest % shape[i] * stride[k][i];
                    rest /= shape[i];
                }
                visit(at, place % inner);
            }
        });
    }

  private:
    // 1 if axis b has the larger strides and belongs outside of axis a, -1 if not, 0 if no operand
    // tells them apart.
    int compare(int first, int a, int b) const {
        for (int k = first; k < operands; k++) {
            const int64_t x = stride[k][a] < 0 ? -stride[k][a] : stride[k][a];
            const int64_t y = stride[k][b] < 0 ? -stride[k][b] : stride[k][b];
            if (x == 0 || y == 0) continue;
            if (x != y) return x < y ? 1 : -1;
            if (shape[a] < shape[b]) return 1;
        }
        return 0;
    }
    void swap_axes(int a, int b) {
        const int64_t length = shape[a];
        shape[a] = shape[b];
        shape[b] = length;
        const int number = axis[a];
        axis[a] = axis[b];
        axis[b] = number;
        for (int k = 0; k < operands; k++) {
            const int64_t step = stride[k][a];
            stride[k][a] = stride[k][b];
            stride[k][b] = step;
        }
    }

    bool joins(int outer, int i, int64_t length) const {
        for (int k = 0; k < operands; k++)
            if (stride[k][outer] != stride[k][i] * length) return false;
        return true;
    }

    // Bytes from the first to the last element of operand k's rows.
    int64_t row_bytes(int k) const {
        const int64_t step = stride[k][ndim - 1];
        return (step < 0 ? -step : step) * shape[ndim - 1];
    }
    int64_t largest_item() const {
        int64_t bytes = 0;
        for (int k = 0; k < operands; k++)
            if (stride[k][ndim - 1] > bytes) bytes = stride[k][ndim - 1];
        return bytes;
    }
    // How many rows are kAheadBytes; 0 where that is not worth fetching.
    int64_t rows_ahead() const {
        int64_t bytes = 0;
        for (int k = 0; k < operands; k++)
            if (row_bytes(k) > bytes) bytes = row_bytes(k);
        return bytes < kShortRow ? 0 : 1 + kAheadBytes / bytes;
    }
    void fetch_row(char* const* at, int64_t ahead) const {
        for (int k = 0; k < operands; k++) {
            const int64_t step = stride[k][ndim - 2], bytes = row_bytes(k);
            if (step == bytes || stride[k][ndim - 1] < 0) continue;
            for (int64_t i = 0; i < bytes && i < kRowStart; i += 64)
                __builtin_prefetch(at[k] + ahead * step + i);
        }
    }

    template <class Run>
    void walk_rows(int64_t begin, int64_t end, const Run& run) const {
        int64_t index[NPY_MAXDIMS];
        char* at[operands];
        for (int k = 0; k < operands; k++) at[k] = base[k];
        const int64_t ahead = size() * largest_item() >= kFarBytes ? rows_ahead() : 0;
        int64_t rest = begin;
        for (int i = ndim - 2; i >= 0; i--) {
            index[i] = rest % shape[i];
            rest /= shape[i];
            for (int k = 0; k < operands; k++) at[k] += index[i] * stride[k][i];
        }
        for (int64_t rows = end - begin; rows > 0; rows--) {
            if (ahead > 0) fetch_row(at, ahead);
            run(at, shape[ndim - 1]);
            for (int i = ndim - 2; i >= 0; i--) {
                for (int k = 0; k < operands; k++) at[k] += stride[k][i];
                if (++index[i] < shape[i]) break;
                for (int k = 0; k < operands; k++) at[k] -= shape[i] * stride[k][i];
                index[i] = 0;
            }
        }
    }
};

}  // namespace rl
