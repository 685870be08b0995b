// conv_scatter.h: the input gradient for few channels, one row of the input at a time.
//
// The gather of conv_input_grad.h puts neighbouring pixels into vectors and reads a padded plane of
// grad, so on small planes half of its products are with padding. Here each output pixel is
// multiplied by the weights that it met, with the pairs (kx, c) in vectors (30 lanes of 32 for a
// 5 x 5 kernel and 6 channels), summed over outputs and over the kernel rows that exist:
//
//     part[gx][kx][c] = sum over o, ky of grad[o][gy][gx] * weight[o][c][ky][kx]
//
// That is a matrix product; the tile for many outputs in conv_direct.h computes it, broadcasting
// grad from where it lies. Then the parts of a row are put where they belong:
//
//     dx[c][y][x] = sum over kx of part[gx][kx][c]   with gx * stride + kx * dilation = x + pad
//
// Kernel rows are sorted by their phase (ky * dilation modulo the stride), so that those that meet
// one row of dx are neighbours among the packed weights.
#pragma once

#include "conv.h"
#include "conv_direct.h"

namespace rl {
namespace RL_ISA {
namespace {

struct ScatterPlan {
    ConvShape s;
    int64_t lanes;         // of one pixel's part: KW * channels, in whole vectors
    const int32_t* order;  // the kernel rows, sorted by phase
    const int32_t* first;  // order[first[phase]] .. order[first[phase + 1] - 1] are a phase's
    const int32_t* offset;  // of (place in order, o) in grad, from row (y + pad_h) / stride_h
    const int32_t* begin;  // sources[begin[x]] .. sources[begin[x + 1] - 1] are column x's,
    const int32_t* sources;  // places in a row of parts
    const float* packed;  // [group][panel of two vectors][place in order][o][lane]

