// conv_rows_strided_weight.h: the weight gradient of convolution of few channels with stride two
// and kernels 7 wide by Winograd's transforms along rows (conv_rows_strided.h).
//
//   V[point][phase][c][ky % stride][row][tile]   as for the convolution itself
//   D[point][row][tile][o]                       grad, 4 pixels turned into points
//   S[point][phase][c][ky][o] (+)= V[point] * D[point], summed over tiles
//   dweight                                      S turned into taps
//
// The rows of x that one ky meets lie behind each other, as those of grad do, so the sums run over
// all tiles of a block at once: four rows of y, whose D (200 KB for 64 outputs and rows of 112) and
// V stay in L2. A product has the ky of one remainder modulo the stride, four or three, as rows.
#pragma once

#include "conv_rows_strided.h"
#include "layout.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kStridedSumRows = 4;  // of y, a block's

struct StridedRowsWeight {
    const ConvShape& s;

    int64_t tiles() const { return strided_row_tiles(s); }
    int64_t outputs() const { return round_up(s.O, kW<float>); }
    // Of a block of so many rows of y.
    StridedRowPlaces places(int64_t rows, int phases) const {
        const int64_t apart = rows + ceil_div(s.KH, s.stride_h), sub = apart * tiles();
        const int64_t lane = s.stride_h * sub;
        return {phases * s.C * lane + kW<float>, sub, tiles(), lane, s.stride_h};
    }
    int64_t d_point(int64_t rows) const { return rows * tiles() * outputs() + kW<float>; }
    int64_t s_point() const { return 2 * s.C * s.KH * outputs(); }
    int64_t sums() const { return kStridedRowPoints * s_point(); }
};

// Rows first .. first + rows - 1 of an image of grad to D.
inline void strided_rows_of_grad(const StridedRowsWeight& w, const float* image, int64_t first,
                                 int64_t rows, float* D) {
    constexpr int W = kW<float>, T = kStridedRowTile;
    const ConvShape& s = w.s;
    const int64_t tiles = w.tiles(), outputs = w.outputs(), d_point = w.d_point(rows);
    const TiledImages in = {image, s.O, s.OH, s.OW, s.y_steps(), 0, 0, s.OH, tiles};
    float* pixels = scratch<float>(kResult, tiles * T * W);
    for (int64_t r = 0; r < rows; r++, D += tiles * outputs)
        for (int64_t o = 0; o < s.O; o += W) {
            load_tile_row<1>(in, image + o * in.steps.channel, int(min64(W, s.O - o)), first + r,
                             tiles * T, pixels);
            for (int64_t t = 0; t < tiles; t++) {
                f32v y[T], d[kStridedRowPoints];
                RL_UNROLL
                for (int i = 0; i < T; i++) y[i] = ld(pixels + (t * T + i) * W);
                strided_row_output_grad(y, d);
                RL_UNROLL
                for (int p = 0; p < kStridedRowPoints; p++)
                    st(D + p * d_point + t * outputs + o, d[p]);
            }
        }
}

// S (+)= V * D of a block.
inline void add_strided_row_sums(const StridedRowsWeight& w, int64_t rows, const float* V,
                                 const float* D, bool accumulate, float* sums) {
    const ConvShape& s = w.s;
    const StridedRowPlaces finite = w.places(rows, 2), infinite = w.places(rows, 1);
    Gemm<float> g;
    g.N = w.outputs(), g.K = rows * w.tiles();
    g.a_row = w.tiles(), g.a_col = 1;
    g.b_row = w.outputs(), g.b_col = 1;
    g.c_row = s.stride_h * w.outputs();
    g.accumulate = accumulate;
    for (int p = 0; p < kStridedRowPoints; p++) {
        const bool at_infinity = p == kStridedRowFinite;
        const StridedRowPlaces& at = at_infinity ? infinite : finite;
        g.b = D + p * w.d_point(rows);
        for (int64_t lane = 0; lane < (at_infinity ? 1 : 2) * s.C; lane++)
            for (int64_t ky = 0; ky < min64(s.stride_h, s.KH); ky++) {
                g.M = ceil_div(s.KH - ky, s.stride_h);
                g.a = V + p * finite.point + lane * at.lane + ky * at.sub;
                g.c = sums + p * w.s_point() + (lane * s.KH + ky) * w.outputs();
                gemm_one_thread(g);
            }
    }
}

