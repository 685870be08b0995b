// layout.h: what the bindings see of changes between the layouts of images (float32).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

struct LayoutKernels {
    // `batch` matrices (rows, columns) -> (columns, rows). Channels-first images are made channels
    // last with rows = channels and columns = pixels, and back with the two exchanged.
    void (*turn)(int64_t batch, int64_t rows, int64_t columns, const float* from, float* to);
};

}  // namespace rl

RL_DECLARE_KERNELS(LayoutKernels, layout_kernels)
