// loss.h: negative log-likelihood and mean squared error (see loss.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// logp is (batch, classes, inner); target is (batch, inner). `weight` may be null.
template <class T>
struct LossFunctions {
    // Writes per-element losses when `each` is not null. Returns false for a target that is no class.
    bool (*nll)(const T* logp, const int64_t* target, const T* weight, int64_t ignore_index,
                int64_t batch, int64_t classes, int64_t inner, T* each, double* sum,
                double* total_weight);
    // grad_stride: 1 for a gradient per element, 0 for one number.
    bool (*nll_grad)(T* out, const T* grad, int64_t grad_stride, const int64_t* target,
                     const T* weight, int64_t ignore_index, int64_t batch, int64_t classes,
                     int64_t inner, double divisor);
    double (*squared_distance)(const T* x, const T* y, int64_t n);
    void (*scaled_difference)(T* out, const T* x, const T* y, double scale, int64_t n);
};
struct LossKernels {
    LossFunctions<float> f32;
    LossFunctions<double> f64;
};

}  // namespace rl

RL_DECLARE_KERNELS(LossKernels, loss_kernels)
