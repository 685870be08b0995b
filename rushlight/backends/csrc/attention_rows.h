// attention_rows.h: what happens between attention's products: scores become weights.
//
// Scores are turned: a row for each key, a lane for each query. So a query's largest score and the
// sum of its weights are a lane of a vector that walks down the keys; nothing is folded sideways.
#pragma once

#include "gemm_scratch.h"
#include "gemm_tile.h"
#include "lanes.h"
#include "short_exp.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

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

// `count` keys as a vector of queries meets them, `stride` numbers from key to key. All lanes see
// the first `all` keys, and some those before `any`: lane l the keys up to diagonal + l.
struct Column {
    float* x;
    int64_t stride, count, diagonal;
    int64_t all, any;

    float* at(int64_t key) const { return x + key * stride; }
};

// Fills what lanes do not see: also behind the last key, with zeros, as far as a tile may look, as
// its rows do not end together.
RL_INLINE void hide(const Column& c, float filler) {
    const i32v lanes = lane_numbers<float>();
    for (int64_t j = c.all; j < c.any; j++) {
        const i32v sees = lanes >= int32_t(j - c.diagonal);
        st(c.at(j), select(sees, ld(c.at(j)), splat(filler)));
    }
    for (int64_t j = c.any; j < min64(c.any + kTileRows, c.count); j++) st(c.at(j), f32v{});
}

RL_INLINE f32v largest_of(const Column& c) {
    f32v even = splat(-kInfinity), odd = even;
    int64_t j = 0;
    for (; j + 2 <= c.any; j += 2) {
        even = larger(ld(c.at(j)), even);
        odd = larger(ld(c.at(j + 1)), odd);
    }
    if (j < c.any) even = larger(ld(c.at(j)), even);
    return larger(even, odd);
}

// Scores become weights 2^(score factor - shift), whose sums are returned.
RL_INLINE f32v weigh(const Column& c, float factor, f32v shift) {
    const f32v factors = splat(factor);
    f32v sum = {};
    for (int64_t j = 0; j < c.any; j++) {
        const f32v weight = short_weight(ld(c.at(j)) * factors - shift);
        st(c.at(j), weight);
        sum += weight;
    }
    return sum;
}

// What some queries have met so far: the largest score and the sum of the weights relative to it.
// Scores count in powers of two: what the products leave times a `factor`.
template <int Queries>
struct Running {
    alignas(64) float largest[Queries];
    alignas(64) float sum[Queries];

    void start() {
        for (float& x : largest) x = -kInfinity;
        memset(sum, 0, sizeof(sum));
    }

    // Turns scores of the queries from `first` on into weights relative to the largest so far and
    // returns how what was summed before fades. A query that has seen nothing is relative to 0.
    f32v weigh_column(int64_t first, const Column& column, float factor) {
        hide(column, -kInfinity);
        const f32v before = ld(largest + first);
        const f32v now = larger(largest_of(column) * factor, before);
        const f32v shift = select(now == -kInfinity, f32v{}, now);
        const f32v fading = short_weight(before - shift);
        st(largest + first, now);
        st(sum + first, ld(sum + first) * fading + weigh(column, factor, shift));
        return fading;
    }
};

RL_INLINE void multiply_column(const Column& c, f32v factor) {
    for (int64_t j = 0; j < c.any; j++) st(c.at(j), ld(c.at(j)) * factor);
}

// Backward: the gradients of weights become those of the products.
RL_INLINE void slope_column(const Column& weights, const Column& slopes, f32v shift, float scale) {
    for (int64_t j = 0; j < weights.any; j++)
        st(slopes.at(j), ld(weights.at(j)) * ((ld(slopes.at(j)) - shift) * scale));
    hide(slopes, 0.0f);
}

// The weights anew, from the logarithm (to the base of two) of their sum.
RL_INLINE void weigh_again(const Column& scores, float factor, f32v lse) {
    hide(scores, -kInfinity);
    weigh(scores, factor, lse);
}

RL_INLINE void multiply_row(float* x, int64_t n, float factor) {
    for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        store(x + i, load(x + i, m) * factor, m);
    });
}

// Lane r is the product of the r-th rows of x and y, of n numbers each.
RL_INLINE f32v dot_rows(const float* x, int64_t x_row, const float* y, int64_t y_row, int rows,
                        int64_t n) {
    f32v parts[kW<float>] = {};
    for (int r = 0; r < rows; r++, x += x_row, y += y_row)
        for_vectors<float>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
            parts[r] += load(x + i, m) * load(y + i, m);
        });
    return hsum_rows(parts);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
