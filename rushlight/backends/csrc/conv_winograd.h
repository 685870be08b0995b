// conv_winograd.h: 3 x 3 convolution of stride one by Winograd's F(4 x 4, 3 x 3), see
// conv_winograd_math.h for the arithmetic. Forward, and input gradient as a convolution.
//
//   weights  U[point][k][o]     transformed once, in panels of two vectors of outputs
//   inputs   V[point][tile][k]  a block of tiles at a time, vectors hold channels
//   products M[tile][point][o]  36 matrix products V * U, for one panel of outputs, turned into
//                               pixels while they are in L2
//
// Groups are convolved one after the other, block by block; a panel holds outputs of one of them.
//
// Blocks are whole rows of tiles, of any number of images. A block has about 28 tiles (two full
// heights of the product's tile), enough to hide the reading of U, few enough to keep V in L2.
// When all tiles make one block (a small image), U is used only once: 128 channels of one panel
// are transformed (36 * 128 * 32 floats = 576 KB, in L2) and used at once, so that the weights are
// read from memory once and U is never written there. The same pays, with longer blocks, for a U
// that the last cache would not keep (37 MB for 512 x 512 channels). Products of 128 channels are
// added up in M, which also keeps the rounding error of long sums down.
//
// A number that is not finite would spread over its whole tile, so what is stored is watched:
// false is returned if any result is not finite, and the caller computes it all again directly.
#pragma once

#include "allocator.h"
#include "conv_winograd_math.h"
#include "conv_winograd_tiles.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

struct Winograd {
    int64_t N, C, H, W;    // what is read, C in each group
    int64_t O, OH, OW;     // what is written, O in each group
    int64_t pad_h, pad_w;  // may be negative
    ImageSteps in, out;    // how they lie
    const float* weight;
    WeightSteps steps;
    bool reversed;      // last tap first
    bool relu = false;  // negative results become zero
    int64_t groups = 1;

    // Panels of outputs, which hold those of one group.
    int64_t panel_width() const { return O > kW<float> ? 2 * kW<float> : kW<float>; }
    int64_t panels_of_group() const { return ceil_div(O, panel_width()); }
    int64_t panels() const { return groups * panels_of_group(); }
    int64_t tiles_h() const { return ceil_div(OH, kWinogradTile); }
    int64_t tiles_w() const { return ceil_div(OW, kWinogradTile); }
    int64_t tile_rows() const { return N * tiles_h(); }
    int64_t tiles() const { return tile_rows() * tiles_w(); }
};

constexpr int64_t kWinogradDepth = 128;                           // channels of a product

// ---------------------------------------------------------------------------- weights
// turned[tap][output] to u's points.
inline void transform_taps(const float* turned, bool reversed, float* u, int64_t u_point) {
    transform_both_axes<kWinogradPatch>(
        turned, reversed, [](const f32v* taps, f32v* points) { transform_weight(taps, points); },
        [&](int y, int x, f32v point) { st(u + (y * kWinogradPatch + x) * u_point, point); });
}

// A panel of `width` outputs, from output o of its group on.
struct OutputPanel {
    int64_t group, o, width;
};

inline OutputPanel output_panel(const Winograd& w, int64_t p) {
    const int64_t group = p / w.panels_of_group();
    const int64_t o = p % w.panels_of_group() * w.panel_width();
    return {group, o, w.O - o > kW<float> ? w.panel_width() : kW<float>};
}

// Room for the transformed weights of a panel.
inline int64_t panel_size(const Winograd& w) {
    return kWinogradPoints * panel_point(w.C, w.panel_width());
}

// Transforms inputs k0 .. k0 + depth - 1 of a panel to u[point][k][width].
inline void transform_weights(const Winograd& w, const OutputPanel& p, int64_t k0, int64_t depth,
                              float* u, int64_t u_point) {
    constexpr int W = kW<float>;
    const int64_t width = p.width;
    const float* const weight = w.weight + p.group * w.O * w.C * 9;
    float taps[W * 9 * W];
    for (int64_t v = 0; v < width; v += W) {
        const int outputs = int(min64(W, w.O - p.o - v));
        for (int64_t k = 0; k < depth; k += W) {
            const int count = int(min64(W, depth - k));
            load_taps(w.steps, weight + (p.o + v) * w.steps.output + (k0 + k) * w.steps.input,
                      outputs, count, taps);
            for (int i = 0; i < count; i++)
                transform_taps(taps + i * 9 * W, w.reversed, u + (k + i) * width + v, u_point);
        }
    }
}

