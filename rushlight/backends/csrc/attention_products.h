// attention_products.h: attention's products, on the tiles of gemm_tile.h.
//
// Under a causal mask nearly half of a matrix of scores or weights is nothing. So these products
// know for every block of rows (6 or 14 high) which columns of the result are wanted, or which part
// of k counts: the triangle is cut to some 60 % of the square.
#pragma once

#include "recurrent_panels.h"

namespace rl {
namespace RL_ISA {
namespace {

// Calls body(i, rows) for blocks of `count` rows that are at most as high as a tile of `vectors`.
template <class Body>
void for_row_blocks(int64_t count, int vectors, const Body& body) {
    const int64_t blocks = ceil_div(count, vectors == 4 ? kWideRows : kTileRows);
    for (int64_t rb = 0; rb < blocks; rb++) {
        const int64_t i = share(count, blocks, rb);
        body(i, int(share(count, blocks, rb + 1) - i));
    }
}

int vectors_for(int64_t columns, int most) {
    constexpr int W = kW<float>;
    if (most == 4 && columns > 3 * W) return 4;
    return most >= 2 && columns > W ? 2 : 1;
}

// c = a * panels from column `first` on, a panel's start. Of row i at least the first wanted(i)
// columns are computed, and none behind c's stride; wanted does not decrease. All are whole
// vectors: c's stride is a multiple of W, and panels have zeros behind their last column.
template <class Wanted>
void multiply_by_columns(const Panels<float>& panels, int64_t first, Rows<const float> a,
                         Rows<float> c, int64_t rows, const Wanted& wanted) {
    constexpr int W = kW<float>;
    Tile<float> t = {};
    t.K = panels.K;
    t.a_row = a.stride;
    t.a_k = 1;
    t.c_row = c.stride;
    t.last = W;
    for (int64_t j = 0; j < c.stride;) {
        const int most = panels.vectors(first + j);
        const int64_t width = most * W;
        t.b_k = width;
        for_row_blocks(rows, most, [&](int64_t i, int height) {
            const int64_t end = min64(wanted(i + height - 1), j + width);
            t.a = a.data + i * a.stride;
            for (int64_t k = j; k < end;) {
                const int vectors = vectors_for(end - k, k == j ? most : 2);
                t.b = panels.data + (first + j) * panels.K + (k - j);
                t.c = c.data + i * c.stride + k;
                run_panel_tile<float>(vectors, height, t);
                k += vectors * W;
            }
        });
        j += width;
    }
}

// The part of k that counts for some rows.
struct Span {
    int64_t begin, end;
};

struct Factors {
    const float* a;
    int64_t a_row, a_k;
    const float* b;
    int64_t b_k;
    float* c;
    int64_t c_row;
};

// c (M x N) = a * b (+ c with `accumulate`), where span(i, rows) counts for a block of rows.
template <class SpanOf>
void multiply_spans(int64_t M, int64_t N, const Factors& f, bool accumulate, const SpanOf& span) {
    constexpr int W = kW<float>;
    Tile<float> t = {};
    t.a_row = f.a_row, t.a_k = f.a_k;
    t.b_k = f.b_k;
    t.c_row = f.c_row;
    t.accumulate = accumulate;
    for (int64_t j = 0; j < N;) {
        const int vectors = vectors_for(N - j, kWideTiles ? 4 : 2);
        t.last = int(min64(vectors * W, N - j)) - (vectors - 1) * W;
        for_row_blocks(M, vectors, [&](int64_t i, int height) {
            const Span k = span(i, height);
            t.K = k.end - k.begin;
            t.a = f.a + i * f.a_row + k.begin * f.a_k;
            t.b = f.b + k.begin * f.b_k + j;
            t.c = f.c + i * f.c_row + j;
            run_panel_tile<float>(vectors, height, t);
        });
        j += vectors * W;
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
