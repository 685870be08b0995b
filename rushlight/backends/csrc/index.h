// index.h: moving and adding elements that int64 numbers name (see index.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// One run of a walk over (values, numbers, x): neighbours lie these many bytes apart. The number at
// a place, counted from the end when it is negative, chooses among `axis_size` elements of x that
// lie `axis_stride` bytes apart.
struct IndexRun {
    int64_t value_step, index_step, x_step;
    int64_t axis_stride, axis_size;
    int64_t next_x;  // how far on the next run's x lies
    bool is_checked;  // all numbers are known to lie in [0, axis_size)
};

struct IndexKernels {
    bool (*within)(const int64_t* indices, int64_t n, int64_t low, int64_t high);
    // values[i] = x[number i]; `item` is the size of an element: 1, 2, 4, 8 or 16
    void (*take)(char* values, const char* indices, const char* x, int64_t n, const IndexRun& run,
                 int64_t item);
    // x[number i] = values[i]
    void (*put)(const char* values, const char* indices, char* x, int64_t n, const IndexRun& run,
                int64_t item);
    // x[number i] += values[i]
    void (*add_f32)(const char* values, const char* indices, char* x, int64_t n,
                    const IndexRun& run);
    void (*add_f64)(const char* values, const char* indices, char* x, int64_t n,
                    const IndexRun& run);
    void (*add_i64)(const char* values, const char* indices, char* x, int64_t n,
                    const IndexRun& run);
    // how many bytes of a mask, 0 or 1 each, are 1
    int64_t (*count)(const uint8_t* mask, int64_t n);
    // start + i for the first `count` places i where the mask holds
    void (*positions)(int64_t* out, const uint8_t* mask, int64_t count, int64_t start);
    // x[i] there; `item` is the size of an element: 1, 2, 4, 8 or 16
    void (*compress)(char* out, const char* x, const uint8_t* mask, int64_t count, int64_t item);
    // out[to[i]] += scale[i] * table[from[i]] over rows of `width`; scale may be null (all ones);
    // out has `count` rows and starts as zeros.
    void (*add_rows_f32)(float* out, const float* table, const int64_t* from, const int64_t* to,
                         const float* scale, int64_t n, int64_t count, int64_t width);
    void (*add_rows_f64)(double* out, const double* table, const int64_t* from, const int64_t* to,
                         const double* scale, int64_t n, int64_t count, int64_t width);
};

}  // namespace rl

RL_DECLARE_KERNELS(IndexKernels, index_kernels)
