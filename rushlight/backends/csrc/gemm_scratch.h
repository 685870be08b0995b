// gemm_scratch.h: per-thread working memory for packed panels and padded planes; sharing out work.
//
// Each thread keeps one growing buffer per slot, so a training step's later calls touch no fresh
// pages. A kernel that calls another must use a different slot.
#pragma once

#include <stdlib.h>

#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

// The i-th of `parts` nearly equal shares of n.
inline int64_t share(int64_t n, int64_t parts, int64_t i) { return n * i / parts; }

enum ScratchSlot {
    kPanelA,
    kPanelB,
    kPlane,
    kPlane2,
    kWeights,
    kOffsets,
    kTaps,
    kResult,
    kSums,
    kSlots
};

class ThreadScratch {
  public:
    void* get(int slot, size_t bytes) {
        if (bytes > size_[slot]) grow(slot, bytes);
        return data_[slot];
    }
    ~ThreadScratch() {
        for (void* data : data_) free(data);
    }

  private:
    void grow(int slot, size_t bytes) {
        free(data_[slot]);
        bytes = (bytes + bytes / 4 + 4095) / 4096 * 4096;
        void* fresh = nullptr;
        // Out of memory inside a kernel has no one to report to; the process cannot go on.
        if (posix_memalign(&fresh, 64, bytes) != 0) abort();
        data_[slot] = fresh;
        size_[slot] = bytes;
    }

    void* data_[kSlots] = {};
    size_t size_[kSlots] = {};
};

thread_local ThreadScratch thread_scratch;

// Room for `count` values plus one vector, so that a last full store may run over.
template <class T>
inline T* scratch(ScratchSlot slot, int64_t count) {
    return static_cast<T*>(thread_scratch.get(slot, size_t(count) * sizeof(T) + kVecBytes));
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
