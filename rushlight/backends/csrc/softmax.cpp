// Softmax.
//
// Three passes over a slice that stays in the first-level cache: the maximum, the exponentials with
// their sum, the division. Where the slice lies side by side in memory (inner == 1) the vector runs
// along it and the last vector is partial; otherwise each lane of the vector has a slice of its own
// and the vector runs over `inner`. Both are one code, written over a cursor that knows how to get
// the i-th vector: `Along` loads neighbours, `Across` strides. Short rows of the logarithm of
// softmax are taken W at a time, as their sums then share one logarithm.
#include "softmax.h"

#include "lanes.h"
#include "parallel.h"
#include "vecmath.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements that are worth a thread: an exponential each

// ------------------------------------------------------------------ the two cursors
template <class T>
struct Along {
    int64_t length;
    template <class Step>
    RL_INLINE void each(const Step& step) const {
        for_vectors<T>(length, step);
    }
    // Lanes behind the slice's end take `filler`.
    static RL_INLINE Vec<T> masked(Vec<T> v, int m, T filler) { return keep_lanes(v, m, filler); }
    static RL_INLINE Vec<T> total(Vec<T> v) { return splat(hsum(v)); }
    static RL_INLINE Vec<T> largest(Vec<T> v) { return splat(largest_lane(v)); }
};

template <class T>
struct Across {
    int64_t length, inner;
    int lanes;
    template <class Step>
    RL_INLINE void each(const Step& step) const {
        for (int64_t i = 0; i < length; i++) step(i * inner, lanes);
    }
    static RL_INLINE Vec<T> masked(Vec<T> v, int, T) { return v; }
    static RL_INLINE Vec<T> total(Vec<T> v) { return v; }
    static RL_INLINE Vec<T> largest(Vec<T> v) { return v; }
};

template <class T, class Cursor>
RL_INLINE Vec<T> maximum(const T* x, const Cursor& cursor) {
    const T lowest = T(-__builtin_inf());
    Vec<T> best = splat(lowest);
    cursor.each([&](int64_t i, int m) {
        best = vmax(best, Cursor::masked(load(x + i, m), m, lowest));
    });
    return Cursor::largest(best);
}

// One maximum waits for the other, so that along a slice four are found at once.
template <class T>
RL_INLINE Vec<T> maximum(const T* x, const Along<T>& cursor) {
    constexpr int W = kW<T>, V = 4;
    const T lowest = T(-__builtin_inf());
    Vec<T> best[V];
    RL_UNROLL
    for (int v = 0; v < V; v++) best[v] = splat(lowest);
    int64_t i = 0;
    for (; i + V * W <= cursor.length; i += V * W) {
        RL_UNROLL
        for (int v = 0; v < V; v++) best[v] = vmax(ld(x + i + v * W), best[v]);
    }
    for (; i < cursor.length; i += W) {
        const int m = int(cursor.length - i < W ? cursor.length - i : W);
        best[0] = vmax(keep_lanes(load(x + i, m), m, lowest), best[0]);
    }
    const Vec<T> all = vmax(vmax(best[0], best[1]), vmax(best[2], best[3]));
    return Along<T>::largest(all);
}

struct Softmax {
    static constexpr bool shares_logarithm = false;
    template <class T, class Cursor>
    static void run(T* out, const T* x, const T*, const Cursor& cursor) {
        const Vec<T> peak = maximum(x, cursor);
        Vec<T> sum = {};
        cursor.each([&](int64_t i, int m) {
            const Vec<T> power = vexp(load(x + i, m) - peak);
            sum += Cursor::masked(power, m, T(0));
            store(out + i, power, m);
        });
        const Vec<T> scale = 1 / Cursor::total(sum);
        cursor.each([&](int64_t i, int m) {
            store(out + i, load(out + i, m) * scale, m);
        });
    }
};

struct LogSoftmax {
    static constexpr bool shares_logarithm = true;
    template <class T, class Cursor>
    static void run(T* out, const T* x, const T*, const Cursor& cursor) {
        const Vec<T> peak = maximum(x, cursor);
        Vec<T> sum = {};
        cursor.each([&](int64_t i, int m) {
            sum += Cursor::masked(vexp(load(x + i, m) - peak), m, T(0));
        });
        const Vec<T> log_sum = vlog(Cursor::total(sum));
        cursor.each([&](int64_t i, int m) {
            store(out + i, load(x + i, m) - peak - log_sum, m);
        });
    }
};

