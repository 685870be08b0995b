// gemm_tile.h: the innermost loops of the matrix product, held entirely in registers.
//
// gemm_tile computes MR rows x NV vectors of C. Each step of k loads NV vectors of B (along the
// columns), broadcasts MR numbers of A, and does MR*NV fused multiply-adds: with 32 registers 6 x 4
// (24 accumulators, 4 B vectors, 1 broadcast), with 16 registers 6 x 2. Fewer than about 8
// accumulators would wait for the multiply-add's latency, so a narrow C gets a taller tile.
// The last columns, if no more than half a vector, are computed in half registers where those go
// through the multiply-adders two at a time: 100 columns then cost 6.5 vectors instead of 7.
//
// dot_tile serves C = A * B^T where both operands run along k: vectors along k, RA x RB sums, one
// sideways reduction at the end. It needs no packing, which is what small products pay most for.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

// One tile's work. C[r][j] = act(sum_k A[r*a_row + k*a_k] * B[k*b_k + j] (+ C) + bias).
template <class T>
struct Tile {
    int64_t K;
    const T* a;
    int64_t a_row, a_k;
    const T* b;
    int64_t b_k;
    T* c;
    int64_t c_row;
    int last;           // columns in the last vector, 1..W
    bool accumulate;    // add to what C holds
    const T* col_bias;  // one per column, or null
    const T* row_bias;  // one per row, or null
    bool relu;
    // Memory is asked for what comes next: one address per step of k for tiles that follow, and C's
    // own lines, if they are not near, while the sums are formed.
    const T* ahead = nullptr;
    int64_t ahead_step = 0;
    bool is_c_far = false;
};

// What a tile does at each step. A file whose numbers are words of several narrow ones declares an
// overload of its own before it includes this one.
template <class V>
RL_INLINE V multiply_add(V a, V b, V c) {
    return fma(a, b, c);
}

// Tiles with as many sums have time to spare for fetching.
constexpr int kFetchingSums = 12;

constexpr int kTileVecs = 2;
constexpr int kTileRows = kVecRegs == 32 ? 14 : 6;

// What a tile keeps its columns in: whole registers or half ones.
template <class T>
struct WholeRegister {
    typedef Vec<T> V;
    static constexpr int W = kW<T>;
    static RL_INLINE V load(const T* p, int n) { return n == W ? ld(p) : ldn(p, n); }
    static RL_INLINE void store(T* p, V v, int n) {
        if (n == W)
            st(p, v);
        else
            stn(p, v, n);
    }
    static RL_INLINE V repeat(T x) { return splat(x); }
};

// Half registers pay with AVX-512, for float and double.
template <class T>
struct HalfRegister : WholeRegister<T> {};
template <class T>
constexpr bool kHasHalfTiles = HalfRegister<T>::W < kW<T>;

#if defined(__AVX512F__)
template <>
struct HalfRegister<float> {
    typedef float V __attribute__((vector_size(kVecBytes / 2)));
    static constexpr int W = kW<float> / 2;
    static RL_INLINE __mmask8 first(int n) { return __mmask8((1u << n) - 1); }
    static RL_INLINE V load(const float* p, int n) {
        return (V)_mm256_maskz_loadu_ps(first(n), p);
    }
    static RL_INLINE void store(float* p, V v, int n) {
        _mm256_mask_storeu_ps(p, first(n), (__m256)v);
    }
    static RL_INLINE V repeat(float x) { return (V)_mm256_set1_ps(x); }
};
template <>
struct HalfRegister<double> {
    typedef double V __attribute__((vector_size(kVecBytes / 2)));
    static constexpr int W = kW<double> / 2;
    static RL_INLINE __mmask8 first(int n) { return __mmask8((1u << n) - 1); }
    static RL_INLINE V load(const double* p, int n) {
        return (V)_mm256_maskz_loadu_pd(first(n), p);
    }
    static RL_INLINE void store(double* p, V v, int n) {
        _mm256_mask_storeu_pd(p, first(n), (__m256d)v);
    }
    static RL_INLINE V repeat(double x) { return (V)_mm256_set1_pd(x); }
};
#endif

// Calls body(r, v, columns) for the registers of a tile; the last of each row holds `last` columns.
template <class Register, int MR, int NV, class Body>
RL_INLINE void for_each_register(int last, const Body& body) {
    RL_UNROLL
    for (int r = 0; r < MR; r++) {
        RL_UNROLL
        for (int v = 0; v < NV; v++) body(r, v, v == NV - 1 ? last : Register::W);
    }
}

// Sums of whole numbers may start with their row's bias; of others it would change the rounding.
template <class T>
constexpr bool kStartsWithBias = T(0.5) == T(0);

