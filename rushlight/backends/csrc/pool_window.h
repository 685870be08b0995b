// pool_window.h: where pooling windows lie and how many pixels count in them.
#pragma once

#include <math.h>

#include "conv_plane.h"
#include "parallel.h"
#include "pool.h"

namespace rl {
namespace RL_ISA {
namespace {

// Planes per range: about 30 microseconds.
inline int64_t pool_grain(int64_t pixels_per_plane) {
    return ceil_div(1 << 16, pixels_per_plane + 1);
}

// The first position of a window that is inside: start, or the first step by `dil` that is >= 0.
inline int64_t first_inside(int64_t start, int64_t dil) {
    return start >= 0 ? start : start + ceil_div(-start, dil) * dil;
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
RL_INLINE void take_better(f32v value, f32v* best) {
    *best = vmax(value, *best);
}

RL_INLINE void store_indices(int64_t* to, i32v index, int n) {
    constexpr int half = kW<int64_t>;
    i64v low, high;
    widen(index, &low, &high);
    stn(to, low, n < half ? n : half);
    if (n > half) stn(to + half, high, n - half);
}

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

// What the sums of row (od, oy) are divided by, column by column.
inline void row_divisors(const PoolShape& s, int64_t od, int64_t oy, float* divisors) {
    const bool pads = s.count_include_pad;
    const float depth = float(window_count(od, s.D, s.KD, s.stride_d, s.pad_d, pads));
    const float rows = float(window_count(oy, s.H, s.KH, s.stride_h, s.pad_h, pads));
    for (int64_t ox = 0; ox < s.OW; ox++) {
        const float columns = float(window_count(ox, s.W, s.KW, s.stride_w, s.pad_w, pads));
        divisors[ox] = s.divisor ? float(s.divisor) : depth * rows * columns;
    }
}

// Cell i of an adaptive pool covers [floor(i in / out), ceil((i + 1) in / out)).
inline int64_t cell_begin(int64_t i, int64_t in, int64_t out) { return i * in / out; }
inline int64_t cell_end(int64_t i, int64_t in, int64_t out) { return ceil_div((i + 1) * in, out); }

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
