// attention_products.h: attention's products, on the tiles of gemm_tile.h.
//
// Scores and weights are turned: a row for each key, a lane for each query. Then keys and values
// are read where they lie, and so are the rows of queries and gradients but for one packed copy of
// each block, which has a lane for each query, too. A few queries are not worth lanes: their
// products are dot products along the width. So are those of one or two queries too many for whole
// vectors, or one for a half one with AVX-512: 17 queries would take as long as 24.
// Under a causal mask nearly half of a matrix of scores or weights is nothing. So these products
// know for every block of rows (6 or 14 high) which lanes of the result are wanted, or which part
// of k counts: the triangle is cut to some 60 % of the square.
#pragma once

#include "attention_rows.h"
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

// A block's queries, or their gradients, as rows and as columns: a lane for each. Few have none.
struct Queries {
    const float* rows;
    int64_t row;
    const float* packed;
    int64_t count;
};

// How lanes are computed: those before `whole` by whole vectors, those before `half` by a half one,
// the others one by one.
struct LaneWays {
    int64_t whole, half;
};
LaneWays ways_for(int64_t count) {
    constexpr int W = kW<float>, H = HalfRegister<float>::W;
    const int64_t rest = count % W;
    if (rest <= 2) return {count - rest, count - rest};
    if (!kHasHalfTiles<float> || rest > H + 1) return {count - rest + W, count};
    return {count - rest, count - rest + H};
}

// The half vector of c's rows from `lane` on; the other half becomes zero.
void multiply_half(Tile<float> t, const float* a, int64_t rows, int64_t lane) {
    constexpr int W = kW<float>;
    float* const c = t.c + lane;
    t.b += lane;
    for_row_blocks(rows, 1, [&](int64_t i, int height) {
        for (int64_t r = i; r < i + height; r++) st(c + r * t.c_row, f32v{});
        t.a = a + i * t.a_row;
        t.c = c + i * t.c_row;
        t.last = height < kHalfLeastRows ? W : W / 2;
        (t.last == W ? tile_of_height<float, 1>(height) : half_tile_of_height<float>(height))(t);
    });
}

// A lane by dot products; those behind it in a vector that it starts become zero.
void multiply_single(const Tile<float>& t, const float* a, const float* x, int64_t rows,
                     int64_t lane) {
    constexpr int W = kW<float>;
    for (int64_t i = 0; i < rows; i += W) {
        const int n = int(min64(W, rows - i));
        alignas(64) float sums[W];
        st(sums, dot_rows(a + i * t.a_row, t.a_row, x, 0, n, t.K));
        for (int r = 0; r < n; r++) {
            float* const c = t.c + (i + r) * t.c_row + lane;
            if (lane % W == 0) st(c, f32v{});
            *c = sums[r];
        }
    }
}

// c (rows x lanes) = a (rows x K) * the queries turned; c has whole vectors of lanes. The first
// blind(i) lanes of row i need not be computed; blind does not decrease.
template <class Blind>
void multiply_packed(const float* a, int64_t a_row, const Queries& x, int64_t rows, int64_t K,
                     float* c, const Blind& blind) {
    constexpr int W = kW<float>;
    const int64_t lanes = ceil_div(x.count, W) * W;
    const LaneWays ways = ways_for(x.count);
    Tile<float> t = {};
    t.K = K;
    t.a_row = a_row, t.a_k = 1;
    t.b_k = t.c_row = lanes;
    t.last = W;
    for (int64_t j = 0; j < ways.whole;) {
        const int most = vectors_for(ways.whole - j, kMostVectors);
        const int64_t end = j + most * W;
        for_row_blocks(rows, most, [&](int64_t i, int height) {
            t.a = a + i * a_row;
            for (int64_t lane = max64(j, blind(i) / W * W); lane < end;) {
                const int vectors = vectors_for(end - lane, most);
                t.b = x.packed + lane;
                t.c = c + i * lanes + lane;
                run_attention_tile(vectors, height, t);
                lane += vectors * W;
            }
        });
        j = end;
    }
    t.b = x.packed, t.c = c;
    if (ways.half > ways.whole) multiply_half(t, a, rows, ways.whole);
    for (int64_t q = ways.half; q < x.count; q++)
        multiply_single(t, a, x.rows + q * x.row, rows, q);
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
