// conv_depthwise_last.h: channels-last convolution whose groups have one channel each, or a few and
// as many outputs.
//
// Vectors hold neighbouring channels of a pixel, so every number is read where it lies and nothing
// is turned, padded or copied. With several channels in a group, vectors hold whole groups: one
// input channel after the other is spread over the lanes of its group. A row of results is made at
// a time, with the taps that conv_depthwise_taps.h lists for it:
//   forward         up to 7 pixels share the loads of the weights and, where 3 or 5 taps follow
//                   each other as the pixels do, those of the numbers, too;
//   input gradient  the same, for the pixels of a row that have the same taps: every stride-th.
// Pixels at the ends of a row are done with the taps that reach them: of runs of taps those whose
// columns exist, else one pixel at a time. The weight, small, is turned to [tap][channel].
// The weight gradient, for single channels only, is in conv_depthwise_last_weight.h.
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
    const float* weight;  // [channel of a group][tap][channel]
    const float* bias;
    float* y;
    int64_t y_step;
    int64_t C;
    bool relu;
    int64_t group = 1;         // channels of a group
    int64_t weight_group = 0;  // from one channel of a group to the next
    const float* ahead = nullptr;  // a row that the next results will read, to be fetched
};

// Adds to the sums of P pixels and V vectors of channels, of which the last has m, what a run of K
// taps reads: P + K - 1 columns, at the Ends of a row only those whose bits are set in `exist`.
// With 32 registers the columns are kept while one tap after the other is taken. With 16 each is
// used up at once, and as neighbours are added to the same sums, every K-th in turn.
// Grouped: each lane reads the channel of its group that `lanes` names.
template <int P, int V, int K, bool Ends, bool Grouped>
RL_INLINE void add_run(const float* source, int64_t step, uint32_t exist, int m, i32v lanes,
                       const f32v (&w)[K][V], f32v (&acc)[P][V]) {
    constexpr int W = kW<float>;
    const auto column = [=](int j, int v) RL_LAMBDA_INLINE {
        const f32v numbers = load(source + j * step + v * W, v == V - 1 ? m : W);
        return Grouped ? permute(numbers, lanes) : numbers;
    };
    if constexpr (kVecRegs == 32) {
        f32v columns[P + K - 1][V];
        RL_UNROLL
        for (int k = 0; k < K; k++) {
            RL_UNROLL
            for (int p = 0; p < P; p++) {
                if (Ends && !(exist >> (p + k) & 1)) continue;
                RL_UNROLL
                for (int v = 0; v < V; v++) {
                    if (k == 0 || p == P - 1) columns[p + k][v] = column(p + k, v);
                    acc[p][v] = fma(w[k][v], columns[p + k][v], acc[p][v]);
                }
            }
        }
    } else {
        RL_UNROLL
        for (int i = 0; i < (P + K - 1 + K - 1) / K * K; i++) {
            constexpr int turns = (P + K - 1 + K - 1) / K;
            const int j = i / turns + i % turns * K;
            if (j >= P + K - 1 || (Ends && !(exist >> j & 1))) continue;
            RL_UNROLL
            for (int v = 0; v < V; v++) {
                const f32v number = column(j, v);
                RL_UNROLL
                for (int k = 0; k < K; k++)
                    if (j >= k && j - k < P) acc[j - k][v] = fma(w[k][v], number, acc[j - k][v]);
            }
        }
    }
}

