// Random numbers.
//
// The Mersenne twister (Matsumoto and Nishimura, 1998) renews 624 words at a time. Word i depends on the
// words i, i+1 and i+397, so both long loops of the renewal are free of near dependencies and the
// compiler vectorises them, as it does the tempering. Draws are made in batches that fit the first-level
// cache and turned into numbers from there.
//
// Single-precision normals follow Cephes' logarithm and sine/cosine (reduction by pi/4 in three parts),
// whose last bits decide whether a seed gives PyTorch's numbers exactly.
#include "random.h"

#include <math.h>
#include <string.h>

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int kWords = 624, kShift = 397;
constexpr int64_t kBatch = 1024;  // draws, a multiple of 16

// ------------------------------------------------------------------ the engine
RL_INLINE uint32_t twisted(uint32_t upper, uint32_t lower, uint32_t far) {
    const uint32_t mixed = (upper & 0x80000000u) | (lower & 0x7fffffffu);
    return far ^ (mixed >> 1) ^ ((0u - (lower & 1u)) & 0x9908b0dfu);
}

void renew(uint32_t* key) {
    int i = 0;
    for (; i < kWords - kShift; i++) key[i] = twisted(key[i], key[i + 1], key[i + kShift]);
    for (; i < kWords - 1; i++)
        key[i] = twisted(key[i], key[i + 1], key[i + kShift - kWords]);
    key[kWords - 1] = twisted(key[kWords - 1], key[0], key[kShift - 1]);
}

RL_INLINE uint32_t tempered(uint32_t y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

void draws(Twister* twister, uint32_t* out, int64_t n) {
    while (n > 0) {
        if (twister->position >= kWords) {
            renew(twister->key);
            twister->position = 0;
        }
        const int64_t left = kWords - twister->position, m = n < left ? n : left;
        const uint32_t* words = twister->key + twister->position;
        for (int64_t i = 0; i < m; i++) out[i] = tempered(words[i]);
        twister->position += m;
        out += m;
        n -= m;
    }
}

void seed(uint32_t* key, uint32_t word) {
    key[0] = word;
    for (uint32_t i = 1; i < kWords; i++) {
        word = 1812433253u * (word ^ (word >> 30)) + i;
        key[i] = word;
    }
}

// Calls take(numbers, begin, count) with batches of draws, `each` draws to an element.
template <class Take>
void in_batches(Twister* twister, int64_t n, int each, const Take& take) {
    uint32_t batch[kBatch];
    const int64_t most = kBatch / each;
    for (int64_t begin = 0; begin < n; begin += most) {
        const int64_t count = n - begin < most ? n - begin : most;
        draws(twister, batch, count * each);
        take(batch, begin, count);
    }
}

RL_INLINE float unit_float(uint32_t draw) { return float(int32_t(draw & 0xffffff)) * 0x1p-24f; }
RL_INLINE uint64_t wide(const uint32_t* draw) { return uint64_t(draw[0]) << 32 | draw[1]; }
RL_INLINE double unit_double(const uint32_t* draw) {
    return double(int64_t(wide(draw) & ((uint64_t(1) << 53) - 1))) * 0x1p-53;
}

// ------------------------------------------------------------------ uniform, bernoulli, integers
void uniform_f32(Twister* twister, float* out, int64_t n) {
    in_batches(twister, n, 1, [&](const uint32_t* draw, int64_t begin, int64_t count) {
        for (int64_t i = 0; i < count; i++) out[begin + i] = unit_float(draw[i]);
    });
}
void uniform_f64(Twister* twister, double* out, int64_t n) {
    in_batches(twister, n, 2, [&](const uint32_t* draw, int64_t begin, int64_t count) {
        for (int64_t i = 0; i < count; i++) out[begin + i] = unit_double(draw + 2 * i);
    });
}
template <class T>
void bernoulli(Twister* twister, T* out, double p, int64_t n) {
    in_batches(twister, n, 2, [&](const uint32_t* draw, int64_t begin, int64_t count) {
        for (int64_t i = 0; i < count; i++) out[begin + i] = T(unit_double(draw + 2 * i) < p);
    });
}
void integers(Twister* twister, int64_t* out, int64_t low, uint64_t span, int64_t n) {
    const bool two = span >= uint64_t(1) << 32;
    in_batches(twister, n, two ? 2 : 1, [&](const uint32_t* draw, int64_t begin, int64_t count) {
        for (int64_t i = 0; i < count; i++) {
            const uint64_t offset = two ? wide(draw + 2 * i) % span : draw[i] % uint32_t(span);
            out[begin + i] = int64_t(uint64_t(low) + offset);
        }
    });
}
void permutation(Twister* twister, int64_t* out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = i;
    in_batches(twister, n - 1, 1, [&](const uint32_t* draw, int64_t begin, int64_t count) {
        for (int64_t k = 0; k < count; k++) {
            const int64_t i = begin + k, j = i + int64_t(draw[k] % uint64_t(n - i));
            const int64_t swapped = out[i];
            out[i] = out[j];
            out[j] = swapped;
        }
    });
}

// ------------------------------------------------------------------ normal
constexpr int kBlock = 16, kHalf = 8;
constexpr double kPi = 3.14159265358979323846;

// log of a normal number in (0, 1].
RL_INLINE float log_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    float e = float(int32_t(bits >> 23) - 126);
    bits = (bits & 0x007fffffu) | 0x3f000000u;  // the mantissa in [1/2, 1)
    memcpy(&x, &bits, 4);
    const bool low = x < 0.707106781186547524f;
    e = low ? e - 1 : e;
    x = low ? x + x - 1 : x - 1;
    const float z = x * x;
    float y = 7.0376836292e-2f;
    y = y * x - 1.1514610310e-1f;
    y = y * x + 1.1676998740e-1f;
    y = y * x - 1.2420140846e-1f;
    y = y * x + 1.4249322787e-1f;
    y = y * x - 1.6668057665e-1f;
    y = y * x + 2.0000714765e-1f;
    y = y * x - 2.4999993993e-1f;
    y = y * x + 3.3333331174e-1f;
    y = y * x;
    y = y * z;
    y = y + e * -2.12194440e-4f;
    y = y - z * 0.5f;
    x = x + y;
    return x + e * 0.693359375f;
}

