// bind_attention.cpp: attention for float32 arrays (batch, heads, length, width) with any strides
// but along the width.
//
// Results lie in memory as their models do: where the heads were cut out of (batch, length, heads,
// width), as models do it, joining them again is then a view.
#include "attention.h"
#include "bind.h"

namespace {

using namespace rl;

constexpr int64_t kReleaseGilWork = 100000;

int64_t element_stride(PyArrayObject* array, int axis) {
    return PyArray_STRIDE(array, axis) / PyArray_ITEMSIZE(array);
}

HeadsView view_of(PyArrayObject* array) {
    return {data<float>(array), element_stride(array, 0), element_stride(array, 1),
            element_stride(array, 2)};
}

// A float32 array of this shape whose last axis is dense; else null.
PyArrayObject* heads_of(PyObject* object, const npy_intp* shape) {
    PyArrayObject* array = as_array(object);
    if (array == nullptr || PyArray_TYPE(array) != NPY_FLOAT32 || PyArray_NDIM(array) != 4 ||
        !is_behaved(array) || PyArray_SIZE(array) == 0)
        return nullptr;
    if (PyArray_STRIDE(array, 3) != 4 && PyArray_DIM(array, 3) != 1) return nullptr;
    for (int i = 0; shape != nullptr && i < 4; i++)
        if (PyArray_DIM(array, i) != shape[i]) return nullptr;
    return array;
}

// A fresh array of this width, in the memory order of `model`.
PyArrayObject* heads_like(PyArrayObject* model, npy_intp width) {
    const npy_intp* n = PyArray_DIMS(model);
    if (PyArray_STRIDE(model, 1) >= PyArray_STRIDE(model, 2)) {
        const npy_intp shape[] = {n[0], n[1], n[2], width};
        return new_array(4, shape, NPY_FLOAT32);
    }
    const npy_intp shape[] = {n[0], n[2], n[1], width};
    Owned swapped(new_array(4, shape, NPY_FLOAT32));
    if (!swapped.get()) return nullptr;
    return reinterpret_cast<PyArrayObject*>(PyArray_SwapAxes(swapped.get(), 1, 2));
}

bool read_mask(PyObject* object, const AttentionCall& call, AttentionMask* mask) {
    if (is_none(object)) return true;
    PyArrayObject* array = as_array(object);
    if (array == nullptr || PyArray_NDIM(array) != 4 || !is_behaved(array)) return false;
    const int64_t shape[] = {call.B, call.H, call.L, call.S};
    for (int i = 0; i < 4; i++)
        if (PyArray_DIM(array, i) != shape[i]) return false;
    mask->batch = element_stride(array, 0), mask->head = element_stride(array, 1);
    mask->row = element_stride(array, 2), mask->column = element_stride(array, 3);
    if (PyArray_TYPE(array) == NPY_BOOL)
        mask->allowed = data<uint8_t>(array);
    else if (PyArray_TYPE(array) == NPY_FLOAT32)
        mask->added = data<float>(array);
    else
        return false;
    return true;
}

constexpr int kInputs = 6;  // q, k, v, mask, causal, scale

bool read_call(PyObject* const* args, AttentionCall* call) {
    PyArrayObject* q = heads_of(args[0], nullptr);
    PyArrayObject* v = heads_of(args[2], nullptr);
    if (q == nullptr || v == nullptr) return false;
    call->B = PyArray_DIM(q, 0), call->H = PyArray_DIM(q, 1), call->L = PyArray_DIM(q, 2);
    call->S = PyArray_DIM(v, 2), call->E = PyArray_DIM(q, 3), call->Ev = PyArray_DIM(v, 3);
    const npy_intp k_shape[] = {npy_intp(call->B), npy_intp(call->H), npy_intp(call->S),
                                npy_intp(call->E)};
    PyArrayObject* k = heads_of(args[1], k_shape);
    double scale;
    if (k == nullptr || PyArray_DIM(v, 0) != call->B || PyArray_DIM(v, 1) != call->H ||
        !as_double(args[5], &scale))
        return false;
    call->q = view_of(q), call->k = view_of(k), call->v = view_of(v);
    call->causal = PyObject_IsTrue(args[4]) == 1;
    call->scale = float(scale);
    return read_mask(args[3], *call, &call->mask);
}

bool is_long(const AttentionCall& call) {
    return call.B * call.H * call.L * call.S * (call.E + call.Ev) > kReleaseGilWork;
}

bool worth_keeping(const AttentionCall& call) {
    return call.S <= kMostKeptKeys && call.kept_weights() <= kMostKeptWeights;
}

// attention(q, k, v, mask, causal, scale, keep) -> (out, lse, weights or None)
PyObject* py_attention(PyObject*, PyObject* const* args, Py_ssize_t n) {
    AttentionCall call = {};
    if (n != kInputs + 1 || !read_call(args, &call)) return not_handled();
    const npy_intp rows[] = {npy_intp(call.B), npy_intp(call.H), npy_intp(call.L)};
    Owned out(heads_like(as_array(args[0]), npy_intp(call.Ev)));
    Owned lse(new_array(3, rows, NPY_FLOAT32));
    if (!out.get() || !lse.get()) return PyErr_NoMemory();
    call.out = view_of(out.get());
    call.lse = lse.values<float>();
    Owned weights;
    if (args[kInputs] == Py_True && worth_keeping(call)) {
        const npy_intp size = npy_intp(call.kept_weights());
        weights.set(new_array(1, &size, NPY_FLOAT32));
        if (!weights.get()) return PyErr_NoMemory();
        call.weights = weights.values<float>();
    }
    {
        ReleaseGil unlocked(is_long(call));
        attention_kernels().forward(call);
    }
    PyObject* const first = out.release();
    PyObject* const second = lse.release();
    return Py_BuildValue("(NNN)", first, second, weights.release());
}

// attention_grad(grad, q, k, v, mask, causal, scale, out, lse, weights or None) -> (dq, dk, dv)
PyObject* py_attention_grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
    AttentionGradCall call = {};
    AttentionCall& f = call.forward;
    if (n != kInputs + 4 || !read_call(args + 1, &f)) return not_handled();
    const npy_intp shape[] = {npy_intp(f.B), npy_intp(f.H), npy_intp(f.L), npy_intp(f.Ev)};
    PyArrayObject* grad = heads_of(args[0], shape);
    PyArrayObject* out = heads_of(args[7], shape);
    PyArrayObject* lse = contiguous_of(args[8], NPY_FLOAT32);
    if (!grad || !out || !lse || PyArray_SIZE(lse) != f.B * f.H * f.L) return not_handled();
    if (!is_none(args[9])) {
        PyArrayObject* weights = contiguous_of(args[9], NPY_FLOAT32);
        if (!weights || PyArray_SIZE(weights) != f.kept_weights()) return not_handled();
        f.weights = data<float>(weights);
    }
    Owned dq(heads_like(as_array(args[1]), npy_intp(f.E)));
    Owned dk(heads_like(as_array(args[2]), npy_intp(f.E)));
    Owned dv(heads_like(as_array(args[3]), npy_intp(f.Ev)));
    if (!dq.get() || !dk.get() || !dv.get()) return PyErr_NoMemory();
    call.grad = view_of(grad);
    f.out = view_of(out);
    f.lse = data<float>(lse);
    call.dq = view_of(dq.get()), call.dk = view_of(dk.get()), call.dv = view_of(dv.get());
    {
        ReleaseGil unlocked(is_long(f));
        attention_kernels().backward(call);
    }
    PyObject* const first = dq.release();
    PyObject* const second = dk.release();
    return Py_BuildValue("(NNN)", first, second, dv.release());
}

}  // namespace

extern PyMethodDef attention_methods[];
PyMethodDef attention_methods[] = {
    rl::method("attention", py_attention, "softmax(scale * q @ k.T + mask) @ v, in blocks."),
    rl::method("attention_grad", py_attention_grad, "Its gradients."),
    {nullptr, nullptr, 0, nullptr},
};
