// conv_rows_strided.h: convolution of few channels with stride two and kernels 7 wide, as networks
// for images begin with, by Winograd's transforms along rows; conv_rows_strided_math.h has the
// arithmetic. What forward and weight gradient have in common, and the former.
//
//   V[point][row][phase][c][tile]   8 pixels of x a tile, and 5 of the next one, turned into points
//   M[point][tile][o] = V[point] * U[point][ky][phase][c][o], for one row of y
//   y[o][row][4 * tile ...]         M turned into 4 pixels
//
// Vectors of V hold tiles of a row: x is padded (conv_plane.h), and its rows are split by the
// pixel's place in a tile. The rows that a row of y reads lie behind each other, so each point is
// one product, over 7 * 2 * 3 numbers for an image of colours. Eight rows of y are a task: what its
// V takes (105 KB for 224 pixels) stays in L2.
//
// A number that is not finite would spread over its tile: what is stored is watched, and false is
// returned if any result is not finite; the caller computes it all again directly.
#pragma once

#include "conv_rows_strided_math.h"
#include "conv_winograd_tiles.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kTilePixels = 2 * kStridedRowTile;  // of x, from a tile to the next
constexpr int64_t kStridedRows = 8;               // of y, a task's

// ---------------------------------------------------------------------------- V
// Where numbers of V go. Rows of x that are equal modulo `remainders` lie `row` apart, the first of
// each remainder `sub` apart; phases and channels are `lane` apart. Tiles are neighbours.
struct StridedRowPlaces {
    int64_t point, sub, row, lane;
    int64_t remainders;

    int64_t of_row(int64_t y) const { return y % remainders * sub + y / remainders * row; }
};

// 8 * W neighbouring numbers to 8 vectors: vector r holds numbers r, r + 8, r + 16 ...
RL_INLINE void split_in_eight(const float* from, f32v* to) {
    constexpr int W = kW<float>;
    typedef typename EverySecond<0, W>::type Even;
    typedef typename EverySecond<1, W>::type Odd;
    f32v halves[8], quarters[8];
    RL_UNROLL
    for (int i = 0; i < 4; i++) {
        const f32v a = ld(from + 2 * i * W), b = ld(from + (2 * i + 1) * W);
        halves[i] = shuffle(a, b, Even{});
        halves[4 + i] = shuffle(a, b, Odd{});
    }
    RL_UNROLL
    for (int i = 0; i < 4; i++) {
        quarters[i / 2 * 4 + i % 2] = shuffle(halves[2 * i], halves[2 * i + 1], Even{});
        quarters[i / 2 * 4 + 2 + i % 2] = shuffle(halves[2 * i], halves[2 * i + 1], Odd{});
    }
    RL_UNROLL
    for (int i = 0; i < 4; i++) {  // numbers 0, 2, 1 and 3 modulo 4
        const int r = i / 2 + i % 2 * 2;
        to[r] = shuffle(quarters[2 * i], quarters[2 * i + 1], Even{});
        to[r + 4] = shuffle(quarters[2 * i], quarters[2 * i + 1], Odd{});
    }
}

// A row of pixels to the points of its tiles, those of the even and of the odd pixels. `streams`
// has room for 8 rows of tiles and a vector more each.
inline void strided_row_to_points(const float* pixels, int64_t tiles, float* streams, float* even,
                                  float* odd, int64_t point, float* infinity) {
    constexpr int W = kW<float>, P = kTilePixels;
    const int64_t length = round_up(tiles, W) + W;
    for (int64_t t = 0; t < length; t += W) {
        f32v numbers[P];
        split_in_eight(pixels + t * P, numbers);
        RL_UNROLL
        for (int r = 0; r < P; r++) st(streams + r * length + t, numbers[r]);
    }
    for (int64_t t = 0; t < tiles; t += W) {
        const int n = int(min64(W, tiles - t));
        f32v d[kStridedRowPoints], v[kStridedRowPoints];
        RL_UNROLL
        for (int i = 0; i < kStridedRowPoints; i++)
            d[i] = ld(streams + 2 * i % P * length + t + 2 * i / P);
        strided_row_input(d, true, v);
        RL_UNROLL
        for (int p = 0; p < kStridedRowFinite; p++) stn(even + p * point + t, v[p], n);
        stn(infinity + t, v[kStridedRowFinite], n);
        RL_UNROLL
        for (int i = 0; i < kStridedRowFinite; i++)
            d[i] = ld(streams + (2 * i + 1) % P * length + t + (2 * i + 1) / P);
        strided_row_input(d, false, v);
        RL_UNROLL
        for (int p = 0; p < kStridedRowFinite; p++) stn(odd + p * point + t, v[p], n);
    }
}

