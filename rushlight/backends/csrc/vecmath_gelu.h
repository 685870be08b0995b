// vecmath_gelu.h: gelu and its slope in single precision, which bounds many a network.
//
// With t = |x|, up to 14.9, where the results have become 0 and 1,
//
//     t cdf(-t) = exp(-t^2/2) f(t)    and    cdf(-t) - t pdf(t) = exp(-t^2/2) s(t)
//
// where f and s are smooth and change slowly: a polynomial of degree 7 about the middle of each of
// eight intervals gives them to 0.1 units in the last place, and its value there is within a
// hundredth of a unit of the float that stands for it (s: at its zero, 0.7518, the slope of gelu
// keeps its digits). The interval is read off the first bits of t + 1, and the coefficients are
// picked from registers. The exponential is made as 1 + p, so that one rounding multiplies: f + f
// p. Minimax fits, computed for this file with 40 digits.
//
// Two or three vectors are taken at once, step by step. If one followed the other, their long chains of
// steps would fill the processor's queues and leave a third of its units idle.
#pragma once

#include "vecmath.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kGeluDegree = 7;
// Eight intervals, from t = 0, 0.5, 1, 2, 3, 5, 7 and 11 on to 15.
struct GeluTable {
    float center[8], coefficient[kGeluDegree + 1][8];
};
alignas(64) constexpr GeluTable kGeluTail = {
    {0.0f, 0.7400019f, 1.4905288f, 2.5033233f, 4.032502f, 5.9911866f, 9.03675f,
     13.037283f},
    {
        {0.0f, 0.22346455f, 0.3080011f, 0.35341892f, 0.37793896f, 0.3886478f, 0.39422637f,
         0.3966354f},
        {0.5f, 0.17212448f, 0.07108836f, 0.027220193f, 0.009027227f, 0.003193735f,
         0.0010083145f, 0.00034788487f},
        {-0.398942f, -0.11179152f, -0.03796174f, -0.011452911f, -0.0028022171f,
         -0.00072735787f, -0.00015996554f, -3.9130515e-05f},
        {0.24998876f, 0.05848736f, 0.016683329f, 0.004053359f, 0.0007471676f, 0.00014429589f,
         2.232594e-05f, 3.891278e-06f},
        {-0.13283347f, -0.026442278f, -0.006432623f, -0.0012804638f, -0.00018051575f,
         -2.6306414e-05f, -2.8804027e-06f, -3.6053052e-07f},
        {0.061600372f, 0.010696906f, 0.0022507089f, 0.0003717298f, 4.0546845e-05f,
         4.52445e-06f, 3.5265293e-07f, 3.1875437e-08f},
        {-0.023744002f, -0.0040153596f, -0.0007589348f, -0.00010409699f, -9.421519e-06f,
         -7.7953683e-07f, -4.66076e-08f, -2.8774496e-09f},
        {0.0056833434f, 0.0014556526f, 0.00022780169f, 2.7066662e-05f, 2.0629097e-06f,
         1.2317595e-07f, 5.673123e-09f, 2.4896576e-10f},
    },
};
alignas(64) constexpr GeluTable kGeluSlope = {
    {0.24000168f, 0.75179154f, 1.51865f, 2.5045228f, 3.9901204f, 6.036767f, 9.0607395f,
     12.983439f},
    {
        {0.32125622f, -6.9343855e-09f, -0.40174446f, -0.85803473f, -1.4972062f, -2.3439176f,
         -3.5712001f, -5.149095f},
        {-0.69780314f, -0.5724062f, -0.487914f, -0.444433f, -0.4203333f, -0.4090927f,
         -0.4036341f, -0.401268f},
        {0.17263797f, 0.08475637f, 0.034496192f, 0.0135963755f, 0.0046344385f, 0.0015641707f,
         0.00050034083f, 0.00017606538f},
        {-0.08580815f, -0.036581647f, -0.012195539f, -0.003813f, -0.0009663511f,
         -0.00023596158f, -5.2777752e-05f, -1.3231505e-05f},
        {0.038009424f, 0.014313436f, 0.0039930274f, 0.0010116084f, 0.00019441386f,
         3.485514e-05f, 5.505645e-06f, 9.934822e-07f},
        {-0.015369113f, -0.005162316f, -0.0012186519f, -0.000253872f, -3.793124e-05f,
         -5.1054462e-06f, -5.708639e-07f, -8.5161425e-08f},
        {0.0057837567f, 0.0017524995f, 0.00036575113f, 6.332008e-05f, 7.6169677e-06f,
         7.677086e-07f, 6.210875e-08f, 5.3490288e-09f},
        {-0.0017165061f, -0.00057096424f, -0.000117217285f, -1.8920126e-05f, -1.4098956e-06f,
         -7.865662e-08f, -6.360799e-09f, 1.1280573e-09f},
    },
};

