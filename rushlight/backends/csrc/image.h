// image.h: pixels to numbers, normalisation per channel, table rows (see image.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

struct ImageKernels {
    // (pixels, channels) uint8 to (channels, pixels) float32, divided by 255
    void (*to_float)(float* out, const uint8_t* x, int64_t pixels, int64_t channels);
    // (x - mean[c]) / std[c] over (images, channels, pixels)
    void (*normalize)(float* out, const float* x, const float* mean, const float* std,
                      int64_t images, int64_t channels, int64_t pixels);
    // count blocks of `bytes` bytes, from anywhere to side by side
    void (*gather)(char* out, const char* const* blocks, int64_t count, int64_t bytes);
    // rows of a table by number; false if a number names no row
    bool (*take_rows)(char* out, const char* table, int64_t rows, int64_t row_bytes,
                      const int64_t* indices, int64_t count);
    // out[r][c] = x[c][r] for elements of 1, 2, 4, 8 or 16 bytes (strides in bytes)
    void (*transpose)(char* out, const char* x, int64_t rows, int64_t columns, int64_t out_row,
                      int64_t x_column, int64_t item);
    // n such elements from every x_step bytes to every out_step bytes
    void (*spread)(char* out, const char* x, int64_t n, int64_t out_step, int64_t x_step,
                   int64_t item);
};

}  // namespace rl

RL_DECLARE_KERNELS(ImageKernels, image_kernels)
