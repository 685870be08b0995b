// Functions of two arrays of floats beyond plain arithmetic: remainders, rounded quotients, lengths.
//
// A remainder is exact. Where the quotient q, cut to a whole number, has fewer bits than a number
// (|q| < 2^22 and 2^51), a - q b is representable, and a fused multiply-add gives it; the division
// may have rounded q up by one, which the remainder's sign tells. Vectors with a larger quotient or
// an infinite divisor in any lane, and processors without the instruction, go through the C library's
// fmod lane by lane. Quotients rounded down are made of the remainder, as Python's are. hypot scales
// by the larger side, so that no square leaves the range.
#include "pointwise.h"

#include "lanes.h"
#include "vec.h"
#include "vecmath.h"
#include "vecmath_two.h"
#include "vector_loops.h"

namespace rl {
namespace RL_ISA {
namespace {

RL_INLINE f32v vtrunc(f32v x) {
    const f32v size = vabs(x), nearest = vround(size);
    return vcopysign(select(nearest > size, nearest - 1, nearest), x);
}
RL_INLINE f64v vtrunc(f64v x) {
    const f64v size = vabs(x), nearest = vround(size);
    return vcopysign(select(nearest > size, nearest - 1, nearest), x);
}
template <class V>
RL_INLINE V vfloor(V x) {
    const V nearest = vround(x);
    return select(nearest > x, nearest - 1, nearest);
}

// ------------------------------------------------------------------ remainders and quotients
__attribute__((noinline)) void fmod_lanes(float* a, const float* b) {
    for (int i = 0; i < kW<float>; i++) a[i] = __builtin_fmodf(a[i], b[i]);
}
__attribute__((noinline)) void fmod_lanes(double* a, const double* b) {
    for (int i = 0; i < kW<double>; i++) a[i] = __builtin_fmod(a[i], b[i]);
}
template <class V>
RL_INLINE V slow_fmod(V a, V b) {
    Lane<V> x[kW<Lane<V>>], y[kW<Lane<V>>];
    st(x, a);
    st(y, b);
    fmod_lanes(x, y);
    return ld(x);
}

template <class V>
RL_INLINE V vfmod(V a, V b) {
    if constexpr (!kHasFused) return slow_fmod(a, b);
    typedef Lane<V> T;
    constexpr T most = sizeof(T) == 4 ? T(1 << 22) : T(int64_t(1) << 51);
    const V quotient = a / b;
    // Not for a NaN or a zero b, whose NaN comes out as it is.
    const auto is_long = (vabs(quotient) >= most) & (b != V{});
    if (any_true(is_long | (vabs(b) == T(__builtin_inf())))) return slow_fmod(a, b);
    const V rest = fused(-vtrunc(quotient), b, a);
    const auto overshot = (rest != V{}) & ((rest < V{}) != (a < V{}));
    return vcopysign(select(overshot, rest + vcopysign(b, a), rest), a);
}

struct Fmod {
    template <class V>
    static RL_INLINE V apply(V a, V b) { return vfmod(a, b); }
};
// Whether the remainder has not yet the divisor's sign.
template <class V>
RL_INLINE auto is_opposite(V rest, V b) {
    return (rest != V{}) & ((rest < V{}) != (b < V{}));
}
struct Remainder {
    template <class V>
    static RL_INLINE V apply(V a, V b) {
        const V rest = vfmod(a, b);
        return select(is_opposite(rest, b), rest + b, rest);
    }
};
struct FloorDiv {
    template <class V>
    static RL_INLINE V apply(V a, V b) {
        const V rest = vfmod(a, b), quotient = a / b;
        V whole = (a - rest) / b;
        whole = select(is_opposite(rest, b), whole - 1, whole);
        const V down = vfloor(whole);
        V result = select(whole - down > Lane<V>(0.5), down + 1, down);
        result = select(whole == V{}, vcopysign(V{}, quotient), result);
        return select(b == V{}, quotient, result);
    }
};
struct TruncDiv {
    template <class V>
    static RL_INLINE V apply(V a, V b) { return vtrunc(a / b); }
};

// ------------------------------------------------------------------ lengths and parts
struct Hypot {
    template <class V>
    static RL_INLINE V apply(V a, V b) {
        const V x = vabs(a), y = vabs(b), infinity = splat(Lane<V>(__builtin_inf()));
        const V large = select(x > y, x, y), small = select(x > y, y, x);
        const V ratio = small / large;
        V result = select(large == V{}, V{}, large * vsqrt(1 + ratio * ratio));
        result = select((x != x) | (y != y), x + y, result);
        return select((x == infinity) | (y == infinity), infinity, result);
    }
};
struct Copysign {
    template <class V>
    static RL_INLINE V apply(V a, V b) { return vcopysign(a, b); }
};
struct Heaviside {
    template <class V>
    static RL_INLINE V apply(V a, V at_zero) {
        return select(a == V{}, at_zero, select(a > V{}, V{} + 1, V{}));
    }
};
// Neighbours of a number of one sign are neighbours as integers, too.
struct Nextafter {
    template <class V>
    static RL_INLINE V apply(V a, V b) {
        typedef typename Indices<Lane<V>>::type Bits;
        const auto is_plain = (a < V{}) | (a > V{});  // the others would overflow
        const Bits bits = (Bits)select(is_plain, a, V{} + 1), one = Bits{} + 1;
        const V next = (V)select((a < b) == (a > V{}), bits + one, bits - one);
        const V beside_zero = vcopysign((V)one, b);
        V result = select(a == V{}, beside_zero, next);
        result = select(a == b, b, result);
        return select((a != a) | (b != b), a + b, result);
    }
};
struct Xlogy {
    template <class V>
    static RL_INLINE V apply(V a, V b) {
        return a * select((a == V{}) & (b == b), V{}, vlog(b));
    }
};

struct Pow {
    static RL_INLINE f32v apply(f32v a, f32v b) { return vpow(a, b); }
};
struct Cube {
    static RL_INLINE f32v apply(f32v a, f32v) { return a * a * a; }
};
struct Atan2 {
    static RL_INLINE f32v apply(f32v a, f32v b) { return vatan2(a, b); }
};

template <class Op, class T>
void pointwise_loop(void* out, const void* x, const void* y, int64_t n, int64_t out_stride,
                    int64_t x_stride, int64_t y_stride) {
    binary_vectors<T>(static_cast<T*>(out), static_cast<const T*>(x), static_cast<const T*>(y), n,
                      out_stride, x_stride, y_stride,
                      [](Vec<T> v, Vec<T> w) RL_LAMBDA_INLINE { return Op::apply(v, w); });
}

}  // namespace

#define RL_POINTWISE(Op) {pointwise_loop<Op, float>, pointwise_loop<Op, double>}

// In the order of PointwiseOp.
extern const PointwiseKernels pointwise_kernels = {{
    RL_POINTWISE(Fmod), RL_POINTWISE(Remainder), RL_POINTWISE(FloorDiv), RL_POINTWISE(TruncDiv),
    RL_POINTWISE(Hypot), RL_POINTWISE(Copysign), RL_POINTWISE(Heaviside),
    RL_POINTWISE(Nextafter), RL_POINTWISE(Xlogy),
    {pointwise_loop<Pow, float>}, {pointwise_loop<Cube, float>}, {pointwise_loop<Atan2, float>},
}};

}  // namespace RL_ISA
}  // namespace rl
