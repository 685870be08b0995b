// ternary.h: one function of three arrays, element by element (see ternary.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"
#include "elementwise.h"

namespace rl {

enum TernaryOp { kAddCMul, kAddCDiv, kLerp, kClamp, kTernaryOps };

// n elements of the result (0) and the operands (1 to 3); strides in bytes, 0 repeats an element.
// `factor` is addcmul's and addcdiv's, in the type of the operands.
typedef void (*TernaryLoop)(char* const* at, const int64_t* stride, int64_t n, Element factor);

struct TernaryKernels {
    TernaryLoop loops[kTernaryOps][kNumbers];  // null where there is no kernel
    // Operand 1 is bool, the others have items of 1, 2, 4, 8 or 16 bytes: operand 2 where operand 1
    // holds, else operand 3. The result lies apart from the operands.
    void (*where)(char* const* at, const int64_t* stride, int64_t n, int64_t item);
};

}  // namespace rl

RL_DECLARE_KERNELS(TernaryKernels, ternary_kernels)
