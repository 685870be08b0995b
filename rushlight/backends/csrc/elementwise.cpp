// Elementwise kernels.
//
// Plain arithmetic is written as a function of one element; the loop around it is written once and
// has a branch for the layouts that matter (all contiguous; one side a repeated number), each of
// which the compiler turns into full-width vector code. Functions with polynomials come from
// vecmath.h as functions of a whole vector. Memory traffic bounds all of the first kind: at 100,000
// elements they run at the speed of the second-level cache.
#include "elementwise.h"

#include "stream.h"
#include "vec.h"
#include "vecmath.h"
#include "vector_loops.h"

namespace rl {
namespace RL_ISA {
namespace {

// ------------------------------------------------------------------ loops
// r[i] = Op(a[i], b[i]...) for arrays that r is not, streamed when r is large; false if it is not.
// Only for floats: whole networks compute in them, and each loop is code.
template <class R, class T>
constexpr bool streamable = T(0.5) != T(0) && sizeof(R) == sizeof(T);

template <class Op, class T, class R>
RL_INLINE bool streamed(R* r, const T* a, const T* b, int64_t n) {
    if constexpr (streamable<R, T>) {
        if (r == a || r == b) return false;
        return stream_run(
            r, n, [=](int64_t i) { r[i] = Op::apply(a[i], b[i]); },
            [=](int64_t i) RL_LAMBDA_INLINE { return Op::apply(ld(a + i), ld(b + i)); });
    }
    return false;
}
template <class Op, class T, class R>
RL_INLINE bool streamed(R* r, const T* a, T b, int64_t n) {
    if constexpr (streamable<R, T>) {
        if (r == a) return false;
        const Vec<T> same = splat(b);
        return stream_run(
            r, n, [=](int64_t i) { r[i] = Op::apply(a[i], b); },
            [=](int64_t i) RL_LAMBDA_INLINE { return Op::apply(ld(a + i), same); });
    }
    return false;
}
template <class Op, class T>
RL_INLINE bool streamed(T* r, const T* a, int64_t n) {
    if constexpr (streamable<T, T>) {
        if (r == a) return false;
        return stream_run(
            r, n, [=](int64_t i) { r[i] = Op::apply(a[i]); },
            [=](int64_t i) RL_LAMBDA_INLINE { return Op::apply(ld(a + i)); });
    }
    return false;
}

// W elements at p, side by side, every second one (whose neighbours are read, too), or one
// repeated.
template <class T>
RL_INLINE Vec<T> load_step(const T* p, int64_t step) {
    if (step == 1) return ld(p);
    if (step == 0) return splat(*p);
    return shuffle(ld(p), ld(p + kW<T>), typename EverySecond<0, kW<T>>::type{});
}
RL_INLINE bool is_short_step(int64_t step) { return step >= 0 && step <= 2; }
// The bytes that are passed over where n elements are read.
template <class T>
RL_INLINE int64_t extent(int64_t n, int64_t x_stride, int64_t y_stride) {
    return n * (x_stride == 2 || y_stride == 2 ? 2 : 1) * int64_t(sizeof(T));
}

// Every second column of a matrix, by vectors; how many elements are done: never the last, behind
// which there may be nothing to read.
template <class Op, class T, class R>
RL_INLINE int64_t short_steps(R* r, const T* a, const T* b, int64_t n, int64_t x_stride,
                              int64_t y_stride) {
    int64_t i = 0;
    if constexpr (streamable<R, T>) {
        if (!is_short_step(x_stride) || !is_short_step(y_stride)) return 0;
        const auto plain = [=](int64_t j) {
            r[j] = Op::apply(a[j * x_stride], b[j * y_stride]);
        };
        const auto vector = [=](int64_t j) RL_LAMBDA_INLINE {
            return Op::apply(load_step(a + j * x_stride, x_stride),
                             load_step(b + j * y_stride, y_stride));
        };
        if (r != a && r != b &&
            stream_run(r, n - 1, plain, vector, extent<T>(n, x_stride, y_stride)))
            return n - 1;
        for (; i + kW<T> < n; i += kW<T>) st(r + i, vector(i));
    }
    return i;
}
template <class Op, class T>
RL_INLINE int64_t short_steps(T* r, const T* a, int64_t n, int64_t x_stride) {
    int64_t i = 0;
    if constexpr (streamable<T, T>) {
        if (!is_short_step(x_stride)) return 0;
        for (; i + kW<T> < n; i += kW<T>)
            st(r + i, Op::apply(load_step(a + i * x_stride, x_stride)));
    }
    return i;
}

template <class Op, class T, class R>
void binary_loop(void* out, const void* x, const void* y, int64_t n, int64_t out_stride,
                 int64_t x_stride, int64_t y_stride) {
    R* r = static_cast<R*>(out);
    const T* a = static_cast<const T*>(x);
    const T* b = static_cast<const T*>(y);
    if (out_stride == 1 && x_stride == 1 && y_stride == 1) {
        if (streamed<Op>(r, a, b, n)) return;
        for (int64_t i = 0; i < n; i++) r[i] = Op::apply(a[i], b[i]);
    } else if (out_stride == 1 && x_stride == 1 && y_stride == 0) {
        const T value = *b;
        if (streamed<Op>(r, a, value, n)) return;
        for (int64_t i = 0; i < n; i++) r[i] = Op::apply(a[i], value);
    } else if (out_stride == 1 && x_stride == 0 && y_stride == 1) {
        const T value = *a;
        for (int64_t i = 0; i < n; i++) r[i] = Op::apply(value, b[i]);
    } else {
        int64_t i = out_stride == 1 ? short_steps<Op>(r, a, b, n, x_stride, y_stride) : 0;
        for (; i < n; i++) r[i * out_stride] = Op::apply(a[i * x_stride], b[i * y_stride]);
    }
}

template <class Op, class T>
void unary_loop(void* out, const void* x, int64_t n, int64_t out_stride, int64_t x_stride) {
    T* r = static_cast<T*>(out);
    const T* a = static_cast<const T*>(x);
    if (out_stride == 1 && x_stride == 1) {
        if (streamed<Op>(r, a, n)) return;
        for (int64_t i = 0; i < n; i++) r[i] = Op::apply(a[i]);
    } else {
        int64_t i = out_stride == 1 ? short_steps<Op>(r, a, n, x_stride) : 0;
        for (; i < n; i++) r[i * out_stride] = Op::apply(a[i * x_stride]);
    }
}

// The same for functions of a vector (see vector_loops.h), of several at once where they say so.
template <class Op, class T>
constexpr int kAtOnce = 1;

template <class Op, class T>
void unary_vec_loop(void* out, const void* x, int64_t n, int64_t out_stride, int64_t x_stride) {
    T* r = static_cast<T*>(out);
    const T* a = static_cast<const T*>(x);
    int64_t done = 0;
    if (out_stride == 1 && x_stride != 1) done = short_steps<Op>(r, a, n, x_stride);
    if constexpr (kAtOnce<Op, T> > 1) {
        if (out_stride == 1 && x_stride == 1)
            done = unary_blocks<kAtOnce<Op, T>>(
                r, a, n, [](Vec<T>* v) RL_LAMBDA_INLINE { Op::apply_to_several(v); });
    }
    unary_vectors<T>(r + done * out_stride, a + done * x_stride, n - done, out_stride, x_stride,
                     [](Vec<T> v) RL_LAMBDA_INLINE { return Op::apply(v); });
}
template <class Op, class T>
void binary_vec_loop(void* out, const void* x, const void* y, int64_t n, int64_t out_stride,
                     int64_t x_stride, int64_t y_stride) {
    binary_vectors<T>(static_cast<T*>(out), static_cast<const T*>(x), static_cast<const T*>(y), n,
                      out_stride, x_stride, y_stride,
                      [](Vec<T> v, Vec<T> w) RL_LAMBDA_INLINE { return Op::apply(v, w); });
}

// ------------------------------------------------------------------ functions of one element
// Of floats, also of a vector.
// Integer arithmetic wraps; C++ leaves signed overflow undefined, so it is done unsigned.
template <class T>
struct Wrapping {
    typedef T type;
};
template <>
struct Wrapping<int32_t> {
    typedef uint32_t type;
};
template <>
struct Wrapping<int64_t> {
    typedef uint64_t type;
};
template <class T>
using U = typename Wrapping<T>::type;

struct Add {
    template <class T>
    static T apply(T a, T b) { return T(U<T>(a) + U<T>(b)); }
};
struct Sub {
    template <class T>
    static T apply(T a, T b) { return T(U<T>(a) - U<T>(b)); }
};
struct Mul {
    template <class T>
    static T apply(T a, T b) { return T(U<T>(a) * U<T>(b)); }
};
struct Div {
    template <class T>
    static T apply(T a, T b) { return a / b; }
};
// A NaN on either side wins.
struct Maximum {
    template <class T>
    static T apply(T a, T b) { return a != a ? a : (a > b ? a : b); }
};
struct Minimum {
    template <class T>
    static T apply(T a, T b) { return a != a ? a : (a < b ? a : b); }
};
// The slope of relu at 0 is 0; a NaN result lets nothing through.
struct ReluGrad {
    template <class T>
    static T apply(T grad, T result) { return result > T{} ? grad : T{}; }
};
struct SigmoidGrad {
    template <class T>
    static T apply(T grad, T result) { return grad * (1 - result) * result; }
};
struct TanhGrad {
    template <class T>
    static T apply(T grad, T result) { return grad * (1 - result * result); }
};
struct Eq {
    template <class T>
    static bool apply(T a, T b) { return a == b; }
};
struct Ne {
    template <class T>
    static bool apply(T a, T b) { return a != b; }
};
struct Lt {
    template <class T>
    static bool apply(T a, T b) { return a < b; }
};
struct Le {
    template <class T>
    static bool apply(T a, T b) { return a <= b; }
};
struct Gt {
    template <class T>
    static bool apply(T a, T b) { return a > b; }
};
struct Ge {
    template <class T>
    static bool apply(T a, T b) { return a >= b; }
};

struct Neg {
    template <class T>
    static T apply(T a) { return T(-U<T>(a)); }
};
struct Square {
    template <class T>
    static T apply(T a) { return T(U<T>(a) * U<T>(a)); }
};
struct Reciprocal {
    template <class T>
    static T apply(T a) { return 1 / a; }
};
struct Abs {
    static float apply(float a) { return __builtin_fabsf(a); }
    static double apply(double a) { return __builtin_fabs(a); }
    static int32_t apply(int32_t a) { return a < 0 ? int32_t(-uint32_t(a)) : a; }
    static int64_t apply(int64_t a) { return a < 0 ? int64_t(-uint64_t(a)) : a; }
    static f32v apply(f32v a) { return vabs(a); }
    static f64v apply(f64v a) { return vabs(a); }
};
// The sign of a NaN is 0.
struct Sign {
    template <class T>
    static T apply(T a) { return a > T{} ? T{} + 1 : a < T{} ? T{} - 1 : T{}; }
};
// 0 > NaN is false, so a NaN stays.
struct Relu {
    template <class T>
    static T apply(T a) { return T{} > a ? T{} : a; }
};

// ------------------------------------------------------------------ functions of a vector
struct Sqrt {
    template <class V>
    static V apply(V x) { return vsqrt(x); }
};
struct Rsqrt {
    template <class V>
    static V apply(V x) { return 1 / vsqrt(x); }
};
// From the nearest whole number; zeros keep the sign that the rounded number had.
struct Round {
    template <class V>
    static V apply(V x) { return vround(x); }
};
struct Floor {
    template <class V>
    static V apply(V x) {
        const V nearest = vround(x);
        return nearest > x ? nearest - 1 : nearest;
    }
};
struct Ceil {
    template <class V>
    static V apply(V x) { return -Floor::apply(-x); }
};
struct Trunc {
    template <class V>
    static V apply(V x) { return vcopysign(Floor::apply(vabs(x)), x); }
};
struct Frac {
    template <class V>
    static V apply(V x) { return x - Trunc::apply(x); }
};
struct Exp {
    template <class V>
    static V apply(V x) { return vexp(x); }
};
struct Expm1 {
    template <class V>
    static V apply(V x) { return vexpm1(x); }
};
struct Log1p {
    template <class V>
    static V apply(V x) { return vlog1p(x); }
};
struct Log {
    template <class V>
    static V apply(V x) { return vlog(x); }
};
struct Tanh {
    template <class V>
    static V apply(V x) { return vtanh(x); }
};
struct Sigmoid {
    template <class V>
    static V apply(V x) { return vsigmoid(x); }
};
struct Silu {
    template <class V>
    static V apply(V x) { return x / (1 + vexp(-x)); }
};
struct Erf {
    template <class V>
    static V apply(V x) { return verf(x); }
};
struct Gelu {
    template <class V>
    static V apply(V x) { return vgelu(x); }
    static RL_INLINE void apply_to_several(f32v* x) { vgelu<kGeluVectors>(x); }
};
template <>
constexpr int kAtOnce<Gelu, float> = kGeluVectors;

struct GeluTanh {
    template <class V>
    static V apply(V x) { return vgelu_tanh(x); }
};
// d silu = s (1 + x (1 - s)), s = sigmoid(x)
struct SiluGrad {
    template <class V>
    static V apply(V grad, V x) {
        const V s = vsigmoid(x);
        return grad * s * (1 + x * (1 - s));
    }
};
struct GeluGrad {
    template <class V>
    static V apply(V grad, V x) { return grad * vgelu_slope(x); }
};
struct GeluTanhGrad {
    template <class V>
    static V apply(V grad, V x) { return grad * vgelu_tanh_slope(x); }
};

}  // namespace

#define RL_BINARY(Op) \
    {binary_loop<Op, float, float>, binary_loop<Op, double, double>, \
     binary_loop<Op, int32_t, int32_t>, binary_loop<Op, int64_t, int64_t>}
#define RL_BINARY_FLOAT(Op) {binary_loop<Op, float, float>, binary_loop<Op, double, double>}
#define RL_BINARY_VEC(Op) {binary_vec_loop<Op, float>, binary_vec_loop<Op, double>}
#define RL_COMPARE(Op) \
    {binary_loop<Op, float, bool>, binary_loop<Op, double, bool>, \
     binary_loop<Op, int32_t, bool>, binary_loop<Op, int64_t, bool>}
#define RL_UNARY(Op) \
    {unary_loop<Op, float>, unary_loop<Op, double>, unary_loop<Op, int32_t>, unary_loop<Op, int64_t>}
#define RL_UNARY_FLOAT(Op) {unary_loop<Op, float>, unary_loop<Op, double>}
#define RL_UNARY_VEC(Op) {unary_vec_loop<Op, float>, unary_vec_loop<Op, double>}

// In the order of BinaryOp and UnaryOp.
extern const ElementwiseKernels elementwise_kernels = {
    {
        RL_BINARY(Add), RL_BINARY(Sub), RL_BINARY(Mul), RL_BINARY_FLOAT(Div),
        RL_BINARY(Maximum), RL_BINARY(Minimum),
        RL_BINARY_FLOAT(ReluGrad), RL_BINARY_FLOAT(SigmoidGrad), RL_BINARY_FLOAT(TanhGrad),
        RL_BINARY_VEC(SiluGrad), RL_BINARY_VEC(GeluGrad), RL_BINARY_VEC(GeluTanhGrad),
        RL_COMPARE(Eq), RL_COMPARE(Ne), RL_COMPARE(Lt), RL_COMPARE(Le), RL_COMPARE(Gt),
        RL_COMPARE(Ge),
    },
    {
        RL_UNARY(Neg), RL_UNARY(Abs), RL_UNARY(Sign), RL_UNARY(Square),
        RL_UNARY_FLOAT(Reciprocal), RL_UNARY_VEC(Sqrt), RL_UNARY_VEC(Rsqrt), RL_UNARY(Relu),
        RL_UNARY_VEC(Floor), RL_UNARY_VEC(Ceil), RL_UNARY_VEC(Trunc), RL_UNARY_VEC(Round),
        RL_UNARY_VEC(Frac),
        RL_UNARY_VEC(Exp), RL_UNARY_VEC(Log), RL_UNARY_VEC(Tanh), RL_UNARY_VEC(Sigmoid),
        RL_UNARY_VEC(Silu), RL_UNARY_VEC(Gelu), RL_UNARY_VEC(GeluTanh), RL_UNARY_VEC(Erf),
        RL_UNARY_VEC(Expm1), RL_UNARY_VEC(Log1p),
    },
};

}  // namespace RL_ISA
}  // namespace rl
