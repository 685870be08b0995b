// conv_rows_outer.h: the weight gradient by Winograd's transforms along rows (conv_rows_math.h) for
// any number of channels: 3 or 5 taps wide, any height, stride one.
//
//   V[point][image][c][row][tile]     x, 4 pixels and their neighbours turned into points
//   D[point][image][row][tile][o]     grad, 4 pixels turned into points
//   S[point][c][ky][o] = sum over tiles  V[point][c][row + ky][tile] * D[point][row][tile][o]
//   dweight                           S turned into taps
//
// conv_rows_weight.h, whose lanes hold images or bands of rows, is for few channels, and left with
// idle lanes where there are few images of few rows. Here lanes hold outputs, and in the making of
// V tiles (conv_rows_tiles.h). Products are those of conv_weight.h, with (c, ky) as rows. Images
// are taken a few at a time, about 128 tiles of grad, whose V and D stay in L2.
#pragma once

#include "conv_rows_tiles.h"
#include "conv_weight.h"
#include "layout.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kOuterTiles = 128;  // of grad at a time

// The sums of images, of a shape with stride one.
struct RowsOuter {
    const ConvShape& s;

    int64_t points() const { return s.KW + kRowTile - 1; }
    int64_t tiles() const { return ceil_div(s.OW, kRowTile); }
    int64_t x_rows() const { return s.OH + s.KH - 1; }
    int64_t grad_tiles() const { return s.OH * tiles(); }  // of an image
    int64_t images() const { return min64(s.N, ceil_div(kOuterTiles, grad_tiles())); }
    int64_t outputs() const { return round_up(s.O, kW<float>); }
    int64_t sum_rows() const { return s.C * s.KH; }
    int64_t v_image() const { return s.C * x_rows() * tiles(); }
    int64_t v_point() const { return images() * v_image() + kW<float>; }
    int64_t d_point() const { return images() * grad_tiles() * outputs() + kW<float>; }
    int64_t s_point() const { return sum_rows() * outputs(); }
};

// An image of grad to D.
template <int Taps>
void outer_grads(const RowsOuter& r, const float* grad, float* D) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>, T = kRowTile;
    const ConvShape& s = r.s;
    const int64_t pixels = s.OH * s.OW;
    float* const turned = scratch<float>(kPlane2, pixels * s.O + 2 * W);
    interleave(grad, pixels, s.O, pixels, turned);
    for (int64_t y = 0; y < s.OH; y++)
        for (int64_t x = 0; x < s.OW; x += T, D += r.outputs())
            for (int64_t o = 0; o < s.O; o += W) {
                const float* from = turned + (y * s.OW + x) * s.O + o;
                f32v pixel[T], d[Transform::points];
                RL_UNROLL
                for (int i = 0; i < T; i++) pixel[i] = x + i < s.OW ? ld(from + i * s.O) : f32v{};
                Transform::output_grad(pixel, d);
                RL_UNROLL
                for (int q = 0; q < Transform::points; q++) st(D + q * r.d_point() + o, d[q]);
            }
}

// S (+)= V * D of `images` images at one point.
inline void outer_products(const RowsOuter& r, int64_t point, const float* V, const float* D,
                           int64_t images, bool accumulate, float* sums) {
    constexpr int W = kW<float>;
    const int64_t rows = r.sum_rows(), blocks = ceil_div(rows, kOuterRows);
    int64_t offsets[2] = {0, W}, rows_at[kOuterRows];
    OuterTile t = {};
    t.p_image = r.v_image(), t.p_pixel = 1;
    t.p_offset = rows_at;
    t.q_image = r.grad_tiles() * r.outputs(), t.q_pixel = r.outputs();
    t.q_offset = t.sums_offset = offsets;
    t.images = images, t.rows = 1;
    t.sums_row = r.outputs();
    // A long sum is made of several, which rounds less.
    const int64_t parts = ceil_div(r.grad_tiles(), kOuterTiles);
    for (int64_t i = 0; i < parts * blocks; i++) {
        const int64_t part = i / blocks, b = i % blocks;
        const int64_t tile = share(r.grad_tiles(), parts, part);
        t.cols = share(r.grad_tiles(), parts, part + 1) - tile;
        t.accumulate = accumulate || part > 0;
        t.p = V + point * r.v_point() + tile;
        const int64_t first = share(rows, blocks, b);
        const int count = int(share(rows, blocks, b + 1) - first);
        for (int k = 0; k < count; k++) {
            const int64_t c = (first + k) / r.s.KH, ky = (first + k) % r.s.KH;
            rows_at[k] = (c * r.x_rows() + ky) * r.tiles();
        }
        for (int64_t o = 0; o < r.s.O; o += 2 * W) {
            t.q = D + point * r.d_point() + tile * r.outputs() + o;
            t.sums = sums + point * r.s_point() + first * r.outputs() + o;
            spread_function(count, r.s.O - o > W ? 2 : 1)(t);
        }
    }
}

