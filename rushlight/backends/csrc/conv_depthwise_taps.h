// conv_depthwise_taps.h: the taps of a row of results, for conv_depthwise_last.h.
//
// Each tap is listed with the pixels of the row that it reaches, which deals with padding, stride
// and dilation; the pixels at the ends of the row, which not all taps reach, have lists of their
// own. Listing takes as long as a few hundred multiply-adds, so rows that meet the same rows of the
// kernel share a list: sources count from a row of the image that moves along with the results'.
#pragma once

#include "conv.h"
#include "gemm_scratch.h"

namespace rl {
namespace RL_ISA {
namespace {

struct RowTap {
    int64_t weight;       // where its row of weights starts
    int64_t source;       // where it reads for pixel 0, from the start of the image; ascending
    int64_t first, last;  // it reaches pixels first .. last - 1
};

// Pixels first .. last - 1 of a row; none if last == first.
struct Reached {
    int64_t first, last;
    bool has(int64_t pixel) const { return pixel >= first && pixel < last; }
};
// Those that all taps reach.
inline Reached reached_by_all(const RowTap* taps, int count, int64_t pixels) {
    Reached r{0, pixels};
    for (int t = 0; t < count; t++) {
        if (taps[t].first > r.first) r.first = taps[t].first;
        r.last = min64(r.last, taps[t].last);
    }
    return r.last > r.first ? r : Reached{pixels, pixels};
}
inline bool reaches(const RowTap& tap, int64_t pixel) {
    return pixel >= tap.first && pixel < tap.last;
}

// ---------------------------------------------------------------------------- taps of a row
// A tap along a row: the pixel it reads for result 0, and the results first .. last - 1 it reaches.
struct AxisTap {
    int64_t at, first, last;
};

// Forward: output m reads input m * stride + k * dil - pad.
inline AxisTap axis_forward(int64_t k, int64_t stride, int64_t pad, int64_t dil, int64_t size,
                            int64_t outputs) {
    const int64_t at = k * dil - pad;
    return {at, at >= 0 ? 0 : ceil_div(-at, stride),
            at >= size ? 0 : min64(outputs, ceil_div(size - at, stride))};
}

// Input gradient: input m * stride + remainder was read by output m + at, if that is whole.
inline AxisTap axis_input_grad(int64_t k, int64_t stride, int64_t pad, int64_t dil, int64_t outputs,
                               int64_t remainder, int64_t inputs) {
    const int64_t distance = remainder + pad - k * dil;
    if (distance % stride != 0) return {0, 0, 0};
    const int64_t at = distance / stride;
    return {at, at >= 0 ? 0 : -at, min64(inputs, outputs - at)};
}

// The kernel rows first .. last - 1 that meet rows of the image.
struct KernelRows {
    int64_t first, last;
};
inline KernelRows kernel_rows(const ConvShape& s, int64_t oy) {
    const AxisTap a = axis_forward(0, s.dil_h, s.pad_h - oy * s.stride_h, 1, s.H, s.KH);
    return {a.first, a.last};
}

// Taps of an output row that meets those; sources count from the row of x that kernel row 0 meets.
inline int forward_taps(const ConvShape& s, KernelRows rows, RowTap* taps) {
    int count = 0;
    for (int64_t ky = rows.first; ky < rows.last; ky++)
        for (int64_t kx = 0; kx < s.KW; kx++) {
            const AxisTap a = axis_forward(kx, s.stride_w, s.pad_w, s.dil_w, s.W, s.OW);
            if (a.first < a.last)
                taps[count++] = {(ky * s.KW + kx) * s.C, (ky * s.dil_h * s.W + a.at) * s.C,
                                 a.first, a.last};
        }
    return count;
}

// Where in x the sources of output row `row`, counted over all images, count from.
inline int64_t forward_start(const ConvShape& s, int64_t row) {
    return (row / s.OH * s.H + row % s.OH * s.stride_h - s.pad_h) * s.W * s.C;
}

// The kernel rows that met input row y lie between first and last - 1: every stride-th of them.
inline KernelRows input_grad_kernel_rows(const ConvShape& s, int64_t y) {
    KernelRows rows = {s.KH, 0};
    for (int64_t ky = 0; ky < s.KH; ky++) {
        const AxisTap a = axis_input_grad(ky, s.stride_h, s.pad_h, s.dil_h, s.OH, y, 1);
        if (a.first >= a.last) continue;
        rows.first = min64(rows.first, ky);
        rows.last = ky + 1;
    }
    return rows;
}

// Where the row of grad that kernel row 0 would give to input row y is counted from.
inline int64_t input_grad_origin(const ConvShape& s, int64_t y) {
    return (y + s.pad_h) / s.stride_h;
}

// Taps of the pixels x = remainder, remainder + stride, ... of input row y, which those kernel rows
// met; sources count from its origin in grad.
inline int input_grad_taps(const ConvShape& s, KernelRows rows, int64_t y, int64_t remainder,
                           int64_t pixels, RowTap* taps) {
    int count = 0;
    for (int64_t ky = rows.first; ky < rows.last; ky++) {
        const int64_t distance = y + s.pad_h - ky * s.dil_h;
        if (distance % s.stride_h != 0) continue;
        const int64_t oy = distance / s.stride_h - input_grad_origin(s, y);
        for (int64_t kx = s.KW - 1; kx >= 0; kx--) {
            const AxisTap a =
                axis_input_grad(kx, s.stride_w, s.pad_w, s.dil_w, s.OW, remainder, pixels);
            if (a.first < a.last)
                taps[count++] = {(ky * s.KW + kx) * s.C, (oy * s.OW + a.at) * s.C, a.first, a.last};
        }
    }
    return count;
}

// ---------------------------------------------------------------------------- runs
// Taps in runs of K that are as far apart as the pixels: tap k of a run reads for pixel p what tap
// 0 would read for pixel p + k, its column p + k, if that is one of the `columns`, which exist.
struct TapRuns {
    const RowTap* taps;
    int count, K;
    Reached columns;

