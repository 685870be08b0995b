// vec.h: one register's worth of numbers, written once for every instruction set.
//
// The kernels are written with GCC/Clang vector extensions: `f32v` is a vector of W floats where W
// is what the instruction set's registers hold (16 with AVX-512, 8 with AVX2, 4 with SSE and
// NEON), and +, -, *, /, <, ?: work on it lane by lane. This file names the types and supplies
// the handful of operations that the language lacks: unaligned and partial loads and stores,
// splat, NaN-correct maximum, square root, rounding, horizontal sums.
//
// Every file that includes vec.h is compiled once per instruction set with RL_ISA set to a
// different namespace name. The unnamed namespace gives each copy internal linkage; without it the
// linker would keep one copy of each inline function, possibly the AVX-512 one, for all of them.
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef RL_ISA
#define RL_ISA generic
#endif

// Loops over registers must vanish; GCC unrolls them only when asked.
#if defined(__clang__)
#define RL_UNROLL _Pragma("unroll")
#define RL_KEEP_LOOP _Pragma("nounroll")
#else
#define RL_UNROLL _Pragma("GCC unroll 16")
#define RL_KEEP_LOOP _Pragma("GCC unroll 1")
#endif

#define RL_INLINE inline __attribute__((always_inline))
#define RL_RESTRICT __restrict__
#define RL_LAMBDA_INLINE __attribute__((always_inline))

