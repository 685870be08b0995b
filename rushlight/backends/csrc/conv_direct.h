// conv_direct.h: convolution straight from a plane, without unfolding it.
//
//     y[o][pixel] = bias[o] + sum_k weight[o][k] * plane[pixel + offset[k]]
//
// where k runs over (channel, ky, kx). Two tilings:
//   many outputs   vectors hold neighbouring output channels, pixels are broadcast: R rows x PX
//                  pixels x NV vectors, 1 x 14 x 2 or 2 x 7 x 2 with 32 registers (14 divides the
//                  widths 112, 56, 28, 14 and 7 of the usual networks), 1 x 6 x 2 with 16. For
//                  results that are channels first, tiles are turned in registers when they are
//                  stored.
//   few outputs    (< 12) vectors hold neighbouring pixels, weights are broadcast: up to 6 output
//                  channels x 4 vectors, taken as 1 x 4, 2 x 2 or 4 x 1 (rows x vectors).
// Both read a full vector's width of the plane at its end: planes are allocated with that slack.
#pragma once

#include "conv_plane.h"
#include "gemm_pack.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

struct Direct {
    const float* plane;
    int64_t row_step;       // from an output row to the next, in the plane
    int64_t K;
    const int32_t* offset;  // K of them
    const float* weight;    // packed, see pack_many / pack_few
    const float* bias;      // O, or null
    int64_t O, OH, OW;
    bool many;              // which of the two tilings
    float* y;
    int64_t y_channel;      // from an output channel to the next
    int64_t y_row, y_pixel;
    bool relu = false;
};

constexpr int kManyOutputs = 12;
constexpr int kPixels = kVecRegs == 32 ? 14 : 6;
constexpr int kFewOutputs = 6;
constexpr int kFewVectors = kVecRegs == 32 ? 4 : 2;

// ---------------------------------------------------------------------------- many outputs
struct ManyTile {
    const float* src;
    int64_t row_step, K;
    const int32_t* offset;
    const float* weight;
    const float* bias;
    float* y;
    int64_t y_channel, y_row, y_pixel;  // the first or the last is 1
    int outputs;  // how many of the tile's channels exist
    bool relu = false;
};

// acc[(r * PX + p) * NV + v], channels last.
inline void store_pixels_of_tile(const ManyTile& t, const f32v* acc, int R, int PX, int NV) {
    constexpr int W = kW<float>;
    for (int v = 0; v < NV; v++) {
        const int outputs = int(min64(W, t.outputs - v * W));
        if (outputs <= 0) break;
        const f32v bias = t.bias ? ldn(t.bias + v * W, outputs) : f32v{};
        for (int r = 0; r < R; r++)
            for (int p = 0; p < PX; p++)
                stn(t.y + r * t.y_row + p * t.y_pixel + v * W,
                    rectified(acc[(r * PX + p) * NV + v] + bias, t.relu), outputs);
    }
}

// The same, channels first: turns W pixels x W channels at a time.
inline void store_turned(const ManyTile& t, const f32v* acc, int R, int PX, int NV) {
    constexpr int W = kW<float>;
    for (int v = 0; v < NV; v++) {
        const int outputs = int(min64(W, t.outputs - v * W));
        if (outputs <= 0) break;
        const f32v bias = t.bias ? ldn(t.bias + v * W, outputs) : f32v{};
        for (int r = 0; r < R; r++)
            for (int p = 0; p < PX; p += W) {
                const int pixels = PX - p < W ? PX - p : W;
                f32v block[W];
                RL_UNROLL
                for (int i = 0; i < W; i++)
                    block[i] = i < pixels
                                   ? rectified(acc[(r * PX + p + i) * NV + v] + bias, t.relu)
                                   : f32v{};
                transpose(block);
                float* y = t.y + v * W * t.y_channel + r * t.y_row + p;
                for (int o = 0; o < outputs; o++, y += t.y_channel) stn(y, block[o], pixels);
            }
    }
}

// Not inlined, because there are many tiles.
__attribute__((noinline)) inline void store_many(const ManyTile& t, const f32v* acc, int R, int PX,
                                                 int NV) {
    if (t.y_channel == 1) return store_pixels_of_tile(t, acc, R, PX, NV);
    store_turned(t, acc, R, PX, NV);
}

