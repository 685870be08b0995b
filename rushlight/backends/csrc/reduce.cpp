// Reductions.
//
// Along rows, where the reduced elements lie side by side, eight vector accumulators run over
// blocks of 4,096 elements; what the blocks come to is added up in double precision, lane by lane,
// so a float32 sum has an error of a few units in the last place however long the row. Two rows far
// apart (or two pieces of one) are read at once: memory is busy while one of them ends. A
// reduction to very few numbers is cut into pieces of fixed size, whose totals are combined in
// order: the result does not depend on the number of threads. Of every second element, as of a
// matrix's even columns, the odd lanes are left out; elements with other gaps are gathered first,
// 1,024 at a time.
//
// Along columns, where neighbouring elements belong to different results, each of up to 2,048
// columns has an accumulator in the first-level cache, and rows are taken eight at a time, so that
// it is read and written once for eight numbers, and memory is read from one end to the other. Sums
// go on to double-precision totals after 64 rows. Few long columns are cut into chunks of rows, as
// above.
#include "reduce.h"

#include "allocator.h"
#include "lanes.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlock = 4096;      // elements summed before going to the wide totals
constexpr int64_t kMostTotals = 512;  // results of several rows each that are made together
constexpr int64_t kBlockRows = 64;    // rows, in the column case
constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kStrip = 2048;      // columns that are reduced together
constexpr int64_t kMostChunks = 16;   // of the rows
constexpr int64_t kPiece = 1 << 17;   // elements of one piece of a long row
constexpr int64_t kGathered = 1024;   // elements with gaps that are put side by side at a time
constexpr int64_t kGrain = 1 << 17;   // elements that are worth a thread

template <class T>
struct Wide {
    typedef T type;
};
template <>
struct Wide<float> {
    typedef double type;
};

// ------------------------------------------------------------------ the operations
// `start` is what an empty reduction gives, `step` takes in a vector, `merge` another partial
// result (`merge_vectors` lane by lane), `fold` reduces a vector's lanes. What `rounds` goes on to
// wide totals block by block.
struct Sum {
    static constexpr bool rounds = true;
    template <class T>
    static T start() { return T(0); }
    template <class V>
    static RL_INLINE V step(V sum, V x) { return sum + x; }
    template <class T>
    static RL_INLINE T merge(T a, T b) { return a + b; }
    template <class V>
    static RL_INLINE V merge_vectors(V a, V b) { return a + b; }
    template <class V>
    static Lane<V> fold(V v) { return hsum(v); }
    template <class W>
    static W scaled(W total, double scale) { return W(total * W(scale)); }
};
struct Max {
    static constexpr bool rounds = false;
    template <class T>
    static T start() { return lowest(T(0)); }
    static float lowest(float) { return -__builtin_inff(); }
    static double lowest(double) { return -__builtin_inf(); }
    static int64_t lowest(int64_t) { return INT64_MIN; }
    template <class V>
    static RL_INLINE V step(V best, V x) { return vmax(best, x); }
    template <class T>
    static RL_INLINE T merge(T a, T b) { return a != a ? a : (b > a || b != b ? b : a); }
    template <class V>
    static RL_INLINE V merge_vectors(V a, V b) { return vmax(a, b); }
    template <class V>
    static Lane<V> fold(V v) { return largest_lane(v); }
    template <class W>
    static W scaled(W best, double) { return best; }
};
struct Min {
    static constexpr bool rounds = false;
    template <class T>
    static T start() { return highest(T(0)); }
    static float highest(float) { return __builtin_inff(); }
    static double highest(double) { return __builtin_inf(); }
    static int64_t highest(int64_t) { return INT64_MAX; }
    template <class V>
    static RL_INLINE V step(V best, V x) { return vmin(best, x); }
    template <class T>
    static RL_INLINE T merge(T a, T b) { return a != a ? a : (b < a || b != b ? b : a); }
    template <class V>
    static RL_INLINE V merge_vectors(V a, V b) { return vmin(a, b); }
    template <class V>
    static Lane<V> fold(V v) { return smallest_lane(v); }
    template <class W>
    static W scaled(W best, double) { return best; }
};

// ------------------------------------------------------------------ along rows
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

template <class Op, class T>
typename Wide<T>::type reduce_long_row(const T* x, int64_t n) {
    typedef typename Wide<T>::type W;
    const int64_t pieces = n / kPiece;  // of full length
    Scratch partial(size_t(pieces) * sizeof(W));
    if (pieces == 0 || !partial) return reduce_row<Op>(x, n);
    W* totals = partial.as<W>();
    parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
        reduce_many<Op>(x, kPiece, kPiece, begin, end,
                        [&](int64_t p, W total) { totals[p] = total; });
    });
    W total = Op::template start<W>();
    for (int64_t p = 0; p < pieces; p++) total = Op::merge(total, totals[p]);
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
    Scratch partial(size_t(pieces) * sizeof(double));
    if (pieces <= 1 || !partial) return sum_squares_piece(x, n);
    double* totals = partial.as<double>();
    parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; p++) {
            const int64_t left = n - p * kPiece;
            totals[p] = sum_squares_piece(x + p * kPiece, left < kPiece ? left : kPiece);
        }
    });
    double total = 0;
    for (int64_t p = 0; p < pieces; p++) total += totals[p];
    return total;
}

