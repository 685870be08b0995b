// Python functions of whole numbers: bitwise_and(x, y, out=None) and so on. Integer division shares
// its names with that of floats (bind_pointwise.cpp), which calls divide_integers. What is not taken
// is left to the reference, which also raises the error for a divisor of zero.
#include "operands.h"  // Python.h must come before the system's headers

#include "bind_integers.h"

namespace rl {

// Whether the divisor is known to have no zero: a number, or an array whose numbers lie side by side.
static bool has_no_zero(const ElementwiseCall<3>& call, bool is_wide) {
    PyArrayObject* y = call.arrays[2];
    if (y == nullptr) return is_wide ? call.elements[2].i64 != 0 : call.elements[2].i32 != 0;
    const int64_t n = PyArray_SIZE(y);
    if (!is_contiguous(y)) return false;
    ReleaseGil unlocked(n >= kReleaseGilElements);
    return !integer_kernels().has_zero[is_wide](PyArray_DATA(y), n);
}

static PyObject* run(ElementwiseCall<3>* call, BinaryLoop loop, int64_t item) {
    return call->run([&](char* const* at, const int64_t* stride, int64_t n) {
        loop(at[0], at[1], at[2], n, stride[0] / item, stride[1] / item, stride[2] / item);
    });
}

// Operands of int32 or int64: whether they are wide (1) or not (0), or -1 if not taken.
static int set_integers(ElementwiseCall<3>* call, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n >= 2 ? as_array(args[0]) : nullptr;
    const int number = x != nullptr ? number_of(x) : -1;
    if ((number != kInt32 && number != kInt64) || !call->set_array(1, x) ||
        !call->set_operand(2, args[1], number))
        return -1;
    return number == kInt64;
}

PyObject* divide_integers(DivisionOp op, PyObject* const* args, Py_ssize_t n) {
    ElementwiseCall<3> call;
    const int is_wide = set_integers(&call, args, n);
    if (is_wide < 0 || !has_no_zero(call, is_wide)) return not_handled();
    if (!call.set_result(n >= 3 ? args[2] : nullptr, PyArray_DESCR(call.arrays[1])))
        return failed();
    return run(&call, integer_kernels().division[op][is_wide], is_wide ? 8 : 4);
}

}  // namespace rl

namespace {

using namespace rl;

bool has_bits(PyArrayObject* array) {
    return array != nullptr && (PyArray_ISINTEGER(array) || PyArray_ISBOOL(array)) &&
           PyArray_ISNOTSWAPPED(array);
}

PyObject* bits(BitOp op, ElementwiseCall<3>* call, PyObject* out) {
    PyArrayObject* x = call->arrays[1];
    if (!call->set_result(out, PyArray_DESCR(x))) return failed();
    const int64_t item = PyArray_ITEMSIZE(x);
    return run(call, integer_kernels().bits[op][__builtin_ctzll(uint64_t(item))], item);
}

// Operands of one dtype; `kind` is that of the arrays, or null for any with bits.
PyObject* bits_of_two(BitOp op, PyObject* const* args, Py_ssize_t n, bool only_bools) {
    PyArrayObject* x = n >= 2 ? as_array(args[0]) : nullptr;
    PyArrayObject* y = n >= 2 ? as_array(args[1]) : nullptr;
    ElementwiseCall<3> call;
    if (!has_bits(x) || (only_bools && !PyArray_ISBOOL(x)) || !call.set_array(1, x))
        return not_handled();
    if (y != nullptr) {
        if (!PyArray_EquivTypes(PyArray_DESCR(x), PyArray_DESCR(y)) || !call.set_array(2, y))
            return not_handled();
    } else if (number_of(x) < 0 || !call.set_operand(2, args[1], number_of(x))) {
        return not_handled();
    }
    return bits(op, &call, n >= 3 ? args[2] : nullptr);
}

template <BitOp op, bool only_bools>
PyObject* py_bits(PyObject*, PyObject* const* args, Py_ssize_t n) {
    return bits_of_two(op, args, n, only_bools);
}

// All bits turned, of bools the one.
template <bool only_bools>
PyObject* py_not(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n >= 1 ? as_array(args[0]) : nullptr;
    ElementwiseCall<3> call;
    if (!has_bits(x) || (only_bools && !PyArray_ISBOOL(x)) || !call.set_array(1, x))
        return not_handled();
    call.elements[2].i64 = PyArray_ISBOOL(x) ? 0x0101010101010101 : -1;
    return bits(kXor, &call, n >= 2 ? args[1] : nullptr);
}

template <ShiftOp op>
PyObject* py_shift(PyObject*, PyObject* const* args, Py_ssize_t n) {
    ElementwiseCall<3> call;
    const int is_wide = set_integers(&call, args, n);
    if (is_wide < 0) return not_handled();
    if (!call.set_result(n >= 3 ? args[2] : nullptr, PyArray_DESCR(call.arrays[1])))
        return failed();
    return run(&call, integer_kernels().shifts[op][is_wide], is_wide ? 8 : 4);
}

const char kDoc[] = "(x, y, out=None), or NotImplemented.";

}  // namespace

PyMethodDef integer_methods[] = {
    method("bitwise_and", py_bits<kAnd, false>, kDoc),
    method("bitwise_or", py_bits<kOr, false>, kDoc),
    method("bitwise_xor", py_bits<kXor, false>, kDoc),
    method("bitwise_not", py_not<false>, "(x, out=None), or NotImplemented."),
    method("logical_and", py_bits<kAnd, true>, "Of bools: (x, y, out=None), or NotImplemented."),
    method("logical_or", py_bits<kOr, true>, "Of bools: (x, y, out=None), or NotImplemented."),
    method("logical_xor", py_bits<kXor, true>, "Of bools: (x, y, out=None), or NotImplemented."),
    method("logical_not", py_not<true>, "Of bools: (x, out=None), or NotImplemented."),
    method("left_shift", py_shift<kLeftShift>, kDoc),
    method("right_shift", py_shift<kRightShift>, kDoc),
    {nullptr, nullptr, 0, nullptr},
};
