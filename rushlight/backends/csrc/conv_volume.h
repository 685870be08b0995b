// conv_volume.h: what the bindings see of convolution over three spatial axes (float32).
#pragma once

#include "conv.h"

namespace rl {

// x (N, C, D, H, W), weight (O, C/groups, KD, KH, KW), y (N, O, OD, OH, OW), all C-contiguous;
// `plane` has everything but the depth.
struct VolumeShape {
    ConvShape plane;
    int64_t D, KD, OD;
    int64_t stride_d, pad_d, dil_d;
};

// All return false when there is no memory for the working copies.
struct VolumeKernels {
    bool (*forward)(const VolumeShape&, const float* x, const float* weight, const float* bias,
                    float* y);
    bool (*input_grad)(const VolumeShape&, const float* grad, const float* weight, float* dx);
    bool (*weight_grad)(const VolumeShape&, const float* grad, const float* x, float* dweight);
};

}  // namespace rl

RL_DECLARE_KERNELS(VolumeKernels, volume_kernels)
