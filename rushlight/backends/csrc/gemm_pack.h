// gemm_pack.h: copies of blocks of matrices in the order in which the tiles read them.
//
// Operands that run along k are turned by W x W transposes in registers, any other strides are
// copied number by number.
#pragma once

#include "gemm_scratch.h"

namespace rl {
namespace RL_ISA {
namespace {

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
                Vec<T> block[W];
                RL_UNROLL
                for (int j = 0; j < W; j++)
                    block[j] = j < n ? (depth == W ? ld(src + j * col) : ldn(src + j * col, depth))
                                     : Vec<T>{};
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

// dst[k][0..rows) = A's column k. Stores may run over into the next k, which is written later.
template <class T>
void pack_a(const T* a, int64_t row, int64_t col, int64_t K, int rows, T* dst) {
    constexpr int W = kW<T>;
    for (int r = 0; r < rows; r += W) {
        const int n = rows - r < W ? rows - r : W;
        const bool whole = rows <= W;
        const T* src = a + r * row;
        T* out = dst + r;
        if (row == 1 && n == W) {
            for (int64_t k = 0; k < K; k++) st(out + k * rows, ld(src + k * col));
        } else if (row == 1) {
            for (int64_t k = 0; k < K; k++) stn(out + k * rows, ldn(src + k * col, n), n);
        } else if (col == 1) {
            for (int64_t k = 0; k < K; k += W) {
                const int depth = int(min64(W, K - k));
                Vec<T> block[W];
                RL_UNROLL
                for (int j = 0; j < W; j++)
                    block[j] = j < n ? (depth == W ? ld(src + j * row + k)
                                                   : ldn(src + j * row + k, depth))
                                     : Vec<T>{};
                transpose(block);
                for (int q = 0; q < depth; q++) {
                    if (whole || n == W)
                        st(out + (k + q) * rows, block[q]);
                    else
                        stn(out + (k + q) * rows, block[q], n);
                }
            }
        } else {
            for (int64_t k = 0; k < K; k++)
                for (int j = 0; j < n; j++) out[k * rows + j] = src[j * row + k * col];
        }
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
