// pool.h: what the bindings see of pooling (float32, two spatial axes).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// `planes` planes of H x W become OH x OW. One axis is two with H = KH = OH = 1.
struct PoolShape {
    int64_t planes, H, W, OH, OW;
    int64_t KH, KW;
    int64_t stride_h, stride_w;
    int64_t pad_h, pad_w;
    int64_t dil_h, dil_w;
    bool count_include_pad;
    int64_t divisor;  // 0: the number of pixels in the window
};

struct PoolKernels {
    void (*max_pool)(const PoolShape&, const float* x, float* y, int64_t* indices);
    // dx[plane][indices[plane][i]] += grad[plane][i]; dx is zeroed first.
    void (*max_pool_grad)(int64_t planes, int64_t in_plane, int64_t out_plane, const float* grad,
                          const int64_t* indices, float* dx);
    void (*avg_pool)(const PoolShape&, const float* x, float* y);
    void (*avg_pool_grad)(const PoolShape&, const float* grad, float* dx);
    // Only planes, H, W, OH, OW are read.
    void (*adaptive_avg_pool)(const PoolShape&, const float* x, float* y);
    void (*adaptive_avg_pool_grad)(const PoolShape&, const float* grad, float* dx);
};

}  // namespace rl

RL_DECLARE_KERNELS(PoolKernels, pool_kernels)
