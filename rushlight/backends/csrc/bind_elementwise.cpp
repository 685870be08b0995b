// Python functions of the elementwise kernels: add(x, y, out), relu(x, out) and so on.
//
// `y` is an array of x's dtype that broadcasts with x, or a Python number. `out`, when not None, is
// an array of the result's shape and may be one of the operands. What is not taken (other dtypes,
// a number that the integer type cannot hold) is left to the reference.
#include "operands.h"  // Python.h must come before the system's headers

#include "cast.h"

namespace {

using namespace rl;

PyArray_Descr* result_descr(PyArrayObject* x, bool is_predicate) {
    // Builtin descriptors live for ever.
    static PyArray_Descr* const boolean = PyArray_DescrFromType(NPY_BOOL);
    return is_predicate ? boolean : PyArray_DESCR(x);
}

}  // namespace

PyObject* rl::binary(BinaryOp op, PyObject* first, PyObject* second, PyObject* out) {
    PyArrayObject* x = as_array(first);
    const int number = x != nullptr ? number_of(x) : -1;
    const BinaryLoop loop = number < 0 ? nullptr : elementwise_kernels().binary[op][number];
    ElementwiseCall<3> call;
    if (loop == nullptr || !call.set_array(1, x) || !call.set_operand(2, second, number))
        return not_handled();
    PyArray_Descr* const descr = result_descr(x, op >= kEq);
    if (!call.set_result(out, descr)) return failed();
    const int64_t item = PyArray_ITEMSIZE(x), out_item = PyDataType_ELSIZE(descr);
    return call.run([&](char* const* at, const int64_t* stride, int64_t n) {
        loop(at[0], at[1], at[2], n, stride[0] / out_item, stride[1] / item, stride[2] / item);
    });
}

PyObject* rl::unary(UnaryLoop loop, PyArrayObject* x, PyObject* out) {
    ElementwiseCall<2> call;
    if (loop == nullptr || !call.set_array(1, x)) return not_handled();
    if (!call.set_result(out, PyArray_DESCR(x))) return failed();
    const int64_t item = PyArray_ITEMSIZE(x);
    return call.run([&](char* const* at, const int64_t* stride, int64_t n) {
        loop(at[0], at[1], n, stride[0] / item, stride[1] / item);
    });
}

namespace {

template <BinaryOp op>
PyObject* py_binary(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs < 2) return not_handled();
    return binary(op, args[0], args[1], nargs >= 3 ? args[2] : nullptr);
}
template <UnaryOp op>
PyObject* py_unary(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs >= 1 ? as_array(args[0]) : nullptr;
    const int number = x != nullptr ? number_of(x) : -1;
    if (number < 0) return not_handled();
    return unary(elementwise_kernels().unary[op][number], x, nargs >= 2 ? args[1] : nullptr);
}

int cast_source(PyArrayObject* x) {
    switch (PyArray_TYPE(x)) {
        case NPY_BOOL: return kFromBool;
        case NPY_UINT8: return kFromU8;
        default: return number_of(x);  // the first four are in the order of Number
    }
}
int cast_target(PyArray_Descr* descr) {
    switch (descr->type_num) {
        case NPY_FLOAT: return kToF32;
        case NPY_DOUBLE: return kToF64;
        case NPY_INT64: return kToI64;
        case NPY_BOOL: return kToBool;
        default: return -1;
    }
}

// cast(x, dtype)
PyObject* py_cast(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs == 2 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !PyArray_DescrCheck(args[1])) return not_handled();
    PyArray_Descr* const descr = reinterpret_cast<PyArray_Descr*>(args[1]);
    const int source = cast_source(x), target = cast_target(descr);
    ElementwiseCall<2> call;
    if (source < 0 || target < 0 || !PyArray_ISNBO(descr->byteorder) || !call.set_array(1, x))
        return not_handled();
    if (!call.set_result(nullptr, descr)) return failed();
    const CastLoop loop = cast_kernels().loops[source][target];
    return call.run([&](char* const* at, const int64_t* stride, int64_t n) {
        loop(at[0], at[1], n, stride[0], stride[1]);
    });
}

const char kBinaryDoc[] = "(x, y, out=None), or NotImplemented.";
const char kUnaryDoc[] = "(x, out=None), or NotImplemented.";

}  // namespace

PyMethodDef elementwise_methods[] = {
    method("add", py_binary<kAdd>, kBinaryDoc),
    method("sub", py_binary<kSub>, kBinaryDoc),
    method("mul", py_binary<kMul>, kBinaryDoc),
    method("div", py_binary<kDiv>, kBinaryDoc),
    method("maximum", py_binary<kMaximum>, kBinaryDoc),
    method("minimum", py_binary<kMinimum>, kBinaryDoc),
    method("relu_grad", py_binary<kReluGrad>, kBinaryDoc),
    method("sigmoid_grad", py_binary<kSigmoidGrad>, kBinaryDoc),
    method("tanh_grad", py_binary<kTanhGrad>, kBinaryDoc),
    method("silu_grad", py_binary<kSiluGrad>, kBinaryDoc),
    method("gelu_grad", py_binary<kGeluGrad>, kBinaryDoc),
    method("gelu_tanh_grad", py_binary<kGeluTanhGrad>, kBinaryDoc),
    method("eq", py_binary<kEq>, kBinaryDoc),
    method("ne", py_binary<kNe>, kBinaryDoc),
    method("lt", py_binary<kLt>, kBinaryDoc),
    method("le", py_binary<kLe>, kBinaryDoc),
    method("gt", py_binary<kGt>, kBinaryDoc),
    method("ge", py_binary<kGe>, kBinaryDoc),
    method("neg", py_unary<kNeg>, kUnaryDoc),
    method("abs", py_unary<kAbs>, kUnaryDoc),
    method("sign", py_unary<kSign>, kUnaryDoc),
    method("square", py_unary<kSquare>, kUnaryDoc),
    method("reciprocal", py_unary<kReciprocal>, kUnaryDoc),
    method("sqrt", py_unary<kSqrt>, kUnaryDoc),
    method("rsqrt", py_unary<kRsqrt>, kUnaryDoc),
    method("relu", py_unary<kRelu>, kUnaryDoc),
    method("floor", py_unary<kFloor>, kUnaryDoc),
    method("ceil", py_unary<kCeil>, kUnaryDoc),
    method("trunc", py_unary<kTrunc>, kUnaryDoc),
    method("round", py_unary<kRound>, kUnaryDoc),
    method("frac", py_unary<kFrac>, kUnaryDoc),
    method("exp", py_unary<kExp>, kUnaryDoc),
    method("log", py_unary<kLog>, kUnaryDoc),
    method("tanh", py_unary<kTanh>, kUnaryDoc),
    method("sigmoid", py_unary<kSigmoid>, kUnaryDoc),
    method("silu", py_unary<kSilu>, kUnaryDoc),
    method("gelu", py_unary<kGelu>, kUnaryDoc),
    method("gelu_tanh", py_unary<kGeluTanh>, kUnaryDoc),
    method("erf", py_unary<kErf>, kUnaryDoc),
    method("expm1", py_unary<kExpm1>, kUnaryDoc),
    method("log1p", py_unary<kLog1p>, kUnaryDoc),
    method("cast", py_cast, "(x, dtype), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
