// gemm_bf16.cpp: products of bfloat16 by the processor's own instruction (AVX512_BF16).
//
// vdpbf16ps multiplies two pairs per lane and adds both products to a float32: twice the rate of
// float32. It rounds after each of the two additions and takes denormal numbers as zeros. Pairs are
// formed as gemm_groups.h tells and go through the float tiles, whose multiply-add this file
// replaces. Only the v4 copy has it, and asks the processor first.
#include "gemm_narrow.h"

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#include "vec.h"
#pragma GCC target("avx512bf16")

namespace rl {
namespace RL_ISA {
namespace {
RL_INLINE f32v multiply_add(f32v a, f32v b, f32v c) {
    return (f32v)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
}
typedef float HalfVector __attribute__((vector_size(kVecBytes / 2)));
RL_INLINE HalfVector multiply_add(HalfVector a, HalfVector b, HalfVector c) {
    return (HalfVector)_mm256_dpbf16_ps((__m256)c, (__m256bh)a, (__m256bh)b);
}
}  // namespace
}  // namespace RL_ISA
}  // namespace rl

#include "gemm_groups.h"
#include "gemm_threads.h"

namespace rl {
namespace RL_ISA {

bool has_bf16_instruction() {
    static const bool has = __builtin_cpu_supports("avx512bf16");
    return has;
}

void gemm_bf16(const Gemm<uint16_t>& h, float* c, const float* col_bias) {
    const Words<float> a = group_words<float>(h.a, h.a_row, h.a_col, h.M, h.K, 0, kPlane);
    const Words<float> b = group_words<float>(h.b, h.b_col, h.b_row, h.N, h.K, 0, kPlane2);
    Gemm<float> g;
    g.M = h.M, g.N = h.N, g.K = ceil_div(h.K, kGroup<uint16_t>);
    g.a = a.data, g.a_row = a.line, g.a_col = a.k;
    g.b = b.data, g.b_row = b.k, g.b_col = b.line;
    g.c = c, g.c_row = h.N;
    g.accumulate = h.accumulate;
    g.relu = h.relu;
    g.col_bias = col_bias;
    gemm_parallel<float, false>(g);
}

}  // namespace RL_ISA
}  // namespace rl

#else

namespace rl {
namespace RL_ISA {
bool has_bf16_instruction() { return false; }
void gemm_bf16(const Gemm<uint16_t>&, float*, const float*) {}
}  // namespace RL_ISA
}  // namespace rl

#endif
