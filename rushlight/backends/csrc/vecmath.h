// vecmath.h: exp, log, tanh, erf and their kin for a whole vector at a time.
//
// Every function reduces its argument to a small interval, evaluates a polynomial there and puts
// the pieces together again without a branch. Coefficients: exp, log and tanh in single precision
// are those of the Cephes library; exp in double precision is the Taylor series of degree 13 (on
// |r| <= ln(2)/2 its error is below 2^-57); erf and erfc are Chebyshev interpolants that were
// computed for this file with 60 digits. Errors are at most 2.5 units in the last place.
// NaN comes out as NaN, and infinities, zeros and denormals give what the C library gives.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

// c[first] + c[first + 1] x + c[first + 2] x^2 + ... by Horner's rule; unrolled, since N is a
// constant.
template <int first, class V, int N>
RL_INLINE V horner_from(V x, const Lane<V> (&c)[N]) {
    V sum = splat(c[N - 1]);
#pragma GCC unroll 32
    for (int i = N - 2; i >= first; i--) sum = sum * x + c[i];
    return sum;
}
template <class V, int N>
RL_INLINE V horner(V x, const Lane<V> (&c)[N]) {
    return horner_from<0>(x, c);
}

// ------------------------------------------------------------------ exp
// 2^n for integral n in float form, -126 <= n <= 127 (or the double range).
RL_INLINE f32v power_of_two(f32v n) { return (f32v)((to_int(n) + 127) << 23); }
RL_INLINE f64v power_of_two(f64v n) {
    // Adding 1.5 * 2^52 leaves the integer in the low bits.
    const f64v shifted = n + 6755399441055744.0;
    return (f64v)(((i64v)shifted + 1023) << 52);
}

constexpr float kExpPoly32[] = {1.0f,          1.0f,           5.0000001201e-1f, 1.6666665459e-1f,
                                4.1665795894e-2f, 8.3334519073e-3f, 1.3981999507e-3f, 1.9875691500e-4f};
constexpr double kExpPoly64[] = {1.0,           1.0,           1.0 / 2,        1.0 / 6,
                                 1.0 / 24,      1.0 / 120,     1.0 / 720,      1.0 / 5040,
                                 1.0 / 40320,   1.0 / 362880,  1.0 / 3628800,  1.0 / 39916800,
                                 1.0 / 479001600, 1.0 / 6227020800.0};

template <class V>
struct ExpConstants;
template <>
struct ExpConstants<f32v> {
    static constexpr float lowest = -104.0f, highest = 89.0f;
    static constexpr float log2e = 1.44269504088896341f;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static RL_INLINE f32v poly(f32v r) { return horner(r, kExpPoly32); }
    static RL_INLINE f32v poly_less_1(f32v r) { return r * horner_from<1>(r, kExpPoly32); }
};
template <>
struct ExpConstants<f64v> {
    static constexpr double lowest = -746.0, highest = 710.0;
    static constexpr double log2e = 1.4426950408889634074;
    static constexpr double ln2_high = 6.93147180369123816490e-01;
    static constexpr double ln2_low = 1.90821492927058770002e-10;
    static RL_INLINE f64v poly(f64v r) { return horner(r, kExpPoly64); }
    static RL_INLINE f64v poly_less_1(f64v r) { return r * horner_from<1>(r, kExpPoly64); }
};

// The smaller of x and `high`, the larger of x and `low`, where a NaN x stays NaN: the x86
// instructions return their second operand when either is NaN.
template <class V>
RL_INLINE V at_most(V x, Lane<V> high) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Lane<V>) == 4)
        return (V)_mm512_min_ps((__m512)splat(high), (__m512)x);
    else
        return (V)_mm512_min_pd((__m512d)splat(high), (__m512d)x);
#elif defined(__AVX__)
    if constexpr (sizeof(Lane<V>) == 4)
        return (V)_mm256_min_ps((__m256)splat(high), (__m256)x);
    else
        return (V)_mm256_min_pd((__m256d)splat(high), (__m256d)x);
#else
    return select(x > high, splat(high), x);
#endif
}
template <class V>
RL_INLINE V at_least(V x, Lane<V> low) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Lane<V>) == 4)
        return (V)_mm512_max_ps((__m512)splat(low), (__m512)x);
    else
        return (V)_mm512_max_pd((__m512d)splat(low), (__m512d)x);
