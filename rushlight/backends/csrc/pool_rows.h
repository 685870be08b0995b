// pool_rows.h: maxima and sums of windows two columns and more apart, channels first.
//
// Sorting a plane's columns by their remainder modulo the stride would take longer than the windows.
// Instead all rows that a row of the output sees are folded into one line, padded at both ends.
// With strides of two to four, as most have, and windows that do not overlap, registers full of the
// line are permuted so that a vector has one tap of all its windows. Other windows are folded for
// neighbours in the line, as if the stride were one, and every stride-th of the results is kept.
#pragma once

#include "pool_window.h"

namespace rl {
namespace RL_ISA {
namespace {

struct FoldMaxima {
    static constexpr float none = -INFINITY;
    static f32v fold(f32v value, f32v best) { return vmax(value, best); }
};
struct FoldSums {
    static constexpr float none = 0.0f;
    static f32v fold(f32v value, f32v sum) { return sum + value; }
};

// Step vectors side by side, of which lanes First, First + Step, … are kept: where those of vector
// P (the second operand) belong in the result; the other lanes are those of the first operand.
template <int W, int Step, int First, int P, int J, int... I>
struct KeptLanes {
    static constexpr int from = (J - 1) * Step + First;
    typedef typename KeptLanes<W, Step, First, P, J - 1,
                               from / W == P ? W + from % W : J - 1, I...>::type type;
};
template <int W, int Step, int First, int P, int... I>
struct KeptLanes<W, Step, First, P, 0, I...> {
    typedef Lanes<I...> type;
};

template <int Step, int First, int P = 0>
RL_INLINE f32v keep_every(const f32v* vectors, f32v kept = f32v{}) {
    if constexpr (P < Step) {
        constexpr int W = kW<float>;
        kept = shuffle(kept, vectors[P], typename KeptLanes<W, Step, First, P, W>::type{});
        return keep_every<Step, First, P + 1>(vectors, kept);
    }
    return kept;
}

// Folds taps Tap .. KW - 1, fewer than Step, of as many windows as a vector holds.
template <class Fold, int Step, int Tap>
RL_INLINE f32v fold_taps(const f32v* vectors, int64_t KW, f32v folded) {
    if constexpr (Tap < Step) {
        if (Tap >= KW) return folded;
        folded = Fold::fold(keep_every<Step, Tap>(vectors), folded);
        return fold_taps<Fold, Step, Tap + 1>(vectors, KW, folded);
    }
    return folded;
}

template <class Fold, int Step>
void fold_columns(const PoolShape& s, const float* line, float* out) {
    constexpr int W = kW<float>;
    const bool overlap = s.KW > Step || s.dil_w > 1;
    for (int64_t ox = 0; ox < s.OW; ox += W, line += W * Step) {
        f32v vectors[Step], folded;
        RL_UNROLL
        for (int p = 0; p < Step; p++) {
            vectors[p] = ld(line + p * W);
            for (int64_t kx = 1; overlap && kx < s.KW; kx++)
                vectors[p] = Fold::fold(ld(line + p * W + kx * s.dil_w), vectors[p]);
        }
        folded = keep_every<Step, 0>(vectors);
        if (!overlap) folded = fold_taps<Fold, Step, 1>(vectors, s.KW, folded);
        if (ox + W <= s.OW)
            st(out + ox, folded);
        else
            stn(out + ox, folded, int(s.OW - ox));
    }
}

template <class Fold>
void fold_columns(const PoolShape& s, const float* line, float* out) {
    if (s.stride_w == 2) return fold_columns<Fold, 2>(s, line, out);
    if (s.stride_w == 3) return fold_columns<Fold, 3>(s, line, out);
    if (s.stride_w == 4) return fold_columns<Fold, 4>(s, line, out);
    float* windows = scratch<float>(kPlane2, s.OW * s.stride_w + kW<float>);
    for (int64_t x = 0; x <= (s.OW - 1) * s.stride_w; x += kW<float>) {
        f32v folded = ld(line + x);
        for (int64_t kx = 1; kx < s.KW; kx++)
            folded = Fold::fold(ld(line + x + kx * s.dil_w), folded);
        st(windows + x, folded);
    }
    for (int64_t ox = 0; ox < s.OW; ox++) out[ox] = windows[ox * s.stride_w];
}

// Folds a row into the line, or begins the line with it.
template <class Fold>
void fold_row(const float* row, int64_t n, bool begins, float* line) {
    constexpr int W = kW<float>;
    const int64_t whole = n / W * W;
    const int rest = int(n - whole);
    for (int64_t x = 0; x < whole; x += W)
        st(line + x, Fold::fold(ld(row + x), begins ? splat(Fold::none) : ld(line + x)));
    if (rest == 0) return;
    const f32v before = begins ? splat(Fold::none) : ldn(line + whole, rest);
    stn(line + whole, Fold::fold(ldn(row + whole, rest), before), rest);
}

// Folds the rows of `plane` that row (od, oy) of the output sees; s.W numbers.
template <class Fold>
void fold_window_rows(const PoolShape& s, const float* plane, int64_t od, int64_t oy,
                      float* line) {
    int64_t folded = 0;
    for (int64_t kd = 0; kd < s.KD; kd++) {
        const int64_t d = od * s.stride_d + kd * s.dil_d - s.pad_d;
        if (d < 0 || d >= s.D) continue;
        for (int64_t ky = 0; ky < s.KH; ky++) {
            const int64_t y = oy * s.stride_h + ky * s.dil_h - s.pad_h;
            if (y < 0 || y >= s.H) continue;
            fold_row<Fold>(plane + (d * s.H + y) * s.W, s.W, folded++ == 0, line);
        }
    }
    if (folded == 0) fill_floats(line, s.W, Fold::none);
}

// With stride two sorted columns are the quicker where a row has few windows.
inline bool folds_rows(const PoolShape& s) {
    return s.stride_w >= 3 || (s.stride_w == 2 && s.OW >= 2 * kW<float>);
}

// The folded windows of whole planes.
template <class Fold>
void fold_planes(const PoolShape& s, const float* x, int64_t planes, float* y) {
    constexpr int W = kW<float>;
    const int64_t seen = (s.OW + W) * s.stride_w + (s.KW - 1) * s.dil_w + W;
    const int64_t size = seen + s.pad_w + s.W;
    float* line = scratch<float>(kPlane, size);
    fill_floats(line, size, Fold::none);
    for (int64_t i = 0; i < planes; i++, x += s.in())
        for (int64_t row = 0; row < s.OD * s.OH; row++, y += s.OW) {
            fold_window_rows<Fold>(s, x, row / s.OH, row % s.OH, line + s.pad_w);
            fold_columns<Fold>(s, line, y);
        }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
