// pool_cells.h: cells that cover a plane evenly, as adaptive pooling has them; channels first.
//
// A plane is read in the order of memory, which the processor foresees; going down the rows of one
// cell after the other it would wait for every line of the cache. So all rows that a row of cells
// sees are folded into one line, and of this the cells fold their columns. Rows that two rows of
// cells share are folded twice, the second time from the cache. Where one cell is as wide as the
// plane, its rows count as one long row. pool_cells_average.h and pool_cells_max.h do so.
#pragma once

#include "gemm_scratch.h"
#include "pool_window.h"

namespace rl {
namespace RL_ISA {
namespace {

struct Span {
    int64_t begin, end;

    int64_t size() const { return end - begin; }
};

// An axis of `in` pixels, each `unit` numbers wide, under `out` cells.
struct CellAxis {
    int64_t in, out, unit;

    Span seen_by(int64_t cell) const {
        return {cell_begin(cell, in, out) * unit, cell_end(cell, in, out) * unit};
    }
    // Cells see pixels by the same rule as pixels, the other way round, see cells.
    Span cells_at(int64_t pixel) const {
        return {cell_begin(pixel, out, in), cell_end(pixel, out, in)};
    }
};

class CellGrid {
  public:
    CellAxis depth, height, width;

    explicit CellGrid(const PoolShape& s)
        : depth{s.D, s.OD, 1}, height{s.H, s.OH, 1}, width{s.W, s.OW, 1} {
        for (int axis = 0; axis < 2 && width.out == 1; axis++) {
            width = {height.in, height.out, row()};
            height = depth;
            depth = {1, 1, 1};
        }
        // Divisions take long, so what they give is kept.
        seen_ = scratch<Span>(kOffsets, depth.out + height.out + width.out);
        fill(depth, seen_);
        fill(height, seen_ + depth.out);
        fill(width, seen_ + depth.out + height.out);
    }

    int64_t row() const { return width.in * width.unit; }
    int64_t rows() const { return depth.in * height.in; }
    int64_t cell_rows() const { return depth.out * height.out; }
    // Vectors that begin in a line may end behind its last number.
    int64_t line() const { return round_up(row(), kW<float>) + kW<float>; }

    Span depths(int64_t cell_row) const { return seen_[cell_row / height.out]; }
    Span heights(int64_t cell_row) const { return seen_[depth.out + cell_row % height.out]; }
    Span columns(int64_t cell) const { return seen_[depth.out + height.out + cell]; }
    int64_t rows_seen(int64_t cell_row) const {
        return depths(cell_row).size() * heights(cell_row).size();
    }
    int64_t first_row(int64_t cell_row) const {
        return depths(cell_row).begin * height.in + heights(cell_row).begin;
    }

  private:
    static void fill(const CellAxis& axis, Span* seen) {
        for (int64_t cell = 0; cell < axis.out; cell++) seen[cell] = axis.seen_by(cell);
    }

    Span* seen_;
};

// Calls body(row) for all rows of a plane that a row of cells sees.
template <class Body>
RL_INLINE void for_each_row(const CellGrid& g, int64_t cell_row, const Body& body) {
    const Span depths = g.depths(cell_row), heights = g.heights(cell_row);
    for (int64_t d = depths.begin; d < depths.end; d++)
        for (int64_t y = heights.begin; y < heights.end; y++) body(d * g.height.in + y);
}

// Calls body(Vectors<V>(), c, lanes) for V vectors of columns of a row, from c on; `lanes` of the
// last of them lie in the row. Four, so that rows of 64 numbers are read from end to end.
template <int V>
struct Columns {
    static constexpr int count = V;
};
template <class Body>
RL_INLINE void for_each_columns(int64_t n, const Body& body) {
    constexpr int W = kW<float>;
    int64_t c = 0;
    for (; n - c > 3 * W; c += 4 * W) body(Columns<4>(), c, int(min64(W, n - c - 3 * W)));
    for (; n - c > W; c += 2 * W) body(Columns<2>(), c, int(min64(W, n - c - W)));
    if (c < n) body(Columns<1>(), c, int(n - c));
}

// Vector v of V, of whose last one only some lanes may be read.
template <int V>
RL_INLINE f32v load_columns(const float* p, int v, int lanes) {
    return v < V - 1 ? ld(p + v * kW<float>) : ldn(p + v * kW<float>, lanes);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
