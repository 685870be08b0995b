// Order along rows.
//
// Every element becomes an unsigned key whose order is the order wanted: the bits of a float with the
// sign folded away (all NaN alike and above everything, -0 as 0), all bits flipped for a descending
// order. Keys make one code of all types and directions, and make equality what the contract says.
//
// sort: least-digit-first radix sort of (key, index) pairs, eight bits a pass, which is stable by
// nature. One reading counts all digits; a pass whose digit is the same everywhere is skipped. Rows of
// up to kShort elements are sorted by insertion, cheaper than the counting.
//
// topk: a heap of the k best so far, the worst on top. An element that is not better than the top costs
// one comparison, done for kBlock elements at a time; then the heap is taken apart from the worst to the
// best. A later element never displaces an equal one, hence the first of equals are found, in order.
#include "order.h"

#include <string.h>

#include "allocator.h"
#include "parallel.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 1 << 12;  // elements that are worth a thread
constexpr int64_t kShort = 40;       // rows that insertion sorts
constexpr int64_t kBlock = 32;       // elements that are compared at once
constexpr int kDigits = 256;

// ------------------------------------------------------------------ keys
template <class T>
struct KeyOf {
    typedef uint64_t type;
};
template <>
struct KeyOf<float> {
    typedef uint32_t type;
};
template <class T>
using Key = typename KeyOf<T>::type;

RL_INLINE uint32_t ascending_key(float x) {
    const float plain = x + 0.0f;  // turns -0 into 0
    uint32_t bits;
    memcpy(&bits, &plain, sizeof(bits));
    const uint32_t folded = bits ^ (uint32_t(int32_t(bits) >> 31) | 0x80000000u);
    return x != x ? ~uint32_t(0) : folded;
}
RL_INLINE uint64_t ascending_key(double x) {
    const double plain = x + 0.0;
    uint64_t bits;
    memcpy(&bits, &plain, sizeof(bits));
    const uint64_t folded = bits ^ (uint64_t(int64_t(bits) >> 63) | (uint64_t(1) << 63));
    return x != x ? ~uint64_t(0) : folded;
}
RL_INLINE uint64_t ascending_key(int64_t x) { return uint64_t(x) ^ (uint64_t(1) << 63); }

template <class T>
struct Pair {
    Key<T> key;
    Key<T> index;  // rows of 2^32 floats or more are not handled by the binding
};

// ------------------------------------------------------------------ sort
template <class T>
void insertion_sort(Pair<T>* pairs, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        const Pair<T> moving = pairs[i];
        int64_t j = i;
        for (; j > 0 && pairs[j - 1].key > moving.key; j--) pairs[j] = pairs[j - 1];
        pairs[j] = moving;
    }
}

// Moves `from` to `to` in the order of one digit; `starts` are the digits' counts.
template <class T>
void radix_pass(Pair<T>* to, const Pair<T>* from, int64_t n, int shift, int64_t* counts) {
    int64_t place = 0;
    for (int d = 0; d < kDigits; d++) {
        const int64_t count = counts[d];
        counts[d] = place;
        place += count;
    }
    for (int64_t i = 0; i < n; i++) to[counts[(from[i].key >> shift) & 255]++] = from[i];
}

// The sorted pairs: `pairs` itself or `other`.
template <class T>
const Pair<T>* radix_sort(Pair<T>* pairs, Pair<T>* other, int64_t n) {
    constexpr int passes = sizeof(Key<T>);
    int64_t counts[passes][kDigits];
    memset(counts, 0, sizeof(counts));
    for (int64_t i = 0; i < n; i++)
        for (int p = 0; p < passes; p++) counts[p][(pairs[i].key >> (8 * p)) & 255]++;
    for (int p = 0; p < passes; p++) {
        if (counts[p][(pairs[0].key >> (8 * p)) & 255] == n) continue;
        radix_pass<T>(other, pairs, n, 8 * p, counts[p]);
        Pair<T>* swapped = pairs;
        pairs = other;
        other = swapped;
    }
    return pairs;
}

