// Activation functions with constants, and their gradients, in one pass over memory.
//
// Each is a function object of whole vectors that holds its constants in registers; the loops
// around it are those of vector_loops.h. Comparisons are written so that a NaN stays one, and its
// gradient is PyTorch's. The exponential units need exp(x) - 1 without cancellation near zero (vexpm1); mish
// needs one exponential: with n = e (e + 2) and e = exp(x), tanh(log(1 + e)) = n / (n + 2).
#include "activation.h"

#include "vec.h"
#include "vecmath.h"
#include "vector_loops.h"

namespace rl {
namespace RL_ISA {
namespace {

// ------------------------------------------------------------------ functions
template <class T>
struct LeakyRelu {
    T slope;
    explicit LeakyRelu(const double* c) : slope(T(c[0])) {}
    template <class V>
    RL_INLINE V operator()(V x) const { return select(x > V{}, x, x * slope); }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const { return select(x > V{}, grad, grad * slope); }
};

// scale x above 0, scale alpha (exp(slope x) - 1) below
template <class T>
struct Elu {
    T alpha, scale, slope;
    explicit Elu(const double* c) : alpha(T(c[0] * c[1])), scale(T(c[1])), slope(T(c[2])) {}
    template <class V>
    RL_INLINE V operator()(V x) const {
        return select(x > V{}, x * scale, vexpm1(at_most(x, T(0)) * slope) * alpha);
    }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const {
        const V below = grad * (slope * alpha) * vexp(at_most(x, T(0)) * slope);
        return select(x <= V{}, below, grad * scale);
    }
};
template <class T>
struct EluOfResult : Elu<T> {
    using Elu<T>::Elu;
    template <class V>
    RL_INLINE V operator()(V grad, V result) const {
        const V below = grad * this->slope * (result + this->alpha);
        return select(result <= V{}, below, grad * this->scale);
    }
};

template <class T>
struct Threshold {
    T threshold, value;
    explicit Threshold(const double* c) : threshold(T(c[0])), value(T(c[1])) {}
    template <class V>
    RL_INLINE V operator()(V x) const { return select(x <= threshold, splat(value), x); }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const { return select(x <= threshold, V{}, grad); }
};

// Its slope at the bounds is 0.
template <class T>
struct Hardtanh {
    T low, high;
    explicit Hardtanh(const double* c) : low(T(c[0])), high(T(c[1])) {}
    template <class V>
    RL_INLINE V operator()(V grad, V x) const {
        return select((x <= low) | (x >= high), V{}, grad);
    }
};

template <class T>
struct Hardsigmoid {
    explicit Hardsigmoid(const double*) {}
    template <class V>
    RL_INLINE V operator()(V x) const { return clip(x + 3, T(0), T(6)) / 6; }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const {
        return select((x > -3) & (x < 3), grad / 6, V{});
    }
};

template <class T>
struct Hardswish {
    explicit Hardswish(const double*) {}
    template <class V>
    RL_INLINE V operator()(V x) const { return x * clip(x + 3, T(0), T(6)) / 6; }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const {
        const V inside = select(x < 3, grad * (x / 3 + T(0.5)), grad);
        return select(x <= -3, V{}, inside);
    }
};

template <class T>
struct Mish {
    explicit Mish(const double*) {}
    // tanh(log(1 + e)); from 20 (40) on it is 1, and e squared stays finite.
    template <class V>
    static RL_INLINE V gate(V x, V* e) {
        *e = vexp(at_most(x, T(sizeof(T) == 4 ? 20 : 40)));
        const V n = *e * (*e + 2);
        return n / (n + 2);
    }
    template <class V>
    RL_INLINE V operator()(V x) const {
        V e;
        return x * gate(x, &e);
    }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const {
        V e;
        const V t = gate(x, &e);
        return grad * (t + x * (e / (1 + e)) * (1 - t * t));
    }
};

template <class T>
struct NanToNum {
    T nan, high, low;
    explicit NanToNum(const double* c) : nan(T(c[0])), high(T(c[1])), low(T(c[2])) {}
    template <class V>
    RL_INLINE V operator()(V x) const {
        const T infinity = T(__builtin_inf());
        V result = select(x == infinity, splat(high), x);
        result = select(x == -infinity, splat(low), result);
        return select(x != x, splat(nan), result);
    }
};

// log(1 + exp(beta x)) / beta, or x where beta x exceeds the threshold
template <class T>
struct Softplus {
    T beta, threshold;
    explicit Softplus(const double* c) : beta(T(c[0])), threshold(T(c[1])) {}
    template <class V>
    RL_INLINE V operator()(V x) const {
        const V scaled = x * beta;
        const V soft = vlog1p(vexp(at_most(scaled, threshold))) / beta;
        return select(scaled > threshold, x, soft);
    }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const {
        const V scaled = x * beta;
        return select(scaled > threshold, grad, grad * vsigmoid(scaled));
    }
};

template <class T>
struct Logsigmoid {
    explicit Logsigmoid(const double*) {}
    template <class V>
    RL_INLINE V operator()(V x) const { return at_most(x, T(0)) - vlog1p(vexp(-vabs(x))); }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const { return grad * vsigmoid(-x); }
};

// Nearer to 0 by lambd, or 0 if it was no farther away.
template <class T>
struct Softshrink {
    T lambd;
    explicit Softshrink(const double* c) : lambd(T(c[0])) {}
    template <class V>
    RL_INLINE V operator()(V x) const {
        return select(x > lambd, x - lambd, select(x < -lambd, x + lambd, x * 0));
    }
};
template <class T>
struct Hardshrink {
    T lambd;
    explicit Hardshrink(const double* c) : lambd(T(c[0])) {}
    template <class V>
    RL_INLINE V operator()(V x) const { return (*this)(x, x); }
    template <class V>
    RL_INLINE V operator()(V grad, V x) const {
        return select((x >= -lambd) & (x <= lambd), V{}, grad);
    }
};

// ------------------------------------------------------------------ loops
template <template <class> class F, class T>
void activation_loop(void* out, const void* x, int64_t n, int64_t out_stride, int64_t x_stride,
                     const double* constants) {
    unary_vectors<T>(static_cast<T*>(out), static_cast<const T*>(x), n, out_stride, x_stride,
                     F<T>(constants));
}
template <template <class> class F, class T>
void grad_loop(void* out, const void* grad, const void* x, int64_t n, int64_t out_stride,
               int64_t grad_stride, int64_t x_stride, const double* constants) {
    binary_vectors<T>(static_cast<T*>(out), static_cast<const T*>(grad), static_cast<const T*>(x),
                      n, out_stride, grad_stride, x_stride, F<T>(constants));
}

}  // namespace

#define RL_LOOPS(F) {activation_loop<F, float>, activation_loop<F, double>}
#define RL_GRADS(F) {grad_loop<F, float>, grad_loop<F, double>}

// In the order of Activation and ActivationGrad.
extern const ActivationKernels activation_kernels = {
    {RL_LOOPS(LeakyRelu), RL_LOOPS(Elu), RL_LOOPS(Threshold), RL_LOOPS(Hardsigmoid),
     RL_LOOPS(Hardswish), RL_LOOPS(Mish), RL_LOOPS(NanToNum), RL_LOOPS(Softplus),
     RL_LOOPS(Logsigmoid), RL_LOOPS(Softshrink), RL_LOOPS(Hardshrink)},
    {RL_GRADS(LeakyRelu), RL_GRADS(Elu), RL_GRADS(EluOfResult), RL_GRADS(Threshold),
     RL_GRADS(Hardtanh), RL_GRADS(Hardsigmoid), RL_GRADS(Hardswish), RL_GRADS(Mish),
     RL_GRADS(Softplus), RL_GRADS(Logsigmoid), RL_GRADS(Hardshrink)},
};

}  // namespace RL_ISA
}  // namespace rl
