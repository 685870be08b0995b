// strided_copy.h: copying between arrays of one shape and any strides.
#pragma once

#include <string.h>

#include "bind.h"
#include "image.h"
#include "strided.h"

namespace rl {
namespace {

// Elements that `copy_elements` takes: 1, 2, 4, 8 or 16 bytes, no Python objects.
inline bool is_copyable(PyArrayObject* x) {
    const npy_intp item = PyArray_ITEMSIZE(x);
    return (item == 1 || item == 2 || item == 4 || item == 8 || item == 16) &&
           !PyDataType_REFCHK(PyArray_DESCR(x));
}

// out[...] = x in the order of out's memory: runs of neighbours are copied whole; a transposed pair
// of axes goes by tiles.
inline void copy_elements(PyArrayObject* out, PyArrayObject* x) {
    const int64_t item = PyArray_ITEMSIZE(x);
    const int ndim = PyArray_NDIM(x);
    StridedWalk<2> walk;
    walk.set_operand(0, out, ndim, PyArray_DIMS(x));
    walk.set_operand(1, x, ndim, PyArray_DIMS(x));
    walk.take_shape(ndim, PyArray_DIMS(x));
    walk.order_axes(0);
    walk.merge();
    const int last = walk.ndim - 1;
    const int64_t out_step = walk.stride[0][last], x_step = walk.stride[1][last];
    ReleaseGil unlocked(PyArray_SIZE(x) >= kReleaseGilElements);
    if (PyArray_SIZE(x) <= 1 || (x_step == item && out_step == item)) {
        walk.for_each_run(
            [&](char* const* at, int64_t n) { memcpy(at[0], at[1], size_t(n * item)); });
    } else if (last >= 1 && walk.stride[1][last - 1] == item) {
        // The last two axes are a transposed matrix: take them out of the walk.
        const int64_t rows = walk.shape[last - 1], columns = walk.shape[last];
        const int64_t out_row = walk.stride[0][last - 1];
        StridedWalk<2> outer = walk;
        outer.ndim = last;
        outer.shape[last - 1] = 1;
        outer.for_each_run([&](char* const* at, int64_t) {
            image_kernels().transpose(at[0], at[1], rows, columns, out_row, x_step, item);
        });
    } else {
        walk.for_each_run([&](char* const* at, int64_t n) {
            image_kernels().spread(at[0], at[1], n, out_step, x_step, item);
        });
    }
}

}  // namespace
}  // namespace rl
