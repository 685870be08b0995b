// cast.h: conversions between number types (see cast.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

enum CastSource { kFromF32, kFromF64, kFromI32, kFromI64, kFromBool, kFromU8, kCastSources };
enum CastTarget { kToF32, kToF64, kToI64, kToBool, kCastTargets };

// n elements; strides in bytes.
typedef void (*CastLoop)(char* out, const char* x, int64_t n, int64_t out_stride, int64_t x_stride);

struct CastKernels {
    CastLoop loops[kCastSources][kCastTargets];
};

}  // namespace rl

RL_DECLARE_KERNELS(CastKernels, cast_kernels)
