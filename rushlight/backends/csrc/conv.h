// conv.h: what the bindings see of convolution (float32, two spatial axes).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// Shapes: x (N, C, H, W), weight (O, C/groups, KH, KW), y (N, O, OH, OW), all C-contiguous.
// One axis is two with H = KH = OH = 1.
struct ConvShape {
    int64_t N, C, H, W;
    int64_t O, KH, KW, OH, OW;
    int64_t stride_h, stride_w;
    int64_t pad_h, pad_w;
    int64_t dil_h, dil_w;
    int64_t groups;
    bool relu = false;  // forward only: negative results become zero

    int64_t group_channels() const { return C / groups; }
    int64_t group_outputs() const { return O / groups; }
    int64_t work() const { return N * O * OH * OW * (C / groups) * KH * KW; }
};

struct ConvKernels {
    // y = conv(x, weight) + bias, rectified if the shape says so; bias may be null.
    void (*forward)(const ConvShape&, const float* x, const float* weight, const float* bias,
                    float* y);
    void (*input_grad)(const ConvShape&, const float* grad, const float* weight, float* dx);
    void (*weight_grad)(const ConvShape&, const float* grad, const float* x, float* dweight);
    // Sums over batch and plane: grad (N, O, plane) -> (O,).
    void (*bias_grad)(int64_t N, int64_t O, int64_t plane, const float* grad, float* dbias);
};

}  // namespace rl

RL_DECLARE_KERNELS(ConvKernels, conv_kernels)
