// gemm_core.h: C = A * B on one thread, for any strides of A and B.
//
// Three ways, chosen by shape:
//   no-pack  B's rows are contiguous and C has few columns: tiles read A and B where they lie.
//   dot      both operands run along k (x * W^T of a linear layer) and A has few rows.
//   packed   everything else (Goto's scheme): A is copied in panels of up to 14 rows, each of which
//            stays in L1 (14 x 384 floats = 21 KB) while the panels of B, of two vectors, stream
//            past it from L2. B is read in place if its rows are contiguous, else copied in blocks
//            of KC x NC. Copies of transposed operands go through W x W transposes in registers.
// k is cut into blocks of 384.
// Row blocks are shared out evenly (20 rows as 10 + 10) and bias and relu are applied as the last
// block of k leaves the registers.
#pragma once

#include "gemm.h"
#include "gemm_pack.h"
#include "gemm_tile.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlockK = 384, kBlockN = 512, kDotBlockK = 2048;
// Copying A is shared by the columns of C. Up to this many, reading it in place is cheaper: fewer
// where A's rows are neighbours (a weight's gradient), as those are both dear to read and cheap to
// copy.
constexpr int64_t kNoPackColumns = 192, kNoPackColumnsT = 80;
// The dot kernel (tiles: 4 x 4, or 2 x 4 with 16 registers) beats packing up to this many rows if k
// is long enough to hide its sideways sums: the more rows, the longer, as packing is shared by them.
constexpr int64_t kDotMostRows = kVecRegs == 32 ? 64 : 8, kDotDepthPerRow = 6;

// ---------------------------------------------------------------------------- the three ways
template <class T>
void fill_epilogue(const Gemm<T>& g) {
    for (int64_t i = 0; i < g.M; i++)
        for (int64_t j = 0; j < g.N; j++) {
            T x = g.accumulate ? g.c[i * g.c_row + j] : T(0);
            if (g.col_bias) x += g.col_bias[j];
            if (g.row_bias) x += g.row_bias[i];
            g.c[i * g.c_row + j] = g.relu && x < T(0) ? T(0) : x;
        }
}

// Sets what depends on the block of k: earlier blocks only add up, the last one finishes.
template <class T>
void set_stage(const Gemm<T>& g, Tile<T>& t, int64_t i, int64_t j, bool first, bool final) {
    t.c = g.c + i * g.c_row + j;
    t.c_row = g.c_row;
    t.accumulate = g.accumulate || !first;
    t.col_bias = final && g.col_bias ? g.col_bias + j : nullptr;
    t.row_bias = final && g.row_bias ? g.row_bias + i : nullptr;
    t.relu = final && g.relu;
}

// How wide the panel is that starts where `columns` are left: in vectors, or kHalf for half a one.
constexpr int kHalf = 0;
template <class T>
int panel_vectors(int64_t columns, int64_t rows) {
    constexpr int W = kW<T>;
    if (kHasHalfTiles<T> && rows >= kHalfLeastRows) {
        if (columns <= W / 2) return kHalf;
        if (columns <= W + W / 2) return 1;
    }
    return columns > W ? 2 : 1;
}
template <class T>
int panel_width(int vectors) {
    return vectors == kHalf ? kW<T> / 2 : vectors * kW<T>;
}
// Columns in the last vector of a panel when `columns` are left.
template <class T>
int last_columns(int64_t columns, int vectors) {
    if (vectors == kHalf) return int(columns);
    return int(min64(columns, vectors * kW<T>)) - (vectors - 1) * kW<T>;
}

template <class T, bool Packed>
void run_tile(int vectors, int rows, const Tile<T>& t) {
    if (vectors == kHalf)
        half_tile_of_height<T, Packed>(rows)(t);
    else if (vectors == 2)
        tile_of_height<T, 2, Packed>(rows)(t);
    else
        tile_of_height<T, 1, Packed>(rows)(t);
}

