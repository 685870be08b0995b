// conv_unfold.h: convolution as a matrix product with unfolded windows.
//
// Row k = (c, ky, kx) of `columns` holds, for every output pixel, the number that this tap reads.
// The unfolded matrix is KH * KW times the image, which pays in two cases: 1x1 kernels, where it is
// the image itself, and small planes (the last stages of a network), whose rows are too short for
// the direct kernels. Several images are put side by side to make the product wide enough.
#pragma once

#include "conv.h"
#include "conv_plane.h"
#include "gemm.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// Multiply-adds worth handing to a second thread: about 30 microseconds.
constexpr int64_t kParallelWork = 1500000;
// Weight gradients are summed in so many parts, for so many threads at most, each with sums of its own:
// the number of threads must not change the order of the additions.
constexpr int64_t kSummedParts = 8;

inline int64_t grain_for(int64_t tasks, int64_t work) {
    return ceil_div(kParallelWork * tasks, work + 1);
}
// Parts of `count` images, or other things that are added up.
inline int64_t summed_parts(const ConvShape& s, int64_t count) {
    return s.work() < kParallelWork ? 1 : min64(kSummedParts, count);
}

inline bool columns_are_image(const ConvShape& s) {
    return s.KH == 1 && s.KW == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_h == 0 &&
           s.pad_w == 0;
}

// Numbers copied per range: about 15 microseconds. Where images are shared out already, the copying
// of each runs on one thread.
constexpr int64_t kUnfoldGrain = 1 << 15;

inline void unfold_channel(const ConvShape& s, const float* x, float* columns, int64_t step) {
    for (int64_t ky = 0; ky < s.KH; ky++)
        for (int64_t kx = 0; kx < s.KW; kx++, columns += step)
            for (int64_t oy = 0; oy < s.OH; oy++) {
                const int64_t y = oy * s.stride_h + ky * s.dil_h - s.pad_h;
                float* to = columns + oy * s.OW;
                if (y < 0 || y >= s.H)
                    fill_floats(to, s.OW, 0.0f);
                else
                    copy_row(to, x + y * s.W, s.W, kx * s.dil_w - s.pad_w, s.stride_w, s.OW, 0.0f);
            }
}

// One image's group of channels into columns `step` apart.
inline void unfold(const ConvShape& s, const float* x, float* columns, int64_t step) {
    const int64_t taps = s.KH * s.KW, grain = ceil_div(kUnfoldGrain, taps * s.OH * s.OW);
    parallel_for(s.group_channels(), grain, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; c++)
            unfold_channel(s, x + c * s.H * s.W, columns + c * taps * step, step);
    });
}

// The opposite: adds every column entry to the pixel it was read from. dx must be zeroed.
inline void fold(const ConvShape& s, const float* columns, int64_t step, float* dx) {
    for (int64_t c = 0; c < s.group_channels(); c++, dx += s.H * s.W)
        for (int64_t ky = 0; ky < s.KH; ky++)
            for (int64_t kx = 0; kx < s.KW; kx++, columns += step)
                for (int64_t oy = 0; oy < s.OH; oy++) {
                    const int64_t y = oy * s.stride_h + ky * s.dil_h - s.pad_h;
                    if (y < 0 || y >= s.H) continue;
                    const int64_t left = kx * s.dil_w - s.pad_w;
                    const float* from = columns + oy * s.OW;
                    float* row = dx + y * s.W;
                    int64_t ox = left >= 0 ? 0 : ceil_div(-left, s.stride_w);
                    const int64_t end = left >= s.W ? 0
                                                    : min64(s.OW, ceil_div(s.W - left, s.stride_w));
                    for (; ox < end; ox++) row[ox * s.stride_w + left] += from[ox];
                }
}

// Channel rows of `images` images side by side: to[c][n][pixel] = from[n][c][pixel], and back.
inline void gather_images(const float* from, int64_t image, int64_t channels, int64_t plane,
                          int64_t images, float* to) {
    const int64_t grain = ceil_div(kUnfoldGrain, images * plane);
    parallel_for(channels, grain, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; c++)
            for (int64_t n = 0; n < images; n++)
                copy_floats(to + (c * images + n) * plane, from + n * image + c * plane, plane);
    });
}
inline void scatter_images(const float* from, int64_t image, int64_t channels, int64_t plane,
                           int64_t images, float* to) {
    for (int64_t c = 0; c < channels; c++)
        for (int64_t n = 0; n < images; n++, from += plane)
            copy_floats(to + n * image + c * plane, from, plane);
}

// Who multiplies: one thread when images are shared out, all of them when there is but one block.
typedef void (*GemmFunction)(const Gemm<float>&);

struct UnfoldTask {
    const ConvShape* s;
    int64_t group, first, images;  // images first .. first + images - 1
    GemmFunction multiply;