// One pass over the registers for each thing to be done: asked at every register, the questions
// took as long as 300 multiply-adds.
template <class T, class Register, int MR, int NV>
RL_INLINE void store_tile(const Tile<T>& t, typename Register::V (&acc)[MR][NV], int last) {
    constexpr int W = Register::W;
    if (t.accumulate)
        for_each_register<Register, MR, NV>(last, [&](int r, int v, int n) RL_LAMBDA_INLINE {
            acc[r][v] += Register::load(t.c + r * t.c_row + v * W, n);
        });
    if (t.col_bias)
        for_each_register<Register, MR, NV>(last, [&](int r, int v, int n) RL_LAMBDA_INLINE {
            acc[r][v] += Register::load(t.col_bias + v * W, n);
        });
    if (t.row_bias && !kStartsWithBias<T>)
        for_each_register<Register, MR, NV>(last, [&](int r, int v, int) RL_LAMBDA_INLINE {
            acc[r][v] += Register::repeat(t.row_bias[r]);
        });
    if (t.relu)
        for_each_register<Register, MR, NV>(last, [&](int r, int v, int) RL_LAMBDA_INLINE {
            acc[r][v] = rectified(acc[r][v], true);
        });
    for_each_register<Register, MR, NV>(last, [&](int r, int v, int n) RL_LAMBDA_INLINE {
        Register::store(t.c + r * t.c_row + v * W, acc[r][v], n);
    });
}

template <class T, class Register, int MR, int NV>
RL_INLINE void multiply_tile(const Tile<T>& t, int last) {
    typedef typename Register::V V;
    constexpr int W = Register::W;
    constexpr bool fetches = MR * NV >= kFetchingSums;
    V acc[MR][NV] = {};
    if (kStartsWithBias<T> && t.row_bias)
        for_each_register<Register, MR, NV>(last, [&](int r, int v, int) RL_LAMBDA_INLINE {
            acc[r][v] = Register::repeat(t.row_bias[r]);
        });
    const T* a = t.a;
    const T* b = t.b;
    const T* ahead = t.ahead != nullptr ? t.ahead : a;
    if (fetches && t.is_c_far)
        for_each_register<Register, MR, NV>(last, [&](int r, int v, int) RL_LAMBDA_INLINE {
            __builtin_prefetch(t.c + r * t.c_row + v * W, 1);
        });
    for (int64_t k = 0; k < t.K; k++, a += t.a_k, b += t.b_k, ahead += t.ahead_step) {
        if (fetches) __builtin_prefetch(ahead);
        V row[NV];
        RL_UNROLL
        for (int v = 0; v < NV; v++) row[v] = Register::load(b + v * W, v < NV - 1 ? W : last);
        RL_UNROLL
        for (int r = 0; r < MR; r++) {
            const V x = Register::repeat(a[r * t.a_row]);
            RL_UNROLL
            for (int v = 0; v < NV; v++) acc[r][v] = multiply_add(x, row[v], acc[r][v]);
        }
    }
    store_tile<T, Register>(t, acc, last);
}

template <class T, int MR, int NV, class Register = WholeRegister<T>>
void gemm_tile(const Tile<T>& t) {
    constexpr bool is_whole = Register::W == kW<T>;  // half registers always go by `last`
    if (is_whole && t.last == Register::W)
        multiply_tile<T, Register, MR, NV>(t, Register::W);
    else
        multiply_tile<T, Register, MR, NV>(t, t.last);
}

// Tiles of every height, so that rows can be shared out evenly: 20 rows go as 10 + 10, which
// takes less than 14 + 6.
template <class T>
using TileFunction = void (*)(const Tile<T>&);

template <class T, int NV>
TileFunction<T> tile_of_height(int rows) {
#define RL_TILE(R) gemm_tile<T, (R <= kTileRows ? R : 1), NV>
    static constexpr TileFunction<T> table[] = {
        nullptr,     RL_TILE(1),  RL_TILE(2),  RL_TILE(3),  RL_TILE(4),
        RL_TILE(5),  RL_TILE(6),  RL_TILE(7),  RL_TILE(8),  RL_TILE(9),
        RL_TILE(10), RL_TILE(11), RL_TILE(12), RL_TILE(13), RL_TILE(14),
    };
#undef RL_TILE
    return table[rows];
}

// Half a vector of columns (t.last of them). With up to kHalfLeastRows - 1 rows a whole vector takes
// no longer, as there are too few sums in flight.
constexpr int kHalfLeastRows = 5;

template <class T>
TileFunction<T> half_tile_of_height(int rows) {
#define RL_TILE(R) gemm_tile<T, (kHasHalfTiles<T> ? R : 1), 1, HalfRegister<T>>
    static constexpr TileFunction<T> table[] = {
        RL_TILE(5),  RL_TILE(6),  RL_TILE(7),  RL_TILE(8),  RL_TILE(9),
        RL_TILE(10), RL_TILE(11), RL_TILE(12), RL_TILE(13), RL_TILE(14),
    };
#undef RL_TILE
    return table[rows - kHalfLeastRows];
}

