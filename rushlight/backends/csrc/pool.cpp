// pool.cpp: maximum and average pooling and their derivatives.
//
// Windows are walked tap by tap with vectors of neighbouring output pixels, on the padded and
// stride-sorted plane of conv_plane.h, so that any kernel size, stride, padding and dilation is
// the same short loop. Padding is -inf for the maximum, which never wins because a tap replaces
// the best so far only if it is greater (or NaN); a window of nothing but -inf keeps the index of
// its first real pixel. Positions travel in 32-bit lanes and are widened to int64 when stored.
// 2x2 windows with stride 2 need no plane: pairs of vectors are split into even and odd columns.
// Planes are shared out over threads.
#include "pool.h"

#include <math.h>

#include "conv_plane.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// Pixels per range: about 30 microseconds.
inline int64_t grain_for(int64_t pixels_per_plane) {
    return ceil_div(1 << 16, pixels_per_plane + 1);
}

inline i32v lane_numbers() {
    i32v lanes = {};
    for (int i = 0; i < kW<float>; i++) lanes[i] = i;
    return lanes;
}

// Keeps `value` where it beats the best so far, and its position with it.
RL_INLINE void take_better(f32v value, i32v position, f32v* best, i32v* index) {
    const i32v better = (i32v)(value > *best) | (i32v)(value != value);
    *best = select(better, value, *best);
    *index = select(better, position, *index);
}

RL_INLINE void store_indices(int64_t* to, i32v index, int n) {
    int32_t lane[kW<float>];
    memcpy(lane, &index, sizeof lane);
    if (n == kW<float>)
        for (int i = 0; i < kW<float>; i++) to[i] = lane[i];
    else
        for (int i = 0; i < n; i++) to[i] = lane[i];
}

// ---------------------------------------------------------------------------- 2 x 2, stride 2
bool is_pairs(const PoolShape& s) {
    return s.KH == 2 && s.KW == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 &&
           s.pad_w == 0 && s.dil_h == 1 && s.dil_w == 1 && 2 * s.OH <= s.H && 2 * s.OW <= s.W;
}

void max_pool_2x2(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    constexpr int W = kW<float>;
    const i32v columns = lane_numbers() * 2;
    for (int64_t oy = 0; oy < s.OH; oy++) {
        const float* top = x + 2 * oy * s.W;
        const float* bottom = top + s.W;
        for (int64_t ox = 0; ox < s.OW; ox += W) {
            const int n = int(min64(W, s.OW - ox));
            f32v even[2], odd[2];
            load_pairs(top + 2 * ox, n, &even[0], &odd[0]);
            load_pairs(bottom + 2 * ox, n, &even[1], &odd[1]);
            i32v index = columns + int32_t(2 * oy * s.W + 2 * ox);
            const i32v first = index;
            f32v best = even[0];
            take_better(odd[0], first + 1, &best, &index);
            take_better(even[1], first + int32_t(s.W), &best, &index);
            take_better(odd[1], first + int32_t(s.W + 1), &best, &index);
            if (n == W)
                st(y + ox, best);
            else
                stn(y + ox, best, n);
            store_indices(indices + ox, index, n);
        }
        y += s.OW;
        indices += s.OW;
    }
}