// One panel of columns against one block of rows; returns the panel's width.
template <class T>
int64_t nopack_tile(const Gemm<T>& g, Tile<T>& t, int64_t i, int rows, int64_t j, int64_t k0,
                    bool first, bool final) {
    const bool wide = g.M <= kWideRows && g.N - j > 3 * kW<T>;
    const int vectors = wide ? 4 : panel_vectors<T>(g.N - j, g.M);
    t.a = g.a + i * g.a_row + k0 * g.a_col;
    t.b = g.b + k0 * g.b_row + j;
    t.last = last_columns<T>(g.N - j, vectors);
    set_stage(g, t, i, j, first, final);
    if (wide)
        wide_tile_of_height<T>(rows)(t);
    else
        run_tile<T, false>(vectors, rows, t);
    return min64(panel_width<T>(vectors), g.N - j);
}

template <class T>
void gemm_nopack(const Gemm<T>& g) {
    const int64_t row_blocks = ceil_div(g.M, kTileRows);
    const int64_t k_blocks = g.M > kTileRows ? ceil_div(g.K, kBlockK) : 1;
    // While all of B fits in L1 it may be passed over once per row block, and C is then written
    // row after row.
    const bool rows_first = g.K * g.N <= 4096;
    Tile<T> t;
    t.a_row = g.a_row;
    t.a_k = g.a_col;
    t.b_k = g.b_row;
    auto block = [&](int64_t rb, int64_t j, int64_t kb) {
        const int64_t k0 = share(g.K, k_blocks, kb), i = share(g.M, row_blocks, rb);
        t.K = share(g.K, k_blocks, kb + 1) - k0;
        return nopack_tile(g, t, i, int(share(g.M, row_blocks, rb + 1) - i), j, k0, kb == 0,
                           kb == k_blocks - 1);
    };
    for (int64_t kb = 0; kb < k_blocks; kb++) {
        if (rows_first) {
            for (int64_t rb = 0; rb < row_blocks; rb++)
                for (int64_t j = 0; j < g.N;) j += block(rb, j, kb);
            continue;
        }
        for (int64_t j = 0, columns = 0; j < g.N; j += columns)
            for (int64_t rb = 0; rb < row_blocks; rb++) columns = block(rb, j, kb);
    }
}

template <class T>
void gemm_dot(const Gemm<T>& g) {
    const int64_t k_blocks = ceil_div(g.K, kDotBlockK);
    Tile<T> t;
    t.a_row = g.a_row;
    t.b_k = g.b_col;
    for (int64_t j = 0; j < g.N; j += kDotCols) {
        t.last = int(min64(kDotCols, g.N - j));
        for (int64_t kb = 0; kb < k_blocks; kb++) {
            const int64_t k0 = share(g.K, k_blocks, kb);
            t.K = share(g.K, k_blocks, kb + 1) - k0;
            t.b = g.b + j * g.b_col + k0;
            for (int64_t i = 0; i < g.M; i += kDotRows) {
                t.a = g.a + i * g.a_row + k0;
                set_stage(g, t, i, j, kb == 0, kb == k_blocks - 1);
                dot_tile_of_height<T>(int(min64(kDotRows, g.M - i)))(t);
            }
        }
    }
}

// Copies rows [k0, k0 + K) of columns [j0, j0 + columns) of B into panels, one behind the other.
template <class T>
void pack_panels_b(const Gemm<T>& g, int64_t k0, int64_t K, int64_t j0, int64_t columns,
                   T* panels) {
    for (int64_t j = 0; j < columns;) {
        const int width = panel_width<T>(panel_vectors<T>(columns - j, g.M));
        pack_b(g.b + k0 * g.b_row + (j0 + j) * g.b_col, g.b_row, g.b_col, K,
               int(min64(width, columns - j)), width, panels + j * K);
        j += width;
    }
}

template <class T>
bool reads_a_in_place(const Gemm<T>& g) {
    return g.N <= (g.a_col == 1 ? kNoPackColumns : kNoPackColumnsT);
}

