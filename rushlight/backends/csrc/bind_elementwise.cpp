// Python functions of the elementwise kernels: add(x, y, out), relu(x, out) and so on.
//
// `y` is an array of x's dtype that broadcasts with x, or a Python number. `out`, when not None, is
// an array of the result's shape and may be one of the operands. What is not taken (other dtypes,
// a number that the integer type cannot hold) is left to the reference.
#include "bind.h"
#include "elementwise.h"
#include "strided.h"

namespace {

using namespace rl;

int number_of(PyArrayObject* array) {
    switch (PyArray_TYPE(array)) {
        case NPY_FLOAT: return kFloat32;
        case NPY_DOUBLE: return kFloat64;
        case NPY_LONG:
        case NPY_LONGLONG: return PyArray_ITEMSIZE(array) == 8 ? kInt64 : kInt32;
        case NPY_INT: return kInt32;
        default: return -1;
    }
}

// A Python number as one element of the array type; false when it has no such value.
union Element {
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
};
bool as_element(PyObject* object, int number, Element* element) {
    if (number == kFloat32 || number == kFloat64) {
        double value;
        if (!as_double(object, &value)) return false;
        if (number == kFloat32)
            element->f32 = float(value);
        else
            element->f64 = value;
        return true;
    }
    int64_t value;
    if (!as_int64(object, &value)) return false;
    element->i64 = value;
    if (number == kInt32) {
        if (value != int32_t(value)) return false;
        element->i32 = int32_t(value);
    }
    return true;
}

// The broadcast shape of two arrays; its rank, or -1 when they do not fit.
int broadcast_shape(PyArrayObject* x, PyArrayObject* y, npy_intp* shape) {
    const int nx = PyArray_NDIM(x), ny = PyArray_NDIM(y);
    const int ndim = nx > ny ? nx : ny;
    for (int i = 0; i < ndim; i++) {
        const npy_intp a = i < ndim - nx ? 1 : PyArray_DIM(x, i - (ndim - nx));
        const npy_intp b = i < ndim - ny ? 1 : PyArray_DIM(y, i - (ndim - ny));
        if (a != b && a != 1 && b != 1) return -1;
        shape[i] = a == 1 ? b : a;
    }
    return ndim;
}

// Whether `out` may be written while `other` is read in the same order: they are the same elements
// or lie apart.
bool safe_overlap(PyArrayObject* out, PyArrayObject* other) {
    if (PyArray_DATA(out) == PyArray_DATA(other) && same_shape(out, other)) {
        for (int i = 0; i < PyArray_NDIM(out); i++)
            if (PyArray_STRIDE(out, i) != PyArray_STRIDE(other, i)) return false;
        return true;
    }
    char *low[2], *high[2];
    PyArrayObject* arrays[2] = {out, other};
    for (int k = 0; k < 2; k++) {
        low[k] = high[k] = static_cast<char*>(PyArray_DATA(arrays[k]));
        for (int i = 0; i < PyArray_NDIM(arrays[k]); i++) {
            const npy_intp reach = (PyArray_DIM(arrays[k], i) - 1) * PyArray_STRIDE(arrays[k], i);
            (reach < 0 ? low[k] : high[k]) += reach;
        }
        high[k] += PyArray_ITEMSIZE(arrays[k]);
    }
    return high[0] <= low[1] || high[1] <= low[0];
}

// `out` as given, checked, or a fresh array; a new reference. Null: not handled, or out of memory.
PyArrayObject* result_array(PyObject* out, int ndim, const npy_intp* shape, int type_num) {
    if (out == nullptr || is_none(out)) return new_array(ndim, shape, type_num);
    PyArrayObject* array = as_array(out);
    if (array == nullptr || !PyArray_EquivTypenums(PyArray_TYPE(array), type_num) ||
        !PyArray_ISWRITEABLE(array) || !is_behaved(array) || PyArray_NDIM(array) != ndim)
        return nullptr;
    for (int i = 0; i < ndim; i++)
        if (PyArray_DIM(array, i) != shape[i]) return nullptr;
    Py_INCREF(out);
    return array;
}

PyObject* failed() { return PyErr_Occurred() ? nullptr : not_handled(); }

PyObject* binary(BinaryOp op, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs >= 2 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_behaved(x)) return not_handled();
    const int number = number_of(x);
    const BinaryLoop loop = number < 0 ? nullptr : elementwise_kernels().binary[op][number];
    if (loop == nullptr) return not_handled();

