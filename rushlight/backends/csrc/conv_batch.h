// conv_batch.h: convolution of small images with few channels: one image per lane.
//
// Rows of 10 or 28 pixels fill vectors of 16 badly, and so do 3 or 6 channels. Here a vector holds
// the same pixel of W images, so that every lane works whatever the sizes, every tap that falls on
// padding is left out, and nothing is summed across lanes in the inner loops:
//
//     y[o][pixel] = sum over taps (c, ky, kx) of weight[o][tap] * x[c][pixel moved by the tap]
//
// with the weight broadcast and the sums of a tile in registers: 8 outputs x 3 pixels, 6 x 4, 3 x 8
// (half as many pixels with 16 registers). W images at a time are turned to the order
// [channel][row][column][lane], which is a transposition and costs little beside 25 taps; a row of
// results is turned back while it is in the cache. The input gradient is the same with inputs and
// outputs exchanged and the taps reversed (stride one only).
#pragma once

#include "conv.h"
#include "conv_direct.h"
#include "conv_lanes.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// What a block of W images may take of the second-level cache, in floats.
constexpr int64_t kBatchFloats = 160 << 10;

// ---------------------------------------------------------------------------- turning
// The runs of n numbers of `images` images, image_step apart; the other lanes have none.
inline void image_runs(const float* data, int64_t image_step, int images, int64_t n,
                       LaneRun* runs) {
    for (int k = 0; k < kW<float>; k++)
        runs[k] = {const_cast<float*>(data) + k * image_step, 0, k < images ? n : 0};
}

inline void images_to_lanes(const float* from, int64_t image_step, int images, int64_t n,
                            float* to) {
    LaneRun runs[kW<float>];
    image_runs(from, image_step, images, n, runs);
    runs_to_lanes(runs, n, to);
}

inline void lanes_to_images(const float* from, int64_t n, float* to, int64_t image_step,
                            int images) {
    LaneRun runs[kW<float>];
    image_runs(to, image_step, images, n, runs);
    lanes_to_runs<false>(from, n, runs);
}

// ---------------------------------------------------------------------------- forward
// A convolution of [C][H][W] to [O][OH][OW] vectors with dilation one.
struct BatchConv {
    int64_t C, H, W, O, OH, OW, KH, KW, stride_h, stride_w, pad_h, pad_w;
    const float* packed;  // blocks of outputs, each [c][ky][kx][output]
    const float* bias;
    bool relu;
};

// The taps first .. last - 1 of `kernel` that fall on one of `size` pixels from `start` on.
struct TapRange {
    int64_t first, last;
};
inline TapRange taps_inside(int64_t start, int64_t size, int64_t kernel) {
    return {start < 0 ? -start : 0, min64(kernel, size - start)};
}

// Sums of `Outputs` outputs at `Pixels` pixels, stride apart, that have the same taps. `x` is tap
// (0, 0, 0) of the first pixel, which need not exist.
template <int Outputs, int Pixels>
void batch_tile(const BatchConv& b, const float* x, TapRange rows, TapRange columns,
                const float* packed, const float* bias, float* y, int64_t y_output) {
    constexpr int W = kW<float>;
    f32v acc[Pixels][Outputs];
    RL_UNROLL
    for (int p = 0; p < Pixels; p++) {
        RL_UNROLL
        for (int o = 0; o < Outputs; o++) acc[p][o] = bias ? splat(bias[o]) : f32v{};
    }
    const int64_t step = b.stride_w * W;
    for (int64_t c = 0; c < b.C; c++)
        for (int64_t ky = rows.first; ky < rows.last; ky++) {
            const float* from = x + ((c * b.H + ky) * b.W + columns.first) * W;
            const float* weight = packed + ((c * b.KH + ky) * b.KW + columns.first) * Outputs;
            for (int64_t kx = columns.first; kx < columns.last; kx++) {
                f32v pixel[Pixels];
                RL_UNROLL
                for (int p = 0; p < Pixels; p++) pixel[p] = ld(from + p * step);
                RL_UNROLL
                for (int o = 0; o < Outputs; o++) {
                    const f32v factor = splat(weight[o]);
                    RL_UNROLL
                    for (int p = 0; p < Pixels; p++) acc[p][o] = fma(factor, pixel[p], acc[p][o]);
                }
                from += W;
                weight += Outputs;
            }
        }
    RL_UNROLL
    for (int p = 0; p < Pixels; p++) {
        RL_UNROLL
        for (int o = 0; o < Outputs; o++) st(y + o * y_output + p * W, rectified(acc[p][o], b.relu));
    }
}

