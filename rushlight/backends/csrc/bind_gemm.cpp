// bind_gemm.cpp: matmul, addmm and linear for NumPy arrays of float32, float64, float16 and
// bfloat16, and int8 products in int32.
//
// Operands may be strided in any way. Everything else (other integers, subclasses) is not handled
// here and goes to the reference kernels.
#include <vector>

#include "bind.h"
#include "gemm_narrow.h"

namespace rl {
namespace {

constexpr int kMostDims = 32;
constexpr int64_t kReleaseGilWork = 500000;

int64_t element_stride(PyArrayObject* array, int axis) {
    return PyArray_STRIDE(array, axis) / PyArray_ITEMSIZE(array);
}

// bfloat16's type number, which ml_dtypes registers with NumPy; -1 without ml_dtypes.
int find_bfloat16() {
    PyObject* module = PyImport_ImportModule("ml_dtypes");
    PyObject* type = module ? PyObject_GetAttrString(module, "bfloat16") : nullptr;
    PyArray_Descr* descr = nullptr;
    if (type != nullptr) PyArray_DescrConverter(type, &descr);
    const int number = descr != nullptr ? descr->type_num : -1;
    Py_XDECREF(descr);
    Py_XDECREF(type);
    Py_XDECREF(module);
    PyErr_Clear();
    return number;
}
int bfloat16_type() {
    static const int number = find_bfloat16();
    return number;
}

bool is_multiplied(int type) {
    if (type == NPY_FLOAT32 || type == NPY_FLOAT64) return true;
    if (type == NPY_FLOAT16) return narrow_gemm_kernels().matmul_f16 != nullptr;
    return type == bfloat16_type();
}

bool same_float_type(PyArrayObject* a, PyArrayObject* b) {
    const int type = PyArray_TYPE(a);
    return is_multiplied(type) && PyArray_TYPE(b) == type && is_behaved(a) && is_behaved(b);
}

// A call before its element type matters.
struct Operand {
    PyArrayObject* array;
    int batch_dims;
    int64_t row, col;
};

struct Product {
    int64_t batch, M, N, K;
    Operand a, b;
    const int64_t *a_offsets, *b_offsets;
    PyArrayObject* c;
    PyArrayObject* col_bias;
    bool accumulate;
    bool relu;
};

template <class T>
void run_product(const Product& p, void (*matmul)(const MatmulCall<T>&)) {
    MatmulCall<T> call;
    call.batch = p.batch;
    call.M = p.M;
    call.N = p.N;
    call.K = p.K;
    call.a = data<T>(p.a.array);
    call.a_offsets = p.a_offsets;
    call.a_row = p.a.row;
    call.a_col = p.a.col;
    call.b = data<T>(p.b.array);
    call.b_offsets = p.b_offsets;
    call.b_row = p.b.row;
    call.b_col = p.b.col;
    call.c = data<T>(p.c);
    call.col_bias = p.col_bias ? data<T>(p.col_bias) : nullptr;
    call.accumulate = p.accumulate;
    call.relu = p.relu;
    ReleaseGil released(p.batch * p.M * p.N * p.K > kReleaseGilWork);
    matmul(call);
}

PyObject* finish_product(const Product& p) {
    switch (PyArray_TYPE(p.c)) {
        case NPY_FLOAT32: run_product<float>(p, gemm_kernels().matmul_f32); break;
        case NPY_FLOAT64: run_product<double>(p, gemm_kernels().matmul_f64); break;
        case NPY_FLOAT16: run_product<uint16_t>(p, narrow_gemm_kernels().matmul_f16); break;
        default: run_product<uint16_t>(p, narrow_gemm_kernels().matmul_bf16);
    }
    return reinterpret_cast<PyObject*>(p.c);
}

// Whether the leading axes of `array` can be walked as one axis with the stride of the last of
// them, so that a stack of matrices times one matrix is a single product.
bool leading_axes_merge(PyArrayObject* array, int axes) {
    for (int i = 0; i + 1 < axes; i++)
        if (PyArray_DIM(array, i) != 1 &&
            PyArray_STRIDE(array, i) != PyArray_STRIDE(array, i + 1) * PyArray_DIM(array, i + 1))
            return false;
    return true;
}

// Where each item of the broadcast batch starts in the operand.
void batch_offsets(const Operand& operand, int dims, const npy_intp* shape, int64_t batch,
                   std::vector<int64_t>& offsets) {
    int64_t stride[kMostDims];
    const int missing = dims - operand.batch_dims;
    for (int i = 0; i < dims; i++) {
        const bool repeats = i < missing || PyArray_DIM(operand.array, i - missing) == 1;
        stride[i] = repeats ? 0 : element_stride(operand.array, i - missing);
    }
    offsets.resize(size_t(batch));
    int64_t index[kMostDims] = {}, offset = 0;
    for (int64_t n = 0; n < batch; n++) {
        offsets[size_t(n)] = offset;
        for (int i = dims - 1; i >= 0; i--) {
            offset += stride[i];
            if (++index[i] < shape[i]) break;
            offset -= stride[i] * shape[i];
            index[i] = 0;
        }
    }
}

// Splits the shape of an operand into batch, rows and columns; a vector is a row (of a) or a
// column (of b).
Operand matrix_of(PyArrayObject* array, bool is_right) {
    const int ndim = PyArray_NDIM(array);
    if (ndim == 1) {
        const int64_t stride = element_stride(array, 0);
        return is_right ? Operand{array, 0, stride, 1} : Operand{array, 0, 1, stride};
    }
    return {array, ndim - 2, element_stride(array, ndim - 2), element_stride(array, ndim - 1)};
}

// Broadcasts the batch axes into shape; false when they do not match.
bool broadcast_batch(const Operand& a, const Operand& b, int dims, npy_intp* shape) {
    for (int i = 0; i < dims; i++) {
        const int ia = i - (dims - a.batch_dims), ib = i - (dims - b.batch_dims);
        const npy_intp na = ia >= 0 ? PyArray_DIM(a.array, ia) : 1;
        const npy_intp nb = ib >= 0 ? PyArray_DIM(b.array, ib) : 1;
        if (na != nb && na != 1 && nb != 1) return false;
        shape[i] = na == 1 ? nb : na;
    }
    return true;
}

// ------------------------------------------------------------------ matmul
PyObject* matmul(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2) return not_handled();
    PyArrayObject *a = as_array(args[0]), *b = as_array(args[1]);
    if (!a || !b || !same_float_type(a, b)) return not_handled();
    const int a_dims = PyArray_NDIM(a), b_dims = PyArray_NDIM(b);
    if (a_dims < 1 || b_dims < 1 || a_dims > kMostDims || b_dims > kMostDims) return not_handled();

