// conv_depthwise_last.h: channels-last convolution whose groups have one channel each.
//
// Vectors hold neighbouring channels of a pixel, so every number is read where it lies and nothing
// is turned, padded or copied. A row of results is made at a time, with the taps that
// conv_depthwise_taps.h lists for it:
//   forward          up to 8 pixels (4 with 16 registers) share the loads of the weights and, where
//                    3 or 5 taps follow each other as the pixels do, those of the numbers, too;
//   input gradient   the same, for the pixels of a row that have the same taps: every stride-th;
//   weight gradient  up to 10 taps have a vector of sums each while the row goes by; with 3 taps in
//                    each kernel row and stride one, what they read stays in registers, too.
// Pixels at the ends of a row are done alone with the taps that reach them.
// The weight, small, is turned to [tap][channel].
#pragma once

#include "conv_depthwise.h"
#include "conv_depthwise_taps.h"
#include "lanes.h"
#include "layout.h"

namespace rl {
namespace RL_ISA {
namespace {

// ---------------------------------------------------------------------------- forward
struct TapRow {
    const float* source;
    int64_t source_step;  // from a pixel to the next
    const float* weight;  // [tap][channel]
    const float* bias;
    float* y;
    int64_t y_step;
    int64_t C;
    bool relu;
};

// The first m of a vector of channels of P pixels, whose taps come in runs of K that are as far
// apart as the pixels: a run meets P + K - 1 numbers.
template <int P, int K>
RL_INLINE void tap_vector(const TapRow& row, const RowTap* taps, int count, int m) {
    const int64_t step = row.source_step;
    f32v acc[P];
    const f32v bias = row.bias ? load(row.bias, m) : f32v{};
    RL_UNROLL
    for (int p = 0; p < P; p++) acc[p] = bias;
    for (int t = 0; t < count; t += K) {
        const float* at = row.source + taps[t].source;
        f32v numbers[P + K - 1];
        RL_UNROLL
        for (int k = 0; k < K; k++) {
            const f32v w = load(row.weight + taps[t + k].weight, m);
            RL_UNROLL
            for (int p = 0; p < P; p++) {
                if (k == 0 || p == P - 1) numbers[p + k] = load(at + (p + k) * step, m);
                acc[p] = fma(w, numbers[p + k], acc[p]);
            }
        }
    }
    RL_UNROLL
    for (int p = 0; p < P; p++) store(row.y + p * row.y_step, rectified(acc[p], row.relu), m);
}

// All channels of P pixels from pixel `first` on.
template <int P, int K>
void tap_pixels(TapRow row, int64_t first, const RowTap* taps, int count) {
    constexpr int W = kW<float>;
    row.source += first * row.source_step;
    row.y += first * row.y_step;
    for (int64_t left = row.C; left > 0; left -= W) {
        if (left >= W)
            tap_vector<P, K>(row, taps, count, W);
        else
            tap_vector<P, K>(row, taps, count, int(left));
        row.source += W, row.weight += W, row.y += W;
        if (row.bias) row.bias += W;
    }
}

// Whether the taps come in runs of K that are `step` apart.
inline bool follow_each_other(const RowTap* taps, int count, int K, int64_t step) {
    if (count % K != 0) return false;
    for (int t = 0; t < count; t++)
        if (t % K != 0 && taps[t].source - taps[t - 1].source != step) return false;
    return true;
}

typedef void (*PixelsFunction)(TapRow row, int64_t first, const RowTap* taps, int count);

template <int P>
PixelsFunction pixels_function(int run) {
    return run == 3 ? tap_pixels<P, 3> : run == 5 ? tap_pixels<P, 5> : tap_pixels<P, 1>;
}

// Pixels that all taps reach. A last block that is too short moves up and computes some again.
inline void tap_inner_pixels(const TapRow& row, Reached all, const RowTap* taps, int count) {
    constexpr int most = kVecRegs == 32 ? 8 : 4, half = most / 2;
    const int run = follow_each_other(taps, count, 3, row.source_step)   ? 3
                    : follow_each_other(taps, count, 5, row.source_step) ? 5
                                                                         : 1;
    const int64_t pixels = all.last - all.first;
    for (int64_t m = all.first; m < all.last;) {
        const int64_t left = all.last - m;
        const int block = left > half && pixels >= most ? most : pixels >= half ? half : 1;
        auto* const tap = block == most   ? pixels_function<most>(run)
                          : block == half ? pixels_function<half>(run)
                                          : tap_pixels<1, 1>;
        tap(row, min64(m, all.last - block), taps, count);
        m += block;
    }
}

inline void tap_row(const TapRow& row, const RowTaps& r) {
    tap_inner_pixels(row, r.all, r.taps, r.count);
    const RowTap* taps = r.of_ends;
    const int* count = r.end_counts;
    for (int64_t m = 0; m < r.pixels; m++) {
        if (m >= r.all.first && m < r.all.last) continue;
        tap_pixels<1, 1>(row, m, taps, *count);
        taps += *count++;
    }
}

// The weight (C, taps) as [tap][channel].
inline const float* weight_by_tap(const ConvShape& s, const float* weight) {
    const int64_t taps = s.KH * s.KW;
    float* turned = scratch<float>(kWeights, taps * s.C);
    layout_kernels.turn(1, s.C, taps, weight, turned);
    return turned;
}

constexpr int64_t kTapLists = 9;  // kept at a time

// Rows per range: about 30 microseconds.
inline int64_t depthwise_row_grain(const ConvShape& s) {
    return ceil_div(600000, s.C * s.OW * s.KH * s.KW + 1);
}

inline void depthwise_last_forward(const ConvShape& s, const float* x, const float* weight,
                                   const float* bias, float* y) {
    const float* const by_tap = weight_by_tap(s, weight);
    parallel_for(s.N * s.OH, depthwise_row_grain(s), [&](int64_t begin, int64_t end) {
        RowTaps& taps = *room_for_taps(s, s.OW, 1);
        for (int64_t row = begin; row < end; row++) {
            const KernelRows rows = kernel_rows(s, row % s.OH);
            if (!taps.is_for(0, rows)) {
                taps.rows = rows;
                taps.count = forward_taps(s, rows, taps.taps);
                taps.find_ends(s.OW);
            }
            const TapRow part{x + forward_start(s, row), s.stride_w * s.C, by_tap, bias,
                              y + row * s.OW * s.C, s.C, s.C, s.relu};
            tap_row(part, taps);
        }
    });
}

// ---------------------------------------------------------------------------- input gradient
inline void depthwise_last_input_grad(const ConvShape& s, const float* grad, const float* weight,
                                      float* dx) {
    const float* const by_tap = weight_by_tap(s, weight);
    // Rows and pixels with the same remainder have the same taps.
    const int64_t remainders = min64(s.stride_w, s.W), classes = s.stride_h * remainders;
    const int64_t lists = classes <= kTapLists ? classes : 1;
    parallel_for(s.N * s.H, depthwise_row_grain(s), [&](int64_t begin, int64_t end) {
        RowTaps* const listed = room_for_taps(s, ceil_div(s.W, s.stride_w), lists);
        for (int64_t row = begin; row < end; row++) {
            const int64_t y = row % s.H;
            const KernelRows rows = input_grad_kernel_rows(s, y);
            const int64_t source = row / s.H * s.OH + input_grad_origin(s, y);
            for (int64_t first = 0; first < remainders; first++) {
                const int64_t row_class = y % s.stride_h * remainders + first;
                RowTaps& taps = listed[row_class % lists];
                if (!taps.is_for(row_class, rows)) {
                    const int64_t pixels = ceil_div(s.W - first, s.stride_w);
                    taps.row_class = row_class;
                    taps.rows = rows;
                    taps.count = input_grad_taps(s, rows, y, first, pixels, taps.taps);
                    taps.find_ends(pixels);
                }
                const TapRow part{grad + source * s.OW * s.C, s.C, by_tap, nullptr,
                                  dx + (row * s.W + first) * s.C, s.stride_w * s.C, s.C, false};
                tap_row(part, taps);
            }
        }
    });
}

// ---------------------------------------------------------------------------- weight gradient
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
        for (int64_t row = 0; row < s.N * s.OH; row++) {
            const int count = forward_taps(s, kernel_rows(s, row % s.OH), listed);
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
