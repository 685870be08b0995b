// conv_ways.h: which way a convolution goes: what each of them takes, and when it pays.
//
// The costs were measured with AVX-512; what they compare are counts of multiply-adds.
#pragma once

#include "conv.h"
#include "conv_depthwise.h"
#include "conv_winograd.h"
#include "conv_winograd_strided.h"

namespace rl {
namespace RL_ISA {
namespace {

// ---------------------------------------------------------------------------- unfolded
inline bool prefers_unfolding(const ConvShape& s) {
    if (s.KH * s.KW == 1 && s.pad_h == 0 && s.pad_w == 0) return true;
    return s.OH * s.OW <= 25 && s.group_outputs() >= 32;
}

// For so few pixels the direct gradients would spend their time on turning the weights.
inline bool gradients_prefer_unfolding(const ConvShape& s) {
    return prefers_unfolding(s) || (s.N * s.OH * s.OW <= 64 && s.group_outputs() >= 32);
}

// ---------------------------------------------------------------------------- channels last
// What Winograd's way does not take, and how its images and its weight are wanted:
//   first        both channels first, for the ways that know nothing else
//   depthwise    images channels last (conv_depthwise_last.h); the weight channels first
//   direct_last  images channels last, weight channels first: few channels, or groups of many
//                (conv_direct.h, conv_weight.h)
//   windows      both channels last (conv_last.h)
enum class Way { first, depthwise, direct_last, windows };

inline bool has_last(const ConvShape& s) { return s.x_last || s.y_last; }

// Groups of 2, 4 or 8 channels, whose numbers shuffles spread over vectors of whole groups.
inline bool has_small_groups(const ConvShape& s) {
    const int64_t group = s.group_channels();
    return s.groups > 1 && s.O == s.C && kVecBytes >= 32 &&
           (group == 2 || group == 4 || group == 8);
}

// Planes so small that vectors of their pixels are half empty: worth turning to channels last.
// (With a stride from larger planes it is not: turning those takes longer than the convolution.)
inline bool has_small_planes(const ConvShape& s) {
    constexpr int64_t most = kW<float> / 2;
    return is_depthwise(s) && s.O == s.C && s.C >= 2 * kW<float> && s.W <= most && s.OW <= most &&
           s.H <= 2 * most && s.OH <= 2 * most;
}

// `in_lanes`: images or bands of rows in lanes pay, which is done channels first.
inline Way way_of(const ConvShape& s, bool in_lanes) {
    if (has_small_planes(s)) return Way::depthwise;
    if (!has_last(s)) return Way::first;
    if (is_depthwise(s) && s.O == s.C) return Way::depthwise;
    if (s.groups > 1 || in_lanes) return Way::first;
    // Copying windows pays only if their rows are a few vectors long.
    const bool short_rows = s.KH * s.KW > 1 && s.KW * s.C < 2 * kW<float>;
    return short_rows ? Way::direct_last : Way::windows;
}

// Groups whose vectors of `results`, each group's, are filled well enough for the direct ways.
inline bool has_wide_groups(const ConvShape& s, int64_t results) {
    return has_last(s) && s.groups > 1 && s.group_channels() > 1 && has_many_outputs(results);
}

// Input gradients of stride one come straight from a plane, too, if there are few numbers in grad
// for each in dx: products would make many times as many, only to add them up.
inline bool direct_input_grad_pays(const ConvShape& s) {
    if (s.stride_h > 1 || s.stride_w > 1 || !has_last(s)) return false;
    const bool few = s.groups == 1 && s.KH * s.KW > 1 && has_many_outputs(s.C) &&
                     s.KW * s.O < 2 * kW<float>;
    return few || has_wide_groups(s, s.group_channels());
}

// The shape for kernels of that way.
inline ConvShape laid_out(const ConvShape& s, Way way) {
    ConvShape own = s;
    own.x_last = own.y_last = way != Way::first;
    own.weight_last = way == Way::windows;
    return own;
}

// ---------------------------------------------------------------------------- Winograd
inline Winograd winograd_forward(const ConvShape& s, const float* weight) {
    const int64_t C = s.group_channels(), k = s.weight_last ? 1 : 9, tap = s.weight_last ? C : 1;
    return Winograd{s.N,     C,       s.H,         s.W,         s.group_outputs(), s.OH,   s.OW,
                    s.pad_h, s.pad_w, s.x_steps(), s.y_steps(), weight, {C * 9, k, tap},
                    false,   s.relu,  s.groups};
}

// The gradient's convolution reads grad with the taps reversed, inputs and outputs exchanged.
inline Winograd winograd_input_grad(const ConvShape& s, const float* weight) {
    const int64_t C = s.group_channels(), o = s.weight_last ? 1 : 9, tap = s.weight_last ? C : 1;
    return Winograd{s.N,         s.group_outputs(), s.OH,        s.OW,   C,      s.H, s.W,
                    2 - s.pad_h, 2 - s.pad_w,       s.y_steps(), s.x_steps(), weight,
                    {o, C * 9, tap}, true, false, s.groups};
}

// Costs in vector multiply-adds per channel and vector of outputs, measured with AVX-512 against
// the direct and unfolded ways: what transforming one weight costs more than packing it, for the
// convolutions and for the weight gradient; and what transforming a tile costs per channel.
constexpr int64_t kTransformWeight = 150, kTransformSums = 250, kTransformTile = 280;
// Below one vector of channels the products are too short and the lanes half empty.
constexpr int64_t kWinogradChannels = 16;

inline bool prefers_winograd(const ConvShape& s, const Winograd& w, int64_t weight_cost) {
    if (s.KH != 3 || s.KW != 3 || s.stride_h != 1 || s.stride_w != 1 || s.dil_h != 1 ||
        s.dil_w != 1 || w.C < kWinogradChannels || w.O < kWinogradChannels)
        return false;
    const int64_t per_tile = kWinogradPoints + kTransformTile * (w.C + w.O) / (w.C * w.O);
    return w.tiles() * per_tile + weight_cost < s.N * s.OH * s.OW * 9;
}

// The same for stride two, where the direct ways are a tenth slower than they might be.
constexpr int64_t kTransformStrided = 300, kTransformStridedSums = 600, kTransformStridedTile = 450;

inline bool prefers_strided_winograd(const ConvShape& s, int64_t weight_cost) {
    if (s.KH != 3 || s.KW != 3 || s.stride_h != 2 || s.stride_w != 2 || s.dil_h != 1 ||
        s.dil_w != 1 || s.groups != 1 || s.C < kWinogradChannels || s.O < kWinogradChannels)
        return false;
    const int64_t C = round_up(s.C, kW<float>), O = round_up(s.O, kW<float>);
    const int64_t tiles = s.N * strided_tiles(s.OH) * strided_tiles(s.OW);
    const int64_t per_tile = kStridedProducts * C * O + kTransformStridedTile * (C + O);
    return tiles * per_tile + weight_cost * C * O < s.work() * 11 / 10;
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
