// attention_rows.h: what happens between attention's products: rows of scores become weights.
//
// A row's largest score and its sum are folded across the lanes for as many rows at once as a
// vector has lanes (their vectors are turned like a square on the way), because one row's folding
// alone is a chain of shuffles as long as all its exponentials.
#pragma once

#include "gemm_scratch.h"
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

RL_INLINE f32v largest_of(const float* x, int64_t n) {
    f32v best = splat(-kInfinity);
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        best = larger(keep_lanes(load(x + i, m), m, -kInfinity), best);
    });
    return best;
}

// x = exp(x - shift) for the first n of `count` numbers, 0 behind them. Returns the sum by lanes.
RL_INLINE f32v weigh(float* x, int64_t n, int64_t count, float shift) {
    f32v sum = {};
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        const f32v e = short_exp(load(x + i, m) - shift);
        store(x + i, e, m);
        sum += keep_lanes(e, m, 0.0f);
    });
    if (n < count) memset(x + n, 0, size_t(count - n) * sizeof(float));
    return sum;
}

void multiply_row(float* x, int64_t n, float factor) {
    for_vectors<float>(n, [&](int64_t i, int m) { store(x + i, load(x + i, m) * factor, m); });
}

// What the rows of a block of queries have met so far: the largest score and the sum of the weights
// relative to it.
template <int Rows>
struct Running {
    alignas(64) float largest[Rows];
    alignas(64) float sum[Rows];

    void start() {
        for (float& x : largest) x = -kInfinity;
        memset(sum, 0, sizeof(sum));
    }

    // Turns `rows` rows of `count` scores, of which row r sees the first seen(r), into weights
    // relative to the largest so far. Where that has risen, fades the row's sum and calls
    // fade(r, factor). A row that has seen nothing yet is relative to 0.
    template <class Seen, class Fade>
    void weigh_rows(float* scores, int64_t rows, int64_t count, const Seen& seen,
                    const Fade& fade) {
        constexpr int W = kW<float>;
        for (int64_t first = 0; first < rows; first += W) {
            const int n = int(min64(W, rows - first));
            float* const block = scores + first * count;
            f32v parts[W] = {};
            for (int r = 0; r < n; r++) parts[r] = largest_of(block + r * count, seen(first + r));
            const f32v before = ld(largest + first), here = hlargest_rows(parts);
            const f32v now = larger(here, before);
            const f32v shift = select(now == -kInfinity, f32v{}, now);
            st(largest + first, now);
            alignas(64) float shifts[W], factors[W];
            st(shifts, shift);
            st(factors, short_exp(before - shift));
            for (int r = 0; r < W; r++) parts[r] = f32v{};
            for (int r = 0; r < n; r++)
                parts[r] = weigh(block + r * count, seen(first + r), count, shifts[r]);
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

// Backward, for n scores and gradients of weights in `slopes`: scores become weights, slopes
// gradients of the products without scale, weight * (slope - shift) * scale. Zeros up to `count`.
void slope_row(float* scores, float* slopes, int64_t n, int64_t count, float lse, float shift,
               float scale) {
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        const f32v weight = short_exp(load(scores + i, m) - lse);
        store(scores + i, weight, m);
        store(slopes + i, weight * ((load(slopes + i, m) - shift) * scale), m);
    });
    if (n == count) return;
    memset(scores + n, 0, size_t(count - n) * sizeof(float));
    memset(slopes + n, 0, size_t(count - n) * sizeof(float));
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
