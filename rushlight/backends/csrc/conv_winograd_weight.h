// conv_winograd_weight.h: the weight gradient of a 3 x 3 convolution of stride one by Winograd's
// transforms: dw = G' [ sum over tiles (A dy A') . (B' d B) ] G, see conv_winograd_math.h.
//
//   inputs     V[point][tile][c]    as in conv_winograd.h
//   gradients  D[point][tile][o]
//   sums       S[point][c][o]       36 matrix products V' * D, whose inner loop runs over tiles
//
// Tiles are taken in blocks of about 112: the longer a block, the less often the sums are read and
// written. Sums are kept in units of 64 channels x two vectors of outputs (36 * 64 * 32 floats =
// 288 KB, in L2). When all tiles make one block, a unit is turned into weights as soon as it is
// summed up and the next one takes its place; 512 x 512 channels would need 37 MB of sums.
#pragma once

#include "conv_winograd.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kWeightBlock = 112;    // tiles
constexpr int64_t kWeightChannels = 64;  // of a unit
constexpr int64_t kWeightOutputs = 2 * kW<float>;
constexpr int64_t kPointsAtOnce = 6;     // what one thread does of a unit

// Unit u holds channels c .. c + channels - 1 and outputs o .. o + width - 1.
struct WeightUnit {
    int64_t c, channels, o, width;
    PointMatrix sums;
};

inline int64_t channel_blocks(const Winograd& w) { return ceil_div(w.C, kWeightChannels); }
inline int64_t weight_units(const Winograd& w) {
    return channel_blocks(w) * ceil_div(w.O, kWeightOutputs);
}

inline WeightUnit weight_unit(const Winograd& w, int64_t u, float* sums) {
    constexpr int W = kW<float>;
    const int64_t blocks = channel_blocks(w), block = u % blocks;
    WeightUnit unit;
    unit.c = share(w.C, blocks, block);
    unit.channels = share(w.C, blocks, block + 1) - unit.c;
    unit.o = u / blocks * kWeightOutputs;
    unit.width = w.O - unit.o > W ? kWeightOutputs : W;
    unit.sums = PointMatrix::of(kWeightChannels, kWeightOutputs, kWinogradPoints);
    unit.sums.data = sums;
    return unit;
}

inline void add_products(const WeightUnit& unit, const PointMatrix& V, const PointMatrix& D,
                         int64_t tiles, bool accumulate, int64_t first_point, int64_t last_point) {
    const PointProducts products{unit.channels, tiles,  unit.width, V.data + unit.c, 1,
                                 V.row,         V.point, D.data + unit.o, D.row,     D.point,
                                 unit.sums.data, unit.sums.row, unit.sums.point, accumulate};
    multiply_points(products, first_point, last_point);
}

// S's points of one channel and one vector of outputs to taps[tap][output].
inline void transform_sums(const float* from, int64_t point, float* taps) {
    constexpr int W = kW<float>, P = kWinogradPatch;
    f32v half[3][P];
    RL_UNROLL
    for (int i = 0; i < P; i++) {
        f32v u[P], w[3];
        RL_UNROLL
        for (int j = 0; j < P; j++) u[j] = ld(from + (i * P + j) * point);
        transform_weight_grad(u, w);
        RL_UNROLL
        for (int j = 0; j < 3; j++) half[j][i] = w[j];
    }
    RL_UNROLL
    for (int j = 0; j < 3; j++) {
        f32v w[3];
        transform_weight_grad(half[j], w);
        RL_UNROLL
        for (int i = 0; i < 3; i++) st(taps + (3 * i + j) * W, w[i]);
    }
}

// taps[tap][output] of `outputs` outputs to dweight, where those of an output lie `step` from the
// next's; turned in registers. Returns a vector that holds NaN if a number is not finite. `taps`
// has room for whole vectors.
inline f32v store_taps(const float* taps, int count, int outputs, int64_t step, float* dweight) {
    constexpr int W = kW<float>;
    f32v poison = {};
    for (int t = 0; t < count; t += W) {
        const int n = count - t < W ? count - t : W;
        f32v block[W];
        RL_UNROLL
        for (int i = 0; i < W; i++) {
            block[i] = i < n ? ld(taps + (t + i) * W) : f32v{};
            poison += block[i] * 0.0f;
        }
        transpose(block);
        for (int o = 0; o < outputs; o++) stn(dweight + o * step + t, block[o], n);
    }
    return poison;
}

