// softmax.h: softmax and log-softmax with their derivatives (see softmax.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// x and out are (outer, length, inner), contiguous; the softmax runs along `length`.
template <class T>
struct SoftmaxFunctions {
    void (*softmax)(T* out, const T* x, int64_t outer, int64_t length, int64_t inner);
    void (*log_softmax)(T* out, const T* x, int64_t outer, int64_t length, int64_t inner);
    void (*softmax_grad)(T* out, const T* grad, const T* result, int64_t outer, int64_t length,
                         int64_t inner);
    void (*log_softmax_grad)(T* out, const T* grad, const T* result, int64_t outer, int64_t length,
                             int64_t inner);
};
struct SoftmaxKernels {
    SoftmaxFunctions<float> f32;
    SoftmaxFunctions<double> f64;
};

}  // namespace rl

RL_DECLARE_KERNELS(SoftmaxKernels, softmax_kernels)