// (grad - sum(grad * result)) * result
struct SoftmaxGrad {
    static constexpr bool shares_logarithm = false;
    template <class T, class Cursor>
    static void run(T* out, const T* grad, const T* result, const Cursor& cursor) {
        Vec<T> sum = {};
        cursor.each([&](int64_t i, int m) {
            sum += load(grad + i, m) * load(result + i, m);
        });
        const Vec<T> total = Cursor::total(sum);
        cursor.each([&](int64_t i, int m) {
            const Vec<T> r = load(result + i, m);
            store(out + i, (load(grad + i, m) - total) * r, m);
        });
    }
};

// grad - exp(result) * sum(grad)
struct LogSoftmaxGrad {
    static constexpr bool shares_logarithm = false;
    template <class T, class Cursor>
    static void run(T* out, const T* grad, const T* result, const Cursor& cursor) {
        Vec<T> sum = {};
        cursor.each([&](int64_t i, int m) { sum += load(grad + i, m); });
        const Vec<T> total = Cursor::total(sum);
        cursor.each([&](int64_t i, int m) {
            const Vec<T> power = vexp(load(result + i, m));
            store(out + i, load(grad + i, m) - power * total, m);
        });
    }
};

constexpr int64_t kShortRow = 512;  // W of them fit the first-level cache

// Up to W rows, side by side in memory.
template <class T>
void log_softmax_rows(T* out, const T* x, int64_t rows, int64_t length) {
    constexpr int W = kW<T>;
    const Along<T> cursor = {length};
    Vec<T> peak[W];
    T sum[W] = {};
    for (int64_t r = 0; r < rows; r++) {
        const T* row = x + r * length;
        peak[r] = maximum(row, cursor);
        Vec<T> total = {};
        cursor.each([&](int64_t i, int m) RL_LAMBDA_INLINE {
            total += Along<T>::masked(vexp(load(row + i, m) - peak[r]), m, T(0));
        });
        sum[r] = hsum(total);
    }
    T log_sum[W];
    st(log_sum, vlog(ld(sum)));
    for (int64_t r = 0; r < rows; r++) {
        const Vec<T> shift = splat(log_sum[r]);
        cursor.each([&](int64_t i, int m) RL_LAMBDA_INLINE {
            store(out + r * length + i, load(x + r * length + i, m) - peak[r] - shift, m);
        });
    }
}

// Rows side by side in memory.
template <class Function, class T>
void for_rows(T* out, const T* x, const T* second, int64_t rows, int64_t length) {
    if constexpr (Function::shares_logarithm) {
        const int64_t at_once = length <= kShortRow ? kW<T> : 1;
        for (int64_t r = 0; r < rows; r += at_once)
            log_softmax_rows(out + r * length, x + r * length,
                             rows - r < at_once ? rows - r : at_once, length);
    } else {
        const Along<T> cursor = {length};
        for (int64_t r = 0; r < rows; r++)
            Function::run(out + r * length, x + r * length, second ? second + r * length : nullptr,
                          cursor);
    }
}

template <class Function, class T>
void for_slices(T* out, const T* x, const T* second, int64_t outer, int64_t length, int64_t inner) {
    constexpr int W = kW<T>;
    if (inner == 1) {
        parallel_for(outer, 1 + kGrain / (length + 1), [&](int64_t begin, int64_t end) {
            for_rows<Function>(out + begin * length, x + begin * length,
                               second ? second + begin * length : nullptr, end - begin, length);
        });
        return;
    }
    const int64_t strips = (inner + W - 1) / W;
    parallel_for(outer * strips, 1 + kGrain / (length * W + 1), [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++) {
            const int64_t first = task % strips * W;
            const int64_t at = task / strips * length * inner + first;
            const Across<T> cursor = {length, inner, int(inner - first < W ? inner - first : W)};
            Function::run(out + at, x + at, second ? second + at : nullptr, cursor);
        }
    });
}

template <class Function, class T>
void forward(T* out, const T* x, int64_t outer, int64_t length, int64_t inner) {
    for_slices<Function, T>(out, x, nullptr, outer, length, inner);
}
template <class Function, class T>
void backward(T* out, const T* grad, const T* result, int64_t outer, int64_t length,
              int64_t inner) {
    for_slices<Function, T>(out, grad, result, outer, length, inner);
}

}  // namespace

extern const SoftmaxKernels softmax_kernels = {
    {forward<Softmax, float>, forward<LogSoftmax, float>, backward<SoftmaxGrad, float>,
     backward<LogSoftmaxGrad, float>},
    {forward<Softmax, double>, forward<LogSoftmax, double>, backward<SoftmaxGrad, double>,
     backward<LogSoftmaxGrad, double>},
};

}  // namespace RL_ISA
}  // namespace rl
