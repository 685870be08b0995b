// elementwise.h: one function of one or two arrays, element by element (see elementwise.cpp).
#pragma once

#include <stdint.h>

#include "dispatch.h"

namespace rl {

enum BinaryOp {
    kAdd, kSub, kMul, kDiv, kMaximum, kMinimum,               // result of the operands' type
    kReluGrad, kSigmoidGrad, kTanhGrad,                       // (grad, result)
    kSiluGrad, kGeluGrad, kGeluTanhGrad,                      // (grad, input)
    kEq, kNe, kLt, kLe, kGt, kGe,                             // result bool
    kBinaryOps
};
enum UnaryOp {
    kNeg, kAbs, kSign, kSquare, kReciprocal, kSqrt, kRsqrt, kRelu,
    kFloor, kCeil, kTrunc, kRound, kFrac,
    kExp, kLog, kTanh, kSigmoid, kSilu, kGelu, kGeluTanh, kErf,
    kExpm1, kLog1p,
    kUnaryOps
};
enum Number { kFloat32, kFloat64, kInt32, kInt64, kNumbers };
union Element {  // one element of the type that a Number names
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
};

// n elements; strides count elements, and 0 repeats one element (a broadcast or a Python number).
typedef void (*BinaryLoop)(void* out, const void* x, const void* y, int64_t n, int64_t out_stride,
                           int64_t x_stride, int64_t y_stride);
typedef void (*UnaryLoop)(void* out, const void* x, int64_t n, int64_t out_stride,
                          int64_t x_stride);

struct ElementwiseKernels {
    BinaryLoop binary[kBinaryOps][kNumbers];  // null where there is no kernel
    UnaryLoop unary[kUnaryOps][kNumbers];
};

}  // namespace rl

RL_DECLARE_KERNELS(ElementwiseKernels, elementwise_kernels)
