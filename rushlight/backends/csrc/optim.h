// optim.h: optimizer steps over flat ranges of parameters (see optim.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

struct SgdSettings {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, maximize, first_step;
};
struct AdamSettings {
    double lr, beta1, beta2, eps, weight_decay;
    bool amsgrad, maximize, decoupled;
};

// One parameter's arrays; those that an algorithm does not use are null.
struct OptimRange {
    void* param;
    const void* grad;
    void* first;    // momentum buffer, or exp_avg
    void* second;   // exp_avg_sq
    void* largest;  // max_exp_avg_sq
    double step;    // the step number after this step
    int64_t n;
};

struct OptimKernels {
    void (*sgd_f32)(const OptimRange* ranges, int count, const SgdSettings& settings);
    void (*sgd_f64)(const OptimRange* ranges, int count, const SgdSettings& settings);
    void (*adam_f32)(const OptimRange* ranges, int count, const AdamSettings& settings);
    void (*adam_f64)(const OptimRange* ranges, int count, const AdamSettings& settings);
};

}  // namespace rl

RL_DECLARE_KERNELS(OptimKernels, optim_kernels)
