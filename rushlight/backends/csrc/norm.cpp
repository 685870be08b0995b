// Normalisation.
//
// Statistics take two passes, the mean and then the squared distances from it: one pass with sums of
// squares would lose the variance of data far from zero. Partial sums run over vectors and are added
// up in double precision block by block. The output is one fused multiply-add per element, x * a + b,
// with a = invstd * weight and b = bias - mean * a.
//
// Channel normalisation with inner == 1, (batch, channels), has neighbouring elements in different channels:
// there every lane of a vector is a channel of its own.
#include "norm.h"

#include "allocator.h"
#include "lanes.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlock = 1024;
constexpr int64_t kGrain = 1 << 16;

// sum of f(i) over a contiguous run, where f gives the vector of elements i ... i+m-1
template <class T, class F>
RL_INLINE double sum_run(int64_t n, const F& f) {
    constexpr int W = kW<T>;
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
        const int64_t end = begin + kBlock < n ? begin + kBlock : n;
        Vec<T> a = {}, b = {}, c = {}, d = {};
        int64_t i = begin;
        for (; i + 4 * W <= end; i += 4 * W) {
            a += f(i, W);
            b += f(i + W, W);
            c += f(i + 2 * W, W);
            d += f(i + 3 * W, W);
        }
        for (; i < end; i += W) a += f(i, int(end - i < W ? end - i : W));
        total += hsum((a + b) + (c + d));
    }
    return total;
}
template <class T>
double sum_of(const T* x, int64_t n) {
    return sum_run<T>(n, [&](int64_t i, int m) { return load(x + i, m); });
}
template <class T>
double sum_of_squares(const T* x, T mean, int64_t n) {
    return sum_run<T>(n, [&](int64_t i, int m) {
        const Vec<T> d = keep_lanes<T>(load(x + i, m) - mean, m, T(0));
        return d * d;
    });
}
template <class T>
double sum_of_products(const T* g, const T* x, T mean, int64_t n) {
    return sum_run<T>(n,
                      [&](int64_t i, int m) { return load(g + i, m) * (load(x + i, m) - mean); });
}

inline double inverse_root(double x) { return 1 / __builtin_sqrt(x); }

// ------------------------------------------------------------------ channels, inner > 1
template <class T>
void move_running(const ChannelNorm<T>& call, int64_t c, double mean, double var, double count) {
    if (call.running_mean)
        call.running_mean[c] = T((1 - call.momentum) * call.running_mean[c] + call.momentum * mean);
    if (call.running_var) {
        const double unbiased = var * (count / (count > 1 ? count - 1 : 1));
        call.running_var[c] =
            T((1 - call.momentum) * call.running_var[c] + call.momentum * unbiased);
    }
}

template <class T>
void use_running(const ChannelNorm<T>& call, int64_t c) {
    call.mean[c] = call.running_mean[c];
    call.invstd[c] = T(inverse_root(double(call.running_var[c]) + call.eps));
}

template <class T>
void batch_statistics(const ChannelNorm<T>& call, int64_t c) {
    const int64_t stride = call.channels * call.inner;
    const T* x = call.x + c * call.inner;
    const double count = double(call.batch) * double(call.inner);
    double sum = 0, squares = 0;
    for (int64_t b = 0; b < call.batch; b++) sum += sum_of(x + b * stride, call.inner);
    const T mean = T(sum / count);
    for (int64_t b = 0; b < call.batch; b++)
        squares += sum_of_squares(x + b * stride, mean, call.inner);
    call.mean[c] = mean;
    call.invstd[c] = T(inverse_root(squares / count + call.eps));
    move_running(call, c, sum / count, squares / count, count);
}

template <class T>
void channel_forward(const ChannelNorm<T>& call, int64_t c) {
    if (call.training)
        batch_statistics(call, c);
    else
        use_running(call, c);
    const T scale = call.weight ? call.invstd[c] * call.weight[c] : call.invstd[c];
    const T shift = (call.bias ? call.bias[c] : T(0)) - call.mean[c] * scale;
    for (int64_t b = 0; b < call.batch; b++) {
        const int64_t at = (b * call.channels + c) * call.inner;
        const T* x = call.x + at;
        T* out = call.out + at;
        for (int64_t i = 0; i < call.inner; i++) out[i] = x[i] * scale + shift;
    }
}

