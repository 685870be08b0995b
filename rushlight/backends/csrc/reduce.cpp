// Reductions along columns, the positions of extremes, and the table of all (rows: reduce_rows.h).
//
// Along columns, where neighbouring elements belong to different results, each of up to 2,048
// columns has an accumulator in the first-level cache, and rows are taken eight at a time, so that
// it is read and written once for eight numbers, and memory is read from one end to the other. Sums
// go on to double-precision totals after 64 rows. Few long columns are cut into chunks of rows,
// as a long row is into pieces.
#include "reduce.h"

#include "reduce_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlockRows = 64;   // rows that are reduced before going to the wide totals
constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kStrip = 2048;     // columns that are reduced together
constexpr int64_t kMostChunks = 16;  // of the rows

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
