// pool_last.h: pooling of channels-last images.
//
// All channels of a pixel are neighbours, so vectors hold channels, and a window is a list of the
// pixels that it sees, made once for all channels. Nothing is padded. As many vectors of a pixel as
// there are registers for are read at once, a kilobyte with AVX-512: shorter runs here and there
// come from memory at two thirds of the speed. The windows of an output row that lie inside from
// left to right see the same pixels but for a shift: making their lists anew would take as long as
// the sums, and leave no room in the processor's queues for loads from memory that run ahead.
// Results that outgrow the cache are streamed past it.
#pragma once

#include "pool_window.h"
#include "stream.h"

namespace rl {
namespace RL_ISA {
namespace {

// The positions in the input that an output pixel's window sees, in order, less `shift`.
struct SeenPixels {
    int32_t* position;
    int64_t count;
    int32_t shift;
    float divisor;
};

// Lists the pixels of output pixel (od, oy, ox); `seen->position` has room for room(s).
struct WindowPixels {
    static int64_t room(const PoolShape& s) { return s.KD * s.KH * s.KW; }

    // By how much the window at ox is that at ox - 1 shifted; 0 if it is another.
    static int32_t shift(const PoolShape& s, int64_t ox) {
        const int64_t left = ox * s.stride_w - s.pad_w;
        const bool inside =
            left - s.stride_w >= 0 && left + (s.KW - 1) * s.dil_w < s.W && ox > 0;
        return inside ? int32_t(s.stride_w) : 0;
    }

    static void find(const PoolShape& s, int64_t od, int64_t oy, int64_t ox, SeenPixels* seen) {
        seen->count = 0;
        for (int64_t kd = 0; kd < s.KD; kd++) {
            const int64_t d = od * s.stride_d + kd * s.dil_d - s.pad_d;
            if (d < 0 || d >= s.D) continue;
            for (int64_t ky = 0; ky < s.KH; ky++) {
                const int64_t y = oy * s.stride_h + ky * s.dil_h - s.pad_h;
                if (y < 0 || y >= s.H) continue;
                for (int64_t kx = 0; kx < s.KW; kx++) {
                    const int64_t x = ox * s.stride_w + kx * s.dil_w - s.pad_w;
                    if (x >= 0 && x < s.W)
                        seen->position[seen->count++] = int32_t((d * s.H + y) * s.W + x);
                }
            }
        }
        const bool pads = s.count_include_pad;
        seen->divisor =
            s.divisor ? float(s.divisor)
                      : float(window_count(od, s.D, s.KD, s.stride_d, s.pad_d, pads)) *
                            float(window_count(oy, s.H, s.KH, s.stride_h, s.pad_h, pads)) *
                            float(window_count(ox, s.W, s.KW, s.stride_w, s.pad_w, pads));
    }
};

struct CellPixels {
    static int64_t room(const PoolShape& s) { return s.in(); }
    static int32_t shift(const PoolShape&, int64_t) { return 0; }

