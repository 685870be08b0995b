// bind_recurrent.cpp: recurrent layers for contiguous NumPy arrays of float32 and float64.
#include <vector>

#include "allocator.h"
#include "bind.h"
#include "recurrent.h"

namespace {

using namespace rl;

bool mode_of(PyObject* name, RnnMode* mode) {
    if (!PyUnicode_Check(name)) return false;
    const struct {
        const char* name;
        RnnMode mode;
    } modes[] = {{"tanh", RnnMode::tanh},
                 {"relu", RnnMode::relu},
                 {"lstm", RnnMode::lstm},
                 {"gru", RnnMode::gru}};
    for (const auto& entry : modes)
        if (PyUnicode_CompareWithASCIIString(name, entry.name) == 0) {
            *mode = entry.mode;
            return true;
        }
    return false;
}

bool has_shape(PyArrayObject* array, int64_t rows, int64_t columns) {
    return PyArray_NDIM(array) == 2 && PyArray_DIM(array, 0) == rows &&
           PyArray_DIM(array, 1) == columns;
}

// A matrix of this shape, or None as null; false for anything else.
template <class T>
bool matrix_or_none(PyObject* object, int type, int64_t rows, int64_t columns, const T** values) {
    *values = nullptr;
    if (is_none(object)) return true;
    PyArrayObject* array = contiguous_of(object, type);
    if (array == nullptr || !has_shape(array, rows, columns)) return false;
    *values = data<T>(array);
    return true;
}

template <class T>
bool vector_or_none(PyObject* object, int type, int64_t n, const T** values) {
    *values = nullptr;
    if (is_none(object)) return true;
    PyArrayObject* array = contiguous_of(object, type);
    if (array == nullptr || PyArray_NDIM(array) != 1 || PyArray_DIM(array, 0) != n) return false;
    *values = data<T>(array);
    return true;
}

// A contiguous array of any shape with this many elements, or null.
template <class T>
T* values_of(PyObject* object, int type, int64_t count) {
    PyArrayObject* array = contiguous_of(object, type);
    return array != nullptr && PyArray_SIZE(array) == count ? data<T>(array) : nullptr;
}

// The rows of the steps, kept alive for the call.
struct StepTable {
    std::vector<int64_t> sizes, first_row;

    bool read_packed(PyObject* batch_sizes, PyArrayObject* x, Steps* steps) {
        if (!PyTuple_Check(batch_sizes) || PyArray_NDIM(x) != 2) return false;
        steps->count = PyTuple_GET_SIZE(batch_sizes);
        steps->item_stride = 1;
        sizes.resize(size_t(steps->count));
        int64_t rows = 0;
        for (int64_t t = 0; t < steps->count; t++) {
            int64_t& size = sizes[size_t(t)];
            if (!as_int64(PyTuple_GET_ITEM(batch_sizes, t), &size) || size < 1 ||
                (t > 0 && size > sizes[size_t(t - 1)]))
                return false;
            first_row.push_back(rows);
            rows += size;
        }
        steps->batch = steps->count > 0 ? sizes[0] : 0;
        return rows == PyArray_DIM(x, 0);
    }

