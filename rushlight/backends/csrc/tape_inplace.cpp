// In-place changes (rushlight/autograd/inplace.py): who may be written over while operands are read,
// and counting a change with the user's line that made it.
#include "tape.h"

#include <frameobject.h>  // PyFrame_GetBack, with Python 3.10

namespace rl {
namespace tape {

namespace {

// ------------------------------------------------------------------ the line of a change
bool is_ours(PyObject* file) {
    Py_ssize_t length, prefix_length;
    const char* text = PyUnicode_AsUTF8AndSize(file, &length);
    const char* prefix = PyUnicode_AsUTF8AndSize(callbacks.package, &prefix_length);
    if (text != nullptr && prefix != nullptr)
        return length >= prefix_length && memcmp(text, prefix, size_t(prefix_length)) == 0;
    PyErr_Clear();
    return false;
}

// (operation, file, line) of the innermost caller outside the package.
PyObject* changed_by(PyObject* operation) {
    PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
    if (frame == nullptr) return Py_BuildValue("(Osi)", operation, "", 0);
    for (;;) {
        PyCodeObject* code = PyFrame_GetCode(frame);
        PyObject* file = Py_NewRef(code->co_filename);
        Py_DECREF(code);
        PyFrameObject* caller = is_ours(file) ? PyFrame_GetBack(frame) : nullptr;
        if (caller == nullptr) {
            PyObject* who = Py_BuildValue("(ONi)", operation, file, PyFrame_GetLineNumber(frame));
            Py_DECREF(frame);
            return who;
        }
        Py_DECREF(file);
        Py_SETREF(frame, caller);
    }
}

// mark_changed(tensors, operation)
PyObject* py_mark_changed(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyObject* tensors = n == 2 ? PySequence_Fast(args[0], "tensors is no sequence") : nullptr;
    if (tensors == nullptr) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "mark_changed(tensors, operation)");
        return nullptr;
    }
    PyObject* who = changed_by(args[1]);
    bool ok = who != nullptr;
    for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(tensors); i++) {
        PyObject* tensor = PySequence_Fast_GET_ITEM(tensors, i);
        if (!is_tensor(tensor)) PyErr_SetString(PyExc_TypeError, "mark_changed() takes tensors");
        ok = is_tensor(tensor) && count_change(as_tensor(tensor), who);
    }
    Py_XDECREF(who);
    Py_DECREF(tensors);
    return ok ? Py_NewRef(Py_None) : nullptr;
}

// bump_version(tensor, operation)
PyObject* py_bump_version(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2 || !is_tensor(args[0])) {
        PyErr_SetString(PyExc_TypeError, "bump_version(tensor, operation)");
        return nullptr;
    }
    return bump_version(as_tensor(args[0]), args[1]) ? Py_NewRef(Py_None) : nullptr;
}

// ------------------------------------------------------------------ who may be written over
// A stale view may want one: its base was changed in place.
bool wants_gradient(PyObject* object) {
    if (!is_tensor(object)) return false;
    Tensor* tensor = as_tensor(object);
    return tensor->requires_grad ||
           (is_stale(tensor) && as_tensor(tensor->base)->requires_grad);
}

// The NumPy array of `tensor` if its elements may be replaced one by one.
PyArrayObject* free_array(Tensor* tensor) {
    if (tensor->array == nullptr || !PyArray_CheckExact(tensor->array)) return nullptr;
    if (tensor->is_unversioned && !switches.inference) return nullptr;
    PyArrayObject* array = reinterpret_cast<PyArrayObject*>(tensor->array);
    if (!PyArray_ISWRITEABLE(array)) return nullptr;
    for (int i = 0; i < PyArray_NDIM(array); i++)
        if (PyArray_STRIDE(array, i) == 0) return nullptr;
    return array;
}

// ------------------------------------------------------------------ shared memory
// From the first to one past the last byte of an array's elements.
struct Extent {
    const char *begin, *end;
};

Extent extent_of(PyArrayObject* array) {
    Extent extent = {PyArray_BYTES(array), PyArray_BYTES(array) + PyArray_ITEMSIZE(array)};
    for (int i = 0; i < PyArray_NDIM(array); i++) {
        if (PyArray_DIM(array, i) == 0) return {extent.begin, extent.begin};
        const npy_intp reach = (PyArray_DIM(array, i) - 1) * PyArray_STRIDE(array, i);
        (reach < 0 ? extent.begin : extent.end) += reach;
    }
    return extent;
}

// overlap.py's may_overlap. Two arrays that each own their memory, as most do, lie apart.
bool may_overlap(PyArrayObject* a, PyArrayObject* b) {
    if (a != b && PyArray_BASE(a) == nullptr && PyArray_BASE(b) == nullptr) return false;
    const Extent x = extent_of(a), y = extent_of(b);
    return x.begin < y.end && y.begin < x.end && x.begin != x.end && y.begin != y.end;
}

// overlap.py's lies_as: the same elements at the same indices.
bool lies_as(PyArrayObject* a, PyArrayObject* b) {
    if (PyArray_DATA(a) != PyArray_DATA(b) || !same_shape(a, b)) return false;
    for (int i = 0; i < PyArray_NDIM(a); i++)
        if (PyArray_DIM(a, i) != 1 && PyArray_STRIDE(a, i) != PyArray_STRIDE(b, i)) return false;
    return true;
}

// Whether reading `input` while `array` is written is safe: it is no tensor, or lies apart.
bool is_apart(PyArrayObject* array, PyObject* input) {
    if (!is_tensor(input)) return true;
    PyObject* other = as_tensor(input)->array;
    return other != nullptr && PyArray_CheckExact(other) &&
           !may_overlap(array, reinterpret_cast<PyArrayObject*>(other));
}

