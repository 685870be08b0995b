// reduce_rows.h: reductions along rows, whose elements lie side by side or with gaps between them.
//
// Eight vector accumulators run over blocks of 4,096 elements; what the blocks come to is added up
// in double precision, lane by lane, so a float32 sum has an error of a few units in the last place
// however long the row. Two rows far apart (or two pieces of one) are read at once: memory is busy
// while one of them ends. A reduction to very few numbers is cut into pieces of fixed size, whose
// totals are combined in order: the result does not depend on the number of threads. Of every second
// element, as of a matrix's even columns, the odd lanes are left out; elements with other gaps are
// gathered first, 1,024 at a time.
#pragma once

#include "allocator.h"
#include "parallel.h"
#include "reduce_operations.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlock = 4096;      // elements summed before going to the wide totals
constexpr int64_t kMostTotals = 512;  // results of several rows each that are made together
constexpr int64_t kPiece = 1 << 17;   // elements of one piece of a long row
constexpr int64_t kGathered = 1024;   // elements with gaps that are put side by side at a time

// What blocks come to, lane by lane, in the wide type. Folding lanes at the end of each block would
// leave the memory idle meanwhile.
template <class Op, class T>
struct Totals {
    Vec<T> lanes = splat(Op::template start<T>());
    RL_INLINE void take(Vec<T> block) { lanes = Op::merge_vectors(lanes, block); }
    T fold() const { return Op::fold(lanes); }
};
template <>
struct Totals<Sum, float> {
    f64v lanes = {};
    RL_INLINE void take(f32v block) { lanes += halves_to_double(block); }
    double fold() const { return hsum(lanes); }
};

// v, or what changes nothing in the odd lanes.
template <class Op, bool even, class T>
RL_INLINE Vec<T> taken(Vec<T> v) {
    if (!even) return v;
    return select((lane_numbers<T>() & 1) == 0, v, splat(Op::template start<T>()));
}

// n elements of each of R rows, reduced to one vector per row. The loop is kept as it is: unrolled
// by the compiler, it would not read memory in order, which takes twice as long.
template <class Op, int R, bool even, class T>
RL_INLINE void reduce_vectors(const T* x, int64_t apart, int64_t n, Vec<T>* out) {
    constexpr int W = kW<T>, N = 8 / R;
    Vec<T> acc[R][N];
    RL_UNROLL
    for (int r = 0; r < R; r++)
        RL_UNROLL
        for (int k = 0; k < N; k++) acc[r][k] = splat(Op::template start<T>());
    RL_KEEP_LOOP
    for (int64_t i = 0; i + N * W <= n; i += N * W)
        RL_UNROLL
        for (int r = 0; r < R; r++)
            RL_UNROLL
            for (int k = 0; k < N; k++)
                acc[r][k] =
                    Op::step(acc[r][k], taken<Op, even, T>(ld(x + r * apart + i + k * W)));
    RL_UNROLL
    for (int r = 0; r < R; r++) {
        RL_UNROLL
        for (int width = N / 2; width > 0; width /= 2)
            RL_UNROLL
            for (int k = 0; k < width; k++)
                acc[r][k] = Op::merge_vectors(acc[r][k], acc[r][k + width]);
        out[r] = acc[r][0];
    }
}

// The reductions of R rows at once; one begins `apart` elements behind the other. Two rows that are
// far apart keep memory busy while one of them ends.
template <class Op, int R, bool even = false, class T>
RL_INLINE void reduce_rows(const T* x, int64_t apart, int64_t n, typename Wide<T>::type* out) {
    constexpr int64_t together = 8 / R * kW<T>;
    const T filler = Op::template start<T>();
    Totals<Op, T> totals[R];
    Vec<T> vectors[R];
    int64_t i = 0;
    if (Op::rounds)
        for (; i + kBlock <= n; i += kBlock) {
            reduce_vectors<Op, R, even>(x + i, apart, kBlock, vectors);
            RL_UNROLL
            for (int r = 0; r < R; r++) totals[r].take(vectors[r]);
        }
    reduce_vectors<Op, R, even>(x + i, apart, n - i, vectors);
    i += (n - i) / together * together;
    RL_UNROLL
    for (int r = 0; r < R; r++) {
        for_vectors<T>(n - i, [&](int64_t j, int m) RL_LAMBDA_INLINE {
            const Vec<T> part = keep_lanes(load(x + r * apart + i + j, m), m, filler);
            vectors[r] = Op::step(vectors[r], taken<Op, even, T>(part));
        });
        totals[r].take(vectors[r]);
        out[r] = totals[r].fold();
    }
}

