// special.h: special functions of one array, element by element (see special.cpp).
#pragma once

#include "elementwise.h"

namespace rl {

enum SpecialOp { kErfc, kErfinv, kLgamma, kDigamma, kSpecialOps };

struct SpecialKernels {
    UnaryLoop loops[kSpecialOps][2];  // of float and double; null where there is no kernel
};

}  // namespace rl

RL_DECLARE_KERNELS(SpecialKernels, special_kernels)
