// attention_rows.h: what happens between attention's products: rows of scores become weights.
//
// A row's largest score and its sum are folded across the lanes for as many rows at once as a
// vector has lanes (their vectors are turned like a square on the way), because one row's folding
// alone is a chain of shuffles as long as all its exponentials.
#pragma once

#include "gemm_scratch.h"
#include "gemm_tile.h"
#include "lanes.h"
#include "short_exp.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();

// a, or b where a is not larger or NaN.
RL_INLINE f32v larger(f32v a, f32v b) {
#if defined(__AVX512F__)
    return (f32v)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (f32v)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return select(a > b, a, b);
#endif
}

template <int D>
RL_INLINE f32v hlargest_stage(f32v* rows) {
    constexpr int pairs = kW<float> / (2 * D);
    if constexpr (pairs == 0) {
        return rows[0];
    } else {
        RL_UNROLL
        for (int i = 0; i < pairs; i++)
            rows[i] = larger(pair_low<D>(rows[2 * i], rows[2 * i + 1]),
                             pair_high<D>(rows[2 * i], rows[2 * i + 1]));
        return hlargest_stage<D * 2>(rows);
    }
}

// Lane i of the result is the largest lane of rows[i], which are overwritten.
RL_INLINE f32v hlargest_rows(f32v* rows) { return hlargest_stage<1>(rows); }

// In a row of scores whole vectors are read and written: it is a multiple of W numbers apart from
// the next, and what lies behind its first n numbers is nothing yet.
RL_INLINE int64_t row_stride(int64_t count) {
    return ceil_div(count, kW<float>) * kW<float>;
}

RL_INLINE f32v largest_of(const float* x, int64_t n) {
    f32v best = splat(-kInfinity);
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        best = larger(keep_lanes(ld(x + i), m, -kInfinity), best);
    });
    return best;
}

// Zeros from the first whole vector behind n numbers as far as a tile may look: its rows do not end
// together.
RL_INLINE void clear_behind(float* x, int64_t n, int64_t stride) {
    const int64_t end = min64(n + kTileRows, stride);
    for (int64_t i = row_stride(n); i < end; i += kW<float>) st(x + i, f32v{});
}

// x = 2^(x factor - shift) for the first n numbers, zeros behind them. Returns the sum by lanes.
RL_INLINE f32v weigh(float* x, int64_t n, int64_t stride, float factor, float shift) {
    const f32v factors = splat(factor), shifts = splat(shift);
    f32v sum = {};
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        const f32v e = keep_lanes(short_weight(ld(x + i) * factors - shifts), m, 0.0f);
        st(x + i, e);
        sum += e;
    });
    clear_behind(x, n, stride);
    return sum;
}

RL_INLINE void multiply_row(float* x, int64_t n, float factor) {
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        store(x + i, load(x + i, m) * factor, m);
    });
}

constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

// What the rows of a block of queries have met so far: the largest score and the sum of the weights
// relative to it. Scores count in powers of two: what the products leave times a `factor`.
template <int Rows>
struct Running {
    alignas(64) float largest[Rows];
    alignas(64) float sum[Rows];

    void start() {
        for (float& x : largest) x = -kInfinity;
        memset(sum, 0, sizeof(sum));
    }

    // Turns rows of products, of which row r sees the first seen(r), into weights
    // relative to the largest so far. Where that has risen, fades the row's sum and calls
    // fade(r, by). A row that has seen nothing yet is relative to 0.
    template <class Seen, class Fade>
    void weigh_rows(float* scores, int64_t rows, int64_t stride, float factor, const Seen& seen,
                    const Fade& fade) {
        constexpr int W = kW<float>;
        for (int64_t first = 0; first < rows; first += W) {
            const int n = int(min64(W, rows - first));
            float* const block = scores + first * stride;
            f32v parts[W] = {};
            for (int r = 0; r < n; r++) parts[r] = largest_of(block + r * stride, seen(first + r));
            const f32v before = ld(largest + first), here = hlargest_rows(parts) * factor;
            const f32v now = larger(here, before);
            const f32v shift = select(now == -kInfinity, f32v{}, now);
            st(largest + first, now);
            alignas(64) float shifts[W], factors[W];
            st(shifts, shift);
            st(factors, short_weight(before - shift));
            for (int r = 0; r < W; r++) parts[r] = f32v{};
            for (int r = 0; r < n; r++)
                parts[r] = weigh(block + r * stride, seen(first + r), stride, factor, shifts[r]);
            st(sum + first, ld(sum + first) * ld(factors) + hsum_rows(parts));
            for (int r = 0; r < n; r++)
                if (factors[r] != 1.0f) fade(first + r, factors[r]);
        }
    }
};

float dot_rows(const float* x, const float* y, int64_t n) {
    f32v sum = {};
    for_vectors<float>(n, [&](int64_t i, int m) { sum += load(x + i, m) * load(y + i, m); });
    return hsum(sum);
}

// Backward, for n products and gradients of weights in `slopes`: products become weights, slopes
// gradients of the products, weight * (slope - shift) * scale. Zeros behind them.
RL_INLINE void slope_row(float* scores, float* slopes, int64_t n, int64_t stride, float factor,
                         float lse, float shift, float scale) {
    const f32v factors = splat(factor), lses = splat(lse);
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        const f32v weight =
            keep_lanes(short_weight(ld(scores + i) * factors - lses), m, 0.0f);
        const f32v slope = weight * ((ld(slopes + i) - shift) * scale);
        st(scores + i, weight);
        st(slopes + i, keep_lanes(slope, m, 0.0f));
    });
    clear_behind(scores, n, stride);
    clear_behind(slopes, n, stride);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
