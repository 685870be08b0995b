// conv_rows_forward.h: convolution of few channels by Winograd's transforms along rows, see
// conv_rows.h.
//
//     y[o][row][4 * tile ...] = A' M[point][o][row][tile]
//
// Bands are of output rows. Whole images leave out taps on padding above and below; bands, whose
// padding is not that of their neighbours, read it as zeros. They overlap by KH - 1 rows of input,
// which are transformed twice.
#pragma once

#include "conv_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

struct RowsForward : RowsPass {
    const float *weight, *bias;

    bool padded() const { return bands > 1; }

    RowsProduct product() const {
        const int64_t taps = s.KH * s.KW, rows = padded() ? band_rows() + s.KH - 1 : s.H;
        const int64_t top = padded() ? 0 : s.pad_h;
        return {s.C, s.O,    s.KH,       rows, tiles(), band_rows(),
                top, weight, s.C * taps, taps, false};
    }
    int64_t room() const { return points() * (product().v_point() + product().u_point()); }
    int64_t block_cost() const {
        const RowsProduct r = product();
        const int64_t input = tiles() * kTileToPoints * points() / 8 + s.W * kTurnToLanes;
        const int64_t output = tiles() * kPointsToTile * points() / 8 + s.OW * kTurnToRows;
        return product_cost(r, points()) + s.C * r.rows * input + s.O * r.results * output;
    }
};

// M of one output to pixels, rows of `cols` side by side; the last tile of a row may run over into
// the next one, which is written after it. Returns a vector that holds NaN if a pixel is not
// finite. A function of its own: inlined into its caller it takes twice as long.
template <int Taps>
__attribute__((noinline)) f32v points_to_rows(const float* m, int64_t point, int64_t rows, int64_t tiles, int64_t cols,
                    f32v bias, bool relu, float* pixels) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>;
    f32v poison = {};
    for (int64_t r = 0; r < rows; r++, pixels += cols * W)
        for (int64_t t = 0; t < tiles; t++, m += W) {
            f32v points[Transform::points], y[kRowTile];
            RL_UNROLL
            for (int p = 0; p < Transform::points; p++) points[p] = ld(m + p * point);
            Transform::output(points, y);
            RL_UNROLL
            for (int i = 0; i < kRowTile; i++) {
                const f32v pixel = y[i] + bias;
                poison += pixel * 0.0f;
                st(pixels + (t * kRowTile + i) * W, rectified(pixel, relu));
            }
        }
    return poison;
}

template <int Taps>
bool forward_block(const RowsForward& f, const RowsProduct& r, const float* packed, int64_t block,
                   const float* x, float* y) {
    constexpr int W = kW<float>, P = RowTransform<Taps>::points;
    const ConvShape& s = f.s;
    float* v = scratch<float>(kPlane, P * r.v_point());
    const LanePlanes from = {const_cast<float*>(x), s.N, s.C * s.H * s.W, s.H, s.W, f.bands,
                             f.band_rows()};
    planes_to_points<Taps, false>(from, s.C, block, f.padded() ? -s.pad_h : 0, r.rows, s.pad_w,
                                  r.tiles, v, r.v_point());
    LaneRun runs[W];
    float* results = scratch<float>(kResult, (kRowsChunk * kRowTile + s.OW + kRowTile) * W);
    LanePlanes to = {y, s.N, s.O * s.OH * s.OW, s.OH, s.OW, f.bands, f.band_rows()};
    f32v poison = {};
    for_each_product(r, P, packed, v, [&](int64_t o, int64_t row, int64_t count, const float* m,
                                          int64_t point) {
        poison += points_to_rows<Taps>(m, point, count, r.tiles, s.OW,
                                       splat(f.bias ? f.bias[o] : 0.0f), s.relu, results);
        to.data = y + o * s.OH * s.OW;
        runs_of(to, block, row, runs);
        lanes_to_runs<false>(results, count * s.OW, runs);
    });
    return hsum(poison) == 0.0f;
}

template <int Taps>
bool rows_forward_of(const RowsForward& f, const float* x, float* y) {
    const RowsProduct r = f.product();
    float* packed = scratch<float>(kWeights, f.points() * r.u_point());
    pack_rows<Taps>(r, packed);
    bool finite = true;
    const int64_t grain = ceil_div(kRowsSerial, f.block_cost());
    parallel_for(f.blocks(), grain, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; block++)
            if (!forward_block<Taps>(f, r, packed, block, x, y))
                __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
    });
    return finite;
}

// The bands that images are cut into; 0 if transforms do not pay.
inline int64_t rows_forward_bands(const ConvShape& s) {
    if (!has_rows_transform(s)) return 0;
    return cheapest_bands(RowsForward{{s}, nullptr, nullptr}, num_threads());
}

// y = the convolution, if transforms pay and all of it is finite.
inline bool rows_forward(const ConvShape& s, const float* x, const float* weight,
                         const float* bias, float* y) {
    const RowsForward f = {{s, rows_forward_bands(s)}, weight, bias};
    if (f.bands == 0) return false;
    return s.KW == 5 ? rows_forward_of<5>(f, x, y) : rows_forward_of<3>(f, x, y);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