// The offset of the i-th element (in C order) of axes of this shape.
inline int64_t offset_of(int64_t i, int dims, const int64_t* shape, const int64_t* stride) {
    int64_t offset = 0;
    for (int d = dims - 1; d >= 0; d--) {
        offset += i % shape[d] * stride[d];
        i /= shape[d];
    }
    return offset;
}
inline int64_t product(int dims, const int64_t* shape) {
    int64_t n = 1;
    for (int d = 0; d < dims; d++) n *= shape[d];
    return n;
}

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

// Rows whose elements have gaps between them; a single one in pieces, as in reduce_long_row.
template <class Op, class T>
void along_steps(const ReduceCall& call) {
    typedef typename Wide<T>::type W;
    const T* x = static_cast<const T*>(call.x);
    T* out = static_cast<T*>(call.out);
    const int64_t results = product(call.kept_dims, call.kept_shape);
    const int last = call.reduced_dims - 1;
    const int64_t n = call.reduced_shape[last], step = call.reduced_stride[last];
    const int64_t outer = product(last, call.reduced_shape);
    const int64_t pieces = results == 1 ? 1 + n / kPiece : 1;
    Scratch partial(size_t(results * pieces) * sizeof(W));
    W* totals = partial.as<W>();
    parallel_for(results * pieces, 1 + kGrain / (outer * n / pieces + 1),
                 [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t r = i / pieces, first = i % pieces * kPiece;
            const int64_t count = i % pieces == pieces - 1 ? n - first : kPiece;
            const T* from =
                x + offset_of(r, call.kept_dims, call.kept_shape, call.kept_stride) + first * step;
            totals[i] = Op::template start<W>();
            for (int64_t o = 0; o < outer; o++)
                totals[i] = Op::merge(
                    totals[i],
                    reduce_steps<Op>(
                        from + offset_of(o, last, call.reduced_shape, call.reduced_stride), step,
                        count));
        }
    });
    for (int64_t r = 0; r < results; r++) {
        W total = totals[r * pieces];
        for (int64_t p = 1; p < pieces; p++) total = Op::merge(total, totals[r * pieces + p]);
        out[r] = T(Op::scaled(total, call.scale));
    }
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

// ------------------------------------------------------------------ along columns
// Takes `rows` rows of `width` columns into `acc`.
template <class Op, class T>
void take_rows(T* acc, const T* x, int64_t rows, int64_t row_stride, int64_t width) {
    for (int64_t r = 0; r < rows; r += kRowsAtOnce) {
        const T* from = x + r * row_stride;
        const int64_t left = rows - r;
        for_vectors<T>(width, [&](int64_t c, int m) RL_LAMBDA_INLINE {
            const auto row = [&](int64_t k) RL_LAMBDA_INLINE {
                return load(from + k * row_stride + c, m);
            };
            Vec<T> total = load(acc + c, m);
            if (left >= kRowsAtOnce) {
                Vec<T> even = row(0), odd = row(1);
                RL_UNROLL
                for (int64_t k = 2; k < kRowsAtOnce; k += 2) {
                    even = Op::step(even, row(k));
                    odd = Op::step(odd, row(k + 1));
                }
                total = Op::step(total, Op::merge_vectors(even, odd));
            } else {
                for (int64_t k = 0; k < left; k++) total = Op::step(total, row(k));
            }
            store(acc + c, total, m);
        });
    }
}

template <class Op, class T>
void merge_totals(typename Wide<T>::type* totals, T* acc, int64_t width) {
    for (int64_t i = 0; i < width; i++) {
        totals[i] = Op::merge(totals[i], typename Wide<T>::type(acc[i]));
        acc[i] = Op::template start<T>();
    }
}

// The reduced rows of one strip of columns: `repeats` times `rows` rows, in blocks.
struct ColumnRows {
    const ReduceCall& call;
    int outer;  // reduced axes outside of the rows
    int64_t rows, stride, repeats, blocks;  // blocks of one repeat
    explicit ColumnRows(const ReduceCall& reduction)
        : call(reduction), outer(reduction.reduced_dims - 1), rows(call.reduced_shape[outer]),
          stride(call.reduced_stride[outer]), repeats(product(outer, call.reduced_shape)),
          blocks((rows + kBlockRows - 1) / kBlockRows) {}
};

