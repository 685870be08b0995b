// attention.cpp: attention in blocks (Milakov & Gimelshein, 2018; Dao et al., 2022).
//
// A block of 64 query rows meets the keys in blocks of up to 256: the products of such a pair
// (64 KB) are formed, turned into weights and multiplied with the values while they are in cache,
// and then forgotten. Each query carries its largest score so far and the sum of its weights
// relative to it; when a later block raises the maximum, what was summed before is scaled down.
// What is kept for backward is one number per query, the logarithm of its sum, from which the
// weights are computed anew, block by block. A short context's weights are kept themselves.
// Products are turned: a row for each key, a lane for each query. Only a block's queries, and
// backward their gradients, are copied for that; maxima and sums are whole vectors. Under a causal
// mask all products leave out most of the masked half (attention_products.h).
// The scale goes into the exponentials, which are powers of two: 2^(scale log2(e) q k - shift) is
// one multiply-add before the power.
// Backward starts with the last queries: they see the most keys, whose gradients they write, and
// the others add to them. Threads take whole heads.
#include "attention.h"

#include "attention_few.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kQueries = 64, kKeys = 256;  // of a block
constexpr int64_t kShareWork = 750000;         // multiply-adds worth a thread

// Queries of the block that do not see its key j.
int64_t blind(const AttentionCall& call, const Block& block, int64_t j) {
    const int64_t queries = call.causal ? block.first + j - block.begin : 0;
    return queries < 0 ? 0 : min64(queries, block.rows());
}

// A vector of the block's queries, from lane `first` on, in its scores or their gradients.
Column column_of(const AttentionCall& call, const Block& block, float* scores, int64_t first) {
    const int64_t n = block.count;
    const int64_t diagonal = call.causal ? block.begin + first - block.first : n;
    const int64_t all = min64(max64(diagonal + 1, 0), n);
    const int64_t any = min64(max64(diagonal + kW<float>, 0), n);
    return {scores + first, block.lanes(), n, diagonal, all, any};
}

// Calls body(first, queries) for the block's vectors of queries.
template <class Body>
void for_each_column(const Block& block, const Body& body) {
    for_vectors<float>(block.rows(), body);
}

template <class Body>
void for_each_head(const AttentionCall& call, const Body& body) {
    const int64_t work = call.L * call.S * (call.E + call.Ev);
    parallel_for(call.B * call.H, ceil_div(kShareWork, work), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) body(i / call.H, i % call.H);
    });
}

// Calls body(block) for all blocks of a head's queries, from the last to the first.
template <class Body>
void for_each_queries(const AttentionCall& call, int64_t b, int64_t h, const Body& body) {
    for (int64_t i = ceil_div(call.L, kQueries) - 1; i >= 0; i--)
        body(Block{b, h, i * kQueries, min64((i + 1) * kQueries, call.L), 0, 0});
}

// Calls body(block) for the blocks of keys that the queries see.
template <class Body>
void for_each_keys(const AttentionCall& call, Block block, const Body& body) {
    const int64_t keys = visible(call, block.end);
    for (; block.first < keys; block.first += block.count) {
        block.count = min64(kKeys, keys - block.first);
        body(block);
    }
}

// ------------------------------------------------------------------ products
Queries rows_of_queries(const HeadsView& x, const Block& block) {
    return {x.at(block.b, block.h) + block.begin * x.row, x.row, nullptr, block.rows()};
}

Queries pack_queries(const HeadsView& x, int64_t width, const Block& block, ScratchSlot slot) {
    Queries queries = rows_of_queries(x, block);
    if (block.rows() <= kFewQueries) return queries;
    float* const packed = scratch<float>(slot, width * kQueries);
    pack_b(queries.rows, 1, x.row, width, int(block.rows()), int(block.lanes()), packed);
    queries.packed = packed;
    return queries;
}

// Where the weights of the block's queries are kept, if they are.
float* kept_weights(const AttentionCall& call, const Block& block) {
    const int64_t head = block.b * call.H + block.h;
    return call.weights + (head * call.kept_queries() + block.begin) * call.S;
}

// The block's keys (or values) times its queries (or their gradients).
void keys_times_queries(const AttentionCall& call, const Block& block, const HeadsView& y,
                        int64_t width, const Queries& x, float* result) {
    const float* const keys = y.at(block.b, block.h) + block.first * y.row;
    if (x.packed == nullptr)
        return multiply_along(keys, y.row, x.rows, x.row, block.count, block.rows(), width,
                              block.lanes(), result);
    multiply_packed(keys, y.row, x, block.count, width, result,
                    [&](int64_t key) { return blind(call, block, key); });
}