template <int R, int PX, int NV>
void many_tile(const ManyTile& t) {
    constexpr int W = kW<float>;
    // Set one by one, and handed over as a copy, if at all: an array that other functions see is
    // kept, and cleared, in memory.
    f32v acc[R * PX][NV], sums[R * PX * NV];
    RL_UNROLL
    for (int i = 0; i < R * PX; i++) {
        RL_UNROLL
        for (int v = 0; v < NV; v++) acc[i][v] = f32v{};
    }
    const float* weight = t.weight;
    for (int64_t k = 0; k < t.K; k++, weight += NV * W) {
        const float* src = t.src + t.offset[k];
        f32v w[NV];
        RL_UNROLL
        for (int v = 0; v < NV; v++) w[v] = ld(weight + v * W);
        RL_UNROLL
        for (int r = 0; r < R; r++) {
            RL_UNROLL
            for (int p = 0; p < PX; p++) {
                const f32v x = splat(src[r * t.row_step + p]);
                RL_UNROLL
                for (int v = 0; v < NV; v++)
                    acc[r * PX + p][v] = fma(x, w[v], acc[r * PX + p][v]);
            }
        }
    }
    if (t.y_channel == 1 && t.outputs == NV * W) {
        RL_UNROLL
        for (int v = 0; v < NV; v++) {
            const f32v bias = t.bias ? ld(t.bias + v * W) : f32v{};
            float* const y = t.y + v * W;
            RL_UNROLL
            for (int i = 0; i < R * PX; i++)
                st(y + i / PX * t.y_row + i % PX * t.y_pixel, rectified(acc[i][v] + bias, t.relu));
        }
        return;
    }
    RL_UNROLL
    for (int i = 0; i < R * PX; i++) {
        RL_UNROLL
        for (int v = 0; v < NV; v++) sums[i * NV + v] = acc[i][v];
    }
    store_many(t, sums, R, PX, NV);
}

typedef void (*ManyFunction)(const ManyTile&);

template <int R, int NV>
ManyFunction many_tile_of_width(int pixels) {
    constexpr int most = kPixels / R;
#define RL_TILE(P) many_tile<R, (P <= most ? P : 1), NV>
    static constexpr ManyFunction table[] = {
        nullptr,     RL_TILE(1),  RL_TILE(2),  RL_TILE(3),  RL_TILE(4),
        RL_TILE(5),  RL_TILE(6),  RL_TILE(7),  RL_TILE(8),  RL_TILE(9),
        RL_TILE(10), RL_TILE(11), RL_TILE(12), RL_TILE(13), RL_TILE(14),
    };
#undef RL_TILE
    return table[pixels];
}

inline ManyFunction many_function(int rows, int pixels, int vectors) {
    if (rows == 2) return vectors == 2 ? many_tile_of_width<2, 2>(pixels)
                                       : many_tile_of_width<2, 1>(pixels);
    return vectors == 2 ? many_tile_of_width<1, 2>(pixels) : many_tile_of_width<1, 1>(pixels);
}

// Fetches what a tile will write, channels last: the lines are far apart, and would be waited for
// at the end of every tile.
inline void fetch_results(const ManyTile& t, int R, int PX) {
    for (int r = 0; r < R; r++)
        for (int p = 0; p < PX; p++)
            for (int v = 0; v < t.outputs; v += kW<float>)
                __builtin_prefetch(t.y + r * t.y_row + p * t.y_pixel + v, 1);
}

inline void direct_many(const Direct& d) {
    constexpr int W = kW<float>;
    const int rows = 2 * d.OW <= kPixels && d.OH > 1 ? 2 : 1;
    const int64_t row_blocks = ceil_div(d.OH, rows), col_blocks = ceil_div(d.OW, kPixels / rows);
    ManyTile t;
    t.relu = d.relu;
    t.row_step = d.row_step;
    t.K = d.K;
    t.offset = d.offset;
    t.y_channel = d.y_channel;
    t.y_row = d.y_row;
    t.y_pixel = d.y_pixel;
    // Panel by panel, so that the weights stay in L1; but channels last, where panels are written
    // side by side, all of a row of blocks, so that what is written stays near.
    const int64_t panels = ceil_div(d.O, 2 * W);
    const bool by_rows = d.y_channel == 1;
    for (int64_t i = 0; i < panels * row_blocks; i++) {
        const int64_t o = (by_rows ? i % panels : i / row_blocks) * 2 * W;
        const int64_t rb = by_rows ? i / panels : i % row_blocks;
        const int vectors = d.O - o > W ? 2 : 1;
        t.outputs = int(min64(d.O - o, vectors * W));
        t.weight = d.weight + o * d.K;
        t.bias = d.bias ? d.bias + o : nullptr;
        const int64_t y = share(d.OH, row_blocks, rb);
        const int height = int(share(d.OH, row_blocks, rb + 1) - y);
        for (int64_t cb = 0; cb < col_blocks; cb++) {
            const int64_t x = share(d.OW, col_blocks, cb);
            const int pixels = int(share(d.OW, col_blocks, cb + 1) - x);
            t.src = d.plane + y * d.row_step + x;
            t.y = d.y + o * d.y_channel + y * d.y_row + x * d.y_pixel;
            if (by_rows) fetch_results(t, height, pixels);
            many_function(height, pixels, vectors)(t);
        }
    }
}

