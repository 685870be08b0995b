// attention_mask.h: attention's mask, which has a row for each query, meets scores that are turned.
//
// A square of W queries and W keys is turned in registers. A mask that says the same to all queries
// (padding of keys) is repeated instead.
#pragma once

#include "attention.h"
#include "attention_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

// W bytes as numbers.
RL_INLINE f32v bytes_to_numbers(const uint8_t* p) {
#if defined(__AVX512F__)
    return to_float((i32v)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)));
#elif defined(__AVX2__)
    return to_float((i32v)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
#else
    f32v numbers;
    for (int j = 0; j < kW<float>; j++) numbers[j] = float(p[j]);
    return numbers;
#endif
}

// n numbers of the mask for one query: what is added to the scores, or not 0 and 0 for yes and no.
RL_INLINE f32v mask_numbers(const AttentionMask& mask, int64_t start, int n) {
    if (mask.column == 1 && mask.added != nullptr) return load(mask.added + start, n);
    if (mask.column == 1 && n == kW<float>) return bytes_to_numbers(mask.allowed + start);
    alignas(64) float numbers[kW<float>] = {};
    for (int j = 0; j < n; j++) {
        const int64_t at = start + j * mask.column;
        numbers[j] = mask.added != nullptr ? mask.added[at] : float(mask.allowed[at]);
    }
    return ld(numbers);
}

RL_INLINE f32v masked(const AttentionMask& mask, f32v scores, f32v numbers) {
    if (mask.added != nullptr) return scores + numbers;
    return select(numbers == 0.0f, splat(-kInfinity), scores);
}

// Applies the mask's numbers from `start` on to the scores of `queries` in a vector.
void mask_column(const AttentionMask& mask, int64_t start, int queries, const Column& column) {
    constexpr int W = kW<float>;
    for (int64_t j = 0; j < column.any; j += W, start += W * mask.column) {
        const int keys = int(min64(W, column.any - j));
        f32v square[W];
        if (mask.row == 0) {
            alignas(64) float numbers[W];
            st(numbers, mask_numbers(mask, start, keys));
            for (int i = 0; i < keys; i++) square[i] = splat(numbers[i]);
        } else {
            for (int i = 0; i < W; i++)
                square[i] =
                    i < queries ? mask_numbers(mask, start + i * mask.row, keys) : f32v{};
            transpose(square);
        }
        for (int i = 0; i < keys; i++)
            st(column.at(j + i), masked(mask, ld(column.at(j + i)), square[i]));
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
