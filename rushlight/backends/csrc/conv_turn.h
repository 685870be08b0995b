// conv_turn.h: images and weights in the layout that a way of convolving reads.
//
// This is the only place where whole arrays are turned: the ways that read channels first only get
// what lies otherwise through it, and those that read channels last get the odd array that does
// not lie so. Each copy costs about as much as writing the array once more.
#pragma once

#include "allocator.h"
#include "conv.h"
#include "layout.h"

namespace rl {
namespace RL_ISA {
namespace {

// What there is to know about an array (N, C, *S) to turn it; weights are (O, C/groups, *K).
struct Lying {
    int64_t batch, channels, pixels;
    bool last;  // channels last

    bool is(bool wanted_last) const {
        return last == wanted_last || channels == 1 || pixels == 1;
    }
    size_t bytes() const { return size_t(batch * channels * pixels) * sizeof(float) + kVecBytes; }
};

inline Lying lying_x(const ConvShape& s) { return {s.N, s.C, s.H * s.W, s.x_last}; }
inline Lying lying_y(const ConvShape& s) { return {s.N, s.O, s.OH * s.OW, s.y_last}; }
inline Lying lying_weight(const ConvShape& s) {
    return {s.O, s.group_channels(), s.KH * s.KW, s.weight_last};
}

// From channels last to channels first, or with `to_last` the other way.
inline void turn_images(const Lying& a, bool to_last, const float* from, float* to) {
    if (to_last)
        layout_kernels.turn(a.batch, a.channels, a.pixels, from, to);
    else
        layout_kernels.turn(a.batch, a.pixels, a.channels, from, to);
}

// An argument in the wanted layout: itself if it lies so, else a copy.
class TurnedInput {
  public:
    TurnedInput(const float* data, const Lying& lying, bool wanted_last) : data_(data) {
        if (lying.is(wanted_last)) return;
        copy_ = static_cast<float*>(cached_alloc(lying.bytes()));
        data_ = copy_;
        if (copy_ != nullptr) turn_images(lying, wanted_last, data, copy_);
    }
    ~TurnedInput() { cached_free(copy_); }
    TurnedInput(const TurnedInput&) = delete;
    TurnedInput& operator=(const TurnedInput&) = delete;
    // Null if there was no memory.
    const float* data() const { return data_; }

  private:
    const float* data_;
    float* copy_ = nullptr;
};

// Where to compute a result in the wanted layout; `finish` then puts it where it belongs.
class TurnedResult {
  public:
    TurnedResult(float* target, const Lying& lying, bool wanted_last)
        : lying_(lying), in_place_(lying.is(wanted_last)), target_(target) {
        if (!in_place_) copy_ = static_cast<float*>(cached_alloc(lying.bytes()));
    }
    ~TurnedResult() { cached_free(copy_); }
    TurnedResult(const TurnedResult&) = delete;
    TurnedResult& operator=(const TurnedResult&) = delete;
    // Null if there was no memory.
    float* data() const { return in_place_ ? target_ : copy_; }
    void finish() const {
        if (!in_place_) turn_images(lying_, lying_.last, copy_, target_);
    }

  private:
    Lying lying_;
    bool in_place_;
    float* target_;
    float* copy_ = nullptr;
};

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