    bool read_padded(PyArrayObject* x, bool batch_first, Steps* steps) {
        if (PyArray_NDIM(x) != 3) return false;
        steps->count = PyArray_DIM(x, batch_first ? 1 : 0);
        steps->batch = PyArray_DIM(x, batch_first ? 0 : 1);
        steps->item_stride = batch_first ? steps->count : 1;
        sizes.assign(size_t(steps->count), steps->batch);
        for (int64_t t = 0; t < steps->count; t++)
            first_row.push_back(batch_first ? t : t * steps->batch);
        return true;
    }
};

constexpr int kInputs = 7;   // x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh
constexpr int kOptions = 4;  // mode, batch_sizes, batch_first, reverse

// Fills what forward and backward share. False for what the kernels do not take.
template <class T>
bool read_layer(PyObject* const* inputs, PyObject* const* options, int type, StepTable* table,
                RnnForward<T>* call) {
    PyArrayObject* x = contiguous_of(inputs[0], type);
    PyArrayObject* weight_ih = contiguous_of(inputs[3], type);
    PyArrayObject* weight_hh = contiguous_of(inputs[4], type);
    if (!x || !weight_ih || !weight_hh || !mode_of(options[0], &call->mode)) return false;
    Steps* steps = &call->steps;
    const bool is_packed = !is_none(options[1]);
    if (is_packed ? !table->read_packed(options[1], x, steps)
                  : !table->read_padded(x, PyObject_IsTrue(options[2]) == 1, steps))
        return false;
    steps->sizes = table->sizes.data();
    steps->first_row = table->first_row.data();
    steps->reverse = PyObject_IsTrue(options[3]) == 1;
    call->I = PyArray_DIM(x, PyArray_NDIM(x) - 1);
    call->H = PyArray_NDIM(weight_hh) == 2 ? PyArray_DIM(weight_hh, 1) : 0;
    if (PyArray_SIZE(x) == 0 || call->H == 0) return false;
    steps->rows = PyArray_SIZE(x) / call->I;
    const int64_t columns = gate_blocks(call->mode) * call->H;
    if (!has_shape(weight_ih, columns, call->I) || !has_shape(weight_hh, columns, call->H))
        return false;
    call->x = data<T>(x);
    call->weight_ih = data<T>(weight_ih);
    call->weight_hh = data<T>(weight_hh);
    return matrix_or_none(inputs[1], type, steps->batch, call->H, &call->h0) &&
           matrix_or_none(inputs[2], type, steps->batch, call->H, &call->c0) &&
           vector_or_none(inputs[5], type, columns, &call->bias_ih) &&
           vector_or_none(inputs[6], type, columns, &call->bias_hh);
}

// An uninitialised array of x's shape but for the last axis.
PyArrayObject* rows_like(PyArrayObject* x, int64_t columns) {
    npy_intp shape[3];
    const int ndim = PyArray_NDIM(x);
    for (int i = 0; i < ndim - 1; i++) shape[i] = PyArray_DIM(x, i);
    shape[ndim - 1] = npy_intp(columns);
    return new_array(ndim, shape, PyArray_TYPE(x));
}
PyArrayObject* new_matrix(int64_t rows, int64_t columns, int type) {
    const npy_intp shape[] = {npy_intp(rows), npy_intp(columns)};
    return new_array(2, shape, type);
}

template <class T>
const RnnFunctions<T>& functions();
template <>
const RnnFunctions<float>& functions() {
    return recurrent_kernels().f32;
}
template <>
const RnnFunctions<double>& functions() {
    return recurrent_kernels().f64;
}

// ------------------------------------------------------------------ forward
template <class T>
PyObject* forward(PyObject* const* args, int type) {
    StepTable table;
    RnnForward<T> call = {};
    if (!read_layer(args, args + kInputs, type, &table, &call)) return not_handled();
    PyArrayObject* x = as_array(args[0]);
    const bool is_lstm = call.mode == RnnMode::lstm, is_gru = call.mode == RnnMode::gru;
    Owned out(rows_like(x, call.H)), h_last(new_matrix(call.steps.batch, call.H, type));
    Owned c_last, gates, cells;
    if (is_lstm) c_last.set(new_matrix(call.steps.batch, call.H, type));
    if (is_lstm || is_gru) {
        gates.set(rows_like(x, gate_blocks(call.mode) * call.H));
        cells.set(rows_like(x, call.H));
    }
    Scratch workspace(size_t(functions<T>().forward_workspace(call)) * sizeof(T));
    if (!out.get() || !h_last.get() || (is_lstm && !c_last.get()) || !workspace ||
        ((is_lstm || is_gru) && (!gates.get() || !cells.get())))
        return PyErr_NoMemory();
    call.out = out.values<T>();
    call.h_last = h_last.values<T>();
    call.c_last = c_last.values<T>();
    call.gates = gates.get() != nullptr ? gates.values<T>() : call.out;
    call.cells = cells.values<T>();
    call.workspace = workspace.as<T>();
    {
        ReleaseGil unlocked(true);
        functions<T>().forward(call);
    }
    PyObject* const first = out.release();
    PyObject* const second = h_last.release();
    PyObject* const third = c_last.release();
    PyObject* const fourth = gates.release();
    return Py_BuildValue("(NNNNN)", first, second, third, fourth, cells.release());
}

// recurrent(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh,
//           mode, batch_sizes, batch_first, reverse)
PyObject* py_recurrent(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == kInputs + kOptions ? as_array(args[0]) : nullptr;
    if (x == nullptr) return not_handled();
    if (PyArray_TYPE(x) == NPY_FLOAT32) return forward<float>(args, NPY_FLOAT32);
    return PyArray_TYPE(x) == NPY_FLOAT64 ? forward<double>(args, NPY_FLOAT64) : not_handled();
}

// ------------------------------------------------------------------ backward
constexpr int kGrads = 3, kResults = 3;  // grad_out, grad_h, grad_c; out, gates, cells

// Makes the gradient of an input if it is needed and that input is there. False: no memory.
template <class T>
bool make_gradient(PyObject* input, PyObject* needed, Owned* gradient, T** values) {
    if (is_none(input) || PyObject_IsTrue(needed) != 1) return true;
    gradient->set(new_like(as_array(input)));
    *values = gradient->values<T>();
    return gradient->get() != nullptr;
}

template <class T>
bool read_results(PyObject* const* results, int type, RnnForward<T>* call) {
    const int64_t cells = call->steps.rows * call->H;
    call->out = values_of<T>(results[0], type, cells);
    if (call->mode == RnnMode::lstm || call->mode == RnnMode::gru) {
        call->gates = values_of<T>(results[1], type, gate_blocks(call->mode) * cells);
        call->cells = values_of<T>(results[2], type, cells);
        return call->out && call->gates && call->cells;
    }
    return call->out != nullptr;
}

template <class T>
bool read_grads(PyObject* const* grads, int type, RnnBackward<T>* call) {
    const RnnForward<T>& f = call->forward;
    if (!is_none(grads[0])) {
        call->grad_out = values_of<T>(grads[0], type, f.steps.rows * f.H);
        if (call->grad_out == nullptr) return false;
    }
    return matrix_or_none(grads[1], type, f.steps.batch, f.H, &call->grad_h) &&
           matrix_or_none(grads[2], type, f.steps.batch, f.H, &call->grad_c);
}

template <class T>
PyObject* backward(PyObject* const* args, int type) {
    PyObject* const* const inputs = args + kGrads;
    PyObject* const* const results = inputs + kInputs;
    PyObject* const* const options = results + kResults;
    PyObject* const needs = options[kOptions];
    StepTable table;
    RnnBackward<T> call = {};
    RnnForward<T>& f = call.forward;
    if (!read_layer(inputs, options, type, &table, &f) || !read_results(results, type, &f) ||
        !read_grads(args, type, &call) || !PyTuple_Check(needs) ||
        PyTuple_GET_SIZE(needs) != kInputs)
        return not_handled();
    const bool is_lstm = f.mode == RnnMode::lstm;
    Owned dx, dh0(new_matrix(f.steps.batch, f.H, type)), dc0, dw_ih, dw_hh, db_ih, db_hh;
    if (is_lstm) dc0.set(new_matrix(f.steps.batch, f.H, type));
    Scratch workspace(size_t(functions<T>().backward_workspace(f)) * sizeof(T));
    PyObject* needed[kInputs];
    for (int i = 0; i < kInputs; i++) needed[i] = PyTuple_GET_ITEM(needs, i);
    if (!workspace || !dh0.get() || (is_lstm && !dc0.get()) ||
        !make_gradient(inputs[0], needed[0], &dx, &call.dx) ||
        !make_gradient(inputs[3], needed[3], &dw_ih, &call.dweight_ih) ||
        !make_gradient(inputs[4], needed[4], &dw_hh, &call.dweight_hh) ||
        !make_gradient(inputs[5], needed[5], &db_ih, &call.dbias_ih) ||
        !make_gradient(inputs[6], needed[6], &db_hh, &call.dbias_hh))
        return PyErr_NoMemory();
    call.dh0 = dh0.values<T>();
    call.dc0 = dc0.values<T>();
    call.workspace = workspace.as<T>();
    {
        ReleaseGil unlocked(true);
        functions<T>().backward(call);
    }
    if (f.h0 == nullptr || PyObject_IsTrue(needed[1]) != 1) dh0.set(nullptr);
    if (f.c0 == nullptr || PyObject_IsTrue(needed[2]) != 1) dc0.set(nullptr);
    PyObject* const parts[] = {dx.release(),    dh0.release(),   dc0.release(),  dw_ih.release(),
                               dw_hh.release(), db_ih.release(), db_hh.release()};
    return Py_BuildValue("(NNNNNNN)", parts[0], parts[1], parts[2], parts[3], parts[4], parts[5],
                         parts[6]);
}

// recurrent_grad(grad_out, grad_h, grad_c, <inputs>, out, gates, cells, <options>, needs)
PyObject* py_recurrent_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != kGrads + kInputs + kResults + kOptions + 1) return not_handled();
    PyArrayObject* x = as_array(args[kGrads]);
    if (x == nullptr) return not_handled();
    if (PyArray_TYPE(x) == NPY_FLOAT32) return backward<float>(args, NPY_FLOAT32);
    return PyArray_TYPE(x) == NPY_FLOAT64 ? backward<double>(args, NPY_FLOAT64) : not_handled();
}

}  // namespace

extern PyMethodDef recurrent_methods[];
PyMethodDef recurrent_methods[] = {
    rl::method("recurrent", py_recurrent, "One recurrent layer in one direction."),
    rl::method("recurrent_grad", py_recurrent_grad, "Its gradients."),
    {nullptr, nullptr, 0, nullptr},
};
