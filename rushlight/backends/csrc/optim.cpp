// Optimizer steps.
//
// All parameters of a group are one job: their elements count as one long row, which threads share
// in parts of 32,768 or more, so that many small parameters cost no more than a large one. Every
// array is read and written once. The two halves of a parameter's part are walked together, by
// turns of 512 bytes: memory serves two places of an array at once faster than one (4 % to 8 % for
// arrays that no cache holds; more places, or longer turns, gain less). A parameter whose gradient
// has become zero has moments that decay for ever into denormal numbers, which are many times
// slower; they are flushed to zero here (the processor's mode is set for the part and put back).
//
// SGD and Adam have loops of their own; the other algorithms share one, into which a rule puts what
// it does to a vector of a parameter and of its states.
#include "optim.h"

#include <math.h>

#include "lanes.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 32768;
constexpr int64_t kSerial = 4 * kGrain;  // with fewer elements a second thread does not pay
constexpr int64_t kTurn = 512;           // bytes of one half before the other has its turn

// Denormal results and operands count as zero while this object lives.
class FlushDenormals {
  public:
#if defined(__x86_64__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t(1) << 24)));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

  private:
    uint64_t before_;
#endif
};

// Where element `at` of the long row cuts a range of n elements that begins with element `start`.
inline int64_t cut_of(int64_t at, int64_t start, int64_t n) {
    constexpr int64_t whole_lines = 64;
    if (at <= start) return 0;
    return at - start >= n ? n : (at - start) / whole_lines * whole_lines;
}

// Calls piece(range, begin, end) for pieces that cover all ranges, in parallel when they are large.
template <class Piece>
void for_each_piece(const OptimRange* ranges, int count, const Piece& piece) {
    int64_t elements = 0;
    for (int i = 0; i < count; i++) elements += ranges[i].n;
    const int64_t grain = elements < kSerial ? elements : kGrain;
    parallel_for(elements, grain, [&](int64_t first, int64_t last) {
        FlushDenormals flush;
        int64_t start = 0;
        for (int i = 0; i < count; start += ranges[i].n, i++) {
            const int64_t begin = cut_of(first, start, ranges[i].n);
            const int64_t end = cut_of(last, start, ranges[i].n);
            if (begin < end) piece(ranges[i], begin, end);
        }
    });
}

// Calls step(i, m) for vectors that cover elements begin .. end - 1, by turns in the first half and
// the second; m is W, and less for the last one.
template <class T, class Step>
RL_INLINE void for_halves(int64_t begin, int64_t end, const Step& step) {
    constexpr int64_t W = kW<T>, turn = kTurn / int64_t(sizeof(T));
    const int64_t half = (end - begin) / 2 / turn * turn, rest = begin + 2 * half;
    const int64_t whole = end - (end - begin) % W;
    // One loop for the turns and for what they leave keeps the code of `step` short.
    for (int64_t i = 0; i <= half; i += turn) {
        const bool leftover = i == half;
        for (int part = leftover ? 2 : 0; part < (leftover ? 3 : 2); part++) {
            const int64_t from = leftover ? rest : begin + part * half + i;
            const int64_t to = leftover ? whole : from + turn;
            RL_KEEP_LOOP
            for (int64_t at = from; at < to; at += W) step(at, int(W));
        }
    }
    if (whole < end) step(whole, int(end - whole));
}

template <class T, bool has_momentum>
void sgd_piece(const OptimRange& range, int64_t begin, int64_t end, const SgdSettings& s) {
    T* p = static_cast<T*>(range.param);
    const T* grad = static_cast<const T*>(range.grad);
    T* buffer = static_cast<T*>(range.state[0]);
    const T lr = T(s.lr), decay = T(s.weight_decay), sign = s.maximize ? T(-1) : T(1);
    const T momentum = s.first_step ? T(0) : T(s.momentum);
    const T fresh = s.first_step ? T(1) : T(1 - s.dampening);
    const T look_ahead = T(s.momentum);
    const bool nesterov = s.nesterov, first = s.first_step;
    for_halves<T>(begin, end, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        const Vec<T> weight = load(p + i, m);
        Vec<T> g = sign * load(grad + i, m) + decay * weight;
        if (has_momentum) {
            // On the first step the buffer may hold anything, NaN included.
            const Vec<T> old = first ? Vec<T>{} : load(buffer + i, m);
            const Vec<T> mean = momentum * old + fresh * g;
            store(buffer + i, mean, m);
            g = nesterov ? g + look_ahead * mean : mean;
        }
        store(p + i, weight - lr * g, m);
    });
}

template <class T>
void sgd(const OptimRange* ranges, int count, const SgdSettings& s) {
    const auto piece = s.momentum != 0 ? sgd_piece<T, true> : sgd_piece<T, false>;
    for_each_piece(ranges, count, [&](const OptimRange& range, int64_t begin, int64_t end) {
        piece(range, begin, end, s);
    });
}

