// Python functions of the elementwise kernels of three operands.
//
// Operands are arrays of one dtype that broadcast; Python numbers may stand for all but the first
// (in `where` for the second or the third). What is not taken is left to the reference.
#include "operands.h"  // Python.h must come before the system's headers

#include "ternary.h"

namespace {

using namespace rl;

// op(operands[0], operands[1], operands[2]) with `factor`, a Python number, or null for 1.
PyObject* ternary(TernaryOp op, PyObject* const* operands, PyObject* factor, PyObject* out) {
    PyArrayObject* x = as_array(operands[0]);
    const int number = x != nullptr ? number_of(x) : -1;
    const TernaryLoop loop = number < 0 ? nullptr : ternary_kernels().loops[op][number];
    ElementwiseCall<4> call;
    if (loop == nullptr || !call.set_array(1, x) || !call.set_operand(2, operands[1], number) ||
        !call.set_operand(3, operands[2], number))
        return not_handled();
    Element scale;
    if (factor != nullptr) {
        if (!as_element(factor, number, &scale)) return not_handled();
    } else {
        set_element(1, number, &scale);
    }
    if (!call.set_result(out, PyArray_DESCR(x))) return failed();
    return call.run([&](char* const* at, const int64_t* stride, int64_t n) {
        loop(at, stride, n, scale);
    });
}

// addcmul(x, y, z, value, out=None): x + value * y * z
template <TernaryOp op>
PyObject* py_with_factor(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n < 4) return not_handled();
    return ternary(op, args, args[3], n >= 5 ? args[4] : nullptr);
}
// lerp(x, end, weight, out=None)
PyObject* py_lerp(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n < 3) return not_handled();
    return ternary(kLerp, args, nullptr, n >= 4 ? args[3] : nullptr);
}
// add_scaled(x, y, alpha, out=None): x + alpha * y
PyObject* py_add_scaled(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n < 3) return not_handled();
    return ternary(kAddCMul, args, nullptr, n >= 4 ? args[3] : nullptr);
}
// The smallest and the largest number of a type, as Python numbers that live for ever.
struct Limits {
    PyObject *low, *high;
};
Limits limits_of(int number) {
    static const Limits of_floats = {PyFloat_FromDouble(-Py_HUGE_VAL),
                                     PyFloat_FromDouble(Py_HUGE_VAL)};
    static const Limits of_int32 = {PyLong_FromLongLong(INT32_MIN), PyLong_FromLongLong(INT32_MAX)};
    static const Limits of_int64 = {PyLong_FromLongLong(INT64_MIN), PyLong_FromLongLong(INT64_MAX)};
    return number == kInt32 ? of_int32 : number == kInt64 ? of_int64 : of_floats;
}

// clamp(x, low, high, out=None): None means no bound
PyObject* py_clamp(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n >= 3 ? as_array(args[0]) : nullptr;
    const int number = x != nullptr ? number_of(x) : -1;
    if (number < 0) return not_handled();
    PyObject* const out = n >= 4 ? args[3] : nullptr;
    if (is_none(args[1]) && as_array(args[2])) return binary(kMinimum, args[0], args[2], out);
    if (is_none(args[2]) && as_array(args[1])) return binary(kMaximum, args[0], args[1], out);
    const Limits limits = limits_of(number);
    PyObject* const operands[] = {args[0], is_none(args[1]) ? limits.low : args[1],
                                  is_none(args[2]) ? limits.high : args[2]};
    return ternary(kClamp, operands, nullptr, out);
}

// Items that can be moved as 1, 2, 4, 8 or 16 bytes.
bool is_movable(PyArrayObject* array) {
    const int64_t item = PyArray_ITEMSIZE(array);
    return !PyDataType_REFCHK(PyArray_DESCR(array)) && item > 0 && item <= 16 &&
           (item & (item - 1)) == 0;
}
PyArrayObject* mask_of(PyObject* object) {
    PyArrayObject* array = as_array(object);
    return array != nullptr && PyArray_TYPE(array) == NPY_BOOL ? array : nullptr;
}

// where(condition, x, y): x is an array, y an array of its dtype or a Python number
PyObject* py_where(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* mask = n == 3 ? mask_of(args[0]) : nullptr;
    PyArrayObject* x = n == 3 ? as_array(args[1]) : nullptr;
    if (mask == nullptr || x == nullptr || !is_movable(x)) return not_handled();
    PyArrayObject* y = as_array(args[2]);
    ElementwiseCall<4> call;
    if (!call.set_array(1, mask) || !call.set_array(2, x)) return not_handled();
    if (y != nullptr) {
        if (!PyArray_EquivTypes(PyArray_DESCR(x), PyArray_DESCR(y)) || !call.set_array(3, y))
            return not_handled();
    } else if (number_of(x) < 0 || !call.set_operand(3, args[2], number_of(x))) {
        return not_handled();
    }
    if (!call.set_result(nullptr, PyArray_DESCR(x))) return failed();
    const int64_t item = PyArray_ITEMSIZE(x);
    const auto kernel = ternary_kernels().where;
    return call.run([&](char* const* at, const int64_t* stride, int64_t count) {
        kernel(at, stride, count, item);
    });
}

// masked_fill(x, mask, value, out): the value, a Python number, where the mask holds, else x
PyObject* py_masked_fill(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 4 ? as_array(args[0]) : nullptr;
    PyArrayObject* mask = n == 4 ? mask_of(args[1]) : nullptr;
    const int number = x != nullptr ? number_of(x) : -1;
    ElementwiseCall<4> call;
    if (mask == nullptr || number < 0 || as_array(args[2]) != nullptr || !call.set_array(1, x) ||
        !call.set_array(2, mask) || !call.set_operand(3, args[2], number))
        return not_handled();
    if (!call.set_result(args[3], PyArray_DESCR(x))) return failed();
    const int64_t item = PyArray_ITEMSIZE(x);
    const auto kernel = ternary_kernels().where;
    return call.run([&](char* const* at, const int64_t* stride, int64_t count) {
        char* const operands[] = {at[0], at[2], at[3], at[1]};
        const int64_t steps[] = {stride[0], stride[2], stride[3], stride[1]};
        kernel(operands, steps, count, item);
    });
}

}  // namespace

PyMethodDef ternary_methods[] = {
    method("addcmul", py_with_factor<kAddCMul>, "(x, y, z, value, out=None), or NotImplemented."),
    method("addcdiv", py_with_factor<kAddCDiv>, "(x, y, z, value, out=None), or NotImplemented."),
    method("lerp", py_lerp, "(x, end, weight, out=None), or NotImplemented."),
    method("add_scaled", py_add_scaled, "(x, y, alpha, out=None), or NotImplemented."),
    method("clamp", py_clamp, "(x, low, high, out=None), or NotImplemented."),
    method("where", py_where, "(condition, x, y), or NotImplemented."),
    method("masked_fill", py_masked_fill, "(x, mask, value, out), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
