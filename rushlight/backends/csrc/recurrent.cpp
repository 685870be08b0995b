// recurrent.cpp: RNN, LSTM and GRU over a whole sequence in one call.
//
// Forward: one product gives the input's part of all gates of all steps (of long sequences of a few
// numbers, each step makes its own). Then the walk: per step a small product of the states with the
// packed weights, added to that part where it lies, and one pass over the gates (recurrent_gates.h).
// Backward walks the other way and leaves the gradients
// of all gates behind, from which two products over all steps at once make the weights' gradients
// and a third the input's. Sequences of a batch do not meet within the walk, so that threads take
// shares of the batch and run through all steps without waiting for each other.
#include "recurrent.h"

#include "gemm_shallow.h"
#include "parallel.h"
#include "recurrent_gates.h"
#include "recurrent_panels.h"

namespace rl {
namespace RL_ISA {
namespace {

// Multiply-adds that make a thread's share worthwhile: about 30 microseconds.
constexpr int64_t kShareWork = 1500000;

void run_matmul(const MatmulCall<float>& call) { gemm_kernels.matmul_f32(call); }
void run_matmul(const MatmulCall<double>& call) { gemm_kernels.matmul_f64(call); }

// A matrix by its strides.
template <class T>
struct Strided {
    const T* data;
    int64_t row, col;
};

// c (M x N, contiguous) = a * b + bias, where bias is a row or null; on all threads.
template <class T>
void product(int64_t M, int64_t N, int64_t K, Strided<T> a, Strided<T> b, const T* bias, T* c) {
    MatmulCall<T> call = {};
    call.batch = 1;
    call.M = M, call.N = N, call.K = K;
    call.a = a.data, call.a_row = a.row, call.a_col = a.col;
    call.b = b.data, call.b_row = b.row, call.b_col = b.col;
    call.c = c;
    call.col_bias = bias;
    run_matmul(call);
}

// ------------------------------------------------------------------ the walk
// The k-th step of a walk, for the share [begin, end) of the batch.
struct Moment {
    int64_t begin, end;    // the elements that are present
    int64_t known;         // [begin, known) come from the step before, [known, end) from h0
    int64_t row, before;   // first_row of this step and of the step before
};

Moment moment_of(const Steps& s, int64_t k, int64_t begin, int64_t end) {
    const int64_t t = s.reverse ? s.count - 1 - k : k;
    const int64_t t_before = k == 0 ? t : s.reverse ? t + 1 : t - 1;
    Moment m = {begin, min64(end, s.sizes[t]), begin, s.first_row[t], s.first_row[t_before]};
    if (m.end < begin) m.end = begin;
    if (k > 0) m.known = min64(m.end, s.sizes[t_before]);
    if (m.known < begin) m.known = begin;
    return m;
}

// Row n of `rows` at the step before, or of the initial state (which may be null).
template <class T>
const T* state_before(const Steps& s, const Moment& m, int64_t n, const T* rows, const T* initial,
                      int64_t H) {
    if (n < m.known) return rows + (m.before + n * s.item_stride) * H;
    return initial != nullptr ? initial + n * H : nullptr;
}

// Calls body(begin, end) for shares of the batch, one per thread: every share reads all weights.
template <class T, class Body>
void for_each_share(const RnnForward<T>& call, const Body& body) {
    const int64_t columns = gate_blocks(call.mode) * call.H;
    const int64_t work = call.steps.count * columns * (call.H + 32);
    const int64_t fair = call.steps.batch / num_threads();
    parallel_for(call.steps.batch, max64(ceil_div(kShareWork, work), fair), body);
}

template <class T>
void fill_rows(T* rows, int64_t count, int64_t columns, const T* row) {
    for (int64_t i = 0; i < count; i++, rows += columns) {
        if (row != nullptr)
            memcpy(rows, row, size_t(columns) * sizeof(T));
        else
            memset(rows, 0, size_t(columns) * sizeof(T));
    }
}

// ------------------------------------------------------------------ forward
// A narrow input's part of the gates costs less to make than to write and read back once the gates
// of all steps are more than the near caches hold: then each step makes its own.
constexpr int64_t kNearBytes = 1 << 20;

template <class T>
bool makes_own_part(const RnnForward<T>& call) {
    const int64_t gates = call.steps.rows * gate_blocks(call.mode) * call.H;
    return call.I > 0 && call.I <= kShallow && gates * int64_t(sizeof(T)) > kNearBytes;
}

// The input's part of the gates of one step: `weight_ih` turned, (I, G H), and the biases.
template <class T>
void start_gates(const RnnForward<T>& call, const Moment& m, const T* turned, const T* bias) {
    const int64_t columns = gate_blocks(call.mode) * call.H, stride = call.steps.item_stride;
    const int64_t first = m.row + m.begin * stride;
    Gemm<T> g = {};
    g.M = m.end - m.begin, g.N = columns, g.K = call.I;
    g.a = call.x + first * call.I, g.a_row = stride * call.I, g.a_col = 1;
    g.b = turned, g.b_row = columns, g.b_col = 1;
    g.c = call.gates + first * columns, g.c_row = stride * columns;
    g.col_bias = bias;
    multiply_shallow(g);
}

// The states' part of the gates: added to `gates`, or for the GRU put into `hidden`, as its n
// needs the two parts apart.
template <class T>
void add_states(const RnnForward<T>& call, const Panels<T>& weights, const Moment& m, T* hidden) {
    const int64_t H = call.H, columns = weights.N, stride = call.steps.item_stride;
    const bool is_gru = call.mode == RnnMode::gru;
    const Rows<T> sums = is_gru ? Rows<T>{hidden + m.begin * columns, columns}
                                : Rows<T>{call.gates + (m.row + m.begin * stride) * columns,
                                          stride * columns};
    const T* const bias = is_gru ? call.bias_hh : nullptr;
    const Rows<const T> known = {call.out + (m.before + m.begin * stride) * H, stride * H};
    multiply_panels(weights, known, sums, m.known - m.begin, columns, !is_gru, bias);
    const Rows<T> rest = {sums.data + (m.known - m.begin) * sums.stride, sums.stride};
    if (call.h0 != nullptr)
        multiply_panels(weights, Rows<const T>{call.h0 + m.known * H, H}, rest, m.end - m.known,
                        columns, !is_gru, bias);
    else if (is_gru)
        fill_rows(rest.data, m.end - m.known, columns, bias);
}

template <class T>
void finish_row(const RnnForward<T>& call, const Moment& m, int64_t n, const T* hidden) {
    const Steps& s = call.steps;
    const int64_t H = call.H, row = m.row + n * s.item_stride;
    T* const h = call.out + row * H;
    switch (call.mode) {
        case RnnMode::tanh: return tanh_row(h, H);
        case RnnMode::relu: return relu_row(h, H);
        case RnnMode::lstm:
            return lstm_row(call.gates + row * 4 * H, state_before(s, m, n, call.cells, call.c0, H),
                            call.cells + row * H, h, H);
        case RnnMode::gru:
            return gru_row(call.gates + row * 3 * H, hidden + n * 3 * H,
                           state_before(s, m, n, call.out, call.h0, H), call.cells + row * H, h, H);
    }
}

// The rows of each sequence's last step, in the order of the walk.
template <class T>
void copy_last(const Steps& s, const T* rows, T* last, int64_t H) {
    int64_t t = s.reverse ? 0 : s.count - 1;
    for (int64_t n = 0; n < s.batch; n++) {
        while (s.sizes[t] <= n) t--;
        memcpy(last + n * H, rows + (s.first_row[t] + n * s.item_stride) * H, size_t(H) * sizeof(T));
    }
}

template <class T>
int64_t forward_workspace(const RnnForward<T>& call) {
    const int64_t columns = gate_blocks(call.mode) * call.H;
    const int64_t hidden = call.mode == RnnMode::gru ? call.steps.batch * columns : 0;
    const int64_t turned = makes_own_part(call) ? call.I * columns : 0;
    return panels_size<T>(call.H, columns) + columns + turned + hidden;
}

template <class T>
void forward(const RnnForward<T>& call) {
    const Steps& s = call.steps;
    const int64_t H = call.H, I = call.I, columns = gate_blocks(call.mode) * H;
    T* const bias = call.workspace + panels_size<T>(H, columns);
    T* const turned = bias + columns;
    T* const hidden = turned + (makes_own_part(call) ? I * columns : 0);
    const bool is_gru = call.mode == RnnMode::gru;
    for (int64_t j = 0; j < columns; j++)
        bias[j] = (call.bias_ih ? call.bias_ih[j] : T(0)) +
                  (call.bias_hh && !is_gru ? call.bias_hh[j] : T(0));
    if (makes_own_part(call))
        for (int64_t j = 0; j < columns * I; j++)
            turned[j % I * columns + j / I] = call.weight_ih[j];
    else
        product<T>(s.rows, columns, I, {call.x, I, 1}, {call.weight_ih, 1, I}, bias, call.gates);
    const Panels<T> weights =
        pack_panels(call.weight_hh, 1, H, H, columns, s.batch, call.workspace);
    for_each_share(call, [&](int64_t begin, int64_t end) {
        for (int64_t k = 0; k < s.count; k++) {
            const Moment m = moment_of(s, k, begin, end);
            if (makes_own_part(call)) start_gates(call, m, turned, bias);
            add_states(call, weights, m, hidden);
            for (int64_t n = m.begin; n < m.end; n++) finish_row(call, m, n, hidden);
        }
    });
    copy_last(s, call.out, call.h_last, H);
    if (call.mode == RnnMode::lstm) copy_last(s, call.cells, call.c_last, H);
}

// ------------------------------------------------------------------ backward
// What the walk back leaves behind, a row per step and sequence.
template <class T>
struct GateGrads {
    T* sums;      // (rows, G H): gradients of the input's part of the gates
    T* hidden;    // of the states' part; the same memory unless GRU
    T* h_before;  // (rows, H): the states that the steps began with
};

template <class T>
void grad_row(const RnnBackward<T>& call, const GateGrads<T>& grads, const Moment& m, int64_t n) {
    const RnnForward<T>& f = call.forward;
    const Steps& s = f.steps;
    const int64_t H = f.H, row = m.row + n * s.item_stride, columns = gate_blocks(f.mode) * H;
    T* const dsums = grads.sums + row * columns;
    T* const dh = call.dh0 + n * H;
    const T* const h = f.out + row * H;
    const T* const grad_out = call.grad_out != nullptr ? call.grad_out + row * H : nullptr;
    const T* const h_before = state_before(s, m, n, f.out, f.h0, H);
    fill_rows(grads.h_before + row * H, 1, H, h_before);
    switch (f.mode) {
        case RnnMode::tanh: return tanh_grad_row(dsums, h, dh, grad_out, H);
        case RnnMode::relu: return relu_grad_row(dsums, h, dh, grad_out, H);
        case RnnMode::lstm:
            return lstm_grad_row(dsums, f.gates + row * columns, h,
                                 state_before(s, m, n, f.cells, f.c0, H), dh, grad_out,
                                 call.dc0 + n * H, H);
        case RnnMode::gru:
            return gru_grad_row(dsums, grads.hidden + row * columns, f.gates + row * columns,
                                f.cells + row * H, h_before, dh, grad_out, H);
    }
}

template <class T>
void start_carry(T* carry, const T* grad, int64_t count) {
    if (grad != nullptr)
        memcpy(carry, grad, size_t(count) * sizeof(T));
    else
        memset(carry, 0, size_t(count) * sizeof(T));
}

// dh0 and dc0 carry the states' gradients from step to step. An element that is absent keeps what
// it has: before its sequence is met that is the gradient of its last state, afterwards that of
// its first.
template <class T>
void walk_back(const RnnBackward<T>& call, const GateGrads<T>& grads, const Panels<T>& weights) {
    const RnnForward<T>& f = call.forward;
    const Steps& s = f.steps;
    const int64_t H = f.H, columns = weights.K;
    start_carry(call.dh0, call.grad_h, s.batch * H);
    if (f.mode == RnnMode::lstm) start_carry(call.dc0, call.grad_c, s.batch * H);
    for_each_share(f, [&](int64_t begin, int64_t end) {
        for (int64_t k = s.count - 1; k >= 0; k--) {
            const Moment m = moment_of(s, k, begin, end);
            for (int64_t n = m.begin; n < m.end; n++) grad_row(call, grads, m, n);
            if (k == 0 && f.h0 == nullptr) break;  // nobody asks for the gradient of zeros
            const Rows<const T> sums = {grads.hidden + (m.row + begin * s.item_stride) * columns,
                                        s.item_stride * columns};
            multiply_panels<T>(weights, sums, Rows<T>{call.dh0 + begin * H, H}, m.end - begin, H,
                               f.mode == RnnMode::gru, nullptr);
        }
    });
}

// Adds the column sums of some rows to `sums`, and those of the rows times their factors to
// `products`; without factors only the sums. Several vectors at once, as additions wait.
template <class T, int Vectors, class Access>
RL_INLINE void sum_block(const T* block, int64_t count, int64_t columns, const T* factors, T* sums,
                         T* products, Access at) {
    constexpr int W = kW<T>;
    Vec<T> sum[Vectors] = {}, product[Vectors] = {};
    for (int64_t i = 0; i < count; i++, block += columns) {
        const Vec<T> factor = splat(factors != nullptr ? factors[i] : T(0));
        RL_UNROLL
        for (int v = 0; v < Vectors; v++) {
            const Vec<T> x = at.load(block + v * W);
            sum[v] += x;
            product[v] += factor * x;
        }
    }
    for (int v = 0; v < Vectors; v++) {
        at.store(sums + v * W, at.load(sums + v * W) + sum[v]);
        if (factors != nullptr)
            at.store(products + v * W, at.load(products + v * W) + product[v]);
    }
}

// In blocks of rows, which keeps the rounding errors of long sequences apart.
template <class T>
void sum_rows(const T* values, int64_t rows, int64_t columns, const T* factors, T* sums,
              T* products) {
    constexpr int64_t kBlock = 128, kPanel = 4 * kW<T>;
    memset(sums, 0, size_t(columns) * sizeof(T));
    if (factors != nullptr) memset(products, 0, size_t(columns) * sizeof(T));
    for (int64_t first = 0; first < rows; first += kBlock) {
        const int64_t count = min64(kBlock, rows - first);
        const T* const block = values + first * columns;
        const T* const block_factors = factors != nullptr ? factors + first : nullptr;
        int64_t j = 0;
        for (; j + kPanel <= columns; j += kPanel)
            sum_block<T, 4>(block + j, count, columns, block_factors, sums + j, products + j,
                            WholeVector{});
        for_each_vector<T>(columns - j, [&](int64_t v, auto at) RL_LAMBDA_INLINE {
            sum_block<T, 1>(block + j + v, count, columns, block_factors, sums + j + v,
                            products + j + v, at);
        });
    }
}

template <class T>
int64_t backward_workspace(const RnnForward<T>& call) {
    const int64_t columns = gate_blocks(call.mode) * call.H;
    const int64_t gate_grads = call.steps.rows * columns * (call.mode == RnnMode::gru ? 2 : 1);
    return panels_size<T>(columns, call.H) + gate_grads + call.steps.rows * call.H;
}

// The input is one number per row: its weights' gradients come with those of the biases.
template <class T>
bool joins_biases(const RnnBackward<T>& call) {
    return call.forward.I == 1 && call.dweight_ih != nullptr && call.dbias_ih != nullptr;
}

template <class T>
void bias_grads(const RnnBackward<T>& call, const GateGrads<T>& grads, int64_t columns) {
    const int64_t rows = call.forward.steps.rows;
    const T* const factors = joins_biases(call) ? call.forward.x : nullptr;
    if (call.dbias_ih != nullptr)
        sum_rows(grads.sums, rows, columns, factors, call.dbias_ih, call.dweight_ih);
    if (call.dbias_hh == nullptr) return;
    if (call.dbias_ih != nullptr && grads.hidden == grads.sums)
        memcpy(call.dbias_hh, call.dbias_ih, size_t(columns) * sizeof(T));
    else
        sum_rows<T>(grads.hidden, rows, columns, nullptr, call.dbias_hh, nullptr);
}

template <class T>
void backward(const RnnBackward<T>& call) {
    const RnnForward<T>& f = call.forward;
    const int64_t H = f.H, I = f.I, rows = f.steps.rows, columns = gate_blocks(f.mode) * H;
    GateGrads<T> grads;
    grads.sums = call.workspace + panels_size<T>(columns, H);
    grads.hidden = f.mode == RnnMode::gru ? grads.sums + rows * columns : grads.sums;
    grads.h_before = grads.hidden + rows * columns;
    const Panels<T> weights =
        pack_panels(f.weight_hh, H, 1, columns, H, f.steps.batch, call.workspace);
    walk_back(call, grads, weights);
    if (call.dx != nullptr)
        product<T>(rows, I, columns, {grads.sums, columns, 1}, {f.weight_ih, I, 1}, nullptr,
                   call.dx);
    if (call.dweight_ih != nullptr && !joins_biases(call))
        product<T>(columns, I, rows, {grads.sums, 1, columns}, {f.x, I, 1}, nullptr,
                   call.dweight_ih);
    if (call.dweight_hh != nullptr)
        product<T>(columns, H, rows, {grads.hidden, 1, columns}, {grads.h_before, H, 1}, nullptr,
                   call.dweight_hh);
    bias_grads(call, grads, columns);
}

template <class T>
constexpr RnnFunctions<T> functions = {forward<T>, backward<T>, forward_workspace<T>,
                                       backward_workspace<T>};

}  // namespace

extern const RecurrentKernels recurrent_kernels;
const RecurrentKernels recurrent_kernels = {functions<float>, functions<double>};

}  // namespace RL_ISA
}  // namespace rl
