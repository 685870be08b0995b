// conv.h: what the bindings see of convolution (float32, two spatial axes).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// Steps in memory along the axes of an array of images (N, C, H, W).
struct ImageSteps {
    int64_t image, channel, row, pixel;
};

// Channels first: C-contiguous. Channels last: the channels of a pixel are neighbours, in memory
// the array is (N, H, W, C).
inline ImageSteps image_steps(int64_t C, int64_t H, int64_t W, bool channels_last) {
    if (channels_last) return {C * H * W, 1, W * C, C};
    return {C * H * W, H * W, W, 1};
}

// Shapes: x (N, C, H, W), weight (O, C/groups, KH, KW), y (N, O, OH, OW), each channels first or
// channels last; the gradients dx and grad lie as x and y do, dweight is channels first.
// One axis is two with H = KH = OH = 1.
struct ConvShape {
    int64_t N, C, H, W;
    int64_t O, KH, KW, OH, OW;
    int64_t stride_h, stride_w;
    int64_t pad_h, pad_w;
    int64_t dil_h, dil_w;
    int64_t groups;
    bool relu = false;  // forward only: negative results become zero
    bool x_last = false, weight_last = false, y_last = false;  // channels last

    int64_t group_channels() const { return C / groups; }
    int64_t group_outputs() const { return O / groups; }
    ImageSteps x_steps() const { return image_steps(C, H, W, x_last); }
    ImageSteps y_steps() const { return image_steps(O, OH, OW, y_last); }
    int64_t work() const { return N * O * OH * OW * (C / groups) * KH * KW; }
};

// All but bias_grad return false when there is no memory for a working copy.
struct ConvKernels {
    // y = conv(x, weight) + bias, rectified if the shape says so; bias may be null.
    bool (*forward)(const ConvShape&, const float* x, const float* weight, const float* bias,
                    float* y);
    bool (*input_grad)(const ConvShape&, const float* grad, const float* weight, float* dx);
    bool (*weight_grad)(const ConvShape&, const float* grad, const float* x, float* dweight);
    // Sums over batch and plane: grad (N, O, plane), or (N, plane, O) if channels last, -> (O,).
    void (*bias_grad)(int64_t N, int64_t O, int64_t plane, bool channels_last, const float* grad,
                      float* dbias);
};

}  // namespace rl

RL_DECLARE_KERNELS(ConvKernels, conv_kernels)
