// norm_sums.h: sums along a run of neighbours, in float by blocks and in double over the blocks.
#pragma once

#include "lanes.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlock = 1024;
constexpr int64_t kGrain = 1 << 16;  // elements that are worth a thread

// sum of f(i) over a contiguous run, where f gives the vector of elements i ... i+m-1
template <class T, class F>
RL_INLINE double sum_run(int64_t n, const F& f) {
    constexpr int W = kW<T>;
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
        const int64_t end = begin + kBlock < n ? begin + kBlock : n;
        Vec<T> a = {}, b = {}, c = {}, d = {};
        int64_t i = begin;
        for (; i + 4 * W <= end; i += 4 * W) {
            a += f(i, W);
            b += f(i + W, W);
            c += f(i + 2 * W, W);
            d += f(i + 3 * W, W);
        }
        for (; i < end; i += W) a += f(i, int(end - i < W ? end - i : W));
        total += hsum((a + b) + (c + d));
    }
    return total;
}
template <class T>
double sum_of(const T* x, int64_t n) {
    return sum_run<T>(n, [&](int64_t i, int m) { return load(x + i, m); });
}
template <class T>
double sum_of_squares(const T* x, T mean, int64_t n) {
    return sum_run<T>(n, [&](int64_t i, int m) {
        const Vec<T> d = keep_lanes<T>(load(x + i, m) - mean, m, T(0));
        return d * d;
    });
}
template <class T>
double sum_of_products(const T* g, const T* x, T mean, int64_t n) {
    return sum_run<T>(n,
                      [&](int64_t i, int m) { return load(g + i, m) * (load(x + i, m) - mean); });
}

inline double inverse_root(double x) { return 1 / __builtin_sqrt(x); }

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