    Product p = {};
    p.batch = 1;
    p.a = matrix_of(a, false);
    p.b = matrix_of(b, true);
    p.M = a_dims == 1 ? 1 : PyArray_DIM(a, a_dims - 2);
    p.K = PyArray_DIM(a, a_dims - 1);
    p.N = b_dims == 1 ? 1 : PyArray_DIM(b, b_dims - 1);
    if (p.K != PyArray_DIM(b, b_dims == 1 ? 0 : b_dims - 2)) return not_handled();

    const int dims = p.a.batch_dims > p.b.batch_dims ? p.a.batch_dims : p.b.batch_dims;
    npy_intp shape[kMostDims + 2];
    if (!broadcast_batch(p.a, p.b, dims, shape)) return not_handled();
    for (int i = 0; i < dims; i++) p.batch *= shape[i];
    int ndim = dims;
    if (a_dims > 1) shape[ndim++] = p.M;
    if (b_dims > 1) shape[ndim++] = p.N;
    p.c = new_array(ndim, shape, PyArray_TYPE(a));
    if (!p.c) return nullptr;

    std::vector<int64_t> a_offsets, b_offsets;
    if (p.batch > 1 && p.b.batch_dims == 0 && leading_axes_merge(a, a_dims - 1)) {
        p.M *= p.batch;
        p.batch = 1;
    } else if (p.batch > 1) {
        batch_offsets(p.a, dims, shape, p.batch, a_offsets);
        batch_offsets(p.b, dims, shape, p.batch, b_offsets);
        p.a_offsets = a_offsets.data();
        p.b_offsets = b_offsets.data();
    }
    return finish_product(p);
}

// ------------------------------------------------------------------ gradients of a product
Operand turned(const Operand& matrix) {
    return {matrix.array, matrix.batch_dims, matrix.col, matrix.row};
}

// The product of two matrices of M x K and K x N.
PyObject* product_of(const Operand& a, const Operand& b, int64_t M, int64_t K, int64_t N) {
    Product p = {};
    p.batch = 1;
    p.a = a;
    p.b = b;
    p.M = M;
    p.K = K;
    p.N = N;
    const npy_intp shape[] = {npy_intp(M), npy_intp(N)};
    p.c = new_array(2, shape, PyArray_TYPE(a.array));
    return p.c == nullptr ? nullptr : finish_product(p);
}

bool are_matrices(PyArrayObject* a, PyArrayObject* b) {
    return a && b && same_float_type(a, b) && PyArray_NDIM(a) == 2 && PyArray_NDIM(b) == 2;
}

// matmul_right(grad, b): grad @ b.T
PyObject* matmul_right(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2) return not_handled();
    PyArrayObject *grad = as_array(args[0]), *b = as_array(args[1]);
    if (!are_matrices(grad, b) || PyArray_DIM(grad, 1) != PyArray_DIM(b, 1)) return not_handled();
    return product_of(matrix_of(grad, false), turned(matrix_of(b, true)), PyArray_DIM(grad, 0),
                      PyArray_DIM(grad, 1), PyArray_DIM(b, 0));
}

