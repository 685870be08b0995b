// conv_plane.h: copies of images laid out so that the inner loops need no special cases.
//
// A plane is a padded copy of one image, and for stride s along a row its columns are sorted by
// their remainder modulo s: columns 0, s, 2s, ... then 1, s+1, ... Neighbouring output pixels then
// read neighbouring numbers whatever the stride, and tap (c, ky, kx) of output pixel (oy, ox) lies
// at a fixed offset from it. Padding, stride and dilation are dealt with here once.
//
// A pixel-major copy holds the channels of a pixel side by side; the weight gradient's sums over
// pixels want it that way. It is made by W x W transposes in registers.
#pragma once

#include "gemm_scratch.h"

namespace rl {
namespace RL_ISA {
namespace {

struct Plane {
    int64_t C, H, W;      // the source
    int64_t top, left;    // source row and column of the plane's first element; may be outside
    int64_t rows;         // rows of the plane
    int64_t phases;       // stride along the row
    int64_t cols;         // columns per phase
    int64_t pixel = 1;    // in the source, from a pixel to the next: 1, or if it is channels last
                          // the number of all channels

    bool source_is_last() const { return pixel > 1; }
    int64_t source_row() const { return W * pixel; }
    int64_t source_channel() const { return source_is_last() ? 1 : H * W; }
    int64_t row() const { return phases * cols; }
    int64_t channel() const { return rows * row(); }
    int64_t size() const { return C * channel(); }
};

inline void fill_floats(float* p, int64_t n, float value) {
    const f32v v = splat(value);
    int64_t i = 0;
    for (; i + kW<float> <= n; i += kW<float>) st(p + i, v);
    if (i < n) stn(p + i, v, int(n - i));
}

inline void copy_floats(float* to, const float* from, int64_t n) {
    int64_t i = 0;
    for (; i + kW<float> <= n; i += kW<float>) st(to + i, ld(from + i));
    if (i < n) stn(to + i, ldn(from + i, int(n - i)), int(n - i));
}

inline void add_floats(float* to, const float* from, int64_t n) {
    int64_t i = 0;
    for (; i + kW<float> <= n; i += kW<float>) st(to + i, ld(to + i) + ld(from + i));
    if (i < n) {
        const int rest = int(n - i);
        stn(to + i, ldn(to + i, rest) + ldn(from + i, rest), rest);
    }
}

// n pairs of neighbours into their first and their second numbers.
inline void split_pairs(const float* from, int64_t n, float* first, float* second) {
    constexpr int W = kW<float>;
    f32v even, odd;
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        load_pairs(from + 2 * i, W, &even, &odd);
        st(first + i, even);
        st(second + i, odd);
    }
    if (i == n) return;
    load_pairs(from + 2 * i, int(n - i), &even, &odd);
    stn(first + i, even, int(n - i));
    stn(second + i, odd, int(n - i));
}

// The last number is copied alone, because its right neighbour may lie outside the source.
inline void copy_every_second(float* to, const float* from, int64_t n) {
    constexpr int W = kW<float>;
    f32v even, odd;
    int64_t i = 0;
    for (; i + W <= n - 1; i += W) {
        load_pairs(from + 2 * i, W, &even, &odd);
        st(to + i, even);
    }
    if (i < n - 1) {
        load_pairs(from + 2 * i, int(n - 1 - i), &even, &odd);
        stn(to + i, even, int(n - 1 - i));
    }
    if (n > 0) to[n - 1] = from[2 * (n - 1)];
}

// Columns left, left + step, ... of a source row of W numbers; `outside` where there are none.
inline void copy_row(float* to, const float* from, int64_t W, int64_t left, int64_t step,
                     int64_t cols, float outside) {
    int64_t begin = left >= 0 ? 0 : min64(ceil_div(-left, step), cols);
    int64_t end = left >= W ? 0 : min64(ceil_div(W - left, step), cols);
    if (end < begin) end = begin;
    fill_floats(to, begin, outside);
    const float* src = from + left;
    if (step == 1)
        copy_floats(to + begin, src + begin, end - begin);
    else if (step == 2)
        copy_every_second(to + begin, src + 2 * begin, end - begin);
    else
        for (int64_t i = begin; i < end; i++) to[i] = src[i * step];
    fill_floats(to + end, cols - end, outside);
}

// Stride two: each channel is padded first, then both phases of a row split at once.
inline void make_pairs(const Plane& p, const float* src, float outside, float* dst) {
    const int64_t wide = 2 * p.cols;
    float* padded = scratch<float>(kPlane2, p.rows * wide);
    for (int64_t c = 0; c < p.C; c++, src += p.H * p.W) {
        for (int64_t r = 0; r < p.rows; r++) {
            const int64_t y = p.top + r;
            if (y < 0 || y >= p.H)
                fill_floats(padded + r * wide, wide, outside);
            else
                copy_row(padded + r * wide, src + y * p.W, p.W, p.left, 1, wide, outside);
        }
        for (int64_t r = 0; r < p.rows; r++, dst += wide)
            split_pairs(padded + r * wide, p.cols, dst, dst + p.cols);
    }
}

// Up to W pixels of up to W channels to rows, turned in registers.
inline void split_square(const float* from, int64_t pixel, int pixels, int channels, float* to,
                         int64_t row) {
    constexpr int W = kW<float>;
    f32v block[W];
    RL_UNROLL
    for (int i = 0; i < W; i++) block[i] = i < pixels ? ldn(from + i * pixel, channels) : f32v{};
    transpose(block);
    for (int c = 0; c < channels; c++) stn(to + c * row, block[c], pixels);
}

// n pixels, `pixel` numbers apart, to C rows of numbers, `row` apart. With a constant number of
// channels the compiler finds the shuffles.
template <int Channels>
void split_channels(const float* __restrict from, int64_t n, int64_t pixel, int64_t C,
                    float* __restrict to, int64_t row) {
    if constexpr (Channels > 0) {
        for (int64_t i = 0; i < n; i++)
            for (int c = 0; c < Channels; c++) to[c * row + i] = from[i * Channels + c];
    } else {
        for (int64_t c = 0; c < C; c += kW<float>)
            for (int64_t i = 0; i < n; i += kW<float>)
                split_square(from + i * pixel + c, pixel, int(min64(kW<float>, n - i)),
                             int(min64(kW<float>, C - c)), to + c * row + i, row);
    }
}

// From channels last, for few channels: each row of the source becomes a padded row per channel,
// then phases.
inline void make_plane_from_last(const Plane& p, const float* src, float outside, float* dst) {
    auto* const split = p.pixel == 3 && p.C == 3 ? split_channels<3> : split_channels<0>;
    const int64_t wide = p.row(), first = min64(p.left < 0 ? -p.left : 0, wide);
    const int64_t last = max64(min64(p.W - p.left, wide), first);
    float* rows = scratch<float>(kPlane2, p.C * wide);
    fill_floats(rows, p.C * wide, outside);
    for (int64_t r = 0; r < p.rows; r++, dst += wide) {
        const int64_t y = p.top + r;
        const bool exists = y >= 0 && y < p.H && last > first;
        if (exists)
            split(src + y * p.source_row() + (p.left + first) * p.pixel, last - first, p.pixel, p.C,
                  rows + first, wide);
        for (int64_t c = 0; c < p.C; c++) {
            float* to = dst + c * p.channel();
            const float* from = rows + c * wide;
            if (!exists)
                fill_floats(to, wide, outside);
            else if (p.phases == 2)
                split_pairs(from, p.cols, to, to + p.cols);
            else
                for (int64_t phase = 0; phase < p.phases; phase++)
                    copy_row(to + phase * p.cols, from, wide, phase, p.phases, p.cols, outside);
        }
    }
}

inline void make_plane(const Plane& p, const float* src, float outside, float* dst) {
    if (p.source_is_last()) return make_plane_from_last(p, src, outside, dst);
    if (p.phases == 2) return make_pairs(p, src, outside, dst);
    for (int64_t c = 0; c < p.C; c++)
        for (int64_t r = 0; r < p.rows; r++, dst += p.row()) {
            const int64_t y = p.top + r;
            if (y < 0 || y >= p.H) {
                fill_floats(dst, p.row(), outside);
                continue;
            }
            const float* from = src + (c * p.H + y) * p.W;
            for (int64_t phase = 0; phase < p.phases; phase++)
                copy_row(dst + phase * p.cols, from, p.W, p.left + phase, p.phases, p.cols,
                         outside);
        }
}

// Planes of one geometry, one after the other in the same memory: the border is written once, the
// inside for each image. Columns from..from + n of the plane have a source.
inline void fill_inside(const Plane& p, const float* src, float* dst) {
    const int64_t from = p.left < 0 ? -p.left : 0;
    const int64_t n = min64(p.W - p.left, p.row()) - from;
    const int64_t first = p.top < 0 ? -p.top : 0, last = min64(p.rows, p.H - p.top);
    if (n <= 0) return;
    // Where columns from and from + 1 go, and with two phases every second one after them.
    const int64_t to = from % p.phases * p.cols + from / p.phases;
    const int64_t next = (from + 1) % p.phases * p.cols + (from + 1) / p.phases;
    const bool narrow = p.phases == 2 && n / 2 <= kW<float>;
    const int pairs = int(n / 2);
    for (int64_t c = 0; c < p.C; c++)
        for (int64_t r = first; r < last; r++) {
            const float* row = src + (c * p.H + p.top + r) * p.W + p.left + from;
            float* out = dst + (c * p.rows + r) * p.row();
            if (narrow) {
                f32v even, odd;
                load_pairs(row, pairs, &even, &odd);
                stn(out + to, even, pairs);
                stn(out + next, odd, pairs);
                if (n % 2) out[to + pairs] = row[n - 1];
            } else if (p.phases == 1) {
                copy_floats(out + to, row, n);
            } else if (p.phases == 2) {
                split_pairs(row, n / 2, out + to, out + next);
                if (n % 2) out[to + n / 2] = row[n - 1];
            } else {
                for (int64_t k = 0; k < min64(p.phases, n); k++) {
                    float* phase = out + (from + k) % p.phases * p.cols + (from + k) / p.phases;
                    for (int64_t i = k; i < n; i += p.phases) *phase++ = row[i];
                }
            }
        }
}

// W pixels of up to G channels, G a power of two: the first stages of a transpose leave G channels
// of a pixel side by side in the vectors; the copies put the pixels C apart. Each copy runs over
// into the next pixel, which is written later.
template <int G>
void interleave_few(const float* src, int64_t channel, int64_t C, int pixels, float* dst) {
    constexpr int W = kW<float>;
    f32v block[G];
    RL_UNROLL
    for (int i = 0; i < G; i++) {
        if (i < C)
            block[i] = pixels == W ? ld(src + i * channel) : ldn(src + i * channel, pixels);
        else
            block[i] = f32v{};
    }
    transpose_blocks<G>(block);
    float turned[W * G];  // pixel i * G + j begins at turned[j * W + i * G]
    RL_UNROLL
    for (int i = 0; i < G; i++) st(turned + i * W, block[i]);
    RL_UNROLL
    for (int i = 0; i < W; i++) {
        if (i >= pixels) break;
        memcpy(dst + i * C, turned + i % G * W + i / G * G, G * sizeof(float));
    }
}

// W pixels of W channels, turned in registers.
RL_INLINE void interleave_square(const float* src, int64_t channel, int64_t C, float* dst) {
    constexpr int W = kW<float>;
    f32v block[W];
    RL_UNROLL
    for (int i = 0; i < W; i++) block[i] = ld(src + i * channel);
    transpose(block);
    RL_UNROLL
    for (int i = 0; i < W; i++) st(dst + i * C, block[i]);
}

// The same for fewer of either; pixels are stored whole or, if need be, only their `lanes`.
inline void interleave_edge(const float* src, int64_t channel, int64_t C, int lanes, int pixels,
                            bool whole, float* dst) {
    constexpr int W = kW<float>;
    f32v block[W];
    RL_UNROLL
    for (int i = 0; i < W; i++)
        block[i] = i < lanes ? ldn(src + i * channel, pixels) : f32v{};
    transpose(block);
    for (int i = 0; i < pixels; i++, dst += C) {
        if (whole)
            st(dst, block[i]);
        else
            stn(dst, block[i], lanes);
    }
}

// n pixels of up to W channels, zeros for the others: dst[pixel][W].
inline void interleave_vector(const float* src, int64_t channel, int lanes, int64_t n,
                              float* dst) {
    constexpr int W = kW<float>;
    for (int64_t x = 0; x < n; x += W) {
        const int pixels = int(min64(W, n - x));
        if (pixels == W && lanes == W)
            interleave_square(src + x, channel, W, dst + x * W);
        else
            interleave_edge(src + x, channel, W, lanes, pixels, true, dst + x * W);
    }
}

// n pixels of C channels from channel-major (`channel` apart) to pixel-major. Fewer channels than
// lanes are stored whole: they run over into the next pixel, which is written later.
inline void interleave(const float* src, int64_t channel, int64_t C, int64_t n, float* dst) {
    constexpr int W = kW<float>;
    if (C == 1) return copy_floats(dst, src, n);
    if (C <= 8 && C <= W) {
        auto* const few = C <= 4 ? interleave_few<4> : interleave_few<(W > 4 ? 8 : 4)>;
        for (int64_t x = 0; x < n; x += W)
            few(src + x, channel, C, int(min64(W, n - x)), dst + x * C);
        return;
    }
    // Runs of pixels one vector of channels after the other: the processor fetches a few streams
    // ahead, but not one for each of all channels.
    constexpr int64_t run = 256;
    for (int64_t x0 = 0; x0 < n; x0 += run)
        for (int64_t c = 0; c < C; c += W) {
            const int lanes = int(min64(W, C - c));
            for (int64_t x = x0; x < min64(x0 + run, n); x += W) {
                const int pixels = int(min64(W, n - x));
                const float* from = src + c * channel + x;
                float* to = dst + x * C + c;
                if (pixels == W && lanes == W)
                    interleave_square(from, channel, C, to);
                else
                    interleave_edge(from, channel, C, lanes, pixels, lanes == W || C < W, to);
            }
        }
}

// n source pixels to pixel-major.
inline void take_pixels(const Plane& p, const float* src, int64_t n, float* dst) {
    if (p.source_is_last() && p.pixel == p.C) return copy_floats(dst, src, n * p.C);
    if (!p.source_is_last()) return interleave(src, p.source_channel(), p.C, n, dst);
    for (int64_t i = 0; i < n; i++) copy_floats(dst + i * p.C, src + i * p.pixel, p.C);
}

// The plane (one phase) with pixel-major channels: dst[row][col][c].
inline void make_pixel_major(const Plane& p, const float* src, float* dst) {
    const int64_t begin = min64(p.left < 0 ? -p.left : 0, p.cols);
    int64_t end = min64(p.W - p.left, p.cols);
    if (end < begin) end = begin;
    if (p.left == 0 && p.cols == p.W && p.top >= 0 && p.top + p.rows <= p.H)
        return take_pixels(p, src + p.top * p.source_row(), p.rows * p.W, dst);
    for (int64_t r = 0; r < p.rows; r++, dst += p.cols * p.C) {
        const int64_t y = p.top + r;
        if (y < 0 || y >= p.H) {
            fill_floats(dst, p.cols * p.C, 0.0f);
            continue;
        }
        fill_floats(dst, begin * p.C, 0.0f);
        take_pixels(p, src + y * p.source_row() + (p.left + begin) * p.pixel, end - begin,
                    dst + begin * p.C);
        fill_floats(dst + end * p.C, (p.cols - end) * p.C, 0.0f);
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
