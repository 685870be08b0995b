// conv_winograd_math.h: Winograd's 3 x 3 convolution F(4 x 4, 3 x 3): the transforms.
//
// A tile of 4 x 4 outputs reads 6 x 6 inputs. Seen as products of polynomials, the 144
// multiplications become 36, one for each pair of the points 0, +-a, +-b and infinity:
//
//     y = A' [ (G w G') . (B' d B) ] A      w 3 x 3, d 6 x 6, y 4 x 4, ' transposed, . by element
//
// and, this being linear in w, the weight gradient uses the same matrices the other way around:
//
//     dw = G' [ (A dy A') . (B' d B) ] G
//
// a = sqrt(1/2) and b = sqrt(2) rather than the usual 1 and 2: with a * b = 1 the numbers of the
// matrices stay near one, and the largest error, 1e-6 of the largest result for 64 channels and
// 3e-6 for 512, is about that of plain summation; the usual points lose ten times as much.
//
// Every function is one dimension of a transform; they are applied to columns, then to rows.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kWinogradTile = 4;                                    // outputs along an axis
constexpr int kWinogradPatch = 6;                                   // inputs along an axis
constexpr int kWinogradPoints = kWinogradPatch * kWinogradPatch;    // products per tile
constexpr float kPointA = 0.70710678118654752f, kPointB = 1.41421356237309505f;

// B' d.
RL_INLINE void transform_input(const f32v* d, f32v* v) {
    const f32v even_a = d[4] - 2.0f * d[2], odd_a = d[3] - 2.0f * d[1];
    const f32v even_b = d[4] - 0.5f * d[2], odd_b = d[3] - 0.5f * d[1];
    v[0] = (d[0] - 2.5f * d[2]) + d[4];
    v[1] = even_a + kPointA * odd_a;
    v[2] = even_a - kPointA * odd_a;
    v[3] = even_b + kPointB * odd_b;
    v[4] = even_b - kPointB * odd_b;
    v[5] = (d[1] - 2.5f * d[3]) + d[5];
}

// A' m.
RL_INLINE void transform_output(const f32v* m, f32v* y) {
    const f32v sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const f32v sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + (sum_a + sum_b);
    y[1] = kPointA * difference_a + kPointB * difference_b;
    y[2] = 0.5f * sum_a + 2.0f * sum_b;
    y[3] = (kPointA / 2) * difference_a + (2 * kPointB * difference_b + m[5]);
}

// A dy.
RL_INLINE void transform_output_grad(const f32v* y, f32v* d) {
    const f32v even_a = y[0] + 0.5f * y[2], odd_a = y[1] + 0.5f * y[3];
    const f32v even_b = y[0] + 2.0f * y[2], odd_b = y[1] + 2.0f * y[3];
    d[0] = y[0];
    d[1] = even_a + kPointA * odd_a;
    d[2] = even_a - kPointA * odd_a;
    d[3] = even_b + kPointB * odd_b;
    d[4] = even_b - kPointB * odd_b;
    d[5] = y[3];
}

// G w.
constexpr float kThird = 1.0f / 3, kSixth = 1.0f / 6;
constexpr float kThirdB = 0.47140452079103168f, kSixthB = 0.23570226039551584f;

RL_INLINE void transform_weight(const f32v* w, f32v* u) {
    const f32v even_a = -2 * kThird * w[0] - kThird * w[2];
    const f32v even_b = kSixth * w[0] + kThird * w[2];
    u[0] = w[0];
    u[1] = even_a - kThirdB * w[1];
    u[2] = even_a + kThirdB * w[1];
    u[3] = even_b + kSixthB * w[1];
    u[4] = even_b - kSixthB * w[1];
    u[5] = w[2];
}

// G' u.
RL_INLINE void transform_weight_grad(const f32v* u, f32v* w) {
    const f32v sum_a = u[1] + u[2], sum_b = u[3] + u[4];
    w[0] = u[0] + (kSixth * sum_b - 2 * kThird * sum_a);
    w[1] = kSixthB * (u[3] - u[4]) - kThirdB * (u[1] - u[2]);
    w[2] = u[5] + kThird * (sum_b - sum_a);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