// The dtype that operands must have for a result in `array`: its own, or, of a primitive that makes
// bools (kinds "?"), that of the first tensor. Null where the result has another dtype.
PyArray_Descr* operand_descr(PyArrayObject* array, const char* kinds, PyObject* const* inputs,
                             Py_ssize_t n) {
    PyArray_Descr* const own = PyArray_DESCR(array);
    if (*kinds != '?') return strchr(kinds, own->kind) != nullptr ? own : nullptr;
    if (own->kind != 'b') return nullptr;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject* object = is_tensor(inputs[i]) ? as_tensor(inputs[i])->array : nullptr;
        if (object != nullptr && PyArray_CheckExact(object))
            return PyArray_DESCR(reinterpret_cast<PyArrayObject*>(object));
    }
    return own;
}

// Whether an elementwise kernel takes this operand (all are of one dtype, or numbers) beside `array`
// without changing the result's shape, and reads each of its elements before that is overwritten;
// notes whether it has that shape.
bool stands_beside(PyArrayObject* array, PyArray_Descr* descr, PyObject* input, bool* has_shape) {
    const char kind = descr->kind;
    if (!is_tensor(input)) {
        const bool takes_fractions = kind == 'f' || kind == 'c' || kind == 'V';
        return (takes_fractions && (PyFloat_CheckExact(input) || PyLong_CheckExact(input))) ||
               (kind == 'i' && PyLong_CheckExact(input));
    }
    PyObject* object = as_tensor(input)->array;
    if (object == nullptr || !PyArray_CheckExact(object)) return false;
    PyArrayObject* other = reinterpret_cast<PyArrayObject*>(object);
    if (PyArray_DESCR(other) != descr) return false;
    if (other != array && may_overlap(array, other) && !lies_as(array, other)) return false;
    if (same_shape(other, array)) {
        *has_shape = true;
        return true;
    }
    const int lead = PyArray_NDIM(array) - PyArray_NDIM(other);
    for (int i = 0; lead >= 0 && i < PyArray_NDIM(other); i++)
        if (PyArray_DIM(other, i) != 1 && PyArray_DIM(other, i) != PyArray_DIM(array, lead + i))
            return false;
    return lead >= 0;
}

// can_write_over(tensor, inputs, kinds)
PyObject* py_can_write_over(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 3 || !is_tensor(args[0]) || !PyTuple_Check(args[1])) Py_RETURN_FALSE;
    const char* kinds = PyUnicode_AsUTF8(args[2]);
    if (kinds == nullptr) return nullptr;
    return PyBool_FromLong(can_write_over(as_tensor(args[0]), &PyTuple_GET_ITEM(args[1], 0),
                                          PyTuple_GET_SIZE(args[1]), kinds));
}

// is_recorded(inputs)
PyObject* py_is_recorded(PyObject*, PyObject* inputs) {
    if (!PyTuple_Check(inputs)) Py_RETURN_FALSE;
    return PyBool_FromLong(are_recorded(&PyTuple_GET_ITEM(inputs, 0), PyTuple_GET_SIZE(inputs)));
}

// is_free_target(tensor, inputs)
PyObject* py_is_free_target(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2 || !is_tensor(args[0]) || !PyTuple_Check(args[1])) Py_RETURN_FALSE;
    Tensor* tensor = as_tensor(args[0]);
    PyObject* const* inputs = &PyTuple_GET_ITEM(args[1], 0);
    const Py_ssize_t count = PyTuple_GET_SIZE(args[1]);
    PyArrayObject* array = free_array(tensor);
    if (array == nullptr || are_recorded(args, 1) || are_recorded(inputs, count)) Py_RETURN_FALSE;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_apart(array, inputs[i])) Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

}  // namespace

bool are_recorded(PyObject* const* inputs, Py_ssize_t n) {
    for (Py_ssize_t i = 0; switches.enabled && i < n; i++)
        if (wants_gradient(inputs[i])) return true;
    return false;
}

bool can_write_over(Tensor* tensor, PyObject* const* inputs, Py_ssize_t n, const char* kinds) {
    PyArrayObject* array = free_array(tensor);
    if (array == nullptr) return false;
    PyArray_Descr* const descr = operand_descr(array, kinds, inputs, n);
    bool has_shape = false;
    for (Py_ssize_t i = 0; descr != nullptr && i < n; i++)
        if (!stands_beside(array, descr, inputs[i], &has_shape)) return false;
    return has_shape;
}

bool count_change(Tensor* tensor, PyObject* who) {
    Storage* storage = storage_of(tensor);
    if (storage == nullptr) return false;
    storage->version++;
    Py_INCREF(who);
    Py_XSETREF(storage->changed_by, who);
    return true;
}

bool bump_version(Tensor* tensor, PyObject* operation) {
    PyObject* who = changed_by(operation);
    const bool ok = who != nullptr && count_change(tensor, who);
    Py_XDECREF(who);
    return ok;
}

PyMethodDef inplace_methods[] = {
    method("mark_changed", py_mark_changed, "Counts an in-place change of each tensor."),
    method("bump_version", py_bump_version, "Counts an in-place change of a tensor."),
    method("can_write_over", py_can_write_over, "(tensor, inputs, kinds): see inplace.py."),
    {"is_recorded", py_is_recorded, METH_O, "(inputs): see inplace.py."},
    method("is_free_target", py_is_free_target, "(tensor, inputs): see inplace.py."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace tape
}  // namespace rl
