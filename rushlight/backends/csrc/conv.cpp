// conv.cpp: two-dimensional convolution and its derivatives: which way, and shared out how.
//
//   3 x 3, stride one         by Winograd's transforms (conv_winograd.h, conv_winograd_weight.h),
//                             which need a quarter of the multiplications: 16 channels and more
//                             in each group.
//   3 x 3, stride two         likewise (conv_winograd_strided.h), with 9 / 16 of them
//   one channel per group     vectors of pixels, nothing shared (conv_depthwise.h)
//   few channels, 3 or 5 wide by Winograd's transforms along rows (conv_rows.h, conv_rows_weight.h)
//   other sizes, 3 or 5 wide  likewise where it pays (conv_rows_many.h, conv_rows_outer.h)
//   few channels, 7 wide      likewise with stride two (conv_rows_strided.h); no input gradient
//   small images, 16 and more one image per lane (conv_batch.h, conv_batch_weight.h)
//   few channels              the input gradient scattered row by row (conv_scatter.h)
//   forward, input gradient   straight from a padded plane (conv_direct.h). The input gradient is a
//                             convolution of `grad` with the taps reversed; stride s splits it into
//                             s * s phases, one for each remainder of the pixel's position.
//   weight gradient           outer products over pixels (conv_weight.h).
//   all three                 as matrix products (conv_unfold.h) for 1x1 kernels and small planes.
//
// Winograd's way reads and writes either layout of images. Of the others, those for channels last
// (conv_last.h, conv_depthwise_last.h) take over where all arrays but perhaps one lie so, and, with
// one channel per group, where planes are small; what lies otherwise than its way reads is turned
// (conv_turn.h).
//
// Work is shared out by image and group; when there are fewer of those than threads, each image is
// cut further by rows or by output channels.
#include "conv.h"

#include "conv_batch.h"
#include "conv_batch_weight.h"
#include "conv_bias.h"
#include "conv_depthwise.h"
#include "conv_depthwise_last.h"
#include "conv_depthwise_last_weight.h"
#include "conv_depthwise_weight.h"
#include "conv_direct.h"
#include "conv_input_grad.h"
#include "conv_last.h"
#include "conv_rows_forward.h"
#include "conv_rows_input.h"
#include "conv_rows_many.h"
#include "conv_rows_outer.h"
#include "conv_rows_strided.h"
#include "conv_rows_strided_weight.h"
#include "conv_rows_weight.h"
#include "conv_scatter.h"
#include "conv_turn.h"
#include "conv_unfold.h"
#include "conv_ways.h"
#include "conv_weight.h"
#include "conv_winograd.h"
#include "conv_winograd_strided_forward.h"
#include "conv_winograd_strided_input.h"
#include "conv_winograd_strided_weight.h"
#include "conv_winograd_weight.h"
#include "parallel.h"

