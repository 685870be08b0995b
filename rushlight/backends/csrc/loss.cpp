// Loss kernels.
//
// The negative log-likelihood touches one number per sample, so it is a plain loop; sums are formed in
// double precision. The squared distance runs over four vector accumulators, added up in double every 1,024
// elements.
#include "loss.h"

#include <string.h>

#include "parallel.h"
#include "vec.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kBlock = 1024;
constexpr int64_t kGrain = 1 << 16;

template <class T>
bool nll(const T* logp, const int64_t* target, const T* weight, int64_t ignore_index, int64_t batch,
         int64_t classes, int64_t inner, T* each, double* sum, double* total_weight) {
    double loss = 0, total = 0;
    for (int64_t b = 0; b < batch; b++) {
        for (int64_t i = 0; i < inner; i++) {
            const int64_t t = target[b * inner + i];
            T term = 0;
            if (t != ignore_index) {
                if (t < 0 || t >= classes) return false;
                const T w = weight ? weight[t] : T(1);
                total += w;
                term = w != 0 ? -w * logp[(b * classes + t) * inner + i] : T(0);
            }
            loss += term;
            if (each) each[b * inner + i] = term;
        }
    }
    *sum = loss;
    *total_weight = total;
    return true;
}

template <class T>
bool nll_grad(T* out, const T* grad, int64_t grad_stride, const int64_t* target, const T* weight,
              int64_t ignore_index, int64_t batch, int64_t classes, int64_t inner, double divisor) {
    memset(out, 0, size_t(batch * classes * inner) * sizeof(T));
    for (int64_t b = 0; b < batch; b++) {
        for (int64_t i = 0; i < inner; i++) {
            const int64_t t = target[b * inner + i];
            if (t == ignore_index) continue;
            if (t < 0 || t >= classes) return false;
            const T w = weight ? weight[t] : T(1);
            if (w != 0)
                out[(b * classes + t) * inner + i] =
                    -w * grad[(b * inner + i) * grad_stride] / T(divisor);
        }
    }
    return true;
}

template <class T>
double squared_distance(const T* x, const T* y, int64_t n) {
    constexpr int W = kW<T>;
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
        const int64_t end = begin + kBlock < n ? begin + kBlock : n;
        Vec<T> sum[4] = {};
        int64_t i = begin;
        for (; i + 4 * W <= end; i += 4 * W) {
            for (int k = 0; k < 4; k++) {
                const Vec<T> d = ld(x + i + k * W) - ld(y + i + k * W);
                sum[k] += d * d;
            }
        }
        for (; i < end; i += W) {
            const int m = int(end - i < W ? end - i : W);
            const Vec<T> d = ldn(x + i, m) - ldn(y + i, m);
            sum[0] += d * d;
        }
        total += hsum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    return total;
}

template <class T>
void scaled_difference(T* out, const T* x, const T* y, double scale, int64_t n) {
    const T s = T(scale);
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) out[i] = s * (x[i] - y[i]);
    });
}

}  // namespace

extern const LossKernels loss_kernels = {
    {nll<float>, nll_grad<float>, squared_distance<float>, scaled_difference<float>},
    {nll<double>, nll_grad<double>, squared_distance<double>, scaled_difference<double>},
};

}  // namespace RL_ISA
}  // namespace rl
