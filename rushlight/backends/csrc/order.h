// order.h: sorting rows and picking their largest elements (see order.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// x is (rows, n), contiguous; results are (rows, n) or (rows, k). Equal elements keep their order,
// NaN counts as the largest, -0 equals 0. False when there was no memory for the work.
template <class T>
struct OrderFunctions {
    bool (*sort)(T* values, int64_t* indices, const T* x, int64_t rows, int64_t n, bool descending);
    bool (*topk)(T* values, int64_t* indices, const T* x, int64_t rows, int64_t n, int64_t k,
                 bool largest);
};
struct OrderKernels {
    OrderFunctions<float> f32;
    OrderFunctions<double> f64;
    OrderFunctions<int64_t> i64;
};

}  // namespace rl

RL_DECLARE_KERNELS(OrderKernels, order_kernels)
