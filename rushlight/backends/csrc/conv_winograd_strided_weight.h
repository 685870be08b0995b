// conv_winograd_strided_weight.h: the weight gradient of a 3 x 3 convolution of stride two by
// Winograd's transforms, see conv_winograd_strided.h.
//
//   V[point][tile][phase][c]     9 x 9 pixels turned into points
//   D[point][tile][o]            4 x 4 numbers of grad turned into points
//   S[point][phase][c][o] (+)= V[point]' * D[point], whose inner loop runs over tiles
//   dweight                      S turned into taps
//
// Tiles are taken in blocks of about 112: the longer a block, the less often S is read and written.
// A block adds to S point by point, all channels and outputs at a time, so that V and D are read
// once. When all tiles make one block, S is made and turned in units of 32 channels x two vectors
// of outputs (25 * 128 * 32 floats = 400 KB, in L2): for 256 x 512 channels it would take 52 MB.
#pragma once

#include "conv_winograd_strided_forward.h"
#include "conv_winograd_weight.h"

namespace rl {
namespace RL_ISA {
namespace {

// Channels of a chunk and some outputs. The chunk's phases lie `phase` rows apart in `sums`, whose
// first column is output o.
struct StridedUnit {
    Chunk chunk;
    int64_t phase, o, width;
    PointMatrix sums;
};

// S of all channels and outputs is cut into the same units when it is turned into weights.
inline int64_t strided_units(const ConvShape& s) {
    return ceil_div(s.C, kPhaseChannels) * ceil_div(s.O, kWeightOutputs);
}
inline StridedUnit strided_unit(const ConvShape& s, int64_t u) {
    const Chunks chunks = {s.C, kPhaseChannels};
    StridedUnit unit;
    unit.chunk = chunks.at(u % chunks.count());
    unit.phase = unit.chunk.depth();
    unit.o = u / chunks.count() * kWeightOutputs;
    unit.width = s.O - unit.o > kW<float> ? kWeightOutputs : kW<float>;
    return unit;
}

// sums (+)= V' * D at one point, for the chunk's channels and `outputs` outputs from o on.
inline void add_strided_products(const PointMatrix& V, const PointMatrix& D, int64_t tiles,
                                 bool accumulate, int point, const Chunk& chunk, int64_t o,
                                 int64_t outputs, const PointMatrix& sums) {
    const PhasesOfPoint phases = phases_of(point);
    const int64_t first = phases.first * chunk.depth();
    Gemm<float> g;
    g.M = phases.count() * chunk.depth(), g.N = outputs, g.K = tiles;
    g.a_row = 1, g.a_col = V.row;
    g.b_row = D.row, g.b_col = 1;
    g.c_row = sums.row;
    g.accumulate = accumulate;
    g.a = V.data + point * V.point + chunk.start() + first;
    g.b = D.data + point * D.point + o;
    g.c = sums.data + point * sums.point + first * sums.row;
    gemm_one_thread(g);
}

// S's points of one channel, phases `phase` apart, and one vector of outputs to taps[tap][output].
inline void transform_strided_sums(const float* from, int64_t point, int64_t phase, float* taps) {
    constexpr int W = kW<float>, P = kStridedPatch;
    f32v half[3][P];
    RL_UNROLL
    for (int i = 0; i < P; i++) {
        f32v u[P], w[3];
        RL_UNROLL
        for (int j = 0; j < P; j++)
            u[j] = ld(from + point_of(i, j) * point + phase_of_numbers(i, j) * phase);
        transform_strided_weight_grad(u, w);
        RL_UNROLL
        for (int j = 0; j < 3; j++) half[j][i] = w[j];
    }
    RL_UNROLL
    for (int j = 0; j < 3; j++) {
        f32v w[3];
        transform_strided_weight_grad(half[j], w);
        RL_UNROLL
        for (int i = 0; i < 3; i++) st(taps + (3 * i + j) * W, w[i]);
    }
}

// A unit's sums to dweight. Returns a vector that holds NaN if a number is not finite.
inline f32v store_strided_unit(const ConvShape& s, const StridedUnit& unit, float* dweight) {
    constexpr int W = kW<float>;
    float taps[(9 * W + W) * W];
    f32v poison = {};
    for (int64_t v = 0; v < unit.width; v += W) {
        const int outputs = int(min64(W, s.O - unit.o - v));
        for (int64_t c = 0; c < unit.chunk.channels; c += W) {
            const int count = int(min64(W, unit.chunk.channels - c));
            for (int i = 0; i < count; i++)
                transform_strided_sums(unit.sums.data + (c + i) * unit.sums.row + v,
                                       unit.sums.point, unit.phase * unit.sums.row,
                                       taps + i * 9 * W);
            poison += store_taps(taps, 9 * count, outputs, s.C * 9,
                                 dweight + ((unit.o + v) * s.C + unit.chunk.first + c) * 9);
        }
    }
    return poison;
}


struct StridedWeightGrad {
    const ConvShape& s;
    TiledImages inputs, grads;
    int64_t rows, blocks;

