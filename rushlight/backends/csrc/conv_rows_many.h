// conv_rows_many.h: convolution of many channels by Winograd's transforms along rows
// (conv_rows_math.h): 3 or 5 taps wide, any height, stride one. Forward, and input gradient as a
// convolution of grad.
//
//   V[point][k][row][tile]     what is read, 4 pixels and their neighbours turned into points
//   M[point][tile][o] = sum over k, ky of  U[point][k][ky][o] * V[point][k][row + ky][tile]
//   result                     M turned into 4 pixels
//
// Each point is a convolution by taps above each other, done by conv_direct.h: tiles take the part
// of pixels, those of several rows behind each other. 3 x 3 goes this way only where
// conv_winograd.h, which saves more, does not take it.
//
// A block has about 56 tiles, four times what a tile of conv_direct.h holds, so that V and M stay
// in L2 (290 KB for 64 channels, 5 x 5) while U, larger, passes by. Sums over about 160 numbers are
// added up: one long sum would lose up to a digit.
//
// A number that is not finite would spread over its tile: what is stored is watched, and false is
// returned if any result is not finite; the caller computes it all again directly.
#pragma once

#include "allocator.h"
#include "conv_rows_tiles.h"
#include "conv_winograd_tiles.h"
#include "layout.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kManyTiles = 56;   // of a block
constexpr int64_t kManyDepth = 160;  // of a sum

struct RowsMany {
    int64_t N, K, H, W;   // what is read
    int64_t O, OH, OW;    // what is written
    int64_t KH, KW;
    int64_t pad_h, pad_w;  // may be negative
    bool reversed;         // last tap first
    bool relu = false;     // negative results become zero

    int64_t points() const { return KW + kRowTile - 1; }
    int64_t tiles() const { return ceil_div(OW, kRowTile); }
    int64_t depth() const { return K * KH; }
    int64_t outputs() const { return round_up(O, kW<float>); }
    int64_t u_point() const { return packed_size(O, depth()); }
    // Channels first .. first + channels - 1 are summed up at a time.
    int64_t channels() const { return min64(K, ceil_div(kManyDepth, KH)); }
    int64_t channels_from(int64_t first) const { return min64(channels(), K - first); }

    // A row is cut if it is long; else a block has several rows.
    int64_t row_parts() const { return ceil_div(tiles(), 2 * kManyTiles); }
    int64_t row_blocks() const {
        return ceil_div(OH, min64(OH, ceil_div(kManyTiles, ceil_div(tiles(), row_parts()))));
    }
};

// turned[k][tap][o] to U, packed for conv_direct.h, for the channels of one sum after the other.
template <int Taps>
void pack_rows_many(const RowsMany& m, const float* turned, float* U) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>, panel = 2 * W;
    parallel_for(m.depth(), ceil_div(1 << 15, m.O * Taps), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t k = i / m.KH, ky = m.reversed ? m.KH - 1 - i % m.KH : i % m.KH;
            const int64_t first = k / m.channels() * m.channels() * m.KH;
            const int64_t depth = m.channels_from(first / m.KH) * m.KH;
            const float* from = turned + (k * m.KH + ky) * Taps * m.O;
            for (int64_t o = 0; o < m.O; o += W) {
                const int n = int(min64(W, m.O - o));
                f32v w[Taps], u[Transform::points];
                RL_UNROLL
                for (int t = 0; t < Taps; t++)
                    w[t] = ldn(from + (m.reversed ? Taps - 1 - t : t) * m.O + o, n);
                Transform::weight(w, u);
                const int64_t start = o / panel * panel, width = m.O - start > W ? panel : W;
                float* const to =
                    U + first * m.outputs() + start * depth + (i - first) * width + o - start;
                RL_UNROLL
                for (int q = 0; q < Transform::points; q++) st(to + q * m.u_point(), u[q]);
            }
        }
    });
}