    static void find(const PoolShape& s, int64_t od, int64_t oy, int64_t ox, SeenPixels* seen) {
        seen->count = 0;
        for (int64_t d = cell_begin(od, s.D, s.OD); d < cell_end(od, s.D, s.OD); d++)
            for (int64_t y = cell_begin(oy, s.H, s.OH); y < cell_end(oy, s.H, s.OH); y++)
                for (int64_t x = cell_begin(ox, s.W, s.OW); x < cell_end(ox, s.W, s.OW); x++)
                    seen->position[seen->count++] = int32_t((d * s.H + y) * s.W + x);
        seen->divisor = float(seen->count);
    }
};

// Calls body(image, at, pixels) for the output pixels of rows begin .. end - 1 of all images' rows.
template <class Pixels, class Body>
void for_each_output(const PoolShape& s, int64_t begin, int64_t end, const Body& body) {
    SeenPixels seen{scratch<int32_t>(kOffsets, Pixels::room(s)), 0, 0, 0.0f};
    for (int64_t row = begin; row < end; row++) {
        const int64_t image = row / (s.OD * s.OH), in_image = row % (s.OD * s.OH);
        const int64_t od = in_image / s.OH, oy = in_image % s.OH;
        for (int64_t ox = 0; ox < s.OW; ox++) {
            const int32_t shift = Pixels::shift(s, ox);
            seen.shift = shift ? seen.shift + shift : 0;
            if (!shift) Pixels::find(s, od, oy, ox, &seen);
            body(image, in_image * s.OW + ox, seen);
        }
    }
}

template <class Pixels, class Body>
void share_outputs(const PoolShape& s, const Body& body) {
    const int64_t rows = s.planes / s.channels * s.OD * s.OH;
    const int64_t grain = pool_grain(ceil_div(s.channels * s.in(), s.OD * s.OH));
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
        for_each_output<Pixels>(s, begin, end, body);
        end_stream();
    });
}

// The same for gradients, which add to one pixel from several outputs: images are shared out.
template <class Pixels, class Body>
void share_images(const PoolShape& s, float* dx, const Body& body) {
    const int64_t size = s.channels * s.in(), rows = s.OD * s.OH;
    parallel_for(s.planes / s.channels, pool_grain(size), [&](int64_t begin, int64_t end) {
        // One after the other, so that an image is still in the cache when it is added to.
        for (int64_t image = begin; image < end; image++) {
            fill_floats(dx + image * size, size, 0.0f);
            for_each_output<Pixels>(s, image * rows, (image + 1) * rows, body);
        }
    });
}

// Accumulators that stay in registers.
constexpr int kAccumulators = kVecBytes == 64 ? 16 : 8;

template <int V>
struct Vectors {
    static constexpr int count = V;
};

// Calls body(Vectors<V>(), c, lanes) for all C channels, from c on V vectors at a time, V at most
// Most, or one vector of fewer lanes.
template <int Most, class Body>
RL_INLINE void for_each_channels(int64_t C, const Body& body) {
    constexpr int W = kW<float>;
    int64_t c = 0;
    for (; c + Most * W <= C; c += Most * W) body(Vectors<Most>(), c, W);
    if constexpr (Most > 8)
        for (; c + 8 * W <= C; c += 8 * W) body(Vectors<8>(), c, W);
    if constexpr (Most > 4)
        for (; c + 4 * W <= C; c += 4 * W) body(Vectors<4>(), c, W);
    for (; c < C; c += W) body(Vectors<1>(), c, int(min64(W, C - c)));
}

// Whether the pooled numbers are to be streamed.
inline bool outgrows_cache(const PoolShape& s, const float* y) {
    return s.channels % kW<float> == 0 && is_aligned(y) &&
           outgrows_cache(s.planes * s.out() * int64_t(sizeof(float)));
}

template <bool Past>
RL_INLINE void put(float* y, f32v value, int lanes) {
    if constexpr (Past)
        stream(y, value);
    else
        stn(y, value, lanes);
}

// V vectors of channels of the maximum; a single one may have fewer lanes.
template <int V, bool Indices, bool Past>
void max_channels(const float* x, int64_t C, const SeenPixels& seen, int lanes, float* y,
                  int64_t* indices) {
    constexpr int W = kW<float>;
    f32v best[V];
    i32v index[V];
    RL_UNROLL
    for (int v = 0; v < V; v++) {
        best[v] = splat(-INFINITY);
        index[v] = splat(seen.count ? seen.position[0] + seen.shift : 0);
    }
    for (int64_t k = 0; k < seen.count; k++) {
        const int32_t at = seen.position[k] + seen.shift;
        const float* from = x + at * C;
        const i32v position = splat(at);
        RL_UNROLL
        for (int v = 0; v < V; v++) {
            const f32v value = V == 1 ? ldn(from, lanes) : ld(from + v * W);
            if constexpr (Indices)
                take_better(value, position, &best[v], &index[v]);
            else
                take_better(value, &best[v]);
        }
    }
    RL_UNROLL
    for (int v = 0; v < V; v++) {
        const int n = V == 1 ? lanes : W;
        put<Past>(y + v * W, best[v], n);
        if constexpr (Indices) store_indices(indices + v * W, index[v], n);
    }
}

template <class Pixels, bool Indices, bool Past = false>
void maxima_last(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    constexpr int most = Indices ? kAccumulators / 2 : kAccumulators;
    const int64_t C = s.channels;
    share_outputs<Pixels>(s, [&](int64_t image, int64_t at, const SeenPixels& seen) {
        const float* from = x + image * s.in() * C;
        const int64_t to = (image * s.out() + at) * C;
        for_each_channels<most>(C, [&](auto vectors, int64_t c, int lanes) {
            max_channels<vectors.count, Indices, Past>(from + c, C, seen, lanes, y + to + c,
                                                       Indices ? indices + to + c : nullptr);
        });
    });
}

inline void max_pool_last(const PoolShape& s, const float* x, float* y, int64_t* indices) {
    if (indices)
        maxima_last<WindowPixels, true>(s, x, y, indices);
    else if (outgrows_cache(s, y))
        maxima_last<WindowPixels, false, true>(s, x, y, nullptr);
    else
        maxima_last<WindowPixels, false>(s, x, y, nullptr);
}

inline void max_pool_grad_last(const PoolShape& s, const float* grad, const int64_t* indices,
                               float* dx) {
    const int64_t C = s.channels, size = C * s.in();
    parallel_for(s.planes / C, pool_grain(size), [&](int64_t begin, int64_t end) {
        for (int64_t image = begin; image < end; image++) {
            float* target = dx + image * size;
            fill_floats(target, size, 0.0f);
            for (int64_t i = image * s.out(); i < (image + 1) * s.out(); i++)
                for (int64_t c = 0; c < C; c++)
                    target[indices[i * C + c] * C + c] += grad[i * C + c];
        }
    });
}

// V vectors of channels of the mean.
template <int V, bool Past>
void mean_channels(const float* x, int64_t C, const SeenPixels& seen, int lanes, float* y) {
    constexpr int W = kW<float>;
    f32v sum[V] = {};
    const f32v divisor = splat(seen.divisor);
    x += seen.shift * C;
    for (int64_t k = 0; k < seen.count; k++) {
        const float* from = x + seen.position[k] * C;
        RL_UNROLL
        for (int v = 0; v < V; v++)
            sum[v] += V == 1 ? ldn(from, lanes) : ld(from + v * W);
    }
    RL_UNROLL
    for (int v = 0; v < V; v++)
        put<Past>(y + v * W, sum[v] / divisor, V == 1 ? lanes : W);
}

template <class Pixels, bool Past = false>
void means_last(const PoolShape& s, const float* x, float* y) {
    const int64_t C = s.channels;
    share_outputs<Pixels>(s, [&](int64_t image, int64_t at, const SeenPixels& seen) {
        const float* from = x + image * s.in() * C;
        float* to = y + (image * s.out() + at) * C;
        for_each_channels<kAccumulators>(C, [&](auto vectors, int64_t c, int lanes) {
            mean_channels<vectors.count, Past>(from + c, C, seen, lanes, to + c);
        });
    });
}

inline void avg_pool_last(const PoolShape& s, const float* x, float* y) {
    if (outgrows_cache(s, y))
        means_last<WindowPixels, true>(s, x, y);
    else
        means_last<WindowPixels>(s, x, y);
}

template <class Pixels>
void mean_grad_last(const PoolShape& s, const float* grad, float* dx) {
    const int64_t C = s.channels;
    share_images<Pixels>(s, dx, [&](int64_t image, int64_t at, const SeenPixels& seen) {
        const float* from = grad + (image * s.out() + at) * C;
        float* target = dx + (image * s.in() + seen.shift) * C;
        for (int64_t c = 0; c < C; c += kW<float>) {
            const int n = int(min64(kW<float>, C - c));
            const f32v part = ldn(from + c, n) / splat(seen.divisor);
            for (int64_t k = 0; k < seen.count; k++) {
                float* to = target + seen.position[k] * C + c;
                stn(to, ldn(to, n) + part, n);
            }
        }
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