template <class T>
void adam_piece(const OptimRange& range, int64_t begin, int64_t end, const AdamSettings& s) {
    T* p = static_cast<T*>(range.param);
    const T* grad = static_cast<const T*>(range.grad);
    T* mean = static_cast<T*>(range.state[0]);
    T* square = static_cast<T*>(range.state[1]);
    T* largest = s.amsgrad ? static_cast<T*>(range.state[2]) : nullptr;
    const T sign = s.maximize ? T(-1) : T(1);
    const T shrink = s.decoupled ? T(1 - s.lr * s.weight_decay) : T(1);
    const T decay = s.decoupled ? T(0) : T(s.weight_decay);
    const T take1 = T(1 - s.beta1), keep2 = T(s.beta2), take2 = T(1 - s.beta2), eps = T(s.eps);
    const T step_size = T(s.lr / (1 - pow(s.beta1, range.factor[0])));
    const T root_scale = T(1 / sqrt(1 - pow(s.beta2, range.factor[0])));
    for_halves<T>(begin, end, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        const Vec<T> weight = load(p + i, m) * shrink;
        const Vec<T> g = sign * load(grad + i, m) + decay * weight;
        Vec<T> first = load(mean + i, m);
        first = first + take1 * (g - first);
        Vec<T> second = keep2 * load(square + i, m) + take2 * (g * g);
        store(mean + i, first, m);
        store(square + i, second, m);
        if (largest != nullptr) {
            second = vmax(load(largest + i, m), second);
            store(largest + i, second, m);
        }
        const Vec<T> root = vsqrt(second) * root_scale + eps;
        store(p + i, weight - step_size * (first / root), m);
    });
}

template <class T>
void adam(const OptimRange* ranges, int count, const AdamSettings& s) {
    for_each_piece(ranges, count, [&](const OptimRange& range, int64_t begin, int64_t end) {
        adam_piece<T>(range, begin, end, s);
    });
}

// ------------------------------------------------------------------ the other algorithms
// A rule is made once per piece from a parameter's factors and the group's numbers; `apply` changes
// one vector of the parameter and of its states.
template <class V>
struct Adagrad {
    static constexpr int states = 1;
    Lane<V> lr, eps;
    Adagrad(const double* factor, const double* number)
        : lr(Lane<V>(factor[0])), eps(Lane<V>(number[0])) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        s[0] += g * g;
        p -= lr * g / (vsqrt(s[0]) + eps);
    }
};
template <class V>
struct Adadelta {
    static constexpr int states = 2;
    Lane<V> lr, keep, take, eps;
    Adadelta(const double*, const double* number)
        : lr(Lane<V>(number[0])), keep(Lane<V>(number[1])), take(Lane<V>(1 - number[1])),
          eps(Lane<V>(number[2])) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        s[0] = keep * s[0] + take * (g * g);
        const V delta = vsqrt(s[1] + eps) / vsqrt(s[0] + eps) * g;
        s[1] = keep * s[1] + take * (delta * delta);
        p -= lr * delta;
    }
};
// The running means of Adam and its kin: s[0] of g, s[1] of g^2.
template <class V>
struct Means {
    Lane<V> take1, keep2, take2, eps;
    explicit Means(const double* number)
        : take1(Lane<V>(1 - number[0])), keep2(Lane<V>(number[1])), take2(Lane<V>(1 - number[1])),
          eps(Lane<V>(number[2])) {}
    RL_INLINE void advance_first(V g, V* s) const { s[0] += take1 * (g - s[0]); }
    RL_INLINE void advance_second(V g, V* s) const { s[1] = keep2 * s[1] + take2 * (g * g); }
};
template <class V>
struct Adamax {
    static constexpr int states = 2;
    Means<V> means;
    Lane<V> lr;
    Adamax(const double* factor, const double* number)
        : means(number), lr(Lane<V>(factor[0])) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        means.advance_first(g, s);
        s[1] = vmax(means.keep2 * s[1], vabs(g) + means.eps);
        p -= lr * s[0] / s[1];
    }
};
template <class V>
struct Asgd {
    static constexpr int states = 1;
    Lane<V> eta, mu;
    bool averages;
    Asgd(const double* factor, const double*)
        : eta(Lane<V>(factor[0])), mu(Lane<V>(factor[1])), averages(factor[1] != 1) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        p -= eta * g;
        s[0] = averages ? s[0] + (p - s[0]) * mu : p;
    }
};
template <class V>
struct Nadam {
    static constexpr int states = 2;
    Means<V> means;
    Lane<V> of_gradient, of_mean, correction;
    Nadam(const double* factor, const double* number)
        : means(number), of_gradient(Lane<V>(factor[0])), of_mean(Lane<V>(factor[1])),
          correction(Lane<V>(factor[2])) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        means.advance_first(g, s);
        means.advance_second(g, s);
        const V root = vsqrt(s[1] / correction) + means.eps;
        p -= (of_gradient * g + of_mean * s[0]) / root;
    }
};
template <class V>
struct Radam {
    static constexpr int states = 2;
    Means<V> means;
    Lane<V> of_mean, rectifier;
    Radam(const double* factor, const double* number)
        : means(number), of_mean(Lane<V>(factor[0])), rectifier(Lane<V>(factor[1])) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        means.advance_first(g, s);
        means.advance_second(g, s);
        const V update = of_mean * s[0];
        p -= rectifier != 0 ? update * rectifier / (vsqrt(s[1]) + means.eps) : update;
    }
};
template <class V, bool centered, bool momentum>
struct Rmsprop {
    static constexpr int states = 1 + centered + momentum;
    Lane<V> lr, keep, take, eps, inertia;
    Rmsprop(const double*, const double* number)
        : lr(Lane<V>(number[0])), keep(Lane<V>(number[1])), take(Lane<V>(1 - number[1])),
          eps(Lane<V>(number[2])), inertia(Lane<V>(number[3])) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        s[0] = keep * s[0] + take * (g * g);
        V square = s[0];
        if constexpr (centered) {
            s[1] += take * (g - s[1]);
            square -= s[1] * s[1];
        }
        V update = g / (vsqrt(square) + eps);
        if constexpr (momentum) {
            V& buffer = s[1 + centered];
            buffer = inertia * buffer + update;
            update = buffer;
        }
        p -= lr * update;
    }
};
template <class V>
using PlainRmsprop = Rmsprop<V, false, false>;
template <class V>
using CenteredRmsprop = Rmsprop<V, true, false>;
template <class V>
using MomentumRmsprop = Rmsprop<V, false, true>;
template <class V>
using FullRmsprop = Rmsprop<V, true, true>;