    // Bit j is set if column at + j exists, for the first 32.
    uint32_t columns_from(int64_t at) const {
        const int64_t low = min64(max64(columns.first - at, 0), 32);
        const int64_t high = min64(max64(columns.last - at, 0), 32);
        return uint32_t((uint64_t(1) << high) - (uint64_t(1) << low));
    }
};

inline bool come_in_runs(const TapRuns& r, int64_t step, int64_t pixels) {
    if (r.count % r.K != 0) return false;
    for (int t = 0; t < r.count; t++) {
        const int k = t % r.K;
        if (k > 0 && r.taps[t].source - r.taps[t - 1].source != step) return false;
        if (r.taps[t].first != max64(r.columns.first - k, 0) ||
            r.taps[t].last != min64(r.columns.last - k, pixels))
            return false;
    }
    return true;
}

// Runs of 3 or 5 if the taps come so.
inline TapRuns runs_of(const RowTap* taps, int count, int64_t step, int64_t pixels) {
    for (int K = 3; K <= 5 && K <= count; K += 2) {
        const TapRuns runs{taps, count, K, {taps[0].first, taps[K - 1].last + K - 1}};
        if (come_in_runs(runs, step, pixels)) return runs;
    }
    return {taps, count, 1, {}};
}

// ---------------------------------------------------------------------------- lists
// The taps of a row, and those of each pixel at its ends, which not all taps reach.
struct RowTaps {
    int64_t row_class;  // the list is good for rows of this class
    KernelRows rows;    // that meet these kernel rows
    RowTap* taps;
    int count;
    int64_t pixels;
    TapRuns runs;
    Reached all;
    RowTap* of_ends;  // pixel after pixel
    int* end_counts;

    bool is_for(int64_t other_class, KernelRows other) const {
        return row_class == other_class && rows.first == other.first && rows.last == other.last &&
               pixels > 0;
    }

    // For a row of so many pixels, `step` numbers apart where they are read; `of_ends` and
    // `end_counts` have room for all of them.
    void complete(int64_t row_pixels, int64_t step) {
        pixels = row_pixels;
        runs = runs_of(taps, count, step, pixels);
        all = reached_by_all(taps, count, pixels);
        RowTap* next = of_ends;
        int* counted = end_counts;
        for (int64_t m = 0; m < pixels; m++) {
            if (all.has(m)) continue;
            RowTap* const first = next;
            for (int t = 0; t < count; t++)
                if (reaches(taps[t], m)) *next++ = taps[t];
            *counted++ = int(next - first);
        }
    }
};

// `lists` lists for rows of up to `pixels` pixels.
inline RowTaps* room_for_taps(const ConvShape& s, int64_t pixels, int64_t lists) {
    const int64_t most = s.KH * s.KW, size = (pixels + 1) * most;
    RowTaps* const r = scratch<RowTaps>(kResult, lists);
    RowTap* const taps = scratch<RowTap>(kTaps, lists * size);
    int* const counts = scratch<int>(kOffsets, lists * pixels);
    for (int64_t i = 0; i < lists; i++) {
        r[i] = {};
        r[i].taps = taps + i * size;
        r[i].of_ends = r[i].taps + most;
        r[i].end_counts = counts + i * pixels;
    }
    return r;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
