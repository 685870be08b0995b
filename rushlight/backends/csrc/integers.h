// integers.h: quotients, remainders and bits of whole numbers (see integers.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"
#include "elementwise.h"

namespace rl {

enum DivisionOp { kIntFloorDiv, kIntTruncDiv, kIntRemainder, kIntFmod, kDivisionOps };
enum BitOp { kAnd, kOr, kXor, kBitOps };
enum ShiftOp { kLeftShift, kRightShift, kShiftOps };

struct IntegerKernels {
    BinaryLoop division[kDivisionOps][2];  // of int32 and int64; no divisor is zero
    BinaryLoop bits[kBitOps][4];           // of items of 1, 2, 4 and 8 bytes
    BinaryLoop shifts[kShiftOps][2];       // of int32 and int64
    // Whether one of n numbers side by side is zero, of int32 and int64.
    bool (*has_zero[2])(const void* x, int64_t n);
};

}  // namespace rl

RL_DECLARE_KERNELS(IntegerKernels, integer_kernels)
