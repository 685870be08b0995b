// conv_last.h: convolution of channels-last images as products with the windows of pixels.
//
// One kernel row of a window is KW * C neighbouring numbers of such an image, so the windows of a
// block of pixels are quickly copied side by side, windows[pixel][ky][kx][c]. With the weight as
// (O, KH * KW * C), which is how it lies channels last, and results as (pixel, O):
//
//     forward          y = windows * weight'
//     input gradient   windows = grad * weight, whose numbers are added to where they were read
//     weight gradient  dweight = sum over blocks of grad' * windows
//
// Copying moves each number once for O multiply-adds; the weight gradient of few outputs copies the
// windows of grad instead. For 1 x 1 kernels of stride one the windows are the image itself, and each
// pass is one product. A block has up to 384 pixels, enough for all of them to share the reading of a
// weight that is larger than L2; for the weight gradient, as many as fill half of L2. Needs a single
// group.
#pragma once

#include "conv.h"
#include "conv_plane.h"
#include "conv_unfold.h"
#include "gemm.h"
#include "layout.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kWindowNumbers = 1 << 20;                 // of a block, 4 MB
constexpr int64_t kFewestWindows = 48, kMostWindows = 384;  // pixels of a block
constexpr int64_t kSummedNumbers = 1 << 17;                 // of one for sums, 512 KB
constexpr int64_t kWrittenGrain = 1 << 18;                  // numbers per range, 1 MB

inline int64_t window_size(const ConvShape& s) { return s.KH * s.KW * s.C; }
inline int64_t pixels_of_y(const ConvShape& s) { return s.N * s.OH * s.OW; }

inline int64_t window_blocks(int64_t pixels, int64_t size) {
    int64_t most = kWindowNumbers / size;
    if (most < kFewestWindows) most = kFewestWindows;
    if (most > kMostWindows) most = kMostWindows;
    return ceil_div(pixels, most);
}

// Calls run(at, from, n) for every stretch of n numbers, from place `at` of the window of output
// pixel (oy, ox) on, that lie side by side in an image, from place `from` on.
template <class Run>
RL_INLINE void for_each_run(const ConvShape& s, int64_t oy, int64_t ox, const Run& run) {
    const int64_t top = oy * s.stride_h - s.pad_h, left = ox * s.stride_w - s.pad_w;
    const int64_t taps = s.dil_w == 1 ? s.KW : 1;  // of a run
    for (int64_t ky = 0; ky < s.KH; ky++) {
        const int64_t y = top + ky * s.dil_h;
        if (y < 0 || y >= s.H) continue;
        for (int64_t kx = 0; kx < s.KW; kx += taps) {
            const int64_t x = left + kx * s.dil_w, first = x < 0 ? -x : 0;
            const int64_t count = min64(taps, s.W - x) - first;
            if (count > 0)
                run((ky * s.KW + kx + first) * s.C, (y * s.W + x + first) * s.C, count * s.C);
        }
    }
}

inline bool is_inside(const ConvShape& s, int64_t oy, int64_t ox) {
    const int64_t top = oy * s.stride_h - s.pad_h, left = ox * s.stride_w - s.pad_w;
    return top >= 0 && left >= 0 && top + (s.KH - 1) * s.dil_h < s.H &&
           left + (s.KW - 1) * s.dil_w < s.W;
}

// Calls body(image, oy, ox) for pixels first .. last - 1, counted over all images.
template <class Body>
RL_INLINE void for_each_pixel(const ConvShape& s, int64_t first, int64_t last, const Body& body) {
    int64_t ox = first % s.OW, oy = first / s.OW % s.OH, image = first / (s.OW * s.OH);
    for (int64_t i = first; i < last; i++) {
        body(image, oy, ox);
        if (++ox < s.OW) continue;
        ox = 0;
        if (++oy < s.OH) continue;
        oy = 0;
        image++;
    }
}

inline void copy_windows(const ConvShape& s, const float* x, int64_t first, int64_t last,
                         float* windows) {
    const int64_t size = window_size(s);
    for_each_pixel(s, first, last, [&](int64_t image, int64_t oy, int64_t ox) {
        const float* from = x + image * s.H * s.W * s.C;
        if (!is_inside(s, oy, ox)) fill_floats(windows, size, 0.0f);
        for_each_run(s, oy, ox, [&](int64_t at, int64_t place, int64_t n) {
            copy_floats(windows + at, from + place, n);
        });
        windows += size;
    });
}

