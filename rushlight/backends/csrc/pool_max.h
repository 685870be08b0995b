// pool_max.h: the maxima of windows, channels first.
//
// Windows are walked tap by tap with vectors of neighbouring output pixels, on the padded and
// stride-sorted plane of conv_plane.h, so that any kernel size, stride, padding and dilation is
// the same short loop. Padding is -inf, which never wins because a tap replaces the best so far
// only if it is greater (or NaN); a window of nothing but -inf keeps the index of its first real
// pixel, and one that lies between the pixels of a small plane 0. Positions travel in 32-bit lanes
// and are widened to int64 when stored. Lines (one axis) with stride one need no plane if few
// windows reach over an end: vectors of windows that lie inside are read from the line itself, the
// last one overlapping the one before, and the few at the ends one by one.
// Windows of 2 x 2 or of 2 with stride 2 need none either: pairs of vectors are split into even and
// odd columns; rows of at most half a vector of windows are taken two at a time. The gradient is
// written, not added: every index is checked to lie in the window that it would have had, and the
// plane is done again in general if one does not. Where what lies behind a row is written later, a
// row is written beyond its end, which is sooner done than cutting a gradient's four vectors.
// Adaptive cells are walked row by row with vectors of neighbouring pixels of one cell.
#pragma once

#include "pool_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

inline i32v lane_numbers() {
    i32v lanes = {};
    for (int i = 0; i < kW<float>; i++) lanes[i] = i;
    return lanes;
}

// ---------------------------------------------------------------------------- pairs
// Windows of two columns and one or two rows that neither overlap nor leave the plane.
inline bool is_pairs(const PoolShape& s) {
    return s.D == 1 && s.KD == 1 && s.KW == 2 && s.stride_w == 2 && s.pad_w == 0 && s.dil_w == 1 &&
           s.pad_d == 0 && s.pad_h == 0 && s.dil_h == 1 && s.stride_h == s.KH && s.KH <= 2 &&
           s.KH * s.OH <= s.H && 2 * s.OW <= s.W;
}

// Two vectors of pairs of neighbours, split into first and second numbers, and merged again.
RL_INLINE void split_columns(f32v a, f32v b, f32v* even, f32v* odd) {
    constexpr int W = kW<float>;
    *even = shuffle(a, b, typename EverySecond<0, W>::type{});
    *odd = shuffle(a, b, typename EverySecond<1, W>::type{});
}
RL_INLINE void merge_columns(f32v even, f32v odd, f32v* low, f32v* high) {
    constexpr int W = kW<float>;
    *low = shuffle(even, odd, typename InTurn<W, 0, W>::type{});
    *high = shuffle(even, odd, typename InTurn<W, W / 2, W>::type{});
}

// Twice the number of a lane in its half of the vector; `between` is added in the upper half.
inline i32v columns_of_halves(int32_t between) {
    constexpr int half = kW<float> / 2;
    const i32v lanes = lane_numbers();
    return select(lanes < half, lanes * 2, (lanes - half) * 2 + between);
}

// The best of windows of which the first is at position `first` of the plane; Rows is 1 or 2.
template <int Rows, bool Indices>
RL_INLINE void take_pairs(const f32v* even, const f32v* odd, int64_t row, i32v first, f32v* best,
                          i32v* index) {
    *best = even[0];
    *index = first;
    RL_UNROLL
    for (int r = 0; r < Rows; r++) {
        const i32v start = first + int32_t(r * row);
        if constexpr (Indices) {
            if (r > 0) take_better(even[r], start, best, index);
            take_better(odd[r], start + 1, best, index);
        } else {
            if (r > 0) take_better(even[r], best);
            take_better(odd[r], best);
        }
    }
}

// n windows of one row.
template <int Rows, bool Indices>
RL_INLINE void max_pairs(const float* x, int64_t row, int n, i32v first, float* y,
                         int64_t* indices) {
    f32v even[Rows], odd[Rows], best;
    i32v index;
    RL_UNROLL
    for (int r = 0; r < Rows; r++) load_pairs(x + r * row, n, &even[r], &odd[r]);
    take_pairs<Rows, Indices>(even, odd, row, first, &best, &index);
    stn(y, best, n);
    if constexpr (Indices) store_indices(indices, index, n);
}

