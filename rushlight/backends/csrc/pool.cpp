// pool.cpp: pooling: the maxima and means of windows, and their derivatives.
//
//   channels first   pool_max.h, pool_average.h: vectors of neighbouring pixels
//                    pool_cells_max.h, pool_cells_average.h: the same for adaptive pooling
//   channels last    pool_last.h: vectors of channels
//
// Planes, or for channels last output pixels, are shared out over threads.
#include "pool.h"

#include "pool_average.h"
#include "pool_cells_average.h"
#include "pool_cells_max.h"
#include "pool_last.h"
#include "pool_max.h"

namespace rl {
namespace RL_ISA {

extern const PoolKernels pool_kernels;
const PoolKernels pool_kernels = {
    {max_pool, max_pool_grad, avg_pool, avg_pool_grad, adaptive_max_pool, adaptive_avg_pool,
     adaptive_avg_pool_grad},
    {max_pool_last, max_pool_grad_last, avg_pool_last, mean_grad_last<WindowPixels>,
     maxima_last<CellPixels, true>, means_last<CellPixels>, mean_grad_last<CellPixels>},
};

}  // namespace RL_ISA
}  // namespace rl
