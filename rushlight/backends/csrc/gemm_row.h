// gemm_row.h: a row times a matrix whose rows are contiguous, too large for the near caches.
//
// The tiles would walk down the matrix in strips of four vectors, a new page at every step, which
// the processor does not foresee. Here eight rows of the matrix at a time are read from end to end
// while the sums, one row of C, stay in L1. Every sum is formed in the same order as in a tile.
#pragma once

#include "gemm.h"
#include "gemm_tile.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kRowDepth = 8;
// Longer rows are foreseen in strips, too, and the sums would leave L1.
constexpr int64_t kRowFarBytes = 256 << 10, kRowMostColumns = 4096;

template <class T>
bool is_far_row(const Gemm<T>& g) {
    return g.choosing_rows() == 1 && g.b_col == 1 && !g.accumulate && g.K > kRowDepth &&
           g.N <= kRowMostColumns && g.K * g.b_row * int64_t(sizeof(T)) >= kRowFarBytes;
}

// Adds `Depth` rows of B times their numbers of A to C; the first rows start the sums, the last
// finish them with bias and relu.
template <class T, int Depth>
void add_rows_of_b(const Gemm<T>& g, int64_t k) {
    constexpr int W = kW<T>;
    typedef WholeRegister<T> Register;
    const bool first = k == 0, last = k + Depth == g.K;
    Vec<T> x[Depth];
    RL_UNROLL
    for (int d = 0; d < Depth; d++) x[d] = splat(g.a[(k + d) * g.a_col]);
    const T* const b = g.b + k * g.b_row;
    for (int64_t j = 0; j < g.N; j += W) {
        const int n = int(min64(W, g.N - j));
        Vec<T> sum = first ? Vec<T>{} : Register::load(g.c + j, n);
        RL_UNROLL
        for (int d = 0; d < Depth; d++)
            sum = multiply_add(x[d], Register::load(b + d * g.b_row + j, n), sum);
        if (last && g.col_bias) sum += Register::load(g.col_bias + j, n);
        if (last && g.row_bias) sum += splat(g.row_bias[0]);
        Register::store(g.c + j, rectified(sum, last && g.relu), n);
    }
}

template <class T>
void multiply_far_row(const Gemm<T>& g) {
    int64_t k = 0;
    for (; k + kRowDepth <= g.K; k += kRowDepth) add_rows_of_b<T, kRowDepth>(g, k);
    for (; k < g.K; k++) add_rows_of_b<T, 1>(g, k);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
