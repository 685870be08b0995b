// random.h: PyTorch's CPU random stream (see random.cpp; the definitions are in reference/random.py).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// A Mersenne twister whose words belong to the caller.
struct Twister {
    uint32_t* key;     // 624 words
    int64_t position;  // of the next word; 624 means that the words are used up
};

struct RandomKernels {
    void (*seed)(uint32_t* key, uint32_t seed);
    void (*draws)(Twister* twister, uint32_t* out, int64_t n);
    void (*uniform_f32)(Twister* twister, float* out, int64_t n);
    void (*uniform_f64)(Twister* twister, double* out, int64_t n);
    void (*bernoulli_f32)(Twister* twister, float* out, double p, int64_t n);
    void (*bernoulli_bool)(Twister* twister, bool* out, double p, int64_t n);
    void (*integers)(Twister* twister, int64_t* out, int64_t low, uint64_t span, int64_t n);
    void (*permutation)(Twister* twister, int64_t* out, int64_t n);
    // Any n: one pair of uniforms to two normals, of which the second may be kept for the next call.
    void (*normal_pairs)(Twister* twister, double* out, double mean, double std, int64_t n,
                         double* kept, bool* has_kept);
    // n >= 16: in blocks
    void (*normal_f32)(Twister* twister, float* out, float mean, float std, int64_t n);
    void (*normal_f64)(Twister* twister, double* out, double mean, double std, int64_t n);
};

}  // namespace rl

RL_DECLARE_KERNELS(RandomKernels, random_kernels)
