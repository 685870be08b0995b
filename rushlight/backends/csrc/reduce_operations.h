// reduce_operations.h: sum, maximum and minimum, as the loops around them use them.
#pragma once

#include "lanes.h"
#include "reduce.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 1 << 17;  // elements that are worth a thread

// What partial results are kept in.
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

// ------------------------------------------------------------------ axes
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

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