// matmul_left(grad, a, strides): a.T @ grad; by columns, as the transposed view of grad.T @ a, if the
// two strides rise.
PyObject* matmul_left(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 3) return not_handled();
    PyArrayObject *grad = as_array(args[0]), *a = as_array(args[1]);
    if (!are_matrices(grad, a) || PyArray_DIM(grad, 0) != PyArray_DIM(a, 0)) return not_handled();
    const int64_t rows = PyArray_DIM(a, 1), columns = PyArray_DIM(grad, 1);
    const int64_t inner = PyArray_DIM(a, 0);
    int64_t strides[2];
    if (as_int_tuple(args[2], strides, 2) != 2) return not_handled();
    if (strides[0] >= strides[1])
        return product_of(turned(matrix_of(a, false)), matrix_of(grad, true), rows, inner, columns);
    PyObject* product = product_of(turned(matrix_of(grad, false)), matrix_of(a, true), columns,
                                   inner, rows);
    if (product == nullptr) return nullptr;
    PyObject* view = PyArray_Transpose(reinterpret_cast<PyArrayObject*>(product), nullptr);
    Py_DECREF(product);
    return view;
}

// ------------------------------------------------------------------ addmm, linear
// A bias that adds the same row to every row of the result.
bool is_row_of(PyArrayObject* bias, int64_t N) {
    const int ndim = PyArray_NDIM(bias);
    if (ndim == 2 && PyArray_DIM(bias, 0) != 1) return false;
    return (ndim == 1 || ndim == 2) && PyArray_DIM(bias, ndim - 1) == N && is_contiguous(bias);
}

bool is_one(PyObject* number) {
    double value;
    return as_double(number, &value) && value == 1.0;
}

// addmm(bias, a, b, beta, alpha, relu): bias + a @ b, where bias is a row or has the result's shape.
PyObject* addmm(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 6 || !is_one(args[3]) || !is_one(args[4])) return not_handled();
    PyArrayObject *bias = as_array(args[0]), *a = as_array(args[1]), *b = as_array(args[2]);
    if (!bias || !a || !b || !same_float_type(a, b) || !same_float_type(a, bias))
        return not_handled();
    if (PyArray_NDIM(a) != 2 || PyArray_NDIM(b) != 2 || PyArray_DIM(a, 1) != PyArray_DIM(b, 0))
        return not_handled();
    Product p = {};
    p.batch = 1;
    p.a = matrix_of(a, false);
    p.b = matrix_of(b, true);
    p.M = PyArray_DIM(a, 0);
    p.K = PyArray_DIM(a, 1);
    p.N = PyArray_DIM(b, 1);
    const npy_intp shape[] = {npy_intp(p.M), npy_intp(p.N)};
    const bool is_row = is_row_of(bias, p.N);
    if (!is_row && (PyArray_NDIM(bias) != 2 || PyArray_DIM(bias, 0) != p.M ||
                    PyArray_DIM(bias, 1) != p.N || !is_contiguous(bias)))
        return not_handled();
    p.relu = args[5] == Py_True;
    p.c = new_array(2, shape, PyArray_TYPE(a));
    if (!p.c) return nullptr;
    if (is_row) {
        p.col_bias = bias;
    } else {
        memcpy(PyArray_DATA(p.c), PyArray_DATA(bias), size_t(PyArray_NBYTES(bias)));
        p.accumulate = true;
    }
    return finish_product(p);
}

