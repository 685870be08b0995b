// attention.cpp: attention in blocks (Milakov & Gimelshein, 2018; Dao et al., 2022).
//
// A block of 64 query rows meets the keys in blocks of up to 256: the scores of such a pair (64 KB)
// are formed, turned into weights and multiplied with the values while they are in cache, and then
// forgotten. Under a causal mask, where blocks to the right of the diagonal are left out and those
// on it computed whole, it is 32 rows and 512 keys. Each row carries its largest score so far and
// the sum of its weights relative to it; when a later block raises the maximum, what was summed
// before is scaled down. What is kept for backward is one number per row, the logarithm of its sum,
// from which the weights are computed anew, block by block.
// Keys (and values, backward) are packed once per head, the keys times the scale, so that products
// are scores. Backward starts with the last queries: they see the most keys, whose gradients they
// write, and the others add to them. Threads take whole heads.
#include "attention.h"

#include "attention_rows.h"
#include "gemm.h"
#include "parallel.h"
#include "recurrent_panels.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kMostQueries = 64, kFewestKeys = 256;
constexpr int64_t kStep = kTileVecs * kW<float>;  // columns that a product may end at
static_assert(kFewestKeys % (4 * kW<float>) == 0, "blocks of keys start at panels");
constexpr int64_t kShareWork = 750000;  // multiply-adds worth a thread

int64_t queries_of_block(bool causal) { return causal ? kMostQueries / 2 : kMostQueries; }
int64_t keys_of_block(bool causal) { return causal ? 2 * kFewestKeys : kFewestKeys; }

// Rows [begin, end) of the queries, columns [first, first + count) of the keys.
struct Block {
    int64_t b, h;
    int64_t begin, end;
    int64_t first, count;

    int64_t rows() const { return end - begin; }
};

// Columns that the rows before `end` may see, rounded up to where a product may end.
int64_t visible(const AttentionCall& call, int64_t end) {
    if (!call.causal) return call.S;
    return min64(call.S, ceil_div(end, kStep) * kStep);
}

// Columns of the block that row i may see.
int64_t visible_in(const AttentionCall& call, const Block& block, int64_t i) {
    if (!call.causal) return block.count;
    const int64_t count = i + 1 - block.first;
    return count < 0 ? 0 : min64(count, block.count);
}

// Calls body(block, columns) for all pairs of blocks of a head, from the last queries to the first,
// the keys in the inner loop; `columns` is how many keys the queries' block sees.
template <class Body>
void for_each_block(const AttentionCall& call, int64_t b, int64_t h, const Body& body) {
    const int64_t blocks = ceil_div(call.L, queries_of_block(call.causal));
    const int64_t keys = keys_of_block(call.causal);
    for (int64_t i = blocks - 1; i >= 0; i--) {
        const int64_t begin = share(call.L, blocks, i), end = share(call.L, blocks, i + 1);
        const int64_t columns = visible(call, end);
        for (int64_t first = 0; first < columns; first += keys)
            body(Block{b, h, begin, end, first, min64(keys, columns - first)}, columns);
    }
}

template <class Body>
void for_each_head(const AttentionCall& call, const Body& body) {
    const int64_t work = call.L * call.S * (call.E + call.Ev);
    parallel_for(call.B * call.H, ceil_div(kShareWork, work), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) body(i / call.H, i % call.H);
    });
}

// ------------------------------------------------------------------ products
// x * yT for a block, where y's rows were packed as the columns of `panels`.
void rows_times_packed(const Panels<float>& panels, const float* x, int64_t x_row,
                       const Block& block, float* result) {
    const Panels<float> part = {panels.data + block.first * panels.K, panels.K,
                                panels.N - block.first, panels.wide};
    multiply_panels(part, Rows<const float>{x + block.begin * x_row, x_row},
                    Rows<float>{result, block.count}, block.rows(), block.count, false,
                    (const float*)nullptr);
}

Panels<float> pack_rows(const float* rows, int64_t stride, int64_t count, int64_t width,
                        float factor, ScratchSlot slot) {
    const int64_t size = panels_size<float>(width, count);
    float* const memory = scratch<float>(slot, size);
    const Panels<float> panels = pack_panels(rows, 1, stride, width, count, kMostQueries, memory);
    const int64_t packed = ceil_div(count, kW<float>) * kW<float> * width;
    if (factor != 1.0f) multiply_row(memory, packed, factor);
    return panels;
}

void product(int64_t M, int64_t N, int64_t K, const float* a, int64_t a_row, int64_t a_col,
             const float* b, int64_t b_row, float* c, int64_t c_row, bool accumulate) {
    Gemm<float> g;
    g.M = M, g.N = N, g.K = K;
    g.a = a, g.a_row = a_row, g.a_col = a_col;
    g.b = b, g.b_row = b_row, g.b_col = 1;
    g.c = c, g.c_row = c_row;
    g.accumulate = accumulate;
    gemm_one_thread(g);
}

// ------------------------------------------------------------------ rows of scores
// Applies the mask, if there is one, to n scores of row i.
void mask_row(const AttentionMask& mask, const Block& block, int64_t i, float* x, int64_t n) {
    const int64_t start =
        block.b * mask.batch + block.h * mask.head + i * mask.row + block.first * mask.column;
    if (mask.allowed != nullptr) {
        for (int64_t j = 0; j < n; j++)
            x[j] = mask.allowed[start + j * mask.column] ? x[j] : -kInfinity;
    } else if (mask.added != nullptr) {
        for (int64_t j = 0; j < n; j++) x[j] += mask.added[start + j * mask.column];
    }
}

