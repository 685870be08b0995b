// gemm_rest.h: the last one to four columns of C, which would leave most of a vector empty.
//
// Where A runs along k they are dot products: 4 x 4 of them have their lanes along k, as in
// gemm_dot, and what of B is needed is copied to run along k, too. Where A is turned, its rows are
// neighbours and become the lanes: a tile of up to 4 columns and 4 vectors of rows makes C's columns
// as rows, which are turned on their way to C. Either takes half the time of a half-empty half
// register: 64 x 100 x 1000 and 1000 x 100 x 64 become 3 % faster.
#pragma once

#include "gemm.h"
#include "gemm_pack.h"
#include "gemm_tile.h"

namespace rl {
namespace RL_ISA {
namespace {

// More rows than these share the copy of B's columns; deeper dot products outweigh their sums.
constexpr int64_t kRestDotRows = 32, kRestDotDepth = 128;
// Rows of a turned A are lanes up to this depth: A is read from its memory twice.
constexpr int64_t kRestTurnedRows = 128, kRestTurnedDepth = 512;

template <class T>
constexpr int kMostRest = kW<T> / 2 < kDotCols ? kW<T> / 2 : kDotCols;

template <class T>
bool rest_runs_along_k(const Gemm<T>& g) {
    return g.a_col == 1 && g.choosing_rows() >= kRestDotRows && g.K >= kRestDotDepth;
}
template <class T>
bool rest_is_turned(const Gemm<T>& g) {
    return g.a_row == 1 && g.choosing_rows() >= kRestTurnedRows && g.K <= kRestTurnedDepth &&
           !g.accumulate && !g.col_bias && !g.row_bias && !g.relu;
}

// How many of C's last columns are computed here.
template <class T>
int64_t rest_columns(const Gemm<T>& g) {
    const int64_t rest = g.N % kW<T>;
    const bool pays = rest <= kMostRest<T> && (rest_runs_along_k(g) || rest_is_turned(g));
    return pays ? rest : 0;
}

// B's columns as rows that run along k.
template <class T>
const T* copy_columns(const Gemm<T>& g) {
    T* const to = scratch<T>(kPanelB, g.N * g.K);
    for (int64_t k = 0; k < g.K; k++)
        for (int64_t j = 0; j < g.N; j++) to[j * g.K + k] = g.b[k * g.b_row + j * g.b_col];
    return to;
}

// g is the product of the last columns.
template <class T>
void multiply_turned(const Gemm<T>& g) {
    constexpr int W = kW<T>, vectors = kWideTiles ? 4 : 2;
    alignas(64) T columns[kDotCols][vectors * W];
    Tile<T> t = {};
    t.K = g.K;
    t.a = g.b, t.a_row = g.b_col, t.a_k = g.b_row;
    t.b_k = g.a_col;
    t.c = columns[0], t.c_row = vectors * W;
    for (int64_t i = 0; i < g.M;) {
        const int64_t left = g.M - i;
        const int width = left >= vectors * W ? vectors : left > W ? 2 : 1;
        t.b = g.a + i;
        t.last = int(min64(left, width * W)) - (width - 1) * W;
        if (width == 4)
            wide_tile_of_height<T>(int(g.N))(t);
        else if (width == 2)
            tile_of_height<T, 2>(int(g.N))(t);
        else
            tile_of_height<T, 1>(int(g.N))(t);
        const int64_t rows = min64(left, width * W);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < g.N; j++) g.c[(i + r) * g.c_row + j] = columns[j][r];
        i += rows;
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
