// Gathering, scattering and adding up by number; elements and positions where a mask holds.
//
// The binding walks over three arrays of one shape: the values, the numbers, and x, whose stride is
// 0 along the indexed axis. A run is the innermost axis of that walk. When the number is the same
// all along the run (index_step == 0), the run is a piece of one row and is copied or added whole;
// otherwise every element looks its number up. Additions into one element happen in the order of
// the walk, so that results do not depend on the number of threads: the binding splits the walk
// only along axes where x moves. add_rows splits by target rows instead: every thread reads all
// numbers, which is little beside the rows, and adds those of its own range.
#include "index.h"

#include <string.h>

#include "parallel.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGrain = 1 << 15;  // elements added by one thread
// Numbers hop about in x, whose lines the processor cannot foresee: those of the next run are asked
// for meanwhile, unless they would be gone again before their turn; and so are numbers to come,
// this many bytes ahead.
constexpr int64_t kFarthestRun = 64 << 10, kFetchedNumbers = 2048, kLineBytes = 64;

// A number outside makes one of the two differences negative; wrapping around cannot hide it.
bool within(const int64_t* indices, int64_t n, int64_t low, int64_t high) {
    uint64_t signs = 0;
    for (int64_t i = 0; i < n; i++)
        signs |= (uint64_t(indices[i]) - uint64_t(low)) |
                 (uint64_t(high) - 1 - uint64_t(indices[i]));
    return (signs >> 63) == 0;
}

// A negative number counts from the end, unless it is known that there is none.
template <bool wraps>
RL_INLINE int64_t number_at(const char* indices, int64_t axis_size) {
    int64_t number;
    memcpy(&number, indices, sizeof(number));
    return wraps ? number + (number >> 63 & axis_size) : number;
}

struct Item16 {
    uint64_t half[2];
};

// Calls move(value, x) with the offsets of every pair of elements. The common steps are constants
// of the loop: numbers and values side by side, and x indexed along neighbours or along another
// axis.
template <class T, bool wraps, class Move>
RL_INLINE void each_known_pair(const char* indices, const char* x, int64_t n, const IndexRun& run,
                               const Move& move) {
    constexpr int64_t item = sizeof(T), number = sizeof(int64_t);
    const int64_t size = run.axis_size, stride = run.axis_stride, x_step = run.x_step;
    const int64_t value_step = run.value_step, index_step = run.index_step;
    if (index_step == 0) {
        const int64_t start = number_at<wraps>(indices, size) * stride;
        for (int64_t i = 0; i < n; i++) move(i * value_step, start + i * x_step);
    } else if (index_step == number && value_step == item && stride == item && x_step == 0) {
        constexpr int64_t together = kLineBytes / item;
        const bool fetches = run.next_x > 0 && run.next_x <= kFarthestRun;
        int64_t i = 0;
        for (; i + together <= n && fetches; i += together) {
            __builtin_prefetch(x + run.next_x + i * item);
            for (int64_t k = 0; k < together * number; k += kLineBytes)
                __builtin_prefetch(indices + i * number + k + kFetchedNumbers);
            RL_UNROLL
            for (int64_t k = i; k < i + together; k++)
                move(k * item, number_at<wraps>(indices + k * number, size) * item);
        }
        for (; i < n; i++) move(i * item, number_at<wraps>(indices + i * number, size) * item);
    } else if (index_step == number && value_step == item && x_step == item) {
        for (int64_t i = 0; i < n; i++)
            move(i * item, number_at<wraps>(indices + i * number, size) * stride + i * item);
    } else {
        for (int64_t i = 0; i < n; i++)
            move(i * value_step,
                 number_at<wraps>(indices + i * index_step, size) * stride + i * x_step);
    }
}

template <class T, class Move>
RL_INLINE void each_pair(const char* indices, const char* x, int64_t n, const IndexRun& run,
                         const Move& move) {
    if (run.is_checked)
        each_known_pair<T, false>(indices, x, n, run, move);
    else
        each_known_pair<T, true>(indices, x, n, run, move);
}

template <class T>
void take_items(char* values, const char* indices, const char* x, int64_t n, const IndexRun& run) {
    if (run.index_step == 0 && run.x_step == int64_t(sizeof(T)) && run.value_step == run.x_step) {
        x += number_at<true>(indices, run.axis_size) * run.axis_stride;
        memcpy(values, x, size_t(n) * sizeof(T));
        return;
    }
    each_pair<T>(indices, x, n, run, [&](int64_t to, int64_t from) RL_LAMBDA_INLINE {
        memcpy(values + to, x + from, sizeof(T));
    });
}

template <class T>
void put_items(const char* values, const char* indices, char* x, int64_t n, const IndexRun& run) {
    if (run.index_step == 0 && run.x_step == int64_t(sizeof(T)) && run.value_step == 0) {
        x += number_at<true>(indices, run.axis_size) * run.axis_stride;
        T value;
        memcpy(&value, values, sizeof(T));
        for (int64_t i = 0; i < n; i++) reinterpret_cast<T*>(x)[i] = value;
        return;
    }
    if (run.index_step == 0 && run.x_step == int64_t(sizeof(T)) && run.value_step == run.x_step) {
        x += number_at<true>(indices, run.axis_size) * run.axis_stride;
        memcpy(x, values, size_t(n) * sizeof(T));
        return;
    }
    each_pair<T>(indices, x, n, run, [&](int64_t from, int64_t to) RL_LAMBDA_INLINE {
        memcpy(x + to, values + from, sizeof(T));
    });
}