    int64_t rows() const { return s->group_channels() * s->KH * s->KW; }
    int64_t plane() const { return s->OH * s->OW; }
    int64_t width() const { return images * plane(); }
    int64_t x_image() const { return s->C * s->H * s->W; }
    int64_t y_image() const { return s->O * plane(); }
    int64_t x_start() const {
        return first * x_image() + group * s->group_channels() * s->H * s->W;
    }
    int64_t y_start() const { return first * y_image() + group * s->group_outputs() * plane(); }
    int64_t weight_start() const { return group * s->group_outputs() * rows(); }
};

inline const float* columns_of(const UnfoldTask& t, const float* x) {
    if (t.images == 1 && columns_are_image(*t.s)) return x + t.x_start();
    float* columns = scratch<float>(kPlane, t.rows() * t.width());
    for (int64_t n = 0; n < t.images; n++)
        unfold(*t.s, x + t.x_start() + n * t.x_image(), columns + n * t.plane(), t.width());
    return columns;
}

inline const float* grads_of(const UnfoldTask& t, const float* grad) {
    if (t.images == 1) return grad + t.y_start();
    float* wide = scratch<float>(kPlane2, t.s->group_outputs() * t.width());
    gather_images(grad + t.y_start(), t.y_image(), t.s->group_outputs(), t.plane(), t.images, wide);
    return wide;
}

inline void unfold_forward(const UnfoldTask& t, const float* x, const float* weight,
                           const float* bias, float* y) {
    const int64_t O = t.s->group_outputs();
    Gemm<float> g;
    g.M = O, g.N = t.width(), g.K = t.rows();
    g.a = weight + t.weight_start(), g.a_row = g.K, g.a_col = 1;
    g.b = columns_of(t, x), g.b_row = g.N, g.b_col = 1;
    g.c = t.images == 1 ? y + t.y_start() : scratch<float>(kResult, O * g.N);
    g.c_row = g.N;
    g.row_bias = bias ? bias + t.group * O : nullptr;
    g.relu = t.s->relu;
    t.multiply(g);
    if (t.images > 1) scatter_images(g.c, t.y_image(), O, t.plane(), t.images, y + t.y_start());
}

// The columns of the input's gradient for few pixels, which would leave lanes of the product empty:
// the product is done pixel by row, where the vectors lie along the weight, and turned.
constexpr int64_t kFewPixels = 64;

inline void multiply_few_pixels(const UnfoldTask& t, const float* grads, const float* weight,
                                float* columns) {
    Gemm<float> g;
    g.M = t.width(), g.N = t.rows(), g.K = t.s->group_outputs();
    g.a = grads, g.a_row = 1, g.a_col = g.M;
    g.b = weight + t.weight_start(), g.b_row = g.N, g.b_col = 1;
    g.c = scratch<float>(kResult, g.M * g.N), g.c_row = g.N;
    t.multiply(g);
    interleave(g.c, g.N, g.M, g.N, columns);
}

inline void unfold_input_grad(const UnfoldTask& t, const float* grad, const float* weight,
                              float* dx) {
    const bool in_place = t.images == 1 && columns_are_image(*t.s);
    Gemm<float> g;
    g.M = t.rows(), g.N = t.width(), g.K = t.s->group_outputs();
    g.a = weight + t.weight_start(), g.a_row = 1, g.a_col = g.M;
    g.b = grads_of(t, grad), g.b_row = g.N, g.b_col = 1;
    g.c = in_place ? dx + t.x_start() : scratch<float>(kPlane, g.M * g.N);
    g.c_row = g.N;
    // Turning less than a vector of pixels runs over the end, which only scratch has room for.
    const bool roomy = !in_place || g.N > kW<float>;
    if (g.N <= kFewPixels && g.N % kW<float> != 0 && roomy)
        multiply_few_pixels(t, g.b, weight, g.c);
    else
        t.multiply(g);
    if (in_place) return;
    for (int64_t n = 0; n < t.images; n++) {
        float* target = dx + t.x_start() + n * t.x_image();
        fill_floats(target, t.s->group_channels() * t.s->H * t.s->W, 0.0f);
        fold(*t.s, g.c + n * t.plane(), g.N, target);
    }
}

// dweight (of all groups) += this task's products.
inline void unfold_weight_grad(const UnfoldTask& t, const float* grad, const float* x,
                               float* dweight) {
    Gemm<float> g;
    g.M = t.s->group_outputs(), g.N = t.rows(), g.K = t.width();
    g.a = grads_of(t, grad), g.a_row = g.K, g.a_col = 1;
    g.b = columns_of(t, x), g.b_row = 1, g.b_col = g.K;
    g.c = dweight + t.weight_start(), g.c_row = g.N;
    g.accumulate = true;
    t.multiply(g);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