// P pixels from pixel `at` on, V vectors of channels from c on, of which the last has m; the taps
// come in runs of K.
template <int P, int V, int K, bool Ends, bool Grouped>
RL_INLINE void tap_vectors(const TapRow& row, const TapRuns& runs, int64_t at, int64_t c,
                           uint32_t exist, int m) {
    constexpr int W = kW<float>;
    const auto lanes = [m](int v) RL_LAMBDA_INLINE { return v == V - 1 ? m : W; };
    const float* const source = row.source + at * row.source_step + c;
    const float* weight = row.weight + c;
    i32v spread = lane_numbers<float>() & ~int32_t(row.group - 1);
    f32v acc[P][V], w[K][V];
    if (Grouped && row.ahead) {
        RL_UNROLL
        for (int p = 0; p < P; p++) {
            __builtin_prefetch(row.ahead + (at + p) * row.source_step + c);
            __builtin_prefetch(row.y + (at + p) * row.y_step + c, 1);
        }
    }
    RL_UNROLL
    for (int i = 0; i < P * V; i++)
        acc[i / V][i % V] = row.bias ? load(row.bias + c + i % V * W, lanes(i % V)) : f32v{};
    for (int64_t in_group = 0; in_group < (Grouped ? row.group : 1); in_group++) {
        for (int t = 0; t < runs.count; t += K) {
            RL_UNROLL
            for (int i = 0; i < K * V; i++)
                w[i / V][i % V] =
                    load(weight + runs.taps[t + i / V].weight + i % V * W, lanes(i % V));
            add_run<P, V, K, Ends, Grouped>(source + runs.taps[t].source, row.source_step, exist,
                                            m, spread, w, acc);
        }
        weight += row.weight_group;
        spread += 1;
    }
    float* const y = row.y + at * row.y_step + c;
    RL_UNROLL
    for (int i = 0; i < P * V; i++)
        store(y + i / V * row.y_step + i % V * W, rectified(acc[i / V][i % V], row.relu),
              lanes(i % V));
}

// n channels from c on of P pixels from pixel `at` on.
template <int P, int V, int K, bool Grouped>
void tap_pixels(const TapRow& row, const TapRuns& runs, Reached all, int64_t at, int64_t c,
                int64_t n) {
    constexpr int W = kW<float>;
    const bool inside = K == 1 || (at >= all.first && at + P <= all.last);
    const uint32_t exist = inside ? 0 : runs.columns_from(at);
    const int64_t end = c + n;
    for (; end - c >= V * W; c += V * W)
        inside ? tap_vectors<P, V, K, false, Grouped>(row, runs, at, c, 0, W)
               : tap_vectors<P, V, K, true, Grouped>(row, runs, at, c, exist, W);
    for (; c < end; c += W) {
        const int m = int(min64(W, end - c));
        inside ? tap_vectors<P, 1, K, false, Grouped>(row, runs, at, c, 0, m)
               : tap_vectors<P, 1, K, true, Grouped>(row, runs, at, c, exist, m);
    }
}

typedef void (*PixelsFunction)(const TapRow& row, const TapRuns& runs, Reached all, int64_t at,
                               int64_t c, int64_t n);

template <int P, int V, bool Grouped>
PixelsFunction pixels_function(int K) {
    return K == 3   ? tap_pixels<P, V, 3, Grouped>
           : K == 5 ? tap_pixels<P, V, 5, Grouped>
                    : tap_pixels<P, V, 1, Grouped>;
}

// Blocks of pixels, 7 as images have 7, 14, 28 or 56 columns more often than not; a last one that
// is too short moves up and computes some again.
template <bool Grouped>
void tap_blocks(const TapRow& row, const TapRuns& runs, Reached all, Reached pixels) {
    constexpr int most = 7, half = 4;
    const auto of_most = pixels_function<most, 1, Grouped>(runs.K);
    const auto of_half = pixels_function<half, 1, Grouped>(runs.K);
    const auto of_one = pixels_function<1, 1, Grouped>(runs.K);
    const int64_t count = pixels.last - pixels.first;
    for (int64_t m = pixels.first, block; m < pixels.last; m += block) {
        const int64_t left = pixels.last - m;
        block = left > half && count >= most ? most : count >= half ? half : 1;
        const auto tap = block == most ? of_most : block == half ? of_half : of_one;
        tap(row, runs, all, min64(m, pixels.last - block), 0, row.C);
    }
}

// The same where the lines of neighbouring pixels, a power of two apart, compete for few places of
// the cache and vectors are parts of a line, which would be gone before its next part is wanted:
// with few pixels and two vectors of channels at a time.
constexpr int kLinePixels = 4, kLineVectors = 2;

inline bool lines_compete(const TapRow& row, Reached pixels) {
    return kVecBytes < 64 && row.group == 1 && row.C % 512 == 0 &&
           pixels.last - pixels.first >= kLinePixels;
}
inline void tap_lines(const TapRow& row, const TapRuns& runs, Reached all, Reached pixels) {
    constexpr int line = kLineVectors * kW<float>;
    const auto tap = pixels_function<kLinePixels, kLineVectors, false>(runs.K);
    for (int64_t c = 0; c < row.C; c += line)
        for (int64_t m = pixels.first; m < pixels.last; m += kLinePixels)
            tap(row, runs, all, min64(m, pixels.last - kLinePixels), c, line);
}