// Some rows of results and some of their tiles.
struct ManyBlock {
    int64_t row, rows, tile, tiles;
    int64_t count() const { return rows * tiles; }
};

// M of a block; `part` has room for another point.
inline void many_products(const RowsMany& m, const ManyBlock& b, const float* V, int64_t v_point,
                          const float* U, float* M, int64_t m_point, float* part) {
    const int64_t rows = b.rows + m.KH - 1;
    int32_t* const offset = scratch<int32_t>(kOffsets, m.channels() * m.KH);
    for (int64_t i = 0; i < m.channels() * m.KH; i++)
        offset[i] = int32_t((i / m.KH * rows + i % m.KH) * b.tiles);
    Direct d;
    d.row_step = 0;
    d.offset = offset;
    d.bias = nullptr;
    d.O = m.O, d.OH = 1, d.OW = b.count();
    d.many = true;
    d.y_channel = 1, d.y_row = 0, d.y_pixel = m.outputs();
    for (int64_t q = 0; q < m.points(); q++, M += m_point)
        for (int64_t k = 0; k < m.K; k += m.channels()) {
            d.K = m.channels_from(k) * m.KH;
            d.plane = V + q * v_point + k * rows * b.tiles;
            d.weight = U + q * m.u_point() + k * m.KH * m.outputs();
            d.y = k == 0 ? M : part;
            run_direct(d);
            if (k > 0) add_floats(M, part, b.count() * m.outputs());
        }
}

// M of one row and one vector of outputs to pixels[pixel][lane]; tiles are `row` apart.
template <int Taps>
void points_to_lanes(const float* M, int64_t point, int64_t row, int64_t tiles, f32v bias,
                     float* pixels) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>;
    for (int64_t t = 0; t < tiles; t++, M += row, pixels += kRowTile * W) {
        f32v points[Transform::points], y[kRowTile];
        RL_UNROLL
        for (int q = 0; q < Transform::points; q++) points[q] = ld(M + q * point);
        Transform::output(points, y);
        RL_UNROLL
        for (int i = 0; i < kRowTile; i++) st(pixels + i * W, y[i] + bias);
    }
}

// M to results of an image.
template <int Taps>
f32v many_results(const RowsMany& m, const ManyBlock& b, const float* M, int64_t m_point,
                  const float* bias, float* y) {
    constexpr int W = kW<float>, T = kRowTile;
    const ImageSteps steps = image_steps(m.O, m.OH, m.OW, false);
    float* const pixels = scratch<float>(kResult, b.tiles * T * W);
    f32v poison = {};
    for (int64_t o = 0; o < m.O; o += W) {
        const int lanes = int(min64(W, m.O - o));
        const f32v shift = bias ? ldn(bias + o, lanes) : f32v{};
        const OutputRow out = {nullptr, steps, 1,     min64(b.tiles * T, m.OW - b.tile * T),
                               lanes,   shift, m.relu};
        const float* from = M + o;
        for (int64_t r = 0; r < b.rows; r++, from += b.tiles * m.outputs()) {
            points_to_lanes<Taps>(from, m_point, m.outputs(), b.tiles, shift, pixels);
            poison += store_pixels(pixels, out,
                                   y + o * steps.channel + (b.row + r) * steps.row + b.tile * T);
        }
    }
    return poison;
}

