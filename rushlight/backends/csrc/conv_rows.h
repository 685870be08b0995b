// conv_rows.h: convolution of few channels by Winograd's transforms along rows: 3 or 5 taps wide,
// any height, stride one. What the three passes (conv_rows_forward.h, conv_rows_input.h,
// conv_rows_weight.h) have in common.
//
// Two-dimensional transforms (conv_winograd.h) cost more than they save where a product has few
// channels; along one axis they are cheap, and half (two thirds) of the multiplications go away:
//
//     V[point][c][row][tile]   4 pixels and their neighbours turned into 6 (8) points
//     M[point][o][row][tile] = sum over c, ky of U[point][o][c][ky] * V[point][c][row + ky][tile]
//
// One product per point is a convolution with taps above each other: the tiles of conv_batch.h.
// Lanes hold, as there, the same pixel of different images; an image may also be cut into bands of
// rows, one per lane, so that any number of images fills the lanes.
//
// Output rows are taken a few at a time, about kRowsChunk tiles, so that the V of a point stays in
// the first-level cache for all outputs, and M in the second.
//
// A number that is not finite would spread over its tile: what is stored is watched, and false is
// returned if any result is not finite; the caller computes it all again directly.
#pragma once

#include "conv_batch.h"
#include "conv_lanes.h"
#include "conv_rows_math.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kRowTile = 4;         // outputs of a tile
constexpr int64_t kRowsChunk = 28;  // tiles

// ---------------------------------------------------------------------------- lanes
// One channel of N images; lane k of a block holds rows of band `block * W + k`.
struct LanePlanes {
    float* data;
    int64_t N, image;  // from an image to the next
    int64_t H, W;
    int64_t bands, band_rows;  // an image has so many bands
};

// The lanes' runs from `row` on, counted from the first row of the band, which may be negative.
inline void runs_of(const LanePlanes& p, int64_t block, int64_t row, LaneRun* runs) {
    for (int k = 0; k < kW<float>; k++) {
        const int64_t item = block * kW<float> + k, image = item / p.bands;
        const int64_t y = item % p.bands * p.band_rows + row;
        runs[k] = {p.data + image * p.image + y * p.W, y < 0 ? -y * p.W : 0,
                   image < p.N ? (p.H - y) * p.W : 0};
    }
}

// ---------------------------------------------------------------------------- transforms
// Rows of pixels to points: to[point][row][tile]. Inputs come as Taps + 3 pixels, the gradients of
// outputs (`Grad`) as 4.
template <int Taps, bool Grad>
void rows_to_points(const float* pixels, int64_t rows, int64_t cols, int64_t pad, int64_t tiles,
                    float* to, int64_t point) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>, Size = Grad ? kRowTile : Taps + kRowTile - 1;
    for (int64_t r = 0; r < rows; r++, pixels += cols * W)
        for (int64_t t = 0; t < tiles; t++, to += W) {
            const int64_t left = t * kRowTile - pad;
            const bool inside = left >= 0 && left + Size <= cols;
            f32v d[Size], v[Transform::points];
            RL_UNROLL
            for (int i = 0; i < Size; i++)
                d[i] = inside || (left + i >= 0 && left + i < cols) ? ld(pixels + (left + i) * W)
                                                                    : f32v{};
            if constexpr (Grad)
                Transform::output_grad(d, v);
            else
                Transform::input(d, v);
            RL_UNROLL
            for (int p = 0; p < Transform::points; p++) st(to + p * point, v[p]);
        }
}

// The rows of `channels` planes, from row `first` of the lanes' bands on, to points:
// to[point][channel][row][tile]. `from` is the first plane, the others lie behind it.
template <int Taps, bool Grad>
void planes_to_points(LanePlanes from, int64_t channels, int64_t block, int64_t first,
                      int64_t rows, int64_t pad, int64_t tiles, float* to, int64_t point) {
    constexpr int W = kW<float>;
    float* pixels = scratch<float>(kPlane2, rows * from.W * W);
    LaneRun runs[W];
    for (int64_t c = 0; c < channels; c++) {
        runs_of(from, block, first, runs);
        runs_to_lanes(runs, rows * from.W, pixels);
        rows_to_points<Taps, Grad>(pixels, rows, from.W, pad, tiles, to, point);
        from.data += from.H * from.W;
        to += rows * tiles * W;
    }
}

