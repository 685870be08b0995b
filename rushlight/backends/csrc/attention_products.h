// attention_products.h: attention's products, on the tiles of gemm_tile.h.
//
// Scores and weights are turned: a row for each key, a lane for each query. Then keys and values
// are read where they lie, and so are the rows of queries and gradients but for one packed copy of
// each block, which has a lane for each query, too. A few queries are not worth lanes: their
// products are dot products along the width.
// Under a causal mask nearly half of a matrix of scores or weights is nothing. So these products
// know for every block of rows (6 or 14 high) which lanes of the result are wanted, or which part
// of k counts: the triangle is cut to some 60 % of the square.
#pragma once

#include "gemm_pack.h"
#include "gemm_tile.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kMostVectors = kWideTiles ? 4 : 2;
// Two vectors wide, the highest tiles take 1 % longer where k is short: more stores come at once.
constexpr int kShortTileRows = kTileRows < 12 ? kTileRows : 12;

// Calls body(i, rows) for blocks of `count` rows that are at most as high as a tile of `vectors`.
template <class Body>
void for_row_blocks(int64_t count, int vectors, const Body& body) {
    const int64_t blocks = ceil_div(count, vectors == 4 ? kWideRows : kShortTileRows);
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

void run_attention_tile(int vectors, int rows, const Tile<float>& t) {
    if (vectors == 4)
        wide_tile_of_height<float>(rows)(t);
    else if (vectors == 2)
        tile_of_height<float, 2>(rows)(t);
    else
        tile_of_height<float, 1>(rows)(t);
}

// The last vector of lanes, of which at most half counts: by half registers. The rest becomes zero.
template <class Blind>
void multiply_half(Tile<float> t, const float* a, int64_t a_row, int64_t rows, int64_t lane,
                   const Blind& blind) {
    constexpr int W = kW<float>;
    float* const c = t.c + lane;
    t.b += lane;
    for_row_blocks(rows, 1, [&](int64_t i, int height) {
        if (blind(i) >= lane + W / 2) return;
        for (int64_t r = i; r < i + height; r++) st(c + r * t.c_row, f32v{});
        t.a = a + i * a_row;
        t.c = c + i * t.c_row;
        t.last = height < kHalfLeastRows ? W : W / 2;
        (t.last == W ? tile_of_height<float, 1>(height) : half_tile_of_height<float>(height))(t);
    });
}

// c (rows x lanes) = a (rows x K) * packed (K x lanes), where whole vectors hold `count` lanes. The
// first blind(i) lanes of row i need not be computed; blind does not decrease.
template <class Blind>
void multiply_packed(const float* a, int64_t a_row, const float* packed, int64_t rows, int64_t K,
                     int64_t count, float* c, const Blind& blind) {
    constexpr int W = kW<float>;
    const int64_t lanes = ceil_div(count, W) * W;
    const int64_t whole = kHasHalfTiles<float> && lanes - count >= W / 2 ? lanes - W : lanes;
    Tile<float> t = {};
    t.K = K;
    t.a_row = a_row, t.a_k = 1;
    t.b_k = t.c_row = lanes;
    t.last = W;
    for (int64_t j = 0; j < whole;) {
        const int most = vectors_for(whole - j, kMostVectors);
        const int64_t end = j + most * W;
        for_row_blocks(rows, most, [&](int64_t i, int height) {
            t.a = a + i * a_row;
            for (int64_t lane = max64(j, blind(i) / W * W); lane < end;) {
                const int vectors = vectors_for(end - lane, most);
                t.b = packed + lane;
                t.c = c + i * lanes + lane;
                run_attention_tile(vectors, height, t);
                lane += vectors * W;
            }
        });
        j = end;
    }
    if (whole == lanes) return;
    t.b = packed, t.c = c;
    multiply_half(t, a, a_row, rows, whole, blind);
}

// c (rows x columns) = a (rows x K) * b turned (columns x K), all read along K; c's rows are
// `lanes` apart.
void multiply_along(const float* a, int64_t a_row, const float* b, int64_t b_row, int64_t rows,
                    int64_t columns, int64_t K, int64_t lanes, float* c) {
    Tile<float> t = {};
    t.K = K;
    t.a_row = a_row, t.b_k = b_row;
    t.c_row = lanes;
    for (int64_t i = 0; i < rows; i += kDotRows)
        for (int64_t j = 0; j < columns; j += kDotCols) {
            t.a = a + i * a_row, t.b = b + j * b_row;
            t.c = c + i * lanes + j;
            t.last = int(min64(kDotCols, columns - j));
            dot_tile_of_height<float>(int(min64(kDotRows, rows - i)))(t);
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
        const int vectors = vectors_for(N - j, kMostVectors);
        t.last = int(min64(vectors * W, N - j)) - (vectors - 1) * W;
        for_row_blocks(M, vectors, [&](int64_t i, int height) {
            const Span k = span(i, height);
            t.K = k.end - k.begin;
            t.a = f.a + i * f.a_row + k.begin * f.a_k;
            t.b = f.b + k.begin * f.b_k + j;
            t.c = f.c + i * f.c_row + j;
            run_attention_tile(vectors, height, t);
        });
        j += vectors * W;
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
