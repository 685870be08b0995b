// Reductions.
//
// Along rows, where the reduced elements lie side by side, eight vector accumulators run over
// blocks of 1,024 elements; each block's total is added up in double precision, so a float32 sum
// has an error of a few units in the last place however long the row. A reduction to very few
// numbers is cut into pieces of fixed size, whose totals are combined in order: the result does not
// depend on the number of threads.
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

constexpr int64_t kBlock = 1024;      // elements summed before going to the wide total
constexpr int64_t kBlockRows = 64;    // rows, in the column case
constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kStrip = 2048;      // columns that are reduced together
constexpr int64_t kMostChunks = 16;   // of the rows
constexpr int64_t kPiece = 1 << 17;   // elements of one piece of a long row
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
template <class Op, class T>
typename Wide<T>::type reduce_block(const T* x, int64_t n) {
    constexpr int W = kW<T>;
    const T filler = Op::template start<T>();
    Vec<T> first = splat(filler);
    int64_t i = 0;
    if (n >= 8 * W) {
        Vec<T> acc[8];
        for (int k = 0; k < 8; k++) acc[k] = splat(filler);
        for (; i + 8 * W <= n; i += 8 * W)
            for (int k = 0; k < 8; k++) acc[k] = Op::step(acc[k], ld(x + i + k * W));
        for (int width = 4; width > 0; width /= 2)
            for (int k = 0; k < width; k++) acc[k] = Op::merge_vectors(acc[k], acc[k + width]);
        first = acc[0];
    }
    for_vectors<T>(n - i, [&](int64_t j, int m) {
        first = Op::step(first, keep_lanes(load(x + i + j, m), m, filler));
    });
    return Op::fold(first);
}

template <class Op, class T>
typename Wide<T>::type reduce_row(const T* x, int64_t n) {
    typedef typename Wide<T>::type W;
    W total = Op::template start<W>();
    for (int64_t i = 0; i < n; i += kBlock)
        total = Op::merge(total, reduce_block<Op>(x + i, n - i < kBlock ? n - i : kBlock));
    return total;
}

// The totals of the pieces of a long contiguous row, combined in order; piece(x, n) gives one.
template <class W, class T, class Piece, class Merge>
W in_pieces(const T* x, int64_t n, W start, const Piece& piece, const Merge& merge) {
    const int64_t pieces = (n + kPiece - 1) / kPiece;
    Scratch partial(size_t(pieces) * sizeof(W));
    if (pieces <= 1 || !partial) return piece(x, n);
    W* totals = partial.as<W>();
    parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; p++) {
            const int64_t left = n - p * kPiece;
            totals[p] = piece(x + p * kPiece, left < kPiece ? left : kPiece);
        }
    });
    W total = start;
    for (int64_t p = 0; p < pieces; p++) total = merge(total, totals[p]);
    return total;
}

template <class Op, class T>
typename Wide<T>::type reduce_long_row(const T* x, int64_t n) {
    typedef typename Wide<T>::type W;
    return in_pieces<W>(
        x, n, Op::template start<W>(),
        [](const T* piece, int64_t length) { return reduce_row<Op>(piece, length); },
        [](W a, W b) { return Op::merge(a, b); });
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
    return in_pieces<double>(x, n, 0.0, sum_squares_piece<T>,
                             [](double a, double b) { return a + b; });
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

template <class Op, class T>
void along_rows(const ReduceCall& call) {
    typedef typename Wide<T>::type W;
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
        for (int64_t r = begin; r < end; r++) {
            const T* base = x + (call.kept_dims == 1 ? r * call.kept_stride[0]
                                                     : offset_of(r, call.kept_dims,
                                                                 call.kept_shape,
                                                                 call.kept_stride));
            if (outer == 1) {
                out[r] = T(Op::scaled(reduce_row<Op>(base, inner), call.scale));
                continue;
            }
            W total = Op::template start<W>();
            for (int64_t o = 0; o < outer; o++) {
                const T* row =
                    base + offset_of(o, outer_dims, call.reduced_shape, call.reduced_stride);
                total = Op::merge(total, reduce_row<Op>(row, inner));
            }
            out[r] = T(Op::scaled(total, call.scale));
        }
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