// InPlace: whether A may be read where it lies. Without, half of the tiles need not be compiled.
template <class T, bool InPlace>
void gemm_packed(const Gemm<T>& g) {
    const int64_t k_blocks = ceil_div(g.K, kBlockK), n_blocks = ceil_div(g.N, kBlockN);
    const int64_t row_blocks = ceil_div(g.M, kTileRows);
    const bool b_in_place = g.b_col == 1, a_in_place = InPlace && reads_a_in_place(g);
    T* const panel_a = scratch<T>(kPanelA, kBlockK * kTileRows);
    T* const panels_b =
        b_in_place ? nullptr : scratch<T>(kPanelB, kBlockK * (min64(kBlockN, g.N) + 2 * kW<T>));
    Tile<T> t;
    t.a_row = g.a_row;
    t.a_k = g.a_col;
    for (int64_t nb = 0; nb < n_blocks; nb++) {
        const int64_t j0 = nb * kBlockN, columns = min64(kBlockN, g.N - j0);
        for (int64_t kb = 0; kb < k_blocks; kb++) {
            const int64_t k0 = share(g.K, k_blocks, kb);
            t.K = share(g.K, k_blocks, kb + 1) - k0;
            if (!b_in_place) pack_panels_b(g, k0, t.K, j0, columns, panels_b);
            for (int64_t rb = 0; rb < row_blocks; rb++) {
                const int64_t i = share(g.M, row_blocks, rb);
                const int rows = int(share(g.M, row_blocks, rb + 1) - i);
                t.a = g.a + i * g.a_row + k0 * g.a_col;
                if (!a_in_place) {
                    pack_a(t.a, g.a_row, g.a_col, t.K, rows, panel_a);
                    t.a = panel_a;
                }
                for (int64_t j = 0; j < columns;) {
                    const int vectors = panel_vectors<T>(columns - j, g.M);
                    t.b = b_in_place ? g.b + k0 * g.b_row + j0 + j : panels_b + j * t.K;
                    t.b_k = b_in_place ? g.b_row : panel_width<T>(vectors);
                    t.last = last_columns<T>(columns - j, vectors);
                    set_stage(g, t, i, j0 + j, kb == 0, kb == k_blocks - 1);
                    if (a_in_place)
                        run_tile<T, !InPlace>(vectors, rows, t);
                    else
                        run_tile<T, true>(vectors, rows, t);
                    j += panel_width<T>(vectors);
                }
            }
        }
    }
}

template <class T, bool InPlace = true>
void gemm_serial(Gemm<T> g) {
    if (g.M == 0 || g.N == 0) return;
    if (g.K == 0) return fill_epilogue(g);
    if (g.N == 1 && g.M > 1 && g.c_row == 1) {  // a matrix times a vector: the transposed product
        Gemm<T> swapped = g;
        swapped.M = 1, swapped.N = g.M;
        swapped.a = g.b, swapped.a_row = g.b_col, swapped.a_col = g.b_row;
        swapped.b = g.a, swapped.b_row = g.a_col, swapped.b_col = g.a_row;
        swapped.c_row = g.M;
        swapped.col_bias = g.row_bias, swapped.row_bias = g.col_bias;
        g = swapped;
    }
    // The stride of an axis of length one is arbitrary; name the one that fits best.
    if (g.N == 1) g.b_col = g.b_row == 1 ? g.K : 1;
    if (g.K == 1) g.b_row = g.N, g.a_col = 1;
    const int64_t kn = g.K * g.N;
    if constexpr (InPlace)
        if (g.b_col == 1 &&
            (g.M <= kWideRows || kn <= 4096 || (kn <= 131072 && reads_a_in_place(g))))
            return gemm_nopack(g);
    if (g.b_row == 1 && g.a_col == 1 && g.M <= kDotMostRows && g.K >= kDotDepthPerRow * g.M)
        return gemm_dot(g);
    gemm_packed<T, InPlace>(g);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
