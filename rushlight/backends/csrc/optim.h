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


// The other algorithms: g = sign * grad + decay * param, param *= shrink, and then the rule.
enum OptimRule {
    kAdagrad,           // state: sum; factor: lr; number: eps
    kAdadelta,          // square_avg, acc_delta; -; lr, rho, eps
    kAdamax,            // exp_avg, exp_inf; lr; beta1, beta2, eps
    kAsgd,              // average; eta, mu, 1 - lambd * eta; -
    kNadam,             // exp_avg, exp_avg_sq; of g, of exp_avg, 1 - beta2^step; beta1, beta2, eps
    kRadam,             // exp_avg, exp_avg_sq; of exp_avg, rectifier (0: none); beta1, beta2, eps
    kRmsprop,           // square_avg; -; lr, alpha, eps
    kRmspropCentered,   // square_avg, grad_avg; as above
    kRmspropMomentum,   // square_avg, momentum_buffer; -; lr, alpha, eps, momentum
    kRmspropBoth,       // square_avg, grad_avg, momentum_buffer; as above
    kRprop,             // previous gradient, step size; -; eta-, eta+, smallest, largest
    kOptimRules
};
constexpr int kMostStates = 3, kMostFactors = 3, kMostNumbers = 4;

struct RuleSettings {
    double sign, decay;
    double number[kMostNumbers];
};

// One parameter's arrays; those that an algorithm does not use are null.
struct OptimRange {
    void* param;
    const void* grad;
    void* state[kMostStates];     // momentum buffer; exp_avg, exp_avg_sq, max_exp_avg_sq; a rule's
    double factor[kMostFactors];  // the step number after this step; a rule's own
    double shrink;                // of a rule
    int64_t n;
};

struct OptimKernels {
    void (*sgd_f32)(const OptimRange* ranges, int count, const SgdSettings& settings);
    void (*sgd_f64)(const OptimRange* ranges, int count, const SgdSettings& settings);
    void (*adam_f32)(const OptimRange* ranges, int count, const AdamSettings& settings);
    void (*adam_f64)(const OptimRange* ranges, int count, const AdamSettings& settings);
    // in float32 and float64
    void (*rules[kOptimRules][2])(const OptimRange* ranges, int count, const RuleSettings& s);
};

}  // namespace rl

RL_DECLARE_KERNELS(OptimKernels, optim_kernels)
