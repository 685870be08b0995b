// recurrent_gates.h: what a cell does with its gates, one row (one sequence at one step) at a time.
//
// Each function passes once over the H hidden units, a vector at a time. The forward ones replace
// the gates' sums by their values, which are all that the backward ones need besides the states.
// A null state counts as zeros.
//
// Sigmoid and tanh are most of a small cell's time, so single precision has its own: sigmoid from
// short_exp.h, tanh from 2^t - 1 = 2^n q + (2^n - 1), with n the integer nearest to t and
// q = 2^r - 1 from a polynomial without constant term, which keeps small results exact to 2 units.
// The backward pass needs tanh(c) again and takes it as h / o.
#pragma once

#include "short_exp.h"

namespace rl {
namespace RL_ISA {
namespace {

// Access to whole vectors, and to the first n lanes at the end of a row.
struct WholeVector {
    template <class T>
    RL_INLINE Vec<T> load(const T* p) const {
        return ld(p);
    }
    template <class T>
    RL_INLINE void store(T* p, Vec<T> v) const {
        st(p, v);
    }
};
struct PartVector {
    int n;
    template <class T>
    RL_INLINE Vec<T> load(const T* p) const {
        return ldn(p, n);
    }
    template <class T>
    RL_INLINE void store(T* p, Vec<T> v) const {
        stn(p, v, n);
    }
};

// Calls body(j, access) for each vector of a row of H numbers.
template <class T, class Body>
RL_INLINE void for_each_vector(int64_t H, const Body& body) {
    int64_t j = 0;
    for (; j + kW<T> <= H; j += kW<T>) body(j, WholeVector{});
    if (j < H) body(j, PartVector{int(H - j)});
}

template <class T, class Access>
RL_INLINE Vec<T> load_or_zero(Access at, const T* p, int64_t j) {
    return p != nullptr ? at.load(p + j) : Vec<T>{};
}

// ------------------------------------------------------------------ sigmoid, tanh
// (2^r - 1) / r for |r| <= 1/2, with the least error of its own: 1e-8.
constexpr float kTanhPoly[] = {0.693147182f,   0.240226492f,    0.0555035733f,
                               0.00961823761f, 0.00133907353f, 0.000154035122f};

RL_INLINE f32v gate_sigmoid(f32v x) { return 1 / (1 + short_exp(-x)); }
// With e = exp(2x) - 1: e / (e + 2), which is 1 in float from t = 26 on.
RL_INLINE f32v gate_tanh(f32v x) {
    const f32v t = clip(x * 2.88539008f, -30.0f, 30.0f);
    const f32v n = vround(t), r = t - n;
    const f32v power = power_of_two(n);
    const f32v e = r * horner(r, kTanhPoly) * power + (power - 1);
    return e / (e + 2);
}
RL_INLINE f64v gate_sigmoid(f64v x) { return vsigmoid(x); }
RL_INLINE f64v gate_tanh(f64v x) { return vtanh(x); }

// ------------------------------------------------------------------ tanh, relu
template <class T>
void tanh_row(T* h, int64_t H) {
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        at.store(h + j, vtanh(at.load(h + j)));
    });
}
template <class T>
void relu_row(T* h, int64_t H) {
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        at.store(h + j, vmax(at.load(h + j), Vec<T>{}));
    });
}

// The gradient of the sum under h = tanh(sum), or relu(sum), whose slope at 0 is 0.
template <class T>
void tanh_grad_row(T* dsum, const T* h, const T* dh, const T* grad_out, int64_t H) {
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        const Vec<T> y = at.load(h + j);
        const Vec<T> d = at.load(dh + j) + load_or_zero(at, grad_out, j);
        at.store(dsum + j, d * (1 - y * y));
    });
}
template <class T>
void relu_grad_row(T* dsum, const T* h, const T* dh, const T* grad_out, int64_t H) {
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        const Vec<T> d = at.load(dh + j) + load_or_zero(at, grad_out, j);
        at.store(dsum + j, select(at.load(h + j) > Vec<T>{}, d, Vec<T>{}));
    });
}