// ---------------------------------------------------------------------------- few outputs
struct FewTile {
    const float* src;
    int64_t row_step, K;
    const int32_t* offset;
    const float* weight;
    const float* bias;
    float* y;
    int64_t y_channel, y_row;
    int rows;     // rows to store
    int columns;  // pixels to store
    bool relu;
};

template <int O, int R, int V>
void few_tile(const FewTile& t) {
    constexpr int W = kW<float>;
    f32v acc[O][R][V] = {};
    const float* weight = t.weight;
    for (int64_t k = 0; k < t.K; k++, weight += O) {
        const float* src = t.src + t.offset[k];
        f32v x[R][V];
        RL_UNROLL
        for (int r = 0; r < R; r++) {
            RL_UNROLL
            for (int v = 0; v < V; v++) x[r][v] = ld(src + r * t.row_step + v * W);
        }
        RL_UNROLL
        for (int o = 0; o < O; o++) {
            const f32v w = splat(weight[o]);
            RL_UNROLL
            for (int r = 0; r < R; r++) {
                RL_UNROLL
                for (int v = 0; v < V; v++) acc[o][r][v] = fma(w, x[r][v], acc[o][r][v]);
            }
        }
    }
    RL_UNROLL
    for (int o = 0; o < O; o++) {
        const f32v bias = splat(t.bias ? t.bias[o] : 0.0f);
        RL_UNROLL
        for (int r = 0; r < R; r++) {
            if (r >= t.rows) break;
            RL_UNROLL
            for (int v = 0; v < V; v++) {
                const int n = int(min64(W, t.columns - v * W));
                if (n > 0)
                    stn(t.y + o * t.y_channel + r * t.y_row + v * W,
                        rectified(acc[o][r][v] + bias, t.relu), n);
            }
        }
    }
}

typedef void (*FewFunction)(const FewTile&);

template <int R, int V>
FewFunction few_tile_of_outputs(int outputs) {
    static constexpr FewFunction table[] = {nullptr,           few_tile<1, R, V>, few_tile<2, R, V>,
                                            few_tile<3, R, V>, few_tile<4, R, V>, few_tile<5, R, V>,
                                            few_tile<6, R, V>};
    return table[outputs];
}

inline void direct_few(const Direct& d) {
    constexpr int W = kW<float>;
    const int64_t per_row = ceil_div(d.OW, W);
    // Vectors per row first, the rest of the tile in rows.
    const int vectors = per_row >= kFewVectors ? kFewVectors : per_row >= 2 ? 2 : 1;
    const int rows = kFewVectors / vectors;
    const int64_t o_blocks = ceil_div(d.O, kFewOutputs);
    FewTile t;
    t.relu = d.relu;
    t.row_step = d.row_step;
    t.K = d.K;
    t.offset = d.offset;
    t.y_channel = d.y_channel;
    t.y_row = d.y_row;
    for (int64_t ob = 0; ob < o_blocks; ob++) {
        const int64_t o = share(d.O, o_blocks, ob);
        const int outputs = int(share(d.O, o_blocks, ob + 1) - o);
        t.weight = d.weight + o * d.K;
        t.bias = d.bias ? d.bias + o : nullptr;
        FewFunction run = vectors == kFewVectors ? few_tile_of_outputs<1, kFewVectors>(outputs)
                          : vectors == 2 ? few_tile_of_outputs<kFewVectors / 2, 2>(outputs)
                                         : few_tile_of_outputs<kFewVectors, 1>(outputs);
        for (int64_t row = 0; row < d.OH; row += rows) {
            // A last block that is too short moves up and computes some rows again.
            const int64_t y = d.OH - row < rows && d.OH >= rows ? d.OH - rows : row;
            t.rows = int(min64(rows, d.OH - y));
            for (int64_t x = 0; x < d.OW; x += vectors * W) {
                t.src = d.plane + y * d.row_step + x;
                t.y = d.y + o * d.y_channel + y * d.y_row + x;
                t.columns = int(min64(vectors * W, d.OW - x));
                run(t);
            }
        }
    }
}