namespace rl {
namespace RL_ISA {
namespace {

// How many parts one image must be cut into so that every thread has work.
inline int64_t parts_per_task(int64_t tasks, int64_t work, int64_t most) {
    if (tasks >= num_threads() || work < 2 * kParallelWork) return 1;
    return min64(ceil_div(num_threads(), tasks), most);
}

// ---------------------------------------------------------------------------- unfolded
// Runs body(task) for blocks of images of every group.
template <class Body>
void for_each_unfolded(const ConvShape& s, const Body& body) {
    const int64_t plane = s.OH * s.OW;
    // About 256 columns: enough for the product to run at speed, few enough for the cache.
    const int64_t images = plane >= 128 ? 1 : min64(s.N, ceil_div(256, plane));
    const int64_t blocks = ceil_div(s.N, images), tasks = blocks * s.groups;
    const bool share_tasks = tasks >= num_threads();
    auto run = [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t first = i / s.groups * images;
            body(UnfoldTask{&s, i % s.groups, first, min64(images, s.N - first),
                            share_tasks ? gemm_one_thread : gemm_all_threads});
        }
    };
    if (share_tasks)
        parallel_for(tasks, grain_for(tasks, s.work()), run);
    else
        run(0, tasks);
}

// ---------------------------------------------------------------------------- forward
Plane forward_plane(const ConvShape& s, int64_t first_row, int64_t rows) {
    Plane p;
    p.C = s.group_channels(), p.H = s.H, p.W = s.W;
    p.top = first_row * s.stride_h - s.pad_h;
    p.left = -s.pad_w;
    p.rows = (rows - 1) * s.stride_h + (s.KH - 1) * s.dil_h + 1;
    p.phases = s.stride_w;
    p.cols = s.OW + (s.KW - 1) * s.dil_w / s.stride_w;
    if (s.x_last) p.pixel = s.C;
    return p;
}

// Where tap k = (c, ky, kx) lies from its output pixel.
void forward_offsets(const ConvShape& s, int64_t channel, int64_t row, int64_t cols,
                     int32_t* offset) {
    for (int64_t c = 0; c < s.group_channels(); c++)
        for (int64_t ky = 0; ky < s.KH; ky++)
            for (int64_t kx = 0; kx < s.KW; kx++) {
                const int64_t step = kx * s.dil_w;
                *offset++ = int32_t(c * channel + ky * s.dil_h * row + step % s.stride_w * cols +
                                    step / s.stride_w);
            }
}

struct DirectTask {
    int64_t image, group;
    int64_t first_row, rows;
    int64_t first_output, outputs;
};

void forward_task(const ConvShape& s, const DirectTask& t, const float* x, const float* packed,
                  const float* bias, float* y) {
    const int64_t K = s.group_channels() * s.KH * s.KW, O = s.group_outputs();
    const ImageSteps from = s.x_steps(), to = s.y_steps();
    const float* image = x + t.image * from.image + t.group * s.group_channels() * from.channel;
    int32_t* offset = scratch<int32_t>(kOffsets, K);
    Direct d;
    const bool in_place = has_many_outputs(O) && s.pad_h == 0 && s.pad_w == 0 &&
                          s.stride_w == 1 && from.pixel == 1;
    if (in_place) {
        d.plane = image + t.first_row * s.stride_h * s.W;
        d.row_step = s.stride_h * s.W;
        forward_offsets(s, s.H * s.W, s.W, s.W, offset);
    } else {
        const Plane p = forward_plane(s, t.first_row, t.rows);
        d.row_step = s.stride_h * p.row();
        float* plane = scratch<float>(kPlane, plane_room(p, d.row_step));
        make_plane(p, image, 0.0f, plane);
        d.plane = plane;
        forward_offsets(s, p.channel(), p.row(), p.cols, offset);
    }
    const int64_t o = t.group * O + t.first_output;
    d.K = K;
    d.offset = offset;
    d.weight = packed + t.first_output * K;
    d.bias = bias ? bias + o : nullptr;
    d.relu = s.relu;
    d.O = t.outputs;
    d.many = has_many_outputs(O);
    d.OH = t.rows, d.OW = s.OW;
    d.y_channel = to.channel, d.y_row = to.row, d.y_pixel = to.pixel;
    d.y = y + t.image * to.image + o * to.channel + t.first_row * to.row;
    run_direct(d);
}

void forward_direct(const ConvShape& s, const float* x, const float* weight, const float* bias,
                    float* y) {
    const int64_t K = s.group_channels() * s.KH * s.KW, O = s.group_outputs();
    const int64_t group_room = packed_size(O, K);
    float* packed = scratch<float>(kWeights, s.groups * group_room);
    for (int64_t g = 0; g < s.groups; g++)
        pack_weights(weight + g * O * K, K, nullptr, O, K, packed + g * group_room);

    // Rows are cut first: cutting outputs makes every thread copy the plane.
    const int64_t panel = 2 * kW<float>;
    const int64_t panels = has_many_outputs(O) ? ceil_div(O, panel) : 1;
    const int64_t tasks = s.N * s.groups;
    const bool by_rows = s.OH >= 16 || panels == 1;
    const int64_t parts = parts_per_task(tasks, s.work(), by_rows ? s.OH : panels);
    const int64_t grain = grain_for(tasks * parts, s.work());
    parallel_for(tasks * parts, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t part = i % parts, item = i / parts;
            DirectTask t{item / s.groups, item % s.groups, 0, s.OH, 0, O};
            if (by_rows) {
                t.first_row = share(s.OH, parts, part);
                t.rows = share(s.OH, parts, part + 1) - t.first_row;
            } else {
                t.first_output = share(panels, parts, part) * panel;
                t.outputs = min64(O, share(panels, parts, part + 1) * panel) - t.first_output;
            }
            forward_task(s, t, x, packed + t.group * group_room, bias, y);
        }
    });
}

