// conv_rows_math.h: Winograd's convolution along one axis: 4 outputs with 3 or 5 taps.
//
// Four outputs of a kernel row read Taps + 3 inputs. Seen as products of polynomials, 12 (20)
// multiplications become 6 (8), one for each of as many points (compare conv_winograd_math.h):
//
//     y = A' [ (G w) . (B' d) ]        w Taps, d Taps + 3, y 4, . by element
//     dd = B [ (G w) . (A dy) ],   dw = G' [ (A dy) . (B' d) ]
//
// 3 taps take the matrices of conv_winograd_math.h. 5 taps take the points 0, +-a, +-1, +-c and
// infinity with c = 1 / a. They are the roots of
//
//     n(x) = x (x^2 - a^2) (x^2 - 1) (x^2 - c^2) = x^7 - s x^5 + s x^3 - x,   s = a^2 + 1 + c^2
//
// (a c = 1 makes the inner coefficients equal). Row p of B' holds n(x) / (x - p), row p of G the
// powers of p over n'(p) = 2 p^2 (p^2 - q^2) (p^2 - r^2) where q and r are the other two; n'(0) is
// -1. With a = 3/5 the largest error is 1 to 2e-6 of the largest result, twice that of plain
// summation; a = 1/2 loses half a bit more.
#pragma once

#include "conv_winograd_math.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr double kRowA = 0.6, kRowC = 1 / kRowA;

constexpr float row_root(double p, double q, double r) {
    return float(1 / (2 * p * p * (p * p - q * q) * (p * p - r * r)));
}

// One of the points a, 1, c with what the transforms need of it.
struct RowPoint {
    float p, p2;     // the point, its square
    float sum;       // of the squares of the other two
    float product;   // of the same
    float scale;     // 1 / n'(p)
};

constexpr RowPoint row_point(double p, double q, double r) {
    return {float(p), float(p * p), float(q * q + r * r), float(q * q * r * r), row_root(p, q, r)};
}

constexpr RowPoint kRowPoints[3] = {row_point(kRowA, 1, kRowC), row_point(1, kRowA, kRowC),
                                    row_point(kRowC, kRowA, 1)};
constexpr float kRowS = float(kRowA * kRowA + 1 + kRowC * kRowC);

template <int Taps>
struct RowTransform;

template <>
struct RowTransform<3> {
    static constexpr int points = 6;
    static RL_INLINE void input(const f32v* d, f32v* v) { transform_input(d, v); }
    // B v.
    static RL_INLINE void input_grad(const f32v* v, f32v* d) {
        const f32v sum_a = v[1] + v[2], difference_a = kPointA * (v[1] - v[2]);
        const f32v sum_b = v[3] + v[4], difference_b = kPointB * (v[3] - v[4]);
        d[0] = v[0];
        d[1] = (v[5] - 2.0f * difference_a) - 0.5f * difference_b;
        d[2] = -2.5f * v[0] - (2.0f * sum_a + 0.5f * sum_b);
        d[3] = (difference_a + difference_b) - 2.5f * v[5];
        d[4] = v[0] + (sum_a + sum_b);
        d[5] = v[5];
    }
    static RL_INLINE void output(const f32v* m, f32v* y) { transform_output(m, y); }
    static RL_INLINE void output_grad(const f32v* y, f32v* d) { transform_output_grad(y, d); }
    static RL_INLINE void weight(const f32v* w, f32v* u) { transform_weight(w, u); }
    static RL_INLINE void weight_grad(const f32v* u, f32v* w) { transform_weight_grad(u, w); }
};

template <>
struct RowTransform<5> {
    static constexpr int points = 8;

    // B' d.
    static RL_INLINE void input(const f32v* d, f32v* v) {
        v[0] = (d[6] - d[0]) - kRowS * (d[4] - d[2]);
        RL_UNROLL
        for (int i = 0; i < 3; i++) {
            const RowPoint& at = kRowPoints[i];
            const f32v even = (d[6] - at.sum * d[4]) + at.product * d[2];
            const f32v odd = (d[5] - at.sum * d[3]) + at.product * d[1];
            v[1 + 2 * i] = even + at.p * odd;
            v[2 + 2 * i] = even - at.p * odd;
        }
        v[7] = (d[7] - d[1]) - kRowS * (d[5] - d[3]);
    }

