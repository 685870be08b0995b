// pool_cells_average.h: the means of cells (pool_cells.h).
//
// The gradient goes the same way back: a row of cells is spread over a line, and a row of the plane is
// the sum of the lines of those that saw it, mostly one.
#pragma once

#include "pool_cells.h"

namespace rl {
namespace RL_ISA {
namespace {

// ---------------------------------------------------------------------------- forward
inline void sum_line(const CellGrid& g, const float* plane, int64_t cell_row, float* line) {
    constexpr int W = kW<float>;
    for_each_columns(g.row(), [&](auto columns, int64_t c, int lanes) RL_LAMBDA_INLINE {
        constexpr int V = columns.count;
        f32v sums[V] = {};
        for_each_row(g, cell_row, [&](int64_t row) RL_LAMBDA_INLINE {
            RL_UNROLL
            for (int v = 0; v < V; v++)
                sums[v] += load_columns<V>(plane + row * g.row() + c, v, lanes);
        });
        RL_UNROLL
        for (int v = 0; v < V; v++) st(line + c + v * W, sums[v]);
    });
}

inline f32v sum_columns(const float* p, int64_t n) {
    constexpr int W = kW<float>;
    f32v a = {}, b = {};
    int64_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) {
        a += ld(p + i);
        b += ld(p + i + W);
    }
    for (; i < n; i += W) a += ldn(p + i, int(min64(W, n - i)));
    return a + b;
}

// The means of a row of cells from the line of their rows' sums, a vector of them at a time.
inline void mean_cells(const CellGrid& g, const float* line, int64_t rows, float* y) {
    constexpr int W = kW<float>;
    for (int64_t cell = 0; cell < g.width.out; cell += W) {
        const int count = int(min64(W, g.width.out - cell));
        f32v sums[W] = {};
        float pixels[W] = {};
        for (int j = 0; j < count; j++) {
            const Span columns = g.columns(cell + j);
            sums[j] = sum_columns(line + columns.begin, columns.size());
            pixels[j] = float(rows * columns.size());
        }
        stn(y + cell, hsum_rows(sums) / ld(pixels), count);
    }
}

// Whole planes of n pixels, W of them at a time, so that their sums are folded together.
inline void mean_planes(int64_t n, const float* x, int64_t planes, float* y) {
    constexpr int W = kW<float>;
    for (int64_t i = 0; i < planes; i += W) {
        const int count = int(min64(W, planes - i));
        f32v sums[W] = {};
        for (int j = 0; j < count; j++) {
            const float* p = x + (i + j) * n;
            int64_t k = 0;
            for (; k + W <= n; k += W) sums[j] += ld(p + k);
            if (k < n) sums[j] += ldn(p + k, int(n - k));
        }
        stn(y + i, hsum_rows(sums) / splat(float(n)), count);
    }
}

inline void adaptive_avg_pool(const PoolShape& s, const float* x, float* y) {
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        if (s.out() == 1 && s.in() <= 1024)
            return mean_planes(s.in(), x + begin * s.in(), end - begin, y + begin);
        const CellGrid g(s);
        float* line = scratch<float>(kPlane, g.line());
        float* means = y + begin * s.out();
        for (int64_t i = begin; i < end; i++)
            for (int64_t row = 0; row < g.cell_rows(); row++, means += g.width.out) {
                const float* plane = x + i * s.in();
                const int64_t rows = g.rows_seen(row);
                if (rows == 1) {
                    mean_cells(g, plane + g.first_row(row) * g.row(), 1, means);
                    continue;
                }
                sum_line(g, plane, row, line);
                mean_cells(g, line, rows, means);
            }
    });
}

// ---------------------------------------------------------------------------- gradient
// A vector of which n lanes are wanted. The others are written, too, unless they lie behind `end`, for
// what follows is still to be written.
RL_INLINE void store_ahead(float* to, f32v v, int64_t n, const float* end) {
    if (end - to >= kW<float>)
        st(to, v);
    else
        stn(to, v, int(min64(n, kW<float>)));
}

// line = the share of every pixel in the gradients of a row of cells.
inline void spread_cells(const CellGrid& g, const float* grad, int64_t rows, float* line,
                         const float* end) {
    int64_t covered = 0;
    for (int64_t cell = 0; cell < g.width.out; cell++) {
        const Span columns = g.columns(cell);
        const float part = grad[cell] / float(rows * columns.size());
        int64_t c = columns.begin;
        for (; c < min64(covered, columns.end); c++) line[c] += part;
        for (; c < columns.end; c += kW<float>)
            store_ahead(line + c, splat(part), columns.end - c, end);
        covered = columns.end;
    }
}

// For every pixel of an axis the cells that see it.
inline Span* cells_of(const CellAxis& axis, Span* cells) {
    for (int64_t pixel = 0; pixel < axis.in; pixel++) cells[pixel] = axis.cells_at(pixel);
    return cells;
}

// A row of the plane: the sum of the lines of rows of cells that see it.
RL_INLINE void sum_lines(const CellGrid& g, const float* lines, Span depths, Span heights,
                         float* to, const float* end) {
    constexpr int W = kW<float>;
    for_each_columns(g.row(), [&](auto columns, int64_t c, int lanes) RL_LAMBDA_INLINE {
        constexpr int V = columns.count;
        f32v sums[V] = {};
        for (int64_t d = depths.begin; d < depths.end; d++)
            for (int64_t h = heights.begin; h < heights.end; h++) {
                const float* line = lines + (d * g.height.out + h) * g.line() + c;
                RL_UNROLL
                for (int v = 0; v < V; v++) sums[v] += ld(line + v * W);
            }
        RL_UNROLL
        for (int v = 0; v < V - 1; v++) st(to + c + v * W, sums[v]);
        store_ahead(to + c + (V - 1) * W, sums[V - 1], lanes, end);
    });
}

// All rows of a plane, by way of the lines of all rows of cells.
inline void spread_plane(const CellGrid& g, const Span* depths, const Span* heights,
                         const float* grad, float* to, const float* end) {
    float* lines = scratch<float>(kPlane, g.cell_rows() * g.line());
    for (int64_t row = 0; row < g.cell_rows(); row++) {
        float* line = lines + row * g.line();
        spread_cells(g, grad + row * g.width.out, g.rows_seen(row), line, line + g.line());
    }
    for (int64_t d = 0; d < g.depth.in; d++)
        for (int64_t h = 0; h < g.height.in; h++, to += g.row())
            sum_lines(g, lines, depths[d], heights[h], to, end);
}

inline void adaptive_avg_pool_grad(const PoolShape& s, const float* grad, float* dx) {
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        const CellGrid g(s);
        Span* cells = scratch<Span>(kTaps, g.depth.in + g.height.in);
        const Span* depths = cells_of(g.depth, cells);
        const Span* heights = cells_of(g.height, cells + g.depth.in);
        for (int64_t i = begin; i < end; i++) {
            const float* from = grad + i * s.out();
            float* to = dx + i * s.in();
            if (s.out() == 1)
                fill_floats(to, s.in(), *from / float(s.in()));
            else if (g.rows() == 1 && g.cell_rows() == 1)
                spread_cells(g, from, 1, to, dx + end * s.in());
            else
                spread_plane(g, depths, heights, from, to, dx + end * s.in());
        }
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
