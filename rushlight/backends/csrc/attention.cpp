// attention.cpp: attention in blocks (Milakov & Gimelshein, 2018; Dao et al., 2022).
//
// A block of 64 query rows meets the keys in blocks of up to 256: the products of such a pair
// (64 KB) are formed, turned into weights and multiplied with the values while they are in cache,
// and then forgotten. Each row carries its largest score so far and the sum of its weights relative
// to it; when a later block raises the maximum, what was summed before is scaled down. What is kept
// for backward is one number per row, the logarithm of its sum, from which the weights are computed
// anew, block by block. Under a causal mask all products leave out most of the masked half
// (attention_products.h).
// Keys (and values, backward) are packed once per head. The scale goes into the exponentials, which
// are powers of two: 2^(scale log2(e) q k - shift) is one multiply-add before the power.
// Backward starts with the last queries: they see the most keys, whose gradients they write, and
// the others add to them. Threads take whole heads.
#include "attention.h"

#include "attention_products.h"
#include "attention_rows.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kQueries = 64, kKeys = 256;  // of a block
static_assert(kKeys % (4 * kW<float>) == 0, "blocks of keys start at panels");
constexpr int64_t kShareWork = 750000;  // multiply-adds worth a thread

// Rows [begin, end) of the queries, columns [first, first + count) of the keys.
struct Block {
    int64_t b, h;
    int64_t begin, end;
    int64_t first, count;

    int64_t rows() const { return end - begin; }
    int64_t stride() const { return row_stride(count); }
};

