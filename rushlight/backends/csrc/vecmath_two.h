// vecmath_two.h: pow and atan2 of floats.
//
// A power is x^y = 2^(y log2 |x|), by way of doubles: the exponent, up to 150, must be known to 2^-30
// for a result that is rounded once. The logarithm is that of the exponent, plus with s = (m - 1) /
// (m + 1) s times a polynomial in s^2 for the mantissa m in [sqrt(1/2), sqrt(2)), which is exact to
// 2^-37; 2^r of what is left behind the nearest whole exponent is a polynomial exact to 2^-34. Both are
// minimax fits, computed for this file with 50 digits. Signs and special numbers are the floats'
// matter, a whole vector at a time. atan is Cephes' polynomial for |t| <= tan(pi/8), to which atan(t) =
// pi/4 + atan((t - 1) / (t + 1)) leads; its error is up to 2 units in the last place.
#pragma once

#include "vec.h"
#include "vecmath.h"

namespace rl {
namespace RL_ISA {
namespace {

// The two halves of a vector of floats.
struct Doubles {
    f64v half[2];
};
RL_INLINE Doubles to_doubles(f32v x) {
#if defined(__AVX512F__)
    return {{(f64v)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x)),
             (f64v)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1))}};
#elif defined(__AVX__)
    return {{(f64v)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x)),
             (f64v)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1))}};
#else
    Doubles d;
    for (int i = 0; i < kW<float>; i++) d.half[i / kW<double>][i % kW<double>] = x[i];
    return d;
#endif
}
RL_INLINE f32v to_floats(const Doubles& d) {
#if defined(__AVX512F__)
    const __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)d.half[0]));
    return (f32v)_mm512_insertf32x8(low, _mm512_cvtpd_ps((__m512d)d.half[1]), 1);
#elif defined(__AVX__)
    return (f32v)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)d.half[1]),
                                 _mm256_cvtpd_ps((__m256d)d.half[0]));
#else
    f32v x;
    for (int i = 0; i < kW<float>; i++) x[i] = float(d.half[i / kW<double>][i % kW<double>]);
    return x;
#endif
}

constexpr double kLog2Poly[] = {2.8853900817900814873, 0.96179667334760789826,
                                0.57708358376377970226, 0.41167279616677476967,
                                0.34072859511067147485};
constexpr double kExp2Poly[] = {0.99999999996168241391, 0.69314718072843609361,
                                0.24022651198147239113, 0.055504103534503437613,
                                0.0096180272551475151623, 0.0013333922581397814761,
                                0.00015469290737562846613, 0.000015201914941506300347};

// 2^(y (exponent + log2 mantissa)), which a float holds, is infinite or zero.
RL_INLINE f64v power_of_parts(f64v mantissa, f64v exponent, f64v y) {
    const f64v s = (mantissa - 1) / (mantissa + 1);
    const f64v logarithm = exponent + s * horner(s * s, kLog2Poly);
    const f64v power = clip(y * logarithm, -200.0, 200.0);
    const f64v n = vround(power);
    return horner(power - n, kExp2Poly) * power_of_two(n);
}

// x^y for numbers x > 0.
RL_INLINE f32v positive_pow(f32v x, f32v y) {
    f32v mantissa, exponent;
    split_exponent(x, &mantissa, &exponent);
    const Doubles m = to_doubles(mantissa), e = to_doubles(exponent), by = to_doubles(y);
    Doubles result;
    RL_UNROLL
    for (int k = 0; k < 2; k++)
        result.half[k] = power_of_parts(m.half[k], e.half[k], by.half[k]);
    return to_floats(result);
}

RL_INLINE f32v vpow(f32v x, f32v y) {
    const f32v size = vabs(x), infinity = splat(__builtin_inff());
    f32v result = positive_pow(size, y);
    // Zero and infinity, whose logarithms are no numbers, and NaN.
    const auto has_logarithm = (size > 0) & (size < infinity);
    const f32v extreme = select((size == 0) ^ (y < 0), f32v{}, infinity);
    result = select(has_logarithm, result, select((x != x) | (y != y), x + y, extreme));
    const f32v half = 0.5f * y;
    const auto is_whole = vround(y) == y;
    const auto is_odd = is_whole & (vround(half) != half);
    const auto is_negative = (i32v)x < 0;  // so is -0
    result = select(is_negative & is_odd, -result, result);
    // Only numbers have no power; infinity and zero do.
    const auto has_none = (x < 0) & (x > -infinity) & ~is_whole & (y == y);
    result = select(has_none, splat(__builtin_nanf("")), result);
    const auto is_one = (y == 0) | (x == 1) | ((x == -1) & (vabs(y) == infinity));
    return select(is_one, f32v{} + 1, result);
}

constexpr float kAtanPoly[] = {-3.33329491539e-1f, 1.99777106478e-1f, -1.38776856032e-1f,
                               8.05374449538e-2f};
// The angle of (x, y). Multiples of pi are subtracted from in two parts, as one float is too short.
RL_INLINE f32v vatan2(f32v y, f32v x) {
    constexpr float tan_pi_8 = 0.414213562f, quarter_pi = 0.785398163f, pi_low = -8.74227766e-8f;
    const f32v width = vabs(x), height = vabs(y);
    f32v large = select(width > height, width, height);
    f32v small = select(width > height, height, width);
    const auto both_infinite = small == __builtin_inff(), none = large == 0;
    const f32v scale = select(large > 1e37f, splat(0.25f), splat(1.0f));  // for the sum
    large *= scale;
    small *= scale;
    const auto is_steep = small > tan_pi_8 * large;
    const f32v t = select(is_steep, small - large, small) / select(is_steep, small + large, large);
    const f32v square = t * t;
    f32v angle = t + t * square * horner(square, kAtanPoly);
    angle = select(is_steep, quarter_pi + (angle + pi_low / 4), angle);
    angle = select(none, f32v{}, angle);
    angle = select(both_infinite, splat(quarter_pi), angle);
    angle = select(height > width, 2 * quarter_pi - (angle - pi_low / 2), angle);
    angle = select((i32v)x < 0, 4 * quarter_pi - (angle - pi_low), angle);
    return select((x != x) | (y != y), x + y, vcopysign(angle, y));
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
