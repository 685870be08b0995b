// Quotients, remainders and bits of whole numbers.
//
// Dividing takes the processor 7 to 18 cycles a number, one at a time. With AVX-512 eight numbers of
// 64 bits are divided as doubles instead, if all are below 2^53: the quotient, cut to a whole number,
// may then be one too large, which the sign of the remainder (exact, in integers) tells. All four
// functions are made of that quotient and remainder. Arithmetic wraps around, so it is done unsigned.
#include "integers.h"

#include "lanes.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

template <class T>
struct UnsignedOf;
template <>
struct UnsignedOf<int32_t> {
    typedef uint32_t type;
};
template <>
struct UnsignedOf<int64_t> {
    typedef uint64_t type;
};
template <class T>
using Unsigned = typename UnsignedOf<T>::type;

// ------------------------------------------------------------------ one element
// a / b cut to a whole number, and what it leaves, with the sign of a. The processor traps where the
// smallest number is divided by -1.
template <class T>
RL_INLINE void divide(T a, T b, T* quotient, T* rest) {
    *quotient = b == -1 ? T(0 - Unsigned<T>(a)) : a / b;
    *rest = T(Unsigned<T>(a) - Unsigned<T>(*quotient) * Unsigned<T>(b));
}
// The same for vectors and for single numbers: comparisons of vectors are -1 where they hold, those
// of numbers 1, hence the selections.
template <class T>
RL_INLINE T choose(bool condition, T a, T b) { return condition ? a : b; }
RL_INLINE i64v choose(i64v condition, i64v a, i64v b) { return select(condition, a, b); }

struct IntFloorDiv {
    template <class T>
    static RL_INLINE T of(T, T b, T quotient, T rest) {
        return choose((rest != 0) & ((rest < 0) != (b < 0)), T(quotient - 1), quotient);
    }
};
struct IntTruncDiv {
    template <class T>
    static RL_INLINE T of(T, T, T quotient, T) { return quotient; }
};
struct IntRemainder {
    template <class T>
    static RL_INLINE T of(T, T b, T, T rest) {
        return choose((rest != 0) & ((rest < 0) != (b < 0)), T(rest + b), rest);
    }
};
struct IntFmod {
    template <class T>
    static RL_INLINE T of(T, T, T, T rest) { return rest; }
};

struct And {
    template <class T>
    static RL_INLINE T apply(T a, T b) { return T(a & b); }
};
struct Or {
    template <class T>
    static RL_INLINE T apply(T a, T b) { return T(a | b); }
};
struct Xor {
    template <class T>
    static RL_INLINE T apply(T a, T b) { return T(a ^ b); }
};
// Nothing is left of a number shifted by its width or more, or by a negative number; to the right
// its sign.
struct LeftShift {
    template <class T>
    static RL_INLINE T apply(T a, T b) {
        constexpr T width = 8 * sizeof(T);
        const bool in_range = b >= 0 && b < width;
        return in_range ? T(Unsigned<T>(a) << (b & (width - 1))) : 0;
    }
};
struct RightShift {
    template <class T>
    static RL_INLINE T apply(T a, T b) {
        constexpr T width = 8 * sizeof(T);
        return a >> (b >= 0 && b < width ? b : width - 1);
    }
};

// ------------------------------------------------------------------ loops
#if defined(__AVX512DQ__)
// How many elements are done: all vectors of small numbers up to the first one with a large number.
template <class Op>
RL_INLINE int64_t divide_vectors(int64_t* r, const int64_t* a, const int64_t* b, int64_t n,
                                 int64_t b_stride) {
    constexpr int64_t large = int64_t(1) << 53;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const i64v x = ld(a + i), y = b_stride == 0 ? splat(*b) : ld(b + i);
        if (any_true((x <= -large) | (x >= large) | (y <= -large) | (y >= large))) break;
        i64v quotient = __builtin_convertvector(
            __builtin_convertvector(x, f64v) / __builtin_convertvector(y, f64v), i64v);
        i64v rest = x - quotient * y;
        const i64v overshot = (rest != 0) & ((rest < 0) != (x < 0));
        const i64v back = select((x < 0) != (y < 0), i64v{} - 1, i64v{} + 1);
        quotient -= overshot & back;
        rest += overshot & select((x < 0), i64v{} - select(y < 0, -y, y), select(y < 0, -y, y));
        st(r + i, Op::of(x, y, quotient, rest));
    }
    return i;
}
#else
template <class Op>
RL_INLINE int64_t divide_vectors(int64_t*, const int64_t*, const int64_t*, int64_t, int64_t) {
    return 0;
}
#endif
template <class Op, class T>
RL_INLINE int64_t divide_many(T* r, const T* a, const T* b, int64_t n, int64_t b_stride) {
    if constexpr (sizeof(T) == 8) return divide_vectors<Op>(r, a, b, n, b_stride);
    return 0;
}

