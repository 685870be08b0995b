// gemm_int8.cpp: products of int8 matrices in int32, exact, by AVX512_VNNI.
//
// vpdpbusd multiplies four pairs of an unsigned and a signed byte per lane and adds the products to
// an int32. B is made unsigned by adding 128, which is flipping the upper bit, and what this adds to
// the product, 128 times the sum of each row of A, is subtracted as a bias. B and not A, as B has to
// be put in order for the tiles anyway, while A is read where it lies. Groups of four are formed as
// gemm_groups.h tells and go through the tiles of gemm_core.h. Only the v4 copy has it, and asks
// the processor first; elsewhere the reference multiplies.
#include "gemm_narrow.h"

#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#include "vec.h"
#pragma GCC target("avx512vnni")

namespace rl {
namespace RL_ISA {
namespace {
RL_INLINE i32v multiply_add(i32v a, i32v b, i32v c) {
    return (i32v)_mm512_dpbusd_epi32((__m512i)c, (__m512i)b, (__m512i)a);
}
}  // namespace
}  // namespace RL_ISA
}  // namespace rl

#include "gemm_groups.h"
#include "gemm_threads.h"
#include "lanes.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr uint32_t kMakeUnsigned = 0x80808080u;

// -128 times the sums of A's rows, from its words: the same instruction with B all ones.
const int32_t* correction(const Words<int32_t>& a, int64_t M, int64_t words) {
    constexpr int W = kW<int32_t>;
    const i32v ones = splat<int32_t>(0x01010101);
    int32_t* const sums = scratch<int32_t>(kSums, M);
    for (int64_t i = 0; i < M; i += W) {
        const int n = int(min64(W, M - i));
        i32v sum = {};
        if (a.k == 1) {
            i32v rows[W] = {};
            for (int r = 0; r < n; r++) {
                const int32_t* const row = a.data + (i + r) * a.line;
                for_vectors<int32_t>(words, [&](int64_t w, int m) RL_LAMBDA_INLINE {
                    rows[r] = multiply_add(load(row + w, m), ones, rows[r]);
                });
            }
            sum = hsum_rows(rows);
        } else {
            for (int64_t w = 0; w < words; w++)
                sum = multiply_add(ldn(a.data + w * a.k + i, n), ones, sum);
        }
        stn(sums + i, -128 * sum, n);
    }
    return sums;
}

// B's words, unsigned. Where they run along k they are turned on the way, unless there are so few
// rows of A that the product is made of dot products.
Words<int32_t> unsigned_words(const Int8Product& p) {
    const int64_t words = ceil_div(p.K, kGroup<int8_t>);
    const bool is_dot = p.M <= kDotMostRows && words >= kDotDepthPerRow * p.M;
    if (p.b_row != 1 || is_dot || !are_words(p.b, p.b_col, p.K))
        return group_words<int32_t>(p.b, p.b_col, p.b_row, p.N, p.K, kMakeUnsigned, kPlane2);
    int32_t* const to = scratch<int32_t>(kPlane2, words * p.N);
    turn_lines(reinterpret_cast<const int32_t*>(p.b), p.b_col / kGroup<int8_t>, p.N, words,
               kMakeUnsigned, reinterpret_cast<uint32_t*>(to));
    return {to, 1, p.N};
}

bool product(const Int8Product& p) {
    static const bool has = __builtin_cpu_supports("avx512vnni");
    if (!has) return false;
    // gemm_core.h would exchange the operands of a matrix times a vector, of which B must stay B.
    if (p.N == 1 && p.M > 1)
        return product({1, p.M, p.K, p.b, p.b_col, p.b_row, p.a, p.a_col, p.a_row, p.c});
    const Words<int32_t> a = group_words<int32_t>(p.a, p.a_row, p.a_col, p.M, p.K, 0, kPlane);
    const Words<int32_t> b = unsigned_words(p);
    Gemm<int32_t> g;
    g.M = p.M, g.N = p.N, g.K = ceil_div(p.K, kGroup<int8_t>);
    g.a = a.data, g.a_row = a.line, g.a_col = a.k;
    g.b = b.data, g.b_row = b.k, g.b_col = b.line;
    g.c = p.c, g.c_row = p.N;
    g.row_bias = correction(a, g.M, g.K);
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
