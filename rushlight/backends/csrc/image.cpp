// Data movement: what happens to every sample before it reaches a network, and table rows.
//
// All of it is bound by memory, so the loops are plain; the compiler unrolls and vectorises the
// conversions. A transposing copy goes by tiles of 16 x 16 elements, such that both the lines that are
// read and those that are written stay in the first-level cache.
#include "image.h"

#include <string.h>

#include "parallel.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 1 << 16;       // elements
constexpr int64_t kGrainBytes = 1 << 18;  // bytes that are copied
constexpr int64_t kTile = 16;

template <int channels>
void split_planes(float* out, const uint8_t* x, int64_t pixels, int64_t plane) {
    for (int c = 0; c < channels; c++)
        for (int64_t i = 0; i < pixels; i++)
            out[c * plane + i] = float(x[i * channels + c]) / 255.0f;
}

void to_float(float* out, const uint8_t* x, int64_t pixels, int64_t channels) {
    parallel_for(pixels, kGrain, [&](int64_t begin, int64_t end) {
        const int64_t n = end - begin;
        const uint8_t* from = x + begin * channels;
        if (channels == 1) return split_planes<1>(out + begin, from, n, pixels);
        if (channels == 3) return split_planes<3>(out + begin, from, n, pixels);
        for (int64_t c = 0; c < channels; c++)
            for (int64_t i = 0; i < n; i++)
                out[c * pixels + begin + i] = float(from[i * channels + c]) / 255.0f;
    });
}

void normalize(float* out, const float* x, const float* mean, const float* std, int64_t images,
               int64_t channels, int64_t pixels) {
    parallel_for(images * channels, 1 + kGrain / (pixels + 1), [&](int64_t begin, int64_t end) {
        for (int64_t plane = begin; plane < end; plane++) {
            const float m = mean[plane % channels], s = std[plane % channels];
            const float* from = x + plane * pixels;
            float* to = out + plane * pixels;
            for (int64_t i = 0; i < pixels; i++) to[i] = (from[i] - m) / s;
        }
    });
}

void gather(char* out, const char* const* blocks, int64_t count, int64_t bytes) {
    parallel_for(count, 1 + kGrainBytes / (bytes + 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) memcpy(out + i * bytes, blocks[i], size_t(bytes));
    });
}

bool take_rows(char* out, const char* table, int64_t rows, int64_t row_bytes,
               const int64_t* indices, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (indices[i] < 0 || indices[i] >= rows) return false;
    parallel_for(count, 1 + kGrainBytes / (row_bytes + 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            memcpy(out + i * row_bytes, table + indices[i] * row_bytes, size_t(row_bytes));
    });
    return true;
}

template <class T>
void transpose_items(char* out, const char* x, int64_t rows, int64_t columns, int64_t out_row,
                     int64_t x_column) {
    for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
        const int64_t r1 = r0 + kTile < rows ? r0 + kTile : rows;
        for (int64_t c0 = 0; c0 < columns; c0 += kTile) {
            const int64_t c1 = c0 + kTile < columns ? c0 + kTile : columns;
            for (int64_t r = r0; r < r1; r++) {
                T* to = reinterpret_cast<T*>(out + r * out_row);
                const char* from = x + r * int64_t(sizeof(T));
                for (int64_t c = c0; c < c1; c++)
                    memcpy(&to[c], from + c * x_column, sizeof(T));
            }
        }
    }
}

struct Item16 {
    uint64_t half[2];
};

// out[r][c] = x[c][r], where rows of x lie x_column bytes apart and rows of out out_row.
void transpose(char* out, const char* x, int64_t rows, int64_t columns, int64_t out_row,
               int64_t x_column, int64_t item) {
    switch (item) {
        case 1: return transpose_items<uint8_t>(out, x, rows, columns, out_row, x_column);
        case 2: return transpose_items<uint16_t>(out, x, rows, columns, out_row, x_column);
        case 4: return transpose_items<uint32_t>(out, x, rows, columns, out_row, x_column);
        case 8: return transpose_items<uint64_t>(out, x, rows, columns, out_row, x_column);
        default: return transpose_items<Item16>(out, x, rows, columns, out_row, x_column);
    }
}

}  // namespace

extern const ImageKernels image_kernels = {
    to_float, normalize, gather, take_rows, transpose,
};

}  // namespace RL_ISA
}  // namespace rl