void mask_rows(const AttentionCall& call, const Block& block, float* scores) {
    if (call.mask.allowed == nullptr && call.mask.added == nullptr) return;
    for (int64_t r = 0; r < block.rows(); r++) {
        const int64_t i = block.begin + r;
        mask_row(call.mask, block, i, scores + r * block.count, visible_in(call, block, i));
    }
}

// ------------------------------------------------------------------ forward
// Weights become relative to their sum, whose logarithm is kept.
void finish_rows(const AttentionCall& call, const Block& block,
                 const Running<kMostQueries>& running) {
    const HeadsView& out = call.out;
    for (int64_t r = 0; r < block.rows(); r++) {
        const float sum = running.sum[r];
        float* const row = out.at(block.b, block.h) + (block.begin + r) * out.row;
        multiply_row(row, call.Ev, sum == 0.0f ? 0.0f : 1.0f / sum);
    }
    float* const lse = call.lse + (block.b * call.H + block.h) * call.L + block.begin;
    for_vectors<float>(block.rows(), [&](int64_t r, int m) {
        const f32v sum = load(running.sum + r, m);
        const f32v logs = load(running.largest + r, m) + vlog(sum);
        store(lse + r, select(sum == f32v{}, splat(kInfinity), logs), m);
    });
}

void forward_head(const AttentionCall& call, int64_t b, int64_t h) {
    const Panels<float> keys =
        pack_rows(call.k.at(b, h), call.k.row, call.S, call.E, call.scale, kPanelB);
    float* const scores = scratch<float>(kPlane, kMostQueries * kFewestKeys);
    Running<kMostQueries> running;
    for_each_block(call, b, h, [&](const Block& block, int64_t columns) {
        if (block.first == 0) running.start();
        float* const out = call.out.at(b, h) + block.begin * call.out.row;
        rows_times_packed(keys, call.q.at(b, h), call.q.row, block, scores);
        mask_rows(call, block, scores);
        running.weigh_rows(
            scores, block.rows(), block.count,
            [&](int64_t r) { return visible_in(call, block, block.begin + r); },
            [&](int64_t r, float factor) {
                if (block.first > 0) multiply_row(out + r * call.out.row, call.Ev, factor);
            });
        product(block.rows(), call.Ev, block.count, scores, block.count, 1,
                call.v.at(b, h) + block.first * call.v.row, call.v.row, out, call.out.row,
                block.first > 0);
        if (block.first + block.count == columns) finish_rows(call, block, running);
    });
}

void forward(const AttentionCall& call) {
    for_each_head(call, [&](int64_t b, int64_t h) { forward_head(call, b, h); });
}

// ------------------------------------------------------------------ backward
// With P the weights and dP = g vT: dS = P (dP - rowsum(g out)).
void grad_block(const AttentionGradCall& call, const Block& block, float* scores, float* slopes) {
    const AttentionCall& f = call.forward;
    const float* const lse = f.lse + (block.b * f.H + block.h) * f.L;
    const float* const out = f.out.at(block.b, block.h);
    const float* const grad = call.grad.at(block.b, block.h);
    mask_rows(f, block, scores);
    for (int64_t r = 0; r < block.rows(); r++) {
        const int64_t i = block.begin + r, n = visible_in(f, block, i);
        const float shift = dot_rows(grad + i * call.grad.row, out + i * f.out.row, f.Ev);
        slope_row(scores + r * block.count, slopes + r * block.count, n, block.count, lse[i],
                  shift, f.scale);
    }
}

void clear_rows(float* rows, int64_t stride, int64_t count, int64_t width) {
    for (int64_t i = 0; i < count; i++) memset(rows + i * stride, 0, size_t(width) * sizeof(float));
}

void backward_head(const AttentionGradCall& call, int64_t b, int64_t h) {
    const AttentionCall& f = call.forward;
    const float *q = f.q.at(b, h), *k = f.k.at(b, h), *grad = call.grad.at(b, h);
    float *dq = call.dq.at(b, h), *dk = call.dk.at(b, h), *dv = call.dv.at(b, h);
    const Panels<float> keys = pack_rows(k, f.k.row, f.S, f.E, f.scale, kPanelB);
    const Panels<float> values = pack_rows(f.v.at(b, h), f.v.row, f.S, f.Ev, 1.0f, kWeights);
    float* const weights = scratch<float>(kPlane, kMostQueries * kFewestKeys);
    float* const slopes = scratch<float>(kPlane2, kMostQueries * kFewestKeys);
    const int64_t seen = visible(f, f.L);
    clear_rows(dk + seen * call.dk.row, call.dk.row, f.S - seen, f.E);
    clear_rows(dv + seen * call.dv.row, call.dv.row, f.S - seen, f.Ev);
    for_each_block(f, b, h, [&](const Block& block, int64_t) {
        const int64_t rows = block.rows(), n = block.count;
        const bool is_last = block.end == f.L;
        rows_times_packed(keys, q, f.q.row, block, weights);
        rows_times_packed(values, grad, call.grad.row, block, slopes);
        grad_block(call, block, weights, slopes);
        product(n, f.Ev, rows, weights, 1, n, grad + block.begin * call.grad.row, call.grad.row,
                dv + block.first * call.dv.row, call.dv.row, !is_last);
        product(n, f.E, rows, slopes, 1, n, q + block.begin * f.q.row, f.q.row,
                dk + block.first * call.dk.row, call.dk.row, !is_last);
        product(rows, f.E, n, slopes, n, 1, k + block.first * f.k.row, f.k.row,
                dq + block.begin * call.dq.row, call.dq.row, block.first > 0);
    });
}

void backward(const AttentionGradCall& call) {
    for_each_head(call.forward, [&](int64_t b, int64_t h) { backward_head(call, b, h); });
}

}  // namespace

extern const AttentionKernels attention_kernels;
const AttentionKernels attention_kernels = {forward, backward};

}  // namespace RL_ISA
}  // namespace rl