template <class V>
struct Rprop {
    static constexpr int states = 2;
    Lane<V> shorter, longer, smallest, largest;
    Rprop(const double*, const double* number)
        : shorter(Lane<V>(number[0])), longer(Lane<V>(number[1])), smallest(Lane<V>(number[2])),
          largest(Lane<V>(number[3])) {}
    RL_INLINE void apply(V& p, V g, V* s) const {
        const V zero = {}, one = splat(Lane<V>(1));
        const auto up = g > zero, down = g < zero, was_up = s[0] > zero, was_down = s[0] < zero;
        const auto opposed = (up & was_down) | (down & was_up);
        V factor = select((up & was_up) | (down & was_down), splat(longer), one);
        factor = select(opposed, splat(shorter), factor);
        s[1] = vmin(vmax(s[1] * factor, splat(smallest)), splat(largest));
        s[0] = select(opposed, zero, g);
        const V step = select(up, s[1], select(down, -s[1], zero));
        p -= select(opposed, zero, step);
    }
};

template <template <class> class Rule, class T>
void rule_piece(const OptimRange& range, int64_t begin, int64_t end, const RuleSettings& settings) {
    typedef Rule<Vec<T>> R;
    const R rule(range.factor, settings.number);
    const T sign = T(settings.sign), decay = T(settings.decay), shrink = T(range.shrink);
    T* param = static_cast<T*>(range.param);
    const T* grad = static_cast<const T*>(range.grad);
    T* state[R::states];
    for (int k = 0; k < R::states; k++) state[k] = static_cast<T*>(range.state[k]);
    for_halves<T>(begin, end, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        Vec<T> p = load(param + i, m), s[R::states];
        const Vec<T> g = sign * load(grad + i, m) + decay * p;
        p = p * shrink;
        for (int k = 0; k < R::states; k++) s[k] = load(state[k] + i, m);
        rule.apply(p, g, s);
        for (int k = 0; k < R::states; k++) store(state[k] + i, s[k], m);
        store(param + i, p, m);
    });
}

template <template <class> class Rule, class T>
void follow(const OptimRange* ranges, int count, const RuleSettings& s) {
    for_each_piece(ranges, count, [&](const OptimRange& range, int64_t begin, int64_t end) {
        rule_piece<Rule, T>(range, begin, end, s);
    });
}

}  // namespace

// Rules in the order of OptimRule.
extern const OptimKernels optim_kernels = {
    sgd<float>, sgd<double>, adam<float>, adam<double>,
    {
        {follow<Adagrad, float>, follow<Adagrad, double>},
        {follow<Adadelta, float>, follow<Adadelta, double>},
        {follow<Adamax, float>, follow<Adamax, double>},
        {follow<Asgd, float>, follow<Asgd, double>},
        {follow<Nadam, float>, follow<Nadam, double>},
        {follow<Radam, float>, follow<Radam, double>},
        {follow<PlainRmsprop, float>, follow<PlainRmsprop, double>},
        {follow<CenteredRmsprop, float>, follow<CenteredRmsprop, double>},
        {follow<MomentumRmsprop, float>, follow<MomentumRmsprop, double>},
        {follow<FullRmsprop, float>, follow<FullRmsprop, double>},
        {follow<Rprop, float>, follow<Rprop, double>},
    },
};

}  // namespace RL_ISA
}  // namespace rl