template <class Op, class T>
typename Wide<T>::type reduce_row(const T* x, int64_t n) {
    typename Wide<T>::type total;
    reduce_rows<Op, 1>(x, 0, n, &total);
    return total;
}
// Rows first ... last-1 of n elements, `apart` from one another, two at a time from either half. An
// odd one is paired with itself: the order of additions must not depend on the number of threads.
template <class Op, class T, class Store>
void reduce_many(const T* x, int64_t apart, int64_t n, int64_t first, int64_t last,
                 const Store& store_total) {
    typename Wide<T>::type totals[2];
    const int64_t half = (last - first) / 2;
    for (int64_t r = first; r < first + half; r++) {
        reduce_rows<Op, 2>(x + r * apart, half * apart, n, totals);
        store_total(r, totals[0]);
        store_total(r + half, totals[1]);
    }
    if (first + 2 * half == last) return;
    reduce_rows<Op, 2>(x + (last - 1) * apart, 0, n, totals);
    store_total(last - 1, totals[0]);
}

// ------------------------------------------------------------------ in pieces
// Merges into `total`, in their order, the totals of pieces, which fill(begin, end, totals) finds for
// some of them on any thread. False, nothing done, if there is no memory for them.
template <class Op, class W, class Fill>
bool merge_pieces(int64_t pieces, W* total, const Fill& fill) {
    Scratch memory(size_t(pieces) * sizeof(W));
    if (!memory) return false;
    W* const totals = memory.as<W>();
    parallel_for(pieces, 1, [&](int64_t begin, int64_t end) { fill(begin, end, totals); });
    for (int64_t p = 0; p < pieces; p++) *total = Op::merge(*total, totals[p]);
    return true;
}
// Elements of the p-th piece of n.
inline int64_t length_of_piece(int64_t p, int64_t n) {
    const int64_t left = n - p * kPiece;
    return left < kPiece ? left : kPiece;
}

template <class Op, class T>
typename Wide<T>::type reduce_long_row(const T* x, int64_t n) {
    typedef typename Wide<T>::type W;
    const int64_t pieces = n / kPiece;  // of full length
    W total = Op::template start<W>();
    const auto fill = [&](int64_t begin, int64_t end, W* totals) {
        reduce_many<Op>(x, kPiece, kPiece, begin, end, [&](int64_t p, W t) { totals[p] = t; });
    };
    if (pieces == 0 || !merge_pieces<Op>(pieces, &total, fill))
        return reduce_row<Op>(x, n);
    return Op::merge(total, reduce_row<Op>(x + pieces * kPiece, n - pieces * kPiece));
}

// Squares of float32 leave its range early (1e-23, 1e20), so they are formed in double precision.
template <class T>
double sum_squares_piece(const T* x, int64_t n) {
    constexpr int lanes = 32;
    double acc[lanes] = {};
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        for (int k = 0; k < lanes; k++) acc[k] += double(x[i + k]) * double(x[i + k]);
    for (; i < n; i++) acc[0] += double(x[i]) * double(x[i]);
    for (int width = lanes / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++) acc[k] += acc[k + width];
    return acc[0];
}
template <class T>
double sum_squares(const T* x, int64_t n) {
    const int64_t pieces = (n + kPiece - 1) / kPiece;
    double total = 0;
    const auto fill = [&](int64_t begin, int64_t end, double* totals) {
        for (int64_t p = begin; p < end; p++)
            totals[p] = sum_squares_piece(x + p * kPiece, length_of_piece(p, n));
    };
    const bool merged = pieces > 1 && merge_pieces<Sum>(pieces, &total, fill);
    return merged ? total : sum_squares_piece(x, n);
}

// ------------------------------------------------------------------ any layout
// The results first ... last-1 (at most kMostTotals), each of `outer` rows: in the order of memory.
template <class Op, class T>
void reduce_planes(T* out, const T* x, const ReduceCall& call, int64_t first, int64_t last) {
    typedef typename Wide<T>::type W;
    const int64_t outer = call.reduced_shape[0], inner = call.reduced_shape[1];
    const int64_t row_step = call.reduced_stride[0], step = call.kept_stride[0];
    W totals[kMostTotals];
    for (int64_t r = first; r < last; r++) totals[r - first] = Op::template start<W>();
    const auto take = [&](int64_t r, W total) {
        totals[r - first] = Op::merge(totals[r - first], total);
    };
    if (row_step > step) {
        for (int64_t o = 0; o < outer; o++)
            reduce_many<Op>(x + o * row_step, step, inner, first, last, take);
    } else {
        for (int64_t r = first; r < last; r++)
            reduce_many<Op>(x + r * step, row_step, inner, 0, outer,
                            [&](int64_t, W total) { take(r, total); });
    }
    for (int64_t r = first; r < last; r++) out[r] = T(Op::scaled(totals[r - first], call.scale));
}

