// conv_weight.h: the weight gradient as a sum of outer products over pixels.
//
//     dweight[o][c][ky][kx] = sum over pixels  grad[o][pixel] * x[c][pixel moved by the tap]
//
// x is copied pixel-major and padded, as (row, col, c). For one ky the pairs (kx, c) a pixel needs
// are then neighbours in memory (dilation 1; else one kx at a time), so the sum over pixels is a
// matrix product whose inner loop only walks forward. With at least 12 outputs they lie in vectors
// (grad is copied, too, as (pixel, o)) and x is broadcast; else the other way round:
//   many outputs   MR = up to 14 of the (kx, c) pairs x 2 vectors of o;
//   few channels   the same with broadcasts gathered from several ky, for images of one or two
//                  channels, where one ky has too few pairs to fill the tile;
//   few outputs    MR = up to 6 of the o x up to 4 vectors of (kx, c), which may belong to
//                  different ky, so that even 3 input channels keep 24 sums in flight; grad is
//                  broadcast from where it lies.
// A tile's sums stay in registers over a few images (256 pixels or more, so that reading and
// writing them costs little) and are kept in `sums`, which is turned into the weight's layout at
// the end.
#pragma once

#include "conv_plane.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

struct OuterTile {
    const float* p;  // broadcast factor
    int64_t p_image, p_row, p_pixel;
    const int64_t* p_offset;  // where each row starts, if they are not neighbours
    const float* q;  // vector factor
    int64_t q_image, q_row, q_pixel;
    const int64_t* q_offset;  // where each vector starts
    int64_t images, rows, cols;
    bool accumulate;  // add to what the sums hold
    float* sums;
    int64_t sums_row;
    const int64_t* sums_offset;  // where each vector's sums go
};

template <int MR, int NV, bool Spread>
void outer_tile(const OuterTile& t) {
    f32v acc[MR][NV];
    int64_t at[NV], row_at[MR];
    for (int r = 0; r < MR; r++) row_at[r] = Spread ? t.p_offset[r] : r;
    RL_UNROLL
    for (int v = 0; v < NV; v++) {
        at[v] = t.q_offset[v];
        RL_UNROLL
        for (int r = 0; r < MR; r++) acc[r][v] = f32v{};
    }
    const float* p_start = t.p;
    const float* q_start = t.q;
    for (int64_t image = 0, y = 0; image < t.images;) {
        const float* p = p_start + y * t.p_row;
        const float* q = q_start + y * t.q_row;
        if (++y == t.rows) {
            y = 0;
            image++;
            p_start += t.p_image;
            q_start += t.q_image;
        }
        for (int64_t x = 0; x < t.cols; x++, p += t.p_pixel, q += t.q_pixel) {
            f32v lanes[NV];
            RL_UNROLL
            for (int v = 0; v < NV; v++) lanes[v] = ld(q + at[v]);
            RL_UNROLL
            for (int r = 0; r < MR; r++) {
                const f32v s = splat(Spread ? p[row_at[r]] : p[r]);
                RL_UNROLL
                for (int v = 0; v < NV; v++) acc[r][v] = fma(s, lanes[v], acc[r][v]);
            }
        }
    }
    RL_UNROLL
    for (int v = 0; v < NV; v++) {
        RL_UNROLL
        for (int r = 0; r < MR; r++) {
            // Added last: sums of sums lose less than one long sum.
            float* const sums = t.sums + r * t.sums_row + t.sums_offset[v];
            st(sums, t.accumulate ? ld(sums) + acc[r][v] : acc[r][v]);
        }
    }
}

typedef void (*OuterFunction)(const OuterTile&);
constexpr int kOuterRows = kVecRegs == 32 ? 14 : 6;
constexpr int kOuterFew = 6;
constexpr int kOuterVectors = kVecRegs == 32 ? 4 : 2;

template <int NV, bool Spread>
OuterFunction outer_tile_of_height(int rows) {
    constexpr int most = NV <= 2 ? kOuterRows : kOuterFew;
#define RL_TILE(R) outer_tile<(R <= most ? R : 1), NV, Spread>
    static constexpr OuterFunction table[] = {
        nullptr,     RL_TILE(1),  RL_TILE(2),  RL_TILE(3),  RL_TILE(4),
        RL_TILE(5),  RL_TILE(6),  RL_TILE(7),  RL_TILE(8),  RL_TILE(9),
        RL_TILE(10), RL_TILE(11), RL_TILE(12), RL_TILE(13), RL_TILE(14),
    };
#undef RL_TILE
    return table[rows];
}