// ---------------------------------------------------------------------------- products
// What the passes have in common; bands are of rows of outputs.
struct RowsPass {
    ConvShape s;
    int64_t bands = 0;

    int64_t band_rows() const { return ceil_div(s.OH, bands); }
    int64_t tiles() const { return ceil_div(s.OW, kRowTile); }
    int64_t points() const { return s.KW + kRowTile - 1; }
    int64_t blocks() const { return ceil_div(s.N * bands, kW<float>); }
};

// A product of `inputs` times `outputs` channels for every point.
struct RowsProduct {
    int64_t inputs, outputs, KH;
    int64_t rows, tiles;      // of V
    int64_t results;          // rows of M; row 0 begins `top` rows above V
    int64_t top;
    // The taps of (output o, input c) start at weight + o * weight_o + c * weight_c.
    const float* weight;
    int64_t weight_o, weight_c;
    bool upside_down;  // last row of taps first

    // Numbers of V, and of U, for one point.
    int64_t v_point() const { return (inputs * rows * tiles + 1) * kW<float>; }
    int64_t u_point() const { return outputs * inputs * KH; }
    TapRange taps(int64_t row) const { return taps_inside(row - top, rows, KH); }
};

// U: points, each of blocks of outputs, each [c][ky][output]. First the taps, each as U is ordered.
template <int Taps>
void pack_rows(const RowsProduct& r, float* packed) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>;
    const int64_t size = r.u_point();
    float* const taps = scratch<float>(kPlane2, Taps * size);
    float* to = taps;
    for (int64_t o = 0; o < r.outputs;) {
        const int outputs = batch_outputs(r.outputs - o);
        for (int64_t c = 0; c < r.inputs; c++)
            for (int64_t ky = 0; ky < r.KH; ky++, to += outputs) {
                const float* row = r.weight + o * r.weight_o + c * r.weight_c +
                                   (r.upside_down ? r.KH - 1 - ky : ky) * Taps;
                for (int i = 0; i < outputs; i++, row += r.weight_o) {
                    RL_UNROLL
                    for (int t = 0; t < Taps; t++) to[t * size + i] = row[t];
                }
            }
        o += outputs;
    }
    for (int64_t i = 0; i < size; i += W) {
        const int n = int(min64(W, size - i));
        f32v w[Taps], u[Transform::points];
        RL_UNROLL
        for (int t = 0; t < Taps; t++) w[t] = ldn(taps + t * size + i, n);
        Transform::weight(w, u);
        RL_UNROLL
        for (int p = 0; p < Transform::points; p++) stn(packed + p * size + i, u[p], n);
    }
}

// n tiles of a block of outputs for one point, all with the same kernel rows.
template <int Outputs>
void multiply_rows(const BatchConv& b, const float* v, TapRange taps, int64_t n,
                   const float* packed, float* m) {
    constexpr int W = kW<float>, P = batch_pixels(Outputs);
    const TapRange one = {0, 1};
    int64_t j = 0;
    for (; j + P <= n; j += P)
        batch_tile<Outputs, P>(b, v + j * W, taps, one, packed, nullptr, m + j * W, n * W);
    for (; j < n; j++)
        batch_tile<Outputs, 1>(b, v + j * W, taps, one, packed, nullptr, m + j * W, n * W);
}

typedef void (*MultiplyRows)(const BatchConv&, const float*, TapRange, int64_t, const float*,
                             float*);
inline MultiplyRows multiply_rows_of(int outputs) {
    constexpr MultiplyRows products[] = {multiply_rows<1>, multiply_rows<2>, multiply_rows<3>,
                                         multiply_rows<4>, multiply_rows<5>, multiply_rows<6>,
                                         multiply_rows<7>, multiply_rows<8>};
    return products[outputs - 1];
}

// How many rows from `row` on have the same kernel rows and fit a chunk.
inline int64_t rows_alike(const RowsProduct& r, int64_t row) {
    const TapRange taps = r.taps(row);
    int64_t count = 1;
    for (; row + count < r.results && (count + 1) * r.tiles <= kRowsChunk; count++) {
        const TapRange next = r.taps(row + count);
        if (next.first != taps.first || next.last != taps.last) break;
    }
    return count;
}