template <class Op, class T>
void division_loop(void* out, const void* x, const void* y, int64_t n, int64_t out_stride,
                   int64_t x_stride, int64_t y_stride) {
    T* r = static_cast<T*>(out);
    const T* a = static_cast<const T*>(x);
    const T* b = static_cast<const T*>(y);
    constexpr int64_t block = 64;  // after a large number one by one, then by vectors again
    const bool side_by_side = out_stride == 1 && x_stride == 1 && (y_stride == 0 || y_stride == 1);
    for (int64_t i = 0; i < n;) {
        if (side_by_side)
            i += divide_many<Op, T>(r + i, a + i, b + i * y_stride, n - i, y_stride);
        const int64_t end = n - i < block ? n : i + block;
        for (; i < end; i++) {
            T quotient, rest;
            const T p = a[i * x_stride], q = b[i * y_stride];
            divide<T>(p, q, &quotient, &rest);
            r[i * out_stride] = Op::of(p, q, quotient, rest);
        }
    }
}

template <class Op, class T>
void bit_loop(void* out, const void* x, const void* y, int64_t n, int64_t out_stride,
              int64_t x_stride, int64_t y_stride) {
    T* r = static_cast<T*>(out);
    const T* a = static_cast<const T*>(x);
    const T* b = static_cast<const T*>(y);
    if (out_stride == 1 && x_stride == 1 && y_stride == 1) {
        for (int64_t i = 0; i < n; i++) r[i] = Op::apply(a[i], b[i]);
    } else if (out_stride == 1 && x_stride == 1 && y_stride == 0) {
        const T value = *b;
        for (int64_t i = 0; i < n; i++) r[i] = Op::apply(a[i], value);
    } else {
        for (int64_t i = 0; i < n; i++)
            r[i * out_stride] = Op::apply(a[i * x_stride], b[i * y_stride]);
    }
}

template <class T>
bool has_zero(const void* x, int64_t n) {
    const T* a = static_cast<const T*>(x);
    constexpr int64_t block = 4096;
    for (int64_t begin = 0; begin < n; begin += block) {
        const int64_t end = n - begin < block ? n : begin + block;
        T found = 0;
        for (int64_t i = begin; i < end; i++) found |= T(a[i] == 0);
        if (found) return true;
    }
    return false;
}

}  // namespace

#define RL_DIVISION(Op) {division_loop<Op, int32_t>, division_loop<Op, int64_t>}
#define RL_BITS(Op) \
    {bit_loop<Op, uint8_t>, bit_loop<Op, uint16_t>, bit_loop<Op, uint32_t>, bit_loop<Op, uint64_t>}
#define RL_SHIFT(Op) {bit_loop<Op, int32_t>, bit_loop<Op, int64_t>}

// In the order of DivisionOp, BitOp and ShiftOp.
extern const IntegerKernels integer_kernels = {
    {RL_DIVISION(IntFloorDiv), RL_DIVISION(IntTruncDiv), RL_DIVISION(IntRemainder),
     RL_DIVISION(IntFmod)},
    {RL_BITS(And), RL_BITS(Or), RL_BITS(Xor)},
    {RL_SHIFT(LeftShift), RL_SHIFT(RightShift)},
    {has_zero<int32_t>, has_zero<int64_t>},
};

}  // namespace RL_ISA
}  // namespace rl