template <int Taps>
bool rows_many_of(const RowsMany& m, const float* x, const float* turned, const float* bias,
                  float* y) {
    const Scratch memory(size_t(m.points() * m.u_point() + kW<float>) * sizeof(float));
    if (!memory) return false;
    float* const U = memory.as<float>();
    pack_rows_many<Taps>(m, turned, U);
    const int64_t parts = m.row_parts(), blocks = m.row_blocks(), tasks = m.N * blocks * parts;
    const int64_t work = m.N * m.OH * m.tiles() * m.points() * m.depth() * m.O;
    bool finite = true;
    parallel_for(tasks, grain_for(tasks, work), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t part = i % parts, block = i / parts % blocks, n = i / parts / blocks;
            ManyBlock b = {share(m.OH, blocks, block), 0, share(m.tiles(), parts, part), 0};
            b.rows = share(m.OH, blocks, block + 1) - b.row;
            b.tiles = share(m.tiles(), parts, part + 1) - b.tile;
            const Plane p = tiled_plane(m.K, m.H, m.W, b.row - m.pad_h,
                                        b.tile * kRowTile - m.pad_w, b.rows + m.KH - 1, b.tiles);
            const int64_t v_point = p.size() / kRowTile + kW<float>;
            const int64_t m_point = b.count() * m.outputs() + kW<float>;
            float* const V = scratch<float>(kPanelA, m.points() * v_point);
            float* const M = scratch<float>(kPanelB, (m.points() + 1) * m_point);
            tiles_to_points<Taps>(p, x + n * m.K * m.H * m.W, V, v_point);
            many_products(m, b, V, v_point, U, M, m_point, M + m.points() * m_point);
            const f32v poison =
                many_results<Taps>(m, b, M, m_point, bias, y + n * m.O * m.OH * m.OW);
            if (hsum(poison) != 0.0f) __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
        }
    });
    return finite;
}

// Costs in cycles, measured with AVX-512: per tile and channel that is read; per tile and vector of
// results; per weight of a vector of outputs, where U (so many numbers) stays in L2 or not.
constexpr int64_t kManyInput = 8, kManyResult = 60, kManyWeight = 100, kManyFarWeight = 250;
constexpr int64_t kManyNearWeights = 1 << 18;

inline bool rows_many_pays(const ConvShape& s, const RowsMany& m) {
    if (!has_rows_transform(s) || !has_many_outputs(m.O)) return false;
    const int64_t vectors = m.outputs() / kW<float>, tiles = m.N * m.OH * m.tiles();
    const int64_t read = m.N * (m.OH + m.row_blocks() * (m.KH - 1)) * m.tiles() * m.K;
    const bool near = m.points() * m.u_point() <= kManyNearWeights;
    const int64_t cost = tiles * vectors * (m.points() * m.depth() + kManyResult) +
                         read * kManyInput + m.depth() * vectors * (near ? kManyWeight : kManyFarWeight);
    return cost < m.N * m.OH * m.OW * vectors * m.depth() * m.KW;
}

// The results, if transforms pay and all of them are finite.
inline bool rows_many_forward(const ConvShape& s, const float* x, const float* weight,
                              const float* bias, float* y) {
    const RowsMany m = {s.N, s.C, s.H,  s.W,  s.O,     s.OH,    s.OW,
                        s.KH, s.KW, s.pad_h, s.pad_w, false, s.relu};
    if (!rows_many_pays(s, m)) return false;
    const int64_t size = s.C * s.KH * s.KW;
    float* const turned = scratch<float>(kWeights, size * s.O);
    layout_kernels.turn(1, s.O, size, weight, turned);
    return s.KW == 5 ? rows_many_of<5>(m, x, turned, bias, y)
                     : rows_many_of<3>(m, x, turned, bias, y);
}

inline bool rows_many_input_grad(const ConvShape& s, const float* grad, const float* weight,
                                 float* dx) {
    const RowsMany m = {s.N,  s.O,  s.OH, s.OW, s.C, s.H, s.W, s.KH, s.KW, s.KH - 1 - s.pad_h,
                        s.KW - 1 - s.pad_w, true};
    if (!rows_many_pays(s, m)) return false;
    const int64_t taps = s.KH * s.KW;
    float* const turned = scratch<float>(kWeights, s.O * s.C * taps);
    layout_kernels.turn(s.O, s.C, taps, weight, turned);
    return s.KW == 5 ? rows_many_of<5>(m, grad, turned, nullptr, dx)
                     : rows_many_of<3>(m, grad, turned, nullptr, dx);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
