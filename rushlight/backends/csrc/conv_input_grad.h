// conv_input_grad.h: the input gradient as a convolution of the output's gradient.
//
// Input pixel y was read, through tap k, by output pixel (y + pad - k * dil) / stride, if that is
// whole. Pixels with the same remainder of y modulo the stride use the same taps, so the gradient
// falls into stride_h * stride_w phases, each a convolution of stride one with some of the taps:
// only the table of offsets differs. All phases read one padded plane of grad; with several phases
// each is computed compactly and then spread over its pixels.
#pragma once

#include "conv.h"
#include "conv_direct.h"

namespace rl {
namespace RL_ISA {
namespace {

// Along one axis: pixel `stride * m + remainder` of the input was read, through tap k, by output
// m + shift. A tap takes part in the phase for which that shift is whole.
struct PhaseTaps {
    int count = 0;
    int32_t* tap;
    int32_t* shift;
};

inline PhaseTaps phase_taps(int64_t remainder, int64_t K, int64_t stride, int64_t pad, int64_t dil,
                            int32_t* room) {
    PhaseTaps t;
    t.tap = room;
    t.shift = room + K;
    for (int64_t k = 0; k < K; k++) {
        const int64_t distance = remainder + pad - k * dil;
        if (distance % stride != 0) continue;
        t.tap[t.count] = int32_t(k);
        t.shift[t.count++] = int32_t(distance / stride);
    }
    return t;
}

// The smallest and largest shift over all phases of an axis.
inline void shift_bounds(int64_t K, int64_t stride, int64_t pad, int64_t dil, int64_t* low,
                         int64_t* high) {
    *low = (pad - (K - 1) * dil) / stride - 1;
    *high = (stride - 1 + pad) / stride;
}

struct InputGradPlan {
    ConvShape s;
    Plane plane;             // of grad, shared by all phases
    int64_t low_h, low_w;
    int64_t packed_phase;    // room for the packed weights of one phase of one group
    int64_t phases() const { return s.stride_h * s.stride_w; }
};

inline InputGradPlan plan_input_grad(const ConvShape& s) {
    InputGradPlan plan;
    int64_t high_h, high_w;
    plan.s = s;
    shift_bounds(s.KH, s.stride_h, s.pad_h, s.dil_h, &plan.low_h, &high_h);
    shift_bounds(s.KW, s.stride_w, s.pad_w, s.dil_w, &plan.low_w, &high_w);
    Plane& p = plan.plane;
    p.C = s.group_outputs(), p.H = s.OH, p.W = s.OW;
    p.top = plan.low_h, p.left = plan.low_w;
    p.rows = ceil_div(s.H, s.stride_h) + high_h - plan.low_h;
    p.cols = ceil_div(s.W, s.stride_w) + high_w - plan.low_w;
    p.phases = 1;
    if (s.y_last) p.pixel = s.O;
    plan.packed_phase = packed_size(s.group_channels(), s.group_outputs() * s.KH * s.KW);
    return plan;
}

// Offsets into the plane of grad, and positions in the weight, for every (o, ky, kx) of a phase.
inline int64_t phase_offsets(const InputGradPlan& plan, int64_t phase, int32_t* offset,
                             int32_t* index) {
    const ConvShape& s = plan.s;
    int32_t* room = scratch<int32_t>(kTaps, 2 * (s.KH + s.KW));
    const PhaseTaps v = phase_taps(phase / s.stride_w, s.KH, s.stride_h, s.pad_h, s.dil_h, room);
    const PhaseTaps h = phase_taps(phase % s.stride_w, s.KW, s.stride_w, s.pad_w, s.dil_w,
                                   room + 2 * s.KH);
    const int64_t taps = s.KH * s.KW;
    int64_t n = 0;
    for (int64_t o = 0; o < s.group_outputs(); o++)
        for (int a = 0; a < v.count; a++)
            for (int b = 0; b < h.count; b++) {
                offset[n] = int32_t(o * plan.plane.channel() +
                                    (v.shift[a] - plan.low_h) * plan.plane.row() + h.shift[b] -
                                    plan.low_w);
                index[n++] = int32_t(o * s.group_channels() * taps + v.tap[a] * s.KW + h.tap[b]);
            }
    return n;
}

// Writes one phase's pixels, `stride` apart, from the compact result.
inline void spread_phase(const ConvShape& s, int64_t phase, const float* from, int64_t rows,
                         int64_t cols, int64_t channels, float* dx) {
    const int64_t y0 = phase / s.stride_w, x0 = phase % s.stride_w;
    for (int64_t c = 0; c < channels; c++, dx += s.H * s.W)
        for (int64_t m = 0; m < rows; m++, from += cols) {
            float* row = dx + (m * s.stride_h + y0) * s.W + x0;
            for (int64_t i = 0; i < cols; i++) row[i * s.stride_w] = from[i];
        }
}

// Packs one group's weights for all phases, packed_phase apart.
inline void pack_input_grad(const InputGradPlan& plan, const float* weight, float* packed) {
    const ConvShape& s = plan.s;
    const int64_t C = s.group_channels(), O = s.group_outputs(), taps = s.KH * s.KW;
    int32_t* offset = scratch<int32_t>(kOffsets, 2 * O * taps);
    int32_t* const index = offset + O * taps;
    int32_t* listed = scratch<int32_t>(kResult, taps);
    PhaseWeights* phases = scratch<PhaseWeights>(kSums, plan.phases());
    for (int64_t phase = 0; phase < plan.phases(); phase++) {
        const int64_t K = phase_offsets(plan, phase, offset, index);
        float* target = packed + phase * plan.packed_phase;
        if (!has_many_outputs(C)) {
            pack_weights(weight, taps, index, C, K, target);
            continue;
        }
        // Those of the first o, whose positions in the weight are the taps' numbers.
        phases[phase] = {listed, K / O, target};
        for (int64_t i = 0; i < K / O; i++) *listed++ = index[i];
    }
    if (has_many_outputs(C)) pack_reversed(weight, O, C, taps, phases, plan.phases());
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