// Calls store(output, row, count, m, m_point) for some rows of M at a time, one output at a time.
template <class Store>
void for_each_product(const RowsProduct& r, int points, const float* packed, const float* v,
                      const Store& store) {
    constexpr int W = kW<float>;
    const BatchConv b = {r.inputs, r.rows, r.tiles, r.outputs, r.results, r.tiles, r.KH,   1,
                         1,        1,      0,       0,         nullptr,   nullptr, false};
    float* m = scratch<float>(kPanelB, points * 8 * (kRowsChunk + r.tiles) * W);
    for (int64_t row = 0; row < r.results;) {
        const TapRange taps = r.taps(row);
        const int64_t count = rows_alike(r, row), n = count * r.tiles;
        const float* u = packed;
        for (int64_t o = 0; o < r.outputs;) {
            const int outputs = batch_outputs(r.outputs - o);
            for (int p = 0; p < points; p++)
                multiply_rows_of(outputs)(b, v + p * r.v_point() + (row - r.top) * r.tiles * W,
                                          taps, n, u + p * r.u_point(), m + p * outputs * n * W);
            for (int i = 0; i < outputs; i++)
                store(o + i, row, count, m + i * n * W, outputs * n * W);
            u += outputs * r.inputs * r.KH;
            o += outputs;
        }
        row += count;
    }
}

// ---------------------------------------------------------------------------- which
// Costs in cycles, measured with AVX-512: per tile turned to 8 points and back; per vector turned
// to lanes, back, and back with addition.
constexpr int64_t kTileToPoints = 30, kPointsToTile = 19;
constexpr int64_t kTurnToLanes = 9, kTurnToRows = 7, kAddToRows = 30;
// Handing work to other threads, and the work that is worth it, about 15 and 30 microseconds; what
// a block with its weights may take of the second-level cache.
constexpr int64_t kHandOver = 50000, kRowsSerial = 100000, kRowsFloats = 200 << 10;

// Cycles of `tasks` equal tasks.
inline int64_t shared_cost(int64_t tasks, int64_t cost, int64_t threads) {
    return min64(tasks * cost, ceil_div(tasks, threads) * cost + kHandOver);
}

// The direct ways come within a tenth of one multiply-add per cycle.
inline int64_t direct_cost(const ConvShape& s, int64_t threads) {
    const int64_t cost = s.work() / kW<float> * 10 / 9;
    return min64(cost, cost / threads + kHandOver);
}

inline int64_t product_cost(const RowsProduct& r, int64_t points) {
    int64_t kernel_rows = 0;
    for (int64_t row = 0; row < r.results; row++) {
        const TapRange taps = r.taps(row);
        if (taps.last > taps.first) kernel_rows += taps.last - taps.first;
    }
    return points * r.inputs * r.outputs * r.tiles * kernel_rows;
}

inline bool has_rows_transform(const ConvShape& s) {
    return s.groups == 1 && (s.KW == 3 || s.KW == 5) && s.stride_h == 1 && s.stride_w == 1 &&
           s.dil_h == 1 && s.dil_w == 1;
}

// The number of bands that `pass` is best cut into for so many threads; 0 if that does not fit or
// pay.
template <class Pass>
int64_t cheapest_bands(Pass pass, int64_t threads) {
    int64_t best = direct_cost(pass.s, threads), bands = 0;
    for (pass.bands = 1; pass.bands <= min64(kW<float>, pass.s.OH); pass.bands *= 2) {
        if (pass.room() > kRowsFloats) continue;
        const int64_t cost = shared_cost(pass.blocks(), pass.block_cost(), threads);
        if (cost < best) best = cost, bands = pass.bands;
    }
    return bands;
}

// The same for a pass that adds up bands: rounding must not depend on the number of threads, so the
// bands are those for two.
template <class Pass>
int64_t cheapest_summed_bands(Pass pass) {
    pass.bands = cheapest_bands(pass, 2);
    if (pass.bands == 0) return 0;
    const int64_t blocks = pass.blocks(), cost = pass.block_cost(), threads = num_threads();
    const bool pays = blocks * cost < direct_cost(pass.s, 1) &&
                      shared_cost(blocks, cost, threads) < direct_cost(pass.s, threads);
    return pays ? pass.bands : 0;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
