// activation.h: activation functions with constants, and their gradients (see activation.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

constexpr int kMostConstants = 3;
enum Activation {
    kLeakyRelu,    // slope
    kElu,          // alpha, scale, slope
    kThreshold,    // threshold, value
    kHardsigmoid, kHardswish, kMish,
    kNanToNum,     // for NaN, for infinity, for minus infinity
    kSoftplus,     // beta, threshold
    kLogsigmoid,
    kSoftshrink, kHardshrink,  // lambd
    kActivations
};
enum ActivationGrad {                 // of (grad, input), with the same constants
    kLeakyReluGrad, kEluGrad,
    kEluGradOfResult,                 // of (grad, result)
    kThresholdGrad,
    kHardtanhGrad,                    // low, high
    kHardsigmoidGrad, kHardswishGrad, kMishGrad, kSoftplusGrad, kLogsigmoidGrad,
    kShrinkGrad,                      // of either shrinkage
    kActivationGrads
};

// n elements; strides count elements.
typedef void (*ActivationLoop)(void* out, const void* x, int64_t n, int64_t out_stride,
                               int64_t x_stride, const double* constants);
typedef void (*ActivationGradLoop)(void* out, const void* grad, const void* x, int64_t n,
                                   int64_t out_stride, int64_t grad_stride, int64_t x_stride,
                                   const double* constants);

struct ActivationKernels {
    ActivationLoop loops[kActivations][2];  // of float and double
    ActivationGradLoop grads[kActivationGrads][2];
};

}  // namespace rl

RL_DECLARE_KERNELS(ActivationKernels, activation_kernels)
