// reduce.h: sums and extremes along axes (see reduce.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

enum ReduceOp { kSum, kMax, kMin, kReduceOps };
enum ReduceNumber { kReduceFloat32, kReduceFloat64, kReduceInt64, kReduceNumbers };

constexpr int kReduceMostDims = 8;

// A reduction whose axes are sorted into kept and reduced ones, outermost first. The elements that
// lie closest in memory are the last reduced axis or, side by side (stride 1), the last kept one.
struct ReduceCall {
    const void* x;
    void* out;  // C-contiguous over the kept axes
    int kept_dims, reduced_dims;
    int64_t kept_shape[kReduceMostDims], kept_stride[kReduceMostDims];  // strides in elements
    int64_t reduced_shape[kReduceMostDims], reduced_stride[kReduceMostDims];
    double scale;  // multiplies a sum (1 / count for the mean)
};
typedef void (*ReduceFunction)(const ReduceCall& call);

struct ReduceKernels {
    ReduceFunction along_rows[kReduceOps][kReduceNumbers];     // last reduced axis is the closest
    ReduceFunction along_columns[kReduceOps][kReduceNumbers];  // last kept axis has stride 1
    // Sum of squares of n contiguous elements, in double precision throughout.
    double (*sum_squares_f32)(const float* x, int64_t n);
    double (*sum_squares_f64)(const double* x, int64_t n);
    // Index of the first largest (or smallest) element of each row; a NaN counts as either.
    void (*argmax[kReduceNumbers])(int64_t* out, const void* x, int64_t rows, int64_t columns);
    void (*argmin[kReduceNumbers])(int64_t* out, const void* x, int64_t rows, int64_t columns);
};

}  // namespace rl

RL_DECLARE_KERNELS(ReduceKernels, reduce_kernels)
