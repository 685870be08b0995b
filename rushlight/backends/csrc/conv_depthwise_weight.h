// conv_depthwise_weight.h: the weight gradient of convolution with one input channel per group.
//
// Each tap's gradient is a dot product of grad with the plane moved by the tap. Up to nine taps
// have a vector of sums each, which is folded after the last image, so that a vector of grad is
// loaded once for all of them. With 3 x 3 kernels and stride 1 three rows of grad are kept in registers
// while the rows of the plane go by, each loaded three times instead of nine.
#pragma once

#include "conv_depthwise.h"

namespace rl {
namespace RL_ISA {
namespace {

// Adds grad * plane for T taps to T vectors of sums.
template <int T>
void add_products(const ConvShape& s, const float* grad, const float* plane, int64_t row_step,
                  const int32_t* offset, float* sums) {
    constexpr int W = kW<float>;
    f32v acc[T];
    RL_UNROLL
    for (int t = 0; t < T; t++) acc[t] = ld(sums + t * W);
    for (int64_t y = 0; y < s.OH; y++, grad += s.OW, plane += row_step) {
        int64_t x = 0;
        for (; x + W <= s.OW; x += W) {
            const f32v g = ld(grad + x);
            RL_UNROLL
            for (int t = 0; t < T; t++) acc[t] = fma(g, ld(plane + x + offset[t]), acc[t]);
        }
        if (x == s.OW) continue;
        // What lies behind the row must not take part: it may be infinite.
        const int n = int(s.OW - x);
        const f32v g = ldn(grad + x, n);
        RL_UNROLL
        for (int t = 0; t < T; t++) acc[t] = fma(g, ldn(plane + x + offset[t], n), acc[t]);
    }
    RL_UNROLL
    for (int t = 0; t < T; t++) st(sums + t * W, acc[t]);
}

// The products of one vector of columns in row `row` of the plane with the rows of grad, kept in
// `rows`, that meet it through kernel rows Low .. High.
template <int Low, int High>
RL_INLINE void add_row_3x3(const float* row, const int32_t* offset, int n, const f32v* rows,
                           f32v* acc) {
    RL_UNROLL
    for (int kx = 0; kx < 3; kx++) {
        const f32v pixels = ldn(row + offset[kx], n);
        RL_UNROLL
        for (int ky = Low; ky <= High; ky++)
            acc[ky * 3 + kx] = fma(rows[ky], pixels, acc[ky * 3 + kx]);
    }
}

// add_products for 3 x 3 taps whose kernel rows are tap_row apart in the plane.
inline void add_products_3x3(const ConvShape& s, const float* grad, const float* plane,
                             int64_t row_step, int64_t tap_row, const int32_t* offset,
                             float* sums) {
    constexpr int W = kW<float>;
    f32v acc[9];
    RL_UNROLL
    for (int t = 0; t < 9; t++) acc[t] = ld(sums + t * W);
    for (int64_t x = 0; x < s.OW; x += W) {
        const int n = int(min64(W, s.OW - x));
        const float* row = plane + x;
        for (int64_t y = 0; y < s.OH; y++, row += row_step) {
            const f32v g = ldn(grad + y * s.OW + x, n);
            const f32v rows[3] = {g, g, g};
            add_row_3x3<0, 0>(row, offset, n, rows, acc);
            add_row_3x3<1, 1>(row + tap_row, offset, n, rows, acc);
            add_row_3x3<2, 2>(row + 2 * tap_row, offset, n, rows, acc);
        }
    }
    RL_UNROLL
    for (int t = 0; t < 9; t++) st(sums + t * W, acc[t]);
}

// The same where a row of the plane meets three rows of grad (there must be two or more).
inline void add_products_following(const ConvShape& s, const float* grad, const float* plane,
                                   int64_t row_step, const int32_t* offset, float* sums) {
    constexpr int W = kW<float>;
    f32v acc[9];
    RL_UNROLL
    for (int t = 0; t < 9; t++) acc[t] = ld(sums + t * W);
    for (int64_t x = 0; x < s.OW; x += W) {
        const int n = int(min64(W, s.OW - x));
        const float* row = plane + x;
        f32v rows[3] = {ldn(grad + x, n), f32v{}, f32v{}};
        add_row_3x3<0, 0>(row, offset, n, rows, acc);
        for (int64_t y = 1; y < s.OH; y++) {
            row += row_step;
            rows[2] = rows[1], rows[1] = rows[0];
            rows[0] = ldn(grad + y * s.OW + x, n);
            if (y == 1)
                add_row_3x3<0, 1>(row, offset, n, rows, acc);
            else
                add_row_3x3<0, 2>(row, offset, n, rows, acc);
        }
        rows[2] = rows[1], rows[1] = rows[0];
        add_row_3x3<1, 2>(row + row_step, offset, n, rows, acc);
        rows[2] = rows[1];
        add_row_3x3<2, 2>(row + 2 * row_step, offset, n, rows, acc);
    }
    RL_UNROLL
    for (int t = 0; t < 9; t++) st(sums + t * W, acc[t]);
}

inline void depthwise_weight_grad(const ConvShape& s, const float* grad, const float* x,
                                  float* dweight) {
    constexpr int W = kW<float>;
    const int64_t M = s.group_outputs(), taps = s.KH * s.KW, in = s.H * s.W, out = s.OH * s.OW;
    parallel_for(s.groups, depthwise_grain(s), [&](int64_t begin, int64_t end) {
        const Plane p = depthwise_plane(s);
        const ChannelPlanes planes(p, 1);
        int32_t* offset = scratch<int32_t>(kOffsets, taps);
        depthwise_offsets(s, p, offset);
        const int64_t size = (end - begin) * M * taps;
        float* sums = scratch<float>(kSums, size * W);
        fill_floats(sums, size * W, 0.0f);
        const bool is_3x3 = s.KH == 3 && s.KW == 3;
        const bool follow = is_3x3 && s.stride_h == 1 && s.dil_h == 1 && s.OH > 1;
        const int64_t row_step = s.stride_h * p.row();
        const auto add_channel = [&](const float* from, const float* plane, float* own) {
            if (follow) return add_products_following(s, from, plane, row_step, offset, own);
            if (is_3x3)
                return add_products_3x3(s, from, plane, row_step, s.dil_h * p.row(), offset, own);
            for (int64_t t = 0, step; t < taps; t += step) {
                const int64_t left = taps - t;
                step = left >= 9 ? 9 : left >= 4 ? 4 : 1;
                auto* const add = step == 9   ? add_products<9>
                                  : step == 4 ? add_products<4>
                                              : add_products<1>;
                add(s, from, plane, row_step, offset + t, own + t * W);
            }
        };
        for (int64_t n = 0; n < s.N; n++)
            planes.for_each(x + (n * s.C + begin) * in, begin, end,
                            [&](int64_t c, const float* plane) {
                for (int64_t o = c * M; o < (c + 1) * M; o++)
                    add_channel(grad + (n * s.O + o) * out, plane,
                                sums + (o - begin * M) * taps * W);
            });
        for (int64_t i = 0; i < size; i++)
            dweight[begin * M * taps + i] = hsum(ld(sums + i * W));
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
