// vec_shuffle.h: moving lanes between vectors: transposes, sums of many vectors, even and odd lanes.
//
// Included by vec.h. The idea behind most of it: exchanging blocks of D lanes between vectors D
// apart, for D = 1, 2, 4, ..., turns a square of W vectors around in W * log2(W) shuffles.
#pragma once

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

// Lanes picked by compile-time position: I < W reads a[I], else b[I - W]. GCC and Clang name the
// same instruction differently.
template <int... I>
struct Lanes {};

template <class T>
struct MaskOf {
    typedef Vec<int32_t> type;
};
template <>
struct MaskOf<double> {
    typedef Vec<int64_t> type;
};

template <class V, int... I>
RL_INLINE V shuffle(V a, V b, Lanes<I...>) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, I...);
#else
    return __builtin_shuffle(a, b, typename MaskOf<Lane<V>>::type{I...});
#endif
}

// For every lane j of a pair of vectors: the lanes whose bit D is clear (low), or set (high),
// paired up. Exchanging these blocks for D = 1, 2, 4, ... transposes a square of W vectors.
template <int W, int D, int J, int... I>
struct PairLanesLow {
    typedef
        typename PairLanesLow<W, D, J - 1, ((J - 1) & D) ? W + J - 1 - D : J - 1, I...>::type type;
};
template <int W, int D, int... I>
struct PairLanesLow<W, D, 0, I...> {
    typedef Lanes<I...> type;
};
template <int W, int D, int J, int... I>
struct PairLanesHigh {
    typedef
        typename PairLanesHigh<W, D, J - 1, ((J - 1) & D) ? W + J - 1 : J - 1 + D, I...>::type type;
};
template <int W, int D, int... I>
struct PairLanesHigh<W, D, 0, I...> {
    typedef Lanes<I...> type;
};

template <int D, class V>
RL_INLINE V pair_low(V a, V b) {
    return shuffle(a, b, typename PairLanesLow<kW<Lane<V>>, D, kW<Lane<V>>>::type{});
}
template <int D, class V>
RL_INLINE V pair_high(V a, V b) {
    return shuffle(a, b, typename PairLanesHigh<kW<Lane<V>>, D, kW<Lane<V>>>::type{});
}

template <int D, int G, class V>
RL_INLINE void transpose_stage(V* rows) {
    if constexpr (D < G) {
        RL_UNROLL
        for (int i = 0; i < G; i++) {
            if (i & D) continue;
            V low = pair_low<D>(rows[i], rows[i + D]);
            rows[i + D] = pair_high<D>(rows[i], rows[i + D]);
            rows[i] = low;
        }
        transpose_stage<D * 2, G>(rows);
    }
}

// G vectors taken as W / G squares of G x G lanes side by side, each transposed.
template <int G, class V>
RL_INLINE void transpose_blocks(V* rows) {
    transpose_stage<1, G>(rows);
}

// W vectors of W lanes, transposed in registers: afterwards rows[i][j] is what rows[j][i] was.
template <class V>
RL_INLINE void transpose(V* rows) {
    transpose_blocks<kW<Lane<V>>>(rows);
}

template <int D, class V>
RL_INLINE V hsum_stage(V* rows) {
    constexpr int pairs = kW<Lane<V>> / (2 * D);
    if constexpr (pairs == 0) {
        return rows[0];
    } else {
        RL_UNROLL
        for (int i = 0; i < pairs; i++)
            rows[i] = pair_low<D>(rows[2 * i], rows[2 * i + 1]) +
                      pair_high<D>(rows[2 * i], rows[2 * i + 1]);
        return hsum_stage<D * 2>(rows);
    }
}

// Lane i of the result is the sum of the lanes of rows[i]; the rows are overwritten. Half the
// shuffles of W separate horizontal sums.
template <class V>
RL_INLINE V hsum_rows(V* rows) {
    return hsum_stage<1>(rows);
}

// Every second lane of a pair of vectors, starting with lane First.
template <int First, int J, int... I>
struct EverySecond {
    typedef typename EverySecond<First, J - 1, 2 * (J - 1) + First, I...>::type type;
};
template <int First, int... I>
struct EverySecond<First, 0, I...> {
    typedef Lanes<I...> type;
};

