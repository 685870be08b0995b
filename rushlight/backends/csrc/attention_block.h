// attention_block.h: a block of queries and keys, and how its products are scaled.
#pragma once

#include "attention.h"
#include "attention_rows.h"

namespace rl {
namespace RL_ISA {
namespace {

// Rows [begin, end) of the queries, rows [first, first + count) of the keys.
struct Block {
    int64_t b, h;
    int64_t begin, end;
    int64_t first, count;

    int64_t rows() const { return end - begin; }
    int64_t lanes() const { return ceil_div(rows(), kW<float>) * kW<float>; }
};

// Keys that the queries before `end` may see.
int64_t visible(const AttentionCall& call, int64_t end) {
    return call.causal ? min64(call.S, end) : call.S;
}

// What a product of query and key is multiplied by: before it becomes a score, and after, to become
// an exponent of two. What is added to scores, and a largest score, need the scale first.
struct Scaling {
    float products, exponents;
};
Scaling scaling_of(const AttentionCall& call) {
    if (call.scale > 0.0f && call.mask.added == nullptr) return {1.0f, call.scale * kLog2E};
    return {call.scale, kLog2E};
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