inline OuterFunction outer_function(int rows, int vectors) {
    return vectors == 1 ? outer_tile_of_height<1, false>(rows)
                        : outer_tile_of_height<2, false>(rows);
}

inline OuterFunction spread_function(int rows, int vectors) {
    if (vectors == 1) return outer_tile_of_height<1, true>(rows);
    if (vectors == 2) return outer_tile_of_height<2, true>(rows);
    if (vectors == 3) return outer_tile_of_height<(kOuterVectors > 2 ? 3 : 1), true>(rows);
    return outer_tile_of_height<(kOuterVectors > 2 ? 4 : 1), true>(rows);
}

// Everything about one group's gradient that does not depend on the image.
struct OuterPlan {
    int64_t C, O, KH, KW;
    int64_t OH, OW, stride_h, stride_w, dil_h, dil_w;
    Plane plane;        // of x, one phase
    int64_t runs;       // runs of neighbouring (kx, c) pairs per ky: 1, or KW when dilated
    int64_t run;        // pairs in a run
    bool few_channels;  // a run is too short to fill a tile
    bool vectors_hold_outputs;
    int64_t grad_pixel = 0;  // if grad is channels last, which vectors of outputs allow: from a
                             // pixel to the next
    int64_t width;      // lanes of one row of sums

    // Row (ky, run, pair), column o; or row o, column (ky, run, pair) with each run padded to W.
    int64_t padded_run() const { return ceil_div(run, kW<float>) * kW<float>; }
    int64_t sums_rows() const { return vectors_hold_outputs ? KH * runs * run : O; }
    int64_t sums_size() const { return sums_rows() * width; }

    // The work on one image in parts that can be done apart: kernel rows, and, where vectors hold
    // many outputs, panels of two vectors of them. Unit u is kernel row u % KH of panel u / KH.
    bool has_panels() const { return vectors_hold_outputs && !few_channels; }
    int64_t units() const { return has_panels() ? ceil_div(O, 2 * kW<float>) * KH : KH; }
};

inline OuterPlan plan_outer(int64_t C, int64_t O, int64_t KH, int64_t KW, int64_t OH, int64_t OW,
                            int64_t stride_h, int64_t stride_w, int64_t dil_h, int64_t dil_w) {
    OuterPlan p = {};
    p.C = C, p.O = O, p.KH = KH, p.KW = KW, p.OH = OH, p.OW = OW;
    p.stride_h = stride_h, p.stride_w = stride_w, p.dil_h = dil_h, p.dil_w = dil_w;
    p.runs = dil_w == 1 ? 1 : KW;
    p.run = dil_w == 1 ? KW * C : C;
    p.few_channels = p.run <= 8;
    p.vectors_hold_outputs = O >= 12 || p.few_channels;
    p.width = p.vectors_hold_outputs ? ceil_div(O, kW<float>) * kW<float>
                                     : KH * p.runs * p.padded_run();
    return p;
}

// A few images, x in pixel-major order, grad only where vectors hold outputs; which units to do.
struct OuterImages {
    const float* x;
    const float* grad;
    int64_t grad_image;
    int64_t images;
    int64_t unit_begin, unit_end;
    bool accumulate;
};

// The strides of x and of grad as broadcast or vector factor.
inline OuterTile start_tile(const OuterPlan& p, const OuterImages& in) {
    OuterTile t;
    const int64_t x_row = p.stride_h * p.plane.cols * p.C, x_pixel = p.stride_w * p.C;
    const bool grad_in_vectors = p.vectors_hold_outputs;
    const int64_t grad_pixel = grad_in_vectors ? p.O : 1, grad_row = p.OW * grad_pixel;
    t.p_image = grad_in_vectors ? p.plane.size() : in.grad_image;
    t.p_row = grad_in_vectors ? x_row : grad_row;
    t.p_pixel = grad_in_vectors ? x_pixel : grad_pixel;
    t.q_image = grad_in_vectors ? in.grad_image : p.plane.size();
    t.q_row = grad_in_vectors ? grad_row : x_row;
    t.q_pixel = grad_in_vectors ? grad_pixel : x_pixel;
    t.images = in.images;
    t.rows = p.OH;
    t.cols = p.OW;
    t.sums_row = p.width;
    t.accumulate = in.accumulate;
    return t;
}

