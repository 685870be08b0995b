// pool_cells_max.h: the maxima of cells and their positions (pool_cells.h).
//
// A line has the best of every column and its position, so what a cell folds is no longer in the
// order of its pixels, and positions decide between equals.
#pragma once

#include "pool_cells.h"

namespace rl {
namespace RL_ISA {
namespace {

// Keeps the value that comes first in the order of a cell's pixels, whatever the order here: of
// several NaN the last, of equal maxima the first.
RL_INLINE void take_first(f32v value, i32v position, f32v* best, i32v* index) {
    const i32v nan = (i32v)(value != value), held_nan = (i32v)(*best != *best);
    const i32v better = (i32v)(value > *best) |
                        ((i32v)(value == *best) & (i32v)(position < *index)) |
                        (nan & (~held_nan | (i32v)(position > *index)));
    *best = select(better, value, *best);
    *index = select(better, position, *index);
}

// Folds the lanes of v, exchanging blocks of D, 2 D, ... lanes; every lane has the result.
template <int D, class V, class Fold>
RL_INLINE V fold_lanes(V v, const Fold& fold) {
    if constexpr (D < kW<Lane<V>>) {
        v = fold(pair_low<D>(v, v), pair_high<D>(v, v));
        return fold_lanes<2 * D>(v, fold);
    }
    return v;
}

// The same as take_first for the lanes of a vector; positions are not negative.
RL_INLINE void best_lane(f32v best, i32v index, float* y, int64_t* position) {
    const f32v most = fold_lanes<1>(best, [](f32v a, f32v b) { return vmax(a, b); });
    *y = most[0];
    if (*y == *y) {
        index = select((i32v)(best == most), index, splat(INT32_MAX));
        *position = fold_lanes<1>(index, [](i32v a, i32v b) { return a < b ? a : b; })[0];
    } else {
        index = select((i32v)(best != best), index, splat(-1));
        *position = fold_lanes<1>(index, [](i32v a, i32v b) { return a > b ? a : b; })[0];
    }
}

// The line of the best of every column in the rows that a row of cells sees.
inline void max_line(const CellGrid& g, const float* plane, int64_t cell_row, float* line,
                     int32_t* positions) {
    constexpr int W = kW<float>;
    const i32v first = lane_numbers() + int32_t(g.first_row(cell_row) * g.row());
    for_each_columns(g.row(), [&](auto columns, int64_t c, int lanes) RL_LAMBDA_INLINE {
        constexpr int V = columns.count;
        f32v best[V];
        i32v index[V];
        RL_UNROLL
        for (int v = 0; v < V; v++) {
            best[v] = splat(-INFINITY);
            index[v] = first + int32_t(c + v * W);
        }
        for_each_row(g, cell_row, [&](int64_t row) RL_LAMBDA_INLINE {
            const int64_t at = row * g.row() + c;
            const i32v position = lane_numbers() + int32_t(at);
            RL_UNROLL
            for (int v = 0; v < V; v++)
                take_better(load_columns<V>(plane + at, v, lanes), position + int32_t(v * W),
                            &best[v], &index[v]);
        });
        RL_UNROLL
        for (int v = 0; v < V; v++) {
            st(line + c + v * W, best[v]);
            st(positions + c + v * W, index[v]);
        }
    });
}

// The best of columns of a line.
RL_INLINE void max_columns(const float* line, const int32_t* positions, Span columns, float* y,
                           int64_t* position) {
    constexpr int W = kW<float>;
    const i32v lanes = lane_numbers();
    f32v best = splat(-INFINITY);
    i32v index = splat(INT32_MAX);
    for (int64_t c = columns.begin; c < columns.end; c += W) {
        const int n = int(min64(W, columns.end - c));
        take_first(select(lanes < n, ldn(line + c, n), splat(-INFINITY)),
                   select(lanes < n, ldn(positions + c, n), splat(INT32_MAX)), &best, &index);
    }
    best_lane(best, index, y, position);
}

// The best of columns of a row that begins at `start`, in V vectors at once if there are many.
RL_INLINE void max_of_row(const float* row, int32_t start, Span columns, float* y,
                          int64_t* position) {
    constexpr int W = kW<float>, V = 4;
    const i32v lanes = lane_numbers();
    f32v best[V];
    i32v index[V];
    RL_UNROLL
    for (int v = 0; v < V; v++) {
        best[v] = splat(-INFINITY);
        index[v] = splat(start + int32_t(columns.begin));
    }
    int64_t c = columns.begin;
    for (; c + V * W <= columns.end; c += V * W) {
        RL_UNROLL
        for (int v = 0; v < V; v++)
            take_better(ld(row + c + v * W), lanes + (start + int32_t(c + v * W)), &best[v],
                        &index[v]);
    }
    if (columns.size() >= V * W) {
        RL_UNROLL
        for (int v = 1; v < V; v++) take_first(best[v], index[v], &best[0], &index[0]);
    }
    for (; c < columns.end; c += W) {
        const int n = int(min64(W, columns.end - c));
        take_better(select(lanes < n, ldn(row + c, n), splat(-INFINITY)),
                    lanes + (start + int32_t(c)), &best[0], &index[0]);
    }
    best_lane(best[0], index[0], y, position);
}

inline void max_cells(const CellGrid& g, const float* plane, int64_t cell_row, float* line,
                      int32_t* positions, float* y, int64_t* indices) {
    const int64_t start = g.first_row(cell_row) * g.row();
    const bool one_row = g.rows_seen(cell_row) == 1;
    if (!one_row) max_line(g, plane, cell_row, line, positions);
    const float* values = one_row ? plane + start : line;
    for (int64_t cell = 0; cell < g.width.out; cell++) {
        const Span columns = g.columns(cell);
        if (columns.size() == 1) {
            y[cell] = values[columns.begin];
            indices[cell] = one_row ? start + columns.begin : positions[columns.begin];
        } else if (one_row) {
            max_of_row(values, int32_t(start), columns, y + cell, indices + cell);
        } else {
            max_columns(values, positions, columns, y + cell, indices + cell);
        }
    }
}

inline void adaptive_max_pool(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        const CellGrid g(s);
        float* line = scratch<float>(kPlane, g.line());
        int32_t* positions = scratch<int32_t>(kPlane2, g.line());
        int64_t at = begin * s.out();
        for (int64_t i = begin; i < end; i++)
            for (int64_t row = 0; row < g.cell_rows(); row++, at += g.width.out)
                max_cells(g, x + i * s.in(), row, line, positions, y + at, indices + at);
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
