// gemm_core.h: C = A * B on one thread, for any strides of A and B.
//
// Four ways, chosen by shape:
//   shallow  k is at most four (gemm_shallow.h).
//   dot      both operands run along k (x * W^T of a linear layer) and A has few rows; and C's last
//            one to four columns (gemm_rest.h).
//   row      A is one row and B large, its rows contiguous (gemm_row.h).
//   blocked  everything else, after Goto: k is cut into blocks of up to 512, C's columns into
//            blocks of 384 or, if B's block is less high, more. For each pair a few rows of A pass
//            over all panels of B's block, which streams from L2 while the rows of A (6 x 512
//            floats = 12 KB) stay in L1.
// In a network operands are rarely in the caches, and 6 rows of A or a panel of B are too short for
// the processor to foresee the next; so tiles fetch what the tiles after them read (TilesOfBlock).
// A tile is 6 rows high, and four vectors wide with 32 registers, two with 16. (14 x 2 has more
// sums in flight than 6 x 4, but needs 16 loads for 28 multiply-adds instead of 10 for 24, and so
// many addresses for A that it must be packed, which costs 5 to 15 %. It remains for the last
// columns, up to three vectors.) A is read where it lies. Only a turned A whose columns are far
// apart, so that a block of k falls into few sets of the caches, is copied; wide tiles reuse what they
// load so often that only multiples of 2 KB are worth it (1024^3 12 % faster on Zen 5).
// B is read in place if its rows are contiguous, else copied in panels; copies of transposed
// operands go through W x W transposes in registers.
// Row blocks are shared out evenly (20 rows as 10 + 10) and bias and relu are applied as the last
// block of k leaves the registers.
#pragma once

#include "gemm.h"
#include "gemm_pack.h"
#include "gemm_rest.h"
#include "gemm_row.h"
#include "gemm_shallow.h"
#include "gemm_tile.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlockK = 512, kBlockNumbers = 192 << 10, kMostColumns = 1024, kDotBlockK = 2048;
// From this distance on (2 KB) rows share few sets of the caches and few of them a page. B is copied
// then if there are as many rows of A to share the copy.
constexpr int64_t kFarRow = 512, kFarRows = kWideTiles ? 768 : 128;
// Fetching from memory: how many steps of k ahead in a turned A; from which size on (bytes) C is
// not near; up to which size rows of A stay near while panels of B pass by, and how many blocks of
// rows and how much of k make that worthwhile, as C is then written in strips.
constexpr int64_t kFetchedSteps = 16, kFarC = 256 << 10;
constexpr int64_t kNearRows = 256 << 10, kSharedPanelRows = 4, kSharedPanelDepth = 64;
// Rows of a turned A that are copied at a time (whole vectors of them for wide tiles), and how many
// columns of C must share the copy.
constexpr int64_t kCopiedRows = kWideTiles ? 48 : 6, kCopyColumns = kWideTiles ? 192 : 96;
// The dot kernel (tiles: 4 x 4, or 2 x 4 with 16 registers) beats packing up to this many rows if k
// is long enough to hide its sideways sums: the more rows, the longer, as packing is shared by them.
constexpr int64_t kDotMostRows = kVecRegs == 32 ? 64 : 8, kDotDepthPerRow = 6;

// ---------------------------------------------------------------------------- the two ways
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
    if ((kWideTiles || rows <= kWideRows) && columns > 3 * W) return kWide;
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
// Of `columns` those that go in wide panels.
template <class T>
int64_t wide_columns(int64_t columns, int64_t rows) {
    int64_t j = 0;
    while (j < columns && panel_vectors<T>(columns - j, rows) == kWide)
        j += min64(columns - j, panel_width<T>(kWide));
    return j;
}

