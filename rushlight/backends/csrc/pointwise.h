// pointwise.h: functions of two arrays of floats beyond plain arithmetic (see pointwise.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"
#include "elementwise.h"

namespace rl {

enum PointwiseOp {
    kFmod, kRemainder, kFloorDiv, kTruncDiv, kHypot, kCopysign, kHeaviside, kNextafter, kXlogy,
    kPow, kCube, kAtan2,  // of floats only; the second operand of kCube is not looked at
    kPointwiseOps
};

struct PointwiseKernels {
    BinaryLoop loops[kPointwiseOps][2];  // of float and double; null where there is no kernel
};

}  // namespace rl

RL_DECLARE_KERNELS(PointwiseKernels, pointwise_kernels)
