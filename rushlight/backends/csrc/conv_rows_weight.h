// conv_rows_weight.h: the weight gradient of convolution of few channels by Winograd's transforms
// along rows (conv_rows.h): 3 or 5 taps wide, any height, stride one.
//
//     D[point][o][row][tile]   grad, 4 pixels turned into 6 (8) points
//     V[point][c][row][tile]   x, as for the convolution itself; the padding's rows are there
//     S[point][o][c][ky]       the sum of D[point][o][j] * V[point][c][j + ky rows] over tiles j
//
// Rows of both have the same number of tiles, so j counts tiles of any number of rows: the sums are
// those of conv_batch_weight.h with taps above each other. D is made a few rows at a time, about
// kRowsSumChunk tiles, which stay in the first-level cache for all channels. The lanes of a block
// are folded, blocks added in their order, and S is turned into taps once, at the end.
#pragma once

#include "conv_batch_weight.h"
#include "conv_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kRowsSumChunk = 56;  // tiles
constexpr int64_t kFoldVector = 5;     // cycles per vector of sums

struct RowsWeightGrad : RowsPass {
    int64_t x_rows() const { return band_rows() + s.KH - 1; }
    int64_t chunk() const { return min64(band_rows(), ceil_div(kRowsSumChunk, tiles())); }
    int64_t sums() const { return s.O * s.C * s.KH; }  // of one point

    int64_t room() const {
        const int64_t rows = s.C * x_rows() + s.O * chunk();
        return points() * (rows * tiles() + sums()) * kW<float>;
    }
    int64_t block_cost() const {
        const int64_t to_points = tiles() * kTileToPoints * points() / 8;
        const int64_t inputs = s.C * x_rows() * (to_points + s.W * kTurnToLanes);
        const int64_t grads = s.O * band_rows() * (to_points + s.OW * kTurnToLanes);
        return points() * sums() * (tiles() * band_rows() + kFoldVector) + inputs + grads;
    }
};

// Adds D * V of n tiles to the sums of one point: [block of outputs][c][ky][output][lane].
inline void add_row_sums(const RowsWeightGrad& r, const float* d, const float* v, int64_t n,
                         bool accumulate, float* sums) {
    constexpr int W = kW<float>;
    const int64_t row = r.tiles() * W;
    BatchSums t;
    t.x_row = t.grad_row = 0;
    t.x_column = W;
    t.x_tap = row;
    t.grad_output = n * W;
    t.rows = {0, 1};
    t.columns = {0, n};
    t.accumulate = accumulate;
    for (int64_t o = 0; o < r.s.O;) {
        const int outputs = batch_sum_outputs(r.s.O - o, batch_sum_taps(r.s.KH));
        t.grad = d + o * t.grad_output;
        t.sums_tap = outputs * W;
        for (int64_t c = 0; c < r.s.C; c++)
            for (int64_t ky = 0; ky < r.s.KH;) {
                const int taps = batch_sum_taps(r.s.KH - ky);
                t.x = v + c * r.x_rows() * row + ky * row;
                t.sums = sums;
                if (taps == 5)
                    batch_sums_of<5>(outputs, t);
                else if (taps == 3)
                    batch_sums_of<3>(outputs, t);
                else
                    batch_sums_of<1>(outputs, t);
                sums += taps * t.sums_tap;
                ky += taps;
            }
        o += outputs;
    }
}