// ---------------------------------------------------------------------------- inputs
// Inputs come as 6 x 6, overlapping by 2, the gradients of outputs as 4 x 4.
template <int Size>
RL_INLINE void transform_to_points(const f32v* d, f32v* v) {
    if constexpr (Size == kWinogradPatch)
        transform_input(d, v);
    else
        transform_output_grad(d, v);
}

// Along columns, where the pixels lie: pixels[row][col][lane], with room for 6 rows.
template <int Size>
void transform_columns(float* pixels, int64_t cols) {
    constexpr int W = kW<float>, P = kWinogradPatch;
    for (int64_t x = 0; x < cols; x++) {
        f32v d[Size], v[P];
        RL_UNROLL
        for (int i = 0; i < Size; i++) d[i] = ld(pixels + (i * cols + x) * W);
        transform_to_points<Size>(d, v);
        RL_UNROLL
        for (int i = 0; i < P; i++) st(pixels + (i * cols + x) * W, v[i]);
    }
}

// The same straight from an image that lies channels last, a whole vector of channels. Rows outside
// the image are read from zeros. As in load_pixels the next vector of channels is fetched.
template <int Size>
void transform_columns_of(const TiledImages& in, const float* channels, int64_t top, int64_t cols,
                          float* pixels) {
    constexpr int W = kW<float>, P = kWinogradPatch;
    const int64_t begin = min64(max64(in.pad_w, 0), cols);
    const int64_t end = max64(min64(in.W + in.pad_w, cols), begin);
    const float zeros[W] = {};
    const float* row[Size];
    int64_t step[Size];
    for (int i = 0; i < Size; i++) {
        const bool exists = top + i >= 0 && top + i < in.H;
        row[i] = exists ? channels + (top + i) * in.steps.row + (begin - in.pad_w) * in.steps.pixel
                        : zeros;
        step[i] = exists ? in.steps.pixel : 0;
    }
    for (int i = 0; i < P; i++) {
        fill_floats(pixels + i * cols * W, begin * W, 0.0f);
        fill_floats(pixels + (i * cols + end) * W, (cols - end) * W, 0.0f);
    }
    for (int64_t x = begin; x < end; x++) {
        f32v d[Size], v[P];
        RL_UNROLL
        for (int i = 0; i < Size; i++) {
            d[i] = ld(row[i]);
            if (i >= Size - kWinogradTile) __builtin_prefetch(row[i] + W);
            row[i] += step[i];
        }
        transform_to_points<Size>(d, v);
        RL_UNROLL
        for (int i = 0; i < P; i++) st(pixels + (i * cols + x) * W, v[i]);
    }
}

// Along rows, to V's points.
template <int Size>
void transform_rows(const float* pixels, int64_t cols, int64_t tiles, const PointMatrix& V,
                    float* to) {
    constexpr int W = kW<float>, P = kWinogradPatch;
    for (int i = 0; i < P; i++, to += P * V.point) {
        const float* from = pixels + i * cols * W;
        float* out = to;
        for (int64_t t = 0; t < tiles; t++, from += kWinogradTile * W, out += V.row) {
            f32v d[Size], v[P];
            RL_UNROLL
            for (int j = 0; j < Size; j++) d[j] = ld(from + j * W);
            transform_to_points<Size>(d, v);
            RL_UNROLL
            for (int j = 0; j < P; j++) st(out + j * V.point, v[j]);
        }
    }
}

// Rows of tiles first .. last - 1, counted over all images, into V from its row 0 on. One vector
// of channels at a time: the pixels of a row of tiles then stay in L1.
template <int Size>
void transform_tiles(const TiledImages& in, int64_t first, int64_t last, const PointMatrix& V) {
    constexpr int W = kW<float>, T = kWinogradTile;
    const int64_t cols = T * (in.wide - 1) + Size;
    float* pixels = scratch<float>(kResult, kWinogradPatch * cols * W);
    float* to = V.data;
    for (int64_t r = first; r < last; r++, to += in.wide * V.row) {
        const float* image = in.data + r / in.high * in.steps.image;
        const int64_t top = r % in.high * T - in.pad_h;
        for (int64_t c = 0; c < in.C; c += W) {
            const float* const channels = image + c * in.steps.channel;
            const int lanes = int(min64(W, in.C - c));
            if (in.steps.channel == 1 && lanes == W) {
                transform_columns_of<Size>(in, channels, top, cols, pixels);
            } else {
                load_tile_row<Size>(in, channels, lanes, top, cols, pixels);
                transform_columns<Size>(pixels, cols);
            }
            transform_rows<Size>(pixels, cols, in.wide, V, to + c);
        }
    }
}