template <class T>
void channel_backward(const ChannelNorm<T>& call, int64_t c) {
    const T mean = call.mean[c], invstd = call.invstd[c];
    double sum = 0, dot = 0;
    for (int64_t b = 0; b < call.batch; b++) {
        const int64_t at = (b * call.channels + c) * call.inner;
        sum += sum_of(call.grad + at, call.inner);
        dot += sum_of_products(call.grad + at, call.x + at, mean, call.inner);
    }
    if (call.dweight) call.dweight[c] = T(dot * invstd);
    if (call.dbias) call.dbias[c] = T(sum);
    if (!call.out) return;
    // dx = g * a + (x - mean) * b + shift
    const double count = double(call.batch) * double(call.inner);
    const double weight = call.weight ? double(call.weight[c]) : 1.0;
    const T a = T(invstd * weight);
    const T slope =
        call.training ? T(-weight * invstd * invstd * invstd * dot / count) : T(0);
    const T shift = call.training ? T(-invstd * weight * sum / count) : T(0);
    for (int64_t b = 0; b < call.batch; b++) {
        const int64_t at = (b * call.channels + c) * call.inner;
        const T *g = call.grad + at, *x = call.x + at;
        T* out = call.out + at;
        for (int64_t i = 0; i < call.inner; i++)
            out[i] = g[i] * a + ((x[i] - mean) * slope + shift);
    }
}

// ------------------------------------------------------------------ channels, inner == 1
// The same for up to `width` neighbouring channels at once; rows are `channels` apart.
constexpr int kStrip = 64;

template <class T>
void strip_statistics(const ChannelNorm<T>& call, int64_t first, int width) {
    double sum[kStrip] = {}, squares[kStrip] = {};
    const T* x = call.x + first;
    for (int64_t b = 0; b < call.batch; b++)
        for (int i = 0; i < width; i++) sum[i] += x[b * call.channels + i];
    for (int i = 0; i < width; i++) sum[i] /= double(call.batch);
    for (int64_t b = 0; b < call.batch; b++) {
        for (int i = 0; i < width; i++) {
            const double d = x[b * call.channels + i] - sum[i];
            squares[i] += d * d;
        }
    }
    for (int i = 0; i < width; i++) {
        const double var = squares[i] / double(call.batch);
        call.mean[first + i] = T(sum[i]);
        call.invstd[first + i] = T(inverse_root(var + call.eps));
        move_running(call, first + i, sum[i], var, double(call.batch));
    }
}

template <class T>
void strip_forward(const ChannelNorm<T>& call, int64_t first, int width) {
    T scale[kStrip], shift[kStrip];
    if (call.training) {
        strip_statistics(call, first, width);
    } else {
        for (int i = 0; i < width; i++) use_running(call, first + i);
    }
    for (int i = 0; i < width; i++) {
        const int64_t c = first + i;
        scale[i] = call.weight ? call.invstd[c] * call.weight[c] : call.invstd[c];
        shift[i] = (call.bias ? call.bias[c] : T(0)) - call.mean[c] * scale[i];
    }
    for (int64_t b = 0; b < call.batch; b++) {
        const T* x = call.x + b * call.channels + first;
        T* out = call.out + b * call.channels + first;
        for (int i = 0; i < width; i++) out[i] = x[i] * scale[i] + shift[i];
    }
}