namespace rl {
namespace RL_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVecBytes = 64;
constexpr int kVecRegs = 32;
#elif defined(__AVX__)
constexpr int kVecBytes = 32;
constexpr int kVecRegs = 16;
#elif defined(__aarch64__)
constexpr int kVecBytes = 16;
constexpr int kVecRegs = 32;
#else
constexpr int kVecBytes = 16;
constexpr int kVecRegs = 16;
#endif

// ---------------------------------------------------------------------------- types
typedef float f32v __attribute__((vector_size(kVecBytes)));
typedef double f64v __attribute__((vector_size(kVecBytes)));
typedef int32_t i32v __attribute__((vector_size(kVecBytes)));
typedef uint32_t u32v __attribute__((vector_size(kVecBytes)));
typedef int64_t i64v __attribute__((vector_size(kVecBytes)));
typedef uint64_t u64v __attribute__((vector_size(kVecBytes)));
typedef uint8_t u8v __attribute__((vector_size(kVecBytes)));

// Vec<float> is the register type of float; Lane<f32v> is float; kW<float> is the lane count.
template <class T>
struct VecOf;
template <class V>
struct LaneOf;

#define RL_VEC_PAIR(T, V)  \
    template <>            \
    struct VecOf<T> {      \
        typedef V type;    \
    };                     \
    template <>            \
    struct LaneOf<V> {     \
        typedef T type;    \
    };
RL_VEC_PAIR(float, f32v)
RL_VEC_PAIR(double, f64v)
RL_VEC_PAIR(int32_t, i32v)
RL_VEC_PAIR(uint32_t, u32v)
RL_VEC_PAIR(int64_t, i64v)
RL_VEC_PAIR(uint64_t, u64v)
RL_VEC_PAIR(uint8_t, u8v)
#undef RL_VEC_PAIR

template <class T>
using Vec = typename VecOf<T>::type;
template <class V>
using Lane = typename LaneOf<V>::type;
template <class T>
constexpr int kW = kVecBytes / int(sizeof(T));

// ---------------------------------------------------------------------------- load, store
// Full vectors at any address. memcpy of a constant size is one unaligned move.
template <class T>
RL_INLINE Vec<T> ld(const T* p) {
    Vec<T> v;
    memcpy(&v, p, sizeof(v));
    return v;
}

template <class T>
RL_INLINE void st(T* p, Vec<T> v) {
    memcpy(p, &v, sizeof(v));
}

// v, from now on in a register: compilers like to load a vector again for every use.
template <class V>
RL_INLINE V in_register(V v) {
#if defined(__AVX512F__)
    asm("" : "+v"(v));
#elif defined(__x86_64__)
    asm("" : "+x"(v));
#elif defined(__aarch64__)
    asm("" : "+w"(v));
#endif
    return v;
}

// ---------------------------------------------------------------------------- arithmetic
// x in every lane.
template <class T>
RL_INLINE Vec<T> splat(T x) {
    return Vec<T>{} + x;
}
// The sum above would turn -0.0 into +0.0; broadcasting instructions do not.
template <>
RL_INLINE f32v splat<float>(float x) {
#if defined(__AVX512F__)
    return (f32v)_mm512_set1_ps(x);
#elif defined(__AVX__)
    return (f32v)_mm256_set1_ps(x);
#else
    return f32v{x, x, x, x};
#endif
}
template <>
RL_INLINE f64v splat<double>(double x) {
#if defined(__AVX512F__)
    return (f64v)_mm512_set1_pd(x);
#elif defined(__AVX__)
    return (f64v)_mm256_set1_pd(x);
#else
    return f64v{x, x};
#endif
}

// a*b + c; one rounding where the instruction set has fused multiply-add (the files are compiled
// with -ffp-contract=fast), two where it has not.
template <class V>
RL_INLINE V fma(V a, V b, V c) {
    return a * b + c;
}

// a*b + c with one rounding, on which a result may rely: whether the compiler joins the two above is
// its own choice.
#if defined(__AVX512F__)
constexpr bool kHasFused = true;
RL_INLINE f32v fused(f32v a, f32v b, f32v c) {
    return (f32v)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
RL_INLINE f64v fused(f64v a, f64v b, f64v c) {
    return (f64v)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
#elif defined(__FMA__)
constexpr bool kHasFused = true;
RL_INLINE f32v fused(f32v a, f32v b, f32v c) {
    return (f32v)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
RL_INLINE f64v fused(f64v a, f64v b, f64v c) {
    return (f64v)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
#elif defined(__aarch64__)
constexpr bool kHasFused = true;
RL_INLINE f32v fused(f32v a, f32v b, f32v c) {
    return (f32v)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
RL_INLINE f64v fused(f64v a, f64v b, f64v c) {
    return (f64v)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#else
constexpr bool kHasFused = false;  // two roundings
RL_INLINE f32v fused(f32v a, f32v b, f32v c) { return a * b + c; }
RL_INLINE f64v fused(f64v a, f64v b, f64v c) { return a * b + c; }
#endif

// mask ? a : b, where mask is the result of a comparison of vectors of the same lane width.
template <class M, class V>
RL_INLINE V select(M mask, V a, V b) {
    return mask ? a : b;
}

// Maximum and minimum as PyTorch has them: NaN if either side is NaN. The plain comparison is
// false for NaN, so `b != b` must be asked first (x86's max instruction would drop a NaN in a).
template <class V>
RL_INLINE V vmax(V a, V b) {
    V m = select(a > b, a, b);
    return select(a != a, a, m);
}
template <class V>
RL_INLINE V vmin(V a, V b) {
    V m = select(a < b, a, b);
    return select(a != a, a, m);
}

// v, or if `relu` zero where it is negative; NaN and -0 stay.
template <class V>
RL_INLINE V rectified(V v, bool relu) {
    return relu ? select(v < V{}, V{}, v) : v;
}

RL_INLINE f32v vabs(f32v x) { return (f32v)((i32v)x & 0x7fffffff); }
RL_INLINE f64v vabs(f64v x) { return (f64v)((i64v)x & int64_t(0x7fffffffffffffff)); }
RL_INLINE f32v vcopysign(f32v size, f32v sign) {
    return (f32v)((i32v)vabs(size) | ((i32v)sign & int32_t(0x80000000)));
}
RL_INLINE f64v vcopysign(f64v size, f64v sign) {
    return (f64v)((i64v)vabs(size) | ((i64v)sign & int64_t(0x8000000000000000)));
}

RL_INLINE f32v vsqrt(f32v x) {
#if defined(__AVX512F__)
    return (f32v)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX__)
    return (f32v)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
    return (f32v)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
    return (f32v)vsqrtq_f32((float32x4_t)x);
#else
    for (int i = 0; i < kW<float>; i++) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}
RL_INLINE f64v vsqrt(f64v x) {
#if defined(__AVX512F__)
    return (f64v)_mm512_sqrt_pd((__m512d)x);
#elif defined(__AVX__)
    return (f64v)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
    return (f64v)_mm_sqrt_pd((__m128d)x);
#elif defined(__aarch64__)
    return (f64v)vsqrtq_f64((float64x2_t)x);
#else
    for (int i = 0; i < kW<double>; i++) x[i] = __builtin_sqrt(x[i]);
    return x;
#endif
}

// Nearest integer, ties to even.
RL_INLINE f32v vround(f32v x) {
#if defined(__AVX512F__)
    return (f32v)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX__)
    return (f32v)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__SSE4_1__)
    return (f32v)_mm_round_ps((__m128)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__aarch64__)
    return (f32v)vrndnq_f32((float32x4_t)x);
#else
    for (int i = 0; i < kW<float>; i++) x[i] = __builtin_nearbyintf(x[i]);
    return x;
#endif
}
RL_INLINE f64v vround(f64v x) {
#if defined(__AVX512F__)
    return (f64v)_mm512_roundscale_pd((__m512d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX__)
    return (f64v)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__SSE4_1__)
    return (f64v)_mm_round_pd((__m128d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__aarch64__)
    return (f64v)vrndnq_f64((float64x2_t)x);
#else
    for (int i = 0; i < kW<double>; i++) x[i] = __builtin_nearbyint(x[i]);
    return x;
#endif
}

// Lane by lane conversion between int32 and float (towards zero in the first direction).
RL_INLINE i32v to_int(f32v x) { return __builtin_convertvector(x, i32v); }
RL_INLINE f32v to_float(i32v x) { return __builtin_convertvector(x, f32v); }
// The sum of the two halves of x in double precision.
RL_INLINE f64v halves_to_double(f32v x) {
#if defined(__AVX512F__)
    return (f64v)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x)) +
           (f64v)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#elif defined(__AVX__)
    return (f64v)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x)) +
           (f64v)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#else
    f64v sum;
    for (int i = 0; i < kW<double>; i++) sum[i] = double(x[i]) + double(x[kW<double> + i]);
    return sum;
#endif
}

// ---------------------------------------------------------------------------- across lanes
// The halves are folded pairwise, so a sum of W lanes rounds log2(W) times.
template <class V>
RL_INLINE Lane<V> hsum(V v) {
    constexpr int width = kW<Lane<V>>;
    Lane<V> lane[width];
    memcpy(lane, &v, sizeof(v));
    for (int half = width / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
#if defined(__AVX512F__)
template <>
RL_INLINE float hsum<f32v>(f32v v) {
    return _mm512_reduce_add_ps((__m512)v);
}
template <>
RL_INLINE double hsum<f64v>(f64v v) {
    return _mm512_reduce_add_pd((__m512d)v);
}
#elif defined(__AVX__)
template <>
RL_INLINE float hsum<f32v>(f32v v) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128((__m256)v),
                             _mm256_extractf128_ps((__m256)v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
#endif

// Maximum over the lanes; NaN if any lane is NaN.
template <class V>
RL_INLINE Lane<V> hmax(V v) {
    constexpr int width = kW<Lane<V>>;
    Lane<V> best = v[0];
    for (int i = 1; i < width; i++) {
        Lane<V> x = v[i];
        best = (x > best || x != x) ? x : best;
    }
    return best;
}
template <class V>
RL_INLINE Lane<V> hmin(V v) {
    constexpr int width = kW<Lane<V>>;
    Lane<V> best = v[0];
    for (int i = 1; i < width; i++) {
        Lane<V> x = v[i];
        best = (x < best || x != x) ? x : best;
    }
    return best;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl

#include "vec_partial.h"
#include "vec_shuffle.h"