// ---------------------------------------------------------------------------- both
inline bool has_many_outputs(int64_t O) { return O >= kManyOutputs; }

// Room for packed weights. Many outputs: panels of two vectors (the last may be one), each
// [K][vectors * W]; few: blocks of up to 6, each [K][block].
inline int64_t packed_size(int64_t O, int64_t K) {
    return (has_many_outputs(O) ? ceil_div(O, kW<float>) * kW<float> : O) * K;
}

// Packs weight[o * o_step + index[k]]; without an index weight[o * o_step + k].
inline void pack_weights(const float* weight, int64_t o_step, const int32_t* index, int64_t O,
                         int64_t K, float* dst) {
    constexpr int W = kW<float>;
    if (has_many_outputs(O)) {  // panels of whole rows, turned by the matrix product's packing
        const int64_t panels = ceil_div(O, 2 * W);
        parallel_for(panels, ceil_div(1 << 17, 2 * W * K + 1), [&](int64_t begin, int64_t end) {
            for (int64_t o = begin * 2 * W; o < min64(end * 2 * W, O); o += 2 * W) {
                const int outputs = int(min64(2 * W, O - o));
                pack_b(weight + o * o_step, 1, o_step, K, outputs, outputs > W ? 2 * W : W,
                       dst + o * K);
            }
        });
        return;
    }
    const int64_t blocks = ceil_div(O, kFewOutputs);
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t k = 0; k < K; k++)
            for (int64_t o = share(O, blocks, b); o < share(O, blocks, b + 1); o++)
                *dst++ = weight[o * o_step + (index ? index[k] : k)];
}

// The taps that one phase of the input gradient uses, and where its packed weights go.
struct PhaseWeights {
    const int32_t* taps;
    int64_t count;
    float* packed;
};

// For the input gradient with many channels: weight (O, C, taps) into panels over C with
// k = (o, tap) for every phase. Turns W channels x W taps at a time.
inline void pack_reversed(const float* weight, int64_t O, int64_t C, int64_t taps,
                          const PhaseWeights* phases, int64_t n_phases) {
    constexpr int W = kW<float>;
    // One o after the other, so that the weights are read in order.
    parallel_for(O, ceil_div(1 << 17, C * taps + 1), [&](int64_t begin, int64_t end) {
        float* turned = scratch<float>(kPlane2, ceil_div(taps, W) * W * W);
        for (int64_t o = begin; o < end; o++)
            for (int64_t c = 0; c < C; c += W) {
                const int64_t panel = c / (2 * W) * 2 * W;
                const int64_t width = C - panel > W ? 2 * W : W;
                const int channels = int(min64(W, C - c));
                for (int64_t t = 0; t < taps; t += W) {
                    f32v block[W];
                    const int n = int(min64(W, taps - t));
                    const float* from = weight + (o * C + c) * taps + t;
                    RL_UNROLL
                    for (int j = 0; j < W; j++)
                        block[j] = j < channels ? ldn(from + j * taps, n) : f32v{};
                    transpose(block);
                    for (int i = 0; i < n; i++) st(turned + (t + i) * W, block[i]);
                }
                for (int64_t p = 0; p < n_phases; p++) {
                    const int64_t count = phases[p].count;
                    float* to = phases[p].packed + (panel * O + o * width) * count + (c - panel);
                    for (int64_t i = 0; i < count; i++, to += width)
                        st(to, ld(turned + phases[p].taps[i] * W));
                }
            }
    });
}

// Slack behind a plane: the few-outputs tile reads whole vectors of rows that may not exist.
inline int64_t plane_room(const Plane& p, int64_t row_step) {
    return p.size() + kFewVectors * (row_step + kW<float>);
}

inline void run_direct(const Direct& d) {
    if (d.many)
        direct_many(d);
    else
        direct_few(d);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
