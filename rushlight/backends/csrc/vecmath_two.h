// vecmath_two.h: pow and atan2 of floats.
//
// A power is computed in double precision, half a vector at a time: x^y = exp(y log |x|) loses up to 7
// of the 29 bits that a double has more than a float, and the result is rounded once. atan is Cephes'
// polynomial for |t| <= tan(pi/8), to which atan(t) = pi/4 + atan((t - 1) / (t + 1)) leads; its error
// is up to 2 units in the last place.
#pragma once

#include "vec.h"
#include "vecmath.h"

namespace rl {
namespace RL_ISA {
namespace {

typedef float HalfOfFloats __attribute__((vector_size(kVecBytes / 2)));

// f(a, b) in double precision.
template <class F>
RL_INLINE f32v by_doubles(f32v a, f32v b, const F& f) {
    constexpr int half = kW<double>;
    float x[2 * half], y[2 * half], r[2 * half];
    st(x, a);
    st(y, b);
    RL_UNROLL
    for (int k = 0; k < 2; k++) {
        HalfOfFloats p, q;
        memcpy(&p, x + k * half, sizeof(p));
        memcpy(&q, y + k * half, sizeof(q));
        const HalfOfFloats part = __builtin_convertvector(
            f(__builtin_convertvector(p, f64v), __builtin_convertvector(q, f64v)), HalfOfFloats);
        memcpy(r + k * half, &part, sizeof(part));
    }
    return ld(r);
}

// x^y of doubles, exact to a float's precision.
RL_INLINE f64v rough_pow(f64v x, f64v y) {
    const f64v size = vabs(x), infinity = splat(__builtin_inf());
    f64v result = vexp(y * vlog(size));
    const f64v half = 0.5 * y;
    const auto is_whole = vround(y) == y;
    const auto is_odd = is_whole & (vround(half) != half);
    const auto is_negative = (i64v)x < 0;  // so is -0
    result = select(is_negative & is_odd, -result, result);
    // Only numbers have no power; infinity and zero do.
    const auto has_none = (x < 0) & (x > -infinity) & ~is_whole & (y == y);
    result = select(has_none, splat(__builtin_nan("")), result);
    const auto is_one = (y == 0) | (x == 1) | ((x == -1) & (vabs(y) == infinity));
    return select(is_one, f64v{} + 1, result);
}
RL_INLINE f32v vpow(f32v x, f32v y) {
    return by_doubles(x, y, [](f64v a, f64v b) RL_LAMBDA_INLINE { return rough_pow(a, b); });
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
