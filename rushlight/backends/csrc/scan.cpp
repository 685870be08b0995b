// Scans along an axis, and log-sum-exp of rows.
//
// A scan is one chain of additions, each of which waits for the one before. Along neighbours
// (inner == 1) kChains rows go hand in hand, so that the processor has independent additions to do;
// otherwise the chain of each of the `inner` columns is a lane, kColumns of them at a time with their
// totals in the first-level cache. Sums of float32 are carried in double, as the reference does;
// products in their own type. Every chain is computed in its order: results do not depend on threads.
//
// Log-sum-exp reads a row twice: the maximum, then the sum of exponentials, whose parts of kPart
// elements are gathered in double.
#include "scan.h"

#include "lanes.h"
#include "parallel.h"
#include "vecmath.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 1 << 14;   // elements that are worth a thread
constexpr int64_t kColumns = 256;     // totals carried at a time
constexpr int64_t kPart = 4096;       // exponentials added in their own type
constexpr int kChains = 4;            // additions in flight

// ------------------------------------------------------------------ the two operations
template <class T>
struct Sum {
    typedef T Total;
    static RL_INLINE Total join(Total a, Total b) { return a + b; }
};
template <>
struct Sum<float> {
    typedef double Total;
    static RL_INLINE Total join(Total a, Total b) { return a + b; }
};
template <>
struct Sum<int64_t> {  // wraps around
    typedef uint64_t Total;
    static RL_INLINE Total join(Total a, Total b) { return a + b; }
};
template <class T>
struct Product {
    typedef T Total;
    static RL_INLINE Total join(Total a, Total b) { return a * b; }
};
template <>
struct Product<int64_t> {
    typedef uint64_t Total;
    static RL_INLINE Total join(Total a, Total b) { return a * b; }
};

// ------------------------------------------------------------------ scans
template <class Op, int chains, class T>
void scan_rows(T* out, const T* x, int64_t length) {
    typename Op::Total total[chains];
    for (int c = 0; c < chains; c++) out[c * length] = x[c * length], total[c] = x[c * length];
    for (int64_t i = 1; i < length; i++) {
        RL_UNROLL
        for (int c = 0; c < chains; c++) {
            total[c] = Op::join(total[c], typename Op::Total(x[c * length + i]));
            out[c * length + i] = T(total[c]);
        }
    }
}

template <class Op, class T>
void scan_columns(T* out, const T* x, int64_t length, int64_t inner, int64_t columns) {
    typename Op::Total total[kColumns];
    for (int64_t j = 0; j < columns; j++) out[j] = x[j], total[j] = x[j];
    for (int64_t i = 1; i < length; i++) {
        const T* from = x + i * inner;
        T* RL_RESTRICT to = out + i * inner;
        for (int64_t j = 0; j < columns; j++) {
            total[j] = Op::join(total[j], typename Op::Total(from[j]));
            to[j] = T(total[j]);
        }
    }
}

template <template <class> class Op, class T>
void scan(T* out, const T* x, int64_t outer, int64_t length, int64_t inner) {
    if (inner == 1) {
        parallel_for(outer, 1 + kGrain / length, [&](int64_t begin, int64_t end) {
            int64_t r = begin;
            for (; r + kChains <= end; r += kChains)
                scan_rows<Op<T>, kChains>(out + r * length, x + r * length, length);
            for (; r < end; r++) scan_rows<Op<T>, 1>(out + r * length, x + r * length, length);
        });
        return;
    }
    const int64_t blocks = (inner + kColumns - 1) / kColumns;
    const int64_t work = length * (blocks > 1 ? kColumns : inner);
    parallel_for(outer * blocks, 1 + kGrain / work, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; b++) {
            const int64_t column = b % blocks * kColumns;
            const int64_t start = b / blocks * length * inner + column;
            const int64_t columns = inner - column < kColumns ? inner - column : kColumns;
            scan_columns<Op<T>>(out + start, x + start, length, inner, columns);
        }
    });
}

// ------------------------------------------------------------------ log-sum-exp
template <class T>
T logsumexp_row(const T* x, int64_t length) {
    const T infinity = T(__builtin_inf());
    Vec<T> best = splat(-infinity);
    for_vectors<T>(length, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        best = vmax(best, keep_lanes(load(x + i, m), m, -infinity));
    });
    const T largest = largest_lane(best);
    const T peak = largest - largest == 0 ? largest : T(0);  // infinities and NaN shift nothing
    double total = 0;
    for (int64_t start = 0; start < length; start += kPart) {
        Vec<T> sum = {};
        const int64_t n = length - start < kPart ? length - start : kPart;
        for_vectors<T>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
            sum += keep_lanes(vexp(load(x + start + i, m) - peak), m, T(0));
        });
        total += double(hsum(sum));
    }
    return T(__builtin_log(total) + double(peak));
}

template <class T>
void logsumexp(T* out, const T* x, int64_t rows, int64_t length) {
    parallel_for(rows, 1 + kGrain / (length + 1), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) out[r] = logsumexp_row(x + r * length, length);
    });
}

}  // namespace

extern const ScanKernels scan_kernels = {
    {scan<Sum, float>, scan<Product, float>},
    {scan<Sum, double>, scan<Product, double>},
    {scan<Sum, int64_t>, scan<Product, int64_t>},
    logsumexp<float>,
    logsumexp<double>,
};

}  // namespace RL_ISA
}  // namespace rl
