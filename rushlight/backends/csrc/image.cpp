// Data movement: what happens to every sample before it reaches a network, and table rows.
//
// All of it is bound by memory, so the loops are plain; the compiler unrolls and vectorises the
// conversions. A transposing copy goes by tiles of a vector's width, or of 16 x 16 elements, such
// that both the lines that are read and those that are written stay in the first-level cache; tiles
// of 4- and 8-byte items are turned around in registers.
#include "image.h"

#include <string.h>

#include "parallel.h"
#include "vec.h"
#include "vec_shuffle.h"

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

// The number type whose vectors hold items of this size.
template <int64_t item>
struct Floating {
    typedef float type;
};
template <>
struct Floating<8> {
    typedef double type;
};

// A tile of the transposed copy: element by element, or in registers where vectors hold such items.
template <class T>
RL_INLINE void transpose_tile(char* out, const char* x, int64_t rows, int64_t columns,
                              int64_t out_row, int64_t x_column) {
    for (int64_t r = 0; r < rows; r++) {
        T* to = reinterpret_cast<T*>(out + r * out_row);
        const char* from = x + r * int64_t(sizeof(T));
        for (int64_t c = 0; c < columns; c++) memcpy(&to[c], from + c * x_column, sizeof(T));
    }
}
template <class T>
RL_INLINE void transpose_square(char* out, const char* x, int64_t out_row, int64_t x_column) {
    constexpr int W = kW<T>;
    Vec<T> square[W];
    RL_UNROLL
    for (int c = 0; c < W; c++) square[c] = ld(reinterpret_cast<const T*>(x + c * x_column));
    transpose(square);
    RL_UNROLL
    for (int r = 0; r < W; r++) st(reinterpret_cast<T*>(out + r * out_row), square[r]);
}

template <class T>
void transpose_items(char* out, const char* x, int64_t rows, int64_t columns, int64_t out_row,
                     int64_t x_column) {
    constexpr int64_t item = sizeof(T), tile = item >= 4 && item <= 8 ? kVecBytes / item : kTile;
    for (int64_t r = 0; r < rows; r += tile) {
        const int64_t height = r + tile < rows ? tile : rows - r;
        for (int64_t c = 0; c < columns; c += tile) {
            const int64_t width = c + tile < columns ? tile : columns - c;
            char* to = out + r * out_row + c * item;
            const char* from = x + r * item + c * x_column;
            if constexpr (item == 4 || item == 8) {
                typedef typename Floating<item>::type F;
                if (height == tile && width == tile) {
                    transpose_square<F>(to, from, out_row, x_column);
                    continue;
                }
            }
            transpose_tile<T>(to, from, height, width, out_row, x_column);
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

template <class T>
void spread_items(char* out, const char* x, int64_t n, int64_t out_step, int64_t x_step) {
    constexpr int64_t item = sizeof(T);
    if (out_step == item && x_step == 2 * item) {  // every other column: two vectors make one
        for (int64_t i = 0; i < n; i++) memcpy(out + i * item, x + 2 * i * item, item);
    } else if (out_step == item) {
        for (int64_t i = 0; i < n; i++) memcpy(out + i * item, x + i * x_step, item);
    } else {
        for (int64_t i = 0; i < n; i++) memcpy(out + i * out_step, x + i * x_step, item);
    }
}

void spread(char* out, const char* x, int64_t n, int64_t out_step, int64_t x_step, int64_t item) {
    switch (item) {
        case 1: return spread_items<uint8_t>(out, x, n, out_step, x_step);
        case 2: return spread_items<uint16_t>(out, x, n, out_step, x_step);
        case 4: return spread_items<uint32_t>(out, x, n, out_step, x_step);
        case 8: return spread_items<uint64_t>(out, x, n, out_step, x_step);
        default: return spread_items<Item16>(out, x, n, out_step, x_step);
    }
}

}  // namespace

extern const ImageKernels image_kernels = {
    to_float, normalize, gather, take_rows, transpose, spread,
};

}  // namespace RL_ISA
}  // namespace rl
