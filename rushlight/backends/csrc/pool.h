// pool.h: what the bindings see of pooling (float32, up to three spatial axes).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// `planes` planes of D x H x W become OD x OH x OW. Axes that are missing have size, kernel and
// stride 1. Channels-last images are planes / channels images of `channels` numbers per pixel.
struct PoolShape {
    int64_t planes, channels;
    int64_t D, H, W, OD, OH, OW;
    int64_t KD, KH, KW;
    int64_t stride_d, stride_h, stride_w;
    int64_t pad_d, pad_h, pad_w;
    int64_t dil_d, dil_h, dil_w;
    bool count_include_pad;
    int64_t divisor;  // 0: the number of pixels in the window

    int64_t in() const { return D * H * W; }
    int64_t out() const { return OD * OH * OW; }
};

// Those of the adaptive kernels and of max_pool_grad read only the sizes.
struct PoolFunctions {
    // Without indices (null) only the maxima.
    void (*max_pool)(const PoolShape&, const float* x, float* y, int64_t* indices);
    // dx[plane][indices[plane][i]] += grad[plane][i]; dx is zeroed first.
    void (*max_pool_grad)(const PoolShape&, const float* grad, const int64_t* indices, float* dx);
    void (*avg_pool)(const PoolShape&, const float* x, float* y);
    void (*avg_pool_grad)(const PoolShape&, const float* grad, float* dx);
    void (*adaptive_max_pool)(const PoolShape&, const float* x, float* y, int64_t* indices);
    void (*adaptive_avg_pool)(const PoolShape&, const float* x, float* y);
    void (*adaptive_avg_pool_grad)(const PoolShape&, const float* grad, float* dx);
};

struct PoolKernels {
    PoolFunctions first;  // channels first
    PoolFunctions last;   // channels last
};

}  // namespace rl

RL_DECLARE_KERNELS(PoolKernels, pool_kernels)
