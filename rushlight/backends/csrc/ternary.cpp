// Elementwise functions of three operands, in one pass over memory.
//
// The loop is written once, as a function of whole vectors, for operands that lie side by side or
// repeat one number. An operand with any other stride is first gathered into a buffer, 256 elements
// at a time (2 KB at most, four of which stay in the first-level cache); two numbers stay in
// registers. The result is scattered from a buffer likewise. So a Python number, a broadcast row and
// an array need no code of their own: x + alpha*y is addcmul with a repeated alpha, and clamp takes
// numbers and arrays as bounds. All operands of a vector are read before it is written, so the
// result may be one of them.
#include "ternary.h"

#include "lanes.h"
#include "stream.h"
#include "vec.h"
#include "vecmath.h"
#include "vector_loops.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlock = 256;

// ------------------------------------------------------------------ functions of vectors
template <class T>
RL_INLINE T factor_of(Element factor);
template <>
RL_INLINE float factor_of<float>(Element factor) { return factor.f32; }
template <>
RL_INLINE double factor_of<double>(Element factor) { return factor.f64; }
template <>
RL_INLINE int32_t factor_of<int32_t>(Element factor) { return factor.i32; }
template <>
RL_INLINE int64_t factor_of<int64_t>(Element factor) { return factor.i64; }

struct AddCMul {
    template <class V>
    static RL_INLINE V apply(V a, V b, V c, Lane<V> factor) { return a + factor * b * c; }
};
// Signed overflow is undefined; integers wrap around in unsigned lanes.
template <>
RL_INLINE i32v AddCMul::apply(i32v a, i32v b, i32v c, int32_t factor) {
    return (i32v)((u32v)a + uint32_t(factor) * (u32v)b * (u32v)c);
}
template <>
RL_INLINE i64v AddCMul::apply(i64v a, i64v b, i64v c, int64_t factor) {
    return (i64v)((u64v)a + uint64_t(factor) * (u64v)b * (u64v)c);
}
struct AddCDiv {
    template <class V>
    static RL_INLINE V apply(V a, V b, V c, Lane<V> factor) { return a + factor * b / c; }
};
// From the middle on it is counted back from the end, so that weight 1 gives the end exactly.
struct Lerp {
    template <class V>
    static RL_INLINE V apply(V start, V end, V weight, Lane<V>) {
        const V distance = end - start;
        return select(vabs(weight) < Lane<V>(0.5), start + weight * distance,
                      end - distance * (1 - weight));
    }
};
struct Clamp {
    template <class V>
    static RL_INLINE V apply(V x, V low, V high, Lane<V>) { return vmin(vmax(x, low), high); }
};
// Between two numbers that are not NaN.
struct ClampNumbers {
    static RL_INLINE f32v apply(f32v x, f32v low, f32v high, float) {
        return clip(x, low[0], high[0]);
    }
    static RL_INLINE f64v apply(f64v x, f64v low, f64v high, double) {
        return clip(x, low[0], high[0]);
    }
    static RL_INLINE i32v apply(i32v x, i32v low, i32v high, int32_t) {
        return vmin(vmax(x, low), high);
    }
    static RL_INLINE i64v apply(i64v x, i64v low, i64v high, int64_t) {
        return vmin(vmax(x, low), high);
    }
};
template <class Op>
struct WithNumbers {
    typedef Op type;
};
template <>
struct WithNumbers<Clamp> {
    typedef ClampNumbers type;
};

// ------------------------------------------------------------------ loops
template <class Op, class T>
RL_INLINE void side_by_side(T* r, const T* a, const Run<T>& b, const Run<T>& c, int64_t n,
                            T factor) {
    for_vectors<T>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        const Vec<T> y = load(b.at + i * b.step, m), z = load(c.at + i * c.step, m);
        store(r + i, Op::apply(load(a + i, m), y, z, factor), m);
    });
}

// The last two operands are numbers, neither of them NaN.
template <class Op, class T>
RL_INLINE void with_numbers(T* r, const T* a, T b, T c, int64_t n, T factor) {
    const Vec<T> all_b = splat(b), all_c = splat(c);
    if (r != a && is_aligned(r) && worth_streaming(n * int64_t(sizeof(T)))) {
        const int64_t whole = n - n % kW<T>;
        for (int64_t i = 0; i < whole; i += kW<T>)
            stream(r + i, WithNumbers<Op>::type::apply(ld(a + i), all_b, all_c, factor));
        end_stream();
        r += whole, a += whole, n -= whole;
    }
    for_vectors<T>(n, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        store(r + i, WithNumbers<Op>::type::apply(load(a + i, m), all_b, all_c, factor), m);
    });
}

