// conv_winograd_strided_forward.h: 3 x 3 convolution of stride two by Winograd's transforms, see
// conv_winograd_strided.h.
//
//   V[point][tile][phase][c]     9 x 9 pixels turned into points
//   M[point][tile][o] = V[point] * U[point][phase][c][o]
//   y                            M turned into 4 x 4 pixels
//
// Where blocks of tiles follow each other, U is made once, and a block takes point by point, all
// outputs at a time: V, of 81 numbers for each 25 of M, is read once. Weights that are used only
// once, or that the last cache would not keep, are made and used for 32 channels x two vectors of
// outputs at a time (25 * 128 * 32 floats = 400 KB, in L2).
#pragma once

#include "allocator.h"
#include "conv_winograd_strided.h"

namespace rl {
namespace RL_ISA {
namespace {

inline StridedWeight forward_weight(const ConvShape& s, const float* weight) {
    const int64_t k = s.weight_last ? 1 : 9, tap = s.weight_last ? s.C : 1;
    return {weight, {s.C * 9, k, tap}, s.O, false};
}

// M (+)= V * U for outputs 0 .. width - 1 and the chunk's channels, which U alone holds.
inline void multiply_chunk(const PointMatrix& V, int64_t tiles, const Chunk& chunk,
                           const PointMatrix& U, int64_t width, const PointMatrix& M) {
    Gemm<float> g;
    g.M = tiles, g.N = width;
    g.a_row = V.row, g.a_col = 1;
    g.b_row = U.row, g.b_col = 1;
    g.c_row = M.row;
    g.accumulate = chunk.first > 0;
    for (int point = 0; point < kStridedPoints; point++) {
        const PhasesOfPoint phases = phases_of(point);
        const int64_t first = phases.first * chunk.depth();
        g.K = phases.count() * chunk.depth();
        g.a = V.data + point * V.point + chunk.start() + first;
        g.b = U.data + point * U.point + first * U.row;
        g.c = M.data + point * M.point;
        gemm_one_thread(g);
    }
}

// M's first column is output o.
inline f32v store_strided_outputs(const TiledOutputs& out, const PointMatrix& M, int64_t o,
                                  int64_t width, const BlockTask& task) {
    f32v poison = {};
    PointMatrix part = M;
    for (int64_t v = 0; v < width; v += kW<float>, part.data += kW<float>)
        poison += transform_strided_outputs<kStridedTile>(out, part, 0, o + v, task.first,
                                                          task.last);
    return poison;
}

struct StridedForward {
    const ConvShape& s;
    StridedWeight weight;
    TiledImages in;
    TiledOutputs out;

    // V of a block.
    PointMatrix inputs_of(const BlockTask& task, const Chunks& chunks) const {
        const int64_t tiles = (task.last - task.first) * in.wide;
        PointMatrix V = PointMatrix::of(tiles, phased_lanes(s.C), kStridedPoints);
        V.data = scratch<float>(kPanelA, V.size());
        transform_strided_images(in, chunks, task.first, task.last, V);
        return V;
    }
};

inline bool forward_all_outputs(const StridedForward& f, const TileBlocks& plan, int64_t panel,
                                const PointMatrix& U) {
    constexpr int W = kW<float>;
    const Chunks chunks = one_chunk(f.s.C);
    const int64_t vectors = ceil_div(f.s.O, W);
    const int64_t grain = ceil_div(1 << 18, f.s.C * W * 9);
    parallel_for(vectors, grain, [&](int64_t begin, int64_t end) {
        transform_chunk(f.weight, begin * W, (end - begin) * W, chunks.at(0), U.data + begin * W,
                        U.point, U.row);
    });
    return run_blocks(plan, strided_work(f.s), [&](const BlockTask& task) {
        const PointMatrix V = f.inputs_of(task, chunks);
        const int64_t o = task.first_panel * panel;
        const int64_t end = min64(task.last_panel * panel, vectors * W);
        const int64_t tiles = (task.last - task.first) * f.in.wide;
        PointMatrix M = PointMatrix::of(tiles, end - o, kStridedPoints), own = U;
        M.data = scratch<float>(kPanelB, M.size());
        own.data += o;
        multiply_chunk(V, tiles, chunks.at(0), own, end - o, M);
        return hsum(store_strided_outputs(f.out, M, o, end - o, task)) == 0.0f;
    });
}

inline bool forward_by_panels(const StridedForward& f, const TileBlocks& plan, int64_t panel) {
    constexpr int W = kW<float>;
    const Chunks chunks = {f.s.C, kPhaseChannels};
    return run_blocks(plan, strided_work(f.s), [&](const BlockTask& task) {
        const PointMatrix V = f.inputs_of(task, chunks);
        const int64_t tiles = (task.last - task.first) * f.in.wide;
        PointMatrix M = PointMatrix::of(tiles, panel, kStridedPoints);
        PointMatrix U = PointMatrix::of(kPhases * kPhaseChannels, panel, kStridedPoints);
        M.data = scratch<float>(kPanelB, M.size());
        U.data = scratch<float>(kSums, U.size());
        f32v poison = {};
        for (int64_t p = task.first_panel; p < task.last_panel; p++) {
            const int64_t o = p * panel, width = min64(panel, round_up(f.s.O - o, W));
            for (int64_t c = 0; c < chunks.count(); c++) {
                transform_chunk(f.weight, o, width, chunks.at(c), U.data, U.point, U.row);
                multiply_chunk(V, tiles, chunks.at(c), U, width, M);
            }
            poison += store_strided_outputs(f.out, M, o, width, task);
        }
        return hsum(poison) == 0.0f;
    });
}

// y = the convolution; false if it holds a number that is not finite.
inline bool strided_forward(const ConvShape& s, const float* x, const float* weight,
                            const float* bias, float* y) {
    constexpr int64_t panel = 2 * kW<float>;
    const TiledImages in = strided_inputs(s, x);
    const StridedForward f = {s, forward_weight(s, weight), in,
                              {y, s.O, s.OH, s.OW, s.y_steps(), in.high, in.wide, 0, 0, bias,
                               s.relu}};
    PointMatrix U = PointMatrix::of(phased_lanes(s.C), s.O, kStridedPoints);
    const bool small = U.size() <= kKeptWeights;
    const TileBlocks plan = plan_blocks(s.N * in.high, in.wide, ceil_div(s.O, panel), small);
    const bool keeps = small && plan.blocks > 1;
    const Scratch memory(size_t(keeps ? U.size() : 0) * sizeof(float));
    U.data = memory.as<float>();
    return U.data && keeps ? forward_all_outputs(f, plan, panel, U)
                           : forward_by_panels(f, plan, panel);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
