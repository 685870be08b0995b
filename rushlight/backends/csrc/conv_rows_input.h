// conv_rows_input.h: the input gradient of convolution of few channels by Winograd's transforms
// along rows (conv_rows.h).
//
//     D[point][o][row][tile]   grad, 4 pixels turned into 6 (8) points
//     M[point][c][row][tile] = sum over o, ky of U[point][c][o][ky] * D[point][o][row - ky][tile]
//     dx[c][row][4 * tile ...] += B M[point][c][row][tile]
//
// Every tile gives 4 pixels and a few more, one less than there are taps, which the next tile adds
// to: no multiplication meets padding, as it would if this were done as a convolution of the padded
// grad. Bands are of grad's rows; each gives KH - 1 rows that the next band adds to.
#pragma once

#include "conv_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

struct RowsInputGrad : RowsPass {
    const float* weight;

    RowsProduct product() const {
        const int64_t taps = s.KH * s.KW;
        return {s.O,    s.C,  s.KH, band_rows(), tiles(), band_rows() + s.KH - 1, s.KH - 1,
                weight, taps, s.C * taps, true};
    }
    int64_t room() const { return points() * (product().v_point() + product().u_point()); }
    int64_t block_cost() const {
        const RowsProduct r = product();
        const int64_t input = tiles() * kTileToPoints * points() / 8 + s.OW * kTurnToLanes;
        const int64_t turn = bands == 1 ? kTurnToRows : kAddToRows;
        const int64_t output = tiles() * kTileToPoints * points() / 8 + s.W * turn;
        return product_cost(r, points()) + s.O * r.rows * input + s.C * r.results * output;
    }
};

// M of one channel to pixels, rows of `cols` side by side; the first pixel lies `pad` before them.
template <int Taps>
f32v points_to_input_rows(const float* m, int64_t point, int64_t rows, int64_t tiles,
                          int64_t cols, int64_t pad, float* pixels) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>, Size = Taps + kRowTile - 1;
    f32v poison = {};
    for (int64_t r = 0; r < rows; r++, pixels += cols * W) {
        f32v next[kRowTile] = {};  // what the tile before gives to this one's pixels
        for (int64_t t = 0; t <= tiles; t++, m += W) {
            f32v points[Transform::points], d[Size];
            if (t < tiles) {
                RL_UNROLL
                for (int p = 0; p < Transform::points; p++) points[p] = ld(m + p * point);
                Transform::input_grad(points, d);
            } else {
                RL_UNROLL
                for (int i = 0; i < Size; i++) d[i] = f32v{};
                m -= W;
            }
            RL_UNROLL
            for (int i = 0; i < kRowTile; i++) {
                const int64_t x = t * kRowTile + i - pad;
                const f32v pixel = d[i] + next[i];
                poison += pixel * 0.0f;
                if (x >= 0 && x < cols) st(pixels + x * W, pixel);
                next[i] = kRowTile + i < Size ? d[kRowTile + i] : f32v{};
            }
        }
    }
    return poison;
}

template <int Taps>
bool input_grad_block(const RowsInputGrad& g, const RowsProduct& r, const float* packed,
                      int64_t block, const float* grad, float* dx) {
    constexpr int W = kW<float>, P = RowTransform<Taps>::points;
    const ConvShape& s = g.s;
    float* v = scratch<float>(kPlane, P * r.v_point());
    const LanePlanes from = {const_cast<float*>(grad), s.N, s.O * s.OH * s.OW, s.OH, s.OW, g.bands,
                             g.band_rows()};
    planes_to_points<Taps, true>(from, s.O, block, 0, r.rows, 0, r.tiles, v, r.v_point());
    LaneRun runs[W];
    float* results = scratch<float>(kResult, (kRowsChunk + 1) * s.W * W);
    LanePlanes to = {dx, s.N, s.C * s.H * s.W, s.H, s.W, g.bands, g.band_rows()};
    f32v poison = {};
    for_each_product(r, P, packed, v, [&](int64_t c, int64_t row, int64_t count, const float* m,
                                          int64_t point) {
        poison += points_to_input_rows<Taps>(m, point, count, r.tiles, s.W, s.pad_w, results);
        to.data = dx + c * s.H * s.W;
        runs_of(to, block, row - s.pad_h, runs);
        if (g.bands == 1)
            lanes_to_runs<false>(results, count * s.W, runs);
        else
            lanes_to_runs<true>(results, count * s.W, runs);
    });
    return hsum(poison) == 0.0f;
}

template <int Taps>
bool rows_input_grad_of(const RowsInputGrad& g, const float* grad, float* dx) {
    const RowsProduct r = g.product();
    const int64_t image = g.s.C * g.s.H * g.s.W;
    float* packed = scratch<float>(kWeights, g.points() * r.u_point());
    pack_rows<Taps>(r, packed);
    bool finite = true;
    const int64_t grain = ceil_div(kRowsSerial, g.block_cost());
    parallel_for(g.blocks(), grain, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; block++) {
            // The bands of an image are lanes of one block: their number divides that of the lanes.
            const int64_t images = kW<float> / g.bands, first = block * images;
            if (g.bands > 1)
                fill_floats(dx + first * image, min64(images, g.s.N - first) * image, 0.0f);
            if (!input_grad_block<Taps>(g, r, packed, block, grad, dx))
                __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
        }
    });
    return finite;
}

// The bands that images are cut into; 0 if transforms do not pay.
inline int64_t rows_input_grad_bands(const ConvShape& s) {
    return has_rows_transform(s) ? cheapest_summed_bands(RowsInputGrad{{s}, nullptr}) : 0;
}

// dx, if transforms pay and all of it is finite.
inline bool rows_input_grad(const ConvShape& s, const float* grad, const float* weight,
                            float* dx) {
    const RowsInputGrad g = {{s, rows_input_grad_bands(s)}, weight};
    if (g.bands == 0) return false;
    return s.KW == 5 ? rows_input_grad_of<5>(g, grad, dx) : rows_input_grad_of<3>(g, grad, dx);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