#elif defined(__AVX__)
    if constexpr (sizeof(Lane<V>) == 4)
        return (V)_mm256_max_ps((__m256)splat(low), (__m256)x);
    else
        return (V)_mm256_max_pd((__m256d)splat(low), (__m256d)x);
#else
    return select(x < low, splat(low), x);
#endif
}
template <class V>
RL_INLINE V clip(V x, Lane<V> low, Lane<V> high) {
    return at_most(at_least(x, low), high);
}

// x * 2^n for integral n, down into the denormals and up to infinity. Without AVX-512's instruction
// the power is applied in two halves; NaN in n (when x is NaN too) must not reach the conversion.
template <class V>
RL_INLINE V scale_by_power(V x, V n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(Lane<V>) == 4)
        return (V)_mm512_scalef_ps((__m512)x, (__m512)n);
    else
        return (V)_mm512_scalef_pd((__m512d)x, (__m512d)n);
#else
    n = select(n != n, V{}, n);
    const V half = vround(n * Lane<V>(0.5));
    return x * power_of_two(half) * power_of_two(n - half);
#endif
}

// x = n ln 2 + the result, which lies in [-ln2/2, ln2/2]; beyond the range of exp x is clipped.
template <class V>
RL_INLINE V split_logarithm(V x, V* n) {
    typedef ExpConstants<V> C;
    const V clipped = clip(x, C::lowest, C::highest);
    *n = vround(clipped * C::log2e);
    return clipped - *n * C::ln2_high - *n * C::ln2_low;
}
// exp(x + low), where |low| is small: exp(x) = 2^n exp(r).
template <class V>
RL_INLINE V vexp_sum(V x, V low) {
    V n;
    const V r = split_logarithm(x, &n);
    return scale_by_power(ExpConstants<V>::poly(r + low), n);
}
template <class V>
RL_INLINE V vexp(V x) {
    return vexp_sum(x, V{});
}

// exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), and without the second term where that might overflow.
template <class V>
RL_INLINE V vexpm1(V x) {
    V n;
    const V r = split_logarithm(x, &n);
    const V part = ExpConstants<V>::poly_less_1(r);
    const V near = scale_by_power(part, n) + (scale_by_power(splat(Lane<V>(1)), n) - 1);
    const V result = select(n > Lane<V>(2), scale_by_power(1 + part, n) - 1, near);
    return select(x == V{}, x, result);
}

// ------------------------------------------------------------------ log
// x = m 2^e with m in [sqrt(1/2), sqrt(2)); denormals are scaled up first.
RL_INLINE void split_exponent(f32v x, f32v* mantissa, f32v* exponent) {
    const auto tiny = x < 1.17549435e-38f;
    x = select(tiny, x * 8388608.0f, x);
    const i32v shifted = (i32v)((u32v)x - 0x3f3504f3u);  // the bits of sqrt(1/2); wraps below zero
    *exponent = to_float(shifted >> 23) - select(tiny, splat(23.0f), f32v{});
    *mantissa = (f32v)((shifted & 0x007fffff) + 0x3f3504f3);
}
RL_INLINE void split_exponent(f64v x, f64v* mantissa, f64v* exponent) {
    const auto tiny = x < 2.2250738585072014e-308;
    x = select(tiny, x * 4503599627370496.0, x);
    const i64v shifted = (i64v)((u64v)x - uint64_t(0x3fe6a09e667f3bcd));  // sqrt(1/2)'s bits, too
    // An integer becomes a double by way of the low bits of 1.5 * 2^52.
    const f64v magic = splat(6755399441055744.0);
    const f64v e = (f64v)((i64v)magic + (shifted >> 52)) - magic;
    *exponent = e - select(tiny, splat(52.0), f64v{});
    *mantissa = (f64v)((shifted & int64_t(0x000fffffffffffff)) + int64_t(0x3fe6a09e667f3bcd));
}

// log(1 + f) - f + f^2/2 for the mantissa's range.
constexpr float kLogPoly32[] = {3.3333331174e-1f,  -2.4999993993e-1f, 2.0000714765e-1f,
                                -1.6668057665e-1f, 1.4249322787e-1f,  -1.2420140846e-1f,
                                1.1676998740e-1f,  -1.1514610310e-1f, 7.0376836292e-2f};