// linear(x, weight, bias or None): x @ weight.T + bias, any number of leading axes.
PyObject* linear(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 3) return not_handled();
    PyArrayObject *x = as_array(args[0]), *weight = as_array(args[1]);
    PyArrayObject* bias = is_none(args[2]) ? nullptr : as_array(args[2]);
    if (!x || !weight || !same_float_type(x, weight) || PyArray_NDIM(weight) != 2)
        return not_handled();
    if (!is_none(args[2]) && (!bias || PyArray_NDIM(bias) != 1 || !same_float_type(x, bias) ||
                              !is_row_of(bias, PyArray_DIM(weight, 0))))
        return not_handled();
    const int ndim = PyArray_NDIM(x);
    if (ndim < 1 || ndim > kMostDims || PyArray_DIM(x, ndim - 1) != PyArray_DIM(weight, 1) ||
        !leading_axes_merge(x, ndim - 1))
        return not_handled();

    Product p = {};
    p.batch = 1;
    p.a = matrix_of(x, false);
    p.b = {weight, 0, element_stride(weight, 1), element_stride(weight, 0)};
    p.M = 1;
    p.K = PyArray_DIM(weight, 1);
    p.N = PyArray_DIM(weight, 0);
    npy_intp shape[kMostDims];
    for (int i = 0; i < ndim - 1; i++) {
        shape[i] = PyArray_DIM(x, i);
        p.M *= shape[i];
    }
    shape[ndim - 1] = npy_intp(p.N);
    p.col_bias = bias;
    p.c = new_array(ndim, shape, PyArray_TYPE(x));
    if (!p.c) return nullptr;
    return finish_product(p);
}

// int_matmul(a, b): int8 matrices multiplied in int32.
PyObject* int_matmul(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2) return not_handled();
    PyArrayObject *a = as_array(args[0]), *b = as_array(args[1]);
    if (!a || !b || PyArray_TYPE(a) != NPY_INT8 || PyArray_TYPE(b) != NPY_INT8 ||
        PyArray_NDIM(a) != 2 || PyArray_NDIM(b) != 2 || PyArray_DIM(a, 1) != PyArray_DIM(b, 0))
        return not_handled();
    const npy_intp shape[] = {PyArray_DIM(a, 0), PyArray_DIM(b, 1)};
    Owned c(new_array(2, shape, NPY_INT32));
    if (!c.get()) return nullptr;
    const Int8Product product = {shape[0], shape[1], PyArray_DIM(a, 1),
                                 data<int8_t>(a), PyArray_STRIDE(a, 0), PyArray_STRIDE(a, 1),
                                 data<int8_t>(b), PyArray_STRIDE(b, 0), PyArray_STRIDE(b, 1),
                                 c.values<int32_t>()};
    bool done;
    {
        ReleaseGil released(product.M * product.N * product.K > kReleaseGilWork);
        done = int8_gemm_kernels().product(product);
    }
    return done ? c.release() : not_handled();
}

}  // namespace
}  // namespace rl

extern PyMethodDef gemm_methods[];
PyMethodDef gemm_methods[] = {
    rl::method("matmul", rl::matmul, "matmul(a, b): batched matrix product."),
    rl::method("matmul_right", rl::matmul_right, "matmul_right(grad, b): grad @ b.T"),
    rl::method("matmul_left", rl::matmul_left, "matmul_left(grad, a, strides): a.T @ grad"),
    rl::method("addmm", rl::addmm, "addmm(bias, a, b, beta, alpha, relu): bias + a @ b, rectified if asked for."),
    rl::method("linear", rl::linear, "linear(x, weight, bias): x @ weight.T + bias."),
    rl::method("int_matmul", rl::int_matmul, "int_matmul(a, b): int8 matrices into int32."),
    {nullptr, nullptr, 0, nullptr},
};