// Blocks begin .. end - 1 of all images, to `sums`.
inline void strided_row_block_sums(const StridedRowsWeight& w, const float* x, const float* grad,
                                   int64_t begin, int64_t end, float* sums) {
    const ConvShape& s = w.s;
    const int64_t blocks = ceil_div(s.OH, kStridedSumRows);
    for (int64_t i = begin; i < end; i++) {
        const int64_t n = i / blocks, first = share(s.OH, blocks, i % blocks);
        const int64_t rows = share(s.OH, blocks, i % blocks + 1) - first;
        const StridedRowPlaces finite = w.places(rows, 2), infinite = w.places(rows, 1);
        float* V = scratch<float>(kPanelA, kStridedRowFinite * finite.point + infinite.point);
        float* D = scratch<float>(kPanelB, kStridedRowPoints * w.d_point(rows));
        strided_rows_to_points(s, x + n * s.x_steps().image, first, rows, finite, infinite, V,
                               V + kStridedRowFinite * finite.point);
        strided_rows_of_grad(w, grad + n * s.y_steps().image, first, rows, D);
        add_strided_row_sums(w, rows, V, D, i > begin, sums);
    }
}

// S to dweight; false if a number is not finite.
inline bool store_strided_row_sums(const StridedRowsWeight& w, const float* sums, float* dweight) {
    constexpr int W = kW<float>;
    const ConvShape& s = w.s;
    const int64_t size = s.C * s.KH * kStridedRowTaps;
    float* const taps = scratch<float>(kPlane, size * s.O);  // [c][ky][kx][o]
    f32v poison = {};
    for (int64_t i = 0; i < s.C * s.KH; i++)
        for (int64_t o = 0; o < s.O; o += W)
            for (int phase = 0; phase < 2; phase++) {
                const float* from = sums + (phase * s.C * s.KH + i) * w.outputs() + o;
                f32v u[kStridedRowPoints], tap[kEvenTaps];
                RL_UNROLL
                for (int p = 0; p < kStridedRowFinite; p++) u[p] = ld(from + p * w.s_point());
                u[kStridedRowFinite] =
                    phase == 0 ? ld(from + kStridedRowFinite * w.s_point()) : f32v{};
                strided_row_weight_grad(u, true, tap);
                for (int t = 0; t < (phase == 0 ? kEvenTaps : kOddTaps); t++) {
                    poison += tap[t] * 0.0f;
                    stn(taps + (i * kStridedRowTaps + 2 * t + phase) * s.O + o, tap[t],
                        int(min64(W, s.O - o)));
                }
            }
    layout_kernels.turn(1, size, s.O, taps, dweight);
    return hsum(poison) == 0.0f;
}

// Measured with AVX-512: products have as few rows as there are ky.
inline bool strided_rows_weight_grad_pays(const ConvShape& s) {
    return has_strided_rows(s) && s.KH >= 5 && s.O >= 64 && s.OW >= 24;
}

// dweight, if transforms pay and all of it is finite.
inline bool strided_rows_weight_grad(const ConvShape& s, const float* grad, const float* x,
                                     float* dweight) {
    if (!strided_rows_weight_grad_pays(s)) return false;
    const StridedRowsWeight w = {s};
    const int64_t blocks = s.N * ceil_div(s.OH, kStridedSumRows);
    // Blocks are shared out in parts with sums of their own.
    const int64_t parts = summed_parts(s, blocks);
    float* const sums = scratch<float>(kSums, parts * w.sums());
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; part++)
            strided_row_block_sums(w, x, grad, share(blocks, parts, part),
                                   share(blocks, parts, part + 1), sums + part * w.sums());
    });
    for (int64_t part = 1; part < parts; part++)
        add_floats(sums, sums + part * w.sums(), w.sums());
    return store_strided_row_sums(w, sums, dweight);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