// totals = the reduction of the blocks first ... last-1, counted over all repeats.
template <class Op, class T>
void reduce_blocks(typename Wide<T>::type* totals, const T* x, const ColumnRows& of, int64_t first,
                   int64_t last, int64_t width) {
    T acc[kStrip];
    for (int64_t i = 0; i < width; i++) {
        acc[i] = Op::template start<T>();
        totals[i] = Op::template start<typename Wide<T>::type>();
    }
    for (int64_t b = first; b < last; b++) {
        const int64_t repeat = b / of.blocks, row = b % of.blocks * kBlockRows;
        const int64_t left = of.rows - row;
        const int64_t at =
            offset_of(repeat, of.outer, of.call.reduced_shape, of.call.reduced_stride);
        take_rows<Op>(acc, x + at + row * of.stride, left < kBlockRows ? left : kBlockRows,
                      of.stride, width);
        if (Op::rounds) merge_totals<Op>(totals, acc, width);
    }
    merge_totals<Op>(totals, acc, width);
}

// One strip of columns to `out`; its blocks are shared out in chunks when it is the only work.
template <class Op, class T>
void reduce_strip(T* out, const T* x, const ColumnRows& of, int64_t chunks, int64_t width) {
    typedef typename Wide<T>::type Total;
    const int64_t blocks = of.repeats * of.blocks, chunk = (blocks + chunks - 1) / chunks;
    if (blocks == 1) {
        T acc[kStrip];
        for (int64_t i = 0; i < width; i++) acc[i] = Op::template start<T>();
        take_rows<Op>(acc, x, of.rows, of.stride, width);
        for (int64_t i = 0; i < width; i++) out[i] = T(Op::scaled(Total(acc[i]), of.call.scale));
        return;
    }
    Scratch partial(size_t(chunks * width) * sizeof(Total));
    Total* totals = partial.as<Total>();
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; k++) {
            const int64_t first = k * chunk < blocks ? k * chunk : blocks, last = first + chunk;
            reduce_blocks<Op>(totals + k * width, x, of, first, last < blocks ? last : blocks,
                              width);
        }
    });
    for (int64_t i = 0; i < width; i++) {
        Total total = totals[i];
        for (int64_t k = 1; k < chunks; k++) total = Op::merge(total, totals[k * width + i]);
        out[i] = T(Op::scaled(total, of.call.scale));
    }
}

template <class Op, class T>
void along_columns(const ReduceCall& call) {
    const ColumnRows of(call);
    const T* x = static_cast<const T*>(call.x);
    T* out = static_cast<T*>(call.out);
    const int outer = call.kept_dims - 1;
    const int64_t columns = call.kept_shape[outer];
    const int64_t strips = (columns + kStrip - 1) / kStrip;
    const int64_t tasks = product(outer, call.kept_shape) * strips;
    const int64_t work = of.rows * of.repeats * (columns < kStrip ? columns : kStrip);
    int64_t chunks = tasks < kMostChunks ? work / kGrain : 1;
    if (chunks > kMostChunks) chunks = kMostChunks;
    if (chunks > of.repeats * of.blocks) chunks = of.repeats * of.blocks;
    if (chunks < 1) chunks = 1;
    const int64_t grain = chunks > 1 ? tasks : 1 + kGrain / (work + 1);
    parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++) {
            const int64_t o = task / strips, first = task % strips * kStrip;
            const int64_t width = columns - first < kStrip ? columns - first : kStrip;
            const int64_t at = offset_of(o, outer, call.kept_shape, call.kept_stride) + first;
            reduce_strip<Op>(out + o * columns + first, x + at, of, chunks, width);
        }
    });
}

// ------------------------------------------------------------------ positions
// Where the row first holds `best`, or a NaN.
template <class T>
int64_t first_position(const T* row, T best, int64_t columns) {
    constexpr int W = kW<T>;
    for (int64_t i = 0; i < columns; i += W) {
        const int m = columns - i < W ? int(columns - i) : W;
        const Vec<T> v = load(row + i, m);
        const int lane = first_true((v == best) | (v != v));
        if (lane < m) return i + lane;
    }
    return 0;
}

template <class Op, class T>
void position(int64_t* out, const void* data, int64_t rows, int64_t columns) {
    const T* x = static_cast<const T*>(data);
    parallel_for(rows, 1 + kGrain / (columns + 1), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
            const T* row = x + r * columns;
            out[r] = first_position(row, T(reduce_row<Op>(row, columns)), columns);
        }
    });
}

}  // namespace

#define RL_REDUCE(function, Op) \
    {function<Op, float>, function<Op, double>, function<Op, int64_t>}

extern const ReduceKernels reduce_kernels = {
    {RL_REDUCE(along_rows, Sum), RL_REDUCE(along_rows, Max), RL_REDUCE(along_rows, Min)},
    {RL_REDUCE(along_columns, Sum), RL_REDUCE(along_columns, Max), RL_REDUCE(along_columns, Min)},
    sum_squares<float>,
    sum_squares<double>,
    RL_REDUCE(position, Max),
    RL_REDUCE(position, Min),
};

}  // namespace RL_ISA
}  // namespace rl
