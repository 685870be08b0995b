// norm_columns.h: sums down the columns of a matrix (rows, columns) and maps along its rows: norms
// over the rows of (batch, channels), of images whose channels lie side by side, and gradients of
// parameters that run along a row.
//
// Rows are taken eight at a time: every column has an accumulator in memory, which is then read and
// written once for eight numbers. A block of rows that half fills the second-level cache is summed
// in T and added to totals in double. Variances take two passes over each block, its mean and then
// the squared distances from it, and blocks are joined by the formula of Chan, Golub and LeVeque:
// the matrix is read from memory once, and data far from zero keep their variance. Blocks are
// shared out in at most sixteen chunks whose totals are joined in order: the number of threads
// changes nothing in the result.
#pragma once

#include <string.h>

#include "allocator.h"
#include "norm_sums.h"
#include "parallel.h"
#include "stream.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kRowsAtOnce = 8;
constexpr int64_t kBlockBytes = 128 << 10;
constexpr int64_t kFewestRows = 64, kMostRows = 512;  // of a block
constexpr int64_t kMostChunks = 16;
constexpr int64_t kNarrowRow = 512;  // bytes

// Rows cut into chunks of whole blocks.
struct RowChunks {
    int64_t rows, block, chunk, count;
};
template <class T>
RowChunks chunks_of(int64_t rows, int64_t columns) {
    int64_t block = kBlockBytes / (columns * int64_t(sizeof(T))) / kRowsAtOnce * kRowsAtOnce;
    block = block < kFewestRows ? kFewestRows : block > kMostRows ? kMostRows : block;
    const int64_t blocks = (rows + block - 1) / block;
    const int64_t chunk = (blocks + kMostChunks - 1) / kMostChunks * block;
    return {rows, block, chunk, (rows + chunk - 1) / chunk};
}
// Calls body(chunk, first row, row behind the last) for all chunks.
template <class Body>
void for_chunks(const RowChunks& chunks, int64_t columns, const Body& body) {
    const int64_t grain = 1 + kGrain / (chunks.chunk * columns + 1);
    parallel_for(chunks.count, grain, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; k++) {
            const int64_t first = k * chunks.chunk, last = first + chunks.chunk;
            body(k, first, last < chunks.rows ? last : chunks.rows);
        }
    });
}

// acc[k][column] = sum over the rows begin ... end-1 of sums[k], to which term(row, column, m,
// sums) adds a vector of m columns.
template <int sums_per_column, class T, class Term>
RL_INLINE void sum_block(T* acc, int64_t begin, int64_t end, int64_t columns, const Term& term) {
    memset(acc, 0, size_t(sums_per_column * columns) * sizeof(T));
    for (int64_t row = begin; row < end; row += kRowsAtOnce) {
        for_vectors<T>(columns, [&](int64_t c, int m) RL_LAMBDA_INLINE {
            Vec<T> sums[sums_per_column] = {};
            if (row + kRowsAtOnce <= end) {
                RL_UNROLL
                for (int64_t r = 0; r < kRowsAtOnce; r++) term(row + r, c, m, sums);
            } else {
                for (int64_t r = row; r < end; r++) term(r, c, m, sums);
            }
            RL_UNROLL
            for (int k = 0; k < sums_per_column; k++) {
                T* at = acc + k * columns + c;
                store(at, load(at, m) + sums[k], m);
            }
        });
    }
}

