// conv_winograd_strided.h: 3 x 3 convolution of stride two by Winograd's transforms: weights and
// images to points and back; conv_winograd_strided_math.h has the arithmetic.
//
// The pixels of an image fall into four phases by whether their row and column, counted with the
// padding, are odd. A tile has 5 x 5 points; at each the products of one, two or four phases are
// added up (a phase of odd rows has no point at infinity along columns, and so on). Phases are
// ordered so that those of a point are neighbours: each point is one product.
//
//   forward          conv_winograd_strided_forward.h    9 x 9 pixels to 4 x 4, steps of 8 and of 4
//   input gradient   conv_winograd_strided_input.h      5 x 5 of grad to 4 x 4 of each phase
//   weight gradient  conv_winograd_strided_weight.h     sums over tiles of both
//
// Blocks of tiles and what is watched are as in conv_winograd.h.
#pragma once

#include "conv_winograd_strided_math.h"
#include "conv_winograd_tiles.h"

namespace rl {
namespace RL_ISA {
namespace {

// ---------------------------------------------------------------------------- phases
constexpr int kPhases = 4;

// Odd columns come first and last: even rows have phases 0 and 1, odd ones 2 and 3.
constexpr int phase_of(bool odd_row, bool odd_column) {
    return odd_row ? (odd_column ? 3 : 2) : (odd_column ? 0 : 1);
}

// The phases first .. last - 1 that a point has.
struct PhasesOfPoint {
    int first, last;
    int count() const { return last - first; }
};
inline PhasesOfPoint phases_of(int point) {
    const bool finite_row = point / kStridedAxis < kStridedFinite;
    const bool finite_column = point % kStridedAxis < kStridedFinite;
    return {finite_column ? 0 : 1, !finite_row ? 2 : finite_column ? 4 : 3};
}

// Where number i of the 9 along rows and j of those along columns belongs.
constexpr int point_of(int i, int j) {
    return i % kStridedAxis * kStridedAxis + j % kStridedAxis;
}
constexpr int phase_of_numbers(int i, int j) {
    return phase_of(i >= kStridedAxis, j >= kStridedAxis);
}

// Some channels, padded to whole vectors, whose phases lie side by side.
struct Chunk {
    int64_t first, channels;
    int64_t depth() const { return round_up(channels, kW<float>); }
    int64_t start() const { return kPhases * first; }  // where its first phase lies
    int64_t lanes() const { return kPhases * depth(); }
};

// All channels in chunks of `size`, a multiple of the vectors' width.
struct Chunks {
    int64_t channels, size;
    int64_t count() const { return ceil_div(channels, size); }
    Chunk at(int64_t i) const { return {i * size, min64(size, channels - i * size)}; }
    Chunk of(int64_t channel) const { return at(channel / size); }
};
constexpr int64_t kPhaseChannels = 32;

inline Chunks one_chunk(int64_t channels) { return {channels, round_up(channels, kW<float>)}; }
inline int64_t phased_lanes(int64_t channels) {
    return kPhases * round_up(channels, kW<float>);
}

// ---------------------------------------------------------------------------- weights
// turned[tap][lane] to u's points and phases.
inline void transform_strided_taps(const float* turned, bool reversed, float* u, int64_t u_point,
                                   int64_t u_phase) {
    transform_both_axes<kStridedPatch>(
        turned, reversed,
        [](const f32v* taps, f32v* points) { transform_strided_weight(taps, points); },
        [&](int y, int x, f32v point) {
            st(u + point_of(y, x) * u_point + phase_of_numbers(y, x) * u_phase, point);
        });
}

struct StridedWeight {
    const float* data;
    WeightSteps steps;
    int64_t O;      // outputs of the products, which vectors hold
    bool reversed;  // last tap first