void forward_first(const ConvShape& s, const float* x, const float* weight, const float* bias,
                   float* y) {
    if (rows_forward(s, x, weight, bias, y)) return;
    if (is_depthwise(s))
        depthwise_forward(s, x, weight, bias, y);
    else if (batch_forward_pays(s))
        batch_forward(s, x, weight, bias, y);
    else if (rows_many_forward(s, x, weight, bias, y))
        return;
    else if (prefers_unfolding(s))
        for_each_unfolded(s, [&](const UnfoldTask& t) { unfold_forward(t, x, weight, bias, y); });
    else
        forward_direct(s, x, weight, bias, y);
}

bool forward(const ConvShape& s, const float* x, const float* weight, const float* bias, float* y) {
    const Winograd w = winograd_forward(s, weight);
    if (prefers_winograd(s, w, kTransformWeight) && winograd(w, x, bias, y)) return true;
    if (prefers_strided_winograd(s, kTransformStrided) && strided_forward(s, x, weight, bias, y))
        return true;
    if (strided_rows_forward(s, x, weight, bias, y)) return true;
    const bool few = s.groups == 1 && !has_many_outputs(s.O) && !columns_are_image(s);
    const bool in_lanes = has_last(s) && (rows_forward_bands(s) > 0 || batch_forward_pays(s));
    Way way = few ? Way::first : way_of(s, in_lanes);
    if (has_wide_groups(s, s.group_outputs()) && !in_lanes) way = Way::direct_last;
    if (has_last(s) && has_small_groups(s)) way = Way::depthwise;
    const ConvShape own = laid_out(s, way);
    const TurnedInput own_x(x, lying_x(s), own.x_last);
    const TurnedInput own_weight(weight, lying_weight(s), own.weight_last);
    const TurnedResult own_y(y, lying_y(s), own.y_last);
    if (!own_x.data() || !own_weight.data() || !own_y.data()) return false;
    auto* const run = way == Way::windows     ? last_forward
                      : way == Way::depthwise ? depthwise_last_forward
                      : way == Way::first     ? forward_first
                                              : forward_direct;
    run(own, own_x.data(), own_weight.data(), bias, own_y.data());
    own_y.finish();
    return true;
}

// ---------------------------------------------------------------------------- input gradient
void input_grad_task(const InputGradPlan& plan, const DirectTask& t, const float* grad,
                     const float* packed, float* dx) {
    const ConvShape& s = plan.s;
    const int64_t C = s.group_channels(), most = s.group_outputs() * s.KH * s.KW;
    const int64_t channel = t.group * C + t.first_output;
    const ImageSteps from = s.y_steps(), to = s.x_steps();
    float* target = dx + t.image * to.image + channel * to.channel;
    float* plane = scratch<float>(kPlane, plane_room(plan.plane, plan.plane.row()));
    make_plane(plan.plane,
               grad + t.image * from.image + t.group * s.group_outputs() * from.channel, 0.0f,
               plane);
    int32_t* offset = scratch<int32_t>(kOffsets, 2 * most);
    for (int64_t phase = 0; phase < plan.phases(); phase++) {
        Direct d;
        d.OH = ceil_div(s.H - phase / s.stride_w, s.stride_h);
        d.OW = ceil_div(s.W - phase % s.stride_w, s.stride_w);
        if (d.OH <= 0 || d.OW <= 0) continue;
        d.K = phase_offsets(plan, phase, offset, offset + most);
        d.plane = plane;
        d.row_step = plan.plane.row();
        d.offset = offset;
        d.weight = packed + phase * plan.packed_phase + t.first_output * d.K;
        d.bias = nullptr;
        d.O = t.outputs;
        d.many = has_many_outputs(C);
        const bool compact = plan.phases() > 1;
        d.y = compact ? scratch<float>(kResult, t.outputs * d.OH * d.OW) : target;
        d.y_channel = compact ? d.OH * d.OW : to.channel;
        d.y_row = compact ? d.OW : to.row;
        d.y_pixel = compact ? 1 : to.pixel;
        run_direct(d);
        if (compact) spread_phase(s, phase, d.y, d.OH, d.OW, t.outputs, target);
    }
}