    PyArrayObject* y = as_array(args[1]);
    Element element;
    npy_intp shape[NPY_MAXDIMS];
    int ndim = PyArray_NDIM(x);
    if (y == nullptr) {
        if (!as_element(args[1], number, &element)) return not_handled();
    } else if (number_of(y) != number || !is_behaved(y)) {
        return not_handled();
    }
    const bool alike = y == nullptr || same_shape(x, y);
    if (alike)
        for (int i = 0; i < ndim; i++) shape[i] = PyArray_DIM(x, i);
    else if ((ndim = broadcast_shape(x, y, shape)) < 0)
        return not_handled();

    const int result_type = op >= kEq ? NPY_BOOL : PyArray_TYPE(x);
    PyObject* const out_arg = nargs >= 3 && !is_none(args[2]) ? args[2] : nullptr;
    PyArrayObject* out = result_array(out_arg, ndim, shape, result_type);
    if (out == nullptr) return failed();
    if (out_arg != nullptr &&
        (!safe_overlap(out, x) || (y != nullptr && !safe_overlap(out, y)))) {
        Py_DECREF(out);
        return not_handled();
    }

    const int64_t n = PyArray_SIZE(out);
    void* const y_data = y != nullptr ? PyArray_DATA(y) : &element;
    if (alike && n <= kElementGrain && is_contiguous(x) && is_contiguous(out) &&
        (y == nullptr || is_contiguous(y))) {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        loop(PyArray_DATA(out), PyArray_DATA(x), y_data, n, 1, 1, y != nullptr);
        return reinterpret_cast<PyObject*>(out);
    }
    StridedWalk<3> walk;
    walk.set_operand(0, out, ndim, shape);
    walk.set_operand(1, x, ndim, shape);
    if (y != nullptr)
        walk.set_operand(2, y, ndim, shape);
    else
        walk.set_scalar(2, &element);
    walk.merge(ndim, shape);
    const int64_t item = PyArray_ITEMSIZE(x);
    const int last = walk.ndim - 1;
    const int64_t out_stride = walk.stride[0][last] / PyArray_ITEMSIZE(out);
    const int64_t x_stride = walk.stride[1][last] / item, y_stride = walk.stride[2][last] / item;
    {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        walk.for_each_run([&](char* const* at, int64_t count) {
            loop(at[0], at[1], at[2], count, out_stride, x_stride, y_stride);
        });
    }
    return reinterpret_cast<PyObject*>(out);
}

PyObject* unary(UnaryOp op, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs >= 1 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_behaved(x)) return not_handled();
    const int number = number_of(x);
    const UnaryLoop loop = number < 0 ? nullptr : elementwise_kernels().unary[op][number];
    if (loop == nullptr) return not_handled();
    PyObject* const out_arg = nargs >= 2 && !is_none(args[1]) ? args[1] : nullptr;
    const int ndim = PyArray_NDIM(x);
    const npy_intp* shape = PyArray_DIMS(x);
    PyArrayObject* out = result_array(out_arg, ndim, shape, PyArray_TYPE(x));
    if (out == nullptr) return failed();
    if (out_arg != nullptr && !safe_overlap(out, x)) {
        Py_DECREF(out);
        return not_handled();
    }
    const int64_t n = PyArray_SIZE(out);
    if (n <= kElementGrain && is_contiguous(x) && is_contiguous(out)) {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        loop(PyArray_DATA(out), PyArray_DATA(x), n, 1, 1);
        return reinterpret_cast<PyObject*>(out);
    }
    StridedWalk<2> walk;
    walk.set_operand(0, out, ndim, shape);
    walk.set_operand(1, x, ndim, shape);
    walk.merge(ndim, shape);
    const int64_t item = PyArray_ITEMSIZE(x);
    const int64_t out_stride = walk.stride[0][walk.ndim - 1] / item;
    const int64_t x_stride = walk.stride[1][walk.ndim - 1] / item;
    {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        walk.for_each_run([&](char* const* at, int64_t count) {
            loop(at[0], at[1], count, out_stride, x_stride);
        });
    }
    return reinterpret_cast<PyObject*>(out);
}

template <BinaryOp op>
PyObject* py_binary(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    return binary(op, args, nargs);
}
template <UnaryOp op>
PyObject* py_unary(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    return unary(op, args, nargs);
}

