// conv_winograd_tiles.h: what convolutions by Winograd's transforms in two dimensions have in
// common: reading weights and images, one product per point, writing pixels, sharing out.
//
// Images lie channels first or channels last. Blocks of pixels of the former are turned in
// registers on their way, those of the latter are already what a vector holds.
#pragma once

#include "conv.h"
#include "conv_plane.h"
#include "gemm_tile.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// [point][row][lanes], rows and points a vector further apart than they need be: powers of two
// would map all points to one cache set.
struct PointMatrix {
    float* data;
    int64_t row, point, points;

    static PointMatrix of(int64_t rows, int64_t lanes, int64_t points) {
        constexpr int W = kW<float>;
        PointMatrix m;
        m.data = nullptr;
        m.row = round_up(lanes, W) + W;
        m.point = rows * m.row + W;
        m.points = points;
        return m;
    }
    int64_t size() const { return points * point; }
};

inline int64_t panel_point(int64_t depth, int64_t width) { return depth * width + kW<float>; }

// ---------------------------------------------------------------------------- weights
// Tap t of (output o, input k) is at o * output + k * input + t * tap.
struct WeightSteps {
    int64_t output, input, tap;
};

// The taps of `count` inputs and of `outputs` outputs, up to a vector of each, from `from` on:
// to[k][tap][output]. Whichever of the three axes is contiguous in memory is read along.
inline void load_taps(const WeightSteps& w, const float* from, int outputs, int count, float* to) {
    constexpr int W = kW<float>;
    if (w.output == 1) {
        for (int k = 0; k < count; k++)
            for (int t = 0; t < 9; t++)
                st(to + (k * 9 + t) * W, ldn(from + k * w.input + t * w.tap, outputs));
        return;
    }
    // Squares of outputs x taps, or, of outputs x inputs, turned.
    const bool along_k = w.input == 1;
    const int squares = along_k ? 9 : count, length = along_k ? count : 9;
    const int64_t square_step = along_k ? w.tap : w.input;
    const int to_square = along_k ? W : 9 * W, to_row = along_k ? 9 * W : W;
    for (int s = 0; s < squares; s++)
        for (int first = 0; first < length; first += W) {
            const float* square = from + s * square_step + first;
            const int n = length - first < W ? length - first : W;
            f32v block[W];
            RL_UNROLL
            for (int j = 0; j < W; j++)
                block[j] = j < outputs ? ldn(square + j * w.output, n) : f32v{};
            transpose(block);
            for (int i = 0; i < n; i++) st(to + s * to_square + (first + i) * to_row, block[i]);
        }
}

// turned[tap][output] transformed along both axes: along(three taps, P numbers) is the transform of
// one axis, put(y, x, vector) takes the result.
template <int P, class Along, class Put>
RL_INLINE void transform_both_axes(const float* turned, bool reversed, const Along& along,
                                   const Put& put) {
    constexpr int W = kW<float>;
    f32v columns[3][P];
    RL_UNROLL
    for (int x = 0; x < 3; x++) {
        f32v column[3];
        RL_UNROLL
        for (int y = 0; y < 3; y++) {
            const int tap = 3 * y + x;
            column[y] = ld(turned + (reversed ? 8 - tap : tap) * W);
        }
        along(column, columns[x]);
    }
    RL_UNROLL
    for (int y = 0; y < P; y++) {
        const f32v row[3] = {columns[0][y], columns[1][y], columns[2][y]};
        f32v points[P];
        along(row, points);
        RL_UNROLL
        for (int x = 0; x < P; x++) put(y, x, points[x]);
    }
}

// ---------------------------------------------------------------------------- inputs
// Images cut into rows of `wide` tiles, `high` of them each; the first tile's first pixel lies
// pad_h and pad_w before the image.
struct TiledImages {
    const float* data;
    int64_t C, H, W;
    ImageSteps steps;
    int64_t pad_h, pad_w;
    int64_t high, wide;
};

// n pixels of up to W channels, zeros for the others: to[pixel][lane]. Channels last, the next
// vector of channels is fetched: the processor does not see it coming when pixels are far apart.
inline void load_pixels(const float* from, const ImageSteps& steps, int lanes, int64_t n,
                        float* to) {
    constexpr int W = kW<float>;
    if (steps.channel != 1) return interleave_vector(from, steps.channel, lanes, n, to);
    for (int64_t i = 0; i < n; i++, from += steps.pixel) {
        __builtin_prefetch(from + W);
        st(to + i * W, lanes == W ? ld(from) : ldn(from, lanes));
    }
}

// The pixels of one row of tiles, one vector of channels: to[row][col][lane], padding included.
template <int Size>
void load_tile_row(const TiledImages& in, const float* channels, int lanes, int64_t top,
                   int64_t cols, float* to) {
    constexpr int W = kW<float>;
    const int64_t begin = min64(in.pad_w > 0 ? in.pad_w : 0, cols);
    const int64_t end = min64(in.W + in.pad_w, cols);
    for (int r = 0; r < Size; r++, to += cols * W) {
        const int64_t y = top + r;
        if (y < 0 || y >= in.H || end <= begin) {
            fill_floats(to, cols * W, 0.0f);
            continue;
        }
        fill_floats(to, begin * W, 0.0f);
        load_pixels(channels + y * in.steps.row + (begin - in.pad_w) * in.steps.pixel, in.steps,
                    lanes, end - begin, to + begin * W);
        fill_floats(to + end * W, (cols - end) * W, 0.0f);
    }
}