    // B v.
    static RL_INLINE void input_grad(const f32v* v, f32v* d) {
        f32v sum[3], difference[3];
        RL_UNROLL
        for (int i = 0; i < 3; i++) {
            sum[i] = v[1 + 2 * i] + v[2 + 2 * i];
            difference[i] = kRowPoints[i].p * (v[1 + 2 * i] - v[2 + 2 * i]);
        }
        d[0] = -v[0];
        d[1] = -v[7], d[3] = kRowS * v[7], d[5] = -kRowS * v[7];
        d[2] = kRowS * v[0], d[4] = -kRowS * v[0], d[6] = v[0];
        RL_UNROLL
        for (int i = 0; i < 3; i++) {
            const RowPoint& at = kRowPoints[i];
            d[1] += at.product * difference[i], d[2] += at.product * sum[i];
            d[3] -= at.sum * difference[i], d[4] -= at.sum * sum[i];
            d[5] += difference[i], d[6] += sum[i];
        }
        d[7] = v[7];
    }

    // A' m.
    static RL_INLINE void output(const f32v* m, f32v* y) {
        f32v sum[3], difference[3];
        RL_UNROLL
        for (int i = 0; i < 3; i++) {
            sum[i] = m[1 + 2 * i] + m[2 + 2 * i];
            difference[i] = kRowPoints[i].p * (m[1 + 2 * i] - m[2 + 2 * i]);
        }
        constexpr float a2 = kRowPoints[0].p2, c2 = kRowPoints[2].p2;
        y[0] = m[0] + ((sum[0] + sum[1]) + sum[2]);
        y[1] = (difference[0] + difference[1]) + difference[2];
        y[2] = (a2 * sum[0] + sum[1]) + c2 * sum[2];
        y[3] = ((a2 * difference[0] + difference[1]) + c2 * difference[2]) + m[7];
    }

    // A dy.
    static RL_INLINE void output_grad(const f32v* y, f32v* d) {
        d[0] = y[0];
        RL_UNROLL
        for (int i = 0; i < 3; i++) {
            const RowPoint& at = kRowPoints[i];
            const f32v even = y[0] + at.p2 * y[2], odd = y[1] + at.p2 * y[3];
            d[1 + 2 * i] = even + at.p * odd;
            d[2 + 2 * i] = even - at.p * odd;
        }
        d[7] = y[3];
    }

    // G w.
    static RL_INLINE void weight(const f32v* w, f32v* u) {
        u[0] = -w[0];
        RL_UNROLL
        for (int i = 0; i < 3; i++) {
            const RowPoint& at = kRowPoints[i];
            const f32v even = at.scale * (w[0] + at.p2 * (w[2] + at.p2 * w[4]));
            const f32v odd = (at.scale * at.p) * (w[1] + at.p2 * w[3]);
            u[1 + 2 * i] = even + odd;
            u[2 + 2 * i] = even - odd;
        }
        u[7] = w[4];
    }

    // G' u.
    static RL_INLINE void weight_grad(const f32v* u, f32v* w) {
        f32v sum[3], difference[3];
        RL_UNROLL
        for (int i = 0; i < 3; i++) {
            const RowPoint& at = kRowPoints[i];
            sum[i] = at.scale * (u[1 + 2 * i] + u[2 + 2 * i]);
            difference[i] = (at.scale * at.p) * (u[1 + 2 * i] - u[2 + 2 * i]);
        }
        constexpr float a2 = kRowPoints[0].p2, c2 = kRowPoints[2].p2;
        w[0] = ((sum[0] + sum[1]) + sum[2]) - u[0];
        w[1] = (difference[0] + difference[1]) + difference[2];
        w[2] = (a2 * sum[0] + sum[1]) + c2 * sum[2];
        w[3] = (a2 * difference[0] + difference[1]) + c2 * difference[2];
        w[4] = ((a2 * a2) * sum[0] + sum[1]) + ((c2 * c2) * sum[2] + u[7]);
    }
};

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
