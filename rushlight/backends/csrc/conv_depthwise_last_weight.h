// conv_depthwise_last_weight.h: the weight gradient of channels-last convolution whose groups have
// one channel each.
//
// Vectors hold neighbouring channels. Up to 10 taps have a vector of sums each while a row of
// pixels goes by; with 3 taps in each kernel row and stride one, what they read stays in registers,
// too. The taps of a row are those of conv_depthwise_taps.h.
#pragma once

#include "conv_depthwise_last.h"

namespace rl {
namespace RL_ISA {
namespace {

struct WeightRow {
    const float* x;
    int64_t x_step;
    const float* grad;
    int64_t pixels;
    int64_t C;
    float* sums;  // [tap][channel]
};

// Adds grad * x of a row of pixels to the first m of a vector of sums of each of T taps.
template <int T>
RL_INLINE void add_tap_vector(const WeightRow& row, const RowTap* taps, Reached all, int m) {
    f32v acc[T];
    int64_t source[T];
    RL_UNROLL
    for (int t = 0; t < T; t++) {
        acc[t] = load(row.sums + taps[t].weight, m);
        source[t] = taps[t].source;
    }
    const float* x = row.x;
    const float* grad = row.grad;
    for (int64_t p = 0; p < row.pixels;) {
        for (; p >= all.first && p < all.last; p++, x += row.x_step, grad += row.C) {
            const f32v g = load(grad, m);
            RL_UNROLL
            for (int t = 0; t < T; t++) acc[t] = fma(g, load(x + source[t], m), acc[t]);
        }
        if (p == row.pixels) break;
        const f32v g = load(grad, m);
        RL_UNROLL
        for (int t = 0; t < T; t++)
            if (reaches(taps[t], p)) acc[t] = fma(g, load(x + source[t], m), acc[t]);
        p++, x += row.x_step, grad += row.C;
    }
    RL_UNROLL
    for (int t = 0; t < T; t++) store(row.sums + taps[t].weight, acc[t], m);
}

// The same for R runs of three taps which are as far apart as the pixels: column j is met by tap 0
// of pixel j, tap 1 of pixel j - 1 and tap 2 of pixel j - 2.
template <int R>
RL_INLINE void add_run_vector(const WeightRow& row, const RowTap* taps, int m) {
    f32v acc[R][3], columns[R][3];
    RL_UNROLL
    for (int i = 0; i < 3 * R; i++) acc[i / 3][i % 3] = load(row.sums + taps[i].weight, m);
    const int64_t first = taps[0].first, last = taps[2].last + 2;  // columns that exist
    const float* grad = row.grad;
    for (int64_t j = 0; j < row.pixels + 2; j += 3) {
        RL_UNROLL
        for (int u = 0; u < 3; u++) {
            if (j + u >= row.pixels + 2) break;
            const bool exists = j + u >= first && j + u < last;
            RL_UNROLL
            for (int r = 0; r < R; r++)
                columns[r][u] = exists ? load(row.x + taps[3 * r].source + (j + u) * row.x_step, m)
                                       : f32v{};
            if (j + u < 2) continue;
            const f32v g = load(grad, m);
            grad += row.C;
            RL_UNROLL
            for (int i = 0; i < 3 * R; i++)
                acc[i / 3][i % 3] = fma(g, columns[i / 3][(u + 1 + i % 3) % 3], acc[i / 3][i % 3]);
        }
    }
    RL_UNROLL
    for (int i = 0; i < 3 * R; i++) store(row.sums + taps[i].weight, acc[i / 3][i % 3], m);
}

template <int R>
void add_run_products(WeightRow row, int64_t channels, const RowTap* taps) {
    constexpr int W = kW<float>;
    for (int64_t left = channels; left > 0; left -= W) {
        if (left >= W)
            add_run_vector<R>(row, taps, W);
        else
            add_run_vector<R>(row, taps, int(left));
        row.x += W, row.grad += W, row.sums += W;
    }
}

template <int T>
void add_tap_products(WeightRow row, int64_t channels, const RowTap* taps) {
    constexpr int W = kW<float>;
    const Reached all = reached_by_all(taps, T, row.pixels);
    for (int64_t left = channels; left > 0; left -= W) {
        if (left >= W)
            add_tap_vector<T>(row, taps, all, W);
        else
            add_tap_vector<T>(row, taps, all, int(left));
        row.x += W, row.grad += W, row.sums += W;
    }
}

// Whether these are whole rows of a kernel three wide, whose taps are as far apart as the pixels.
inline bool are_runs_of_three(const ConvShape& s, const RowTap* taps, int count) {
    if (s.KW != 3 || s.stride_w != 1 || s.dil_w != 1 || count % 3 != 0) return false;
    for (int t = 0; t < count; t++)
        if (taps[t].weight / s.C % 3 != t % 3) return false;
    return true;
}

inline void add_row_products(const ConvShape& s, const WeightRow& row, int64_t channels,
                             const RowTap* taps, int count) {
    const bool registers_suffice = kVecRegs == 32;
    if (registers_suffice && are_runs_of_three(s, taps, count)) {
        for (; count >= 9; count -= 9, taps += 9) add_run_products<3>(row, channels, taps);
        if (count == 6) add_run_products<2>(row, channels, taps);
        if (count == 3) add_run_products<1>(row, channels, taps);
        return;
    }
    for (int t = 0, step; t < count; t += step) {
        const int left = count - t;
        step = left == 9 ? 9 : left >= 10 ? 10 : left >= 6 ? 6 : left >= 3 ? 3 : 1;
        auto* const add = step == 10  ? add_tap_products<10>
                          : step == 9 ? add_tap_products<9>
                          : step == 6 ? add_tap_products<6>
                          : step == 3 ? add_tap_products<3>
                                      : add_tap_products<1>;
        add(row, channels, taps + t);
    }
}

inline void depthwise_last_weight_grad(const ConvShape& s, const float* grad, const float* x,
                                       float* dweight) {
    constexpr int W = kW<float>;
    const int64_t taps = s.KH * s.KW, vectors = ceil_div(s.C, W);
    float* const sums = scratch<float>(kSums, taps * s.C);
    fill_floats(sums, taps * s.C, 0.0f);
    const int64_t grain = ceil_div(600000, s.N * s.OH * s.OW * taps * W + 1);
    parallel_for(vectors, grain, [&](int64_t begin, int64_t end) {
        RowTap* listed = scratch<RowTap>(kTaps, taps);
        KernelRows listed_rows = {};
        int count = 0;
        for (int64_t row = 0; row < s.N * s.OH; row++) {
            const KernelRows rows = kernel_rows(s, row % s.OH);
            if (rows.first != listed_rows.first || rows.last != listed_rows.last)
                count = forward_taps(s, listed_rows = rows, listed);
            const int64_t c = begin * W;
            const WeightRow part{x + forward_start(s, row) + c, s.stride_w * s.C,
                                 grad + row * s.OW * s.C + c, s.OW, s.C, sums + c};
            add_row_products(s, part, min64(end * W, s.C) - c, listed, count);
        }
    });
    layout_kernels.turn(1, taps, s.C, sums, dweight);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