// ---------------------------------------------------------------------------- outputs
struct OutputRow {
    float* y;            // the first pixel of the first channel
    ImageSteps steps;
    int64_t rows, cols;  // pixels that exist
    int channels;        // that exist
    f32v bias;
    bool relu;
};

// One row of pixels[col][lane] to y. Returns a vector that holds NaN if a pixel is not finite.
inline f32v store_pixels(const float* pixels, const OutputRow& out, float* y) {
    constexpr int W = kW<float>;
    f32v poison = {};
    if (out.steps.channel == 1) {
        for (int64_t x = 0; x < out.cols; x++, y += out.steps.pixel) {
            const f32v pixel = ld(pixels + x * W);
            poison += pixel * 0.0f;
            stn(y, rectified(pixel, out.relu), out.channels);
        }
        return poison;
    }
    for (int64_t x = 0; x < out.cols; x += W) {
        const int n = int(min64(W, out.cols - x));
        f32v block[W];
        RL_UNROLL
        for (int j = 0; j < W; j++) block[j] = j < n ? ld(pixels + (x + j) * W) : f32v{};
        RL_UNROLL
        for (int j = 0; j < W; j++) poison += block[j] * 0.0f;
        transpose(block);
        float* to = y + x;
        for (int c = 0; c < out.channels; c++, to += out.steps.channel)
            stn(to, rectified(block[c], out.relu), n);
    }
    return poison;
}

// ---------------------------------------------------------------------------- products
// c[point] = a[point] * b[point], of M x K times K x width, width one or two vectors.
struct PointProducts {
    int64_t M, K, width;
    const float* a;
    int64_t a_row, a_k, a_point;
    const float* b;
    int64_t b_k, b_point;
    float* c;
    int64_t c_row, c_point;
    bool accumulate;  // add to what c holds
};

// B is but one panel, so the tiles of the matrix product are called without its planning, which for
// 16 x 16 weights would take as long as the product. Each fetches what the next point reads of B.
inline void multiply_points(const PointProducts& p, int64_t first_point, int64_t last_point) {
    constexpr int W = kW<float>;
    const int64_t blocks = ceil_div(p.M, kTileRows);
    Tile<float> t = {};
    t.K = p.K;
    t.a_row = p.a_row, t.a_k = p.a_k;
    t.b_k = p.b_k;
    t.c_row = p.c_row;
    t.last = W;
    t.accumulate = p.accumulate;
    t.ahead_step = p.b_k;
    for (int64_t point = first_point; point < last_point; point++)
        for (int64_t block = 0; block < blocks; block++) {
            const int64_t row = share(p.M, blocks, block);
            const int rows = int(share(p.M, blocks, block + 1) - row);
            t.a = p.a + point * p.a_point + row * p.a_row;
            t.b = p.b + point * p.b_point;
            t.c = p.c + point * p.c_point + row * p.c_row;
            t.ahead = t.b + p.b_point + (block % 2 < p.width / W ? block % 2 * W : 0);
            (p.width > W ? tile_of_height<float, 2> : tile_of_height<float, 1>)(rows)(t);
        }
}

// ---------------------------------------------------------------------------- sharing out
constexpr int64_t kTileBlock = 28, kLongTileBlock = 112;  // tiles
constexpr int64_t kKeptWeights = 4 << 20;                 // numbers, 16 MB

// Rows of tiles in blocks, each block's panels of outputs in parts.
struct TileBlocks {
    int64_t rows, panels;
    int64_t blocks, parts;
};

// Rows of tiles first .. last - 1 and panels first_panel .. last_panel - 1.
struct BlockTask {
    int64_t first, last;
    int64_t first_panel, last_panel;
};

// `small`: the transformed weights stay in the last cache.
inline TileBlocks plan_blocks(int64_t rows, int64_t tiles_w, int64_t panels, bool small) {
    const int64_t block_rows = ceil_div(small ? kTileBlock : kLongTileBlock, tiles_w);
    const int64_t threads = num_threads(), least = ceil_div(rows, block_rows);
    // As many for each thread, if there are so few that it matters.
    const bool even_out = least >= threads && least < 4 * threads;
    const int64_t rounded = min64(rows, ceil_div(least, threads) * threads);
    const int64_t blocks = even_out ? rounded : least;
    return {rows, panels, blocks, blocks >= threads ? 1 : min64(panels, threads)};
}

// Runs body(task) for every part of every block; false if one was. `work` is that of all, in
// multiply-adds.
template <class Body>
bool run_blocks(const TileBlocks& b, int64_t work, const Body& body) {
    bool finite = true;
    const int64_t tasks = b.blocks * b.parts, grain = ceil_div(tasks << 20, work + 1);
    parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t block = i / b.parts, part = i % b.parts;
            const BlockTask task{share(b.rows, b.blocks, block),
                                 share(b.rows, b.blocks, block + 1),
                                 share(b.panels, b.parts, part),
                                 share(b.panels, b.parts, part + 1)};
            if (!body(task)) __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
        }
    });
    return finite;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