template <class T>
void run_tile(int vectors, int rows, const Tile<T>& t) {
    if (vectors == kWide)
        wide_tile_of_height<T>(rows)(t);
    else if (vectors == kHalf)
        half_tile_of_height<T>(rows)(t);
    else if (vectors == 2)
        tile_of_height<T, 2>(rows)(t);
    else
        tile_of_height<T, 1>(rows)(t);
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

// Rows [k0, k0 + K) of columns [j0, j0 + columns) of B.
struct BlockOfB {
    int64_t k0, K, j0, columns;
    bool first, final;  // of the blocks of k
    int64_t next_k0, next_j0;  // where the next block starts; no column of B if there is none
};

// Copies the block into panels, one behind the other.
template <class T>
void pack_panels_b(const Gemm<T>& g, const BlockOfB& block, T* panels) {
    for (int64_t j = 0; j < block.columns;) {
        const int width = panel_width<T>(panel_vectors<T>(block.columns - j, g.M));
        pack_b(g.b + block.k0 * g.b_row + (block.j0 + j) * g.b_col, g.b_row, g.b_col, block.K,
               int(min64(width, block.columns - j)), width, panels + j * block.K);
        j += width;
    }
}

// Whether rows this far apart fall into few sets of L1, which repeat every 4 KB.
template <class T>
bool shares_sets(int64_t stride) {
    return stride >= kFarRow && stride * int64_t(sizeof(T)) % 2048 == 0;
}
template <class T>
bool copies_a(const Gemm<T>& g) {
    return g.a_row == 1 && g.N >= kCopyColumns &&
           (kWideTiles ? shares_sets<T>(g.a_col) : g.a_col >= kFarRow);
}
template <class T>
bool copies_b(const Gemm<T>& g) {
    return g.b_col != 1 || (g.b_row >= kFarRow && g.M >= kFarRows);
}

// Some rows of A, columns k0 and following of them.
template <class T>
struct RowsOfA {
    int64_t first, count;
    const T* data;
    int64_t row, k;           // strides
    const T* next = nullptr;  // of a copy: where the rows lie that are copied next
};

// Some rows of A, up to `height` at a time, times columns [begin, end) of a block of B, which lies
// in `panels` or, if that is null, in place. Rows are passed over all panels; or panels are, where
// B is read in place and the rows stay near: so its next panel can be fetched in the meantime.
template <class T>
struct TilesOfBlock {
    const Gemm<T>& g;
    const RowsOfA<T>& a;
    const BlockOfB& block;
    const T* panels;
    int64_t begin, end;
    int64_t row_blocks;
    bool by_panels;
    Tile<T> t;

    TilesOfBlock(const Gemm<T>& g, const RowsOfA<T>& a, const BlockOfB& block, const T* panels,
                 int64_t begin, int64_t end, int height)
        : g(g), a(a), block(block), panels(panels), begin(begin), end(end),
          row_blocks(ceil_div(a.count, height)) {
        constexpr int64_t bytes = int64_t(sizeof(T));
        by_panels = panels == nullptr && row_blocks >= kSharedPanelRows &&
                    block.K >= kSharedPanelDepth && a.count * block.K * bytes <= kNearRows;
        t.K = block.K;
        t.a_row = a.row;
        t.a_k = a.k;
        t.is_c_far = block.first && g.M * g.N * bytes >= kFarC;
    }

    void run() {
        int64_t width = 0;
        if (by_panels) {
            for (int64_t j = begin; j < end; j += width)
                for (int64_t rb = 0; rb < row_blocks; rb++) width = run_tile_at(rb, j);
        } else {
            for (int64_t rb = 0; rb < row_blocks; rb++)
                for (int64_t j = begin; j < end; j += width) width = run_tile_at(rb, j);
        }
    }

    // Multiplies a block of rows with the panel at column j and returns the panel's width.
    int64_t run_tile_at(int64_t rb, int64_t j) {
        const int64_t i = share(a.count, row_blocks, rb), column = block.j0 + j;
        const int rows = int(share(a.count, row_blocks, rb + 1) - i);
        const int vectors = panel_vectors<T>(block.columns - j, g.M);
        const int64_t width = panel_width<T>(vectors);
        t.a = a.data + i * a.row;
        t.b = panels ? panels + j * t.K : g.b + block.k0 * g.b_row + column;
        t.b_k = panels ? width : g.b_row;
        t.last = last_columns<T>(block.columns - j, vectors);
        set_ahead(rb, rows, j, width);
        set_stage(g, t, a.first + i, column, block.first, block.final);
        run_tile<T>(vectors, rows, t);
        return width;
    }

    // Of a turned A the same rows a little later in k, or where they are copied, by some blocks a
    // vector's width of the rows that are copied next; else the next rows, one while each panel is
    // multiplied, or if they lie side by side all of them during the last. Where panels pass by, some
    // blocks of rows fetch a vector's width of B's next panel instead.
    void set_ahead(int64_t rb, int rows, int64_t j, int64_t width) {
        t.ahead = nullptr, t.ahead_step = 0;
        if (a.next != nullptr && j == begin && rb * kW<T> < kCopiedRows) {
            t.ahead = a.next + rb * kW<T>, t.ahead_step = g.a_col;
            return;
        }
        if (kWideTiles && a.row == 1 && a.k == g.a_col) {
            t.ahead = t.a + kFetchedSteps * a.k, t.ahead_step = a.k;
        } else if (!by_panels && a.k == 1) {
            const bool is_last = j + width >= end;
            if (a.row == t.K && is_last)
                t.ahead = t.a + rows * a.row, t.ahead_step = rows;
            else if (a.row != t.K && j - begin < rows * width)
                t.ahead = t.a + (rows + (j - begin) / width) * a.row, t.ahead_step = 1;
        }
        if (!by_panels) return;
        const bool is_last = j + width >= end;
        if (is_last && block.next_j0 >= g.N) return;
        const T* const next =
            is_last ? g.b + block.next_k0 * g.b_row + block.next_j0 : t.b + width;
        for (int v = 0; v < kWide; v++)
            if (rb == share(row_blocks, kWide, v))
                t.ahead = next + v * kW<T>, t.ahead_step = t.b_k;
    }
};

// count rows of A from `first` on, for a block of k, as to[k][count]. A whole vector is stored over
// what is written next.
template <class T>
void copy_rows(const Gemm<T>& g, const BlockOfB& block, int64_t first, int64_t count, T* to) {
    const T* from = g.a + first + block.k0 * g.a_col;
    for (int64_t k = 0; k < block.K; k++, from += g.a_col, to += count)
        for (int64_t i = 0; i < count; i += kW<T>)
            st(to + i, count - i < kW<T> ? ldn(from + i, int(count - i)) : ld(from + i));
}

template <class T>
void multiply_block(const Gemm<T>& g, const BlockOfB& block, const T* panels) {
    const int64_t wide = wide_columns<T>(block.columns, g.M);
    const bool copies = copies_a(g);
    const int64_t groups = copies ? ceil_div(g.M, kCopiedRows) : 1;
    T* const copied = copies ? scratch<T>(kPanelA, block.K * kCopiedRows) : nullptr;
    const int64_t unit = kWideTiles ? kW<T> : 1, units = ceil_div(g.M, unit);
    for (int64_t i = 0; i < groups; i++) {
        const int64_t first = share(units, groups, i) * unit;
        const int64_t count = min64(share(units, groups, i + 1) * unit, g.M) - first;
        const T* const from = g.a + first * g.a_row + block.k0 * g.a_col;
        RowsOfA<T> a = {first, count, from, g.a_row, g.a_col};
        if (copies) {
            copy_rows(g, block, first, count, copied);
            a.data = copied, a.k = count;
            if (i + 1 < groups) a.next = from + count;
        }
        if (wide > 0) TilesOfBlock<T>(g, a, block, panels, 0, wide, kWideRows).run();
        if (wide < block.columns)
            TilesOfBlock<T>(g, a, block, panels, wide, block.columns, kTileRows).run();
    }
}

// How high blocks are: only half as high if a turned A's columns are 4 KB apart, which all fall into
// 32 sets of L2.
template <class T>
int64_t most_block_k(const Gemm<T>& g) {
    return g.a_row == 1 && g.a_col >= 2 * kFarRow ? kBlockK / 2 : kBlockK;
}

// Columns of a block of B that is K high: whole panels, of no more numbers than stay in L2.
template <class T>
int64_t block_columns(int64_t K) {
    const int64_t panel = panel_width<T>(kWide);
    return max64(min64(kBlockNumbers / K, kMostColumns) / panel * panel, panel);
}

template <class T>
void gemm_blocked(const Gemm<T>& g) {
    const bool copies = copies_b(g);
    // With a single block of rows there is nothing that blocks of B would keep near.
    const bool once = !copies && g.M <= kTileRows;
    const int64_t k_blocks = once ? 1 : ceil_div(g.K, most_block_k(g));
    const int64_t width = once ? g.N : block_columns<T>(ceil_div(g.K, k_blocks));
    T* const panels =
        copies ? scratch<T>(kPanelB, ceil_div(g.K, k_blocks) *
                                         (min64(width, g.N) + panel_width<T>(kWide)))
               : nullptr;
    for (int64_t j = 0; j < g.N; j += width)
        for (int64_t kb = 0; kb < k_blocks; kb++) {
            const int64_t k0 = share(g.K, k_blocks, kb), end = share(g.K, k_blocks, kb + 1);
            const bool first = kb == 0, final = kb == k_blocks - 1;
            const BlockOfB block = {k0, end - k0, j, min64(width, g.N - j), first, final,
                                    final ? 0 : end, final ? j + width : j};
            if (copies) pack_panels_b(g, block, panels);
            multiply_block(g, block, panels);
        }
}

template <class T>
void multiply_rest(Gemm<T> g, int64_t rest) {
    const int64_t whole = g.N - rest;
    g.N = rest;
    g.b += whole * g.b_col;
    g.c += whole;
    if (g.col_bias) g.col_bias += whole;
    if (!rest_runs_along_k(g)) return multiply_turned(g);
    if (g.b_row != 1) g.b = copy_columns(g), g.b_row = 1, g.b_col = g.K;
    gemm_dot(g);
}

template <class T>
void gemm_serial(Gemm<T> g) {
    if (g.M == 0 || g.N == 0) return;
    if (g.K == 0) return fill_epilogue(g);
    if (g.N == 1 && g.M > 1 && g.c_row == 1) {  // a matrix times a vector: the transposed product
        Gemm<T> swapped = g;
        swapped.M = 1, swapped.N = g.M;
        swapped.a = g.b, swapped.a_row = g.b_col, swapped.a_col = g.b_row;
        swapped.b = g.a, swapped.b_row = g.a_col, swapped.b_col = g.a_row;
        swapped.c_row = g.M;
        swapped.rows_of_whole = 0;
        swapped.col_bias = g.row_bias, swapped.row_bias = g.col_bias;
        g = swapped;
    }
    // The stride of an axis of length one is arbitrary; name the one that fits best.
    if (g.N == 1) g.b_col = g.b_row == 1 ? g.K : 1;
    if (g.K == 1) g.b_row = g.N, g.a_col = 1;
    if (is_shallow(g)) return multiply_shallow(g);
    const int64_t rows = g.choosing_rows();
    if (g.b_row == 1 && g.a_col == 1 && rows <= kDotMostRows && g.K >= kDotDepthPerRow * rows)
        return gemm_dot(g);
    if (is_far_row(g)) return multiply_far_row(g);
    if (const int64_t rest = rest_columns(g)) {
        multiply_rest(g, rest);
        g.N -= rest;
        if (g.N == 0) return;
    }
    gemm_blocked(g);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