void input_grad_direct(const ConvShape& s, const float* grad, const float* weight, float* dx) {
    const InputGradPlan plan = plan_input_grad(s);
    const int64_t C = s.group_channels(), most = s.group_outputs() * s.KH * s.KW;
    float* packed = scratch<float>(kWeights, s.groups * plan.phases() * plan.packed_phase);
    for (int64_t g = 0; g < s.groups; g++)
        pack_input_grad(plan, weight + g * most * C,
                        packed + g * plan.phases() * plan.packed_phase);
    const int64_t panel = 2 * kW<float>;
    const int64_t panels = has_many_outputs(C) ? ceil_div(C, panel) : 1;
    const int64_t tasks = s.N * s.groups, parts = parts_per_task(tasks, s.work(), panels);
    const int64_t grain = grain_for(tasks * parts, s.work());
    parallel_for(tasks * parts, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t part = i % parts, item = i / parts;
            DirectTask t{item / s.groups, item % s.groups, 0, 0, 0, C};
            if (parts > 1) {
                t.first_output = share(panels, parts, part) * panel;
                t.outputs = min64(C, share(panels, parts, part + 1) * panel) - t.first_output;
            }
            input_grad_task(plan, t, grad, packed + t.group * plan.phases() * plan.packed_phase,
                            dx);
        }
    });
}

void input_grad_scattered(const ConvShape& s, const float* grad, const float* weight, float* dx) {
    ScatterPlan plan = plan_scatter(s);
    const int64_t group_room = plan.group_weights();
    const int64_t size = s.group_outputs() * s.group_channels() * s.KH * s.KW;
    float* packed = scratch<float>(kWeights, s.groups * group_room);
    for (int64_t g = 0; g < s.groups; g++)
        pack_scatter(plan, weight + g * size, packed + g * group_room);
    const int64_t tasks = s.N * s.groups, parts = parts_per_task(tasks, s.work(), s.H);
    const int64_t grain = grain_for(tasks * parts, s.work());
    parallel_for(tasks * parts, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            const int64_t part = i % parts, item = i / parts, group = item % s.groups;
            scatter_rows(plan, grad + item * s.group_outputs() * s.OH * s.OW,
                         packed + group * group_room, share(s.H, parts, part),
                         share(s.H, parts, part + 1), dx + item * s.group_channels() * s.H * s.W);
        }
    });
}

void input_grad_first(const ConvShape& s, const float* grad, const float* weight, float* dx) {
    if (rows_input_grad(s, grad, weight, dx)) return;
    if (is_depthwise(s))
        depthwise_input_grad(s, grad, weight, dx);
    else if (batch_input_grad_pays(s))
        batch_input_grad(s, grad, weight, dx);
    else if (scatter_pays(s))
        input_grad_scattered(s, grad, weight, dx);
    else if (rows_many_input_grad(s, grad, weight, dx))
        return;
    else if (gradients_prefer_unfolding(s))
        for_each_unfolded(s,
                          [&](const UnfoldTask& t) { unfold_input_grad(t, grad, weight, dx); });
    else
        input_grad_direct(s, grad, weight, dx);
}

