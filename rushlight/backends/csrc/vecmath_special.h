// vecmath_special.h: erfc, and of floats erfinv, lgamma and digamma.
//
// erfinv(x) is x times a smooth function of w = -log(1 - x^2): polynomials in w, and in sqrt(w) towards
// the ends, where w grows to 16. They are minimax fits, computed for this file with 50 digits; the
// result is within 3.3 units in the last place. erfc is within 5.
//
// The gamma functions lose digits at their zeros, so they are computed in double precision: below 8 the
// argument is raised by 8 through the recurrence Gamma(x + 1) = x Gamma(x), then Stirling's series has
// reached 1e-14 with its seventh term. Below 1/2 they are reflected, which costs a sine; a vector
// without such numbers is spared it.
#pragma once

#include "lanes.h"
#include "vecmath_two.h"

namespace rl {
namespace RL_ISA {
namespace {

// From 1 - erf where that keeps all digits.
template <class V>
RL_INLINE V verfc(V x) {
    const V tail = erfc_positive(vabs(x)), near = 1 - x * erf_poly(x * x);
    return select(x < Lane<V>(0.5), select(x > Lane<V>(-0.5), near, 2 - tail), tail);
}

// ------------------------------------------------------------------ erfinv
// erfinv(x) / x in w - 5/2 for w < 5, in sqrt(w) - 3 above.
constexpr float kErfinvNear[] = {1.50140935928f,    0.246640286153f,    -0.00417738677494f,
                                 -0.00125274187817f, 0.000218344433917f, -4.96334825067e-6f,
                                 -3.46270322459e-6f, 4.66170807407e-7f,  2.32325159715e-8f,
                                 -8.79107006216e-9f};
constexpr float kErfinvFar[] = {2.83297680132f,     1.00167523623f,     0.00944531248744f,
                                -0.0076427478205f,  0.00568760415048f,  -0.00356721133909f,
                                0.00147545128424f,  -0.000119759208747f, -0.000278013275827f,
                                0.000160340122564f, -2.92194680303e-5f};

RL_INLINE f32v verfinv(f32v x) {
    const f32v size = vabs(x);
    const f32v w = -vlog((1 - size) * (1 + size));  // NaN beyond 1
    const f32v near = horner(w - 2.5f, kErfinvNear), far = horner(vsqrt(w) - 3, kErfinvFar);
    const f32v result = x * select(w < 5, near, far);
    return select(size == 1, vcopysign(splat(__builtin_inff()), x), result);
}

// ------------------------------------------------------------------ gamma functions
constexpr double kPi = 3.14159265358979323846, kHalfLogTwoPi = 0.91893853320467274178;
constexpr double kStirling[] = {1.0 / 12,   -1.0 / 360, 1.0 / 1260, -1.0 / 1680,
                                1.0 / 1188, -691.0 / 360360, 1.0 / 156};
constexpr double kStirlingSlope[] = {1.0 / 12,  -1.0 / 120, 1.0 / 252, -1.0 / 240,
                                     1.0 / 132, -691.0 / 32760, 1.0 / 12};
// sin(pi r) / r in r^2 for |r| <= 1/2
constexpr double kSinPi[] = {3.1415926535897927919,  -5.1677127800497525788,
                             2.5501640398597770631,  -0.59926452877572955863,
                             0.082145878256786329372, -0.0073703610730949831778,
                             0.00046597762124535968095, -0.000021122957930002378815};
constexpr double kRaised = 8;

RL_INLINE f64v sin_pi(f64v r) { return r * horner(r * r, kSinPi); }

// For x >= 1/2.
RL_INLINE f64v lgamma_positive(f64v x) {
    const auto is_small = x < kRaised;
    f64v product = x;
    for (int i = 1; i < int(kRaised); i++) product *= x + double(i);
    const f64v z = select(is_small, x + kRaised, x), inverse = 1 / z;
    const f64v series = inverse * horner(inverse * inverse, kStirling);
    const f64v stirling = ((z - 0.5) * vlog(z) - z) + (kHalfLogTwoPi + series);
    const f64v result = stirling - select(is_small, vlog(product), f64v{});
    return select((x == 1) | (x == 2), f64v{}, result);
}
// Gamma(x) Gamma(1 - x) = pi / sin(pi x); infinite at 0 and the negative integers.
RL_INLINE f64v lgamma_reflected(f64v x) {
    const auto is_low = x < 0.5;
    const f64v positive = lgamma_positive(select(is_low, 1 - x, x));
    const f64v mirror = vlog(kPi / vabs(sin_pi(x - vround(x))));
    return select(is_low, mirror - positive, positive);
}

// For x >= 1/2. The reciprocals of x to x + 7 are added up as one fraction.
RL_INLINE f64v digamma_positive(f64v x) {
    const auto is_small = x < kRaised;
    f64v numerator = f64v{} + 1, denominator = x;
    for (int i = 1; i < int(kRaised); i++) {
        const f64v next = x + double(i);
        numerator = numerator * next + denominator;
        denominator *= next;
    }
    const f64v z = select(is_small, x + kRaised, x), inverse = 1 / z, square = inverse * inverse;
    const f64v series = 0.5 * inverse + square * horner(square, kStirlingSlope);
    return (vlog(z) - series) - select(is_small, numerator / denominator, f64v{});
}
// digamma(1 - x) - digamma(x) = pi / tan(pi x)
RL_INLINE f64v digamma_reflected(f64v x) {
    const auto is_low = x < 0.5;
    const f64v positive = digamma_positive(select(is_low, 1 - x, x)), r = x - vround(x);
    const f64v cosine = sin_pi(0.5 - vabs(r));
    return select(is_low, positive - kPi * cosine / sin_pi(r), positive);
}

RL_INLINE f32v vlgamma(f32v x) {
    const bool reflects = any_true(x < 0.5f);
    Doubles d = to_doubles(x);
    for (f64v& half : d.half) half = reflects ? lgamma_reflected(half) : lgamma_positive(half);
    const f32v infinity = splat(__builtin_inff());
    return select(vabs(x) == infinity, infinity, to_floats(d));
}

RL_INLINE f32v vdigamma(f32v x) {
    const bool reflects = any_true(x < 0.5f);
    Doubles d = to_doubles(x);
    for (f64v& half : d.half) half = reflects ? digamma_reflected(half) : digamma_positive(half);
    const f32v infinity = splat(__builtin_inff());
    const f32v pole = select(x == 0, vcopysign(infinity, -x), splat(__builtin_nanf("")));
    return select((x <= 0) & (vround(x) == x), pole, to_floats(d));
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
