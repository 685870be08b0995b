// norm.h: batch, layer, group and RMS normalisation (see norm.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// Channel normalisation of x (batch, channels, inner): statistics over batch and inner. Images
// whose channels lie side by side are a batch of pixels with inner == 1.
template <class T>
struct ChannelNorm {
    const T *x, *grad;
    const T *weight, *bias;  // per channel, or null
    T *out, *mean, *invstd;
    T *dweight, *dbias;      // null when not wanted
    T *running_mean, *running_var;  // null when there are none
    int64_t batch, channels, inner;
    double momentum, eps;
    bool training;
};

// Row normalisation of x (rows, length). Row r belongs to channels first(r) ... of `channels` when
// `inner` > 0 (group norm: a row is channels/groups channels of `inner` elements); else the
// parameters run along the row.
template <class T>
struct RowNorm {
    const T *x, *grad;
    const T *weight, *bias;
    T *out, *mean, *rstd;    // mean is null for RMS normalisation
    T *dweight, *dbias;
    int64_t rows, length;
    int64_t groups, inner;   // inner == 0: layer or RMS normalisation
    bool channels_last;      // group norm of x (rows / groups, inner, channels)
    double eps;
};

template <class T>
struct NormFunctions {
    void (*channels_forward)(const ChannelNorm<T>& call);
    void (*channels_backward)(const ChannelNorm<T>& call);
    void (*rows_forward)(const RowNorm<T>& call);
    void (*rows_backward)(const RowNorm<T>& call);
};
struct NormKernels {
    NormFunctions<float> f32;
    NormFunctions<double> f64;
};

}  // namespace rl

RL_DECLARE_KERNELS(NormKernels, norm_kernels)
