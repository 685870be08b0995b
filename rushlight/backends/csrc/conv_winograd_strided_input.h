// conv_winograd_strided_input.h: the input gradient of a 3 x 3 convolution of stride two by
// Winograd's transforms, see conv_winograd_strided.h.
//
//   V[point][tile][o]            5 x 5 numbers of grad turned into points
//   M[point][tile][phase][c] = V[point] * U[point][o][phase][c]
//   dx                           M turned into 4 x 4 pixels of each phase: 8 x 8
//
// A panel of U and M is one vector of channels, four with its phases. All of U is made once where
// several blocks of tiles use it and the last cache keeps it; else a panel's weights for 64 outputs
// at a time (25 * 64 * 64 floats = 400 KB, in L2).
#pragma once

#include "allocator.h"
#include "conv_winograd_strided.h"

namespace rl {
namespace RL_ISA {
namespace {

// Input gradient: inputs k0 .. k0 + depth - 1 of the vector of outputs o, to u[point][k][phase][W].
inline void transform_for_grad(const StridedWeight& w, int64_t o, int64_t k0, int64_t depth,
                               float* u, int64_t u_point) {
    constexpr int W = kW<float>;
    float taps[W * 9 * W];
    const int outputs = int(min64(W, w.O - o));
    for (int64_t k = 0; k < depth; k += W) {
        const int count = int(min64(W, depth - k));
        load_taps(w.steps, w.at(o, k0 + k), outputs, count, taps);
        for (int i = 0; i < count; i++)
            transform_strided_taps(taps + i * 9 * W, w.reversed, u + (k + i) * kPhases * W, u_point,
                                   W);
    }
}

// M (+)= V * u[point][k][phase][lane], k being outputs k .. k + depth - 1 of V.
inline void multiply_grads(const PointMatrix& V, int64_t tiles, int64_t k, int64_t depth,
                           const float* u, int64_t u_point, const PointMatrix& M) {
    constexpr int W = kW<float>;
    Gemm<float> g;
    g.M = tiles, g.K = depth;
    g.a_row = V.row, g.a_col = 1;
    g.b_row = kPhases * W, g.b_col = 1;
    g.c_row = M.row;
    g.accumulate = k > 0;
    for (int point = 0; point < kStridedPoints; point++) {
        const PhasesOfPoint phases = phases_of(point);
        g.N = phases.count() * W;
        g.a = V.data + point * V.point + k;
        g.b = u + point * u_point + phases.first * W;
        g.c = M.data + point * M.point + phases.first * W;
        gemm_one_thread(g);
    }
}

constexpr int64_t kGradDepth = 64;  // outputs whose weights are transformed at a time

// Tile 0's first number of grad is `before` ahead of the array (negative: behind its start), and
// `skip` of its pixels are not in the image.
struct StridedAxis {
    int64_t before, skip, tiles;
};
inline StridedAxis strided_axis(int64_t pad, int64_t size) {
    StridedAxis a;
    a.skip = pad % 2 == 0 ? 1 : 0;
    a.before = (a.skip + 1 - pad) / 2;
    a.tiles = ceil_div(size + a.skip, 2 * kStridedTile);
    return a;
}

// dx; false if it holds a number that is not finite.
inline bool strided_input_grad(const ConvShape& s, const float* grad, const float* weight,
                               float* dx) {
    constexpr int W = kW<float>;
    const int64_t o_tap = s.weight_last ? 1 : 9, tap = s.weight_last ? s.C : 1;
    const StridedWeight w = {weight, {o_tap, s.C * 9, tap}, s.C, true};
    const StridedAxis rows = strided_axis(s.pad_h, s.H), columns = strided_axis(s.pad_w, s.W);
    const TiledImages in = {grad, s.O, s.OH, s.OW, s.y_steps(), rows.before, columns.before,
                            rows.tiles, columns.tiles};
    const TiledOutputs out = {dx, s.C, s.H, s.W, s.x_steps(), in.high, in.wide, rows.skip,
                              columns.skip, nullptr, false};
    const int64_t panels = ceil_div(s.C, W);
    const int64_t u_point = panel_point(s.O, kPhases * W), panel_size = kStridedPoints * u_point;
    const bool small = panels * panel_size <= kKeptWeights;
    const TileBlocks plan = plan_blocks(s.N * in.high, in.wide, panels, small);
    const bool keeps = small && plan.blocks > 1;
    const Scratch memory(size_t(keeps ? panels * panel_size : 0) * sizeof(float));
    float* const kept = keeps ? memory.as<float>() : nullptr;
    if (kept)
        parallel_for(panels, ceil_div(1 << 18, s.O * W * 9), [&](int64_t begin, int64_t end) {
            for (int64_t p = begin; p < end; p++)
                transform_for_grad(w, p * W, 0, s.O, kept + p * panel_size, u_point);
        });
    return run_blocks(plan, strided_work(s), [&](const BlockTask& task) {
        const int64_t tiles = (task.last - task.first) * in.wide;
        PointMatrix V = PointMatrix::of(tiles, s.O, kStridedPoints);
        PointMatrix M = PointMatrix::of(tiles, kPhases * W, kStridedPoints);
        V.data = scratch<float>(kPanelA, V.size());
        M.data = scratch<float>(kPanelB, M.size());
        transform_strided_grads<kStridedAxis>(in, task.first, task.last, V);
        const int64_t own_point = panel_point(kGradDepth, kPhases * W);
        float* own = kept ? nullptr : scratch<float>(kSums, kStridedPoints * own_point);
        f32v poison = {};
        for (int64_t p = task.first_panel; p < task.last_panel; p++) {
            if (kept) multiply_grads(V, tiles, 0, s.O, kept + p * panel_size, u_point, M);
            for (int64_t k = 0; !kept && k < s.O; k += kGradDepth) {
                const int64_t depth = min64(kGradDepth, s.O - k);
                transform_for_grad(w, p * W, k, depth, own, own_point);
                multiply_grads(V, tiles, k, depth, own, own_point, M);
            }
            poison += transform_strided_outputs<2 * kStridedTile>(out, M, W, p * W, task.first,
                                                                  task.last);
        }
        return hsum(poison) == 0.0f;
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