template <class T>
void strip_backward(const ChannelNorm<T>& call, int64_t first, int width) {
    double sum[kStrip] = {}, dot[kStrip] = {};
    const T* mean = call.mean + first;
    for (int64_t b = 0; b < call.batch; b++) {
        const T* g = call.grad + b * call.channels + first;
        const T* x = call.x + b * call.channels + first;
        for (int i = 0; i < width; i++) {
            sum[i] += g[i];
            dot[i] += double(g[i]) * (x[i] - mean[i]);
        }
    }
    T a[kStrip], slope[kStrip], shift[kStrip];
    for (int i = 0; i < width; i++) {
        const int64_t c = first + i;
        const double invstd = call.invstd[c], weight = call.weight ? double(call.weight[c]) : 1.0;
        if (call.dweight) call.dweight[c] = T(dot[i] * invstd);
        if (call.dbias) call.dbias[c] = T(sum[i]);
        a[i] = T(invstd * weight);
        const double count = double(call.batch);
        slope[i] = call.training ? T(-weight * invstd * invstd * invstd * dot[i] / count) : T(0);
        shift[i] = call.training ? T(-invstd * weight * sum[i] / count) : T(0);
    }
    if (!call.out) return;
    for (int64_t b = 0; b < call.batch; b++) {
        const T* g = call.grad + b * call.channels + first;
        const T* x = call.x + b * call.channels + first;
        T* out = call.out + b * call.channels + first;
        for (int i = 0; i < width; i++)
            out[i] = g[i] * a[i] + ((x[i] - mean[i]) * slope[i] + shift[i]);
    }
}

template <class T, void one(const ChannelNorm<T>&, int64_t),
          void strip(const ChannelNorm<T>&, int64_t, int)>
void for_channels(const ChannelNorm<T>& call) {
    const int64_t work = call.batch * call.inner;
    if (call.inner == 1) {
        const int64_t strips = (call.channels + kStrip - 1) / kStrip;
        parallel_for(strips, 1 + kGrain / (work * kStrip + 1), [&](int64_t begin, int64_t end) {
            for (int64_t s = begin; s < end; s++) {
                const int64_t left = call.channels - s * kStrip;
                strip(call, s * kStrip, int(left < kStrip ? left : kStrip));
            }
        });
        return;
    }
    parallel_for(call.channels, 1 + kGrain / (work + 1), [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; c++) one(call, c);
    });
}
template <class T>
void channels_forward(const ChannelNorm<T>& call) {
    for_channels<T, channel_forward<T>, strip_forward<T>>(call);
}
template <class T>
void channels_backward(const ChannelNorm<T>& call) {
    for_channels<T, channel_backward<T>, strip_backward<T>>(call);
}

// ------------------------------------------------------------------ rows
// Calls run(begin, end, channel) for the parts of row r that share a parameter (group norm).
template <class T, class Run>
RL_INLINE void for_each_channel(const RowNorm<T>& call, int64_t r, const Run& run) {
    const int64_t per_group = call.length / call.inner;
    const int64_t first = r % call.groups * per_group;
    for (int64_t k = 0; k < per_group; k++) run(k * call.inner, (k + 1) * call.inner, first + k);
}

// (x - mean) * rstd * weight + bias for a row along which the parameters run. Left to the compiler, a
// loop that asks for either parameter inside keeps a scalar version for the case of none.
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

// Parameters that run along the row: column sums over all rows, one strip of columns at a time.
template <class T>
void row_parameter_grads(const RowNorm<T>& call, int64_t first, int width) {
    double dweight[kStrip] = {}, dbias[kStrip] = {};
    for (int64_t r = 0; r < call.rows; r++) {
        const T* g = call.grad + r * call.length + first;
        const T* x = call.x + r * call.length + first;
        const T mean = call.mean ? call.mean[r] : T(0), rstd = call.rstd[r];
        for (int i = 0; i < width; i++) {
            dbias[i] += g[i];
            dweight[i] += g[i] * ((x[i] - mean) * rstd);
        }
    }
    for (int i = 0; i < width; i++) {
        if (call.dweight) call.dweight[first + i] = T(dweight[i]);
        if (call.dbias) call.dbias[first + i] = T(dbias[i]);
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
    const int64_t strips = (call.length + kStrip - 1) / kStrip;
    parallel_for(strips, 1 + kGrain / (call.rows * kStrip + 1), [&](int64_t begin, int64_t end) {
        for (int64_t s = begin; s < end; s++) {
            const int64_t left = call.length - s * kStrip;
            row_parameter_grads(call, s * kStrip, int(left < kStrip ? left : kStrip));
        }
    });
}

}  // namespace

extern const NormKernels norm_kernels = {
    {channels_forward<float>, channels_backward<float>, rows_forward<float>, rows_backward<float>},
    {channels_forward<double>, channels_backward<double>, rows_forward<double>,
     rows_backward<double>},
};

}  // namespace RL_ISA
}  // namespace rl
