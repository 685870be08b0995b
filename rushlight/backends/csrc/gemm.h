// gemm.h: what the bindings and other kernels see of the matrix product.
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

// One product C = A * B of M x K and K x N. Strides count elements and may be anything; C's columns
// are neighbours.
template <class T>
struct Gemm {
    int64_t M, N, K;
    const T* a;
    int64_t a_row, a_col;
    const T* b;
    int64_t b_row, b_col;
    T* c;
    int64_t c_row;
    bool accumulate = false;      // add to what C holds
    const T* col_bias = nullptr;  // one per column, added to every row
    const T* row_bias = nullptr;  // one per row, added to every column
    bool relu = false;
    // Of the product that this is a part of, 0 if it is whole: they choose the way, so that the
    // order of summation does not depend on the number of threads.
    int64_t rows_of_whole = 0;

    int64_t choosing_rows() const { return rows_of_whole > 0 ? rows_of_whole : M; }
};

// `batch` products C[i] = A[i] * B[i], each M x K times K x N. Strides and offsets count elements.
// Item i of A starts at a + a_offsets[i] (null: all at a), likewise B; C is one contiguous block.
template <class T>
struct MatmulCall {
    int64_t batch, M, N, K;
    const T* a;
    const int64_t* a_offsets;
    int64_t a_row, a_col;
    const T* b;
    const int64_t* b_offsets;
    int64_t b_row, b_col;
    T* c;
    const T* col_bias;  // added to every row of C, or null
    bool accumulate;    // add to what C holds
    bool relu;          // negative results become zero
};

struct GemmKernels {
    void (*matmul_f32)(const MatmulCall<float>&);
    void (*matmul_f64)(const MatmulCall<double>&);
};

#if defined(RL_ISA)
// For other kernels of the same instruction set: on the calling thread, and on all threads.
namespace RL_ISA {
void gemm_one_thread(const Gemm<float>& g);
void gemm_all_threads(const Gemm<float>& g);
}  // namespace RL_ISA
#endif

}  // namespace rl

RL_DECLARE_KERNELS(GemmKernels, gemm_kernels)
