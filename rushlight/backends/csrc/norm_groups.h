// norm_groups.h: group norm of images whose channels lie side by side: x (images, pixels,
// channels).
//
// An image is a matrix with a row per pixel: sums go down its columns (norm_columns.h), those of a
// group's channels are joined, and each channel gets its factors back for the way along the rows.
#pragma once

#include "norm.h"
#include "norm_columns.h"

namespace rl {
namespace RL_ISA {
namespace {

template <class T>
struct GroupImage {
    const RowNorm<T>& call;
    int64_t image, pixels, channels, per_group;
    GroupImage(const RowNorm<T>& norm, int64_t number)
        : call(norm), image(number), pixels(norm.inner),
          channels(norm.length / norm.inner * norm.groups), per_group(channels / norm.groups) {}
    int64_t row(int64_t c) const { return image * call.groups + c / per_group; }
    int64_t offset() const { return image * pixels * channels; }
};

// Mean and rstd of the image's groups, from the moments of its channels.
template <class T>
void group_statistics(const GroupImage<T>& of) {
    Scratch totals(size_t(2 * of.channels) * sizeof(double));
    double *sum = totals.as<double>(), *squares = sum + of.channels;
    column_moments(sum, squares, of.call.x + of.offset(), of.pixels, of.channels);
    const double pixels = double(of.pixels), count = pixels * double(of.per_group);
    for (int64_t first = 0; first < of.channels; first += of.per_group) {
        double total = 0, distances = 0;
        for (int64_t c = first; c < first + of.per_group; c++) total += sum[c];
        const double mean = total / count;
        for (int64_t c = first; c < first + of.per_group; c++) {
            const double d = sum[c] / pixels - mean;
            distances += squares[c] + pixels * d * d;
        }
        const int64_t row = of.row(first);
        of.call.mean[row] = T(mean);
        of.call.rstd[row] = T(inverse_root(distances / count + of.call.eps));
    }
}

template <class T>
void group_image_forward(const GroupImage<T>& of) {
    group_statistics(of);
    const RowNorm<T>& call = of.call;
    Scratch work(size_t(2 * of.channels) * sizeof(T));
    const ColumnScale<T> by = {work.as<T>(), work.as<T>() + of.channels};
    for (int64_t c = 0; c < of.channels; c++) {
        const int64_t row = of.row(c);
        by.scale[c] = call.weight ? call.rstd[row] * call.weight[c] : call.rstd[row];
        by.shift[c] = (call.bias ? call.bias[c] : T(0)) - call.mean[row] * by.scale[c];
    }
    scale_rows(call.out + of.offset(), call.x + of.offset(), by, of.pixels, of.channels,
               call.rows * call.length);
}

// `sum` and `dot` receive the sums of g and of g * (x - mean) per channel.
template <class T>
void group_image_backward(const GroupImage<T>& of, double* sum) {
    const RowNorm<T>& call = of.call;
    double* dot = sum + of.channels;
    Scratch work(size_t(4 * of.channels) * sizeof(T));
    T* at = work.as<T>();
    const int64_t step = of.channels;
    const ColumnGrad<T> by = {at, at + step, at + 2 * step, at + 3 * step};
    for (int64_t c = 0; c < of.channels; c++) by.mean[c] = call.mean[of.row(c)];
    const T *g = call.grad + of.offset(), *x = call.x + of.offset();
    sum_grads(sum, g, x, by.mean, of.pixels, of.channels);
    if (!call.out) return;
    const double count = double(of.pixels) * double(of.per_group);
    for (int64_t first = 0; first < of.channels; first += of.per_group) {
        double group_sum = 0, group_dot = 0;
        for (int64_t c = first; c < first + of.per_group; c++) {
            const double weight = call.weight ? double(call.weight[c]) : 1.0;
            group_sum += weight * sum[c];
            group_dot += weight * dot[c];
        }
        const T rstd = call.rstd[of.row(first)];
        for (int64_t c = first; c < first + of.per_group; c++) {
            by.scale[c] = call.weight ? rstd * call.weight[c] : rstd;
            by.slope[c] = T(-double(rstd) * rstd * rstd * group_dot / count);
            by.shift[c] = T(-double(rstd) * group_sum / count);
        }
    }
    grad_rows(call.out + of.offset(), g, x, by, of.pixels, of.channels, call.rows * call.length);
}

template <class T>
void groups_forward(const RowNorm<T>& call) {
    const int64_t images = call.rows / call.groups, work = call.length * call.groups;
    parallel_for(images, 1 + kGrain / work, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) group_image_forward(GroupImage<T>(call, i));
    });
}

template <class T>
void groups_backward(const RowNorm<T>& call) {
    const int64_t images = call.rows / call.groups, work = call.length * call.groups;
    const int64_t channels = GroupImage<T>(call, 0).channels;
    Scratch totals(size_t(images * 2 * channels) * sizeof(double));
    parallel_for(images, 1 + kGrain / work, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
            group_image_backward(GroupImage<T>(call, i), totals.as<double>() + i * 2 * channels);
    });
    for (int64_t c = 0; c < channels; c++) {
        double dweight = 0, dbias = 0;
        for (int64_t i = 0; i < images; i++) {
            const double* sum = totals.as<double>() + i * 2 * channels;
            dbias += sum[c];
            dweight += sum[channels + c] * double(call.rstd[GroupImage<T>(call, i).row(c)]);
        }
        if (call.dweight) call.dweight[c] = T(dweight);
        if (call.dbias) call.dbias[c] = T(dbias);
    }
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
