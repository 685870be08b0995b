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
// Windows of 2 x 2 or of 2 with stride 2 have a way of their own (pool_pairs.h).
#pragma once

#include "pool_pairs.h"
#include "pool_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

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
        fill_inside(p, x + i * s.in(), plane);
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
    const bool halves =
        s.D == 1 && s.OH == s.H / 2 && s.OW == s.W / 2 && 2 * s.OW > kW<float>;
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        bool pairs = halves;  // until a plane shows that the windows were others
        for (int64_t i = begin; i < end; i++) {
            float* target = dx + i * s.in();
            const float* from = grad + i * s.out();
            const int64_t* index = indices + i * s.out();
            pairs = pairs && spread_plane(s, from, grad + end * s.out(), index, target,
                                          dx + end * s.in());
            if (pairs) continue;
            fill_floats(target, s.in(), 0.0f);
            for (int64_t j = 0; j < s.out(); j++) target[index[j]] += from[j];
        }
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