// S of images first .. last - 1; of a single image by all threads.
template <int Taps>
void outer_sums(const RowsOuter& r, const float* grad, const float* x, int64_t first, int64_t last,
                float* sums) {
    const ConvShape& s = r.s;
    const int64_t grain = s.N > 1 ? r.points() : ceil_div(kParallelWork, s.work() / r.points() + 1);
    const Plane plane = tiled_plane(s.C, s.H, s.W, -s.pad_h, -s.pad_w, r.x_rows(), r.tiles());
    float* const V = scratch<float>(kPanelA, r.points() * r.v_point());
    float* const D = scratch<float>(kPanelB, r.points() * r.d_point());
    for (int64_t n = first; n < last; n += r.images()) {
        const int64_t images = min64(r.images(), last - n);
        for (int64_t i = 0; i < images; i++) {
            tiles_to_points<Taps>(plane, x + (n + i) * s.C * s.H * s.W, V + i * r.v_image(),
                                  r.v_point());
            outer_grads<Taps>(r, grad + (n + i) * s.O * s.OH * s.OW,
                              D + i * r.grad_tiles() * r.outputs());
        }
        parallel_for(r.points(), grain, [&](int64_t begin, int64_t end) {
            for (int64_t point = begin; point < end; point++)
                outer_products(r, point, V, D, images, n > first, sums);
        });
    }
}

// S to dweight; false if a number is not finite.
template <int Taps>
bool outer_sums_to_weight(const RowsOuter& r, const float* sums, float* dweight) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>;
    const int64_t rows = r.sum_rows(), O = r.s.O;
    float* const taps = scratch<float>(kPlane, rows * Taps * O);
    f32v poison = {};
    for (int64_t i = 0; i < rows; i++)
        for (int64_t o = 0; o < O; o += W) {
            const int n = int(min64(W, O - o));
            f32v u[Transform::points], w[Taps];
            RL_UNROLL
            for (int q = 0; q < Transform::points; q++)
                u[q] = ldn(sums + q * r.s_point() + i * r.outputs() + o, n);
            Transform::weight_grad(u, w);
            RL_UNROLL
            for (int t = 0; t < Taps; t++) {
                poison += w[t] * 0.0f;
                stn(taps + (i * Taps + t) * O + o, w[t], n);
            }
        }
    layout_kernels.turn(1, rows * Taps, O, taps, dweight);
    return hsum(poison) == 0.0f;
}

template <int Taps>
bool rows_outer_of(const RowsOuter& r, const float* grad, const float* x, float* dweight) {
    const ConvShape& s = r.s;
    const int64_t size = r.points() * r.s_point();
    // Images are shared out in parts with sums of their own.
    const int64_t parts = summed_parts(s, s.N);
    float* const sums = scratch<float>(kSums, parts * size);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; part++)
            outer_sums<Taps>(r, grad, x, share(s.N, parts, part), share(s.N, parts, part + 1),
                             sums + part * size);
    });
    for (int64_t part = 1; part < parts; part++) add_floats(sums, sums + part * size, size);
    return outer_sums_to_weight<Taps>(r, sums, dweight);
}

// Costs in cycles, measured with AVX-512: per tile and channel of x; per tile and vector of grad;
// of starting. What V of an image may take, in numbers.
constexpr int64_t kOuterInput = 8, kOuterGrad = 120, kOuterStart = 8000;
constexpr int64_t kOuterNumbers = 1 << 20;

inline bool rows_outer_pays(const RowsOuter& r) {
    const ConvShape& s = r.s;
    if (!has_rows_transform(s) || s.O < 12) return false;
    if (r.points() * r.v_image() > kOuterNumbers) return false;
    const int64_t vectors = r.outputs() / kW<float>, tiles = s.N * r.grad_tiles() * vectors;
    const int64_t cost = tiles * (r.points() * r.sum_rows() * 21 / 20 + kOuterGrad) +
                         s.N * r.v_image() * kOuterInput + kOuterStart;
    return cost < s.N * s.OH * s.OW * vectors * s.C * s.KH * s.KW;
}

// dweight, if transforms pay and all of it is finite.
inline bool rows_outer_weight_grad(const ConvShape& s, const float* grad, const float* x,
                                   float* dweight) {
    const RowsOuter r = {s};
    if (!rows_outer_pays(r)) return false;
    return s.KW == 5 ? rows_outer_of<5>(r, grad, x, dweight)
                     : rows_outer_of<3>(r, grad, x, dweight);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
