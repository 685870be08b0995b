// pool_average.h: the means of windows, channels first.
//
// The sums are a depthwise convolution with weights of one (conv_depthwise.h), whose input gradient
// is that of the sums; what is left here is the division, before it or after. Three axes are done
// as two: slices are first summed over the depth of the windows, or in the gradient added to every
// depth that a window had. 2 x 2 windows with stride 2 are summed and divided at once; long rows and
// strides of three and more are pool_rows.h's.
#pragma once

#include "allocator.h"
#include "conv.h"
#include "pool_max.h"

namespace rl {
namespace RL_ISA {
namespace {

inline void divide_floats(const float* from, const float* by, int64_t n, float* to) {
    for (int64_t i = 0; i < n; i += kW<float>) {
        const int count = int(min64(kW<float>, n - i));
        stn(to + i, ldn(from + i, count) / ldn(by + i, count), count);
    }
}

// One row of 2 x 2 windows with stride 2 that lie inside.
inline void avg_pool_pairs(const PoolShape& s, const float* top, float divisor, float* out) {
    constexpr int W = kW<float>;
    for (int64_t ox = 0; ox < s.OW; ox += W) {
        const int n = int(min64(W, s.OW - ox));
        f32v even[2], odd[2];
        load_pairs(top + 2 * ox, n, &even[0], &odd[0]);
        load_pairs(top + s.W + 2 * ox, n, &even[1], &odd[1]);
        stn(out + ox, (((even[0] + odd[0]) + even[1]) + odd[1]) / splat(divisor), n);
    }
}

// The sums over the planes' two last axes: one channel per slice, weights of one.
inline ConvShape summing_shape(const PoolShape& s, int64_t slices) {
    ConvShape c = {};
    c.N = 1, c.C = c.O = c.groups = slices;
    c.H = s.H, c.W = s.W, c.OH = s.OH, c.OW = s.OW, c.KH = s.KH, c.KW = s.KW;
    c.stride_h = s.stride_h, c.stride_w = s.stride_w;
    c.pad_h = s.pad_h, c.pad_w = s.pad_w;
    c.dil_h = c.dil_w = 1;
    return c;
}

// Calls body(od, d) for every depth of every window.
template <class Body>
void for_each_depth(const PoolShape& s, const Body& body) {
    for (int64_t od = 0; od < s.OD; od++)
        for (int64_t kd = 0; kd < s.KD; kd++) {
            const int64_t d = od * s.stride_d - s.pad_d + kd;
            if (d >= 0 && d < s.D) body(od, d);
        }
}

// x (planes, D, plane) to its sums (planes, OD, plane) over the windows' depths, or the opposite:
// adds the numbers of (planes, OD, plane) to every depth that they were summed from.
inline void sum_depths(const PoolShape& s, const float* x, float* sums) {
    const int64_t plane = s.H * s.W;
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        fill_floats(sums + begin * s.OD * plane, (end - begin) * s.OD * plane, 0.0f);
        for (int64_t i = begin; i < end; i++)
            for_each_depth(s, [&](int64_t od, int64_t d) {
                add_floats(sums + (i * s.OD + od) * plane, x + (i * s.D + d) * plane, plane);
            });
    });
}
inline void spread_depths(const PoolShape& s, const float* sums, float* dx) {
    const int64_t plane = s.H * s.W;
    parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
        fill_floats(dx + begin * s.D * plane, (end - begin) * s.D * plane, 0.0f);
        for (int64_t i = begin; i < end; i++)
            for_each_depth(s, [&](int64_t od, int64_t d) {
                add_floats(dx + (i * s.D + d) * plane, sums + (i * s.OD + od) * plane, plane);
            });
    });
}

// Room for a call; there is no one to report the lack of it to, as for the kernels' own scratch.
class WorkingFloats {
  public:
    explicit WorkingFloats(int64_t n) : memory_(size_t(n) * sizeof(float) + kVecBytes) {
        if (!memory_) abort();
    }
    operator float*() const { return memory_.as<float>(); }

  private:
    Scratch memory_;
};

// to[plane][pixel] = from[plane][pixel] / what the window of that pixel counts.
inline void divide_by_counts(const PoolShape& s, const float* from, float* to) {
    const WorkingFloats divisors(s.out());
    for (int64_t row = 0; row < s.OD * s.OH; row++)
        row_divisors(s, row / s.OH, row % s.OH, divisors + row * s.OW);
    parallel_for(s.planes, pool_grain(s.out()), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            divide_floats(from + i * s.out(), divisors, s.out(), to + i * s.out());
    });
}

inline void avg_pool(const PoolShape& s, const float* x, float* y) {
    if (is_pairs(s) && s.KH == 2) {
        const float divisor = float(s.divisor ? s.divisor : 4);
        parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i++)
                for (int64_t oy = 0; oy < s.OH; oy++)
                    avg_pool_pairs(s, x + (i * s.H + 2 * oy) * s.W, divisor,
                                   y + (i * s.OH + oy) * s.OW);
        });
        return;
    }
    if (folds_rows(s)) {
        parallel_for(s.planes, pool_grain(s.in()), [&](int64_t begin, int64_t end) {
            fold_planes<FoldSums>(s, x + begin * s.in(), end - begin, y + begin * s.out());
        });
        return divide_by_counts(s, y, y);
    }
    const int64_t slices = s.planes * s.OD;
    const bool deep = s.D > 1 || s.OD > 1 || s.KD > 1;
    const WorkingFloats sums(deep ? slices * s.H * s.W : 0), ones(slices * s.KH * s.KW);
    fill_floats(ones, slices * s.KH * s.KW, 1.0f);
    if (deep) sum_depths(s, x, sums);
    conv_kernels.forward(summing_shape(s, slices), deep ? sums : x, ones, nullptr, y);
    divide_by_counts(s, y, y);
}

inline void avg_pool_grad(const PoolShape& s, const float* grad, float* dx) {
    const int64_t slices = s.planes * s.OD;
    const bool deep = s.D > 1 || s.OD > 1 || s.KD > 1;
    const WorkingFloats parts(s.planes * s.out()), ones(slices * s.KH * s.KW);
    const WorkingFloats sums(deep ? slices * s.H * s.W : 0);
    fill_floats(ones, slices * s.KH * s.KW, 1.0f);
    divide_by_counts(s, grad, parts);
    conv_kernels.input_grad(summing_shape(s, slices), parts, ones, deep ? sums : dx);
    if (deep) spread_depths(s, sums, dx);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
