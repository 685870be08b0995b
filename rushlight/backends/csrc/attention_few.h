// attention_few.h: attention of a few queries, as when a text is written word by word.
//
// They would leave most lanes empty. So their scores are rows, formed by dot products along the
// width, and all keys are met at once: a row is a column whose lanes share the keys.
#pragma once

#include "attention_block.h"
#include "attention_mask.h"
#include "attention_products.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kFewQueries = 4;

// Products of query i and its first n keys become scores, -inf up to the row's end.
void mask_row(const AttentionCall& call, const Block& block, int64_t i, float* x, int64_t n,
              int64_t stride) {
    const AttentionMask& mask = call.mask;
    const float factor = scaling_of(call).products;
    if (factor != 1.0f) multiply_row(x, n, factor);
    const int64_t start = block.b * mask.batch + block.h * mask.head + i * mask.row;
    if (mask.allowed != nullptr || mask.added != nullptr)
        for_vectors<float>(n, [&](int64_t j, int m) {
            const f32v numbers = mask_numbers(mask, start + j * mask.column, m);
            store(x + j, masked(mask, load(x + j, m), numbers), m);
        });
    for (int64_t j = n; j < stride; j++) x[j] = -kInfinity;
}

// Scores become weights. Returns their sum; `lse` becomes its logarithm.
float weigh_row(float* x, int64_t n, float factor, float* lse) {
    const int64_t vectors = n / kW<float>;
    const Column column = {x, kW<float>, vectors, vectors, vectors, vectors};
    const float largest = largest_lane(largest_of(column)) * factor;
    const float sum = hsum(weigh(column, factor, splat(largest == -kInfinity ? 0.0f : largest)));
    *lse = sum == 0.0f ? kInfinity : largest * kLn2 + vlog(splat(sum))[0];
    return sum;
}

void few_queries(const AttentionCall& call, const Block& block) {
    const HeadsView &q = call.q, &k = call.k, &v = call.v;
    const int64_t b = block.b, h = block.h, rows = block.rows(), keys = visible(call, block.end);
    const int64_t stride = ceil_div(keys, kW<float>) * kW<float>;
    float* const scores = scratch<float>(kPlane, rows * stride);
    float* const out = call.out.at(b, h) + block.begin * call.out.row;
    float* const lse = call.lse + (b * call.H + h) * call.L + block.begin;
    float sums[kFewQueries];
    multiply_along(q.at(b, h) + block.begin * q.row, q.row, k.at(b, h), k.row, rows, keys, call.E,
                   stride, scores);
    for (int64_t r = 0; r < rows; r++) {
        float* const row = scores + r * stride;
        const int64_t i = block.begin + r;
        mask_row(call, block, i, row, visible(call, i + 1), stride);
        sums[r] = weigh_row(row, stride, scaling_of(call).exponents, lse + r);
    }
    const Factors factors = {scores, stride, 1, v.at(b, h), v.row, out, call.out.row};
    multiply_spans(rows, call.Ev, factors, false, [&](int64_t, int) { return Span{0, keys}; });
    for (int64_t r = 0; r < rows; r++)
        multiply_row(out + r * call.out.row, call.Ev, sums[r] == 0.0f ? 0.0f : 1.0f / sums[r]);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
