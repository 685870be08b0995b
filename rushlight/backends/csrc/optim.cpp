// Optimizer steps.
//
// All parameters of a group are one job: their elements count as one long row, which is cut into pieces of
// 32,768, so that many small parameters cost no more than a large one. Every array is read and written
// once. A parameter whose gradient has become zero has moments that decay for ever into denormal
// numbers, which are many times slower; they are flushed to zero here (the processor's mode is set for
// the piece and put back).
#include "optim.h"

#include <math.h>

#include "lanes.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kPiece = 32768;
constexpr int64_t kSerialPieces = 4;  // below 131,072 elements a second thread does not pay

// Denormal results and operands count as zero while this object lives.
class FlushDenormals {
  public:
#if defined(__x86_64__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t(1) << 24)));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

  private:
    uint64_t before_;
#endif
};

// Calls piece(range, begin, end) for pieces that cover all ranges, in parallel when there are many.
template <class Piece>
void for_each_piece(const OptimRange* ranges, int count, const Piece& piece) {
    int64_t pieces = 0;
    for (int i = 0; i < count; i++) pieces += (ranges[i].n + kPiece - 1) / kPiece;
    int64_t elements = 0;
    for (int i = 0; i < count; i++) elements += ranges[i].n;
    const int64_t grain = elements < kSerialPieces * kPiece ? pieces : 1;
    parallel_for(pieces, grain, [&](int64_t first, int64_t last) {
        FlushDenormals flush;
        int64_t index = 0;
        for (int i = 0; i < count && index < last; i++) {
            for (int64_t begin = 0; begin < ranges[i].n; begin += kPiece, index++) {
                if (index < first || index >= last) continue;
                const int64_t end = begin + kPiece < ranges[i].n ? begin + kPiece : ranges[i].n;
                piece(ranges[i], begin, end);
            }
        }
    });
}

template <class T, bool has_momentum>
void sgd_piece(const OptimRange& range, int64_t begin, int64_t end, const SgdSettings& s) {
    T* RL_RESTRICT p = static_cast<T*>(range.param);
    const T* RL_RESTRICT grad = static_cast<const T*>(range.grad);
    T* RL_RESTRICT buffer = static_cast<T*>(range.first);
    const T lr = T(s.lr), decay = T(s.weight_decay), sign = s.maximize ? T(-1) : T(1);
    const T momentum = s.first_step ? T(0) : T(s.momentum);
    const T fresh = s.first_step ? T(1) : T(1 - s.dampening);
    const T look_ahead = T(s.momentum);
    const bool nesterov = s.nesterov, first = s.first_step;
    for (int64_t i = begin; i < end; i++) {
        T g = sign * grad[i] + decay * p[i];
        if (has_momentum) {
            // On the first step the buffer may hold anything, NaN included.
            const T old = first ? T(0) : buffer[i];
            const T m = momentum * old + fresh * g;
            buffer[i] = m;
            g = nesterov ? g + look_ahead * m : m;
        }
        p[i] -= lr * g;
    }
}

template <class T>
void sgd(const OptimRange* ranges, int count, const SgdSettings& s) {
    const auto piece = s.momentum != 0 ? sgd_piece<T, true> : sgd_piece<T, false>;
    for_each_piece(ranges, count, [&](const OptimRange& range, int64_t begin, int64_t end) {
        piece(range, begin, end, s);
    });
}

template <class T>
void adam_piece(const OptimRange& range, int64_t begin, int64_t end, const AdamSettings& s) {
    T* p = static_cast<T*>(range.param);
    const T* grad = static_cast<const T*>(range.grad);
    T* mean = static_cast<T*>(range.first);
    T* square = static_cast<T*>(range.second);
    T* largest = s.amsgrad ? static_cast<T*>(range.largest) : nullptr;
    const T sign = s.maximize ? T(-1) : T(1);
    const T shrink = s.decoupled ? T(1 - s.lr * s.weight_decay) : T(1);
    const T decay = s.decoupled ? T(0) : T(s.weight_decay);
    const T take1 = T(1 - s.beta1), keep2 = T(s.beta2), take2 = T(1 - s.beta2), eps = T(s.eps);
    const T step_size = T(s.lr / (1 - pow(s.beta1, range.step)));
    const T root_scale = T(1 / sqrt(1 - pow(s.beta2, range.step)));
    for_vectors<T>(end - begin, [&](int64_t offset, int m) {
        const int64_t i = begin + offset;
        const Vec<T> weight = load(p + i, m) * shrink;
        const Vec<T> g = sign * load(grad + i, m) + decay * weight;
        Vec<T> first = load(mean + i, m);
        first = first + take1 * (g - first);
        Vec<T> second = keep2 * load(square + i, m) + take2 * (g * g);
        store(mean + i, first, m);
        store(square + i, second, m);
        if (largest != nullptr) {
            second = vmax(load(largest + i, m), second);
            store(largest + i, second, m);
        }
        const Vec<T> root = vsqrt(second) * root_scale + eps;
        store(p + i, weight - step_size * (first / root), m);
    });
}

template <class T>
void adam(const OptimRange* ranges, int count, const AdamSettings& s) {
    for_each_piece(ranges, count, [&](const OptimRange& range, int64_t begin, int64_t end) {
        adam_piece<T>(range, begin, end, s);
    });
}

}  // namespace

extern const OptimKernels optim_kernels = {sgd<float>, sgd<double>, adam<float>, adam<double>};

}  // namespace RL_ISA
}  // namespace rl