// ---------------------------------------------------------------------------- outputs
// M[tile][point][lane]: the points of a tile lie side by side, where a constant step reaches them.
// A tile ends a vector later than it need: powers of two would map all tiles to one cache set.
inline int64_t tile_of_points(int64_t lanes) { return kWinogradPoints * lanes + kW<float>; }

// The points of a tile, Step apart, to 4 x 4 pixels: put(y, x, vector) takes them.
template <int Step, class Put>
RL_INLINE void transform_output_tile(const float* points, const Put& put) {
    constexpr int P = kWinogradPatch, T = kWinogradTile;
    f32v half[T][P];
    RL_UNROLL
    for (int i = 0; i < P; i++) {
        f32v m[P], y[T];
        RL_UNROLL
        for (int j = 0; j < P; j++) m[j] = ld(points + (i * P + j) * Step);
        transform_output(m, y);
        RL_UNROLL
        for (int j = 0; j < T; j++) half[j][i] = y[j];
    }
    RL_UNROLL
    for (int j = 0; j < T; j++) {
        f32v y[T];
        transform_output(half[j], y);
        RL_UNROLL
        for (int i = 0; i < T; i++) put(i, j, y[i]);
    }
}

// One row of tiles, one vector of channels, to pixels where they lie, channels last. Returns a
// vector that holds NaN if one of them is not finite.
template <int Step>
f32v store_output_row(const float* from, int64_t tiles, const OutputRow& out) {
    constexpr int W = kW<float>, T = kWinogradTile;
    f32v poison = {};
    for (int64_t t = 0; t < tiles; t++, from += tile_of_points(Step)) {
        float* const to = out.y + t * T * out.steps.pixel;
        const int64_t cols = min64(T, out.cols - t * T);
        if (out.rows == T && cols == T && out.channels == W) {
            transform_output_tile<Step>(from, [&](int y, int x, f32v v) RL_LAMBDA_INLINE {
                v += out.bias;
                poison += v * 0.0f;
                st(to + y * out.steps.row + x * out.steps.pixel, rectified(v, out.relu));
            });
            continue;
        }
        transform_output_tile<Step>(from, [&](int y, int x, f32v v) RL_LAMBDA_INLINE {
            if (y >= out.rows || x >= cols) return;
            v += out.bias;
            poison += v * 0.0f;
            stn(to + y * out.steps.row + x * out.steps.pixel, rectified(v, out.relu),
                out.channels);
        });
    }
    return poison;
}

// The same, channels first.
template <int Step>
f32v turn_output_row(const float* from, int64_t tiles, const OutputRow& out) {
    constexpr int W = kW<float>, T = kWinogradTile;
    float* const pixels = scratch<float>(kResult, T * T * tiles * W);
    const int64_t pixel_row = T * tiles * W;
    for (int64_t t = 0; t < tiles; t++, from += tile_of_points(Step)) {
        float* const to = pixels + t * T * W;
        transform_output_tile<Step>(from, [&](int y, int x, f32v v) RL_LAMBDA_INLINE {
            st(to + y * pixel_row + x * W, v + out.bias);
        });
    }
    f32v poison = {};
    for (int64_t i = 0; i < out.rows; i++)
        poison += store_pixels(pixels + i * pixel_row, out, out.y + i * out.steps.row);
    return poison;
}

