// Lists of tensors: as optimizers hand them on, their arrays and dtypes, and those of them that have a
// gradient (arrays_of, dtypes_of and with_gradient in rushlight/autograd/variable.py); and whether
// they can be joined (plain_join in rushlight/ops/parts.py).
#include "tape.h"

namespace rl {
namespace tape {

namespace {

// A sequence of tensors; a new reference, or null with an error.
PyObject* tensors_in(PyObject* given) {
    PyObject* tensors = PySequence_Fast(given, "expected a sequence of tensors");
    for (Py_ssize_t i = 0; tensors != nullptr && i < PySequence_Fast_GET_SIZE(tensors); i++) {
        PyObject* tensor = PySequence_Fast_GET_ITEM(tensors, i);
        if (is_tensor(tensor) && as_tensor(tensor)->array != nullptr) continue;
        PyErr_Format(PyExc_TypeError, "expected a sequence of tensors, got one with a %s",
                     Py_TYPE(tensor)->tp_name);
        Py_CLEAR(tensors);
    }
    return tensors;
}

// arrays_of(tensors)
PyObject* py_arrays_of(PyObject*, PyObject* given) {
    PyObject* tensors = tensors_in(given);
    if (tensors == nullptr) return nullptr;
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(tensors);
    PyObject* arrays = PyList_New(count);
    for (Py_ssize_t i = 0; arrays != nullptr && i < count; i++) {
        Tensor* tensor = as_tensor(PySequence_Fast_GET_ITEM(tensors, i));
        PyList_SET_ITEM(arrays, i, Py_NewRef(tensor->array));
    }
    Py_DECREF(tensors);
    return arrays;
}

// dtypes_of(tensors)
PyObject* py_dtypes_of(PyObject*, PyObject* given) {
    PyObject* tensors = tensors_in(given);
    PyObject* dtypes = tensors == nullptr ? nullptr : PySet_New(nullptr);
    for (Py_ssize_t i = 0; dtypes != nullptr && i < PySequence_Fast_GET_SIZE(tensors); i++) {
        PyObject* dtype = dtype_of(as_tensor(PySequence_Fast_GET_ITEM(tensors, i)));
        if (dtype == nullptr || PySet_Add(dtypes, dtype) < 0) Py_CLEAR(dtypes);
        Py_XDECREF(dtype);
    }
    Py_XDECREF(tensors);
    return dtypes;
}

// The gradient as the attribute `grad` gives it, which warns for results of operations.
PyObject* gradient_of(PyObject* tensor) {
    PyObject* grad = present(as_tensor(tensor)->grad);
    if (grad != nullptr) return Py_NewRef(grad);
    if (present(as_tensor(tensor)->grad_fn) == nullptr) Py_RETURN_NONE;
    return PyObject_GetAttrString(tensor, "grad");
}

// with_gradient(tensors)
PyObject* py_with_gradient(PyObject*, PyObject* given) {
    PyObject* tensors = tensors_in(given);
    PyObject* chosen = tensors == nullptr ? nullptr : PyList_New(0);
    PyObject* grads = chosen == nullptr ? nullptr : PyList_New(0);
    bool ok = grads != nullptr;
    for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(tensors); i++) {
        PyObject* tensor = PySequence_Fast_GET_ITEM(tensors, i);
        PyObject* grad = gradient_of(tensor);
        ok = grad != nullptr && (grad == Py_None || (PyList_Append(chosen, tensor) == 0 &&
                                                     PyList_Append(grads, grad) == 0));
        Py_XDECREF(grad);
    }
    PyObject* pair = ok ? PyTuple_Pack(2, chosen, grads) : nullptr;
    Py_XDECREF(tensors);
    Py_XDECREF(chosen);
    Py_XDECREF(grads);
    return pair;
}

// The NumPy array of an element of a list or tuple of tensors; null without an error if there is none.
PyArrayObject* array_in(PyObject* tensors, Py_ssize_t i) {
    PyObject* tensor = PySequence_Fast_GET_ITEM(tensors, i);
    PyObject* array = is_tensor(tensor) ? as_tensor(tensor)->array : nullptr;
    return array != nullptr && PyArray_CheckExact(array) ? reinterpret_cast<PyArrayObject*>(array)
                                                         : nullptr;
}

bool agree_but_in(PyArrayObject* a, PyArrayObject* b, int dim) {
    if (PyArray_NDIM(a) != PyArray_NDIM(b)) return false;
    for (int i = 0; i < PyArray_NDIM(a); i++)
        if (i != dim && PyArray_DIM(a, i) != PyArray_DIM(b, i)) return false;
    return true;
}

// plain_join(tensors, dim)
PyObject* py_plain_join(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2 || !(PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0])) ||
        PySequence_Fast_GET_SIZE(args[0]) == 0 || !PyLong_CheckExact(args[1]))
        Py_RETURN_NONE;
    PyArrayObject* first = array_in(args[0], 0);
    int overflow;
    const long dim = PyLong_AsLongAndOverflow(args[1], &overflow);
    const long ndim = first == nullptr ? 0 : PyArray_NDIM(first);
    if (overflow != 0 || dim < -ndim || dim >= ndim) Py_RETURN_NONE;
    const int along = int(dim < 0 ? dim + ndim : dim);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(args[0]); i++) {
        PyArrayObject* array = array_in(args[0], i);
        if (array == nullptr || !agree_but_in(first, array, along)) Py_RETURN_NONE;
        if (ndim == 1 && PyArray_DIM(array, 0) == 0) Py_RETURN_NONE;
    }
    return PyLong_FromLong(along);
}

}  // namespace

PyMethodDef list_methods[] = {
    {"arrays_of", py_arrays_of, METH_O, "(tensors): see variable.py."},
    {"dtypes_of", py_dtypes_of, METH_O, "(tensors): see variable.py."},
    {"with_gradient", py_with_gradient, METH_O, "(tensors): see variable.py."},
    method("plain_join", py_plain_join, "(tensors, dim): see ops/parts.py."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace tape
}  // namespace rl