// Pixels per tile: enough sums in flight to hide the latency of the additions, as far as there are
// registers.
constexpr int batch_pixels(int outputs) {
    const int fit = (kVecRegs == 32 ? 24 : 12) / outputs;
    return fit < 8 ? fit : 8;
}

// One row of results of a block of outputs.
template <int Outputs>
void batch_row(const BatchConv& b, const float* x, int64_t row, const float* packed,
               const float* bias, float* y) {
    constexpr int W = kW<float>;
    constexpr int P = batch_pixels(Outputs);
    const int64_t top = row * b.stride_h - b.pad_h;
    const TapRange rows = taps_inside(top, b.H, b.KH);
    for (int64_t column = 0; column < b.OW;) {
        const int64_t left = column * b.stride_w - b.pad_w;
        const float* from = x + (top * b.W + left) * W;
        float* to = y + column * W;
        const TapRange columns = taps_inside(left, b.W, b.KW);
        const bool all_taps = left >= 0 && left + (P - 1) * b.stride_w + b.KW <= b.W;
        if (P > 1 && all_taps && column + P <= b.OW) {
            batch_tile<Outputs, P>(b, from, rows, columns, packed, bias, to, b.OW * W);
            column += P;
        } else {
            batch_tile<Outputs, 1>(b, from, rows, columns, packed, bias, to, b.OW * W);
            column++;
        }
    }
}

typedef void (*BatchRow)(const BatchConv&, const float*, int64_t, const float*, const float*,
                         float*);
// Outputs are taken in nearly equal blocks of up to 8. With 16 registers these would be tiles of a
// single pixel, which load a number for every multiply-add: of 4 x 3 or else 6 x 2 instead.
inline int batch_outputs(int64_t left) {
    if (kVecRegs == 16 && left % 4 == 0) return 4;
    return int(ceil_div(left, ceil_div(left, kVecRegs == 16 ? 6 : 8)));
}
inline BatchRow batch_row_of(int outputs) {
    constexpr BatchRow rows[] = {batch_row<1>, batch_row<2>, batch_row<3>, batch_row<4>,
                                 batch_row<5>, batch_row<6>, batch_row<7>, batch_row<8>};
    return rows[outputs - 1];
}

// Weight of output o at tap (c, ky, kx): weight[o * o_step + c * c_step + tap], taps reversed if
// `reverse`.
inline void pack_batch(const BatchConv& b, const float* weight, int64_t o_step, int64_t c_step,
                       bool reverse, float* packed) {
    const int64_t taps = b.KH * b.KW;
    for (int64_t o = 0; o < b.O;) {
        const int outputs = batch_outputs(b.O - o);
        for (int64_t c = 0; c < b.C; c++)
            for (int64_t k = 0; k < taps; k++)
                for (int i = 0; i < outputs; i++)
                    *packed++ = weight[(o + i) * o_step + c * c_step + (reverse ? taps - 1 - k : k)];
        o += outputs;
    }
}