// The OW windows of a row in the lower half of a vector, those of the next one in the upper half.
template <int Rows, bool Indices>
RL_INLINE void max_two_rows(const float* x, int64_t row, int64_t OW, i32v first, float* y,
                            int64_t* indices) {
    constexpr int W = kW<float>;
    f32v even[Rows], odd[Rows], best;
    i32v index;
    RL_UNROLL
    for (int r = 0; r < Rows; r++)
        split_columns(ld(x + r * row), ld(x + (Rows + r) * row), &even[r], &odd[r]);
    take_pairs<Rows, Indices>(even, odd, row, first, &best, &index);
    st(y, best);
    st(y + OW, pair_high<W / 2>(best, best));
    if constexpr (Indices) {
        i64v low, high;
        widen(index, &low, &high);
        st(indices, low);
        st(indices + OW, high);
    }
}

template <int Rows, bool Indices>
void max_pairs_plane(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    constexpr int W = kW<float>;
    const i32v columns = lane_numbers() * 2;
    const int64_t row = s.W, OH = s.OH, whole = s.OW / W * W;
    const int rest = int(s.OW - whole);
    for (int64_t oy = 0; oy < OH; oy++) {
        const int64_t start = oy * Rows * row;
        for (int64_t ox = 0; ox < whole; ox += W, y += W) {
            max_pairs<Rows, Indices>(x + start + 2 * ox, row, W,
                                     columns + int32_t(start + 2 * ox), y, indices);
            if constexpr (Indices) indices += W;
        }
        if (rest == 0) continue;
        max_pairs<Rows, Indices>(x + start + 2 * whole, row, rest,
                                 columns + int32_t(start + 2 * whole), y, indices);
        y += rest;
        if constexpr (Indices) indices += rest;
    }
}

// The same for planes with rows of at most half a vector of windows.
template <int Rows, bool Indices>
void max_pool_narrow(const PoolShape& s, const float* x, int64_t planes, float* y,
                     int64_t* indices) {
    constexpr int W = kW<float>;
    const int64_t row = s.W, OW = s.OW;
    const i32v columns = lane_numbers() * 2;
    const i32v halves = columns_of_halves(int32_t(Rows * row));
    const float* const x_end = x + planes * s.in();
    const float* const y_end = y + planes * s.out();
    for (int64_t i = 0; i < planes; i++, x += s.in())
        for (int64_t oy = 0, taken; oy < s.OH; oy += taken) {
            const int64_t start = oy * Rows * row;
            const bool room =
                x_end - (x + start) >= (2 * Rows - 1) * row + W && y_end - y >= OW + W;
            taken = room && oy + 1 < s.OH ? 2 : 1;
            if (taken == 2)
                max_two_rows<Rows, Indices>(x + start, row, OW, halves + int32_t(start), y,
                                            indices);
            else
                max_pairs<Rows, Indices>(x + start, row, int(OW), columns + int32_t(start), y,
                                         indices);
            y += taken * OW;
            if constexpr (Indices) indices += taken * OW;
        }
}

template <int Rows, bool Indices>
void max_pool_pairs(const PoolShape& s, const float* x, int64_t planes, float* y,
                    int64_t* indices) {
    if (s.OW <= kW<float> / 2) return max_pool_narrow<Rows, Indices>(s, x, planes, y, indices);
    for (int64_t i = 0; i < planes; i++)
        max_pairs_plane<Rows, Indices>(s, x + i * s.in(), y + i * s.out(),
                                       Indices ? indices + i * s.out() : nullptr);
}

// The two rows of a gradient, each as pairs of neighbours in two vectors, of windows whose indices
// are `place` behind their first pixels; lanes of `astray` are set where the index is none of four.
struct SpreadRows {
    f32v low[2], high[2];
    i32v astray;
};
RL_INLINE SpreadRows spread_windows(f32v grad, i32v place, int32_t below) {
    // Zero is added because a sum that starts with zero is never -0.
    const f32v g = grad + splat(0.0f), none = {};
    const i32v at[4] = {place == 0, place == 1, place == below, place == below + 1};
    SpreadRows rows;
    RL_UNROLL
    for (int r = 0; r < 2; r++)
        merge_columns(select(at[2 * r], g, none), select(at[2 * r + 1], g, none), &rows.low[r],
                      &rows.high[r]);
    rows.astray = ~(at[0] | at[1] | at[2] | at[3]);
    return rows;
}

