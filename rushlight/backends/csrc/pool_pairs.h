// pool_pairs.h: the maxima of windows of 2 x 2, or of 2 in a row, that do not overlap, and the gradient.
//
// No plane is filled: pairs of vectors are split into even and odd columns, and the best of the
// two or four is taken lane by lane. Vectors are not cut where that can be helped: the last one
// of a row moves up, and a row of less than one is written beyond its end if what lies there is
// written later. Rows of at most half a vector of windows are taken two at a time.
// The gradient is written, not added: every index is checked to lie in the window that it would
// have had, and the plane is done again in general (pool_max.h) if one does not.
#pragma once

#include "pool_window.h"

namespace rl {
namespace RL_ISA {
namespace {

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

// One plane; `x_end` and `y_end` are where all planes end.
template <int Rows, bool Indices>
void max_pairs_plane(const PoolShape& s, const float* x, const float* x_end, float* y,
                     const float* y_end, int64_t* indices) {
    constexpr int W = kW<float>;
    const i32v columns = lane_numbers() * 2;
    const int64_t row = s.W, OW = s.OW;
    for (int64_t oy = 0; oy < s.OH; oy++, y += OW) {
        const int64_t start = oy * Rows * row;
        const auto windows = [&](int64_t ox, int n) RL_LAMBDA_INLINE {
            const int64_t first = start + 2 * ox;
            max_pairs<Rows, Indices>(x + first, row, n, columns + int32_t(first), y + ox,
                                     Indices ? indices + ox : nullptr);
        };
        if (OW >= W)
            for (int64_t ox = 0; ox < OW; ox += W) windows(min64(ox, OW - W), W);
        else if (x_end - (x + start) >= (Rows - 1) * row + 2 * W && y_end - y >= W)
            windows(0, W);
        else
            windows(0, int(OW));
        if constexpr (Indices) indices += OW;
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
    const float* const x_end = x + planes * s.in();
    const float* const y_end = y + planes * s.out();
    for (int64_t i = 0; i < planes; i++)
        max_pairs_plane<Rows, Indices>(s, x + i * s.in(), x_end, y + i * s.out(), y_end,
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

// The same for a whole vector of windows, of which the first n count.
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
        if (OW >= W) {
            // The last windows of a row that is no whole number of vectors are done again.
            for (int64_t at = 0; at < OW; at += W) {
                const int64_t ox = min64(at, OW - W);
                astray |= spread_whole(grad + ox, indices + ox, W, first + int32_t(2 * ox), width,
                                       top + 2 * ox);
            }
        } else if (dx_end - top >= width + 2 * W && grad_end - grad >= W) {
            astray |= spread_whole(grad, indices, int(OW), first, width, top);
        } else {
            astray |= spread_pairs(grad, indices, int(OW), first, width, top);
        }
        if (2 * OW < width) top[width - 1] = top[2 * width - 1] = 0.0f;
    }
    if (any(astray)) return false;
    fill_floats(dx + 2 * s.OH * width, (s.H - 2 * s.OH) * width, 0.0f);
    return true;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