void take(char* values, const char* indices, const char* x, int64_t n, const IndexRun& run,
          int64_t item) {
    switch (item) {
        case 1: return take_items<uint8_t>(values, indices, x, n, run);
        case 2: return take_items<uint16_t>(values, indices, x, n, run);
        case 4: return take_items<uint32_t>(values, indices, x, n, run);
        case 8: return take_items<uint64_t>(values, indices, x, n, run);
        default: return take_items<Item16>(values, indices, x, n, run);
    }
}

void put(const char* values, const char* indices, char* x, int64_t n, const IndexRun& run,
         int64_t item) {
    switch (item) {
        case 1: return put_items<uint8_t>(values, indices, x, n, run);
        case 2: return put_items<uint16_t>(values, indices, x, n, run);
        case 4: return put_items<uint32_t>(values, indices, x, n, run);
        case 8: return put_items<uint64_t>(values, indices, x, n, run);
        default: return put_items<Item16>(values, indices, x, n, run);
    }
}

// Integers wrap around, as PyTorch's do.
RL_INLINE float plus(float a, float b) { return a + b; }
RL_INLINE double plus(double a, double b) { return a + b; }
RL_INLINE int64_t plus(int64_t a, int64_t b) { return int64_t(uint64_t(a) + uint64_t(b)); }

template <class T>
void add(const char* values, const char* indices, char* x, int64_t n, const IndexRun& run) {
    if (run.index_step == 0 && run.x_step == int64_t(sizeof(T))) {
        const int64_t start = number_at<true>(indices, run.axis_size) * run.axis_stride;
        T* RL_RESTRICT row = reinterpret_cast<T*>(x + start);
        const T* more = reinterpret_cast<const T*>(values);
        if (run.value_step == int64_t(sizeof(T))) {
            for (int64_t i = 0; i < n; i++) row[i] = plus(row[i], more[i]);
            return;
        }
        if (run.value_step == 0) {
            for (int64_t i = 0; i < n; i++) row[i] = plus(row[i], more[0]);
            return;
        }
    }
    each_pair<T>(indices, x, n, run, [&](int64_t from, int64_t to) RL_LAMBDA_INLINE {
        T* target = reinterpret_cast<T*>(x + to);
        *target = plus(*target, *reinterpret_cast<const T*>(values + from));
    });
}

// ------------------------------------------------------------------ masks
int64_t count(const uint8_t* mask, int64_t n) {
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += mask[i] != 0;
    return total;
}

// Every place is written and kept if the mask holds there: no branch to be guessed wrong.
template <class Out, class Value>
RL_INLINE void keep_where(Out* out, const uint8_t* mask, int64_t count, const Value& value) {
    for (int64_t i = 0, kept = 0; kept < count; i++) {
        out[kept] = value(i);
        kept += mask[i] != 0;
    }
}

void positions(int64_t* out, const uint8_t* mask, int64_t count, int64_t start) {
    keep_where(out, mask, count, [&](int64_t i) RL_LAMBDA_INLINE { return start + i; });
}

template <class T>
void compress_items(char* out, const char* x, const uint8_t* mask, int64_t count) {
    const T* from = reinterpret_cast<const T*>(x);
    keep_where(reinterpret_cast<T*>(out), mask, count,
               [&](int64_t i) RL_LAMBDA_INLINE { return from[i]; });
}

void compress(char* out, const char* x, const uint8_t* mask, int64_t count, int64_t item) {
    switch (item) {
        case 1: return compress_items<uint8_t>(out, x, mask, count);
        case 2: return compress_items<uint16_t>(out, x, mask, count);
        case 4: return compress_items<uint32_t>(out, x, mask, count);
        case 8: return compress_items<uint64_t>(out, x, mask, count);
        default: return compress_items<Item16>(out, x, mask, count);
    }
}

template <class T>
void add_row(T* RL_RESTRICT row, const T* from, T scale, int64_t width) {
    for (int64_t j = 0; j < width; j++) row[j] += scale * from[j];
}

template <class T>
void add_rows(T* out, const T* table, const int64_t* from, const int64_t* to, const T* scale,
              int64_t n, int64_t count, int64_t width) {
    const int64_t rows_per_grain = 1 + kGrain * count / (n * width + 1);
    parallel_for(count, rows_per_grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = 0; i < n; i++) {
            if (to[i] < begin || to[i] >= end) continue;
            add_row(out + to[i] * width, table + from[i] * width, scale ? scale[i] : T(1), width);
        }
    });
}

}  // namespace

extern const IndexKernels index_kernels = {
    within,      take,         put,           add<float>, add<double>,
    add<int64_t>, count,        positions,   compress,   add_rows<float>, add_rows<double>,
};

}  // namespace RL_ISA
}  // namespace rl
