// lanes.h: parts of a vector, on top of vec.h: partial loads with a filler, extremes over the lanes,
// and the position of the first lane that a mask marks.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

// Full or partial; in a loop over full vectors m is the constant W and the branch disappears.
template <class T>
RL_INLINE Vec<T> load(const T* p, int m) {
    return m == kW<T> ? ld(p) : ldn(p, m);
}
template <class T>
RL_INLINE void store(T* p, Vec<T> v, int m) {
    if (m == kW<T>)
        st(p, v);
    else
        stn(p, v, m);
}

// Calls step(i, m) for vectors that cover n elements: m is W, and less for the last one.
template <class T, class Step>
RL_INLINE void for_vectors(int64_t n, const Step& step) {
    constexpr int W = kW<T>;
    int64_t i = 0;
    for (; i + W <= n; i += W) step(i, W);
    if (i < n) step(i, int(n - i));
}

// 0, 1, 2, ... in integers of T's width.
template <class T>
struct Indices;
template <>
struct Indices<float> {
    typedef i32v type;
};
template <>
struct Indices<double> {
    typedef i64v type;
};
template <>
struct Indices<int64_t> {
    typedef i64v type;
};
template <class T>
RL_INLINE typename Indices<T>::type lane_numbers() {
    typename Indices<T>::type numbers;
    for (int i = 0; i < kW<T>; i++) numbers[i] = i;
    return numbers;
}

// v in the first m lanes, filler in the others.
template <class T>
RL_INLINE Vec<T> keep_lanes(Vec<T> v, int m, T filler) {
    if (m == kW<T>) return v;
    typedef Lane<typename Indices<T>::type> Number;
    return select(lane_numbers<T>() < Number(m), v, splat(filler));
}

// The lanes of a comparison's result that are true, as bits.
template <class M>
RL_INLINE unsigned lane_bits(M mask) {
    [[maybe_unused]] constexpr bool is_narrow = sizeof(mask[0]) == 4;
#if defined(__AVX512F__)
    return is_narrow ? unsigned(_mm512_movepi32_mask((__m512i)mask))
                     : unsigned(_mm512_movepi64_mask((__m512i)mask));
#elif defined(__AVX__)
    return is_narrow ? unsigned(_mm256_movemask_ps((__m256)mask))
                     : unsigned(_mm256_movemask_pd((__m256d)mask));
#elif defined(__SSE2__)
    return is_narrow ? unsigned(_mm_movemask_ps((__m128)mask))
                     : unsigned(_mm_movemask_pd((__m128d)mask));
#else
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof(mask) / sizeof(mask[0]); i++) bits |= (mask[i] & 1u) << i;
    return bits;
#endif
}

// Whether any lane of a comparison's result is true, and which is the first (W if none).
template <class M>
RL_INLINE int first_true(M mask) {
    const unsigned bits = lane_bits(mask);
    return bits != 0 ? __builtin_ctz(bits) : int(sizeof(mask) / sizeof(mask[0]));
}
template <class M>
RL_INLINE bool any_true(M mask) {
    return first_true(mask) != int(sizeof(mask) / sizeof(mask[0]));
}

// The largest lane; NaN if there is one.
template <class V>
RL_INLINE Lane<V> largest_lane(V v) {
    return hmax(v);
}
template <class V>
RL_INLINE Lane<V> smallest_lane(V v) {
    return hmin(v);
}
#if defined(__AVX512F__)
template <>
RL_INLINE float largest_lane<f32v>(f32v v) {
    return any_true(v != v) ? __builtin_nanf("") : _mm512_reduce_max_ps((__m512)v);
}
template <>
RL_INLINE float smallest_lane<f32v>(f32v v) {
    return any_true(v != v) ? __builtin_nanf("") : _mm512_reduce_min_ps((__m512)v);
}
#elif defined(__AVX__)
template <>
RL_INLINE float largest_lane<f32v>(f32v v) {
    if (any_true(v != v)) return __builtin_nanf("");
    __m128 half = _mm_max_ps(_mm256_castps256_ps128((__m256)v),
                             _mm256_extractf128_ps((__m256)v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
template <>
RL_INLINE float smallest_lane<f32v>(f32v v) {
    if (any_true(v != v)) return __builtin_nanf("");
    __m128 half = _mm_min_ps(_mm256_castps256_ps128((__m256)v),
                             _mm256_extractf128_ps((__m256)v, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
}
#endif

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