// One result of rows that lie anyhow.
template <class Op, class T>
T reduce_scattered(const T* x, const ReduceCall& call) {
    typename Wide<T>::type total = Op::template start<typename Wide<T>::type>();
    const int outer_dims = call.reduced_dims - 1;
    const int64_t outer = product(outer_dims, call.reduced_shape);
    for (int64_t o = 0; o < outer; o++) {
        const T* row = x + offset_of(o, outer_dims, call.reduced_shape, call.reduced_stride);
        total = Op::merge(total, reduce_row<Op>(row, call.reduced_shape[outer_dims]));
    }
    return T(Op::scaled(total, call.scale));
}

// As reduce_row, of n elements `step` apart.
template <class Op, class T>
typename Wide<T>::type reduce_steps(const T* x, int64_t step, int64_t n) {
    typename Wide<T>::type total = Op::template start<typename Wide<T>::type>();
    if (step == 2) {
        reduce_rows<Op, 1, true>(x, 0, 2 * n - 1, &total);
        return total;
    }
    alignas(64) T together[kGathered];
    for (int64_t i = 0; i < n; i += kGathered) {
        const int64_t count = n - i < kGathered ? n - i : kGathered;
        for (int64_t k = 0; k < count; k++) together[k] = x[(i + k) * step];
        total = Op::merge(total, reduce_row<Op>(together, count));
    }
    return total;
}

// One result of rows whose elements have gaps: of `count` elements of each row from `first` on.
template <class Op, class T>
typename Wide<T>::type reduce_gaps(const T* x, const ReduceCall& call, int64_t first,
                                   int64_t count) {
    typename Wide<T>::type total = Op::template start<typename Wide<T>::type>();
    const int last = call.reduced_dims - 1;
    const int64_t step = call.reduced_stride[last], outer = product(last, call.reduced_shape);
    for (int64_t o = 0; o < outer; o++) {
        const T* row = x + offset_of(o, last, call.reduced_shape, call.reduced_stride);
        total = Op::merge(total, reduce_steps<Op>(row + first * step, step, count));
    }
    return total;
}

// Rows whose elements have gaps between them; those of a single result in pieces.
template <class Op, class T>
void along_steps(const ReduceCall& call) {
    typedef typename Wide<T>::type W;
    const T* x = static_cast<const T*>(call.x);
    T* out = static_cast<T*>(call.out);
    const int64_t results = product(call.kept_dims, call.kept_shape);
    const int64_t n = call.reduced_shape[call.reduced_dims - 1];
    const int64_t pieces = (n + kPiece - 1) / kPiece;
    W total = Op::template start<W>();
    const auto fill = [&](int64_t begin, int64_t end, W* totals) {
        for (int64_t p = begin; p < end; p++)
            totals[p] = reduce_gaps<Op>(x, call, p * kPiece, length_of_piece(p, n));
    };
    if (results == 1 && pieces > 1 && merge_pieces<Op>(pieces, &total, fill)) {
        out[0] = T(Op::scaled(total, call.scale));
        return;
    }
    const int64_t elements = n * product(call.reduced_dims - 1, call.reduced_shape);
    parallel_for(results, 1 + kGrain / (elements + 1), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const T* from = x + offset_of(r, call.kept_dims, call.kept_shape, call.kept_stride);
            out[r] = T(Op::scaled(reduce_gaps<Op>(from, call, 0, n), call.scale));
        }
    });
}

template <class Op, class T>
void along_rows(const ReduceCall& call) {
    typedef typename Wide<T>::type W;
    if (call.reduced_stride[call.reduced_dims - 1] != 1) return along_steps<Op, T>(call);
    const T* x = static_cast<const T*>(call.x);
    T* out = static_cast<T*>(call.out);
    const int64_t results = product(call.kept_dims, call.kept_shape);
    const int outer_dims = call.reduced_dims - 1;
    const int64_t inner = call.reduced_shape[outer_dims];
    const int64_t outer = product(outer_dims, call.reduced_shape);
    if (results == 1 && outer == 1) {
        out[0] = T(Op::scaled(reduce_long_row<Op>(x, inner), call.scale));
        return;
    }
    const int64_t grain = 1 + kGrain / (inner * outer + 1);
    parallel_for(results, grain, [&](int64_t begin, int64_t end) {
        if (call.kept_dims == 1 && outer_dims == 0)
            return reduce_many<Op>(x, call.kept_stride[0], inner, begin, end, [&](int64_t r, W t) {
                out[r] = T(Op::scaled(t, call.scale));
            });
        if (call.kept_dims == 1 && outer_dims == 1) {
            for (int64_t r = begin; r < end; r += kMostTotals)
                reduce_planes<Op>(out, x, call, r, end - r < kMostTotals ? end : r + kMostTotals);
            return;
        }
        for (int64_t r = begin; r < end; r++)
            out[r] = reduce_scattered<Op>(
                x + offset_of(r, call.kept_dims, call.kept_shape, call.kept_stride), call);
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
