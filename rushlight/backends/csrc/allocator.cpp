// The caching allocator.
//
// A training step makes the same temporaries as the step before. Handing their memory back to the
// system and touching fresh pages again costs more than most kernels, so freed blocks are kept in
// free lists and handed out again. Sizes are rounded up to classes, eight per power of two, so that
// a block fits every request of its class. In front of each block stands one cache line with its
// class: frees and reallocations need not be told the size (NumPy may report a stale one).
//
// The cache is bounded. Small blocks (up to 64 KiB) may hold up to 1/8 of the limit; large blocks
// stand in a list ordered by the time of their release, and when the limit is passed the oldest
// go back to the system, so that a change of workload cannot fill the cache with useless sizes.
//
// Blocks of 256 KiB to 16 MiB are cut one behind the other from regions of 64 MiB, for which huge
// pages are asked: the arrays of a model then lie close together, and walking over them takes a
// fifth less time than with pages of 4 KiB. Such a block goes back to the system by its pages; its
// addresses wait for the next request of its class. Blocks start 1,536 bytes apart, modulo 4 KiB:
// if a result began one vector behind an operand, processors would take each load for one of what was
// just stored, as the lowest 12 bits agree, and wait for it (exp 27 to 86 us). Larger blocks are
// mappings of their own, which the system puts side by side: at the same place in a huge page each,
// arrays that are walked together would get in each other's way.
//
// One mutex guards everything; it is held for a few instructions. Around fork() it is taken, so
// that a child never inherits it locked by a thread it does not have.
#include "allocator.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace rl {
namespace {

constexpr size_t kHeader = 64;
constexpr size_t kSmallest = 64;
constexpr size_t kLargeBlock = 64 << 10;   // from here on blocks are in the age list
constexpr size_t kCutBlock = 256 << 10;    // from here on blocks are cut from regions
constexpr size_t kMappedBlock = 16 << 20;  // from here on blocks are mappings of their own
constexpr size_t kRegion = 64 << 20;
constexpr size_t kApart = 1536 - kHeader;  // behind a block that is cut from a region
constexpr int kClasses = 8 * 48;

struct Block {  // lies in the 64 bytes in front of the data
    size_t capacity;
    int32_t size_class;
    int32_t in_use;
    Block* next;   // in the free list of the class
    Block* previous;
    Block* newer;  // in the age list
    Block* older;
};
static_assert(sizeof(Block) <= kHeader, "the header is one cache line");

struct Cache {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    Block* free_list[kClasses] = {};
    Block* newest = nullptr;
    Block* oldest = nullptr;
    Block* without_pages[kClasses] = {};  // addresses of blocks whose pages went back
    char* region = nullptr;               // what is left of the region that is being cut up
    char* region_end = nullptr;
    uint64_t cached_small = 0;
    uint64_t cached_large = 0;
    uint64_t limit = 0;
    uint64_t current = 0;
    uint64_t peak = 0;
    uint64_t reused = 0;
    uint64_t fresh = 0;
};
Cache cache;

class Locked {
  public:
    Locked() { pthread_mutex_lock(&cache.mutex); }
    ~Locked() { pthread_mutex_unlock(&cache.mutex); }
};

// The class of a size: its power of two and the eighth of it. Class 0 holds up to 64 bytes.
int class_of(size_t size) {
    if (size <= kSmallest) return 0;
    const int log2 = 63 - __builtin_clzll(size - 1);          // 2^log2 <= size-1 < 2^(log2+1)
    const int eighth = int(((size - 1) >> (log2 - 3)) & 7);   // 0..7
    return 8 * (log2 - 6) + eighth + 1;
}

// The largest size of the class.
size_t capacity_of(int size_class) {
    if (size_class == 0) return kSmallest;
    const int log2 = (size_class - 1) / 8 + 6;
    const int eighth = (size_class - 1) % 8;
    return (size_t(8 + eighth + 1)) << (log2 - 3);
}

size_t page_bytes() {
    static const size_t bytes = size_t(sysconf(_SC_PAGESIZE));
    return bytes;
}

void* data_of(Block* block) { return reinterpret_cast<char*>(block) + kHeader; }
Block* block_of(void* data) { return reinterpret_cast<Block*>(static_cast<char*>(data) - kHeader); }

// A mapping for which huge pages are asked; null if there is none.
char* map_memory(size_t bytes) {
    void* memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
#if defined(MADV_HUGEPAGE)
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return static_cast<char*>(memory);
}

// The next `bytes` of the region; the mutex is held.
void* cut(size_t bytes) {
    if (size_t(cache.region_end - cache.region) < bytes) {
        char* region = map_memory(kRegion);
        if (region == nullptr) return nullptr;
        cache.region = region;
        cache.region_end = region + kRegion;
    }
    void* memory = cache.region;
    cache.region += bytes;
    return memory;
}

bool is_cut(const Block* block) {
    return block->capacity >= kCutBlock && block->capacity < kMappedBlock;
}

Block* system_alloc(int size_class, size_t capacity, bool* zeroed) {
    void* memory = nullptr;
    *zeroed = capacity >= kCutBlock;
    if (capacity < kCutBlock) {
        if (posix_memalign(&memory, 64, kHeader + capacity) != 0) return nullptr;
    } else if (capacity < kMappedBlock) {
        Locked lock;
        Block*& waiting = cache.without_pages[size_class];
        if (waiting != nullptr) {
            Block* block = waiting;
            waiting = block->next;
            *zeroed = false;
            return block;
        }
        memory = cut(kHeader + capacity + kApart);
    } else {
        memory = map_memory(kHeader + capacity);
    }
    if (memory == nullptr) return nullptr;
    Block* block = static_cast<Block*>(memory);
    block->capacity = capacity;
    block->size_class = size_class;
    return block;
}

// Gives back the pages that lie wholly in the block, behind its header.
void return_pages(Block* block) {
    const uintptr_t page = page_bytes(), begin = uintptr_t(block) + kHeader;
    const uintptr_t first = (begin + page - 1) & ~(page - 1);
    const uintptr_t last = (begin + block->capacity) & ~(page - 1);
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
    Locked lock;
    Block*& waiting = cache.without_pages[block->size_class];
    block->next = waiting;
    waiting = block;
}

void system_free(Block* block) {
    if (is_cut(block))
        return_pages(block);
    else if (block->capacity < kCutBlock)
        free(block);
    else
        munmap(block, kHeader + block->capacity);
}

bool is_large(const Block* block) { return block->capacity >= kLargeBlock; }

// The four list operations; the mutex is held.
void push(Block* block) {
    Block*& head = cache.free_list[block->size_class];
    block->previous = nullptr;
    block->next = head;
    if (head != nullptr) head->previous = block;
    head = block;
    if (!is_large(block)) {
        cache.cached_small += block->capacity;
        return;
    }
    cache.cached_large += block->capacity;
    block->newer = nullptr;
    block->older = cache.newest;
    (cache.newest != nullptr ? cache.newest->newer : cache.oldest) = block;
    cache.newest = block;
}

void unlink(Block* block) {
    Block*& head = cache.free_list[block->size_class];
    (block->previous != nullptr ? block->previous->next : head) = block->next;
    if (block->next != nullptr) block->next->previous = block->previous;
    if (!is_large(block)) {
        cache.cached_small -= block->capacity;
        return;
    }
    cache.cached_large -= block->capacity;
    (block->newer != nullptr ? block->newer->older : cache.newest) = block->older;
    (block->older != nullptr ? block->older->newer : cache.oldest) = block->newer;
}

Block* pop(int size_class) {
    Block* block = cache.free_list[size_class];
    if (block != nullptr) unlink(block);
    return block;
}

// Takes the oldest large blocks out until the cache fits its limit; the caller frees the chain.
Block* evict(uint64_t limit) {
    Block* chain = nullptr;
    while (cache.cached_large > limit && cache.oldest != nullptr) {
        Block* block = cache.oldest;
        unlink(block);
        block->next = chain;
        chain = block;
    }
    return chain;
}

void free_chain(Block* chain) {
    while (chain != nullptr) {
        Block* next = chain->next;
        system_free(chain);
        chain = next;
    }
}

void lock_before_fork() { pthread_mutex_lock(&cache.mutex); }
void unlock_after_fork() { pthread_mutex_unlock(&cache.mutex); }

// 1 GiB or a quarter of the machine's memory, whichever is less.
uint64_t default_limit() {
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page = sysconf(_SC_PAGESIZE);
    const uint64_t gigabyte = uint64_t(1) << 30;
    const bool known = pages > 0 && page > 0;
    const uint64_t quarter = known ? uint64_t(pages) * uint64_t(page) / 4 : gigabyte;
    return quarter < gigabyte ? quarter : gigabyte;
}

const bool prepared = [] {
    cache.limit = default_limit();
    pthread_atfork(lock_before_fork, unlock_after_fork, unlock_after_fork);
    return true;
}();

// A block of at least `size` bytes. `fresh` tells whether its pages are new, hence zero.
void* allocate(size_t size, bool* zeroed) {
    const int size_class = class_of(size);
    if (size_class >= kClasses) return nullptr;
    const size_t capacity = capacity_of(size_class);
    Block* block;
    {
        Locked lock;
        block = pop(size_class);
        cache.reused += block != nullptr;
        cache.fresh += block == nullptr;
    }
    *zeroed = false;
    if (block == nullptr) block = system_alloc(size_class, capacity, zeroed);
    if (block == nullptr) {
        empty_cache();
        block = system_alloc(size_class, capacity, zeroed);
        if (block == nullptr) return nullptr;
    }
    block->in_use = 1;
    Locked lock;
    cache.current += capacity;
    if (cache.current > cache.peak) cache.peak = cache.current;
    return data_of(block);
}

}  // namespace