    int64_t block_tiles() const { return ceil_div(rows, blocks) * inputs.wide; }

    // Rows of tiles first .. last - 1, on all threads.
    void transform(const Chunks& chunks, int64_t first, int64_t last, const PointMatrix& V,
                   const PointMatrix& D) const {
        // Transforming a tile costs about as much as 600 multiply-adds a channel.
        const int64_t grain = ceil_div(1 << 20, 600 * inputs.wide * (s.C + s.O));
        parallel_for(last - first, grain, [&](int64_t begin, int64_t end) {
            PointMatrix part = V;
            part.data += begin * inputs.wide * V.row;
            transform_strided_images(inputs, chunks, first + begin, first + end, part);
            part = D;
            part.data += begin * inputs.wide * D.row;
            transform_strided_grads<kStridedTile>(grads, first + begin, first + end, part);
        });
    }
};

// All tiles are one block.
inline bool weight_grad_by_units(const StridedWeightGrad& g, const PointMatrix& V,
                                 const PointMatrix& D, float* dweight) {
    const int64_t units = strided_units(g.s);
    g.transform({g.s.C, kPhaseChannels}, 0, g.rows, V, D);
    bool finite = true;
    const int64_t grain = ceil_div(units << 20, strided_work(g.s));
    parallel_for(units, grain, [&](int64_t begin, int64_t end) {
        PointMatrix sums =
            PointMatrix::of(kPhases * kPhaseChannels, kWeightOutputs, kStridedPoints);
        sums.data = scratch<float>(kSums, sums.size());
        for (int64_t u = begin; u < end; u++) {
            StridedUnit unit = strided_unit(g.s, u);
            unit.sums = sums;
            for (int point = 0; point < kStridedPoints; point++)
                add_strided_products(V, D, g.block_tiles(), false, point, unit.chunk, unit.o,
                                     unit.width, sums);
            if (hsum(store_strided_unit(g.s, unit, dweight)) != 0.0f)
                __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
        }
    });
    return finite;
}

inline bool weight_grad_by_points(const StridedWeightGrad& g, const PointMatrix& V,
                                  const PointMatrix& D, float* dweight) {
    constexpr int W = kW<float>;
    const Chunks all = one_chunk(g.s.C);
    PointMatrix S = PointMatrix::of(phased_lanes(g.s.C), g.s.O, kStridedPoints);
    const Scratch memory(size_t(S.size()) * sizeof(float));
    if (!memory) return false;
    S.data = memory.as<float>();
    // Points are shared out, and, as they differ, halves of their outputs.
    const int64_t vectors = ceil_div(g.s.O, W), parts = min64(num_threads(), vectors);
    const int64_t tasks = kStridedPoints * parts;
    const int64_t grain = ceil_div(tasks << 20, strided_work(g.s) / g.blocks + 1);
    for (int64_t b = 0; b < g.blocks; b++) {
        const int64_t first = share(g.rows, g.blocks, b), last = share(g.rows, g.blocks, b + 1);
        g.transform(all, first, last, V, D);
        parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++) {
                const int64_t part = i / kStridedPoints, o = share(vectors, parts, part) * W;
                PointMatrix own = S;
                own.data += o;
                add_strided_products(V, D, (last - first) * g.inputs.wide, b > 0,
                                     int(i % kStridedPoints), all.at(0), o,
                                     share(vectors, parts, part + 1) * W - o, own);
            }
        });
    }
    bool finite = true;
    parallel_for(strided_units(g.s), 1, [&](int64_t begin, int64_t end) {
        for (int64_t u = begin; u < end; u++) {
            StridedUnit unit = strided_unit(g.s, u);
            unit.phase = all.at(0).depth();
            unit.sums = S;
            unit.sums.data += unit.chunk.first * S.row + unit.o;
            if (hsum(store_strided_unit(g.s, unit, dweight)) != 0.0f)
                __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
        }
    });
    return finite;
}

// dweight of all images; false if it holds a number that is not finite, or for want of memory.
inline bool strided_weight_grad(const ConvShape& s, const float* x, const float* grad,
                                float* dweight) {
    const TiledImages in = strided_inputs(s, x);
    const int64_t rows = s.N * in.high;
    const StridedWeightGrad g = {s, in,
                                 {grad, s.O, s.OH, s.OW, s.y_steps(), 0, 0, in.high, in.wide},
                                 rows, ceil_div(rows, ceil_div(kWeightBlock, in.wide))};
    PointMatrix V = PointMatrix::of(g.block_tiles(), phased_lanes(s.C), kStridedPoints);
    PointMatrix D = PointMatrix::of(g.block_tiles(), s.O, kStridedPoints);
    V.data = scratch<float>(kPanelA, V.size());
    D.data = scratch<float>(kPanelB, D.size());
    return g.blocks == 1 ? weight_grad_by_units(g, V, D, dweight)
                         : weight_grad_by_points(g, V, D, dweight);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
