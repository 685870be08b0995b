// stream.h: results that are written past the caches.
//
// An ordinary store first reads the line that it changes, and pushes another one out. For a result
// as large as the last cache both are for nothing: adding two arrays of 40 MB takes a fifth less
// without them. Loads and such stores must alternate line by line; in runs of some kilobytes, by
// way of a buffer, they cost more than ordinary stores (all measured on Zen 4).
#pragma once

#include "allocator.h"
#include "parallel.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

// Whether a result of so many bytes should be written by `stream`. From three quarters of the cache
// on it is faster even where the next operation reads it at once.
inline bool outgrows_cache(int64_t bytes) {
    constexpr int64_t least = 1 << 20;  // below that, the question costs too much
    return bytes >= least && bytes >= processor_cache_bytes() / 4 * 3;
}
// The same for a thread's part of a result.
inline bool worth_streaming(int64_t bytes) { return outgrows_cache(bytes * num_threads()); }

inline bool is_aligned(const void* p) { return uintptr_t(p) % kVecBytes == 0; }

// p must be aligned.
template <class T>
RL_INLINE void stream(T* p, Vec<T> v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(reinterpret_cast<float*>(p), (__m512)v);
#elif defined(__AVX__)
    _mm256_stream_ps(reinterpret_cast<float*>(p), (__m256)v);
#elif defined(__SSE2__)
    _mm_stream_ps(reinterpret_cast<float*>(p), (__m128)v);
#else
    st(p, v);
#endif
}

// Makes streamed stores visible to other threads; due before a thread's part of the work ends.
inline void end_stream() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

// Calls plain(i) for single elements until r + i is aligned and behind the last whole vector, and
// streams what vector(i) gives for all vectors between. False, nothing done, where it does not pay:
// if the result, or `bytes` of operands where that is more, fits into the cache.
template <class T, class Plain, class Vector>
RL_INLINE bool stream_run(T* r, int64_t n, const Plain& plain, const Vector& vector,
                          int64_t bytes = 0) {
    constexpr int W = kW<T>;
    const int64_t result = n * int64_t(sizeof(T));
    if (!worth_streaming(bytes > result ? bytes : result)) return false;
    int64_t i = 0;
    for (; i < n && !is_aligned(r + i); i++) plain(i);
    for (; i + W <= n; i += W) stream(r + i, vector(i));
    for (; i < n; i++) plain(i);
    end_stream();
    return true;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