inline void outer_many(const OuterPlan& p, const OuterImages& in, float* sums) {
    constexpr int W = kW<float>;
    const int64_t blocks = ceil_div(p.run, kOuterRows);
    int64_t offsets[2] = {0, W};
    OuterTile t = start_tile(p, in);
    t.q_offset = t.sums_offset = offsets;
    for (int64_t unit = in.unit_begin; unit < in.unit_end; unit++) {
        const int64_t o = unit / p.KH * 2 * W, ky = unit % p.KH;
        const int vectors = p.O - o > W ? 2 : 1;
        t.q = in.grad + o;
        for (int64_t kx = 0; kx < p.runs; kx++) {
            const float* start = in.x + (ky * p.dil_h * p.plane.cols + kx * p.dil_w) * p.C;
            for (int64_t b = 0; b < blocks; b++) {
                const int64_t first = share(p.run, blocks, b);
                const int rows = int(share(p.run, blocks, b + 1) - first);
                t.p = start + first;
                t.sums = sums + ((ky * p.runs + kx) * p.run + first) * p.width + o;
                outer_function(rows, vectors)(t);
            }
        }
    }
}

inline void outer_spread(const OuterPlan& p, const OuterImages& in, float* sums) {
    constexpr int W = kW<float>;
    const int64_t first_row = in.unit_begin * p.runs * p.run;
    const int64_t rows = in.unit_end * p.runs * p.run - first_row;
    const int64_t blocks = ceil_div(rows, kOuterRows);
    int64_t vectors_at[2] = {0, W}, rows_at[kOuterRows];
    OuterTile t = start_tile(p, in);
    t.p = in.x;
    t.p_offset = rows_at;
    t.q_offset = t.sums_offset = vectors_at;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t first = first_row + share(rows, blocks, b);
        const int count = int(first_row + share(rows, blocks, b + 1) - first);
        for (int r = 0; r < count; r++) {
            const int64_t tap = (first + r) / p.run, pair = (first + r) % p.run;
            const int64_t ky = tap / p.runs, kx = tap % p.runs;
            rows_at[r] = (ky * p.dil_h * p.plane.cols + kx * p.dil_w) * p.C + pair;
        }
        for (int64_t o = 0; o < p.O; o += 2 * W) {
            t.q = in.grad + o;
            t.sums = sums + first * p.width + o;
            spread_function(count, p.O - o > W ? 2 : 1)(t);
        }
    }
}

inline void outer_few(const OuterPlan& p, const OuterImages& in, float* sums) {
    constexpr int W = kW<float>;
    const int64_t per_run = p.padded_run() / W, per_ky = p.runs * per_run;
    const int64_t vectors = (in.unit_end - in.unit_begin) * per_ky;
    const int64_t groups = ceil_div(vectors, kOuterVectors);
    const int64_t blocks = ceil_div(p.O, kOuterFew);
    int64_t outputs_at[kOuterFew];
    for (int64_t o = 0; o < kOuterFew; o++) outputs_at[o] = o * p.OH * p.OW;
    OuterTile t = start_tile(p, in);
    t.p_offset = outputs_at;
    t.q = in.x;
    for (int64_t g = 0; g < groups; g++) {
        const int64_t first = in.unit_begin * per_ky + share(vectors, groups, g);
        const int count = int(share(vectors, groups, g + 1) - share(vectors, groups, g));
        int64_t q_offset[4], sums_offset[4];
        for (int v = 0; v < count; v++) {
            const int64_t ky = (first + v) / per_ky, in_ky = (first + v) % per_ky;
            const int64_t kx = in_ky / per_run, lane = in_ky % per_run * W;
            q_offset[v] = (ky * p.dil_h * p.plane.cols + kx * p.dil_w) * p.C + lane;
            sums_offset[v] = (first + v) * W;
        }
        t.q_offset = q_offset;
        t.sums_offset = sums_offset;
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t o = share(p.O, blocks, b);
            t.p = in.grad + o * p.OH * p.OW;
            t.sums = sums + o * p.width;
            spread_function(int(share(p.O, blocks, b + 1) - o), count)(t);
        }
    }
}

// Images whose pixels are summed without putting the sums down.
inline int64_t outer_chunk(const OuterPlan& p, int64_t images) {
    return min64(images, ceil_div(256, p.OH * p.OW));
}

