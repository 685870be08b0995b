// conv_lanes.h: runs of numbers side by side, one per lane, to vectors and back.
//
// conv_batch.h and conv_rows.h compute with the same pixel of W images, or of W bands of rows, in a
// vector. Turning to this order and back is a transposition of W x W numbers in registers.
#pragma once

#include "gemm_scratch.h"

namespace rl {
namespace RL_ISA {
namespace {

// A run of numbers of which those from `first` on and before `last` exist.
struct LaneRun {
    float* data;
    int64_t first, last;
};

RL_INLINE f32v load_run(const LaneRun& run, int64_t i) {
    constexpr int W = kW<float>;
    if (i >= run.first && i + W <= run.last) return ld(run.data + i);
    if (i >= run.last || i + W <= run.first) return f32v{};
    if (i >= run.first) return ldn(run.data + i, int(run.last - i));
    float part[W] = {};
    for (int64_t j = run.first; j < min64(i + W, run.last); j++) part[j - i] = run.data[j];
    return ld(part);
}

// Stores the first n lanes, as far as they exist, or adds them to what is there.
template <bool Add>
RL_INLINE void store_run(const LaneRun& run, int64_t i, int n, f32v v) {
    constexpr int W = kW<float>;
    const int64_t count = min64(n, run.last - i);
    if (i >= run.first && count == W) {
        st(run.data + i, Add ? ld(run.data + i) + v : v);
    } else if (i >= run.first && count > 0) {
        stn(run.data + i, Add ? ldn(run.data + i, int(count)) + v : v, int(count));
    } else {
        for (int64_t j = 0; j < count; j++)
            if (i + j >= run.first) run.data[i + j] = Add ? run.data[i + j] + v[j] : v[j];
    }
}

// n numbers of every lane's run to n vectors; those that do not exist are zero.
inline void runs_to_lanes(const LaneRun* runs, int64_t n, float* to) {
    constexpr int W = kW<float>;
    for (int64_t i = 0; i < n; i += W) {
        f32v block[W];
        RL_UNROLL
        for (int k = 0; k < W; k++) block[k] = load_run(runs[k], i);
        transpose(block);
        RL_UNROLL
        for (int k = 0; k < W; k++)
            if (i + k < n) st(to + (i + k) * W, block[k]);
    }
}

// n vectors to those numbers of every lane's run that exist. Bands of one image may overlap where
// they are added: they are added one after the other.
template <bool Add>
void lanes_to_runs(const float* from, int64_t n, const LaneRun* runs) {
    constexpr int W = kW<float>;
    for (int64_t i = 0; i < n; i += W) {
        const int count = int(min64(W, n - i));
        f32v block[W];
        RL_UNROLL
        for (int k = 0; k < W; k++) block[k] = k < count ? ld(from + (i + k) * W) : f32v{};
        transpose(block);
        RL_UNROLL
        for (int k = 0; k < W; k++) store_run<Add>(runs[k], i, count, block[k]);
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