// The weights (or slopes) times queries (or their gradients): rows of keys (or values) of `out`.
void weights_times_queries(const AttentionCall& call, const Block& block, const float* weights,
                           const Queries& x, int64_t width, const HeadsView& out) {
    float* const rows = out.at(block.b, block.h) + block.first * out.row;
    const Factors factors = {weights, block.lanes(), 1, x.rows, x.row, rows, out.row};
    const bool is_last = block.end == call.L;
    multiply_spans(block.count, width, factors, !is_last, [&](int64_t key, int) {
        return Span{blind(call, block, key), block.rows()};
    });
}

// The weights (or slopes) turned back, times values (or keys): rows of queries of `out`.
void turned_times_keys(const AttentionCall& call, const Block& block, const float* weights,
                       const HeadsView& y, int64_t width, const HeadsView& out) {
    const float* const keys = y.at(block.b, block.h) + block.first * y.row;
    float* const rows = out.at(block.b, block.h) + block.begin * out.row;
    const Factors factors = {weights, 1, block.lanes(), keys, y.row, rows, out.row};
    multiply_spans(block.rows(), width, factors, block.first > 0, [&](int64_t r, int height) {
        return Span{0, min64(visible(call, block.begin + r + height) - block.first, block.count)};
    });
}

// Products become scores, as far as the exponentials leave that undone.
void mask_block(const AttentionCall& call, const Block& block, float* products) {
    const AttentionMask& mask = call.mask;
    const float factor = scaling_of(call).products;
    if (factor != 1.0f) multiply_row(products, block.count * block.lanes(), factor);
    if (mask.allowed == nullptr && mask.added == nullptr) return;
    const int64_t start = block.b * mask.batch + block.h * mask.head + block.begin * mask.row +
                          block.first * mask.column;
    for_each_column(block, [&](int64_t first, int queries) {
        mask_column(mask, start + first * mask.row, queries,
                    column_of(call, block, products, first));
    });
}

// ------------------------------------------------------------------ forward
// 1 / sum; a query that has seen nothing gets zeros.
f32v inverse_sum(f32v sum) { return select(sum == f32v{}, f32v{}, 1.0f / sum); }

// The logarithms of the sums are kept.
void store_logarithms(const AttentionCall& call, const Block& block,
                      const Running<kQueries>& running) {
    float* const lse = call.lse + (block.b * call.H + block.h) * call.L + block.begin;
    for_each_column(block, [&](int64_t first, int queries) {
        const f32v sum = ld(running.sum + first);
        const f32v logs = ld(running.largest + first) * kLn2 + vlog(sum);
        store(lse + first, select(sum == f32v{}, splat(kInfinity), logs), queries);
    });
}

// The result becomes relative to the sums of weights.
void finish_rows(const AttentionCall& call, const Block& block, const Running<kQueries>& running) {
    float* const rows = call.out.at(block.b, block.h) + block.begin * call.out.row;
    for_each_column(block, [&](int64_t first, int queries) {
        alignas(64) float factors[kW<float>];
        st(factors, inverse_sum(ld(running.sum + first)));
        for (int r = 0; r < queries; r++)
            multiply_row(rows + (first + r) * call.out.row, call.Ev, factors[r]);
    });
}

// Scores become weights; rows of the result that were summed with larger weights are scaled down.
void weigh_block(const AttentionCall& call, const Block& block, float* scores,
                 Running<kQueries>& running) {
    const float factor = scaling_of(call).exponents;
    float* const rows = call.out.at(block.b, block.h) + block.begin * call.out.row;
    for_each_column(block, [&](int64_t first, int queries) {
        alignas(64) float fading[kW<float>];
        st(fading, running.weigh_column(first, column_of(call, block, scores, first), factor));
        for (int r = 0; r < queries && block.first > 0; r++)
            if (fading[r] != 1.0f)
                multiply_row(rows + (first + r) * call.out.row, call.Ev, fading[r]);
    });
}

void forward_queries(const AttentionCall& call, const Block& queries_block) {
    const Queries queries = pack_queries(call.q, call.E, queries_block, kPanelB);
    const bool keeps = call.weights != nullptr;
    float* const scores = keeps ? kept_weights(call, queries_block)
                                : scratch<float>(kPlane, kQueries * kKeys);
    Running<kQueries> running;
    running.start();
    for_each_keys(call, queries_block, [&](const Block& block) {
        keys_times_queries(call, block, call.k, call.E, queries, scores);
        mask_block(call, block, scores);
        weigh_block(call, block, scores, running);
        for_each_column(block, [&](int64_t first, int) {
            if (keeps)
                multiply_column(column_of(call, block, scores, first),
                                inverse_sum(ld(running.sum + first)));
        });
        turned_times_keys(call, block, scores, call.v, call.Ev, call.out);
    });
    store_logarithms(call, queries_block, running);
    if (!keeps) finish_rows(call, queries_block, running);
}

