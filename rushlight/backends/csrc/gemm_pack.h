// gemm_pack.h: copies of blocks of matrices in the order in which the tiles read them.
//
// Operands that run along k are turned by W x W transposes in registers, any other strides are
// copied number by number. A whole square of 32-bit numbers is loaded by fours: with rows i, i + 4,
// i + 8, ... side by side in a vector, turning squares of 4 x 4 is all that is left to shuffle.
#pragma once

#include "gemm_scratch.h"

namespace rl {
namespace RL_ISA {
namespace {

// Four numbers from each of W / 4 rows that are `step` apart, side by side.
RL_INLINE f32v load_fours(const float* p, int64_t step) {
#if defined(__AVX512F__)
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + step), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * step), 2);
    return (f32v)_mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * step), 3);
#elif defined(__AVX__)
    const __m256 v = _mm256_castps128_ps256(_mm_loadu_ps(p));
    return (f32v)_mm256_insertf128_ps(v, _mm_loadu_ps(p + step), 1);
#else
    (void)step;
    return ld(p);
#endif
}

// out + q * width = column q of the W x W square at src, whose rows are `row` apart.
RL_INLINE void turn_square(const float* src, int64_t row, float* out, int64_t width) {
    RL_UNROLL
    for (int q = 0; q < kW<float>; q += 4) {
        f32v block[4];
        RL_UNROLL
        for (int i = 0; i < 4; i++) block[i] = load_fours(src + i * row + q, 4 * row);
        transpose_blocks<4>(block);
        RL_UNROLL
        for (int i = 0; i < 4; i++) st(out + (q + i) * width, block[i]);
    }
}
RL_INLINE void turn_square(const int32_t* src, int64_t row, int32_t* out, int64_t width) {
    turn_square((const float*)src, row, (float*)out, width);
}
RL_INLINE void turn_square(const double* src, int64_t row, double* out, int64_t width) {
    Vec<double> block[kW<double>];
    RL_UNROLL
    for (int j = 0; j < kW<double>; j++) block[j] = ld(src + j * row);
    transpose(block);
    RL_UNROLL
    for (int q = 0; q < kW<double>; q++) st(out + q * width, block[q]);
}

// dst[k][0..width) = src rows k, columns 0..cols, zeros behind; width is a multiple of W.
template <class T>
void pack_b(const T* b, int64_t row, int64_t col, int64_t K, int cols, int width, T* dst) {
    constexpr int W = kW<T>;
    for (int v = 0; v < width; v += W) {
        const int n = cols - v < W ? (cols > v ? cols - v : 0) : W;
        const T* src = b + v * col;
        T* out = dst + v;
        int64_t k = 0;
        if (col == 1) {
            for (; k < K; k++, src += row, out += width) st(out, n == W ? ld(src) : ldn(src, n));
        } else if (row == 1) {
            for (; k < K; k += W, src += W, out += W * width) {
                const int depth = int(min64(W, K - k));
                if (n == W && depth == W) {
                    turn_square(src, col, out, width);
                    continue;
                }
                Vec<T> block[W];
                RL_UNROLL
                for (int j = 0; j < W; j++)
                    block[j] = j < n ? ldn(src + j * col, depth) : Vec<T>{};
                transpose(block);
                for (int q = 0; q < depth; q++) st(out + q * width, block[q]);
            }
        } else {
            for (; k < K; k++, src += row, out += width) {
                for (int j = 0; j < W; j++) out[j] = j < n ? src[j * col] : T(0);
            }
        }
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