bool input_grad(const ConvShape& s, const float* grad, const float* weight, float* dx) {
    const Winograd w = winograd_input_grad(s, weight);
    if (prefers_winograd(s, w, kTransformWeight) && winograd(w, grad, nullptr, dx)) return true;
    if (prefers_strided_winograd(s, kTransformStrided) && strided_input_grad(s, grad, weight, dx))
        return true;
    const bool in_lanes =
        has_last(s) && (rows_input_grad_bands(s) > 0 || batch_input_grad_pays(s));
    Way way = way_of(s, in_lanes);
    if (way == Way::direct_last) way = Way::windows;  // whose products have width enough
    if (direct_input_grad_pays(s) && !in_lanes) way = Way::direct_last;
    if (has_last(s) && has_small_groups(s)) way = Way::depthwise;
    const ConvShape own = laid_out(s, way);
    const TurnedInput own_grad(grad, lying_y(s), own.y_last);
    const TurnedInput own_weight(weight, lying_weight(s), own.weight_last);
    const TurnedResult own_dx(dx, lying_x(s), own.x_last);
    if (!own_grad.data() || !own_weight.data() || !own_dx.data()) return false;
    auto* const run = way == Way::windows     ? last_input_grad
                      : way == Way::depthwise ? depthwise_last_input_grad
                      : way == Way::first     ? input_grad_first
                                              : input_grad_direct;
    run(own, own_grad.data(), own_weight.data(), own_dx.data());
    own_dx.finish();
    return true;
}

// ---------------------------------------------------------------------------- weight gradient
// Some of the images, of the groups and of a group's units, and where each group's sums go.
struct OuterPart {
    int64_t first_image, last_image;
    int64_t first_group, last_group;
    int64_t first_unit, last_unit;
    float* sums;
};

void sum_outer_products(const ConvShape& s, const OuterPlan& plan, const OuterPart& part,
                        const float* grad, const float* x) {
    const ImageSteps x_at = s.x_steps(), grad_at = s.y_steps();
    const int64_t x_group = s.group_channels() * x_at.channel;
    const int64_t grad_group = s.group_outputs() * grad_at.channel;
    const int64_t chunk = outer_chunk(plan, part.last_image - part.first_image);
    for (int64_t n = part.first_image; n < part.last_image; n += chunk)
        for (int64_t g = part.first_group; g < part.last_group; g++)
            add_outer_products(plan, x + n * x_at.image + g * x_group, x_at.image,
                               grad + n * grad_at.image + g * grad_group, grad_at.image,
                               min64(chunk, part.last_image - n), part.first_unit, part.last_unit,
                               n > part.first_image,
                               part.sums + (g - part.first_group) * plan.sums_size());
}

// Of many groups each is the work of one thread.
void weight_grad_of_groups(const ConvShape& s, const OuterPlan& plan, const float* grad,
                           const float* x, float* dweight) {
    const int64_t size = plan.sums_size(), weights = plan.O * plan.C * s.KH * s.KW;
    parallel_for(s.groups, grain_for(s.groups, s.work()), [&](int64_t begin, int64_t end) {
        float* const sums = scratch<float>(kSums, (end - begin) * size);
        sum_outer_products(s, plan, {0, s.N, begin, end, 0, plan.units(), sums}, grad, x);
        for (int64_t g = begin; g < end; g++)
            store_weight_grad(plan, sums + (g - begin) * size, dweight + g * weights);
    });
}