// totals[k][column] = such sums over all rows.
template <int sums_per_column, class T, class Term>
void sum_columns(double* totals, int64_t rows, int64_t columns, const Term& term) {
    const RowChunks chunks = chunks_of<T>(rows, columns);
    const int64_t width = sums_per_column * columns;
    Scratch partial(size_t(chunks.count * width) * sizeof(double));
    for_chunks(chunks, columns, [&](int64_t chunk, int64_t begin, int64_t end) {
        Scratch block(size_t(width) * sizeof(T));
        T* acc = block.as<T>();
        double* sums = partial.as<double>() + chunk * width;
        memset(sums, 0, size_t(width) * sizeof(double));
        for (int64_t row = begin; row < end; row += chunks.block) {
            const int64_t last = row + chunks.block < end ? row + chunks.block : end;
            sum_block<sums_per_column>(acc, row, last, columns, term);
            for (int64_t i = 0; i < width; i++) sums[i] += acc[i];
        }
    });
    memset(totals, 0, size_t(width) * sizeof(double));
    for (int64_t k = 0; k < chunks.count; k++)
        for (int64_t i = 0; i < width; i++) totals[i] += partial.as<double>()[k * width + i];
}

// The sum of each column over `rows` rows and the sum of squared distances from their mean.
struct Moments {
    double *sum, *squares;
    int64_t rows;
};
template <class T>
void join_moments(Moments* all, const T* sum, const T* squares, int64_t rows, int64_t columns) {
    const double known = double(all->rows), more = double(rows);
    const double share = all->rows > 0 ? known * more / (known + more) : 0;
    const double of_known = all->rows > 0 ? 1 / known : 0, of_more = 1 / more;
    for (int64_t c = 0; c < columns; c++) {
        const double distance = sum[c] * of_more - all->sum[c] * of_known;
        all->squares[c] += squares[c] + distance * distance * share;
        all->sum[c] += sum[c];
    }
    all->rows += rows;
}

template <class T>
void moments_of_rows(Moments* all, const T* x, int64_t begin, int64_t end, int64_t block,
                     int64_t columns) {
    Scratch work(size_t(3 * columns) * sizeof(T));
    T *sum = work.as<T>(), *squares = sum + columns, *mean = squares + columns;
    for (int64_t row = begin; row < end; row += block) {
        const int64_t last = row + block < end ? row + block : end;
        sum_block<1>(sum, row, last, columns, [&](int64_t r, int64_t c, int m, Vec<T>* sums) {
            sums[0] += load(x + r * columns + c, m);
        });
        const T share = T(1) / T(last - row);
        for (int64_t c = 0; c < columns; c++) mean[c] = sum[c] * share;
        sum_block<1>(squares, row, last, columns, [&](int64_t r, int64_t c, int m, Vec<T>* sums) {
            const Vec<T> d = load(x + r * columns + c, m) - load(mean + c, m);
            sums[0] += d * d;
        });
        join_moments(all, sum, squares, last - row, columns);
    }
}

// `sum` and `squares` have room for `columns` numbers each.
template <class T>
Moments column_moments(double* sum, double* squares, const T* x, int64_t rows, int64_t columns) {
    const RowChunks chunks = chunks_of<T>(rows, columns);
    Scratch partial(size_t(2 * chunks.count * columns) * sizeof(double));
    const auto part = [&](int64_t chunk) -> Moments {
        double* at = partial.as<double>() + 2 * chunk * columns;
        return {at, at + columns, 0};
    };
    for_chunks(chunks, columns, [&](int64_t chunk, int64_t begin, int64_t end) {
        Moments own = part(chunk);
        memset(own.sum, 0, size_t(2 * columns) * sizeof(double));
        moments_of_rows(&own, x, begin, end, chunks.block, columns);
    });
    Moments all = {sum, squares, 0};
    memset(sum, 0, size_t(columns) * sizeof(double));
    memset(squares, 0, size_t(columns) * sizeof(double));
    for (int64_t k = 0; k < chunks.count; k++) {
        const int64_t left = rows - k * chunks.chunk;
        const Moments own = part(k);
        join_moments(&all, own.sum, own.squares, left < chunks.chunk ? left : chunks.chunk,
                     columns);
    }
    return all;
}

