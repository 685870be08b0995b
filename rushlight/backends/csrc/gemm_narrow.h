// gemm_narrow.h: products of half-precision numbers (summed in float32) and of int8 (in int32).
#pragma once

#include "gemm.h"

namespace rl {

// C = A * B of int8, into int32; strides as in Gemm, C contiguous.
struct Int8Product {
    int64_t M, N, K;
    const int8_t* a;
    int64_t a_row, a_col;
    const int8_t* b;
    int64_t b_row, b_col;
    int32_t* c;
};

struct NarrowGemmKernels {
    // The bits of float16 and of bfloat16. Null where the instruction set has no conversion.
    void (*matmul_f16)(const MatmulCall<uint16_t>&);
    void (*matmul_bf16)(const MatmulCall<uint16_t>&);
};

struct Int8GemmKernels {
    // False if this processor has no instruction for it; nothing has been done then.
    bool (*product)(const Int8Product&);
};

#if defined(RL_ISA)
namespace RL_ISA {
// Products of bfloat16 by the processor's own instruction, into float32, on all threads.
bool has_bf16_instruction();
void gemm_bf16(const Gemm<uint16_t>& g, float* c, const float* col_bias);
}  // namespace RL_ISA
#endif

}  // namespace rl

RL_DECLARE_KERNELS(NarrowGemmKernels, narrow_gemm_kernels)
RL_DECLARE_KERNELS(Int8GemmKernels, int8_gemm_kernels)