// add_scaled(x, y, alpha, out=None): x + alpha * y, same shapes, contiguous.
PyObject* py_add_scaled(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs >= 3 ? as_array(args[0]) : nullptr;
    PyArrayObject* y = nargs >= 3 ? as_array(args[1]) : nullptr;
    double alpha;
    if (x == nullptr || y == nullptr || !as_double(args[2], &alpha)) return not_handled();
    const int number = number_of(x);
    if (number < 0 || number > kFloat64 || number_of(y) != number || !same_shape(x, y) ||
        !is_behaved(x) || !is_behaved(y) || !is_contiguous(x) || !is_contiguous(y))
        return not_handled();
    PyArrayObject* out = result_array(nargs >= 4 ? args[3] : nullptr, PyArray_NDIM(x),
                                      PyArray_DIMS(x), PyArray_TYPE(x));
    if (out == nullptr) return failed();
    if (!is_contiguous(out) || !safe_overlap(out, x) || !safe_overlap(out, y)) {
        Py_DECREF(out);
        return not_handled();
    }
    const auto kernel = elementwise_kernels().add_scaled[number];
    const int64_t n = PyArray_SIZE(out), item = PyArray_ITEMSIZE(out);
    char *r = PyArray_BYTES(out), *a = PyArray_BYTES(x), *b = PyArray_BYTES(y);
    {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        parallel_for(n, kElementGrain, [&](int64_t begin, int64_t end) {
            kernel(r + begin * item, a + begin * item, b + begin * item, alpha, end - begin);
        });
    }
    return reinterpret_cast<PyObject*>(out);
}

// clamp(x, low, high, out=None): None means no bound; float32 and float64, contiguous.
PyObject* py_clamp(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    PyArrayObject* x = nargs >= 3 ? as_array(args[0]) : nullptr;
    double low = -Py_HUGE_VAL, high = Py_HUGE_VAL;
    if (x == nullptr || !is_behaved(x) || !is_contiguous(x)) return not_handled();
    if (!is_none(args[1]) && !as_double(args[1], &low)) return not_handled();
    if (!is_none(args[2]) && !as_double(args[2], &high)) return not_handled();
    const int number = number_of(x);
    // A NaN bound makes everything NaN: rare, so the reference does it.
    if (number < 0 || number > kFloat64 || low != low || high != high) return not_handled();
    PyArrayObject* out = result_array(nargs >= 4 ? args[3] : nullptr, PyArray_NDIM(x),
                                      PyArray_DIMS(x), PyArray_TYPE(x));
    if (out == nullptr) return failed();
    if (!is_contiguous(out) || !safe_overlap(out, x)) {
        Py_DECREF(out);
        return not_handled();
    }
    const auto kernel = elementwise_kernels().clamp[number];
    const int64_t n = PyArray_SIZE(out), item = PyArray_ITEMSIZE(out);
    char *r = PyArray_BYTES(out), *a = PyArray_BYTES(x);
    {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        parallel_for(n, kElementGrain, [&](int64_t begin, int64_t end) {
            kernel(r + begin * item, a + begin * item, low, high, end - begin);
        });
    }
    return reinterpret_cast<PyObject*>(out);
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
    method("square", py_unary<kSquare>, kUnaryDoc),
    method("reciprocal", py_unary<kReciprocal>, kUnaryDoc),
    method("sqrt", py_unary<kSqrt>, kUnaryDoc),
    method("rsqrt", py_unary<kRsqrt>, kUnaryDoc),
    method("relu", py_unary<kRelu>, kUnaryDoc),
    method("exp", py_unary<kExp>, kUnaryDoc),
    method("log", py_unary<kLog>, kUnaryDoc),
    method("tanh", py_unary<kTanh>, kUnaryDoc),
    method("sigmoid", py_unary<kSigmoid>, kUnaryDoc),
    method("silu", py_unary<kSilu>, kUnaryDoc),
    method("gelu", py_unary<kGelu>, kUnaryDoc),
    method("gelu_tanh", py_unary<kGeluTanh>, kUnaryDoc),
    method("erf", py_unary<kErf>, kUnaryDoc),
    method("add_scaled", py_add_scaled, "(x, y, alpha, out=None), or NotImplemented."),
    method("clamp", py_clamp, "(x, low, high, out=None), or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
