// gemm.cpp: the matrix product over batches; the algorithm is in gemm_core.h, one product's division
// among threads in gemm_threads.h. Batches are shared out whole.
#include "gemm.h"

#include "gemm_threads.h"

namespace rl {
namespace RL_ISA {
namespace {

template <class T>
void matmul(const MatmulCall<T>& call) {
    if (call.batch == 1) return gemm_parallel(batch_item(call, 0));
    const int64_t work = call.M * call.N * call.K;
    if (call.batch < 2 * num_threads() && work > kParallelWork) {
        for (int64_t i = 0; i < call.batch; i++) gemm_parallel(batch_item(call, i));
        return;
    }
    parallel_for(call.batch, ceil_div(kParallelWork / 2, work + 1),
                 [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; i++) gemm_serial(batch_item(call, i));
                 });
}

}  // namespace

void gemm_one_thread(const Gemm<float>& g) { gemm_serial(g); }
void gemm_all_threads(const Gemm<float>& g) { gemm_parallel(g); }

extern const GemmKernels gemm_kernels;
const GemmKernels gemm_kernels = {matmul<float>, matmul<double>};

}  // namespace RL_ISA
}  // namespace rl
