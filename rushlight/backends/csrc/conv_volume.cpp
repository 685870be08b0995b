// conv_volume.cpp: three-dimensional convolution as a two-dimensional one with more channels.
//
// The slice of the output at depth od is the convolution of KD slices of the input, and the weight
// (O, C, KD, KH, KW) is at the same time that of a two-dimensional one with C * KD channels. So each
// output slice becomes an image of its own whose channel (c, kd) is a copy of slice
// od * stride + kd * dilation - pad of channel c, or zeros outside. The copies are a small part of
// the work, because each is read O * KH * KW times. Images are gathered a few megabytes at a time:
// enough to pay for packing the weights again, few enough to stay in the cache.
#include "conv_volume.h"

#include "allocator.h"
#include "conv_plane.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

constexpr int64_t kGatheredFloats = 1 << 19;
// Numbers copied per range: about 20 microseconds.
constexpr int64_t kCopyGrain = 1 << 16;

// Slices first .. first + count - 1 of the N * OD output slices, as images.
struct Slices {
    const VolumeShape* v;
    int64_t first, count;

    int64_t channels() const { return v->plane.C * v->KD; }
    int64_t in_plane() const { return v->plane.H * v->plane.W; }
    int64_t out_plane() const { return v->plane.OH * v->plane.OW; }
    int64_t in_image() const { return channels() * in_plane(); }
    int64_t out_image() const { return v->plane.O * out_plane(); }

    ConvShape shape() const {
        ConvShape s = v->plane;
        s.N = count;
        s.C = channels();
        return s;
    }
};

// Where output slice i of channel o lies in y.
inline int64_t slice_of_output(const Slices& t, int64_t i, int64_t o) {
    const VolumeShape& v = *t.v;
    return ((i / v.OD * v.plane.O + o) * v.OD + i % v.OD) * t.out_plane();
}

// Where the slice that channel (c, kd) of image i stands for lies in x, or -1.
inline int64_t slice_of_input(const Slices& t, int64_t i, int64_t c, int64_t kd) {
    const VolumeShape& v = *t.v;
    const int64_t d = i % v.OD * v.stride_d + kd * v.dil_d - v.pad_d;
    if (d < 0 || d >= v.D) return -1;
    return ((i / v.OD * v.plane.C + c) * v.D + d) * t.in_plane();
}

void gather_inputs(const Slices& t, const float* x, float* images) {
    const int64_t KD = t.v->KD, plane = t.in_plane(), planes = t.count * t.channels();
    parallel_for(planes, ceil_div(kCopyGrain, plane), [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; p++) {
            const int64_t channel = p % t.channels();
            const int64_t at =
                slice_of_input(t, t.first + p / t.channels(), channel / KD, channel % KD);
            if (at < 0)
                fill_floats(images + p * plane, plane, 0.0f);
            else
                copy_floats(images + p * plane, x + at, plane);
        }
    });
}

// Adds every image's channels to the slices they stand for; channels are shared out, so that no
// two threads add to the same slice.
void add_inputs(const Slices& t, const float* images, float* dx) {
    const int64_t KD = t.v->KD, plane = t.in_plane(), C = t.v->plane.C;
    const int64_t grain = ceil_div(kCopyGrain, t.count * KD * plane);
    parallel_for(C, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = 0; i < t.count; i++)
            for (int64_t c = begin; c < end; c++)
                for (int64_t kd = 0; kd < KD; kd++) {
                    const int64_t at = slice_of_input(t, t.first + i, c, kd);
                    if (at >= 0)
                        add_floats(dx + at, images + (i * t.channels() + c * KD + kd) * plane,
                                   plane);
                }
    });
}

void gather_outputs(const Slices& t, const float* y, float* images) {
    const int64_t O = t.v->plane.O, plane = t.out_plane();
    parallel_for(t.count * O, ceil_div(kCopyGrain, plane), [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; p++)
            copy_floats(images + p * plane, y + slice_of_output(t, t.first + p / O, p % O), plane);
    });
}

void scatter_outputs(const Slices& t, const float* images, float* y) {
    const int64_t O = t.v->plane.O, plane = t.out_plane();
    parallel_for(t.count * O, ceil_div(kCopyGrain, plane), [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; p++)
            copy_floats(y + slice_of_output(t, t.first + p / O, p % O), images + p * plane, plane);
    });
}

// Calls body(slices, inputs, outputs) with room for the images of a few slices at a time; false if
// body returns false or for want of memory.
template <class Body>
bool for_each_block(const VolumeShape& v, const Body& body) {
    Slices t{&v, 0, 0};
    const int64_t slices = v.plane.N * v.OD, image = t.in_image() + t.out_image();
    const int64_t fit = kGatheredFloats / image;
    const int64_t most = min64(slices, fit > 1 ? fit : 1);
    // Vectors may be read past the last number.
    Scratch inputs(size_t(most * t.in_image()) * sizeof(float) + kVecBytes);
    Scratch outputs(size_t(most * t.out_image()) * sizeof(float) + kVecBytes);
    if (!inputs || !outputs) return false;
    const int64_t blocks = ceil_div(slices, most);
    for (int64_t b = 0; b < blocks; b++) {
        t.first = share(slices, blocks, b);
        t.count = share(slices, blocks, b + 1) - t.first;
        if (!body(t, inputs.as<float>(), outputs.as<float>())) return false;
    }
    return true;
}

bool forward(const VolumeShape& v, const float* x, const float* weight, const float* bias,
             float* y) {
    return for_each_block(v, [&](const Slices& t, float* inputs, float* outputs) {
        gather_inputs(t, x, inputs);
        if (!conv_kernels.forward(t.shape(), inputs, weight, bias, outputs)) return false;
        scatter_outputs(t, outputs, y);
        return true;
    });
}

bool input_grad(const VolumeShape& v, const float* grad, const float* weight, float* dx) {
    fill_floats(dx, v.plane.N * v.plane.C * v.D * v.plane.H * v.plane.W, 0.0f);
    return for_each_block(v, [&](const Slices& t, float* inputs, float* outputs) {
        gather_outputs(t, grad, outputs);
        if (!conv_kernels.input_grad(t.shape(), outputs, weight, inputs)) return false;
        add_inputs(t, inputs, dx);
        return true;
    });
}

bool weight_grad(const VolumeShape& v, const float* grad, const float* x, float* dweight) {
    const ConvShape& s = v.plane;
    const int64_t size = s.O * s.group_channels() * v.KD * s.KH * s.KW;
    Scratch part(size_t(size) * sizeof(float));
    if (!part) return false;
    fill_floats(dweight, size, 0.0f);
    return for_each_block(v, [&](const Slices& t, float* inputs, float* outputs) {
        gather_inputs(t, x, inputs);
        gather_outputs(t, grad, outputs);
        if (!conv_kernels.weight_grad(t.shape(), outputs, inputs, part.as<float>())) return false;
        add_floats(dweight, part.as<float>(), size);
        return true;
    });
}

}  // namespace

extern const VolumeKernels volume_kernels;
const VolumeKernels volume_kernels = {forward, input_grad, weight_grad};

}  // namespace RL_ISA
}  // namespace rl