// n windows of one row; what is not 0 where an index lies outside its window.
RL_INLINE i32v spread_pairs(const float* grad, const int64_t* indices, int n, i32v first,
                            int64_t width, float* top) {
    constexpr int W = kW<float>, half = kW<int64_t>;
    const i64v low = ldn(indices, n < half ? n : half);
    const i64v high = n > half ? ldn(indices + half, n - half) : i64v{};
    const SpreadRows rows =
        spread_windows(ldn(grad, n), narrow(low, high) - first, int32_t(width));
    RL_UNROLL
    for (int r = 0; r < 2; r++) {
        stn(top + r * width, rows.low[r], 2 * n < W ? 2 * n : W);
        if (2 * n > W) stn(top + r * width + W, rows.high[r], 2 * n - W);
    }
    return rows.astray & (lane_numbers() < n);
}

// The same where there is room behind the row.
RL_INLINE i32v spread_whole(const float* grad, const int64_t* indices, int n, i32v first,
                            int64_t width, float* top) {
    constexpr int W = kW<float>;
    const i32v index = narrow(ld(indices), ld(indices + W / 2));
    const SpreadRows rows = spread_windows(ld(grad), index - first, int32_t(width));
    RL_UNROLL
    for (int r = 0; r < 2; r++) {
        st(top + r * width, rows.low[r]);
        st(top + r * width + W, rows.high[r]);
    }
    return rows.astray & (lane_numbers() < n);
}

// One plane's gradient if every index lies in its 2 x 2 window; false if not. `grad_end` and
// `dx_end` are where all planes end.
inline bool spread_plane(const PoolShape& s, const float* grad, const float* grad_end,
                         const int64_t* indices, float* dx, const float* dx_end) {
    constexpr int W = kW<float>;
    const i32v columns = lane_numbers() * 2;
    const int64_t width = s.W, OW = s.OW;
    i32v astray = {};
    for (int64_t oy = 0; oy < s.OH; oy++, grad += OW, indices += OW) {
        float* top = dx + 2 * oy * width;
        const i32v first = columns + int32_t(2 * oy * width);
        if (OW <= W && dx_end - top >= width + 2 * W && grad_end - grad >= W) {
            astray |= spread_whole(grad, indices, int(OW), first, width, top);
        } else {
            for (int64_t ox = 0; ox < OW; ox += W)
                astray |= spread_pairs(grad + ox, indices + ox, int(min64(W, OW - ox)),
                                       first + int32_t(2 * ox), width, top + 2 * ox);
        }
        if (2 * OW < width) top[width - 1] = top[2 * width - 1] = 0.0f;
    }
    if (any(astray)) return false;
    fill_floats(dx + 2 * s.OH * width, (s.H - 2 * s.OH) * width, 0.0f);
    return true;
}

// ---------------------------------------------------------------------------- any window
// A slice of a plane, for one depth.
inline Plane pool_plane(const PoolShape& s) {
    Plane p;
    p.C = s.D, p.H = s.H, p.W = s.W;
    p.top = -s.pad_h, p.left = -s.pad_w;
    p.rows = (s.OH - 1) * s.stride_h + (s.KH - 1) * s.dil_h + 1;
    p.phases = s.stride_w;
    p.cols = s.OW + (s.KW - 1) * s.dil_w / s.stride_w;
    return p;
}

// fill_inside of conv_plane.h for any number of phases, one by one.
inline void sort_columns(const Plane& p, const float* src, float* dst) {
    const int64_t from = p.left < 0 ? -p.left : 0, n = min64(p.W - p.left, p.row()) - from;
    const int64_t first = p.top < 0 ? -p.top : 0, last = min64(p.rows, p.H - p.top);
    for (int64_t c = 0; c < p.C; c++)
        for (int64_t r = first; r < last; r++) {
            const float* row = src + (c * p.H + p.top + r) * p.W + p.left + from;
            for (int64_t k = 0; k < min64(p.phases, n); k++) {
                const int64_t phase = (from + k) % p.phases, column = (from + k) / p.phases;
                float* to = dst + (c * p.rows + r) * p.row() + phase * p.cols + column;
                for (int64_t i = k; i < n; i += p.phases) *to++ = row[i];
            }
        }
}