void* cached_alloc(size_t size) {
    bool zeroed;
    return allocate(size, &zeroed);
}

void* cached_calloc(size_t size) {
    bool zeroed;
    void* memory = allocate(size, &zeroed);
    if (memory != nullptr && !zeroed) memset(memory, 0, size);
    return memory;
}

void cached_free(void* memory) {
    if (memory == nullptr) return;
    Block* block = block_of(memory);
    if (block->in_use != 1) abort();  // freed twice: the lists would be corrupt from here on
    block->in_use = 0;
    Block* chain = nullptr;
    {
        Locked lock;
        cache.current -= block->capacity;
        if (is_large(block) || cache.cached_small + block->capacity <= cache.limit / 8) {
            push(block);
            chain = evict(cache.limit);
        } else {
            block->next = nullptr;
            chain = block;
        }
    }
    free_chain(chain);
}

void* cached_realloc(void* memory, size_t size) {
    if (memory == nullptr) return cached_alloc(size);
    const size_t capacity = block_of(memory)->capacity;
    // Shrinking to less than half gives the surplus back.
    if (size <= capacity && size > capacity / 2) return memory;
    void* moved = cached_alloc(size);
    if (moved == nullptr) return nullptr;
    memcpy(moved, memory, size < capacity ? size : capacity);
    cached_free(memory);
    return moved;
}

