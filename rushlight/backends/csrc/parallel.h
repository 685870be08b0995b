// parallel.h: parallel_for over a pool of our own threads.
//
//     parallel_for(rows, grain, [&](int64_t begin, int64_t end) { ... });
//
// calls the body on disjoint ranges of about equal size that cover [0, rows), each of about `grain`
// items or more: choose the grain such that a range is worth 10 microseconds or more. With
// rows < 2 * grain, with one thread, or inside another parallel_for the body runs at once on the
// calling thread. The body must not throw and must not call Python.
#pragma once

#include <stdint.h>

namespace rl {

typedef void (*RangeBody)(void* context, int64_t begin, int64_t end);

void run_parallel(int64_t n, int64_t grain, RangeBody body, void* context);
bool would_run_parallel(int64_t n, int64_t grain);

int num_threads();
void set_num_threads(int n);

// `static` keeps each instruction set's copy of this template to itself.
template <class Body>
static inline void parallel_for(int64_t n, int64_t grain, const Body& body) {
    if (n <= grain) {
        if (n > 0) body(int64_t(0), n);
        return;
    }
    RangeBody call = [](void* context, int64_t begin, int64_t end) {
        (*static_cast<const Body*>(context))(begin, end);
    };
    run_parallel(n, grain, call, const_cast<Body*>(&body));
}

}  // namespace rl
