// conv_depthwise.h: convolution whose groups have one input channel each.
//
// Nothing is shared between channels, so there is little to multiply for every number read and no
// matrix product to be had. One channel's image is copied into a padded, stride-sorted plane
// (conv_plane.h) that stays in the cache and whose border is written once for all channels. Small
// planes are filled several at a time: what has just been written cannot be read with another
// alignment before it has left the store buffer. Vectors hold neighbouring pixels of a row, and
// each tap is a load at a fixed offset:
//   forward          four rows at a time; with K x K kernels, K = 3 or 5, a row of the plane is
//                    loaded K times for all output rows that read it, the weights in registers.
//   input gradient   the same on a plane of grad with the taps reversed. Stride s has s * s phases
//                    (conv_input_grad.h); two column phases are computed together and joined.
// The weight gradient is in conv_depthwise_weight.h.
#pragma once

#include "conv_input_grad.h"

namespace rl {
namespace RL_ISA {
namespace {

inline bool is_depthwise(const ConvShape& s) {
    return s.group_channels() == 1 && s.groups > 1;
}

// Channels per range: about 30 microseconds. Of small planes, copying and starting take as long as
// the products.
inline int64_t depthwise_grain(const ConvShape& s) {
    const int64_t products = s.group_outputs() * s.OH * s.OW * s.KH * s.KW;
    return ceil_div(600000, s.N * (products / 2 + 2 * s.H * s.W + 400)) + 1;
}

// ---------------------------------------------------------------------------- taps over pixels
struct Taps {
    int64_t count;
    const int32_t* offset;  // in the plane, from the output pixel
    const float* weight;
    float bias;
    bool relu = false;
};

struct Rows {
    const float* plane;
    int64_t row_step;  // in the plane, from an output row to the next
    float* y;
    int64_t rows, columns;
};

// Rows y .. y + R - 1.
template <int R>
void tap_rows(const Rows& to, const Taps& taps, int64_t y) {
    constexpr int W = kW<float>;
    for (int64_t x = 0; x < to.columns; x += W) {
        const float* src = to.plane + y * to.row_step + x;
        const int n = int(min64(W, to.columns - x));
        f32v acc[R];
        RL_UNROLL
        for (int r = 0; r < R; r++) acc[r] = splat(taps.bias);
        for (int64_t k = 0; k < taps.count; k++) {
            const f32v w = splat(taps.weight[k]);
            const float* at = src + taps.offset[k];
            RL_UNROLL
            for (int r = 0; r < R; r++) acc[r] = fma(w, ld(at + r * to.row_step), acc[r]);
        }
        RL_UNROLL
        for (int r = 0; r < R; r++)
            stn(to.y + (y + r) * to.columns + x, rectified(acc[r], taps.relu), n);
    }
}

// The same for K x K taps and row stride S; the first K taps' offsets will do.
template <int K, int R, int S>
void tap_rows_square(const Rows& to, const Taps& taps, int64_t y) {
    constexpr int W = kW<float>;
    f32v weight[K * K];
    RL_UNROLL
    for (int k = 0; k < K * K; k++) weight[k] = splat(taps.weight[k]);
    for (int64_t x = 0; x < to.columns; x += W) {
        const float* src = to.plane + y * to.row_step + x;
        const int n = int(min64(W, to.columns - x));
        f32v acc[R];
        RL_UNROLL
        for (int r = 0; r < R; r++) acc[r] = splat(taps.bias);
        RL_UNROLL
        for (int row = 0; row < (R - 1) * S + K; row++) {
            RL_UNROLL
            for (int kx = 0; kx < K; kx++) {
                const f32v pixels = ld(src + row * (to.row_step / S) + taps.offset[kx]);
                RL_UNROLL
                for (int ky = 0; ky < K; ky++) {
                    const int r = (row - ky) / S;
                    if (row >= ky && (row - ky) % S == 0 && r < R)
                        acc[r] = fma(weight[ky * K + kx], pixels, acc[r]);
                }
            }
        }
        RL_UNROLL
        for (int r = 0; r < R; r++)
            stn(to.y + (y + r) * to.columns + x, rectified(acc[r], taps.relu), n);
    }
}

// Whether there are K rows of K taps each, the rows 1 / S of the row step apart.
inline bool is_square(const Rows& to, const Taps& taps, int K, int64_t S) {
    if (taps.count != K * K) return false;
    for (int k = K; k < K * K; k++)
        if ((taps.offset[k] - taps.offset[k - K]) * S != to.row_step) return false;
    return true;
}

typedef void (*RowsFunction)(const Rows&, const Taps&, int64_t y);

// For four rows at a time; the kernels of the usual networks have code of their own.
inline RowsFunction four_rows(const Rows& to, const Taps& taps) {
    if (is_square(to, taps, 3, 1)) return tap_rows_square<3, 4, 1>;
    if (is_square(to, taps, 3, 2)) return tap_rows_square<3, 4, 2>;
    if (is_square(to, taps, 5, 1)) return tap_rows_square<5, 4, 1>;
    return tap_rows<4>;
}

inline void run_taps(const Rows& to, const Taps& taps) {
    if (to.rows < 4) {
        for (int64_t y = 0; y < to.rows; y++) tap_rows<1>(to, taps, y);
        return;
    }
    RowsFunction run = four_rows(to, taps);
    // A last block that is too short moves up and computes some rows again.
    for (int64_t y = 0; y < to.rows; y += 4) run(to, taps, min64(y, to.rows - 4));
}

// ---------------------------------------------------------------------------- forward
inline Plane depthwise_plane(const ConvShape& s) {
    Plane p;
    p.C = 1, p.H = s.H, p.W = s.W;
    p.top = -s.pad_h, p.left = -s.pad_w;
    p.rows = (s.OH - 1) * s.stride_h + (s.KH - 1) * s.dil_h + 1;
    p.phases = s.stride_w;
    p.cols = s.OW + (s.KW - 1) * s.dil_w / s.stride_w;
    return p;
}

inline void depthwise_offsets(const ConvShape& s, const Plane& p, int32_t* offset) {
    for (int64_t ky = 0; ky < s.KH; ky++)
        for (int64_t kx = 0; kx < s.KW; kx++) {
            const int64_t step = kx * s.dil_w;
            *offset++ = int32_t(ky * s.dil_h * p.row() + step % s.stride_w * p.cols +
                                step / s.stride_w);
        }
}

// Planes of a few channels with their borders; the last rows are read a whole vector wide.
class ChannelPlanes {
  public:
    ChannelPlanes(const Plane& shape, int64_t planes_per_channel) : shape_(shape) {
        shape_.C = planes_per_channel;
        most_ = kCachedFloats / shape_.size();
        if (most_ < 1) most_ = 1;
        if (most_ > kMostChannels) most_ = kMostChannels;
        const int64_t room = most_ * shape_.size() + kW<float>;
        planes_ = scratch<float>(kPlane, room);
        fill_floats(planes_, room, 0.0f);
    }

