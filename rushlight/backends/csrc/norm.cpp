// Normalisation.
//
// Statistics take two passes, the mean and then the squared distances from it: one pass with sums
// of squares would lose the variance of data far from zero. Partial sums run over vectors and are
// added up in double precision block by block. The output is one fused multiply-add per element, x
// * a + b, with a = invstd * weight and b = bias - mean * a.
//
// Here are the norms along rows: layer, RMS and group norm. Batch norm is in norm_channels.h, group
// norm of images whose channels lie side by side in norm_groups.h, what runs down the columns of a
// matrix in norm_columns.h.
#include "norm.h"

#include "allocator.h"
#include "norm_channels.h"
#include "norm_groups.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// Calls run(begin, end, channel) for the parts of row r that share a parameter (group norm).
template <class T, class Run>
RL_INLINE void for_each_channel(const RowNorm<T>& call, int64_t r, const Run& run) {
    const int64_t per_group = call.length / call.inner;
    const int64_t first = r % call.groups * per_group;
    for (int64_t k = 0; k < per_group; k++) run(k * call.inner, (k + 1) * call.inner, first + k);
}

// (x - mean) * rstd * weight + bias for a row along which the parameters run. Left to the compiler,
// a loop that asks for either parameter inside keeps a scalar version for the case of none.
template <bool has_weight, bool has_bias, class T>
void normalise_row(const RowNorm<T>& call, T* out, const T* x, T mean, T rstd) {
    const T *weight = call.weight, *bias = call.bias;
    for_vectors<T>(call.length, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        Vec<T> y = (load(x + i, m) - mean) * rstd;
        if constexpr (has_weight) y *= load(weight + i, m);
        if constexpr (has_bias) y += load(bias + i, m);
        store(out + i, y, m);
    });
}

template <class T>
void row_forward(const RowNorm<T>& call, int64_t r) {
    const T* x = call.x + r * call.length;
    T* out = call.out + r * call.length;
    const double n = double(call.length);
    const T mean = call.mean ? T(sum_of(x, call.length) / n) : T(0);
    const T rstd = T(inverse_root(sum_of_squares(x, mean, call.length) / n + call.eps));
    if (call.mean) call.mean[r] = mean;
    call.rstd[r] = rstd;
    const T *weight = call.weight, *bias = call.bias;
    if (call.inner > 0) {
        for_each_channel(call, r, [&](int64_t begin, int64_t end, int64_t c) {
            const T scale = weight ? rstd * weight[c] : rstd;
            const T shift = (bias ? bias[c] : T(0)) - mean * scale;
            for (int64_t i = begin; i < end; i++) out[i] = x[i] * scale + shift;
        });
        return;
    }
    if (weight)
        (bias ? normalise_row<true, true, T> : normalise_row<true, false, T>)(call, out, x, mean,
                                                                             rstd);
    else
        (bias ? normalise_row<false, true, T> : normalise_row<false, false, T>)(call, out, x, mean,
                                                                               rstd);
}

template <class T>
void rows_forward(const RowNorm<T>& call) {
    if (call.channels_last) return groups_forward(call);
    parallel_for(call.rows, 1 + kGrain / (call.length + 1), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) row_forward(call, r);
    });
}

// dx = rstd (gw - mean(gw) - xhat mean(gw xhat)), gw = g * weight; RMS has no middle term.
template <class T>
void row_backward(const RowNorm<T>& call, int64_t r, T* RL_RESTRICT scaled) {
    const T* g = call.grad + r * call.length;
    const T* x = call.x + r * call.length;
    T* out = call.out + r * call.length;
    const T mean = call.mean ? call.mean[r] : T(0), rstd = call.rstd[r];
    if (call.weight && call.inner > 0) {
        for_each_channel(call, r, [&](int64_t begin, int64_t end, int64_t c) {
            for (int64_t i = begin; i < end; i++) scaled[i] = g[i] * call.weight[c];
        });
        g = scaled;
    } else if (call.weight) {
        for (int64_t i = 0; i < call.length; i++) scaled[i] = g[i] * call.weight[i];
        g = scaled;
    }
    const double n = double(call.length);
    const double dot = sum_of_products(g, x, mean, call.length);
    const T slope = T(-double(rstd) * rstd * rstd * dot / n);
    const T shift = call.mean ? T(-double(rstd) * sum_of(g, call.length) / n) : T(0);
    for (int64_t i = 0; i < call.length; i++)
        out[i] = g[i] * rstd + ((x[i] - mean) * slope + shift);
}

// Parameters that run along the row: sums down the columns of all rows.
template <class T>
void row_parameter_grads(const RowNorm<T>& call) {
    const int64_t length = call.length;
    Scratch totals(size_t(2 * length) * sizeof(double));
    double *sum = totals.as<double>(), *dot = sum + length;
    sum_columns<2, T>(sum, call.rows, length, [&](int64_t r, int64_t c, int m, Vec<T>* sums) {
        const int64_t at = r * length + c;
        const T mean = call.mean ? call.mean[r] : T(0);
        const Vec<T> grad = load(call.grad + at, m);
        sums[0] += grad;
        sums[1] += grad * ((load(call.x + at, m) - mean) * call.rstd[r]);
    });
    for (int64_t c = 0; c < length; c++) {
        if (call.dweight) call.dweight[c] = T(dot[c]);
        if (call.dbias) call.dbias[c] = T(sum[c]);
    }
}

// Parameters per channel of group norm.
template <class T>
void group_parameter_grads(const RowNorm<T>& call, int64_t c) {
    const int64_t per_group = call.length / call.inner;
    const int64_t group = c / per_group, begin = c % per_group * call.inner;
    double dweight = 0, dbias = 0;
    for (int64_t r = group; r < call.rows; r += call.groups) {
        const int64_t at = r * call.length + begin;
        dbias += sum_of(call.grad + at, call.inner);
        dweight +=
            call.rstd[r] * sum_of_products(call.grad + at, call.x + at, call.mean[r], call.inner);
    }
    if (call.dweight) call.dweight[c] = T(dweight);
    if (call.dbias) call.dbias[c] = T(dbias);
}

template <class T>
void rows_backward(const RowNorm<T>& call) {
    if (call.channels_last) return groups_backward(call);
    if (call.out) {
        parallel_for(call.rows, 1 + kGrain / (call.length + 1), [&](int64_t begin, int64_t end) {
            Scratch scaled(size_t(call.length) * sizeof(T));
            for (int64_t r = begin; r < end; r++) row_backward(call, r, scaled.as<T>());
        });
    }
    if (!call.dweight && !call.dbias) return;
    if (call.inner > 0) {
        const int64_t channels = call.groups * (call.length / call.inner);
        const int64_t work = call.rows / call.groups * call.inner;
        parallel_for(channels, 1 + kGrain / (work + 1), [&](int64_t begin, int64_t end) {
            for (int64_t c = begin; c < end; c++) group_parameter_grads(call, c);
        });
        return;
    }
    row_parameter_grads(call);
}

}  // namespace

extern const NormKernels norm_kernels = {
    {channels_forward<float>, channels_backward<float>, rows_forward<float>, rows_backward<float>},
    {channels_forward<double>, channels_backward<double>, rows_forward<double>,
     rows_backward<double>},
};

}  // namespace RL_ISA
}  // namespace rl
