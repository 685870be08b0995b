// vector_loops.h: the loops around functions of whole vectors, of one and of two arrays.
//
// Elements that lie side by side are taken a vector at a time, the last one in part; a result as
// large as the last cache is streamed. Any other layout goes through vectors gathered lane by lane.
// An element is read before it is written, so the result may be an operand. Strides count elements.
#pragma once

#include "stream.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

// r[i] = f(a[i])
template <class T, class F>
RL_INLINE void unary_vectors(T* r, const T* a, int64_t n, int64_t r_stride, int64_t a_stride,
                             const F& f) {
    constexpr int W = kW<T>;
    if (r_stride == 1 && a_stride == 1) {
        int64_t i = 0;
        if (r != a && is_aligned(r) && worth_streaming(n * int64_t(sizeof(T)))) {
            for (; i + W <= n; i += W) stream(r + i, f(ld(a + i)));
            end_stream();
        }
        for (; i + W <= n; i += W) st(r + i, f(ld(a + i)));
        if (i < n) stn(r + i, f(ldn(a + i, int(n - i))), int(n - i));
        return;
    }
    for (int64_t i = 0; i < n; i += W) {
        const int m = n - i < W ? int(n - i) : W;
        T lane[W] = {};
        for (int j = 0; j < m; j++) lane[j] = a[(i + j) * a_stride];
        st(lane, f(ld(lane)));
        for (int j = 0; j < m; j++) r[(i + j) * r_stride] = lane[j];
    }
}

// As many of r[i] = f(a[i]) as N whole vectors at once, which f changes in place, can make of elements
// side by side; returns how many.
template <int N, class T, class F>
RL_INLINE int64_t unary_blocks(T* r, const T* a, int64_t n, const F& f) {
    constexpr int W = kW<T>;
    const bool past = r != a && is_aligned(r) && worth_streaming(n * int64_t(sizeof(T)));
    int64_t i = 0;
    for (; i + N * W <= n; i += N * W) {
        Vec<T> v[N];
        RL_UNROLL
        for (int k = 0; k < N; k++) v[k] = ld(a + i + k * W);
        f(v);
        RL_UNROLL
        for (int k = 0; k < N; k++) {
            if (past)
                stream(r + i + k * W, v[k]);
            else
                st(r + i + k * W, v[k]);
        }
    }
    if (past) end_stream();
    return i;
}

// An operand that lies side by side, as it is, or one element that repeats, as a vector of it, whose
// address does not move.
template <class T>
struct Run {
    alignas(kVecBytes) T same[kW<T>];
    const T* at;
    int64_t step;

    Run(const T* p, int64_t stride) : at(p), step(stride) {
        if (stride != 0) return;
        st(same, splat(*p));
        at = same;
    }
    static bool is_one(int64_t stride) { return stride == 0 || stride == 1; }
};

// r[i] = f(a[i], b[i])
template <class T, class F>
RL_INLINE void binary_vectors(T* r, const T* a, const T* b, int64_t n, int64_t r_stride,
                              int64_t a_stride, int64_t b_stride, const F& f) {
    constexpr int W = kW<T>;
    if (n > 0 && r_stride == 1 && Run<T>::is_one(a_stride) && Run<T>::is_one(b_stride)) {
        const Run<T> p(a, a_stride), q(b, b_stride);
        int64_t i = 0;
        if (r != a && r != b && is_aligned(r) && worth_streaming(n * int64_t(sizeof(T)))) {
            for (; i + W <= n; i += W)
                stream(r + i, f(ld(p.at + i * p.step), ld(q.at + i * q.step)));
            end_stream();
        }
        for (; i + W <= n; i += W) st(r + i, f(ld(p.at + i * p.step), ld(q.at + i * q.step)));
        const int m = int(n - i);
        if (m > 0) stn(r + i, f(ldn(p.at + i * p.step, m), ldn(q.at + i * q.step, m)), m);
        return;
    }
    for (int64_t i = 0; i < n; i += W) {
        const int m = n - i < W ? int(n - i) : W;
        T p[W] = {}, q[W] = {};
        for (int j = 0; j < m; j++) {
            p[j] = a[(i + j) * a_stride];
            q[j] = b[(i + j) * b_stride];
        }
        st(p, f(ld(p), ld(q)));
        for (int j = 0; j < m; j++) r[(i + j) * r_stride] = p[j];
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
