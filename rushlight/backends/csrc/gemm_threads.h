// gemm_threads.h: one product on all threads.
//
// It is cut along the longer of M and N into one part per thread, and every thread packs what its
// part needs: the other operand is packed more than once, which costs less than meeting in the
// middle would.
#pragma once

#include "gemm_core.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// Multiply-adds worth handing to a second thread: about 30 microseconds.
constexpr int64_t kParallelWork = 2000000;

template <class T>
void gemm_parallel(const Gemm<T>& g) {
    const int64_t parts = min64(num_threads(), g.M * g.N * g.K / (kParallelWork / 2));
    const bool by_columns = g.N >= g.M;
    const int64_t unit = by_columns ? kTileVecs * kW<T> : kWideTiles ? kWideRows : kTileRows;
    const int64_t units = ceil_div(by_columns ? g.N : g.M, unit);
    if (parts < 2 || units < 2) return gemm_serial(g);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
        const int64_t first = share(units, parts, begin) * unit;
        Gemm<T> part = g;
        part.rows_of_whole = g.M;
        if (by_columns) {
            part.N = min64(share(units, parts, end) * unit, g.N) - first;
            part.b += first * g.b_col;
            part.c += first;
            if (part.col_bias) part.col_bias += first;
        } else {
            part.M = min64(share(units, parts, end) * unit, g.M) - first;
            part.a += first * g.a_row;
            part.c += first * g.c_row;
            if (part.row_bias) part.row_bias += first;
        }
        gemm_serial(part);
    });
}

// The i-th product of a batch.
template <class T>
Gemm<T> batch_item(const MatmulCall<T>& call, int64_t i) {
    Gemm<T> g;
    g.M = call.M;
    g.N = call.N;
    g.K = call.K;
    g.a = call.a + (call.a_offsets ? call.a_offsets[i] : 0);
    g.a_row = call.a_row;
    g.a_col = call.a_col;
    g.b = call.b + (call.b_offsets ? call.b_offsets[i] : 0);
    g.b_row = call.b_row;
    g.b_col = call.b_col;
    g.c = call.c + i * call.M * call.N;
    g.c_row = call.N;
    g.accumulate = call.accumulate;
    g.col_bias = call.col_bias;
    g.relu = call.relu;
    return g;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