inline void add_windows(const ConvShape& s, const float* windows, int64_t first, int64_t last,
                        float* dx) {
    const int64_t size = window_size(s);
    for_each_pixel(s, first, last, [&](int64_t image, int64_t oy, int64_t ox) {
        float* to = dx + image * s.H * s.W * s.C;
        for_each_run(s, oy, ox, [&](int64_t at, int64_t place, int64_t n) {
            add_floats(to + place, windows + at, n);
        });
        windows += size;
    });
}

inline void last_forward(const ConvShape& s, const float* x, const float* weight,
                         const float* bias, float* y) {
    const int64_t size = window_size(s), pixels = pixels_of_y(s);
    Gemm<float> all;
    all.M = pixels, all.N = s.O, all.K = size;
    all.a = x, all.a_row = size, all.a_col = 1;
    all.b = weight, all.b_row = 1, all.b_col = size;
    all.c = y, all.c_row = s.O;
    all.col_bias = bias, all.relu = s.relu;
    if (columns_are_image(s)) return gemm_all_threads(all);

    int64_t blocks = window_blocks(pixels, size);
    if (blocks > 1) blocks = ceil_div(blocks, num_threads()) * num_threads();
    if (blocks > 1) {  // else the product's own turning is enough
        float* turned = scratch<float>(kWeights, size * s.O);
        layout_kernels.turn(1, s.O, size, weight, turned);
        all.b = turned, all.b_row = s.O, all.b_col = 1;
    }
    const bool share_blocks = blocks >= num_threads();
    const auto run = [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; b++) {
            const int64_t first = share(pixels, blocks, b), last = share(pixels, blocks, b + 1);
            float* windows = scratch<float>(kPlane, (last - first) * size);
            copy_windows(s, x, first, last, windows);
            Gemm<float> g = all;
            g.M = last - first;
            g.a = windows;
            g.c = y + first * s.O;
            share_blocks ? gemm_one_thread(g) : gemm_all_threads(g);
        }
    };
    if (share_blocks)
        parallel_for(blocks, grain_for(blocks, s.work()), run);
    else
        run(0, blocks);
}

// A product with so few steps of k that writing it takes longer than the sums: shared out by what is
// written.
constexpr int64_t kFewSteps = 4;
inline void multiply_by_rows(const Gemm<float>& whole) {
    parallel_for(whole.M, ceil_div(kWrittenGrain, whole.N), [&](int64_t begin, int64_t end) {
        Gemm<float> g = whole;
        g.M = end - begin;
        g.rows_of_whole = whole.M;
        g.a += begin * g.a_row;
        g.c += begin * g.c_row;
        gemm_one_thread(g);
    });
}

inline void last_input_grad(const ConvShape& s, const float* grad, const float* weight,
                            float* dx) {
    const int64_t size = window_size(s), plane = s.OH * s.OW;
    Gemm<float> all;
    all.M = s.N * plane, all.N = size, all.K = s.O;
    all.a = grad, all.a_row = s.O, all.a_col = 1;
    all.b = weight, all.b_row = size, all.b_col = 1;
    all.c = dx, all.c_row = size;
    if (columns_are_image(s)) return s.O > kFewSteps ? gemm_all_threads(all) : multiply_by_rows(all);

    // Images are shared out, as the windows of one overlap.
    const int64_t blocks = window_blocks(plane, size), image = s.H * s.W * s.C;
    const bool share_images = s.N >= num_threads();
    const auto run = [&](int64_t begin, int64_t end) {
        for (int64_t i = begin * blocks; i < end * blocks; i++) {
            const int64_t n = i / blocks, b = i % blocks;
            const int64_t first = n * plane + share(plane, blocks, b);
            const int64_t last = n * plane + share(plane, blocks, b + 1);
            if (b == 0) fill_floats(dx + n * image, image, 0.0f);
            Gemm<float> g = all;
            g.M = last - first;
            g.a = grad + first * s.O;
            g.c = scratch<float>(kPlane, g.M * size);
            share_images ? gemm_one_thread(g) : gemm_all_threads(g);
            add_windows(s, g.c, first, last, dx);
        }
    };
    if (share_images)
        parallel_for(s.N, grain_for(s.N, s.work()), run);
    else
        run(0, s.N);
}