template <class T>
void sort_row(T* values, int64_t* indices, const T* x, int64_t n, bool descending, Pair<T>* pairs) {
    const Key<T> flip = descending ? ~Key<T>(0) : Key<T>(0);
    for (int64_t i = 0; i < n; i++) pairs[i] = {Key<T>(ascending_key(x[i]) ^ flip), Key<T>(i)};
    const Pair<T>* sorted = pairs;
    if (n <= kShort)
        insertion_sort<T>(pairs, n);
    else
        sorted = radix_sort<T>(pairs, pairs + n, n);
    for (int64_t i = 0; i < n; i++) {
        indices[i] = int64_t(sorted[i].index);
        values[i] = x[sorted[i].index];
    }
}

template <class T>
bool sort(T* values, int64_t* indices, const T* x, int64_t rows, int64_t n, bool descending) {
    bool failed = false;
    parallel_for(rows, 1 + kGrain / n, [&](int64_t begin, int64_t end) {
        Scratch memory(size_t(2 * n) * sizeof(Pair<T>));
        if (!memory) {
            __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
            return;
        }
        for (int64_t r = begin; r < end; r++)
            sort_row(values + r * n, indices + r * n, x + r * n, n, descending,
                     memory.as<Pair<T>>());
    });
    return !failed;
}

// ------------------------------------------------------------------ topk
// Keys are such that larger is better.
template <class T>
RL_INLINE bool worse(const Pair<T>& a, const Pair<T>& b) {
    return a.key != b.key ? a.key < b.key : a.index > b.index;
}

// Lets pair `i` of a heap of n sink to its place; the worst is at the top.
template <class T>
void sink(Pair<T>* heap, int64_t n, int64_t i) {
    const Pair<T> moving = heap[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && worse<T>(heap[child + 1], heap[child])) child++;
        if (!worse<T>(heap[child], moving)) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moving;
}

template <class T>
RL_INLINE bool any_better(const T* x, Key<T> flip, Key<T> worst) {
    unsigned found = 0;
    for (int64_t j = 0; j < kBlock; j++) found |= Key<T>(ascending_key(x[j]) ^ flip) > worst;
    return found != 0;
}

template <class T>
void topk_row(T* values, int64_t* indices, const T* x, int64_t n, int64_t k, Key<T> flip,
              Pair<T>* heap) {
    for (int64_t i = 0; i < k; i++) heap[i] = {Key<T>(ascending_key(x[i]) ^ flip), Key<T>(i)};
    for (int64_t i = k / 2 - 1; i >= 0; i--) sink<T>(heap, k, i);
    for (int64_t i = k; i < n;) {
        const int64_t stop = i + kBlock <= n ? i + kBlock : n;
        if (stop - i == kBlock && !any_better(x + i, flip, heap[0].key)) {
            i = stop;
            continue;
        }
        for (; i < stop; i++) {
            const Key<T> key = ascending_key(x[i]) ^ flip;
            if (key <= heap[0].key) continue;
            heap[0] = {key, Key<T>(i)};
            sink<T>(heap, k, 0);
        }
    }
    for (int64_t left = k; left > 0; left--) {
        indices[left - 1] = int64_t(heap[0].index);
        values[left - 1] = x[heap[0].index];
        heap[0] = heap[left - 1];
        sink<T>(heap, left - 1, 0);
    }
}

template <class T>
bool topk(T* values, int64_t* indices, const T* x, int64_t rows, int64_t n, int64_t k,
          bool largest) {
    bool failed = false;
    const Key<T> flip = largest ? Key<T>(0) : ~Key<T>(0);
    parallel_for(rows, 1 + 4 * kGrain / n, [&](int64_t begin, int64_t end) {
        Scratch memory(size_t(k) * sizeof(Pair<T>));
        if (!memory) {
            __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
            return;
        }
        for (int64_t r = begin; r < end; r++)
            topk_row(values + r * k, indices + r * k, x + r * n, n, k, flip,
                     memory.as<Pair<T>>());
    });
    return !failed;
}

}  // namespace

extern const OrderKernels order_kernels = {
    {sort<float>, topk<float>},
    {sort<double>, topk<double>},
    {sort<int64_t>, topk<int64_t>},
};

}  // namespace RL_ISA
}  // namespace rl