// out[row][column] = value(row, column, m, read(column, m)) for all vectors of all rows. Four
// narrow rows in turn share what `read` fetches per column; wide ones go one by one, as the
// processor fetches a single stream from memory faster than four. Streamed when the whole result,
// of which this may be a part, is large.
template <bool streams, class T, class Read, class Value>
RL_INLINE void map_some_rows(T* out, int64_t begin, int64_t end, int64_t columns, const Read& read,
                             const Value& value) {
    const auto put = [&](int64_t row, int64_t c, int m, const auto& shared) RL_LAMBDA_INLINE {
        T* at = out + row * columns + c;
        if (streams && m == kW<T>)
            stream(at, value(row, c, m, shared));
        else
            store(at, value(row, c, m, shared), m);
    };
    int64_t row = begin;
    for (; row + 4 <= end && columns * int64_t(sizeof(T)) <= kNarrowRow; row += 4) {
        for_vectors<T>(columns, [&](int64_t c, int m) RL_LAMBDA_INLINE {
            const auto shared = read(c, m);
            RL_UNROLL
            for (int64_t r = 0; r < 4; r++) put(row + r, c, m, shared);
        });
    }
    for (; row < end; row++)
        for_vectors<T>(columns, [&](int64_t c, int m) RL_LAMBDA_INLINE {
            put(row, c, m, read(c, m));
        });
    if (streams) end_stream();
}
template <class T, class Read, class Value>
RL_INLINE void map_rows(T* out, int64_t rows, int64_t columns, int64_t whole, const Read& read,
                        const Value& value) {
    const bool aligned = is_aligned(out) && columns % kW<T> == 0;
    const bool streams = aligned && outgrows_cache(whole * int64_t(sizeof(T)));
    parallel_for(rows, 1 + kGrain / columns, [&](int64_t begin, int64_t end) {
        if (streams)
            map_some_rows<true>(out, begin, end, columns, read, value);
        else
            map_some_rows<false>(out, begin, end, columns, read, value);
    });
}

// out = x * scale + shift
template <class T>
struct ColumnScale {
    T *scale, *shift;
};
template <class T>
void scale_rows(T* out, const T* x, const ColumnScale<T>& p, int64_t rows, int64_t columns,
                int64_t whole) {
    struct Shared {
        Vec<T> scale, shift;
    };
    map_rows(
        out, rows, columns, whole,
        [=](int64_t c, int m) RL_LAMBDA_INLINE {
            return Shared{load(p.scale + c, m), load(p.shift + c, m)};
        },
        [=](int64_t row, int64_t c, int m, const Shared& by) RL_LAMBDA_INLINE {
            return load(x + row * columns + c, m) * by.scale + by.shift;
        });
}

// out = g * scale + ((x - mean) * slope + shift)
template <class T>
struct ColumnGrad {
    T *scale, *mean, *slope, *shift;
};
template <class T>
void grad_rows(T* out, const T* g, const T* x, const ColumnGrad<T>& p, int64_t rows,
               int64_t columns, int64_t whole) {
    struct Shared {
        Vec<T> scale, mean, slope, shift;
    };
    map_rows(
        out, rows, columns, whole,
        [=](int64_t c, int m) RL_LAMBDA_INLINE {
            return Shared{load(p.scale + c, m), load(p.mean + c, m), load(p.slope + c, m),
                          load(p.shift + c, m)};
        },
        [=](int64_t row, int64_t c, int m, const Shared& by) RL_LAMBDA_INLINE {
            const int64_t at = row * columns + c;
            const Vec<T> distance = load(x + at, m) - by.mean;
            return load(g + at, m) * by.scale + (distance * by.slope + by.shift);
        });
}

// totals[0] = sum of g, totals[1] = sum of g * (x - mean), per column.
template <class T>
void sum_grads(double* totals, const T* g, const T* x, const T* mean, int64_t rows,
               int64_t columns) {
    sum_columns<2, T>(totals, rows, columns, [=](int64_t r, int64_t c, int m, Vec<T>* sums) {
        const int64_t at = r * columns + c;
        const Vec<T> grad = load(g + at, m);
        sums[0] += grad;
        sums[1] += grad * (load(x + at, m) - load(mean + c, m));
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
