// conv_rows_strided_math.h: rows of 7 taps and stride two by Winograd's transforms: the arithmetic.
//
// As in conv_winograd_strided_math.h, but 4 taps meet the even pixels and 3 the odd ones: four
// outputs are F(4, 4) of 7 even pixels plus F(4, 3) of 6 odd ones. With the points +-a, +-b, +-c
// and infinity, which the odd ones do not need, both are added up point by point: 13
// multiplications for 28.
//
//     n(x) = (x^2 - a^2)(x^2 - b^2)(x^2 - c^2) = x^6 - s1 x^4 + s2 x^2 - s3
//
// Row p of B' holds n(x) / (x - p), row p of G the powers of p over
// n'(p) = 2 p (p^2 - q^2)(p^2 - r^2) where q and r are the other two. a = 3/8, b = 7/8 and c = 7/4
// keep the error near 5e-7 of the largest result for 3 channels and 7 rows of taps, twice that of
// plain summation.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kStridedRowTile = 4;  // outputs
constexpr int kStridedRowFinite = 6, kStridedRowPoints = 7;
constexpr int kStridedRowTaps = 7, kEvenTaps = 4, kOddTaps = 3;

// One of the points a, b, c with what the transforms need of it.
struct StridedRowPoint {
    float p, p2;     // the point, its square
    float sum;       // of the squares of the other two
    float product;   // of the same
    float scale;     // 1 / n'(p); of the opposite point it is the opposite
};

constexpr StridedRowPoint strided_row_point(double p, double q, double r) {
    return {float(p), float(p * p), float(q * q + r * r), float(q * q * r * r),
            float(1 / (2 * p * (p * p - q * q) * (p * p - r * r)))};
}

constexpr double kStridedA = 0.375, kStridedB = 0.875, kStridedC = 1.75;
constexpr StridedRowPoint kStridedRow[3] = {strided_row_point(kStridedA, kStridedB, kStridedC),
                                            strided_row_point(kStridedB, kStridedA, kStridedC),
                                            strided_row_point(kStridedC, kStridedA, kStridedB)};
constexpr float kStridedS1 = kStridedRow[0].p2 + kStridedRow[0].sum;
constexpr float kStridedS2 = kStridedRow[0].p2 * kStridedRow[0].sum + kStridedRow[0].product;
constexpr float kStridedS3 = kStridedRow[0].p2 * kStridedRow[0].product;

// B' d: 7 even pixels to 7 points, 6 odd ones to the finite points.
RL_INLINE void strided_row_input(const f32v* d, bool infinity, f32v* v) {
    RL_UNROLL
    for (int i = 0; i < 3; i++) {
        const StridedRowPoint& at = kStridedRow[i];
        const f32v even = (d[5] - at.sum * d[3]) + at.product * d[1];
        const f32v odd = at.p * ((d[4] - at.sum * d[2]) + at.product * d[0]);
        v[2 * i] = even + odd;
        v[2 * i + 1] = even - odd;
    }
    if (infinity) v[6] = ((d[6] - kStridedS1 * d[4]) + kStridedS2 * d[2]) - kStridedS3 * d[0];
}

// A' m.
RL_INLINE void strided_row_output(const f32v* m, f32v* y) {
    f32v sum[3], difference[3];
    RL_UNROLL
    for (int i = 0; i < 3; i++) {
        sum[i] = m[2 * i] + m[2 * i + 1];
        difference[i] = kStridedRow[i].p * (m[2 * i] - m[2 * i + 1]);
    }
    constexpr float a2 = kStridedRow[0].p2, b2 = kStridedRow[1].p2, c2 = kStridedRow[2].p2;
    y[0] = (sum[0] + sum[1]) + sum[2];
    y[1] = (difference[0] + difference[1]) + difference[2];
    y[2] = (a2 * sum[0] + b2 * sum[1]) + c2 * sum[2];
    y[3] = ((a2 * difference[0] + b2 * difference[1]) + c2 * difference[2]) + m[6];
}

// A dy.
RL_INLINE void strided_row_output_grad(const f32v* y, f32v* d) {
    RL_UNROLL
    for (int i = 0; i < 3; i++) {
        const StridedRowPoint& at = kStridedRow[i];
        const f32v even = y[0] + at.p2 * y[2], odd = at.p * (y[1] + at.p2 * y[3]);
        d[2 * i] = even + odd;
        d[2 * i + 1] = even - odd;
    }
    d[6] = y[3];
}

// G w of 4 taps; of 3, with a fourth that is zero, for the finite points.
RL_INLINE void strided_row_weight(const f32v* w, f32v* u) {
    RL_UNROLL
    for (int i = 0; i < 3; i++) {
        const StridedRowPoint& at = kStridedRow[i];
        const f32v even = at.scale * (w[0] + at.p2 * w[2]);
        const f32v odd = (at.scale * at.p) * (w[1] + at.p2 * w[3]);
        u[2 * i] = odd + even;
        u[2 * i + 1] = odd - even;
    }
    u[6] = w[3];
}

// G' u; without the point at infinity only the first 3 taps are meant.
RL_INLINE void strided_row_weight_grad(const f32v* u, bool infinity, f32v* w) {
    f32v even[3], odd[3];
    RL_UNROLL
    for (int i = 0; i < 3; i++) {
        const StridedRowPoint& at = kStridedRow[i];
        even[i] = at.scale * (u[2 * i] - u[2 * i + 1]);
        odd[i] = (at.scale * at.p) * (u[2 * i] + u[2 * i + 1]);
    }
    constexpr float a2 = kStridedRow[0].p2, b2 = kStridedRow[1].p2, c2 = kStridedRow[2].p2;
    w[0] = (even[0] + even[1]) + even[2];
    w[1] = (odd[0] + odd[1]) + odd[2];
    w[2] = (a2 * even[0] + b2 * even[1]) + c2 * even[2];
    w[3] = (a2 * odd[0] + b2 * odd[1]) + c2 * odd[2];
    if (infinity) w[3] += u[6];
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