// ---------------------------------------------------------------------------- any window
Plane pool_plane(const PoolShape& s) {
    Plane p;
    p.C = 1, p.H = s.H, p.W = s.W;
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

// The first position of a window that is inside: start, or the first step by `dil` that is >= 0.
inline int64_t first_inside(int64_t start, int64_t dil) {
    return start >= 0 ? start : start + ceil_div(-start, dil) * dil;
}

void max_pool_plane(const PoolShape& s, const Plane& p, const float* plane,
                    const int32_t* first_columns, float* y, int64_t* indices) {
    constexpr int W = kW<float>;
    const i32v columns = lane_numbers() * int32_t(s.stride_w);
    for (int64_t oy = 0; oy < s.OH; oy++) {
        const int64_t y0 = oy * s.stride_h - s.pad_h;
        const int32_t first_row = int32_t(first_inside(y0, s.dil_h) * s.W);
        for (int64_t ox = 0; ox < s.OW; ox += W) {
            const int n = int(min64(W, s.OW - ox));
            const int64_t x0 = ox * s.stride_w - s.pad_w;
            f32v best = splat(-INFINITY);
            i32v index = ld(first_columns + ox) + first_row;
            for (int64_t ky = 0; ky < s.KH; ky++) {
                const float* row = plane + (oy * s.stride_h + ky * s.dil_h) * p.row() + ox;
                const int64_t row_start = (y0 + ky * s.dil_h) * s.W + x0;
                for (int64_t kx = 0; kx < s.KW; kx++)
                    take_better(ld(row + column_offset(s, p, kx)),
                                columns + int32_t(row_start + kx * s.dil_w), &best, &index);
            }
            stn(y + ox, best, n);
            store_indices(indices + ox, index, n);
        }
        y += s.OW;
        indices += s.OW;
    }
}

void max_pool_any(const PoolShape& s, const float* x, float* y, int64_t* indices, int64_t planes) {
    const Plane p = pool_plane(s);
    float* plane = scratch<float>(kPlane, p.size() + kW<float>);
    int32_t* first_columns = scratch<int32_t>(kOffsets, s.OW + kW<float>);
    for (int64_t ox = 0; ox < s.OW; ox++)
        first_columns[ox] = int32_t(first_inside(ox * s.stride_w - s.pad_w, s.dil_w));
    for (int64_t i = 0; i < planes; i++) {
        make_plane(p, x + i * s.H * s.W, -INFINITY, plane);
        max_pool_plane(s, p, plane, first_columns, y + i * s.OH * s.OW,
                       indices + i * s.OH * s.OW);
    }
}

void max_pool(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    const bool pairs = is_pairs(s);
    parallel_for(s.planes, grain_for(s.H * s.W), [&](int64_t begin, int64_t end) {
        const int64_t in = s.H * s.W, out = s.OH * s.OW;
        if (pairs)
            for (int64_t i = begin; i < end; i++)
                max_pool_2x2(s, x + i * in, y + i * out, indices + i * out);
        else
            max_pool_any(s, x + begin * in, y + begin * out, indices + begin * out, end - begin);
    });
}

void max_pool_grad(int64_t planes, int64_t in_plane, int64_t out_plane, const float* grad,
                   const int64_t* indices, float* dx) {
    parallel_for(planes, grain_for(in_plane), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            float* target = dx + i * in_plane;
            const float* from = grad + i * out_plane;
            const int64_t* index = indices + i * out_plane;
            fill_floats(target, in_plane, 0.0f);
            for (int64_t j = 0; j < out_plane; j++) target[index[j]] += from[j];
        }
    });
}

// ---------------------------------------------------------------------------- average
// How many pixels of window o along an axis count.
inline int64_t window_count(int64_t o, int64_t n, int64_t k, int64_t stride, int64_t pad,
                            bool include_pad) {
    int64_t low = o * stride - pad, high = min64(low + k, n + pad);
    if (!include_pad) {
        low = low > 0 ? low : 0;
        high = min64(high, n);
    }
    return high - low;
}

// The columns that count in every window of a row; all 1 under a fixed divisor.
void column_counts(const PoolShape& s, float* counts) {
    for (int64_t ox = 0; ox < s.OW; ox++)
        counts[ox] = s.divisor ? 1.0f
                               : float(window_count(ox, s.W, s.KW, s.stride_w, s.pad_w,
                                                    s.count_include_pad));
}
float row_count(const PoolShape& s, int64_t oy) {
    if (s.divisor) return float(s.divisor);
    return float(window_count(oy, s.H, s.KH, s.stride_h, s.pad_h, s.count_include_pad));
}