inline int64_t strided_row_tiles(const ConvShape& s) { return ceil_div(s.OW, kStridedRowTile); }

// V of the rows of x that rows first .. first + rows - 1 of y read.
inline void strided_rows_to_points(const ConvShape& s, const float* image, int64_t first,
                                   int64_t rows, const StridedRowPlaces& finite,
                                   const StridedRowPlaces& infinite, float* V, float* V_infinity) {
    constexpr int W = kW<float>;
    const int64_t tiles = strided_row_tiles(s), length = round_up(tiles, W) + W;
    Plane p;
    p.C = s.C, p.H = s.H, p.W = s.W;
    p.top = first * s.stride_h - s.pad_h;
    p.left = -s.pad_w;
    p.rows = (rows - 1) * s.stride_h + s.KH;
    p.phases = 1;
    p.cols = length * kTilePixels;
    if (s.x_last) p.pixel = s.C;
    float* const plane = scratch<float>(kPlane, p.size() + kTilePixels * length);
    make_plane(p, image, 0.0f, plane);
    float* const streams = plane + p.size();
    for (int64_t c = 0; c < s.C; c++)
        for (int64_t y = 0; y < p.rows; y++) {
            float* const even = V + finite.of_row(y) + c * finite.lane;
            strided_row_to_points(plane + c * p.channel() + y * p.row(), tiles, streams, even,
                                  even + s.C * finite.lane, finite.point,
                                  V_infinity + infinite.of_row(y) + c * infinite.lane);
        }
}

// ---------------------------------------------------------------------------- forward
struct StridedRowsForward {
    const ConvShape& s;

    int64_t outputs() const { return round_up(s.O, kW<float>); }
    // Numbers that a sum is over; at infinity half as many.
    int64_t depth() const { return s.KH * 2 * s.C; }
    int64_t u_point() const { return depth() * outputs() + kW<float>; }
    int64_t pitch() const { return round_up(strided_row_tiles(s), kW<float>); }
    StridedRowPlaces places(int64_t rows, int phases) const {
        const int64_t row = phases * s.C * pitch();
        return {((rows - 1) * s.stride_h + s.KH) * row + kW<float>, 0, row, pitch(), 1};
    }
};

// The weight (O, C, KH, 7), or channels last (O, KH, 7, C), to U[point][ky][phase][c][o].
inline void pack_strided_rows(const StridedRowsForward& f, const float* weight, float* U) {
    constexpr int W = kW<float>, P = kStridedRowPoints;
    const ConvShape& s = f.s;
    const int64_t taps = s.KH * kStridedRowTaps, c_step = s.weight_last ? 1 : taps;
    const int64_t tap_step = s.weight_last ? s.C : 1;
    for (int64_t o = 0; o < s.O; o += W)
        for (int64_t ky = 0; ky < s.KH; ky++)
            for (int64_t c = 0; c < s.C; c++) {
                float turned[2 * kEvenTaps][W] = {};
                for (int i = 0; i < min64(W, s.O - o); i++)
                    for (int t = 0; t < kStridedRowTaps; t++)
                        turned[t][i] = weight[(o + i) * s.C * taps + c * c_step +
                                              (ky * kStridedRowTaps + t) * tap_step];
                RL_UNROLL
                for (int phase = 0; phase < 2; phase++) {
                    f32v w[kEvenTaps], u[P];
                    RL_UNROLL
                    for (int t = 0; t < kEvenTaps; t++) w[t] = ld(turned[2 * t + phase]);
                    strided_row_weight(w, u);
                    float* to = U + ((ky * 2 + phase) * s.C + c) * f.outputs() + o;
                    RL_UNROLL
                    for (int p = 0; p < kStridedRowFinite; p++) st(to + p * f.u_point(), u[p]);
                    if (phase == 0)
                        st(U + kStridedRowFinite * f.u_point() + (ky * s.C + c) * f.outputs() + o,
                           u[kStridedRowFinite]);
                }
            }
}

