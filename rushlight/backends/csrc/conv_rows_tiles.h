// conv_rows_tiles.h: images to the points of transforms along rows (conv_rows_math.h), with tiles
// in the lanes, for conv_rows_many.h and conv_rows_outer.h.
//
// The tiles of all rows and channels lie behind each other, so no lane is idle, however short rows
// are. To this end an image is padded to whole tiles, and another time from the second tile on: the
// first 4 pixels of a tile, and the next ones, then lie at the same place.
#pragma once

#include "conv_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

// 4 * W neighbouring numbers to 4 vectors: vector r holds numbers r, r + 4, r + 8 ...
RL_INLINE void split_in_four(const float* from, f32v* to) {
    constexpr int W = kW<float>;
    typedef typename EverySecond<0, W>::type Even;
    typedef typename EverySecond<1, W>::type Odd;
    f32v halves[4];
    RL_UNROLL
    for (int i = 0; i < 2; i++) {
        const f32v a = ld(from + 2 * i * W), b = ld(from + (2 * i + 1) * W);
        halves[i] = shuffle(a, b, Even{});
        halves[2 + i] = shuffle(a, b, Odd{});
    }
    RL_UNROLL
    for (int i = 0; i < 2; i++) {
        to[i] = shuffle(halves[2 * i], halves[2 * i + 1], Even{});
        to[i + 2] = shuffle(halves[2 * i], halves[2 * i + 1], Odd{});
    }
}

// Rows and tiles of an image, the first of which begins at row `top`, column `left`.
inline Plane tiled_plane(int64_t C, int64_t H, int64_t W, int64_t top, int64_t left, int64_t rows,
                         int64_t tiles) {
    Plane p;
    p.C = C, p.H = H, p.W = W;
    p.top = top, p.left = left;
    p.rows = rows, p.phases = 1;
    p.cols = tiles * kRowTile;
    return p;
}

// Such a plane to V[point][c][row][tile].
template <int Taps>
void tiles_to_points(Plane p, const float* x, float* V, int64_t point) {
    typedef RowTransform<Taps> Transform;
    constexpr int W = kW<float>, T = kRowTile;
    const int64_t tiles = p.size() / T, room = p.size() + T * W;
    float* const first = scratch<float>(kPlane, 2 * room);
    float* const next = first + room;
    make_plane(p, x, 0.0f, first);
    p.left += T;
    make_plane(p, x, 0.0f, next);
    for (int64_t i = 0; i < tiles; i += W) {
        f32v d[2 * T], v[Transform::points];
        split_in_four(first + i * T, d);
        split_in_four(next + i * T, d + T);
        Transform::input(d, v);
        const int n = int(min64(W, tiles - i));
        RL_UNROLL
        for (int q = 0; q < Transform::points; q++) stn(V + q * point + i, v[q], n);
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
