// gemm_shallow.h: products of up to four steps of k, as the weight gradient of a small batch or the
// gates of a sequence of numbers.
//
// Tiles of gemm_tile.h would spend as long on being called and on storing as on multiplying. Here
// all of B's panel (4 x 4 vectors with 32 registers, 4 x 2 with 16) stays in registers while the rows
// of A pass by, and each row of C is stored as it comes.
#pragma once

#include "gemm.h"
#include "gemm_scratch.h"
#include "gemm_tile.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kShallow = 4;
constexpr int kShallowVectors = kVecRegs == 32 ? 4 : 2;
constexpr int64_t kShallowLeastRows = 16;

template <class T>
bool is_shallow(const Gemm<T>& g) {
    return g.K <= kShallow && g.b_col == 1 && g.choosing_rows() >= kShallowLeastRows &&
           !g.accumulate && !g.row_bias;
}

// `columns` of C from column j on, the last of NV vectors holding `last`.
template <class T, int K, int NV>
RL_INLINE void shallow_panel(const Gemm<T>& g, int64_t j, int last) {
    typedef WholeRegister<T> Register;
    constexpr int W = kW<T>;
    Vec<T> b[K][NV], bias[NV] = {};
    const auto columns = [&](int v) RL_LAMBDA_INLINE { return v == NV - 1 ? last : W; };
    RL_UNROLL
    for (int v = 0; v < NV; v++) {
        RL_UNROLL
        for (int k = 0; k < K; k++)
            b[k][v] = Register::load(g.b + k * g.b_row + j + v * W, columns(v));
        if (g.col_bias) bias[v] = Register::load(g.col_bias + j + v * W, columns(v));
    }
    const T* a = g.a;
    T* c = g.c + j;
    for (int64_t i = 0; i < g.M; i++, a += g.a_row, c += g.c_row) {
        Vec<T> acc[NV];
        RL_UNROLL
        for (int v = 0; v < NV; v++) acc[v] = bias[v];
        RL_UNROLL
        for (int k = 0; k < K; k++) {
            const Vec<T> x = splat(a[k * g.a_col]);
            RL_UNROLL
            for (int v = 0; v < NV; v++) acc[v] = multiply_add(x, b[k][v], acc[v]);
        }
        RL_UNROLL
        for (int v = 0; v < NV; v++)
            Register::store(c + v * W, rectified(acc[v], g.relu), columns(v));
    }
}

template <class T, int K>
void shallow_product(const Gemm<T>& g) {
    constexpr int W = kW<T>, NV = kShallowVectors;
    int64_t j = 0;
    for (; j + NV * W <= g.N; j += NV * W) shallow_panel<T, K, NV>(g, j, W);
    for (; j < g.N; j += W) shallow_panel<T, K, 1>(g, j, int(min64(W, g.N - j)));
}

template <class T>
void multiply_shallow(const Gemm<T>& g) {
    switch (g.K) {
        case 1: return shallow_product<T, 1>(g);
        case 2: return shallow_product<T, 2>(g);
        case 3: return shallow_product<T, 3>(g);
        default: return shallow_product<T, 4>(g);
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