// From a window's first column to tap kx, in a row of the plane.
inline int64_t column_offset(const PoolShape& s, const Plane& p, int64_t kx) {
    const int64_t step = kx * s.dil_w;
    return step % s.stride_w * p.cols + step / s.stride_w;
}

// What the windows of one row of the output share.
struct WindowRow {
    const float* plane;
    const int32_t* offsets;        // of the taps in a row
    const int32_t* first_columns;  // each window's first column inside
    int64_t d0, y0;                // depth and row of the first tap, may be outside
    int64_t plane_row;             // of the plane, where y0 lies
};

// V vectors of windows from window ox; n of them are stored.
template <int V, bool Indices>
RL_INLINE void max_windows(const PoolShape& s, const Plane& p, const WindowRow& r, int64_t ox,
                           int64_t n, float* y, int64_t* indices) {
    constexpr int W = kW<float>;
    const i32v columns = lane_numbers() * int32_t(s.stride_w);
    const int32_t vector_step = int32_t(W * s.stride_w);
    const int64_t depth = first_inside(r.d0, s.dil_d), top = first_inside(r.y0, s.dil_h);
    const i32v first = splat(int32_t((depth * s.H + top) * s.W));
    const i32v width = splat(int32_t(depth < s.D && top < s.H ? s.W : 0));
    f32v best[V];
    i32v index[V];
    RL_UNROLL
    for (int v = 0; v < V; v++) {
        best[v] = splat(-INFINITY);
        if constexpr (Indices) {
            const i32v column = ld(r.first_columns + ox + v * W);
            index[v] = select(column < width, column + first, i32v{});
        }
    }
    for (int64_t kd = 0; kd < s.KD; kd++) {
        const int64_t d = r.d0 + kd * s.dil_d;
        if (d < 0 || d >= s.D) continue;
        for (int64_t ky = 0; ky < s.KH; ky++) {
            const float* row =
                r.plane + d * p.channel() + (r.plane_row + ky * s.dil_h) * p.row() + ox;
            int64_t position = (d * s.H + r.y0 + ky * s.dil_h) * s.W + ox * s.stride_w - s.pad_w;
            for (int64_t kx = 0; kx < s.KW; kx++, position += s.dil_w) {
                const float* tap = row + r.offsets[kx];
                RL_UNROLL
                for (int v = 0; v < V; v++) {
                    if constexpr (Indices)
                        take_better(ld(tap + v * W), columns + int32_t(position + v * vector_step),
                                    &best[v], &index[v]);
                    else
                        take_better(ld(tap + v * W), &best[v]);
                }
            }
        }
    }
    RL_UNROLL
    for (int v = 0; v < V; v++) {
        const int lanes = int(min64(W, n - v * W));
        stn(y + ox + v * W, best[v], lanes);
        if constexpr (Indices) store_indices(indices + ox + v * W, index[v], lanes);
    }
}

template <bool Indices>
void max_pool_row(const PoolShape& s, const Plane& p, const WindowRow& r, float* y,
                  int64_t* indices) {
    constexpr int W = kW<float>;
    int64_t ox = 0;
    for (; s.OW - ox >= 2 * W; ox += 2 * W)
        max_windows<2, Indices>(s, p, r, ox, 2 * W, y, indices);
    for (; ox < s.OW; ox += W)
        max_windows<1, Indices>(s, p, r, ox, min64(W, s.OW - ox), y, indices);
}