void forward(const AttentionCall& call) {
    for_each_head(call, [&](int64_t b, int64_t h) {
        for_each_queries(call, b, h, [&](const Block& block) {
            if (block.rows() <= kFewQueries && call.weights == nullptr)
                few_queries(call, block);
            else
                forward_queries(call, block);
        });
    });
}

// ------------------------------------------------------------------ backward
// With P the weights and dP = v gT: dS = P (dP - rowsum(g out)). The sums are the `shifts`.
void slope_block(const AttentionGradCall& call, const Block& block, const float* shifts,
                 float* weights, float* slopes) {
    const AttentionCall& f = call.forward;
    for_each_column(block, [&](int64_t first, int) {
        slope_column(column_of(f, block, weights, first), column_of(f, block, slopes, first),
                     ld(shifts + first), f.scale);
    });
}

// The block's weights, computed anew.
void weigh_block_again(const AttentionCall& call, const Block& block, const Queries& queries,
                       float* weights) {
    const float* const lse = call.lse + (block.b * call.H + block.h) * call.L + block.begin;
    keys_times_queries(call, block, call.k, call.E, queries, weights);
    mask_block(call, block, weights);
    for_each_column(block, [&](int64_t first, int rows) {
        weigh_again(column_of(call, block, weights, first), scaling_of(call).exponents,
                    load(lse + first, rows) * kLog2E);
    });
}

// The sums: of each query's gradient times its result.
void sum_products(const AttentionGradCall& call, const Block& block, float* shifts) {
    const HeadsView &grad = call.grad, &out = call.forward.out;
    for_each_column(block, [&](int64_t first, int queries) {
        const int64_t i = block.begin + first;
        st(shifts + first, dot_rows(grad.at(block.b, block.h) + i * grad.row, grad.row,
                                    out.at(block.b, block.h) + i * out.row, out.row, queries,
                                    call.forward.Ev));
    });
}

void clear_rows(float* rows, int64_t stride, int64_t count, int64_t width) {
    for (int64_t i = 0; i < count; i++) memset(rows + i * stride, 0, size_t(width) * sizeof(float));
}

void backward_queries(const AttentionGradCall& call, const Block& queries_block) {
    const AttentionCall& f = call.forward;
    const bool keeps = f.weights != nullptr;
    float* const weights = keeps ? kept_weights(f, queries_block)
                                 : scratch<float>(kPlane, kQueries * kKeys);
    float* const slopes = scratch<float>(kPlane2, kQueries * kKeys);
    const Queries grads = pack_queries(call.grad, f.Ev, queries_block, kWeights);
    const Queries queries = keeps ? rows_of_queries(f.q, queries_block)
                                  : pack_queries(f.q, f.E, queries_block, kPanelB);
    alignas(64) float shifts[kQueries];
    sum_products(call, queries_block, shifts);
    for_each_keys(f, queries_block, [&](const Block& block) {
        if (!keeps) weigh_block_again(f, block, queries, weights);
        keys_times_queries(f, block, f.v, f.Ev, grads, slopes);
        slope_block(call, block, shifts, weights, slopes);
        weights_times_queries(f, block, weights, grads, f.Ev, call.dv);
        weights_times_queries(f, block, slopes, queries, f.E, call.dk);
        turned_times_keys(f, block, slopes, f.k, f.E, call.dq);
    });
}

void backward_head(const AttentionGradCall& call, int64_t b, int64_t h) {
    const AttentionCall& f = call.forward;
    const HeadsView &dk = call.dk, &dv = call.dv;
    const int64_t seen = visible(f, f.L);
    clear_rows(dk.at(b, h) + seen * dk.row, dk.row, f.S - seen, f.E);
    clear_rows(dv.at(b, h) + seen * dv.row, dv.row, f.S - seen, f.Ev);
    for_each_queries(f, b, h, [&](const Block& block) { backward_queries(call, block); });
}

void backward(const AttentionGradCall& call) {
    for_each_head(call.forward, [&](int64_t b, int64_t h) { backward_head(call, b, h); });
}

}  // namespace

extern const AttentionKernels attention_kernels;
const AttentionKernels attention_kernels = {forward, backward};

}  // namespace RL_ISA
}  // namespace rl