    int64_t group_weights() const { return lanes * s.KH * s.group_outputs(); }
};

inline ScatterPlan plan_scatter(const ConvShape& s) {
    const int64_t O = s.group_outputs();
    ScatterPlan plan;
    plan.s = s;
    plan.lanes = ceil_div(s.KW * s.group_channels(), kW<float>) * kW<float>;

    int32_t* order = scratch<int32_t>(kTaps, s.KH + s.stride_h + 1);
    int32_t* first = order + s.KH;
    int32_t* offset = scratch<int32_t>(kOffsets, s.KH * O + s.W + 1 + s.W * s.KW);
    plan.order = order, plan.first = first, plan.offset = offset;
    int32_t place = 0;
    for (int64_t phase = 0; phase < s.stride_h; phase++) {
        first[phase] = place;
        for (int64_t ky = 0; ky < s.KH; ky++) {
            if (ky * s.dil_h % s.stride_h != phase) continue;
            for (int64_t o = 0; o < O; o++)
                *offset++ = int32_t(o * s.OH * s.OW - ky * s.dil_h / s.stride_h * s.OW);
            order[place++] = int32_t(ky);
        }
    }
    first[s.stride_h] = place;

    int32_t* begin = offset;
    int32_t* sources = begin + s.W + 1;
    plan.begin = begin, plan.sources = sources;
    int32_t count = 0;
    for (int64_t x = 0; x < s.W; x++) {
        begin[x] = count;
        for (int64_t kx = 0; kx < s.KW; kx++) {
            const int64_t distance = x + s.pad_w - kx * s.dil_w, gx = distance / s.stride_w;
            if (distance < 0 || distance % s.stride_w != 0 || gx >= s.OW) continue;
            sources[count++] = int32_t(gx * plan.lanes + kx * s.group_channels());
        }
    }
    begin[s.W] = count;
    return plan;
}

// One group's weights (O, C, KH, KW) in the order of the plan.
inline void pack_scatter(const ScatterPlan& plan, const float* weight, float* packed) {
    const ConvShape& s = plan.s;
    const int64_t O = s.group_outputs(), C = s.group_channels(), panel = 2 * kW<float>;
    float* pairs = scratch<float>(kPlane, plan.lanes);
    fill_floats(pairs, plan.lanes, 0.0f);
    for (int64_t o = 0; o < O; o++)
        for (int64_t place = 0; place < s.KH; place++) {
            const float* from = weight + (o * C * s.KH + plan.order[place]) * s.KW;
            for (int64_t c = 0; c < C; c++, from += s.KH * s.KW)
                for (int64_t kx = 0; kx < s.KW; kx++) pairs[kx * C + c] = from[kx];
            for (int64_t lane = 0; lane < plan.lanes; lane += panel) {
                const int64_t width = min64(panel, plan.lanes - lane);
                float* to = packed + lane * s.KH * O + (place * O + o) * width;
                copy_floats(to, pairs + lane, width);
            }
        }
}

// The parts of the row of dx that is `row` rows below the first output row's first tap.
// False if no output row meets it.
inline bool make_parts(const ScatterPlan& plan, const float* grad, const float* packed,
                       int64_t row, float* parts) {
    const ConvShape& s = plan.s;
    const int64_t O = s.group_outputs(), phase = row % s.stride_h, m = row / s.stride_h;
    int64_t begin = plan.first[phase], end = plan.first[phase + 1];
    auto output_row = [&](int64_t i) { return m - plan.order[i] * s.dil_h / s.stride_h; };
    while (begin < end && output_row(begin) >= s.OH) begin++;
    while (begin < end && output_row(end - 1) < 0) end--;
    if (begin == end) return false;

    const int64_t blocks = ceil_div(s.OW, kPixels), panel = 2 * kW<float>;
    ManyTile t = {};
    t.K = (end - begin) * O;
    t.offset = plan.offset + begin * O;
    t.y_channel = 1, t.y_pixel = plan.lanes;
    for (int64_t lane = 0; lane < plan.lanes; lane += panel) {
        const int64_t width = min64(panel, plan.lanes - lane);
        t.outputs = int(width);
        t.weight = packed + lane * s.KH * O + begin * O * width;
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t x = share(s.OW, blocks, b);
            t.src = grad + m * s.OW + x;
            t.y = parts + x * plan.lanes + lane;
            many_function(1, int(share(s.OW, blocks, b + 1) - x), int(width / kW<float>))(t);
        }
    }
    return true;
}

// Row of dx, channels `channel` apart: W columns x W channels at a time.
inline void sum_parts(const ScatterPlan& plan, const float* parts, int64_t channel, float* dx) {
    constexpr int W = kW<float>;
    const int64_t C = plan.s.group_channels();
    for (int64_t x = 0; x < plan.s.W; x += W)
        for (int64_t c = 0; c < C; c += W) {
            const int columns = int(min64(W, plan.s.W - x)), channels = int(min64(W, C - c));
            f32v block[W];
            for (int i = 0; i < W; i++) {
                f32v sum = {};
                if (i < columns)
                    for (int32_t k = plan.begin[x + i]; k < plan.begin[x + i + 1]; k++)
                        sum += ld(parts + plan.sources[k] + c);
                block[i] = sum;
            }
            transpose(block);
            for (int i = 0; i < channels; i++) stn(dx + (c + i) * channel + x, block[i], columns);
        }
}

// Rows first_row .. last_row - 1 of one image and group.
inline void scatter_rows(const ScatterPlan& plan, const float* grad, const float* packed,
                         int64_t first_row, int64_t last_row, float* dx) {
    const ConvShape& s = plan.s;
    float* parts = scratch<float>(kResult, s.OW * plan.lanes + kW<float>);
    for (int64_t y = first_row; y < last_row; y++) {
        if (make_parts(plan, grad, packed, y + s.pad_h, parts)) {
            sum_parts(plan, parts, s.H * s.W, dx + y * s.W);
        } else {
            for (int64_t c = 0; c < s.group_channels(); c++)
                fill_floats(dx + c * s.H * s.W + y * s.W, s.W, 0.0f);
        }
    }
}

// Whether this takes fewer vector operations than the gather, which for few channels has a vector
// of pixels per product. The sums at the end of a row cost about KW + 6 operations per column.
inline bool scatter_pays(const ConvShape& s) {
    constexpr int W = kW<float>;
    const int64_t C = s.group_channels(), O = s.group_outputs();
    if (has_many_outputs(C)) return false;
    const int64_t phase_columns = ceil_div(s.W, s.stride_w);
    const int64_t gather = s.H * ceil_div(phase_columns, W) * s.KH * s.KW * O * C / s.stride_h;
    const int64_t scatter = s.OH * s.KH * O * s.OW * ceil_div(s.KW * C, W) +
                            s.H * s.W * ceil_div(C, W) * (ceil_div(s.KW, s.stride_w) + 6);
    return scatter < gather;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