// ---------------------------------------------------------------------------- lines
// Windows 0 .. OW - 1 of a line of which those from `low` to `high` - 1 lie inside.
struct Line {
    int64_t low, high;
};
inline Line line_of(const PoolShape& s) {
    const int64_t reach = (s.KW - 1) * s.dil_w;
    return {min64(s.pad_w, s.OW), min64(s.OW, s.W + s.pad_w - reach)};
}
inline bool is_long_line(const PoolShape& s) {
    const Line line = line_of(s);
    const int64_t inside = line.high - line.low, taps_at_ends = (s.OW - inside) * s.KW;
    return s.D == 1 && s.H == 1 && s.KD == 1 && s.KH == 1 && s.stride_w == 1 && s.pad_d == 0 &&
           s.pad_h == 0 && inside >= kW<float> && taps_at_ends <= s.OW / 4;
}

// V vectors of windows that lie inside, from window ox on.
template <int V, bool Indices>
RL_INLINE void max_inside(const PoolShape& s, const float* x, int64_t ox, float* y,
                          int64_t* indices) {
    constexpr int W = kW<float>;
    const i32v lanes = lane_numbers();
    const int64_t start = ox - s.pad_w;
    f32v best[V];
    i32v index[V];
    RL_UNROLL
    for (int v = 0; v < V; v++) {
        best[v] = ld(x + start + v * W);
        if constexpr (Indices) index[v] = lanes + int32_t(start + v * W);
    }
    for (int64_t at = start + s.dil_w; at <= start + (s.KW - 1) * s.dil_w; at += s.dil_w) {
        RL_UNROLL
        for (int v = 0; v < V; v++) {
            const f32v value = ld(x + at + v * W);
            if constexpr (Indices)
                take_better(value, lanes + int32_t(at + v * W), &best[v], &index[v]);
            else
                take_better(value, &best[v]);
        }
    }
    RL_UNROLL
    for (int v = 0; v < V; v++) {
        st(y + ox + v * W, best[v]);
        if constexpr (Indices) store_indices(indices + ox + v * W, index[v], W);
    }
}

template <bool Indices>
void max_at_end(const PoolShape& s, const float* x, int64_t ox, float* y, int64_t* indices) {
    const int64_t start = ox - s.pad_w, end = min64(s.W, start + (s.KW - 1) * s.dil_w + 1);
    int64_t best = first_inside(start, s.dil_w);
    float value = -INFINITY;
    for (int64_t at = best; at < end; at += s.dil_w) {
        const bool better = x[at] > value || x[at] != x[at];
        value = better ? x[at] : value;
        best = better ? at : best;
    }
    y[ox] = value;
    if constexpr (Indices) indices[ox] = best < s.W ? best : 0;
}

template <bool Indices>
void max_pool_line(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    constexpr int W = kW<float>;
    const Line line = line_of(s);
    for (int64_t ox = 0; ox < line.low; ox++) max_at_end<Indices>(s, x, ox, y, indices);
    int64_t ox = line.low;
    for (; ox + 4 * W <= line.high; ox += 4 * W) max_inside<4, Indices>(s, x, ox, y, indices);
    for (; ox < line.high; ox += W)
        max_inside<1, Indices>(s, x, min64(ox, line.high - W), y, indices);
    for (ox = line.high; ox < s.OW; ox++) max_at_end<Indices>(s, x, ox, y, indices);
}

template <bool Indices>
void max_pool_planes(const PoolShape& s, const float* x, float* y, int64_t* indices,
                     int64_t planes) {
    if (is_pairs(s)) {
        if (s.KH == 2) return max_pool_pairs<2, Indices>(s, x, planes, y, indices);
        return max_pool_pairs<1, Indices>(s, x, planes, y, indices);
    }
    if (is_long_line(s)) {
        for (int64_t i = 0; i < planes; i++)
            max_pool_line<Indices>(s, x + i * s.in(), y + i * s.out(),
                                   Indices ? indices + i * s.out() : nullptr);
        return;
    }
    if constexpr (!Indices) {
        if (folds_rows(s)) return fold_planes<FoldMaxima>(s, x, planes, y);
    }
    const Plane p = pool_plane(s);
    float* plane = scratch<float>(kPlane, p.size() + kW<float>);
    fill_floats(plane, p.size(), -INFINITY);
    int32_t* first_columns = scratch<int32_t>(kOffsets, s.OW + kW<float> + s.KW);
    for (int64_t ox = 0; ox < s.OW; ox++)
        first_columns[ox] = int32_t(first_inside(ox * s.stride_w - s.pad_w, s.dil_w));
    int32_t* offsets = first_columns + s.OW + kW<float>;
    for (int64_t kx = 0; kx < s.KW; kx++) offsets[kx] = int32_t(column_offset(s, p, kx));
    for (int64_t i = 0; i < planes; i++) {
        if (s.stride_w <= 2)
            fill_inside(p, x + i * s.in(), plane);
        else
            sort_columns(p, x + i * s.in(), plane);
        for (int64_t od = 0; od < s.OD; od++)
            for (int64_t oy = 0; oy < s.OH; oy++, y += s.OW) {
                const WindowRow row{plane, offsets, first_columns, od * s.stride_d - s.pad_d,
                                    oy * s.stride_h - s.pad_h, oy * s.stride_h};
                max_pool_row<Indices>(s, p, row, y, indices);
                if constexpr (Indices) indices += s.OW;
            }
    }
}