    const float* at(int64_t o, int64_t k) const {
        return data + o * steps.output + k * steps.input;
    }
};

// The chunk of outputs o .. o + width - 1 to u[point][phase][k][output], u_row apart.
inline void transform_chunk(const StridedWeight& w, int64_t o, int64_t width, const Chunk& chunk,
                            float* u, int64_t u_point, int64_t u_row) {
    constexpr int W = kW<float>;
    float taps[W * 9 * W];
    for (int64_t v = 0; v < width; v += W) {
        const int outputs = int(min64(W, w.O - o - v));
        for (int64_t k = 0; k < chunk.depth(); k += W) {
            const int count = int(min64(W, chunk.channels - k));
            if (count < W) fill_floats(taps, W * 9 * W, 0.0f);  // inputs that do not exist
            load_taps(w.steps, w.at(o + v, chunk.first + k), outputs, count, taps);
            for (int i = 0; i < W; i++)
                transform_strided_taps(taps + i * 9 * W, w.reversed, u + (k + i) * u_row + v,
                                       u_point, chunk.depth() * u_row);
        }
    }
}

// ---------------------------------------------------------------------------- inputs
// 9 x 9 pixels, or 5 x 5 numbers of grad, along one axis.
template <int Size>
RL_INLINE void transform_strided(const f32v* d, f32v* v) {
    if constexpr (Size == kStridedPatch)
        transform_strided_input(d, v);
    else if constexpr (Size == kStridedAxis)
        transform_strided_grad(d, v);
    else
        transform_strided_output_grad(d, v);
}

// Columns first, where they lie, then rows, to V's points; phases, if there are several, `depth`
// apart.
template <int Size, int Step>
void transform_strided_row(float* pixels, int64_t cols, int64_t tiles, const PointMatrix& V,
                           int64_t depth, float* to) {
    constexpr int W = kW<float>, P = Size < kStridedAxis ? kStridedAxis : Size;
    for (int64_t x = 0; x < cols; x++) {
        f32v d[Size], v[P];
        RL_UNROLL
        for (int i = 0; i < Size; i++) d[i] = ld(pixels + (i * cols + x) * W);
        transform_strided<Size>(d, v);
        RL_UNROLL
        for (int i = 0; i < P; i++) st(pixels + (i * cols + x) * W, v[i]);
    }
    for (int i = 0; i < P; i++) {
        const float* from = pixels + i * cols * W;
        float* out = to;
        for (int64_t t = 0; t < tiles; t++, from += Step * W, out += V.row) {
            f32v d[Size], v[P];
            RL_UNROLL
            for (int j = 0; j < Size; j++) d[j] = ld(from + j * W);
            transform_strided<Size>(d, v);
            RL_UNROLL
            for (int j = 0; j < P; j++) {
                const int64_t phase = P == kStridedPatch ? phase_of_numbers(i, j) : 0;
                st(out + point_of(i, j) * V.point + phase * depth, v[j]);
            }
        }
    }
}

// Rows of tiles first .. last - 1, counted over all images, into V from its row 0 on: pixels, by
// phases, or grad. One vector of channels at a time: the pixels of a row of tiles then stay in L1.
template <int Size, int Step>
void transform_strided_tiles(const TiledImages& in, const Chunks& chunks, int64_t first,
                             int64_t last, const PointMatrix& V) {
    constexpr int W = kW<float>, Rows = Size < kStridedAxis ? kStridedAxis : Size;
    constexpr bool phased = Size == kStridedPatch;
    const int64_t cols = Step * (in.wide - 1) + Size;
    float* pixels = scratch<float>(kResult, Rows * cols * W);
    float* to = V.data;
    for (int64_t r = first; r < last; r++, to += in.wide * V.row) {
        const float* image = in.data + r / in.high * in.steps.image;
        const int64_t top = r % in.high * Step - in.pad_h;
        for (int64_t c = 0; c < in.C; c += W) {
            const Chunk chunk = chunks.of(c);
            load_tile_row<Size>(in, image + c * in.steps.channel, int(min64(W, in.C - c)), top,
                                cols, pixels);
            transform_strided_row<Size, Step>(
                pixels, cols, in.wide, V, chunk.depth(),
                to + (phased ? chunk.start() + c - chunk.first : c));
        }
    }
}

inline void transform_strided_images(const TiledImages& in, const Chunks& chunks, int64_t first,
                                     int64_t last, const PointMatrix& V) {
    transform_strided_tiles<kStridedPatch, 2 * kStridedTile>(in, chunks, first, last, V);
}
// Of grad: 5 x 5 numbers for the input gradient, 4 x 4 for that of the weight.
template <int Size>
void transform_strided_grads(const TiledImages& in, int64_t first, int64_t last,
                             const PointMatrix& V) {
    transform_strided_tiles<Size, kStridedTile>(in, one_chunk(in.C), first, last, V);
}

// ---------------------------------------------------------------------------- outputs
// The points of one phase of one tile to 4 x 4 pixels: to[row][column][lane], both steps given.
template <bool InfinityRow, bool InfinityColumn>
RL_INLINE void transform_phase(const float* from, int64_t point, f32v bias, float* to, int64_t row,
                               int64_t column) {
    constexpr int T = kStridedTile, A = kStridedAxis;
    constexpr int Rows = InfinityRow ? A : T, Columns = InfinityColumn ? A : T;
    f32v half[T][A];
    RL_UNROLL
    for (int i = 0; i < Rows; i++) {
        f32v m[A], y[T];
        RL_UNROLL
        for (int j = 0; j < Columns; j++) m[j] = ld(from + (i * A + j) * point);
        transform_strided_output(m, InfinityColumn, y);
        RL_UNROLL
        for (int j = 0; j < T; j++) half[j][i] = y[j];
    }
    RL_UNROLL
    for (int j = 0; j < T; j++) {
        f32v y[T];
        transform_strided_output(half[j], InfinityRow, y);
        RL_UNROLL
        for (int i = 0; i < T; i++) st(to + i * row + j * column, y[i] + bias);
    }
}

struct TiledOutputs {
    float* data;
    int64_t O, H, W;
    ImageSteps steps;
    int64_t high, wide;
    int64_t skip_h, skip_w;  // pixels of the first tile that do not exist
    const float* bias;
    bool relu;
};

// Rows of tiles first .. last - 1 of outputs o .. o + lanes - 1, from M. Size is 4, or 8 for the
// four phases of the input gradient, `depth` apart. Returns a vector that holds NaN if a pixel is
// not finite.
template <int Size>
f32v transform_strided_outputs(const TiledOutputs& t, const PointMatrix& M, int64_t depth,
                               int64_t o, int64_t first, int64_t last) {
    constexpr int W = kW<float>;
    const int64_t row = Size * t.wide * W;
    float* pixels = scratch<float>(kResult, Size * row);
    OutputRow out;
    out.steps = t.steps, out.relu = t.relu;
    out.cols = t.W;
    out.channels = int(min64(W, t.O - o));
    out.bias = t.bias ? ldn(t.bias + o, out.channels) : f32v{};
    f32v poison = {};
    const f32v zero = {};
    const float* from = M.data;
    for (int64_t r = first; r < last; r++) {
        float* to = pixels;
        for (int64_t i = 0; i < t.wide; i++, from += M.row, to += Size * W) {
            if constexpr (Size == kStridedTile) {
                transform_phase<true, true>(from, M.point, out.bias, to, row, W);
            } else {  // odd pixels of the padded image come first
                const int64_t below = 2 * row, right = 2 * W;
                transform_phase<false, false>(from + phase_of(true, true) * depth, M.point, zero,
                                              to, below, right);
                transform_phase<false, true>(from + phase_of(true, false) * depth, M.point, zero,
                                             to + W, below, right);
                transform_phase<true, false>(from + phase_of(false, true) * depth, M.point, zero,
                                             to + row, below, right);
                transform_phase<true, true>(from + phase_of(false, false) * depth, M.point, zero,
                                            to + row + W, below, right);
            }
        }
        const int64_t top = r % t.high * Size - t.skip_h;
        float* y = t.data + r / t.high * t.steps.image + o * t.steps.channel;
        for (int64_t i = top < 0 ? -top : 0; i < min64(Size, t.H - top); i++)
            poison += store_pixels(pixels + i * row + t.skip_w * W, out,
                                   y + (top + i) * t.steps.row);
    }
    return poison;
}

// ---------------------------------------------------------------------------- sizes
inline int64_t strided_tiles(int64_t outputs) { return ceil_div(outputs, kStridedTile); }

// Multiply-adds of the products of all tiles of y.
inline int64_t strided_work(const ConvShape& s) {
    return s.N * strided_tiles(s.OH) * strided_tiles(s.OW) * kStridedProducts * s.C * s.O;
}

inline TiledImages strided_inputs(const ConvShape& s, const float* x) {
    return {x, s.C, s.H, s.W, s.x_steps(), s.pad_h, s.pad_w, strided_tiles(s.OH),
            strided_tiles(s.OW)};
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
