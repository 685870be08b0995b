// conv_batch_weight.h: the weight gradient of convolution with one image per lane (conv_batch.h).
//
//     dweight[o][c][ky][kx] = sum over images, pixels  grad[o][pixel] * x[c][pixel moved by the tap]
//
// A tile holds the sums of up to 5 taps of one kernel row with up to 8 outputs while a few rows of
// pixels go by: each pixel costs one load per output and per tap. What a tile reads of grad, the
// sums and x of the block of images stay in the second-level cache. After the last row
// the lanes of every sum are folded. Blocks of images are shared out, and their sums added in order,
// so that the result does not depend on the number of threads.
#pragma once

#include "conv_batch.h"

namespace rl {
namespace RL_ISA {
namespace {

// Bytes of grad that one tile reads, again for every kernel row; less, and starting a tile costs.
constexpr int64_t kBatchGradBytes = 128 << 10;
constexpr int kBatchTapsTimesOutputs = kVecRegs == 32 ? 24 : 12;

// Columns (or rows) of grad for which tap `k` falls on one of `size` pixels of x.
struct PixelRange {
    int64_t first, last;
};
inline PixelRange pixels_inside(int64_t k, int64_t stride, int64_t pad, int64_t size,
                                int64_t count) {
    const int64_t before = pad - k, behind = size + pad - k;
    return {before > 0 ? ceil_div(before, stride) : 0, min64(count, ceil_div(behind, stride))};
}

struct BatchSums {
    const float* x;     // tap 0 of the tile at row 0 and column 0 of grad, which need not exist
    const float* grad;  // row 0 of the first output
    int64_t x_row, x_column, x_tap, grad_output, grad_row;
    PixelRange rows, columns;  // counted from there
    bool accumulate;           // add to what the sums hold
    float* sums;               // [tap][output of the block]
    int64_t sums_tap;
};

template <int Taps, int Outputs>
void batch_sums(const BatchSums& t) {
    constexpr int W = kW<float>;
    f32v acc[Taps][Outputs];
    RL_UNROLL
    for (int k = 0; k < Taps; k++) {
        RL_UNROLL
        for (int o = 0; o < Outputs; o++)
            acc[k][o] = t.accumulate ? ld(t.sums + k * t.sums_tap + o * W) : f32v{};
    }
    for (int64_t r = t.rows.first; r < t.rows.last; r++) {
        const float* x = t.x + r * t.x_row + t.columns.first * t.x_column;
        const float* grad = t.grad + r * t.grad_row + t.columns.first * W;
        for (int64_t c = t.columns.first; c < t.columns.last; c++, x += t.x_column, grad += W) {
            f32v pixel[Taps];
            RL_UNROLL
            for (int k = 0; k < Taps; k++) pixel[k] = in_register(ld(x + k * t.x_tap));
            RL_UNROLL
            for (int o = 0; o < Outputs; o++) {
                const f32v g = in_register(ld(grad + o * t.grad_output));
                RL_UNROLL
                for (int k = 0; k < Taps; k++) acc[k][o] = fma(g, pixel[k], acc[k][o]);
            }
        }
    }
    RL_UNROLL
    for (int k = 0; k < Taps; k++) {
        RL_UNROLL
        for (int o = 0; o < Outputs; o++) st(t.sums + k * t.sums_tap + o * W, acc[k][o]);
    }
}

template <int Taps>
inline void batch_sums_of(int outputs, const BatchSums& t) {
    if (outputs == 8 && Taps * 8 <= kBatchTapsTimesOutputs) return batch_sums<Taps, 8>(t);
    if (outputs == 4) return batch_sums<Taps, 4>(t);
    if (outputs == 2) return batch_sums<Taps, 2>(t);
    batch_sums<Taps, 1>(t);
}

// How many of the outputs that are left, and of a kernel row's taps, one tile takes.
inline int batch_sum_taps(int64_t left) { return left >= 5 ? 5 : left >= 3 ? 3 : 1; }
inline int batch_sum_outputs(int64_t left, int taps) {
    int outputs = 8;
    while (outputs > left || outputs * taps > kBatchTapsTimesOutputs) outputs /= 2;
    return outputs;
}

// All kernel rows and columns of one input channel with one block of outputs.
inline void batch_channel(const ConvShape& s, BatchSums t, int outputs, int64_t first_row,
                          int64_t rows, bool accumulate, const float* x, float* sums) {
    constexpr int W = kW<float>;
    t.sums_tap = outputs * W;
    t.x_row = s.stride_h * s.W * W;
    t.x_column = s.stride_w * W;
    t.x_tap = W;
    for (int64_t ky = 0; ky < s.KH; ky++) {
        const PixelRange all = pixels_inside(ky, s.stride_h, s.pad_h, s.H, s.OH);
        t.rows = {(all.first > first_row ? all.first : first_row) - first_row,
                  min64(all.last, first_row + rows) - first_row};
        const float* row = x + (first_row * s.stride_h + ky - s.pad_h) * s.W * W;
        for (int64_t kx = 0; kx < s.KW;) {
            const int taps = batch_sum_taps(s.KW - kx);
            t.x = row + (kx - s.pad_w) * W;
            t.sums = sums + (ky * s.KW + kx) * t.sums_tap;
            t.accumulate = accumulate;
            // The columns where all taps of the tile fall on pixels, then those of single taps.
            t.columns = {pixels_inside(kx, s.stride_w, s.pad_w, s.W, s.OW).first,
                         pixels_inside(kx + taps - 1, s.stride_w, s.pad_w, s.W, s.OW).last};
            if (taps == 5)
                batch_sums_of<5>(outputs, t);
            else if (taps == 3)
                batch_sums_of<3>(outputs, t);
            else
                batch_sums_of<1>(outputs, t);
            const PixelRange inside = t.columns;
            t.accumulate = true;
            for (int k = 0; k < taps; k++) {
                const PixelRange own = pixels_inside(kx + k, s.stride_w, s.pad_w, s.W, s.OW);
                const PixelRange edges[] = {{own.first, min64(inside.first, own.last)},
                                            {inside.last, own.last}};
                for (const PixelRange& edge : edges) {
                    if (edge.first >= edge.last) continue;
                    BatchSums single = t;
                    single.x += k * W;
                    single.sums += k * t.sums_tap;
                    single.columns = edge;
                    batch_sums_of<1>(outputs, single);
                }
            }
            kx += taps;
        }
    }
}

// Adds up one block of images: sums [block of outputs][c][ky][kx][output][lane].
inline void batch_block_sums(const ConvShape& s, int images, const float* grad, const float* x,
                             float* sums) {
    constexpr int W = kW<float>;
    const int64_t in = s.C * s.H * s.W, plane = s.OH * s.OW, taps = s.KH * s.KW;
    const int widest = batch_sum_outputs(s.O, batch_sum_taps(s.KW));
    const int64_t fit = kBatchGradBytes / (widest * s.OW * kVecBytes);
    const int64_t chunk = min64(s.OH, fit > 1 ? fit : 1);
    float* x_lanes = scratch<float>(kPlane, in * W);
    float* grad_lanes = scratch<float>(kPlane2, s.O * chunk * s.OW * W);
    images_to_lanes(x, in, images, in, x_lanes);
    BatchSums t;
    t.grad_row = s.OW * W;
    for (int64_t row = 0; row < s.OH; row += chunk) {
        const int64_t rows = min64(chunk, s.OH - row);
        t.grad_output = rows * t.grad_row;
        for (int64_t o = 0; o < s.O; o++)
            images_to_lanes(grad + o * plane + row * s.OW, s.O * plane, images, rows * s.OW,
                            grad_lanes + o * t.grad_output);
        float* own = sums;
        for (int64_t o = 0; o < s.O;) {
            const int outputs = batch_sum_outputs(s.O - o, batch_sum_taps(s.KW));
            t.grad = grad_lanes + o * t.grad_output;
            for (int64_t c = 0; c < s.C; c++, own += taps * outputs * W)
                batch_channel(s, t, outputs, row, rows, row > 0, x_lanes + c * s.H * s.W * W, own);
            o += outputs;
        }
    }
}

// Folds the lanes of every sum; the folded ones lie in the weight's order.
inline void fold_batch_sums(const ConvShape& s, const float* sums, float* dweight) {
    constexpr int W = kW<float>;
    const int64_t weights = s.C * s.KH * s.KW;
    for (int64_t o = 0; o < s.O;) {
        const int outputs = batch_sum_outputs(s.O - o, batch_sum_taps(s.KW));
        for (int64_t k = 0; k < weights; k++)
            for (int i = 0; i < outputs; i++, sums += W)
                dweight[(o + i) * weights + k] = hsum(ld(sums));
        o += outputs;
    }
}

// The vectors of conv_weight.h hold outputs, or else the taps of one output; with one or two
// channels and many registers the tiles here have more sums.
inline bool batch_weight_grad_pays(const ConvShape& s) {
    const int64_t taps = s.C * s.KH * s.KW;
    const bool slow_otherwise = has_idle_lanes(s.O, taps) || (s.C < 3 && kVecRegs == 32);
    return slow_otherwise && s.KW >= 3 && s.O * taps >= 48 && batch_fits(s, 2 * s.O * taps) &&
           batch_fits(s, s.C * s.H * s.W);
}

inline void batch_weight_grad(const ConvShape& s, const float* grad, const float* x,
                              float* dweight) {
    constexpr int W = kW<float>;
    const int64_t in = s.C * s.H * s.W, out = s.O * s.OH * s.OW;
    const int64_t size = s.O * s.C * s.KH * s.KW, blocks = ceil_div(s.N, W);
    float* parts = scratch<float>(kWeights, blocks * size);
    parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
        float* sums = scratch<float>(kSums, size * W);
        for (int64_t block = begin; block < end; block++) {
            const int images = int(min64(W, s.N - block * W));
            batch_block_sums(s, images, grad + block * W * out, x + block * W * in, sums);
            fold_batch_sums(s, sums, parts + block * size);
        }
    });
    for (int64_t block = 1; block < blocks; block++)
        add_floats(parts, parts + block * size, size);
    copy_floats(dweight, parts, size);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