// ---------------------------------------------------------------------------- few outputs
// With few outputs and stride one it is the windows of grad that are small: output pixel p - k read
// input pixel p through tap k, so
//
//     dweight = windows' * x, windows of grad with the taps reversed, for all pixels of x.
//
// The parts that are summed apart do not depend on the number of threads.
constexpr int64_t kFewWindows = 512, kFewPart = 2048, kFewMostParts = 64;  // pixels; parts

inline bool few_outputs_pay(const ConvShape& s) {
    return s.KH * s.KW > 1 && s.stride_h == 1 && s.stride_w == 1 && s.O < 12 && 2 * s.O <= s.C;
}

// The convolution of grad whose windows those are, and whose outputs are the pixels of x.
inline ConvShape windows_of_grad(const ConvShape& s) {
    ConvShape t = s;
    t.C = s.O, t.H = s.OH, t.W = s.OW;
    t.O = s.C, t.OH = s.H, t.OW = s.W;
    t.pad_h = (s.KH - 1) * s.dil_h - s.pad_h, t.pad_w = (s.KW - 1) * s.dil_w - s.pad_w;
    return t;
}

// Pixels first .. last - 1 of x to sums[tap][output][channel].
inline void sum_few_outputs(const ConvShape& t, const float* grad, const float* x, int64_t first,
                            int64_t last, float* sums) {
    const int64_t size = window_size(t);
    float* const windows = scratch<float>(kPlane, kFewWindows * size);
    Gemm<float> g;
    g.M = size, g.N = t.O;
    g.a = windows, g.a_row = 1, g.a_col = size;
    g.b_row = t.O, g.b_col = 1;
    g.c = sums, g.c_row = t.O;
    for (int64_t p = first; p < last; p += kFewWindows) {
        g.K = min64(kFewWindows, last - p);
        copy_windows(t, grad, p, p + g.K, windows);
        g.b = x + p * t.O;
        g.accumulate = p > first;
        gemm_one_thread(g);
    }
}

// False if a number is not finite: padding meets other numbers here.
inline bool few_outputs_weight_grad(const ConvShape& s, const float* grad, const float* x,
                                    float* dweight) {
    const ConvShape t = windows_of_grad(s);
    const int64_t pixels = pixels_of_y(t), taps = s.KH * s.KW, size = taps * s.O * s.C;
    const int64_t parts = min64(ceil_div(pixels, kFewPart), kFewMostParts);
    float* const sums = scratch<float>(kSums, parts * size);
    parallel_for(parts, grain_for(parts, pixels * size), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            sum_few_outputs(t, grad, x, share(pixels, parts, i), share(pixels, parts, i + 1),
                            sums + i * size);
    });
    for (int64_t i = 1; i < parts; i++) add_floats(sums, sums + i * size, size);
    float poison = 0.0f;
    for (int64_t o = 0; o < s.O; o++)
        for (int64_t c = 0; c < s.C; c++)
            for (int64_t k = taps - 1; k >= 0; k--) {
                const float sum = sums[(k * s.O + o) * s.C + c];
                poison += sum * 0.0f;
                *dweight++ = sum;
            }
    return poison == 0.0f;
}

// dweight is (O, C, KH, KW).
inline void last_weight_grad(const ConvShape& s, const float* grad, const float* x,
                             float* dweight) {
    const int64_t size = window_size(s), pixels = pixels_of_y(s), taps = s.KH * s.KW;
    Gemm<float> all;
    all.M = s.O, all.N = size, all.K = pixels;
    all.a = grad, all.a_row = 1, all.a_col = s.O;
    all.b = x, all.b_row = size, all.b_col = 1;
    all.c = taps == 1 ? dweight : scratch<float>(kSums, s.O * size), all.c_row = size;
    if (columns_are_image(s)) return gemm_all_threads(all);
    if (few_outputs_pay(s) && few_outputs_weight_grad(s, grad, x, dweight)) return;

    const int64_t blocks = ceil_div(pixels, max64(kMostWindows, kSummedNumbers / size));
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t first = share(pixels, blocks, b), last = share(pixels, blocks, b + 1);
        float* windows = scratch<float>(kPlane, (last - first) * size);
        parallel_for(last - first, ceil_div(kUnfoldGrain, size), [&](int64_t begin, int64_t end) {
            copy_windows(s, x, first + begin, first + end, windows + begin * size);
        });
        Gemm<float> g = all;
        g.K = last - first;
        g.a = grad + first * s.O;
        g.b = windows;
        g.accumulate = b > 0;
        gemm_all_threads(g);
    }
    if (taps > 1) layout_kernels.turn(s.O, taps, s.C, all.c, dweight);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