RL_INLINE f32v log_mantissa(f32v f, f32v e) {
    const f32v square = f * f;
    const f32v tail = f * square * horner(f, kLogPoly32) + e * -2.12194440e-4f - 0.5f * square;
    return (f + tail) + e * 0.693359375f;
}
// With s = f / (2 + f): log(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))), R the rest of 2 artanh(s).
constexpr double kLogPoly64[] = {0.0,      2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                                 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
RL_INLINE f64v log_mantissa(f64v f, f64v e) {
    const f64v s = f / (2 + f);
    const f64v half_square = 0.5 * f * f;
    const f64v rest = horner(s * s, kLogPoly64);
    const f64v low = s * (half_square + rest) + e * 1.90821492927058770002e-10;
    return e * 6.93147180369123816490e-01 - ((half_square - low) - f);
}

template <class V>
RL_INLINE V vlog(V x) {
    V mantissa, exponent;
    split_exponent(x, &mantissa, &exponent);
    V result = log_mantissa(mantissa - 1, exponent);
    const V infinity = splat(Lane<V>(__builtin_inf()));
    result = select(x == infinity, infinity, result);
    result = select(x == V{}, -infinity, result);
    return select((x < V{}) | (x != x), splat(Lane<V>(__builtin_nan(""))), result);
}

// log(1 + x): the logarithm of the rounded sum, and to first order what rounding took from it.
template <class V>
RL_INLINE V vlog1p(V x) {
    const V sum = 1 + x;
    const V lost = (x - (sum - 1)) / sum;
    const V result = vlog(sum) + lost;
    const V infinity = splat(Lane<V>(__builtin_inf()));
    return select((x == V{}) | (x == infinity), x, select(sum == V{}, -infinity, result));
}

// ------------------------------------------------------------------ sigmoid, tanh
template <class V>
RL_INLINE V vsigmoid(V x) {
    return 1 / (1 + vexp(-x));
}

constexpr float kTanhPoly32[] = {-3.33332819422e-1f, 1.33314422036e-1f, -5.37397155531e-2f,
                                 2.06390887954e-2f, -5.70498872745e-3f};
RL_INLINE f32v tanh_near_zero(f32v x) {
    const f32v square = x * x;
    return x + x * square * horner(square, kTanhPoly32);
}
constexpr double kTanhP64[] = {-1.61468768441708447952e3, -9.92877231001918586564e1,
                               -9.64399179425052238628e-1};
constexpr double kTanhQ64[] = {4.84406305325125486048e3, 2.23548839060100448583e3,
                               1.12811678491632931402e2, 1.0};
RL_INLINE f64v tanh_near_zero(f64v x) {
    const f64v square = x * x;
    return x + x * square * (horner(square, kTanhP64) / horner(square, kTanhQ64));
}

// tanh |x| = 1 - 2 / (exp(2|x|) + 1), which loses digits near zero, where a polynomial takes over.
template <class V>
RL_INLINE V vtanh(V x) {
    const V size = vabs(x);
    const V far = 1 - 2 / (vexp(size + size) + 1);
    const V signed_far = select(x < V{}, -far, far);
    const V result = select(size < Lane<V>(0.625), tanh_near_zero(x), signed_far);
    return select(x == V{}, x, result);
}

// ------------------------------------------------------------------ erf, erfc, gelu
// erf(x) / x as a polynomial in x^2, for |x| <= 1.
constexpr float kErfPoly32[] = {1.12837916585f,    -0.376126266667f, 0.112835947152f,
                                -0.0268542120106f, 0.00518908742343f, -0.000801686428717f,
                                7.87587506269e-5f};
constexpr double kErfPoly64[] = {
    1.1283791670955125738,   -0.37612638903183748056, 0.11283791670954878666,
    -0.026866170645076793248, 0.0052239776248180144673, -0.00085483269808337899052,
    0.00012055331111642710923, -0.000014925595266831181565, 1.6461000484121368033e-6,
    -1.6350312701054695011e-7, 1.4659775274047435814e-8, -1.137284885679167367e-9,
    5.9571761477489114044e-11};
// (1 + 2x) exp(x^2) erfc(x) as a polynomial in (x - 4) / (x + 4), for x >= 0.
constexpr float kErfcPoly32[] = {1.23299513465f,   -0.139620936242f, 0.0153775926456f,
                                 0.0680883990174f, -0.101001429791f, 0.0938634878687f,
                                 -0.0665093781903f, 0.0363834737127f, -0.016292357079f,
                                 0.00659800250367f, 0.00074284278491f};
constexpr double kErfcPoly64[] = {
    1.2329951186255525067,   -0.13962111684056289354, 0.015379652102620741303,
    0.068097054254737323901, -0.10103906603635213169, 0.093732834996794115895,
    -0.066330365811529384089, 0.037167515562492865974, -0.016197734059115007082,
    0.0050319697558954261144, -0.0007577733414133300446, -0.00019925550755614952137,
    0.0001506222439483029924, -0.000024403169244974074952, -0.000011224789135154700706,
    5.7178872846321852018e-6, 3.0135049944875394771e-7, -8.351619688696847075e-7,
    6.2707271571983108779e-8, 1.1534943745754157287e-7, -7.7154186144178301303e-9,
    -1.3670989863347382443e-8, -1.8206098680308683344e-9};

RL_INLINE f32v erf_poly(f32v square) { return horner(square, kErfPoly32); }
RL_INLINE f64v erf_poly(f64v square) { return horner(square, kErfPoly64); }
RL_INLINE f32v erfc_poly(f32v y) { return horner(y, kErfcPoly32); }
RL_INLINE f64v erfc_poly(f64v y) { return horner(y, kErfcPoly64); }
RL_INLINE f32v clear_low_half(f32v x) { return (f32v)((i32v)x & int32_t(0xfffff000)); }
RL_INLINE f64v clear_low_half(f64v x) { return (f64v)((i64v)x & int64_t(0xfffffffff8000000)); }

// exp(-factor x^2) for a power of two as factor: x^2 is formed exactly in two parts, as its error
// counts 2x^2-fold in the result.
template <class V>
RL_INLINE V gauss(V x, Lane<V> factor) {
    const V high = clear_low_half(x);
    return vexp_sum(high * high * -factor, (x - high) * (x + high) * -factor);
}

// exp(x^2) erfc(x) for 0 <= x <= 27.5; one division serves both quotients.
template <class V>
RL_INLINE V scaled_erfc(V x) {
    const V sum = x + 4, weight = 1 + 2 * x;
    const V inverse = 1 / (sum * weight);
    return erfc_poly((x - 4) * weight * inverse) * (sum * inverse);
}

// erfc(x) for x >= 0. Above 27 the result is 0 in either precision.
template <class V>
RL_INLINE V erfc_positive(V x) {
    const V bounded = clip(x, Lane<V>(0), Lane<V>(27.5));
    return gauss(bounded, Lane<V>(1)) * scaled_erfc(bounded);
}

template <class V>
RL_INLINE V verf(V x) {
    const V size = vabs(x);
    const V near = x * erf_poly(x * x);
    const V far = 1 - erfc_positive(size);
    return select(size < 1, near, select(x < V{}, -far, far));
}

// exp(-x^2/2), and the normal distribution function, erfc(-x / sqrt 2) / 2, from it, which cancels
// on neither side.
template <class V>
RL_INLINE V half_gauss(V x) {
    return gauss(clip(vabs(x), Lane<V>(0), Lane<V>(38.8)), Lane<V>(0.5));
}
template <class V>
RL_INLINE V normal_cdf(V x, V gauss_of_x) {
    const V size = clip(vabs(x) * Lane<V>(0.70710678118654752440), Lane<V>(0), Lane<V>(27.5));
    const V tail = Lane<V>(0.5) * gauss_of_x * scaled_erfc(size);
    return select(x < V{}, tail, 1 - tail);
}

// The general form; single precision has its own (vecmath_gelu.h).
RL_INLINE f64v vgelu(f64v x) { return x * normal_cdf(x, half_gauss(x)); }
// d gelu = cdf(x) + x pdf(x)
RL_INLINE f64v vgelu_slope(f64v x) {
    const f64v gauss_of_x = half_gauss(x);
    return normal_cdf(x, gauss_of_x) + x * gauss_of_x * 0.39894228040143267794;
}

// gelu(x, "tanh") = x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3)
template <class V>
RL_INLINE V vgelu_tanh(V x) {
    const Lane<V> scale = Lane<V>(0.79788456080286535588), cubic = Lane<V>(0.044715);
    return Lane<V>(0.5) * x * (1 + vtanh(scale * (x + cubic * x * x * x)));
}
template <class V>
RL_INLINE V vgelu_tanh_slope(V x) {
    const Lane<V> scale = Lane<V>(0.79788456080286535588), cubic = Lane<V>(0.044715);
    const V t = vtanh(scale * (x + cubic * x * x * x));
    const V inner_slope = scale * (1 + 3 * cubic * x * x);
    return Lane<V>(0.5) * (1 + t) + Lane<V>(0.5) * x * (1 - t * t) * inner_slope;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl

#include "vecmath_gelu.h"