void weight_grad_outer(const ConvShape& s, const float* grad, const float* x, float* dweight) {
    const int64_t C = s.group_channels(), O = s.group_outputs();
    OuterPlan plan = plan_outer(C, O, s.KH, s.KW, s.OH, s.OW, s.stride_h, s.stride_w, s.dil_h,
                                s.dil_w);
    plan.plane = forward_plane(s, 0, s.OH);
    plan.plane.phases = 1;
    if (s.y_last) plan.grad_pixel = s.O;
    plan.plane.cols = (s.OW - 1) * s.stride_w + (s.KW - 1) * s.dil_w + 1;
    if (s.groups >= kSummedParts) return weight_grad_of_groups(s, plan, grad, x, dweight);

    // Images are shared out in parts with sums of their own; a single image by units.
    const int64_t size = plan.sums_size(), units = plan.units();
    const bool by_image = s.N >= 2;
    const int64_t parts = by_image ? summed_parts(s, s.N)
                          : s.work() < kParallelWork ? 1 : min64(num_threads(), units);
    const int64_t copies = by_image ? parts : 1;
    float* sums = scratch<float>(kSums, copies * s.groups * size);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++) {
            OuterPart part{0, s.N, 0, s.groups, 0, units, sums};
            if (by_image) {
                part.first_image = share(s.N, parts, i), part.last_image = share(s.N, parts, i + 1);
                part.sums += i * s.groups * size;
            } else {
                part.first_unit = share(units, parts, i);
                part.last_unit = share(units, parts, i + 1);
            }
            sum_outer_products(s, plan, part, grad, x);
        }
    });
    for (int64_t part = 1; part < copies; part++)
        add_floats(sums, sums + part * s.groups * size, s.groups * size);
    for (int64_t g = 0; g < s.groups; g++)
        store_weight_grad(plan, sums + g * size, dweight + g * O * C * s.KH * s.KW);
}

void weight_grad_unfolded(const ConvShape& s, const float* grad, const float* x, float* dweight) {
    // Every block of images adds to the same sums, so the threads share each product instead.
    fill_floats(dweight, s.O * s.group_channels() * s.KH * s.KW, 0.0f);
    const int64_t plane = s.OH * s.OW, images = min64(s.N, ceil_div(1024, plane));
    for (int64_t first = 0; first < s.N; first += images)
        for (int64_t g = 0; g < s.groups; g++)
            unfold_weight_grad(
                UnfoldTask{&s, g, first, min64(images, s.N - first), gemm_all_threads}, grad, x,
                dweight);
}

void weight_grad_first(const ConvShape& s, const float* grad, const float* x, float* dweight) {
    if (rows_weight_grad(s, grad, x, dweight)) return;
    if (is_depthwise(s))
        depthwise_weight_grad(s, grad, x, dweight);
    else if (batch_weight_grad_pays(s))
        batch_weight_grad(s, grad, x, dweight);
    else if (rows_outer_weight_grad(s, grad, x, dweight))
        return;
    else if (gradients_prefer_unfolding(s))
        weight_grad_unfolded(s, grad, x, dweight);
    else
        weight_grad_outer(s, grad, x, dweight);
}

bool weight_grad(const ConvShape& s, const float* grad, const float* x, float* dweight) {
    const Winograd w = winograd_forward(s, nullptr);
    if (prefers_winograd(s, w, kTransformSums) && winograd_weight_grads(w, x, grad, dweight))
        return true;
    if (prefers_strided_winograd(s, kTransformStridedSums) &&
        strided_weight_grad(s, x, grad, dweight))
        return true;
    if (strided_rows_weight_grad(s, grad, x, dweight)) return true;
    const bool in_lanes =
        has_last(s) && (rows_weight_grad_bands(s) > 0 || batch_weight_grad_pays(s));
    Way way = way_of(s, in_lanes);
    if (way == Way::direct_last && !has_many_outputs(s.O)) way = Way::windows;
    if (has_wide_groups(s, s.group_outputs()) && !in_lanes) way = Way::direct_last;
    const ConvShape own = laid_out(s, way);
    const TurnedInput own_grad(grad, lying_y(s), own.y_last), own_x(x, lying_x(s), own.x_last);
    if (!own_grad.data() || !own_x.data()) return false;
    auto* const run = way == Way::windows     ? last_weight_grad
                      : way == Way::depthwise ? depthwise_last_weight_grad
                      : way == Way::first     ? weight_grad_first
                                              : weight_grad_outer;
    run(own, own_grad.data(), own_x.data(), dweight);
    return true;
}

}  // namespace

extern const ConvKernels conv_kernels;
const ConvKernels conv_kernels = {forward, input_grad, weight_grad, bias_grad};

}  // namespace RL_ISA
}  // namespace rl
