// recurrent_panels.h: a weight matrix packed once and multiplied with a few rows at every step.
//
// A step's product (batch x K times K x N) is small, but the same right side comes back at every
// step. So it is copied once into panels of one, two or four vectors of columns, each panel
// contiguous: panel [k][columns]. A step then runs the register tiles of gemm_tile.h over the
// panels, reading the left side where it lies. They are four vectors wide with 32 registers
// (gemm_core.h says why), else only when there are so few rows that a tile of two would wait for the
// latency of its multiply-adds. k is cut into blocks of 256 when there are several blocks of rows,
// so that they find their part of a panel near. Weights that do not stay in L2 from step to step are
// fetched while the part before them is multiplied, and so are the sums that are added to.
#pragma once

#include "gemm_pack.h"
#include "gemm_tile.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kPanelBlockK = 256;
constexpr int64_t kFarWeights = 256 << 10;  // bytes

template <class T>
struct Panels {
    const T* data;
    int64_t K, N;
    bool wide;

    // Vectors of the panel that starts at column j.
    int vectors(int64_t j) const {
        if (wide && N - j > 3 * kW<T>) return kWide;
        return N - j > kW<T> ? 2 : 1;
    }
};

template <class T>
int64_t panels_size(int64_t K, int64_t N) {
    return K * (ceil_div(N, kW<T>) + 1) * kW<T>;
}

// Packs the K x N matrix w[k * row + j * col] for products with up to `most_rows` rows.
template <class T>
Panels<T> pack_panels(const T* w, int64_t row, int64_t col, int64_t K, int64_t N,
                      int64_t most_rows, T* memory) {
    const Panels<T> panels = {memory, K, N, kWideTiles || most_rows <= kWideRows};
    for (int64_t j = 0; j < N;) {
        const int width = panels.vectors(j) * kW<T>;
        pack_b(w + j * col, row, col, K, int(min64(width, N - j)), width, memory + j * K);
        j += width;
    }
    return panels;
}

// The rows on the left: row i starts at data + i * stride.
template <class T>
struct Rows {
    T* data;
    int64_t stride;
};

// Block of rows `rb` fetches a vector's width of the part of the weights that comes next.
template <class T>
void set_next_part(Tile<T>& t, int64_t rb, int64_t row_blocks) {
    t.ahead = nullptr, t.ahead_step = 0;
    for (int v = 0; v < kWide; v++)
        if (rb == share(row_blocks, kWide, v))
            t.ahead = t.b + t.K * t.b_k + v * kW<T>, t.ahead_step = t.b_k;
}

template <class T>
void run_panel_tile(int vectors, int rows, const Tile<T>& t) {
    if (vectors == kWide)
        wide_tile_of_height<T>(rows)(t);
    else if (vectors == 2)
        tile_of_height<T, 2>(rows)(t);
    else
        tile_of_height<T, 1>(rows)(t);
}

// c = a * panels (+ c with `accumulate`) (+ bias, one number per column, or null), for the first
// `columns`: all of them, or a multiple of two vectors.
template <class T>
void multiply_panels(const Panels<T>& panels, Rows<const T> a, Rows<T> c, int64_t rows,
                     int64_t columns, bool accumulate, const T* bias) {
    if (rows <= 0) return;
    Tile<T> t = {};
    t.a_row = a.stride;
    t.a_k = 1;
    t.c_row = c.stride;
    const bool is_far = panels.K * panels.N * int64_t(sizeof(T)) >= kFarWeights;
    for (int64_t j = 0; j < columns;) {
        const int width = panels.vectors(j) * kW<T>;
        const int vectors = columns - j > 2 * kW<T> ? panels.vectors(j)
                                                    : int(ceil_div(columns - j, kW<T>));
        const int64_t row_blocks = ceil_div(rows, panels.vectors(j) == kWide ? kWideRows : kTileRows);
        const int64_t k_blocks = row_blocks > 1 ? ceil_div(panels.K, kPanelBlockK) : 1;
        t.b_k = width;
        t.last = int(min64(width, columns - j)) - (vectors - 1) * kW<T>;
        for (int64_t kb = 0; kb < k_blocks; kb++) {
            const int64_t k0 = share(panels.K, k_blocks, kb);
            t.K = share(panels.K, k_blocks, kb + 1) - k0;
            t.b = panels.data + j * panels.K + k0 * width;
            t.accumulate = accumulate || kb > 0;
            t.col_bias = bias != nullptr && kb == k_blocks - 1 ? bias + j : nullptr;
            t.is_c_far = is_far && accumulate && kb == 0;
            for (int64_t rb = 0; rb < row_blocks; rb++) {
                const int64_t i = share(rows, row_blocks, rb);
                if (is_far) set_next_part(t, rb, row_blocks);
                t.a = a.data + i * a.stride + k0;
                t.c = c.data + i * c.stride + j;
                run_panel_tile<T>(vectors, int(share(rows, row_blocks, rb + 1) - i), t);
            }
        }
        j += width;
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
