// gemm_int8.cpp: products of int8 matrices in int32, exact, by AVX512_VNNI.
//
// vpdpbusd multiplies four pairs of an unsigned and a signed byte per lane and adds the products to
// an int32. A is made unsigned by adding 128, which is flipping the upper bit, and what this adds to
// the product, 128 times the sum of each column of B, is subtracted as a bias. Groups of four are
// formed as gemm_groups.h tells and go through the tiles of gemm_core.h. Only the v4 copy has it,
// and asks the processor first; elsewhere the reference multiplies.
#include "gemm_narrow.h"

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#include "vec.h"
#pragma GCC target("avx512vnni")

namespace rl {
namespace RL_ISA {
namespace {
RL_INLINE i32v multiply_add(i32v a, i32v b, i32v c) {
    return (i32v)_mm512_dpbusd_epi32((__m512i)c, (__m512i)a, (__m512i)b);
}
}  // namespace
}  // namespace RL_ISA
}  // namespace rl

#include "gemm_groups.h"
#include "gemm_threads.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr uint32_t kMakeUnsigned = 0x80808080u;

// -128 times the sums of B's columns, from its words: the same instruction with A all ones.
const int32_t* correction(const Words<int32_t>& b, int64_t N, int64_t words) {
    constexpr int W = kW<int32_t>;
    const i32v ones = splat<int32_t>(0x01010101);
    int32_t* const sums = scratch<int32_t>(kSums, N);
    if (b.k == 1) {
        for (int64_t j = 0; j < N; j++) {
            i32v sum = {};
            for (int64_t w = 0; w < words; w += W)
                sum = multiply_add(ones, ldn(b.data + j * b.line + w, int(min64(W, words - w))), sum);
            sums[j] = -128 * hsum(sum);
        }
        return sums;
    }
    for (int64_t j = 0; j < N; j += W) {
        const int n = int(min64(W, N - j));
        i32v sum = {};
        for (int64_t w = 0; w < words; w++)
            sum = multiply_add(ones, ldn(b.data + w * b.k + j, n), sum);
        stn(sums + j, -128 * sum, n);
    }
    return sums;
}

bool product(const Int8Product& p) {
    static const bool has = __builtin_cpu_supports("avx512vnni");
    if (!has) return false;
    // gemm_core.h would exchange the operands of a matrix times a vector, of which A must stay A.
    if (p.N == 1 && p.M > 1)
        return product({1, p.M, p.K, p.b, p.b_col, p.b_row, p.a, p.a_col, p.a_row, p.c});
    const Words<int32_t> a =
        group_words<int32_t>(p.a, p.a_row, p.a_col, p.M, p.K, kMakeUnsigned, kPlane);
    const Words<int32_t> b = group_words<int32_t>(p.b, p.b_col, p.b_row, p.N, p.K, 0, kPlane2);
    Gemm<int32_t> g;
    g.M = p.M, g.N = p.N, g.K = ceil_div(p.K, kGroup<int8_t>);
    g.a = a.data, g.a_row = a.line, g.a_col = a.k;
    g.b = b.data, g.b_row = b.k, g.b_col = b.line;
    g.c = p.c, g.c_row = p.N;
    g.col_bias = correction(b, g.N, g.K);
    gemm_parallel(g);
    return true;
}

}  // namespace

extern const Int8GemmKernels int8_gemm_kernels;
const Int8GemmKernels int8_gemm_kernels = {product};

}  // namespace RL_ISA
}  // namespace rl

#else

namespace rl {
namespace RL_ISA {
namespace {
bool product(const Int8Product&) { return false; }
}  // namespace
extern const Int8GemmKernels int8_gemm_kernels;
const Int8GemmKernels int8_gemm_kernels = {product};
}  // namespace RL_ISA
}  // namespace rl

#endif