// The sums of one block of lanes, folded: [point][block of outputs][c][ky][output].
template <int Taps>
void rows_block_sums(const RowsWeightGrad& r, int64_t block, const float* grad, const float* x,
                     float* folded) {
    constexpr int W = kW<float>, P = RowTransform<Taps>::points;
    const ConvShape& s = r.s;
    const int64_t tiles = r.tiles(), chunk = r.chunk();
    const int64_t v_point = (s.C * r.x_rows() * tiles + 1) * W;
    const int64_t d_point = (s.O * chunk * tiles + 1) * W;
    float* v = scratch<float>(kPlane, P * v_point);
    float* d = scratch<float>(kPanelA, P * d_point);
    float* sums = scratch<float>(kSums, P * r.sums() * W);
    const LanePlanes inputs = {const_cast<float*>(x), s.N, s.C * s.H * s.W, s.H, s.W, r.bands,
                               r.band_rows()};
    planes_to_points<Taps, false>(inputs, s.C, block, -s.pad_h, r.x_rows(), s.pad_w, tiles, v,
                                  v_point);
    const LanePlanes grads = {const_cast<float*>(grad), s.N, s.O * s.OH * s.OW, s.OH, s.OW,
                              r.bands, r.band_rows()};
    for (int64_t row = 0; row < r.band_rows(); row += chunk) {
        const int64_t rows = min64(chunk, r.band_rows() - row), n = rows * tiles;
        planes_to_points<Taps, true>(grads, s.O, block, row, rows, 0, tiles, d, d_point);
        for (int p = 0; p < P; p++)
            add_row_sums(r, d + p * d_point, v + p * v_point + row * tiles * W, n, row > 0,
                         sums + p * r.sums() * W);
    }
    for (int64_t i = 0; i < P * r.sums(); i += W) {
        f32v rows[W];
        RL_UNROLL
        for (int k = 0; k < W; k++) rows[k] = ld(sums + (i + k) * W);
        stn(folded + i, hsum_rows(rows), int(min64(W, P * r.sums() - i)));
    }
}

// Points of all sums to taps, in place, and to the weight's order; false if one is not finite.
template <int Taps>
bool sums_to_weight(const RowsWeightGrad& r, float* folded, float* dweight) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>;
    const ConvShape& s = r.s;
    const int64_t sums = r.sums(), rows = s.C * s.KH;
    f32v poison = {};
    for (int64_t j = 0; j < sums; j += W) {
        const int count = int(min64(W, sums - j));
        f32v u[Transform::points], taps[Taps];
        RL_UNROLL
        for (int p = 0; p < Transform::points; p++) u[p] = ldn(folded + p * sums + j, count);
        Transform::weight_grad(u, taps);
        RL_UNROLL
        for (int x = 0; x < Taps; x++) {
            poison += taps[x] * 0.0f;
            stn(folded + x * sums + j, taps[x], count);
        }
    }
    for (int64_t o = 0; o < s.O;) {
        const int outputs = batch_sum_outputs(s.O - o, batch_sum_taps(s.KH));
        for (int64_t k = 0; k < rows; k++)
            for (int i = 0; i < outputs; i++, folded++)
                for (int x = 0; x < Taps; x++)
                    dweight[((o + i) * rows + k) * Taps + x] = folded[x * sums];
        o += outputs;
    }
    return hsum(poison) == 0.0f;
}

template <int Taps>
bool rows_weight_grad_of(const RowsWeightGrad& r, const float* grad, const float* x,
                         float* dweight) {
    const int64_t size = r.points() * r.sums(), blocks = r.blocks();
    float* parts = scratch<float>(kWeights, blocks * size);
    const int64_t grain = ceil_div(kRowsSerial, r.block_cost());
    parallel_for(blocks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; block++)
            rows_block_sums<Taps>(r, block, grad, x, parts + block * size);
    });
    for (int64_t block = 1; block < blocks; block++)
        add_floats(parts, parts + block * size, size);
    return sums_to_weight<Taps>(r, parts, dweight);
}

// The bands that images are cut into; 0 if transforms do not pay.
inline int64_t rows_weight_grad_bands(const ConvShape& s) {
    return has_rows_transform(s) ? cheapest_summed_bands(RowsWeightGrad{{s}}) : 0;
}

// dweight, if transforms pay and all of it is finite.
inline bool rows_weight_grad(const ConvShape& s, const float* grad, const float* x,
                             float* dweight) {
    const RowsWeightGrad r = {{s, rows_weight_grad_bands(s)}};
    if (r.bands == 0) return false;
    return s.KW == 5 ? rows_weight_grad_of<5>(r, grad, x, dweight)
                     : rows_weight_grad_of<3>(r, grad, x, dweight);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