// Four vectors wide: the widest tile for 32 registers, and for 16 what keeps enough sums in flight
// when there are only a row or two.
constexpr bool kWideTiles = kVecRegs == 32;
constexpr int kWide = 4, kWideRows = kVecRegs == 32 ? 6 : 2;

template <class T>
TileFunction<T> wide_tile_of_height(int rows) {
#define RL_TILE(R) gemm_tile<T, (R <= kWideRows ? R : 1), 4>
    static constexpr TileFunction<T> table[] = {nullptr,    RL_TILE(1), RL_TILE(2), RL_TILE(3),
                                            RL_TILE(4), RL_TILE(5), RL_TILE(6)};
#undef RL_TILE
    return table[rows];
}

// ---------------------------------------------------------------------------- dot products
constexpr int kDotRows = kVecRegs == 32 ? 4 : 2;
constexpr int kDotCols = 4;

template <class T>
struct DotRow {  // kDotCols neighbours of a row of C
    typedef T V __attribute__((vector_size(kDotCols * sizeof(T))));
    static RL_INLINE V load(const T* p) {
        V v;
        memcpy(&v, p, sizeof(v));
        return v;
    }
    static RL_INLINE void store(T* p, V v) { memcpy(p, &v, sizeof(v)); }
};

// C's row r of a tile, from `sums`.
template <class T>
RL_INLINE void store_dot_row(const Tile<T>& t, const T* sums, int r) {
    typedef typename DotRow<T>::V V;
    T* const c = t.c + r * t.c_row;
    if (t.last == kDotCols) {
        V x = DotRow<T>::load(sums);
        if (t.accumulate) x += DotRow<T>::load(c);
        if (t.col_bias) x += DotRow<T>::load(t.col_bias);
        if (t.row_bias) x += t.row_bias[r];
        x = rectified(x, t.relu);
        return DotRow<T>::store(c, x);
    }
    for (int j = 0; j < t.last; j++) {
        T x = sums[j];
        if (t.accumulate) x += c[j];
        if (t.col_bias) x += t.col_bias[j];
        if (t.row_bias) x += t.row_bias[r];
        if (t.relu && x < T(0)) x = T(0);
        c[j] = x;
    }
}

// C[r][j] = sum_k A[r*a_row + k] * B[j*b_k + k] for RA rows and up to kDotCols columns, `last`
// of them. Columns behind the edge are read from the last valid one and their sums dropped.
// 4 x 4 sums are one vector of 16: larger tiles spend more on adding up sideways than they save.
template <class T, int RA>
void dot_tile(const Tile<T>& t) {
    constexpr int W = kW<T>, RB = kDotCols;
    const T* a[RA];
    const T* b[RB];
    for (int r = 0; r < RA; r++) a[r] = t.a + r * t.a_row;
    for (int j = 0; j < RB; j++) b[j] = t.b + (j < t.last ? j : t.last - 1) * t.b_k;
    Vec<T> acc[RA][RB] = {};
    auto step = [&](int64_t k, auto load) RL_LAMBDA_INLINE {
        Vec<T> x[RA];
        RL_UNROLL
        for (int r = 0; r < RA; r++) x[r] = load(a[r] + k);
        RL_UNROLL
        for (int j = 0; j < RB; j++) {
            const Vec<T> y = load(b[j] + k);
            RL_UNROLL
            for (int r = 0; r < RA; r++) acc[r][j] = multiply_add(x[r], y, acc[r][j]);
        }
    };
    int64_t k = 0;
    for (; k + W <= t.K; k += W) step(k, [](const T* p) RL_LAMBDA_INLINE { return ld(p); });
    if (k < t.K) {
        const int rest = int(t.K - k);
        step(k, [rest](const T* p) RL_LAMBDA_INLINE { return ldn(p, rest); });
    }
    T sums[RA * RB + W];
    for (int i = 0; i < RA * RB; i += W) {
        Vec<T> rows[W] = {};
        RL_UNROLL
        for (int q = 0; q < W; q++)
            if (i + q < RA * RB) rows[q] = acc[(i + q) / RB][(i + q) % RB];
        st(sums + i, hsum_rows(rows));
    }
    for (int r = 0; r < RA; r++) store_dot_row(t, sums + r * RB, r);
}

template <class T>
TileFunction<T> dot_tile_of_height(int rows) {
    static constexpr TileFunction<T> table[] = {nullptr, dot_tile<T, 1>, dot_tile<T, 2>,
                                            dot_tile<T, (kDotRows > 2 ? 3 : 1)>,
                                            dot_tile<T, (kDotRows > 3 ? 4 : 1)>};
    return table[rows];
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
