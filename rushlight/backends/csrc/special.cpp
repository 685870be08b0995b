// Special functions, a vector at a time (vecmath_special.h); most of them of floats only.
#include "special.h"

#include "vecmath_special.h"
#include "vector_loops.h"

namespace rl {
namespace RL_ISA {
namespace {

struct Erfc {
    template <class V>
    static RL_INLINE V apply(V x) { return verfc(x); }
};
struct Erfinv {
    static RL_INLINE f32v apply(f32v x) { return verfinv(x); }
};
struct Lgamma {
    static RL_INLINE f32v apply(f32v x) { return vlgamma(x); }
};
struct Digamma {
    static RL_INLINE f32v apply(f32v x) { return vdigamma(x); }
};

template <class Op, class T>
void special_loop(void* out, const void* x, int64_t n, int64_t out_stride, int64_t x_stride) {
    unary_vectors<T>(static_cast<T*>(out), static_cast<const T*>(x), n, out_stride, x_stride,
                     [](Vec<T> v) RL_LAMBDA_INLINE { return Op::apply(v); });
}

}  // namespace

// In the order of SpecialOp.
extern const SpecialKernels special_kernels = {{
    {special_loop<Erfc, float>, special_loop<Erfc, double>},
    {special_loop<Erfinv, float>},
    {special_loop<Lgamma, float>},
    {special_loop<Digamma, float>},
}};

}  // namespace RL_ISA
}  // namespace rl
