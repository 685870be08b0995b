// vec_partial.h: loads and stores of the first few lanes of a vector.
//
// Included by vec.h. Missing lanes read as zero, and memory behind the n-th (0 <= n <= W) is left
// alone, so that a row at the end of a page is safe. AVX-512 has masks for that. AVX2 has masked
// loads, but its masked stores take 12 cycles on AMD's processors (one on Intel's): there, and with
// SSE, stores are put together from halves, quarters and so on, as the bits of n say.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

template <class T>
RL_INLINE Vec<T> ldn(const T* p, int n) {
    Vec<T> v = {};
    memcpy(&v, p, size_t(n) * sizeof(T));
    return v;
}

template <class T>
RL_INLINE void stn(T* p, Vec<T> v, int n) {
    memcpy(p, &v, size_t(n) * sizeof(T));
}

#if defined(__AVX512F__)
template <>
RL_INLINE f32v ldn<float>(const float* p, int n) {
    return (f32v)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
}
template <>
RL_INLINE void stn<float>(float* p, f32v v, int n) {
    _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), (__m512)v);
}
template <>
RL_INLINE i32v ldn<int32_t>(const int32_t* p, int n) {
    return (i32v)_mm512_maskz_loadu_epi32(__mmask16((1u << n) - 1), p);
}
template <>
RL_INLINE void stn<int32_t>(int32_t* p, i32v v, int n) {
    _mm512_mask_storeu_epi32(p, __mmask16((1u << n) - 1), (__m512i)v);
}
template <>
RL_INLINE f64v ldn<double>(const double* p, int n) {
    return (f64v)_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p);
}
template <>
RL_INLINE void stn<double>(double* p, f64v v, int n) {
    _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), (__m512d)v);
}
template <>
RL_INLINE i64v ldn<int64_t>(const int64_t* p, int n) {
    return (i64v)_mm512_maskz_loadu_epi64(__mmask8((1u << n) - 1), p);
}
template <>
RL_INLINE void stn<int64_t>(int64_t* p, i64v v, int n) {
    _mm512_mask_storeu_epi64(p, __mmask8((1u << n) - 1), (__m512i)v);
}
#elif defined(__SSE2__)
// The first n of four, or of two. memcpy because they may be integers that travel as floats.
RL_INLINE void store_few(float* p, __m128 v, int n) {
    if (n & 4) memcpy(p, &v, 16);
    if (n & 2) {
        memcpy(p, &v, 8);
        p += 2;
        v = _mm_movehl_ps(v, v);
    }
    if (n & 1) memcpy(p, &v, 4);
}
RL_INLINE void store_few(double* p, __m128d v, int n) {
    if (n & 2) memcpy(p, &v, 16);
    if (n & 1) memcpy(p, &v, 8);
}

#if defined(__AVX2__)
RL_INLINE __m256i lane_mask32(int n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes);
}
RL_INLINE __m256i lane_mask64(int n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
template <>
RL_INLINE f32v ldn<float>(const float* p, int n) {
    return (f32v)_mm256_maskload_ps(p, lane_mask32(n));
}
template <>
RL_INLINE f64v ldn<double>(const double* p, int n) {
    return (f64v)_mm256_maskload_pd(p, lane_mask64(n));
}
template <>
RL_INLINE void stn<float>(float* p, f32v v, int n) {
    if (n == 8) return st(p, v);
    __m128 rest = _mm256_castps256_ps128((__m256)v);
    if (n & 4) {
        store_few(p, rest, 4);
        p += 4;
        rest = _mm256_extractf128_ps((__m256)v, 1);
    }
    store_few(p, rest, n & 3);
}
template <>
RL_INLINE void stn<double>(double* p, f64v v, int n) {
    if (n == 4) return st(p, v);
    __m128d rest = _mm256_castpd256_pd128((__m256d)v);
    if (n & 2) {
        store_few(p, rest, 2);
        p += 2;
        rest = _mm256_extractf128_pd((__m256d)v, 1);
    }
    store_few(p, rest, n & 1);
}
#else
template <>
RL_INLINE f32v ldn<float>(const float* p, int n) {
    if (n == 4) return ld(p);
    __m128 pair = {}, last = {};
    if (n & 2) memcpy(&pair, p, 8);
    if (n & 1) memcpy(&last, p + (n & 2), 4);
    return (f32v)(n & 2 ? _mm_movelh_ps(pair, last) : last);
}
template <>
RL_INLINE f64v ldn<double>(const double* p, int n) {
    f64v v = {};
    if (n == 2) return ld(p);
    if (n == 1) memcpy(&v, p, 8);
    return v;
}
template <>
RL_INLINE void stn<float>(float* p, f32v v, int n) {
    store_few(p, (__m128)v, n);
}
template <>
RL_INLINE void stn<double>(double* p, f64v v, int n) {
    store_few(p, (__m128d)v, n);
}
#endif

// Integers as floating-point numbers of their size.
template <>
RL_INLINE i32v ldn<int32_t>(const int32_t* p, int n) {
    return (i32v)ldn(reinterpret_cast<const float*>(p), n);
}
template <>
RL_INLINE i64v ldn<int64_t>(const int64_t* p, int n) {
    return (i64v)ldn(reinterpret_cast<const double*>(p), n);
}
template <>
RL_INLINE void stn<int32_t>(int32_t* p, i32v v, int n) {
    stn(reinterpret_cast<float*>(p), (f32v)v, n);
}
template <>
RL_INLINE void stn<int64_t>(int64_t* p, i64v v, int n) {
    stn(reinterpret_cast<double*>(p), (f64v)v, n);
}
#endif

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
