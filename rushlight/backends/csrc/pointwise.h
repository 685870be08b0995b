// pointwise.h: functions of two arrays of floats beyond plain arithmetic (see pointwise.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"
#include "elementwise.h"

namespace rl {

enum PointwiseOp {
    kFmod, kRemainder, kFloorDiv, kTruncDiv, kHypot, kCopysign, kHeaviside, kNextafter, kXlogy,
    kPointwiseOps
};

struct PointwiseKernels {
    BinaryLoop loops[kPointwiseOps][2];  // of float and double
};

}  // namespace rl

RL_DECLARE_KERNELS(PointwiseKernels, pointwise_kernels)
