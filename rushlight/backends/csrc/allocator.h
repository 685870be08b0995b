// allocator.h: the caching allocator behind NumPy's arrays (see allocator.cpp) and kernel scratch.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace rl {

// 64-byte aligned memory; null when there is none. Any thread may free what another allocated.
void* cached_alloc(size_t size);
void* cached_calloc(size_t size);
void* cached_realloc(void* memory, size_t size);
void cached_free(void* memory);

struct MemoryStats {
    uint64_t current;      // bytes in use by callers
    uint64_t peak;         // the most of that so far
    uint64_t cached;       // bytes held for reuse
    uint64_t cache_limit;  // the most that may be held
    uint64_t reused;       // allocations served from the cache
    uint64_t fresh;        // allocations served by the system
};
MemoryStats memory_stats();
void reset_peak_memory();
void set_cache_limit(uint64_t bytes);
void empty_cache();

// The size of the processor's last cache (see stream.h).
int64_t processor_cache_bytes();

// Working memory of a kernel; freed (to the cache) at the end of the block. In an unnamed
// namespace, so that each instruction set keeps its own copy of the inline functions.
namespace {
class Scratch {
  public:
    explicit Scratch(size_t size) : memory_(cached_alloc(size)) {}
    ~Scratch() { cached_free(memory_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    explicit operator bool() const { return memory_ != nullptr; }
    template <class T>
    T* as() const {
        return static_cast<T*>(memory_);
    }

  private:
    void* memory_;
};
}  // namespace

}  // namespace rl
