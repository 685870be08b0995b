// norm_channels.h: batch norm of (batch, channels, inner).
//
// With inner > 1 a channel is a plane per image, contiguous, and the channels are shared out to
// threads. With inner == 1, which is (batch, channels) and every image whose channels lie side by
// side (their pixels count as batch), the channels are columns of a matrix (norm_columns.h).
#pragma once

#include "norm.h"
#include "norm_columns.h"

namespace rl {
namespace RL_ISA {
namespace {

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

// out = x * scale + shift
template <class T>
RL_INLINE void set_scale(const ChannelNorm<T>& call, int64_t c, T* scale, T* shift) {
    *scale = call.weight ? call.invstd[c] * call.weight[c] : call.invstd[c];
    *shift = (call.bias ? call.bias[c] : T(0)) - call.mean[c] * *scale;
}

// dx = g * scale + (x - mean) * slope + shift, from the sums of g and of g * (x - mean), and the
// parameters' gradients.
template <class T>
RL_INLINE void set_slope(const ChannelNorm<T>& call, int64_t c, double sum, double dot, T* scale,
                         T* slope, T* shift) {
    const double count = double(call.batch) * double(call.inner), invstd = double(call.invstd[c]);
    const double weight = call.weight ? double(call.weight[c]) : 1.0;
    if (call.dweight) call.dweight[c] = T(dot * invstd);
    if (call.dbias) call.dbias[c] = T(sum);
    *scale = T(invstd * weight);
    *slope = call.training ? T(-weight * invstd * invstd * invstd * dot / count) : T(0);
    *shift = call.training ? T(-invstd * weight * sum / count) : T(0);
}

// ------------------------------------------------------------------ channels are planes
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

// out[i] = value(i, m) for a plane of the result, streamed when all of the result is large.
template <class T, class Value>
RL_INLINE void write_plane(const ChannelNorm<T>& call, T* out, const Value& value) {
    const int64_t size = call.batch * call.channels * call.inner * int64_t(sizeof(T));
    if (call.inner % kW<T> == 0 && is_aligned(out) && outgrows_cache(size)) {
        for (int64_t i = 0; i < call.inner; i += kW<T>) stream(out + i, value(i, kW<T>));
        end_stream();
        return;
    }
    for_vectors<T>(call.inner, [&](int64_t i, int m) RL_LAMBDA_INLINE {
        store(out + i, value(i, m), m);
    });
}

template <class T>
void plane_forward(const ChannelNorm<T>& call, int64_t c) {
    if (call.training)
        batch_statistics(call, c);
    else
        use_running(call, c);
    T scale, shift;
    set_scale(call, c, &scale, &shift);
    for (int64_t b = 0; b < call.batch; b++) {
        const int64_t at = (b * call.channels + c) * call.inner;
        const T* x = call.x + at;
        write_plane(call, call.out + at, [=](int64_t i, int m) RL_LAMBDA_INLINE {
            return load(x + i, m) * scale + shift;
        });
    }
}

template <class T>
void plane_backward(const ChannelNorm<T>& call, int64_t c) {
    const T mean = call.mean[c];
    double sum = 0, dot = 0;
    for (int64_t b = 0; b < call.batch; b++) {
        const int64_t at = (b * call.channels + c) * call.inner;
        sum += sum_of(call.grad + at, call.inner);
        dot += sum_of_products(call.grad + at, call.x + at, mean, call.inner);
    }
    T scale, slope, shift;
    set_slope(call, c, sum, dot, &scale, &slope, &shift);
    if (!call.out) return;
    for (int64_t b = 0; b < call.batch; b++) {
        const int64_t at = (b * call.channels + c) * call.inner;
        const T *g = call.grad + at, *x = call.x + at;
        write_plane(call, call.out + at, [=](int64_t i, int m) RL_LAMBDA_INLINE {
            return load(g + i, m) * scale + ((load(x + i, m) - mean) * slope + shift);
        });
    }
}

// ------------------------------------------------------------------ channels are columns
template <class T>
void column_statistics(const ChannelNorm<T>& call) {
    const int64_t channels = call.channels;
    Scratch totals(size_t(2 * channels) * sizeof(double));
    double *sum = totals.as<double>(), *squares = sum + channels;
    column_moments(sum, squares, call.x, call.batch, channels);
    const double count = double(call.batch);
    for (int64_t c = 0; c < channels; c++) {
        const double mean = sum[c] / count, var = squares[c] / count;
        call.mean[c] = T(mean);
        call.invstd[c] = T(inverse_root(var + call.eps));
        move_running(call, c, mean, var, count);
    }
}

template <class T>
void columns_forward(const ChannelNorm<T>& call) {
    const int64_t channels = call.channels;
    if (call.training) {
        column_statistics(call);
    } else {
        for (int64_t c = 0; c < channels; c++) use_running(call, c);
    }
    Scratch work(size_t(2 * channels) * sizeof(T));
    const ColumnScale<T> by = {work.as<T>(), work.as<T>() + channels};
    for (int64_t c = 0; c < channels; c++) set_scale(call, c, &by.scale[c], &by.shift[c]);
    scale_rows(call.out, call.x, by, call.batch, channels, call.batch * channels);
}

template <class T>
void columns_backward(const ChannelNorm<T>& call) {
    const int64_t channels = call.channels;
    Scratch totals(size_t(2 * channels) * sizeof(double)), work(size_t(3 * channels) * sizeof(T));
    double *sum = totals.as<double>(), *dot = sum + channels;
    T* memory = work.as<T>();
    const ColumnGrad<T> by = {memory, call.mean, memory + channels, memory + 2 * channels};
    sum_grads(sum, call.grad, call.x, call.mean, call.batch, channels);
    for (int64_t c = 0; c < channels; c++)
        set_slope(call, c, sum[c], dot[c], &by.scale[c], &by.slope[c], &by.shift[c]);
    if (call.out)
        grad_rows(call.out, call.grad, call.x, by, call.batch, channels, call.batch * channels);
}

// ------------------------------------------------------------------ either
template <class T, void one(const ChannelNorm<T>&, int64_t)>
void for_planes(const ChannelNorm<T>& call) {
    const int64_t work = call.batch * call.inner;
    parallel_for(call.channels, 1 + kGrain / (work + 1), [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; c++) one(call, c);
    });
}
template <class T>
void channels_forward(const ChannelNorm<T>& call) {
    if (call.inner == 1)
        columns_forward(call);
    else
        for_planes<T, plane_forward<T>>(call);
}
template <class T>
void channels_backward(const ChannelNorm<T>& call) {
    if (call.inner == 1)
        columns_backward(call);
    else
        for_planes<T, plane_backward<T>>(call);
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
