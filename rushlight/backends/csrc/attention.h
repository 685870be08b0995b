// attention.h: softmax(scale q kT + mask) v and its derivative, without the matrix of weights.
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// (batch, heads, length, width) with any strides but 1 along the width. Strides count elements.
struct HeadsView {
    float* data;
    int64_t batch, head, row;

    float* at(int64_t b, int64_t h) const { return data + b * batch + h * head; }
};

// (batch, heads, L, S) with any strides, 0 where it repeats: added to the scores, or bytes that say
// which are allowed. Both null: no mask.
struct AttentionMask {
    const float* added;
    const uint8_t* allowed;
    int64_t batch, head, row, column;
};

struct AttentionCall {
    int64_t B, H, L, S, E, Ev;
    HeadsView q, k, v, out;
    AttentionMask mask;
    bool causal;  // row i sees columns up to i
    float scale;
    float* lse;  // (B, H, L): the logarithm of each row's sum; +inf for a row that sees nothing
    // kept_weights() numbers, for each block of queries a row for each key; null: not kept
    float* weights;

    int64_t kept_queries() const { return (L + kMostLanes - 1) / kMostLanes * kMostLanes; }
    int64_t kept_weights() const { return B * H * kept_queries() * S; }

    static constexpr int64_t kMostLanes = 16;
};
// They are kept if all keys are one block, and if they are likely to stay in the cache.
constexpr int64_t kMostKeptKeys = 256, kMostKeptWeights = 1 << 20;

struct AttentionGradCall {
    AttentionCall forward;  // out and lse are inputs here
    HeadsView grad;         // of out
    HeadsView dq, dk, dv;
};

struct AttentionKernels {
    void (*forward)(const AttentionCall&);
    void (*backward)(const AttentionGradCall&);
};

}  // namespace rl

RL_DECLARE_KERNELS(AttentionKernels, attention_kernels)
