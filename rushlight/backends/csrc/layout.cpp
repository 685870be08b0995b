// layout.cpp: images from channels first to channels last and back, which is turning a matrix.
//
// Squares of W x W numbers are turned in registers. A band of W rows is read from left to right, so
// that reading follows W streams; its columns are stored W numbers at a time, a whole cache line with
// AVX-512. Bands are shared out over threads.
#include "layout.h"

#include "conv_plane.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// Numbers per range: about 30 microseconds.
constexpr int64_t kGrain = 1 << 16;

void turn_band(int64_t rows, int64_t columns, int height, const float* from, float* to) {
    constexpr int W = kW<float>;
    for (int64_t c = 0; c < columns; c += W) {
        const int width = int(min64(W, columns - c));
        f32v block[W];
        if (width == W && height == W) {
            RL_UNROLL
            for (int i = 0; i < W; i++) block[i] = ld(from + i * columns + c);
            transpose(block);
            RL_UNROLL
            for (int i = 0; i < W; i++) st(to + (c + i) * rows, block[i]);
            continue;
        }
        RL_UNROLL
        for (int i = 0; i < W; i++)
            block[i] = i < height ? ldn(from + i * columns + c, width) : f32v{};
        transpose(block);
        for (int i = 0; i < width; i++) stn(to + (c + i) * rows, block[i], height);
    }
}

void turn(int64_t batch, int64_t rows, int64_t columns, const float* from, float* to) {
    constexpr int W = kW<float>;
    const int64_t bands = ceil_div(rows, W);
    parallel_for(batch * bands, ceil_div(kGrain, W * columns + 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t image = i / bands * rows * columns, row = i % bands * W;
            turn_band(rows, columns, int(min64(W, rows - row)), from + image + row * columns,
                      to + image + row);
        }
    });
}

}  // namespace

extern const LayoutKernels layout_kernels;
const LayoutKernels layout_kernels = {turn};

}  // namespace RL_ISA
}  // namespace rl