// One row of 2 x 2 windows with stride 2 that lie inside.
void avg_pool_pairs(const PoolShape& s, const float* top, float divisor, float* out) {
    constexpr int W = kW<float>;
    for (int64_t ox = 0; ox < s.OW; ox += W) {
        const int n = int(min64(W, s.OW - ox));
        f32v even[2], odd[2];
        load_pairs(top + 2 * ox, n, &even[0], &odd[0]);
        load_pairs(top + s.W + 2 * ox, n, &even[1], &odd[1]);
        stn(out + ox, (((even[0] + odd[0]) + even[1]) + odd[1]) / splat(divisor), n);
    }
}

void avg_pool_row(const PoolShape& s, const Plane& p, const float* plane, int64_t oy,
                  const float* counts, float* out) {
    constexpr int W = kW<float>;
    const f32v rows = splat(row_count(s, oy));
    for (int64_t ox = 0; ox < s.OW; ox += W) {
        f32v total = {};
        for (int64_t ky = 0; ky < s.KH; ky++) {
            const float* row = plane + (oy * s.stride_h + ky) * p.row() + ox;
            for (int64_t kx = 0; kx < s.KW; kx++) total += ld(row + column_offset(s, p, kx));
        }
        stn(out + ox, total / (ld(counts + ox) * rows), int(min64(W, s.OW - ox)));
    }
}

void avg_pool(const PoolShape& s, const float* x, float* y) {
    const Plane p = pool_plane(s);
    const bool pairs = is_pairs(s);
    const float pair_divisor = float(s.divisor ? s.divisor : 4);
    parallel_for(s.planes, grain_for(s.H * s.W), [&](int64_t begin, int64_t end) {
        float* plane = scratch<float>(kPlane, p.size() + kW<float>);
        float* counts = scratch<float>(kWeights, s.OW);
        column_counts(s, counts);
        for (int64_t i = begin; i < end; i++) {
            const float* from = x + i * s.H * s.W;
            float* out = y + i * s.OH * s.OW;
            if (!pairs) make_plane(p, from, 0.0f, plane);
            for (int64_t oy = 0; oy < s.OH; oy++, out += s.OW) {
                if (pairs)
                    avg_pool_pairs(s, from + 2 * oy * s.W, pair_divisor, out);
                else
                    avg_pool_row(s, p, plane, oy, counts, out);
            }
        }
    });
}

inline int64_t clamp_low(int64_t v) { return v > 0 ? v : 0; }

void avg_pool_grad(const PoolShape& s, const float* grad, float* dx) {
    parallel_for(s.planes, grain_for(s.H * s.W), [&](int64_t begin, int64_t end) {
        float* counts = scratch<float>(kWeights, s.OW);
        column_counts(s, counts);
        for (int64_t i = begin; i < end; i++) {
            float* target = dx + i * s.H * s.W;
            fill_floats(target, s.H * s.W, 0.0f);
            for (int64_t oy = 0; oy < s.OH; oy++) {
                const float* row = grad + (i * s.OH + oy) * s.OW;
                const int64_t y0 = oy * s.stride_h - s.pad_h;
                const float rows = row_count(s, oy);
                for (int64_t ox = 0; ox < s.OW; ox++) {
                    const float part = row[ox] / (counts[ox] * rows);
                    const int64_t x0 = ox * s.stride_w - s.pad_w;
                    for (int64_t yy = clamp_low(y0); yy < min64(y0 + s.KH, s.H); yy++)
                        for (int64_t xx = clamp_low(x0); xx < min64(x0 + s.KW, s.W); xx++)
                            target[yy * s.W + xx] += part;
                }
            }
        }
    });
}

// Cell i of `out` covers [floor(i in / out), ceil((i + 1) in / out)).
inline int64_t cell_begin(int64_t i, int64_t in, int64_t out) { return i * in / out; }
inline int64_t cell_end(int64_t i, int64_t in, int64_t out) { return ceil_div((i + 1) * in, out); }

