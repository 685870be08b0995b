// races.cpp: the thread pool and the allocator used by several threads at once, for `scripts/sanitize
// thread`, which builds it with ThreadSanitizer (an uninstrumented Python would hide what it sees).
//
// Prints "ok" if every sum is right; a data race ends it with the sanitizer's report.
#include <stdio.h>

#include <atomic>
#include <thread>
#include <vector>

#include "allocator.h"
#include "parallel.h"

namespace {

constexpr int kCallers = 4;
constexpr int kRounds = 400;
constexpr int64_t kItems = 4096;

// Fills `values` in a parallel loop and adds them up in this thread: both directions of the hand-over.
bool sum_is_right(int64_t* values, int64_t start) {
    rl::parallel_for(kItems, 64, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) values[i] = start + i;
    });
    int64_t total = 0;
    for (int64_t i = 0; i < kItems; i++) total += values[i];
    return total == kItems * start + kItems * (kItems - 1) / 2;
}

// Memory that one thread has filled is freed by whichever thread comes next.
std::atomic<int64_t*> left_behind{nullptr};

bool round(int caller, int number) {
    if (caller == 0) rl::set_num_threads(1 + number % 5);
    if (caller == 1 && number % 50 == 0) rl::empty_cache();
    auto* values = static_cast<int64_t*>(rl::cached_alloc(kItems * sizeof(int64_t)));
    const bool right = values != nullptr && sum_is_right(values, caller * 1000 + number);
    rl::cached_free(left_behind.exchange(values));
    return right && rl::memory_stats().current > 0;
}

}  // namespace

int main() {
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < kCallers; caller++) {
        callers.emplace_back([&wrong, caller] {
            for (int number = 0; number < kRounds; number++) wrong += !round(caller, number);
        });
    }
    for (std::thread& caller : callers) caller.join();
    rl::cached_free(left_behind.exchange(nullptr));
    rl::empty_cache();
    if (wrong != 0 || rl::memory_stats().current != 0) {
        printf("%d wrong sums, %llu bytes still in use\n", wrong.load(),
               static_cast<unsigned long long>(rl::memory_stats().current));
        return 1;
    }
    printf("ok\n");
    return 0;
}