inline void max_pool(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        const float* from = x + begin * s.in();
        float* to = y + begin * s.out();
        if (indices)
            max_pool_planes<true>(s, from, to, indices + begin * s.out(), end - begin);
        else
            max_pool_planes<false>(s, from, to, nullptr, end - begin);
    });
}

inline void max_pool_grad(const PoolShape& s, const float* grad, const int64_t* indices,
                          float* dx) {
    // Rows of less than half a vector are sooner added to one by one.
    const bool pairs =
        s.D == 1 && s.OH == s.H / 2 && s.OW == s.W / 2 && 2 * s.OW > kW<float>;
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            float* target = dx + i * s.in();
            const float* from = grad + i * s.out();
            const int64_t* index = indices + i * s.out();
            if (pairs && spread_plane(s, from, grad + end * s.out(), index, target,
                                      dx + end * s.in()))
                continue;
            fill_floats(target, s.in(), 0.0f);
            for (int64_t j = 0; j < s.out(); j++) target[index[j]] += from[j];
        }
    });
}

// ---------------------------------------------------------------------------- adaptive
// The best of a cell's lanes: of several NaN the last, of equal maxima the first.
inline void best_lane(f32v best, i32v index, float* y, int64_t* position) {
    *y = best[0];
    *position = index[0];
    for (int i = 1; i < kW<float>; i++) {
        const float value = best[i];
        const bool nan = value != value, later = index[i] > *position;
        const bool held_nan = *y != *y;
        const bool better = nan ? !held_nan || later
                                : !held_nan && (value > *y || (value == *y && !later));
        if (!better) continue;
        *y = value;
        *position = index[i];
    }
}

inline void max_cell(const PoolShape& s, const float* x, int64_t od, int64_t oy, int64_t ox,
                     float* y, int64_t* position) {
    constexpr int W = kW<float>;
    const int64_t d0 = cell_begin(od, s.D, s.OD), d1 = cell_end(od, s.D, s.OD);
    const int64_t y0 = cell_begin(oy, s.H, s.OH), y1 = cell_end(oy, s.H, s.OH);
    const int64_t x0 = cell_begin(ox, s.W, s.OW), x1 = cell_end(ox, s.W, s.OW);
    const i32v lanes = lane_numbers();
    f32v best = splat(-INFINITY);
    i32v index = splat(int32_t((d0 * s.H + y0) * s.W + x0));
    for (int64_t d = d0; d < d1; d++)
        for (int64_t row = (d * s.H + y0) * s.W; row < (d * s.H + y1) * s.W; row += s.W)
            for (int64_t c = x0; c < x1; c += W) {
                const int n = int(min64(W, x1 - c));
                const f32v value = select(lanes < n, ldn(x + row + c, n), splat(-INFINITY));
                take_better(value, lanes + int32_t(row + c), &best, &index);
            }
    best_lane(best, index, y, position);
}

inline void adaptive_max_pool(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        int64_t at = begin * s.out();
        for (int64_t i = begin; i < end; i++)
            for (int64_t od = 0; od < s.OD; od++)
                for (int64_t oy = 0; oy < s.OH; oy++)
                    for (int64_t ox = 0; ox < s.OW; ox++, at++)
                        max_cell(s, x + i * s.in(), od, oy, ox, y + at, indices + at);
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