// The gradients of `images` images with the outputs of a pixel side by side, and with room behind
// them if the last vector of outputs is not full.
inline const float* pixel_major_grads(const OuterPlan& p, const float* grad, int64_t grad_image,
                                      int64_t images) {
    if (p.grad_pixel == p.O && p.O % kW<float> == 0) return grad;
    const int64_t pixels = p.OH * p.OW, size = p.O * pixels;
    float* const grads = scratch<float>(kPlane2, images * size + 2 * kW<float>);
    for (int64_t n = 0; n < images; n++) {
        const float* from = grad + n * grad_image;
        float* to = grads + n * size;
        if (p.grad_pixel == p.O)
            copy_floats(to, from, size);
        else if (p.grad_pixel > 0)
            for (int64_t i = 0; i < pixels; i++)
                copy_floats(to + i * p.O, from + i * p.grad_pixel, p.O);
        else
            interleave(from, pixels, p.O, pixels, to);
    }
    return grads;
}

// Sums the products of `images` images, x_image and grad_image apart, for units unit_begin ..
// unit_end - 1; adds them to `sums` or, without `accumulate`, starts them.
inline void add_outer_products(const OuterPlan& p, const float* x, int64_t x_image,
                               const float* grad, int64_t grad_image, int64_t images,
                               int64_t unit_begin, int64_t unit_end, bool accumulate, float* sums) {
    // The last vectors of x and grad may run over their end; scratch has the slack.
    const int64_t x_size = p.plane.size(), grad_size = p.O * p.OH * p.OW;
    float* pixels = scratch<float>(kPlane, images * x_size + 4 * kW<float>);
    for (int64_t n = 0; n < images; n++)
        make_pixel_major(p.plane, x + n * x_image, pixels + n * x_size);
    OuterImages in{pixels, grad, grad_image, images, unit_begin, unit_end, accumulate};
    if (p.vectors_hold_outputs) {
        in.grad = pixel_major_grads(p, grad, grad_image, images);
        in.grad_image = grad_size;
    }
    if (p.few_channels)
        outer_spread(p, in, sums);
    else if (p.vectors_hold_outputs)
        outer_many(p, in, sums);
    else
        outer_few(p, in, sums);
}

// Sums (tap, c) x o of W channels c, c + 1, ... into dweight (O, C, taps): W of the pairs (c, tap)
// in the order of the weight x W outputs are turned at a time.
inline void store_weight_channels(const OuterPlan& p, const float* sums, int64_t c,
                                  float* dweight) {
    constexpr int W = kW<float>;
    const int64_t taps = p.KH * p.KW, pairs = min64(W, p.C - c) * taps;
    for (int64_t o = 0; o < p.O; o += W) {
        const int outputs = int(min64(W, p.O - o));
        int64_t channel = c, tap = 0;
        for (int64_t first = 0; first < pairs; first += W) {
            const int n = int(min64(W, pairs - first));
            f32v block[W];
            RL_UNROLL
            for (int i = 0; i < W; i++) {
                block[i] = i < n ? ld(sums + (tap * p.C + channel) * p.width + o) : f32v{};
                if (++tap == taps) tap = 0, channel++;
            }
            transpose(block);
            float* to = dweight + (o * p.C + c) * taps + first;
            for (int i = 0; i < outputs; i++, to += p.C * taps) stn(to, block[i], n);
        }
    }
}

// sums -> dweight (O, C, KH, KW).
inline void store_weight_grad(const OuterPlan& p, const float* sums, float* dweight) {
    constexpr int W = kW<float>;
    if (p.vectors_hold_outputs) {
        const int64_t grain = ceil_div(1 << 16, p.O * p.KH * p.KW * W);
        parallel_for(ceil_div(p.C, W), grain, [&](int64_t begin, int64_t end) {
            for (int64_t b = begin; b < end; b++) store_weight_channels(p, sums, b * W, dweight);
        });
        return;
    }
    for (int64_t o = 0; o < p.O; o++)
        for (int64_t c = 0; c < p.C; c++)
            for (int64_t tap = 0; tap < p.KH * p.KW; tap++) {
                const int64_t run = p.runs == 1 ? tap / p.KW : tap;
                const int64_t pair = p.runs == 1 ? tap % p.KW * p.C + c : c;
                *dweight++ = sums[o * p.width + run * p.padded_run() + pair];
            }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