// y of N images from x, both channels first.
inline void batch_conv(const BatchConv& b, int64_t N, const float* x, float* y) {
    constexpr int W = kW<float>;
    const int64_t in = b.C * b.H * b.W, plane = b.OH * b.OW, out = b.O * plane;
    parallel_for(ceil_div(N, W), 1, [&](int64_t begin, int64_t end) {
        float* lanes = scratch<float>(kPlane, in * W);
        float* row = scratch<float>(kResult, 8 * b.OW * W);
        for (int64_t block = begin; block < end; block++) {
            const int images = int(min64(W, N - block * W));
            images_to_lanes(x + block * W * in, in, images, in, lanes);
            const float* packed = b.packed;
            for (int64_t o = 0; o < b.O;) {
                const int outputs = batch_outputs(b.O - o);
                const BatchRow run = batch_row_of(outputs);
                for (int64_t r = 0; r < b.OH; r++) {
                    run(b, lanes, r, packed, b.bias ? b.bias + o : nullptr, row);
                    for (int i = 0; i < outputs; i++)
                        lanes_to_images(row + i * b.OW * W, b.OW,
                                        y + block * W * out + (o + i) * plane + r * b.OW, out,
                                        images);
                }
                packed += b.C * b.KH * b.KW * outputs;
                o += outputs;
            }
        }
    });
}

inline void batch_forward(const ConvShape& s, const float* x, const float* weight,
                          const float* bias, float* y) {
    BatchConv b = {s.C,  s.H,        s.W,        s.O,     s.OH,    s.OW,    s.KH,
                   s.KW, s.stride_h, s.stride_w, s.pad_h, s.pad_w, nullptr, bias, s.relu};
    const int64_t taps = s.KH * s.KW;
    float* packed = scratch<float>(kWeights, s.O * s.C * taps);
    pack_batch(b, weight, s.C * taps, taps, false, packed);
    b.packed = packed;
    batch_conv(b, s.N, x, y);
}

inline void batch_input_grad(const ConvShape& s, const float* grad, const float* weight,
                             float* dx) {
    const int64_t pad_h = s.KH - 1 - s.pad_h, pad_w = s.KW - 1 - s.pad_w;
    BatchConv b = {s.O,  s.OH, s.OW, s.C,   s.H,   s.W,     s.KH,
                   s.KW, 1,    1,    pad_h, pad_w, nullptr, nullptr, false};
    const int64_t taps = s.KH * s.KW;
    float* packed = scratch<float>(kWeights, s.O * s.C * taps);
    pack_batch(b, weight, taps, s.C * taps, true, packed);
    b.packed = packed;
    batch_conv(b, s.N, grad, dx);
}

// ---------------------------------------------------------------------------- which
// Whether blocks of images fit the cache, fill the lanes and give every thread the same work.
inline bool batch_fits(const ConvShape& s, int64_t floats_per_image) {
    constexpr int W = kW<float>;
    if (s.groups != 1 || s.dil_h != 1 || s.dil_w != 1 || s.KH * s.KW == 1 || W < 8) return false;
    const int64_t blocks = ceil_div(s.N, W), threads = num_threads();
    if (s.N % W != 0 && blocks < 4) return false;
    if (blocks % threads != 0 && blocks < 4 * threads) return false;
    return floats_per_image * W <= kBatchFloats;
}

// Whether the vectors of conv_direct.h, of outputs or else of pixels, have idle lanes.
inline bool has_idle_lanes(int64_t outputs, int64_t columns) {
    const int64_t used = has_many_outputs(outputs) ? outputs : columns;
    return used * 10 < ceil_div(used, kW<float>) * kW<float> * 9;
}

// Turning the images must be little beside the taps: measured with AVX-512 on images of 10 to 32
// columns.
constexpr int64_t kBatchFewTaps = 25, kBatchManyTaps = 50, kBatchVeryManyTaps = 400;

inline bool batch_forward_pays(const ConvShape& s) {
    const int64_t taps = s.C * s.KH * s.KW;
    const bool slow_otherwise = has_idle_lanes(s.O, s.OW) || s.stride_w > 1;
    return taps >= (slow_otherwise ? kBatchFewTaps : kBatchManyTaps) &&
           batch_fits(s, s.C * s.H * s.W);
}

inline bool batch_input_grad_pays(const ConvShape& s) {
    const int64_t taps = s.O * s.KH * s.KW;
    const bool slow_otherwise = has_idle_lanes(s.C, s.W);
    return s.stride_h == 1 && s.stride_w == 1 &&
           taps >= (slow_otherwise ? kBatchManyTaps : kBatchVeryManyTaps) &&
           batch_fits(s, s.O * s.OH * s.OW);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