// M of one row of y and one vector of outputs to pixels[pixel][lane].
inline void strided_points_to_row(const float* M, int64_t point, int64_t row, int64_t tiles,
                                  f32v bias, float* pixels) {
    constexpr int W = kW<float>;
    for (int64_t t = 0; t < tiles; t++, M += row, pixels += kStridedRowTile * W) {
        f32v m[kStridedRowPoints], y[kStridedRowTile];
        RL_UNROLL
        for (int p = 0; p < kStridedRowPoints; p++) m[p] = ld(M + p * point);
        strided_row_output(m, y);
        RL_UNROLL
        for (int i = 0; i < kStridedRowTile; i++) st(pixels + i * W, y[i] + bias);
    }
}

// Rows first .. first + rows - 1 of an image of y.
inline f32v strided_rows_task(const StridedRowsForward& f, int64_t first, int64_t rows,
                              const float* image, const float* U, const float* bias, float* y) {
    constexpr int W = kW<float>;
    const ConvShape& s = f.s;
    const int64_t tiles = strided_row_tiles(s), outputs = f.outputs();
    const StridedRowPlaces finite = f.places(rows, 2), infinite = f.places(rows, 1);
    float* V = scratch<float>(kPanelA, kStridedRowFinite * finite.point + infinite.point);
    float* const V_infinity = V + kStridedRowFinite * finite.point;
    strided_rows_to_points(s, image, first, rows, finite, infinite, V, V_infinity);
    const int64_t m_point = tiles * outputs + W;
    float* M = scratch<float>(kPanelB, kStridedRowPoints * m_point);
    float* pixels = scratch<float>(kResult, tiles * kStridedRowTile * W);
    const ImageSteps steps = s.y_steps();
    f32v poison = {};
    for (int64_t r = 0; r < rows; r++) {
        Gemm<float> g;
        g.M = tiles, g.N = outputs;
        g.a_row = 1, g.a_col = f.pitch();
        g.b_row = outputs, g.b_col = 1;
        g.c_row = outputs;
        for (int p = 0; p < kStridedRowPoints; p++) {
            const bool at_infinity = p == kStridedRowFinite;
            g.K = at_infinity ? f.depth() / 2 : f.depth();
            g.a = V + p * finite.point + r * s.stride_h * (at_infinity ? infinite : finite).row;
            g.b = U + p * f.u_point();
            g.c = M + p * m_point;
            gemm_one_thread(g);
        }
        for (int64_t o = 0; o < s.O; o += W) {
            const int lanes = int(min64(W, s.O - o));
            const f32v shift = bias ? ldn(bias + o, lanes) : f32v{};
            const OutputRow out = {nullptr, steps, 1, s.OW, lanes, shift, s.relu};
            strided_points_to_row(M + o, m_point, outputs, tiles, shift, pixels);
            poison += store_pixels(pixels, out, y + o * steps.channel + (first + r) * steps.row);
        }
    }
    return poison;
}

// Too few channels for transforms in two dimensions, enough of them for products of a fair depth.
inline bool has_strided_rows(const ConvShape& s) {
    return s.groups == 1 && s.KW == kStridedRowTaps && s.stride_w == 2 && s.dil_h == 1 &&
           s.dil_w == 1 && s.C <= 8 && s.C * s.KH >= 14;
}

// Measured with AVX-512: turning a row to points must be shared by enough outputs.
inline bool strided_rows_forward_pays(const ConvShape& s) {
    return has_strided_rows(s) && s.OW >= 16 && s.O * s.OW >= 1024;
}

// y, if transforms pay and all of it is finite.
inline bool strided_rows_forward(const ConvShape& s, const float* x, const float* weight,
                                 const float* bias, float* y) {
    if (!strided_rows_forward_pays(s)) return false;
    const StridedRowsForward f = {s};
    float* U = scratch<float>(kWeights, kStridedRowPoints * f.u_point());
    pack_strided_rows(f, weight, U);
    const int64_t blocks = ceil_div(s.OH, kStridedRows), tasks = s.N * blocks;
    bool finite = true;
    parallel_for(tasks, grain_for(tasks, s.work() / 2), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t n = i / blocks, first = share(s.OH, blocks, i % blocks);
            const int64_t rows = share(s.OH, blocks, i % blocks + 1) - first;
            const f32v poison =
                strided_rows_task(f, first, rows, x + n * s.x_steps().image, U, bias,
                                  y + n * s.y_steps().image);
            if (hsum(poison) != 0.0f) __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
        }
    });
    return finite;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