MemoryStats memory_stats() {
    Locked lock;
    return {cache.current, cache.peak,   cache.cached_small + cache.cached_large,
            cache.limit,   cache.reused, cache.fresh};
}

void reset_peak_memory() {
    Locked lock;
    cache.peak = cache.current;
}

void set_cache_limit(uint64_t bytes) {
    Block* chain;
    {
        Locked lock;
        cache.limit = bytes;
        chain = evict(bytes);
    }
    free_chain(chain);
}

void empty_cache() {
    Block* chain;
    {
        Locked lock;
        chain = evict(0);
        for (int size_class = 0; size_class < kClasses; size_class++) {
            while (Block* block = pop(size_class)) {
                block->next = chain;
                chain = block;
            }
        }
    }
    free_chain(chain);
}

// The C library's own answer, sysconf, is for all of a machine's caches on some processors.
int64_t processor_cache_bytes() {
    static const int64_t bytes = [] {
        constexpr int64_t usual = 32 << 20;
        FILE* file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r");
        if (file == nullptr) return usual;
        long kilobytes = 0;
        const bool read = fscanf(file, "%ldK", &kilobytes) == 1 && kilobytes >= 1024;
        fclose(file);
        return read ? int64_t(kilobytes) << 10 : usual;
    }();
    return bytes;
}

}  // namespace rl