// The sum of a block of rows `step` apart.
float sum_block(const float* p, int64_t rows, int64_t cols, int64_t step) {
    constexpr int W = kW<float>;
    if (cols == step) {
        cols *= rows;
        rows = 1;
    }
    f32v a = {}, b = {};
    for (int64_t r = 0; r < rows; r++, p += step) {
        int64_t i = 0;
        for (; i + 2 * W <= cols; i += 2 * W) {
            a += ld(p + i);
            b += ld(p + i + W);
        }
        for (; i < cols; i += W) a += ldn(p + i, int(min64(W, cols - i)));
    }
    return hsum(a + b);
}

// Whole planes, W of them at a time, so that their sums are folded together.
void mean_planes(const PoolShape& s, const float* x, int64_t planes, float* y) {
    constexpr int W = kW<float>;
    const int64_t n = s.H * s.W;
    const f32v rows = splat(float(s.H)), cols = splat(float(s.W));
    for (int64_t i = 0; i < planes; i += W) {
        const int count = int(min64(W, planes - i));
        f32v sums[W] = {};
        for (int j = 0; j < count; j++) {
            const float* p = x + (i + j) * n;
            int64_t k = 0;
            for (; k + W <= n; k += W) sums[j] += ld(p + k);
            if (k < n) sums[j] += ldn(p + k, int(n - k));
        }
        stn(y + i, hsum_rows(sums) / rows / cols, count);
    }
}

void adaptive_avg_pool(const PoolShape& s, const float* x, float* y) {
    parallel_for(s.planes, grain_for(s.H * s.W), [&](int64_t begin, int64_t end) {
        if (s.OH == 1 && s.OW == 1 && s.H * s.W <= 1024)
            return mean_planes(s, x + begin * s.H * s.W, end - begin, y + begin);
        for (int64_t i = begin; i < end; i++)
            for (int64_t oy = 0; oy < s.OH; oy++) {
                const int64_t y0 = cell_begin(oy, s.H, s.OH);
                const int64_t rows = cell_end(oy, s.H, s.OH) - y0;
                for (int64_t ox = 0; ox < s.OW; ox++) {
                    const int64_t x0 = cell_begin(ox, s.W, s.OW);
                    const int64_t cols = cell_end(ox, s.W, s.OW) - x0;
                    const float total =
                        sum_block(x + (i * s.H + y0) * s.W + x0, rows, cols, s.W);
                    y[(i * s.OH + oy) * s.OW + ox] = total / float(rows) / float(cols);
                }
            }
    });
}

void adaptive_avg_pool_grad(const PoolShape& s, const float* grad, float* dx) {
    parallel_for(s.planes, grain_for(s.H * s.W), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            float* target = dx + i * s.H * s.W;
            if (s.OH == 1 && s.OW == 1) {
                fill_floats(target, s.H * s.W, grad[i] / float(s.H) / float(s.W));
                continue;
            }
            fill_floats(target, s.H * s.W, 0.0f);
            for (int64_t oy = 0; oy < s.OH; oy++) {
                const int64_t y0 = cell_begin(oy, s.H, s.OH), y1 = cell_end(oy, s.H, s.OH);
                for (int64_t ox = 0; ox < s.OW; ox++) {
                    const int64_t x0 = cell_begin(ox, s.W, s.OW), x1 = cell_end(ox, s.W, s.OW);
                    const float part =
                        grad[(i * s.OH + oy) * s.OW + ox] / float(y1 - y0) / float(x1 - x0);
                    for (int64_t yy = y0; yy < y1; yy++)
                        for (int64_t xx = x0; xx < x1; xx++) target[yy * s.W + xx] += part;
                }
            }
        }
    });
}

}  // namespace

extern const PoolKernels pool_kernels;
const PoolKernels pool_kernels = {max_pool,      max_pool_grad,     avg_pool,
                                  avg_pool_grad, adaptive_avg_pool, adaptive_avg_pool_grad};

}  // namespace RL_ISA
}  // namespace rl
