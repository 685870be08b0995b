// Conversions between number types.
//
// One loop per pair of types; the compiler vectorises it where both sides lie side by side.
// Fractions are cut off towards zero (what int64 cannot hold becomes its lowest number, as in
// NumPy), and anything but zero, NaN included, is true.
#include "cast.h"

#include <string.h>

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

template <class To, class From>
RL_INLINE To converted(From x) {
    return static_cast<To>(x);
}
template <>
RL_INLINE bool converted<bool, float>(float x) { return x != 0; }
template <>
RL_INLINE bool converted<bool, double>(double x) { return x != 0; }
// Out of range is undefined in C++: the branch gives x86's answer everywhere.
template <>
RL_INLINE int64_t converted<int64_t, double>(double x) {
    return x >= -0x1p63 && x < 0x1p63 ? int64_t(x) : INT64_MIN;
}
template <>
RL_INLINE int64_t converted<int64_t, float>(float x) {
    return x >= -0x1p63f && x < 0x1p63f ? int64_t(x) : INT64_MIN;
}

template <class From, class To>
void cast_loop(char* out, const char* x, int64_t n, int64_t out_stride, int64_t x_stride) {
    if (out_stride == sizeof(To) && x_stride == sizeof(From)) {
        To* RL_RESTRICT r = reinterpret_cast<To*>(out);
        const From* a = reinterpret_cast<const From*>(x);
        for (int64_t i = 0; i < n; i++) r[i] = converted<To, From>(a[i]);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        *reinterpret_cast<To*>(out + i * out_stride) =
            converted<To, From>(*reinterpret_cast<const From*>(x + i * x_stride));
}

}  // namespace

#define RL_CASTS(From)                                                        \
    {cast_loop<From, float>, cast_loop<From, double>, cast_loop<From, int64_t>, \
     cast_loop<From, bool>}

// In the order of CastSource and CastTarget.
extern const CastKernels cast_kernels = {{RL_CASTS(float), RL_CASTS(double), RL_CASTS(int32_t),
                                          RL_CASTS(int64_t), RL_CASTS(bool), RL_CASTS(uint8_t)}};

}  // namespace RL_ISA
}  // namespace rl