template <class T>
void gather(T* buffer, const char* from, int64_t stride, int64_t n) {
    for (int64_t i = 0; i < n; i++) memcpy(buffer + i, from + i * stride, sizeof(T));
}

template <class Op, class T>
void ternary_loop(char* const* at, const int64_t* stride, int64_t n, Element element) {
    constexpr int64_t item = sizeof(T);
    const T factor = factor_of<T>(element);
    T* r = reinterpret_cast<T*>(at[0]);
    const T* in[3];
    bool is_gathered[3];
    int64_t step[3];  // in elements, once gathered
    for (int k = 0; k < 3; k++) {
        in[k] = reinterpret_cast<const T*>(at[k + 1]);
        const bool repeats = k > 0 && stride[k + 1] == 0;
        is_gathered[k] = stride[k + 1] != item && !repeats;
        step[k] = repeats ? 0 : 1;
    }
    if (n > 0 && stride[0] == item && !is_gathered[0] && !is_gathered[1] && !is_gathered[2]) {
        if (step[1] == 0 && step[2] == 0 && *in[1] == *in[1] && *in[2] == *in[2])
            return with_numbers<Op, T>(r, in[0], *in[1], *in[2], n, factor);
        return side_by_side<Op, T>(r, in[0], {in[1], step[1]}, {in[2], step[2]}, n, factor);
    }
    T buffer[4][kBlock];
    for (int64_t begin = 0; begin < n; begin += kBlock) {
        const int64_t count = n - begin < kBlock ? n - begin : kBlock;
        for (int k = 0; k < 3; k++) {
            const char* from = at[k + 1] + begin * stride[k + 1];
            in[k] = is_gathered[k] ? buffer[k] : reinterpret_cast<const T*>(from);
            if (is_gathered[k]) gather(buffer[k], from, stride[k + 1], count);
        }
        char* to = at[0] + begin * stride[0];
        r = stride[0] == item ? reinterpret_cast<T*>(to) : buffer[3];
        side_by_side<Op, T>(r, in[0], {in[1], step[1]}, {in[2], step[2]}, count, factor);
        if (stride[0] == item) continue;
        for (int64_t i = 0; i < count; i++) memcpy(to + i * stride[0], r + i, item);
    }
}

// ------------------------------------------------------------------ where
struct Item16 {
    uint64_t half[2];
};

template <class T>
void where_items(char* const* at, const int64_t* stride, int64_t n) {
    constexpr int64_t item = sizeof(T);
    T* RL_RESTRICT r = reinterpret_cast<T*>(at[0]);
    const uint8_t* mask = reinterpret_cast<const uint8_t*>(at[1]);
    const T* a = reinterpret_cast<const T*>(at[2]);
    const T* b = reinterpret_cast<const T*>(at[3]);
    if (stride[0] == item && stride[1] == 1 && stride[2] == item && stride[3] == item) {
        for (int64_t i = 0; i < n; i++) r[i] = mask[i] ? a[i] : b[i];
    } else if (stride[0] == item && stride[1] == 1 && stride[2] == 0 && stride[3] == item) {
        const T value = a[0];
        for (int64_t i = 0; i < n; i++) r[i] = mask[i] ? value : b[i];
    } else if (stride[0] == item && stride[1] == 1 && stride[2] == item && stride[3] == 0) {
        const T value = b[0];
        for (int64_t i = 0; i < n; i++) r[i] = mask[i] ? a[i] : value;
    } else {
        for (int64_t i = 0; i < n; i++) {
            const char* from = at[1][i * stride[1]] ? at[2] + i * stride[2] : at[3] + i * stride[3];
            memcpy(at[0] + i * stride[0], from, item);
        }
    }
}

void where(char* const* at, const int64_t* stride, int64_t n, int64_t item) {
    switch (item) {
        case 1: return where_items<uint8_t>(at, stride, n);
        case 2: return where_items<uint16_t>(at, stride, n);
        case 4: return where_items<uint32_t>(at, stride, n);
        case 8: return where_items<uint64_t>(at, stride, n);
        default: return where_items<Item16>(at, stride, n);
    }
}

}  // namespace

// In the order of TernaryOp and Number.
extern const TernaryKernels ternary_kernels = {
    {
        {ternary_loop<AddCMul, float>, ternary_loop<AddCMul, double>,
         ternary_loop<AddCMul, int32_t>, ternary_loop<AddCMul, int64_t>},
        {ternary_loop<AddCDiv, float>, ternary_loop<AddCDiv, double>},
        {ternary_loop<Lerp, float>, ternary_loop<Lerp, double>},
        {ternary_loop<Clamp, float>, ternary_loop<Clamp, double>,
         ternary_loop<Clamp, int32_t>, ternary_loop<Clamp, int64_t>},
    },
    where,
};

}  // namespace RL_ISA
}  // namespace rl
