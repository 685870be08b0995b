// gemm_half.cpp: products of float16 and bfloat16 matrices, summed in float32 and rounded once.
//
// The operands are widened to float32 in working memory, keeping the order in which they lie, and
// multiplied there: widening costs one pass over the operands, which the product reads many times.
// float16 goes through the conversion instructions (v3, v4), bfloat16 is the upper half of a
// float32. Where the processor multiplies bfloat16 itself, gemm_bf16.cpp takes the larger products.
#include "gemm_narrow.h"
#include "gemm_threads.h"

namespace rl {
namespace RL_ISA {
namespace {

typedef uint16_t HalfVec __attribute__((vector_size(kVecBytes / 2)));  // kW<float> of them

struct BFloat16 {
    static RL_INLINE f32v widen(HalfVec h) {
        return (f32v)(__builtin_convertvector(h, u32v) << 16);
    }
    // To nearest, ties to even; NaN keeps its sign and becomes quiet.
    static RL_INLINE HalfVec narrow(f32v x) {
        const u32v bits = (u32v)x;
        const u32v rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        const u32v quiet = (bits >> 16) | 0x40;
        return __builtin_convertvector(x != x ? quiet : rounded, HalfVec);
    }
};

#if defined(__F16C__)
struct Float16 {
    static RL_INLINE f32v widen(HalfVec h) {
#if defined(__AVX512F__)
        return (f32v)_mm512_cvtph_ps((__m256i)h);
#else
        return (f32v)_mm256_cvtph_ps((__m128i)h);
#endif
    }
    static RL_INLINE HalfVec narrow(f32v x) {
#if defined(__AVX512F__)
        return (HalfVec)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
        return (HalfVec)_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT);
#endif
    }
};
#endif

// n numbers `step` apart into `to`, which lies in a row.
template <class Format>
void widen_run(const uint16_t* from, int64_t step, int64_t n, float* to) {
    constexpr int W = kW<float>;
    for (int64_t i = 0; i < n; i += W) {
        const int count = int(min64(W, n - i));
        HalfVec h = {};
        if (step == 1 && count == W) {
            memcpy(&h, from + i, sizeof(h));
        } else {
            uint16_t numbers[W] = {};
            for (int q = 0; q < count; q++) numbers[q] = from[(i + q) * step];
            memcpy(&h, numbers, sizeof(h));
        }
        stn(to + i, Format::widen(h), count);
    }
}

template <class Format>
void narrow_run(const float* from, int64_t n, uint16_t* to) {
    constexpr int W = kW<float>;
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        const HalfVec h = Format::narrow(ld(from + i));
        memcpy(to + i, &h, sizeof(h));
    }
    if (i == n) return;
    const HalfVec h = Format::narrow(ldn(from + i, int(n - i)));
    memcpy(to + i, &h, size_t(n - i) * sizeof(uint16_t));
}

// A matrix by its strides.
struct Strided {
    const float* data;
    int64_t row, col;
};

template <class Format>
Strided widen_matrix(const uint16_t* x, int64_t rows, int64_t cols, int64_t row, int64_t col,
                     ScratchSlot slot) {
    float* const to = scratch<float>(slot, rows * cols);
    if (row == 1 && col != 1) {
        for (int64_t j = 0; j < cols; j++) widen_run<Format>(x + j * col, 1, rows, to + j * rows);
        return {to, 1, rows};
    }
    if (col == 1 && row == cols) {
        widen_run<Format>(x, 1, rows * cols, to);
    } else {
        for (int64_t i = 0; i < rows; i++) widen_run<Format>(x + i * row, col, cols, to + i * cols);
    }
    return {to, cols, 1};
}

// Multiply-adds from which the processor's own bfloat16 products win over widening.
constexpr int64_t kBf16Work = 16384;

template <class Format>
bool uses_bf16_instruction(const Gemm<uint16_t>&) {
    return false;
}
template <>
bool uses_bf16_instruction<BFloat16>(const Gemm<uint16_t>& g) {
    return g.M * g.N * g.K >= kBf16Work && g.M > 1 && g.N > 1 && has_bf16_instruction();
}

template <class Format>
void half_product(const Gemm<uint16_t>& h) {
    Gemm<float> g;
    g.M = h.M, g.N = h.N, g.K = h.K;
    float* const c = scratch<float>(kResult, h.M * h.N);
    g.c = c, g.c_row = h.N;
    g.accumulate = h.accumulate;
    g.relu = h.relu;
    if (h.accumulate) widen_run<Format>(h.c, 1, h.M * h.N, c);
    if (h.col_bias) {
        float* const bias = scratch<float>(kSums, h.N);
        widen_run<Format>(h.col_bias, 1, h.N, bias);
        g.col_bias = bias;
    }
    if (uses_bf16_instruction<Format>(h)) {
        gemm_bf16(h, c, g.col_bias);
    } else {
        const Strided a = widen_matrix<Format>(h.a, h.M, h.K, h.a_row, h.a_col, kPlane);
        const Strided b = widen_matrix<Format>(h.b, h.K, h.N, h.b_row, h.b_col, kPlane2);
        g.a = a.data, g.a_row = a.row, g.a_col = a.col;
        g.b = b.data, g.b_row = b.row, g.b_col = b.col;
        gemm_all_threads(g);
    }
    narrow_run<Format>(c, h.M * h.N, h.c);
}

// Items of a batch one after the other; each is shared out if it is large.
template <class Format>
void matmul_half(const MatmulCall<uint16_t>& call) {
    const int64_t work = call.M * call.N * call.K;
    auto item = [&](int64_t i) { half_product<Format>(batch_item(call, i)); };
    if (call.batch < 2 * num_threads()) {
        for (int64_t i = 0; i < call.batch; i++) item(i);
        return;
    }
    parallel_for(call.batch, ceil_div(kParallelWork / 2, work + 1),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) item(i);
                 });
}

}  // namespace

extern const NarrowGemmKernels narrow_gemm_kernels;
#if defined(__F16C__)
const NarrowGemmKernels narrow_gemm_kernels = {matmul_half<Float16>, matmul_half<BFloat16>};
#else
const NarrowGemmKernels narrow_gemm_kernels = {nullptr, matmul_half<BFloat16>};
#endif

}  // namespace RL_ISA
}  // namespace rl