// Sine and cosine of an angle in [0, 2 pi].
RL_INLINE void sin_cos(float x, float* sine, float* cosine) {
    const int32_t octant = (int32_t(x * 1.27323954473516f) + 1) & ~1;
    const float k = float(octant);
    x = x + k * -0.78515625f;
    x = x + k * -2.4187564849853515625e-4f;
    x = x + k * -3.77489497744594108e-8f;
    const float z = x * x;
    float c = 2.443315711809948e-5f;
    c = c * z - 1.388731625493765e-3f;
    c = c * z + 4.166664568298827e-2f;
    c = c * z;
    c = c * z;
    c = c - z * 0.5f;
    c = c + 1.0f;
    float s = -1.9515295891e-4f;
    s = s * z + 8.3321608736e-3f;
    s = s * z - 1.6666654611e-1f;
    s = s * z;
    s = s * x;
    s = s + x;
    const bool swapped = (octant & 2) != 0;
    const float sine_size = swapped ? c : s, cosine_size = swapped ? s : c;
    *sine = (octant & 4) ? -sine_size : sine_size;
    *cosine = ((octant + 2) & 4) ? -cosine_size : cosine_size;
}

void normal_pairs(Twister* twister, double* out, double mean, double std, int64_t n, double* kept,
                  bool* has_kept) {
    for (int64_t i = 0; i < n; i++) {
        double number = *kept;
        if (!*has_kept) {
            double u[2];
            uniform_f64(twister, u, 2);
            const double radius = sqrt(-2.0 * log1p(-u[1])), angle = 2.0 * kPi * u[0];
            *kept = radius * sin(angle);
            number = radius * cos(angle);
        }
        *has_kept = !*has_kept;
        out[i] = number * std + mean;
    }
}

// Turns blocks of 16 uniforms into normals, in place.
void box_muller(float* x, int64_t blocks, float mean, float std) {
    for (int64_t b = 0; b < blocks; b++, x += kBlock) {
        float radius[kHalf], sine[kHalf], cosine[kHalf];
        for (int i = 0; i < kHalf; i++) radius[i] = sqrtf(-2.0f * log_of(1.0f - x[i]));
        for (int i = 0; i < kHalf; i++)
            sin_cos(6.28318530717958647692f * x[i + kHalf], &sine[i], &cosine[i]);
        for (int i = 0; i < kHalf; i++) {
            x[i] = radius[i] * cosine[i] * std + mean;
            x[i + kHalf] = radius[i] * sine[i] * std + mean;
        }
    }
}
void box_muller(double* x, int64_t blocks, double mean, double std) {
    for (int64_t b = 0; b < blocks; b++, x += kBlock) {
        for (int i = 0; i < kHalf; i++) {
            const double radius = sqrt(-2.0 * log(1.0 - x[i]));
            const double angle = 2.0 * kPi * x[i + kHalf];
            x[i] = radius * cos(angle) * std + mean;
            x[i + kHalf] = radius * sin(angle) * std + mean;
        }
    }
}

template <class T>
void normal(Twister* twister, void (*uniform)(Twister*, T*, int64_t), T* out, T mean, T std,
            int64_t n) {
    uniform(twister, out, n);
    box_muller(out, n / kBlock, mean, std);
    if (n % kBlock != 0) {
        T* last = out + n - kBlock;
        uniform(twister, last, kBlock);
        box_muller(last, 1, mean, std);
    }
}
void normal_f32(Twister* twister, float* out, float mean, float std, int64_t n) {
    normal<float>(twister, uniform_f32, out, mean, std, n);
}
void normal_f64(Twister* twister, double* out, double mean, double std, int64_t n) {
    normal<double>(twister, uniform_f64, out, mean, std, n);
}

}  // namespace

extern const RandomKernels random_kernels = {
    seed,      draws,       uniform_f32, uniform_f64, bernoulli<float>, bernoulli<bool>,
    integers,  permutation, normal_pairs, normal_f32, normal_f64,
};

}  // namespace RL_ISA
}  // namespace rl
