// conv_winograd_strided_math.h: 3 x 3 convolution of stride two by Winograd's transforms: the
// arithmetic along one axis.
//
// Output i reads inputs 2 i, 2 i + 1 and 2 i + 2. The even inputs e meet two taps, the odd ones f
// one, so four outputs, which read five e and four f, are the sum of a convolution F(4, 2) of e and
// a multiple of f:
//
//     y = A' [ (G (w0, w2)) . (B' e) ] + w1 f
//
// With the points +-a, +-b and infinity the finite rows of A' are a Vandermonde matrix V, and those
// of B' are D^-1 V^-1 where D has 1 / n'(point) on its diagonal, n(x) = (x^2 - a^2)(x^2 - b^2). So
// f may be taken to the same points: w1 f = V [ (w1 D 1) . (B' f) ]. Both phases are then added up
// point by point, and only sums are turned back: 9 multiplications for 12, and in two dimensions,
// where a point has the products of one, two or four phases, 81 for 144.
//
// All of it being linear in w and in y, the gradients use the same matrices:
//
//     input gradient    e's is a convolution F(4, 2) of grad with (w2, w0), f's is w1 grad
//     weight gradient   (dw0, dw2) = G' [ (A dy) . (B' e) ],  dw1 = (D 1)' [ (A dy) . (B' f) ]
//
// a = 1/2 and b = 5/4 keep the error near 1e-6 of the largest result for 64 channels and 2e-6 for
// 512; with a = 1 and b = 2 it is five times as much.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kStridedTile = 4;                              // outputs along an axis
constexpr int kStridedPatch = 9;                             // inputs along an axis
constexpr int kStridedFinite = 4, kStridedAxis = 5;          // points along an axis
constexpr int kStridedPoints = kStridedAxis * kStridedAxis;
constexpr int kStridedProducts = kStridedPatch * kStridedPatch;  // of a tile

constexpr float kNear = 0.5f, kFar = 1.25f;
constexpr float kNear2 = kNear * kNear, kFar2 = kFar * kFar;
// 1 / n' at kNear and at kFar; at the opposite points it has the opposite sign.
constexpr float kNearScale = 1 / (2 * kNear * (kNear2 - kFar2));
constexpr float kFarScale = 1 / (2 * kFar * (kFar2 - kNear2));

// B' of four numbers for the finite points.
RL_INLINE void to_finite_points(f32v d0, f32v d1, f32v d2, f32v d3, f32v* v) {
    const f32v odd_near = kNear * (d2 - kFar2 * d0), even_near = d3 - kFar2 * d1;
    const f32v odd_far = kFar * (d2 - kNear2 * d0), even_far = d3 - kNear2 * d1;
    v[0] = even_near + odd_near;
    v[1] = even_near - odd_near;
    v[2] = even_far + odd_far;
    v[3] = even_far - odd_far;
}

RL_INLINE f32v to_infinity(f32v d0, f32v d2, f32v d4) {
    return (d4 - (kNear2 + kFar2) * d2) + (kNear2 * kFar2) * d0;
}

// 9 neighbours to the 5 points of the even and the 4 of the odd ones.
RL_INLINE void transform_strided_input(const f32v* d, f32v* v) {
    to_finite_points(d[0], d[2], d[4], d[6], v);
    v[4] = to_infinity(d[0], d[4], d[8]);
    to_finite_points(d[1], d[3], d[5], d[7], v + kStridedAxis);
}

// 5 neighbours to 5 points.
RL_INLINE void transform_strided_grad(const f32v* d, f32v* v) {
    to_finite_points(d[0], d[1], d[2], d[3], v);
    v[4] = to_infinity(d[0], d[2], d[4]);
}

// A' m; without the point at infinity for the odd ones.
RL_INLINE void transform_strided_output(const f32v* m, bool infinity, f32v* y) {
    const f32v sum_near = m[0] + m[1], difference_near = kNear * (m[0] - m[1]);
    const f32v sum_far = m[2] + m[3], difference_far = kFar * (m[2] - m[3]);
    y[0] = sum_near + sum_far;
    y[1] = difference_near + difference_far;
    y[2] = kNear2 * sum_near + kFar2 * sum_far;
    y[3] = kNear2 * difference_near + kFar2 * difference_far;
    if (infinity) y[3] += m[4];
}

// A dy.
RL_INLINE void transform_strided_output_grad(const f32v* y, f32v* d) {
    const f32v even_near = y[0] + kNear2 * y[2], odd_near = kNear * (y[1] + kNear2 * y[3]);
    const f32v even_far = y[0] + kFar2 * y[2], odd_far = kFar * (y[1] + kFar2 * y[3]);
    d[0] = even_near + odd_near;
    d[1] = even_near - odd_near;
    d[2] = even_far + odd_far;
    d[3] = even_far - odd_far;
    d[4] = y[3];
}

// 3 taps to the 5 points of the outer two, G (w0, w2), and the 4 of the middle one.
RL_INLINE void transform_strided_weight(const f32v* w, f32v* u) {
    const f32v near = kNearScale * w[0], far = kFarScale * w[0];
    const f32v with_near = (kNearScale * kNear) * w[2], with_far = (kFarScale * kFar) * w[2];
    u[0] = with_near + near;
    u[1] = with_near - near;
    u[2] = with_far + far;
    u[3] = with_far - far;
    u[4] = w[2];
    u[5] = kNearScale * w[1];
    u[6] = -u[5];
    u[7] = kFarScale * w[1];
    u[8] = -u[7];
}

// The opposite: sums at those 9 to the gradients of 3 taps.
RL_INLINE void transform_strided_weight_grad(const f32v* u, f32v* w) {
    w[0] = kNearScale * (u[0] - u[1]) + kFarScale * (u[2] - u[3]);
    w[1] = kNearScale * (u[5] - u[6]) + kFarScale * (u[7] - u[8]);
    w[2] = u[4] + ((kNearScale * kNear) * (u[0] + u[1]) + (kFarScale * kFar) * (u[2] + u[3]));
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