// A unit's sums to dweight (O, C, 3, 3), 9 * W taps of W outputs at a time. Returns a vector that
// holds NaN if a number is not finite.
inline f32v store_unit(const Winograd& w, const WeightUnit& unit, float* dweight) {
    constexpr int W = kW<float>;
    float taps[(9 * W + W) * W];
    f32v poison = {};
    for (int64_t v = 0; v < unit.width; v += W) {
        const int outputs = int(min64(W, w.O - unit.o - v));
        for (int64_t c = 0; c < unit.channels; c += W) {
            const int count = int(min64(W, unit.channels - c)) * 9;
            for (int i = 0; i < count / 9; i++)
                transform_sums(unit.sums.data + (c + i) * unit.sums.row + v, unit.sums.point,
                               taps + i * 9 * W);
            poison += store_taps(taps, count, outputs, w.C * 9,
                                 dweight + ((unit.o + v) * w.C + unit.c + c) * 9);
        }
    }
    return poison;
}

// dweight of all images and one group; false if it holds a number that is not finite, or for want
// of memory.
inline bool winograd_weight_grad(const Winograd& w, const float* x, const float* grad,
                                 float* dweight) {
    const TiledImages inputs = tiled_inputs(w, x);
    const TiledImages grads{grad, w.O, w.OH, w.OW, w.out, 0, 0, w.tiles_h(), w.tiles_w()};
    const int64_t rows = w.tile_rows(), units = weight_units(w);
    const int64_t blocks = ceil_div(rows, ceil_div(kWeightBlock, w.tiles_w()));
    const int64_t most = ceil_div(rows, blocks) * w.tiles_w();
    PointMatrix V = PointMatrix::of(most, w.C, kWinogradPoints);
    PointMatrix D = PointMatrix::of(most, w.O, kWinogradPoints);
    V.data = scratch<float>(kPanelA, V.size());
    D.data = scratch<float>(kPanelB, D.size());
    const int64_t unit_size = weight_unit(w, 0, nullptr).sums.size();
    const Scratch memory(size_t(blocks > 1 ? units * unit_size : 0) * sizeof(float));
    if (blocks > 1 && !memory) return false;
    bool finite = true;
    const auto store = [&](const WeightUnit& unit) {
        if (hsum(store_unit(w, unit, dweight)) != 0.0f)
            __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
    };
    const int64_t work = winograd_work(w) / blocks;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t first = share(rows, blocks, b), last = share(rows, blocks, b + 1);
        const int64_t tiles = (last - first) * w.tiles_w();
        // Transforming a tile costs about as much as 300 multiply-adds a channel.
        const int64_t grain = ceil_div(1 << 20, 300 * w.tiles_w() * (w.C + w.O));
        parallel_for(last - first, grain, [&](int64_t begin, int64_t end) {
            PointMatrix part = V;
            part.data += begin * w.tiles_w() * V.row;
            transform_tiles<kWinogradPatch>(inputs, first + begin, first + end, part);
            part = D;
            part.data += begin * w.tiles_w() * D.row;
            transform_tiles<kWinogradTile>(grads, first + begin, first + end, part);
        });
        if (blocks == 1) {
            parallel_for(units, ceil_div(units << 20, work), [&](int64_t begin, int64_t end) {
                float* sums = scratch<float>(kSums, unit_size);
                for (int64_t u = begin; u < end; u++) {
                    const WeightUnit unit = weight_unit(w, u, sums);
                    add_products(unit, V, D, tiles, false, 0, kWinogradPoints);
                    store(unit);
                }
            });
            return finite;
        }
        const int64_t parts = kWinogradPoints / kPointsAtOnce, tasks = units * parts;
        parallel_for(tasks, ceil_div(tasks << 20, work), [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) {
                const int64_t u = i / parts, point = i % parts * kPointsAtOnce;
                add_products(weight_unit(w, u, memory.as<float>() + u * unit_size), V, D, tiles,
                             b > 0, point, point + kPointsAtOnce);
            }
        });
    }
    parallel_for(units, 1, [&](int64_t begin, int64_t end) {
        for (int64_t u = begin; u < end; u++)
            store(weight_unit(w, u, memory.as<float>() + u * unit_size));
    });
    return finite;
}

// The same for all groups, which are shared out.
inline bool winograd_weight_grads(const Winograd& w, const float* x, const float* grad,
                                  float* dweight) {
    if (w.groups == 1) return winograd_weight_grad(w, x, grad, dweight);
    bool finite = true;
    const int64_t grain = ceil_div(w.groups << 20, winograd_work(w) + 1);
    parallel_for(w.groups, grain, [&](int64_t begin, int64_t end) {
        Winograd one = w;
        one.groups = 1;
        const int64_t x_group = w.C * w.in.channel, grad_group = w.O * w.out.channel;
        for (int64_t g = begin; g < end; g++)
            if (!winograd_weight_grad(one, x + g * x_group, grad + g * grad_group,
                                      dweight + g * w.O * w.C * 9))
                __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
    });
    return finite;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
