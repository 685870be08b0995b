// conv_bias.h: the gradient of a convolution's bias: the sum over all images and pixels.
//
// Channels first, every plane of a channel is one run of numbers. Channels last, the sum is one
// over rows of O numbers, four vectors of columns at a time. Blocks of 256 rows are summed apart,
// so that no sum gets long and the result does not depend on the number of threads.
#pragma once

#include "conv_plane.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

inline float sum_floats(const float* p, int64_t n) {
    constexpr int W = kW<float>;
    f32v a = {}, b = {}, c = {}, d = {};
    int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W) {
        a += ld(p + i);
        b += ld(p + i + W);
        c += ld(p + i + 2 * W);
        d += ld(p + i + 3 * W);
    }
    for (; i + W <= n; i += W) a += ld(p + i);
    if (i < n) b += ldn(p + i, int(n - i));
    return hsum((a + b) + (c + d));
}

// sums[o] = the sum of `rows` rows of O numbers.
inline void sum_rows(const float* from, int64_t rows, int64_t O, float* sums) {
    constexpr int W = kW<float>, V = 4;
    int64_t o = 0;
    for (; o + V * W <= O; o += V * W) {
        f32v acc[V] = {};
        for (int64_t r = 0; r < rows; r++) {
            RL_UNROLL
            for (int v = 0; v < V; v++) acc[v] += ld(from + r * O + o + v * W);
        }
        RL_UNROLL
        for (int v = 0; v < V; v++) st(sums + o + v * W, acc[v]);
    }
    for (; o < O; o += W) {
        const int n = int(min64(W, O - o));
        f32v acc = {};
        for (int64_t r = 0; r < rows; r++) acc += ldn(from + r * O + o, n);
        stn(sums + o, acc, n);
    }
}

inline void bias_grad_last(int64_t rows, int64_t O, const float* grad, float* dbias) {
    constexpr int64_t block = 256;
    const int64_t blocks = ceil_div(rows, block);
    float* sums = scratch<float>(kSums, blocks * O);
    parallel_for(blocks, ceil_div(1 << 18, block * O), [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; b++)
            sum_rows(grad + b * block * O, min64(block, rows - b * block), O, sums + b * O);
    });
    sum_rows(sums, blocks, O, dbias);
}

inline void bias_grad(int64_t N, int64_t O, int64_t plane, bool channels_last, const float* grad,
                      float* dbias) {
    if (channels_last) return bias_grad_last(N * plane, O, grad, dbias);
    // A quarter of a million numbers take about 30 microseconds.
    const int64_t grain = ceil_div(1 << 18, N * plane + 1);
    parallel_for(O, grain, [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; o++) {
            float total = 0.0f;
            for (int64_t n = 0; n < N; n++) total += sum_floats(grad + (n * O + o) * plane, plane);
            dbias[o] = total;
        }
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
