// short_exp.h: an exponential for weights and gates, which enter sums or saturate.
//
// exp(x) = 2^t with t = x log2(e) rounded once, so the error is 1 unit in the last place near 0 and
// |x| / 2 units far from it, where the values are small beside those that they are added to. Half
// the instructions of vecmath.h's.
#pragma once

#include "vecmath.h"

namespace rl {
namespace RL_ISA {
namespace {

// (2^r - 1) / r for |r| <= 1/2, with the least error of 2^r: 9e-8.
constexpr float kShortPoly[] = {0.6931470037f, 0.2402224243f, 0.05550733581f, 0.009671512991f,
                                0.001326472731f};

// 2^t for |t| <= 200, say.
RL_INLINE f32v short_power(f32v t) {
    const f32v n = vround(t), r = t - n;
    return scale_by_power(1 + r * horner(r, kShortPoly), n);
}

// Exactly 0 and inf at the infinities; NaN stays NaN.
RL_INLINE f32v short_exp(f32v x) { return short_power(clip(x * 1.44269504f, -200.0f, 200.0f)); }

// 2^t for t <= 0 and a little above, as what is relative to the largest; 0 at -inf, NaN stays NaN.
RL_INLINE f32v short_weight(f32v t) { return short_power(at_least(t, -200.0f)); }

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