// n pairs of neighbours (n <= W), split into first and second numbers.
RL_INLINE void load_pairs(const float* p, int n, f32v* first, f32v* second) {
    constexpr int W = kW<float>;
    const bool whole = n == W;
    const f32v a = whole ? ld(p) : ldn(p, 2 * n < W ? 2 * n : W);
    const f32v b = whole ? ld(p + W) : 2 * n > W ? ldn(p + W, 2 * n - W) : f32v{};
    *first = shuffle(a, b, typename EverySecond<0, W>::type{});
    *second = shuffle(a, b, typename EverySecond<1, W>::type{});
}

// The lanes of two vectors in turn: half of them, beginning with lane First of each.
template <int W, int First, int J, int... I>
struct InTurn {
    typedef typename InTurn<W, First, J - 2, First + J / 2 - 1, W + First + J / 2 - 1, I...>::type
        type;
};
template <int W, int First, int... I>
struct InTurn<W, First, 0, I...> {
    typedef Lanes<I...> type;
};

// The opposite of load_pairs: the first n numbers (n <= 2 W) of the pairs.
RL_INLINE void store_pairs(float* p, f32v first, f32v second, int n) {
    constexpr int W = kW<float>;
    const f32v low = shuffle(first, second, typename InTurn<W, 0, W>::type{});
    const f32v high = shuffle(first, second, typename InTurn<W, W / 2, W>::type{});
    stn(p, low, n < W ? n : W);
    if (n > W) stn(p + W, high, n - W);
}

// int32 lanes as twice as many int64 lanes and back (cut off).
RL_INLINE void widen(i32v v, i64v* low, i64v* high) {
#if defined(__AVX512F__)
    *low = (i64v)_mm512_cvtepi32_epi64(_mm512_castsi512_si256((__m512i)v));
    *high = (i64v)_mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64((__m512i)v, 1));
#elif defined(__AVX2__)
    *low = (i64v)_mm256_cvtepi32_epi64(_mm256_castsi256_si128((__m256i)v));
    *high = (i64v)_mm256_cvtepi32_epi64(_mm256_extracti128_si256((__m256i)v, 1));
#else
    for (int i = 0; i < kW<int64_t>; i++) {
        (*low)[i] = v[i];
        (*high)[i] = v[kW<int64_t> + i];
    }
#endif
}
RL_INLINE i32v narrow(i64v low, i64v high) {
#if defined(__AVX512F__)
    const __m512i half = _mm512_castsi256_si512(_mm512_cvtepi64_epi32((__m512i)low));
    return (i32v)_mm512_inserti64x4(half, _mm512_cvtepi64_epi32((__m512i)high), 1);
#else
    return shuffle((i32v)low, (i32v)high, typename EverySecond<0, kW<int32_t>>::type{});
#endif
}

// Whether any bit is set.
RL_INLINE bool any(i32v v) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)v, (__m512i)v) != 0;
#elif defined(__AVX__)
    return !_mm256_testz_si256((__m256i)v, (__m256i)v);
#else
    int32_t bits = 0;
    for (int i = 0; i < kW<int32_t>; i++) bits |= v[i];
    return bits != 0;
#endif
}

// v[index[i]] for every lane.
RL_INLINE f32v permute(f32v v, i32v index) {
#if defined(__AVX512F__)
    return (f32v)_mm512_permutexvar_ps((__m512i)index, (__m512)v);
#elif defined(__AVX2__)
    return (f32v)_mm256_permutevar8x32_ps((__m256)v, (__m256i)index);
#else
    f32v result;
    for (int i = 0; i < kW<float>; i++) result[i] = v[index[i]];
    return result;
#endif
}

// table[index[i] & 7] for every lane.
RL_INLINE f32v lookup8(const float (&table)[8], i32v index) {
#if defined(__AVX512F__)
    const __m512 twice = _mm512_broadcast_f32x8(_mm256_loadu_ps(table));
    return (f32v)_mm512_permutexvar_ps((__m512i)index, twice);
#elif defined(__AVX2__)
    return (f32v)_mm256_permutevar8x32_ps(_mm256_loadu_ps(table), (__m256i)index);
#elif defined(__SSE4_1__)
    // Bytes are shuffled within each half of the table, and bit 2 of the index chooses the half.
    const __m128i bytes = (__m128i)((index & 3) * 0x04040404 + 0x03020100);
    const __m128i low = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i*)table), bytes);
    const __m128i high = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i*)(table + 4)), bytes);
    return (f32v)_mm_blendv_ps((__m128)low, (__m128)high, (__m128)(index << 29));
#else
    f32v v;
    for (int i = 0; i < kW<float>; i++) v[i] = table[index[i] & 7];
    return v;
#endif
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