// Columns that the rows before `end` may see.
int64_t visible(const AttentionCall& call, int64_t end) {
    return call.causal ? min64(call.S, end) : call.S;
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
    const int64_t blocks = ceil_div(call.L, kQueries);
    for (int64_t i = blocks - 1; i >= 0; i--) {
        const int64_t begin = share(call.L, blocks, i), end = share(call.L, blocks, i + 1);
        const int64_t columns = visible(call, end);
        for (int64_t first = 0; first < columns; first += kKeys)
            body(Block{b, h, begin, end, first, min64(kKeys, columns - first)}, columns);
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
// What a product of query and key is multiplied by: before it becomes a score, and after, to become
// an exponent of two. What is added to scores, and a largest score, need the scale first.
struct Scaling {
    float keys, exponents;
};
Scaling scaling_of(const AttentionCall& call) {
    if (call.scale > 0.0f && call.mask.added == nullptr) return {1.0f, call.scale * kLog2E};
    return {call.scale, kLog2E};
}

Panels<float> pack_rows(const float* rows, int64_t stride, int64_t count, int64_t width,
                        float factor, ScratchSlot slot) {
    const int64_t size = panels_size<float>(width, count);
    float* const memory = scratch<float>(slot, size);
    const Panels<float> panels = pack_panels(rows, 1, stride, width, count, kQueries, memory);
    const int64_t packed = ceil_div(count, kW<float>) * kW<float> * width;
    if (factor != 1.0f) multiply_row(memory, packed, factor);
    return panels;
}

// The block's rows of x times the keys or values that `panels` holds as columns.
void rows_times_packed(const AttentionCall& call, const Panels<float>& panels, const float* x,
                       int64_t x_row, const Block& block, float* result) {
    multiply_by_columns(panels, block.first, Rows<const float>{x + block.begin * x_row, x_row},
                        Rows<float>{result, block.stride()}, block.rows(), [&](int64_t r) {
                            return visible_in(call, block, block.begin + r);
                        });
}

// The block's weights (or slopes) times rows of y, a row for each key: into rows of queries.
void weights_times_rows(const AttentionCall& call, const Block& block, const float* weights,
                        const float* y, int64_t y_row, int64_t width, float* out,
                        int64_t out_row) {
    const Factors factors = {weights, block.stride(), 1, y + block.first * y_row, y_row,
                             out + block.begin * out_row, out_row};
    multiply_spans(block.rows(), width, factors, block.first > 0, [&](int64_t r, int height) {
        return Span{0, visible_in(call, block, block.begin + r + height - 1)};
    });
}

// The weights turned, times rows of x, a row for each query: into rows of keys.
void turned_times_rows(const AttentionCall& call, const Block& block, const float* weights,
                       const float* x, int64_t x_row, int64_t width, float* out,
                       int64_t out_row) {
    const Factors factors = {weights, 1, block.stride(), x + block.begin * x_row, x_row,
                             out + block.first * out_row, out_row};
    const bool is_last = block.end == call.L;
    multiply_spans(block.count, width, factors, !is_last, [&](int64_t key, int) {
        const int64_t blind = call.causal ? block.first + key - block.begin : 0;
        return Span{min64(blind < 0 ? 0 : blind, block.rows()), block.rows()};
    });
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
        mask_row(call.mask, block, i, scores + r * block.stride(), visible_in(call, block, i));
    }
}

// ------------------------------------------------------------------ forward
// Weights become relative to their sum, whose logarithm is kept.
void finish_rows(const AttentionCall& call, const Block& block, const Running<kQueries>& running) {
    alignas(64) float factors[kQueries];
    float* const lse = call.lse + (block.b * call.H + block.h) * call.L + block.begin;
    for_vectors<float>(block.rows(), [&](int64_t r, int m) RL_LAMBDA_INLINE {
        const f32v sum = load(running.sum + r, m);
        const f32v logs = load(running.largest + r, m) * kLn2 + vlog(sum);
        store(lse + r, select(sum == f32v{}, splat(kInfinity), logs), m);
        store(factors + r, select(sum == f32v{}, f32v{}, 1.0f / sum), m);
    });
    float* const rows = call.out.at(block.b, block.h) + block.begin * call.out.row;
    for (int64_t r = 0; r < block.rows(); r++)
        multiply_row(rows + r * call.out.row, call.Ev, factors[r]);
}

void forward_head(const AttentionCall& call, int64_t b, int64_t h) {
    const Scaling scaling = scaling_of(call);
    const Panels<float> keys =
        pack_rows(call.k.at(b, h), call.k.row, call.S, call.E, scaling.keys, kPanelB);
    float* const scores = scratch<float>(kPlane, kQueries * kKeys);
    float* const out = call.out.at(b, h);
    Running<kQueries> running;
    for_each_block(call, b, h, [&](const Block& block, int64_t columns) {
        if (block.first == 0) running.start();
        rows_times_packed(call, keys, call.q.at(b, h), call.q.row, block, scores);
        mask_rows(call, block, scores);
        running.weigh_rows(
            scores, block.rows(), block.stride(), scaling.exponents,
            [&](int64_t r) { return visible_in(call, block, block.begin + r); },
            [&](int64_t r, float by) {
                if (block.first > 0)
                    multiply_row(out + (block.begin + r) * call.out.row, call.Ev, by);
            });
        weights_times_rows(call, block, scores, call.v.at(b, h), call.v.row, call.Ev, out,
                           call.out.row);
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
    const float factor = scaling_of(f).exponents;
    const int64_t stride = block.stride();
    mask_rows(f, block, scores);
    for (int64_t r = 0; r < block.rows(); r++) {
        const int64_t i = block.begin + r, n = visible_in(f, block, i);
        const float shift = dot_rows(grad + i * call.grad.row, out + i * f.out.row, f.Ev);
        slope_row(scores + r * stride, slopes + r * stride, n, stride, factor, lse[i] * kLog2E,
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
    const Panels<float> keys =
        pack_rows(k, f.k.row, f.S, f.E, scaling_of(f).keys, kPanelB);
    const Panels<float> values = pack_rows(f.v.at(b, h), f.v.row, f.S, f.Ev, 1.0f, kWeights);
    float* const weights = scratch<float>(kPlane, kQueries * kKeys);
    float* const slopes = scratch<float>(kPlane2, kQueries * kKeys);
    const int64_t seen = visible(f, f.L);
    clear_rows(dk + seen * call.dk.row, call.dk.row, f.S - seen, f.E);
    clear_rows(dv + seen * call.dv.row, call.dv.row, f.S - seen, f.Ev);
    for_each_block(f, b, h, [&](const Block& block, int64_t) {
        rows_times_packed(f, keys, q, f.q.row, block, weights);
        rows_times_packed(f, values, grad, call.grad.row, block, slopes);
        grad_block(call, block, weights, slopes);
        turned_times_rows(f, block, weights, grad, call.grad.row, f.Ev, dv, call.dv.row);
        turned_times_rows(f, block, slopes, q, f.q.row, f.E, dk, call.dk.row);
        weights_times_rows(f, block, slopes, k, f.k.row, f.E, dq, call.dq.row);
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
