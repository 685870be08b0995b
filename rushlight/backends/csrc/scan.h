// scan.h: running sums and products, and the log of a sum of exponentials (see scan.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// x and out are (outer, length, inner), contiguous; the scan runs along `length`.
template <class T>
struct ScanFunctions {
    void (*cumsum)(T* out, const T* x, int64_t outer, int64_t length, int64_t inner);
    void (*cumprod)(T* out, const T* x, int64_t outer, int64_t length, int64_t inner);
};
struct ScanKernels {
    ScanFunctions<float> f32;
    ScanFunctions<double> f64;
    ScanFunctions<int64_t> i64;
    // out (rows), x (rows, length)
    void (*logsumexp_f32)(float* out, const float* x, int64_t rows, int64_t length);
    void (*logsumexp_f64)(double* out, const double* x, int64_t rows, int64_t length);
};

}  // namespace rl

RL_DECLARE_KERNELS(ScanKernels, scan_kernels)