// a*b - c with one rounding, for c near a*b. (A product that has another use is not contracted by
// the compiler.)
RL_INLINE f32v fused_difference(f32v a, f32v b, f32v c) {
    if constexpr (kHasFused) return fused(a, b, -c);
    const f32v high_a = clear_low_half(a), low_a = a - high_a;
    const f32v high_b = clear_low_half(b), low_b = b - high_b;
    return (high_a * high_b - c) + (high_a * low_b + low_a * high_b) + low_a * low_b;
}

constexpr int kGeluVectors = kVecRegs == 32 ? 3 : 2;

// exp(-t^2/2) = 2^n 2^r, where n + r = -t^2 / (2 ln 2). What t*t and its multiple lose when they are
// rounded counts t^2-fold, and goes into r.
RL_INLINE void split_gauss(f32v t, f32v* n, f32v* r) {
    constexpr float high = -0.7213475108f, low = -9.6298152e-09f;
    const f32v square = t * t;
    *n = vround(square * high);
    const f32v lost = fused_difference(t, t, square);
    *r = fused_difference(square, splat(high), *n) + square * low + lost * high;
}
// 2^r - 1
constexpr float kPowerLess1[kGeluDegree] = {0.0f,           0.693147181f,   0.240226469f,
                                            0.0555032875f,  0.00961848908f, 0.00133999412f,
                                            0.000153457987f};

// exp(-t^2/2) times the table's function.
template <int N>
RL_INLINE void gauss_times(const GeluTable& table, const f32v* t, f32v* product) {
    f32v n[N], r[N], distance[N], f[N], p[N];
    i32v interval[N];
    RL_UNROLL
    for (int i = 0; i < N; i++) {
        // From t = 0 on, 2t + 2 lies in [2, 32): two bits of its exponent and one of its mantissa.
        interval[i] = (i32v)(2 * t[i] + 2) >> 22;
        distance[i] = t[i] - lookup8(table.center, interval[i]);
        f[i] = lookup8(table.coefficient[kGeluDegree], interval[i]);
        f[i] = f[i] * distance[i] + lookup8(table.coefficient[kGeluDegree - 1], interval[i]);
    }
    RL_UNROLL
    for (int i = 0; i < N; i++) {
        split_gauss(t[i], &n[i], &r[i]);
        p[i] = splat(kPowerLess1[kGeluDegree - 1]);
    }
    RL_UNROLL
    for (int k = kGeluDegree - 2; k >= 0; k--) {
        RL_UNROLL
        for (int i = 0; i < N; i++) {
            f[i] = f[i] * distance[i] + lookup8(table.coefficient[k], interval[i]);
            p[i] = p[i] * r[i] + kPowerLess1[k];
        }
    }
    RL_UNROLL
    for (int i = 0; i < N; i++) product[i] = scale_by_power(f[i] + f[i] * p[i], n[i]);
}
RL_INLINE f32v gelu_argument(f32v x) { return at_most(vabs(x), 14.9f); }

// x cdf(x) is x - |x| cdf(-|x|) for x > 0 and -|x| cdf(-|x|) else; the difference makes NaN of
// minus infinity, as 0 times infinity does.
template <int N>
RL_INLINE void vgelu(f32v* x) {
    f32v t[N], tail[N];
    RL_UNROLL
    for (int i = 0; i < N; i++) t[i] = gelu_argument(x[i]);
    gauss_times<N>(kGeluTail, t, tail);
    RL_UNROLL
    for (int i = 0; i < N; i++) x[i] = x[i] - select(x[i] < f32v{}, x[i], f32v{}) - tail[i];
}
RL_INLINE f32v vgelu(f32v x) {
    vgelu<1>(&x);
    return x;
}
// The slopes at x and -x add up to 1; at infinity x pdf(x) is infinity times 0, NaN.
RL_INLINE f32v vgelu_slope(f32v x) {
    const f32v t = gelu_argument(x), not_finite = x - x;
    f32v slope;
    gauss_times<1>(kGeluSlope, &t, &slope);
    return select(x < f32v{}, slope, 1 - slope) + not_finite;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