inline void tap_row(const TapRow& row, const RowTaps& r) {
    const Reached pixels = r.runs.K > 1 ? Reached{0, r.pixels} : r.all;
    auto* const tap = lines_compete(row, pixels) ? tap_lines
                      : row.group > 1            ? tap_blocks<true>
                                                 : tap_blocks<false>;
    tap(row, r.runs, r.all, pixels);
    if (r.runs.K > 1) return;
    const auto tap_one = row.group > 1 ? tap_pixels<1, 1, 1, true>
                                        : tap_pixels<1, 1, 1, false>;
    const RowTap* taps = r.of_ends;
    const int* count = r.end_counts;
    for (int64_t m = 0; m < r.pixels; m++) {
        if (r.all.has(m)) continue;
        tap_one(row, {taps, *count, 1, {}}, {}, m, 0, row.C);
        taps += *count++;
    }
}

// The weight (C, group, taps) as [channel of a group][tap][channel].
inline const float* weight_by_tap(const ConvShape& s, const float* weight) {
    const int64_t taps = s.group_channels() * s.KH * s.KW;
    float* turned = scratch<float>(kWeights, taps * s.C);
    layout_kernels.turn(1, s.C, taps, weight, turned);
    return turned;
}

// For the input gradient: inputs and outputs of each group exchanged.
inline const float* weight_by_tap_back(const ConvShape& s, const float* weight) {
    const int64_t group = s.group_channels(), taps = s.KH * s.KW;
    if (group == 1) return weight_by_tap(s, weight);
    float* const turned = scratch<float>(kWeights, group * taps * s.C);
    for (int64_t o = 0; o < s.O; o++)
        for (int64_t c = 0; c < group; c++)
            for (int64_t t = 0; t < taps; t++)
                turned[(o % group * taps + t) * s.C + o / group * group + c] = *weight++;
    return turned;
}

// Whether images come from beyond the second-level cache: so many rows at a time are more than the
// processor fetches of its own accord.
inline bool outgrows_second_cache(const ConvShape& s) {
    return s.N * (s.H * s.W + s.OH * s.OW) * s.C > (1 << 20);
}

constexpr int64_t kTapLists = 9;  // kept at a time

// Rows per range: about 30 microseconds.
inline int64_t depthwise_row_grain(const ConvShape& s) {
    return ceil_div(600000, s.C * s.group_channels() * s.OW * s.KH * s.KW + 1);
}

inline void depthwise_last_forward(const ConvShape& s, const float* x, const float* weight,
                                   const float* bias, float* y) {
    const float* const by_tap = weight_by_tap(s, weight);
    const bool ahead = outgrows_second_cache(s);
    parallel_for(s.N * s.OH, depthwise_row_grain(s), [&](int64_t begin, int64_t end) {
        RowTaps& taps = *room_for_taps(s, s.OW, 1);
        for (int64_t row = begin; row < end; row++) {
            const KernelRows rows = kernel_rows(s, row % s.OH);
            if (!taps.is_for(0, rows)) {
                taps.rows = rows;
                taps.count = forward_taps(s, rows, taps.taps);
                taps.complete(s.OW, s.stride_w * s.C);
            }
            const TapRow part{x + forward_start(s, row), s.stride_w * s.C, by_tap, bias,
                              y + row * s.OW * s.C, s.C, s.C, s.relu, s.group_channels(),
                              s.KH * s.KW * s.C,
                              ahead ? x + forward_start(s, row) + s.KH * s.dil_h * s.W * s.C
                                    : nullptr};
            tap_row(part, taps);
        }
    });
}

// ---------------------------------------------------------------------------- input gradient
inline void depthwise_last_input_grad(const ConvShape& s, const float* grad, const float* weight,
                                      float* dx) {
    const float* const by_tap = weight_by_tap_back(s, weight);
    const bool ahead = outgrows_second_cache(s);
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
                    taps.complete(pixels, s.C);
                }
                const TapRow part{grad + source * s.OW * s.C, s.C, by_tap, nullptr,
                                  dx + (row * s.W + first) * s.C, s.stride_w * s.C, s.C, false,
                                  s.group_channels(), s.KH * s.KW * s.C,
                                  ahead ? grad + (source + 1) * s.OW * s.C : nullptr};
                tap_row(part, taps);
            }
        }
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
