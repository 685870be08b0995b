// gemm_shallow.h: products of up to four steps of k, as the weight gradient of a small batch or the
// gates of a sequence of numbers.
//
// Tiles of gemm_tile.h would spend as long on being called and on storing as on multiplying. Here
// all of B's panel (4 x 4 vectors with 32 registers, 4 x 2 with 16) stays in registers while the rows
// of A pass by, and each row of C is stored as it comes. Where rows of C are long, or begin whole pages
// apart and so fall into few sets of the caches, a few numbers of A stay in registers instead while
// B's rows pass by.
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
constexpr int64_t kShallowLongRow = 8 << 10, kShallowFarRow = kVecRegs == 32 ? 4096 : 2048;  // bytes

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

// Rows i .. i + R - 1 of C from end to end.
template <class T, int K, int R>
RL_INLINE void shallow_rows(const Gemm<T>& g, int64_t i) {
    typedef WholeRegister<T> Register;
    constexpr int W = kW<T>;
    Vec<T> x[R][K];
    RL_UNROLL
    for (int r = 0; r < R; r++) {
        RL_UNROLL
        for (int k = 0; k < K; k++) x[r][k] = splat(g.a[(i + r) * g.a_row + k * g.a_col]);
    }
    T* const c = g.c + i * g.c_row;
    for (int64_t j = 0; j < g.N; j += W) {
        const int n = int(min64(W, g.N - j));
        Vec<T> b[K];
        RL_UNROLL
        for (int k = 0; k < K; k++) b[k] = Register::load(g.b + k * g.b_row + j, n);
        const Vec<T> bias = g.col_bias ? Register::load(g.col_bias + j, n) : Vec<T>{};
        RL_UNROLL
        for (int r = 0; r < R; r++) {
            Vec<T> acc = bias;
            RL_UNROLL
            for (int k = 0; k < K; k++) acc = multiply_add(x[r][k], b[k], acc);
            Register::store(c + r * g.c_row + j, rectified(acc, g.relu), n);
        }
    }
}

template <class T, int K>
void shallow_product(const Gemm<T>& g) {
    constexpr int W = kW<T>, NV = kShallowVectors;
    const int64_t row = g.c_row * int64_t(sizeof(T));
    if (g.N * int64_t(sizeof(T)) >= kShallowLongRow || row % kShallowFarRow == 0) {
        int64_t i = 0;
        for (; i + 2 <= g.M; i += 2) shallow_rows<T, K, 2>(g, i);
        if (i < g.M) shallow_rows<T, K, 1>(g, i);
        return;
    }
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
