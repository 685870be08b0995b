// Order along rows.
//
// Every element becomes an unsigned key whose order is the order wanted: the bits of a float with the
// sign folded away (all NaN alike and above everything, -0 as 0), all bits flipped for a descending
// order. Keys make one code of all types and directions, and make equality what the contract says.
//
// sort: least-digit-first radix sort of (key, index) pairs, eight bits a pass, which is stable by
// nature. One reading counts all digits; a pass whose digit is the same everywhere is skipped. For short
// rows the counting takes too long. Those of up to kRanked elements are compared each with each, vectors
// at a time, which counts how many come before an element; the next ones, of up to kShort, are sorted by
// insertion.
//
// topk: a heap of the k best so far, the worst on top. An element that is not better than the top costs
// one comparison, done for kBlock elements at a time; then the heap is taken apart from the worst to the
// best. A later element never displaces an equal one, hence the first of equals are found, in order.
// Every element that is better costs branches that nobody can foresee. So a small k is first given a
// bar: the row is dealt out to some lanes, and as large as the k-th largest of the lanes' maxima there
// are k elements. Few more than those ever get to the heap.
#include "order.h"

#include <string.h>

#include "allocator.h"
#include "lanes.h"
#include "parallel.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 1 << 12;  // elements that are worth a thread
constexpr int64_t kShort = 40;       // rows that insertion sorts
constexpr int64_t kBlock = 32;       // elements that are compared at once
constexpr int64_t kRanked = 8 * kW<float>;  // rows whose elements are compared each with each
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

// The same for vectors.
RL_INLINE u32v ascending_keys(f32v x) {
    const i32v bits = (i32v)(x + 0.0f);
    const u32v folded = (u32v)(bits ^ (bits >> 31 | int32_t(0x80000000)));
    return select(x != x, ~u32v{}, folded);
}
RL_INLINE u64v ascending_keys(f64v x) {
    const i64v bits = (i64v)(x + 0.0);
    const u64v folded = (u64v)(bits ^ ((i64v)(bits < 0) | INT64_MIN));
    return select(x != x, ~u64v{}, folded);
}
RL_INLINE u64v ascending_keys(i64v x) { return (u64v)(x ^ INT64_MIN); }

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

// How many keys come before each: smaller ones, and equal ones that stand before it.
template <class T>
void rank_keys(const Key<T>* keys, int64_t n, Key<T>* ranks) {
    constexpr int W = kW<T>;
    typedef Vec<Key<T>> Keys;
    Keys lanes;
    for (int i = 0; i < W; i++) lanes[i] = Key<T>(i);
    for (int64_t begin = 0; begin < n; begin += W) {
        const Keys own = ld(keys + begin);
        Keys rank = {};
        const int64_t end = begin + W < n ? begin + W : n;
        for (int64_t a = 0; a < begin; a++) rank -= (Keys)(splat(keys[a]) <= own);
        for (int64_t a = begin; a < end; a++) {
            const auto stands_before = lanes > splat(Key<T>(a - begin));
            rank -= (Keys)((splat(keys[a]) < own) | ((splat(keys[a]) == own) & stands_before));
        }
        for (int64_t a = end; a < n; a++) rank -= (Keys)(splat(keys[a]) < own);
        st(ranks + begin, rank);
    }
}

template <class T>
void sort_by_rank(T* values, int64_t* indices, const T* x, int64_t n, Key<T> flip) {
    constexpr int W = kW<T>;
    Key<T> keys[kRanked + W] = {}, ranks[kRanked + W];
    for (int64_t i = 0; i < n; i++) keys[i] = ascending_key(x[i]) ^ flip;
    rank_keys<T>(keys, n, ranks);
    for (int64_t i = 0; i < n; i++) {
        indices[ranks[i]] = i;
        values[ranks[i]] = x[i];
    }
}

template <class T>
void sort_row(T* values, int64_t* indices, const T* x, int64_t n, bool descending, Pair<T>* pairs) {
    const Key<T> flip = descending ? ~Key<T>(0) : Key<T>(0);
    if (n <= kRanked) return sort_by_rank<T>(values, indices, x, n, flip);
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

// As large as the k-th largest of the maxima of L lanes, to which the row is dealt out, are at least k
// elements.
template <int L, class T>
Key<T> bar_of_lanes(const T* x, int64_t n, int64_t k, Key<T> flip) {
    constexpr int W = kW<T>;
    Vec<Key<T>> most[L / W] = {};
    for (int64_t i = 0; i + L <= n; i += L) {
        RL_UNROLL
        for (int v = 0; v < L / W; v++) {
            const Vec<Key<T>> keys = ascending_keys(ld(x + i + v * W)) ^ flip;
            most[v] = select(keys > most[v], keys, most[v]);
        }
    }
    Key<T> lanes[L], larger[L] = {}, bar = ~Key<T>(0);
    memcpy(lanes, most, sizeof(lanes));
    for (int a = 0; a < L; a++)
        for (int b = 0; b < L; b++) larger[b] += lanes[a] > lanes[b];
    for (int b = 0; b < L; b++) bar = larger[b] < Key<T>(k) && lanes[b] < bar ? lanes[b] : bar;
    return bar;
}
// 0, which all elements reach, where it would take longer to find more.
template <class T>
Key<T> bar_of(const T* x, int64_t n, int64_t k, Key<T> flip) {
    if (k > 0 && k <= 8 && n >= 64) return bar_of_lanes<16>(x, n, k, flip);
    if (k > 0 && k <= 32 && n >= 512) return bar_of_lanes<64>(x, n, k, flip);
    return 0;
}

// Bits for those of kBlock elements whose keys are above `bar`.
template <class T>
RL_INLINE uint32_t above(const T* x, Key<T> flip, Key<T> bar) {
    constexpr int W = kW<T>;
    uint32_t found = 0;
    RL_UNROLL
    for (int j = 0; j < int(kBlock); j += W)
        found |= lane_bits((ascending_keys(ld(x + j)) ^ flip) > splat(bar)) << j;
    return found;
}

// The k best so far; all better ones are above `worst`.
template <class T>
struct Best {
    Pair<T>* heap;
    int64_t k, count;
    Key<T> worst;

    void make_heap() {
        for (int64_t i = k / 2 - 1; i >= 0; i--) sink<T>(heap, k, i);
        worst = heap[0].key;
    }
    RL_INLINE void offer(Key<T> key, int64_t index) {
        if (key <= worst) return;
        if (count < k) {
            heap[count++] = {key, Key<T>(index)};
            if (count == k) make_heap();
            return;
        }
        heap[0] = {key, Key<T>(index)};
        sink<T>(heap, k, 0);
        worst = heap[0].key;
    }
};

template <class T>
void topk_row(T* values, int64_t* indices, const T* x, int64_t n, int64_t k, Key<T> flip,
              Pair<T>* heap) {
    const auto key_of = [&](int64_t i) { return Key<T>(ascending_key(x[i]) ^ flip); };
    const Key<T> bar = bar_of(x, n, k, flip);
    Best<T> best = {heap, k, 0, bar - 1};
    int64_t i = 0;
    if (bar == 0 && k > 0) {
        for (; i < k; i++) heap[i] = {key_of(i), Key<T>(i)};
        best.count = k;
        best.make_heap();
    }
    for (; i + kBlock <= n; i += kBlock)
        for (uint32_t found = above(x + i, flip, best.worst); found != 0; found &= found - 1) {
            const int64_t j = i + __builtin_ctz(found);
            best.offer(key_of(j), j);
        }
    for (; i < n; i++) best.offer(key_of(i), i);
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