    // Calls body(channel, plane) for channels begin .. end - 1, the first of which lies at src.
    template <class Body>
    void for_each(const float* src, int64_t begin, int64_t end, const Body& body) const {
        Plane several = shape_;
        for (int64_t c = begin; c < end; c += most_) {
            const int64_t count = min64(most_, end - c);
            several.C = count * shape_.C;
            fill_inside(several, src + (c - begin) * shape_.C * shape_.H * shape_.W, planes_);
            for (int64_t i = 0; i < count; i++) body(c + i, planes_ + i * shape_.size());
        }
    }

    int64_t row() const { return shape_.row(); }

  private:
    static constexpr int64_t kCachedFloats = 4096, kMostChannels = 8;
    Plane shape_;
    int64_t most_;
    float* planes_;
};

inline void depthwise_forward(const ConvShape& s, const float* x, const float* weight,
                              const float* bias, float* y) {
    const int64_t M = s.group_outputs(), taps = s.KH * s.KW, in = s.H * s.W, out = s.OH * s.OW;
    parallel_for(s.groups, depthwise_grain(s), [&](int64_t begin, int64_t end) {
        const Plane p = depthwise_plane(s);
        const ChannelPlanes planes(p, 1);
        int32_t* offset = scratch<int32_t>(kOffsets, taps);
        depthwise_offsets(s, p, offset);
        for (int64_t n = 0; n < s.N; n++)
            planes.for_each(x + (n * s.C + begin) * in, begin, end,
                            [&](int64_t c, const float* plane) {
                for (int64_t o = c * M; o < (c + 1) * M; o++)
                    run_taps(Rows{plane, s.stride_h * p.row(), y + (n * s.O + o) * out, s.OH, s.OW},
                             Taps{taps, offset, weight + o * taps, bias ? bias[o] : 0.0f, s.relu});
            });
    });
}

// ---------------------------------------------------------------------------- input gradient
inline void swap_values(int32_t* a, int32_t* b) {
    const int32_t kept = *a;
    *a = *b;
    *b = kept;
}

// The phases of one group's gradient: which taps, and where they read.
struct DepthwisePhase {
    int64_t rows, columns, taps;
    const int32_t* offset;
    const int32_t* index;  // of the tap's weight
};

// R rows from row y of two column phases, whose pixels alternate in rows of W numbers that are
// y_step apart.
template <int R>
void tap_row_pairs(const Rows& to, const Taps* phases, int64_t y, int64_t y_step, int64_t W) {
    constexpr int lanes = kW<float>;
    for (int64_t x = 0; x < to.columns; x += lanes) {
        const float* src = to.plane + y * to.row_step + x;
        f32v acc[2][R] = {};
        RL_UNROLL
        for (int phase = 0; phase < 2; phase++)
            for (int64_t k = 0; k < phases[phase].count; k++) {
                const f32v w = splat(phases[phase].weight[k]);
                const float* at = src + phases[phase].offset[k];
                RL_UNROLL
                for (int r = 0; r < R; r++)
                    acc[phase][r] = fma(w, ld(at + r * to.row_step), acc[phase][r]);
            }
        RL_UNROLL
        for (int r = 0; r < R; r++)
            store_pairs(to.y + (y + r) * y_step + 2 * x, acc[0][r], acc[1][r],
                        int(min64(2 * lanes, W - 2 * x)));
    }
}

// Stride 2 along the row: rows y0, y0 + stride_h, ... of dx.
inline void run_tap_pairs(const ConvShape& s, const Rows& to, const Taps* phases) {
    constexpr int R = 4;
    const int64_t step = s.stride_h * s.W;
    if (to.rows < R)
        for (int64_t y = 0; y < to.rows; y++) tap_row_pairs<1>(to, phases, y, step, s.W);
    else
        for (int64_t y = 0; y < to.rows; y += R)
            tap_row_pairs<R>(to, phases, min64(y, to.rows - R), step, s.W);
}

inline void depthwise_input_grad(const ConvShape& s, const float* grad, const float* weight,
                                 float* dx) {
    const InputGradPlan plan = plan_input_grad(s);
    const int64_t phases = plan.phases(), most = s.group_outputs() * s.KH * s.KW;
    int32_t* offsets = scratch<int32_t>(kOffsets, 2 * most * phases);
    DepthwisePhase* listed = scratch<DepthwisePhase>(kSums, phases);
    for (int64_t i = 0; i < phases; i++) {
        int32_t* offset = offsets + 2 * most * i;
        const int64_t taps = phase_offsets(plan, i, offset, offset + most);
        // Backwards, which is in the order in which the plane lies.
        for (int64_t a = 0, b = taps - 1; a < b; a++, b--) {
            swap_values(&offset[a], &offset[b]);
            swap_values(&offset[most + a], &offset[most + b]);
        }
        listed[i] = {ceil_div(s.H - i / s.stride_w, s.stride_h),
                     ceil_div(s.W - i % s.stride_w, s.stride_w), taps, offset, offset + most};
    }
    const int64_t M = s.group_outputs(), in = s.H * s.W, out = s.OH * s.OW;
    parallel_for(s.groups, depthwise_grain(s), [&](int64_t begin, int64_t end) {
        const ChannelPlanes planes(plan.plane, M);
        float* weights = scratch<float>(kWeights, 2 * most);
        float* result = scratch<float>(kResult, in);
        const auto taps_of = [&](const DepthwisePhase& phase, int64_t c, float* room) {
            for (int64_t k = 0; k < phase.taps; k++) room[k] = weight[c * most + phase.index[k]];
            return Taps{phase.taps, phase.offset, room, 0.0f};
        };
        const auto run_channel = [&](int64_t c, const float* plane, float* target) {
            for (int64_t i = 0; i < phases; i++) {
                const DepthwisePhase& phase = listed[i];
                if (phase.rows <= 0 || phase.columns <= 0) continue;
                Rows to{plane, planes.row(), target, phase.rows, phase.columns};
                const Taps taps = taps_of(phase, c, weights);
                if (phases == 1) {
                    run_taps(to, taps);
                } else if (s.stride_w == 2 && i % 2 == 0) {
                    const Taps both[] = {taps, taps_of(listed[i + 1], c, weights + most)};
                    to.y += i / 2 * s.W;
                    run_tap_pairs(s, to, both);
                } else if (s.stride_w != 2) {
                    to.y = result;
                    run_taps(to, taps);
                    spread_phase(s, i, result, to.rows, to.columns, 1, target);
                }
            }
        };
        for (int64_t n = 0; n < s.N; n++)
            planes.for_each(grad + (n * s.O + begin * M) * out, begin, end,
                            [&](int64_t c, const float* plane) {
                run_channel(c, plane, dx + (n * s.C + c) * in);
            });
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