// Rows of tiles first .. last - 1 of a panel of outputs.
inline f32v transform_outputs(const Winograd& w, const float* M, const OutputPanel& p,
                              int64_t first, int64_t last, const float* bias, float* y) {
    constexpr int W = kW<float>;
    const bool narrow = w.panel_width() == W;
    auto* const run = w.out.channel != 1 ? narrow ? turn_output_row<W> : turn_output_row<2 * W>
                      : narrow           ? store_output_row<W>
                                         : store_output_row<2 * W>;
    f32v poison = {};
    OutputRow out;
    out.steps = w.out;
    out.cols = w.OW;
    out.relu = w.relu;
    const int64_t row = w.tiles_w() * tile_of_points(w.panel_width());
    for (int64_t r = first; r < last; r++, M += row) {
        const int64_t image = r / w.tiles_h(), top = r % w.tiles_h() * kWinogradTile;
        out.rows = min64(kWinogradTile, w.OH - top);
        for (int64_t v = 0; v < p.width; v += W) {
            const int64_t o = p.group * w.O + p.o + v;
            out.channels = int(min64(W, w.O - p.o - v));
            out.bias = bias ? ldn(bias + o, out.channels) : f32v{};
            out.y = y + image * w.out.image + o * w.out.channel + top * w.out.row;
            poison += run(M + v, w.tiles_w(), out);
        }
    }
    return poison;
}

// ---------------------------------------------------------------------------- products
inline TiledImages tiled_inputs(const Winograd& w, const float* x, int64_t group = 0) {
    return {x + group * w.C * w.in.channel, w.C, w.H, w.W, w.in, w.pad_h, w.pad_w, w.tiles_h(),
            w.tiles_w()};
}

// `transformed` are the weights of all panels, or null.
inline bool winograd_task(const Winograd& w, const BlockTask& task, const float* transformed,
                          const float* x, const float* bias, float* y) {
    const int64_t tiles = (task.last - task.first) * w.tiles_w();
    PointMatrix V = PointMatrix::of(tiles, w.C, kWinogradPoints);
    V.data = scratch<float>(kPanelA, V.size());
    const int64_t M_tile = tile_of_points(w.panel_width());
    float* const M = scratch<float>(kPanelB, tiles * M_tile);
    const int64_t own_depth = min64(w.C, kWinogradDepth);
    const int64_t own_size = kWinogradPoints * panel_point(own_depth, w.panel_width());
    float* own = transformed ? nullptr : scratch<float>(kSums, own_size);
    f32v poison = {};
    int64_t group = -1;
    for (int64_t i = task.first_panel; i < task.last_panel; i++) {
        const OutputPanel p = output_panel(w, i);
        if (p.group != group)
            transform_tiles<kWinogradPatch>(tiled_inputs(w, x, p.group), task.first, task.last, V);
        group = p.group;
        for (int64_t k = 0; k < w.C; k += kWinogradDepth) {
            const int64_t depth = min64(kWinogradDepth, w.C - k);
            const int64_t u_point = panel_point(transformed ? w.C : depth, p.width);
            const float* u = own;
            if (transformed)
                u = transformed + i * panel_size(w) + k * p.width;
            else
                transform_weights(w, p, k, depth, own, u_point);
            const PointProducts products{tiles, depth, p.width, V.data + k, V.row, 1, V.point,
                                         u, p.width, u_point, M, M_tile, w.panel_width(), k > 0};
            multiply_points(products, 0, kWinogradPoints);
        }
        poison += transform_outputs(w, M, p, task.first, task.last, bias, y);
    }
    return hsum(poison) == 0.0f;
}

// Multiply-adds of the products, for sharing out.
inline int64_t winograd_work(const Winograd& w) {
    return kWinogradPoints * w.tiles() * w.groups * w.C * w.O;
}

// y = the convolution; false if it holds a number that is not finite.
inline bool winograd(const Winograd& w, const float* x, const float* bias, float* y) {
    const int64_t panels = w.panels(), size = panel_size(w);
    const bool small = panels * size <= kKeptWeights;
    const TileBlocks plan = plan_blocks(w.tile_rows(), w.tiles_w(), panels, small);
    const bool keep = small && plan.blocks > 1;
    const Scratch memory(size_t(keep ? panels * size : 0) * sizeof(float));
    float* const transformed = keep ? memory.as<float>() : nullptr;
    if (transformed)
        parallel_for(panels, ceil_div(1 << 13, w.C * w.panel_width()),
                     [&](int64_t begin, int64_t end) {
                         for (int64_t i = begin; i < end; i++) {
                             const OutputPanel p = output_panel(w, i);
                             transform_weights(w, p, 0, w.C, transformed + i * size,
                                               panel_point(w.C, p.width));
                         }
                     });

    return run_blocks(plan, winograd_work(w), [&](const BlockTask& task) {
        return winograd_task(w, task, transformed, x, bias, y);
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