// ------------------------------------------------------------------ lstm
// gates: the sums of i, f, g, o. c = sigmoid(f) c_before + sigmoid(i) tanh(g), and in a second pass
// h = sigmoid(o) tanh(c): the chain from the sums to h is longer than the processor looks ahead.
template <class T>
void lstm_row(T* gates, const T* c_before, T* c, T* h, int64_t H) {
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        const Vec<T> i = gate_sigmoid(at.load(gates + j));
        const Vec<T> f = gate_sigmoid(at.load(gates + H + j));
        const Vec<T> g = gate_tanh(at.load(gates + 2 * H + j));
        const Vec<T> o = gate_sigmoid(at.load(gates + 3 * H + j));
        const Vec<T> cell = f * load_or_zero(at, c_before, j) + i * g;
        at.store(gates + j, i);
        at.store(gates + H + j, f);
        at.store(gates + 2 * H + j, g);
        at.store(gates + 3 * H + j, o);
        at.store(c + j, cell);
    });
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        at.store(h + j, at.load(gates + 3 * H + j) * gate_tanh(at.load(c + j)));
    });
}

// dsums: the gradients of the four sums. dc comes as the gradient of c and leaves as that of
// c_before.
template <class T>
void lstm_grad_row(T* dsums, const T* gates, const T* h, const T* c_before, const T* dh,
                   const T* grad_out, T* dc, int64_t H) {
    // Where o underflows h does, too, and what the quotient would be no longer matters.
    constexpr T least = sizeof(T) == 4 ? T(1.17549435e-38) : T(2.2250738585072014e-308);
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        const Vec<T> i = at.load(gates + j), f = at.load(gates + H + j);
        const Vec<T> g = at.load(gates + 2 * H + j), o = at.load(gates + 3 * H + j);
        const Vec<T> t = at.load(h + j) / vmax(o, splat(least));
        const Vec<T> d = at.load(dh + j) + load_or_zero(at, grad_out, j);
        const Vec<T> dcell = at.load(dc + j) + d * o * (1 - t * t);
        at.store(dsums + j, dcell * g * i * (1 - i));
        at.store(dsums + H + j, dcell * load_or_zero(at, c_before, j) * f * (1 - f));
        at.store(dsums + 2 * H + j, dcell * i * (1 - g * g));
        at.store(dsums + 3 * H + j, d * t * o * (1 - o));
        at.store(dc + j, dcell * f);
    });
}

// ------------------------------------------------------------------ gru
// gates: the input's part of r, z, n; hidden: the state's part of them. With r and z the sigmoids
// of their sums, n = tanh(n_input + r n_hidden) and h = n + z (h_before - n).
template <class T>
void gru_row(T* gates, const T* hidden, const T* h_before, T* n_hidden, T* h, int64_t H) {
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        const Vec<T> r = gate_sigmoid(at.load(gates + j) + at.load(hidden + j));
        const Vec<T> z = gate_sigmoid(at.load(gates + H + j) + at.load(hidden + H + j));
        const Vec<T> part = at.load(hidden + 2 * H + j);
        const Vec<T> n = gate_tanh(at.load(gates + 2 * H + j) + r * part);
        at.store(gates + j, r);
        at.store(gates + H + j, z);
        at.store(gates + 2 * H + j, n);
        at.store(n_hidden + j, part);
        at.store(h + j, n + z * (load_or_zero(at, h_before, j) - n));
    });
}

// dsums and dhidden: gradients of the input's and of the state's part; they differ in n by the
// factor r. dh comes as the gradient of h and leaves as what of it reaches h_before directly.
template <class T>
void gru_grad_row(T* dsums, T* dhidden, const T* gates, const T* n_hidden, const T* h_before,
                  T* dh, const T* grad_out, int64_t H) {
    for_each_vector<T>(H, [&](int64_t j, auto at) RL_LAMBDA_INLINE {
        const Vec<T> r = at.load(gates + j), z = at.load(gates + H + j);
        const Vec<T> n = at.load(gates + 2 * H + j);
        const Vec<T> d = at.load(dh + j) + load_or_zero(at, grad_out, j);
        const Vec<T> dz = d * (load_or_zero(at, h_before, j) - n) * z * (1 - z);
        const Vec<T> dn = d * (1 - z) * (1 - n * n);
        const Vec<T> dr = dn * at.load(n_hidden + j) * r * (1 - r);
        at.store(dsums + j, dr);
        at.store(dsums + H + j, dz);
        at.store(dsums + 2 * H + j, dn);
        at.store(dhidden + j, dr);
        at.store(dhidden + H + j, dz);
        at.store(dhidden + 2 * H + j, dn * r);
        at.store(dh + j, d * z);
    });
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
