// recurrent.h: one recurrent layer in one direction over a whole sequence, forward and backward.
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

enum class RnnMode { tanh, relu, lstm, gru };

// Gate blocks of H columns in the weights and in `gates`.
static inline int64_t gate_blocks(RnnMode mode) {
    return mode == RnnMode::lstm ? 4 : mode == RnnMode::gru ? 3 : 1;
}

// Where the rows of a sequence lie. Element n of step t is row first_row[t] + n * item_stride of
// x, out, gates and cells, for n < sizes[t]: this covers (T, N), (N, T) and packed data. Sizes do
// not grow with t. The walk is over t = 0, 1, ... or, with `reverse`, backwards.
struct Steps {
    int64_t count;
    int64_t batch;
    const int64_t* sizes;
    const int64_t* first_row;
    int64_t item_stride;
    int64_t rows;  // all of them
    bool reverse;
};

// I input columns, H hidden ones, G gate blocks. Null: h0 and c0 count as zeros, biases are absent.
template <class T>
struct RnnForward {
    RnnMode mode;
    Steps steps;
    int64_t I, H;
    const T* x;          // (rows, I)
    const T *h0, *c0;    // (batch, H)
    const T *weight_ih;  // (G H, I)
    const T *weight_hh;  // (G H, H)
    const T *bias_ih, *bias_hh;
    T* out;            // (rows, H)
    T *h_last, *c_last;  // (batch, H)
    T* gates;          // (rows, G H): the gates' values, for backward; rnn: the same as out
    T* cells;          // (rows, H): lstm: c; gru: W_hn h + b_hn; else null
    T* workspace;      // forward_workspace() numbers
};

template <class T>
struct RnnBackward {
    RnnForward<T> forward;  // its outputs are inputs here
    const T *grad_out, *grad_h, *grad_c;  // may be null
    T* dx;                                // null: not needed
    T *dh0, *dc0;                         // always computed; dc0 is null unless lstm
    T *dweight_ih, *dweight_hh;           // null: not needed
    T *dbias_ih, *dbias_hh;
    T* workspace;  // backward_workspace() numbers
};

template <class T>
struct RnnFunctions {
    void (*forward)(const RnnForward<T>&);
    void (*backward)(const RnnBackward<T>&);
    int64_t (*forward_workspace)(const RnnForward<T>&);
    int64_t (*backward_workspace)(const RnnForward<T>&);
};

struct RecurrentKernels {
    RnnFunctions<float> f32;
    RnnFunctions<double> f64;
};

}  // namespace rl

RL_DECLARE_KERNELS(RecurrentKernels, recurrent_kernels)
