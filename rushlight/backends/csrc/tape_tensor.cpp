// Storage and TensorBase, the fields of rushlight/autograd/variable.py as members of C structs, and
// the switches of grad_mode.py.
#include "tape.h"

namespace rl {
namespace tape {

thread_local Switches switches;
PyTypeObject* storage_type;
PyTypeObject* tensor_base_type;
PyTypeObject* tensor_type;

PyObject* wrap(PyObject* array) {
    PyObject* tensor = tensor_type->tp_alloc(tensor_type, 0);
    if (tensor == nullptr) {
        Py_DECREF(array);
        return nullptr;
    }
    as_tensor(tensor)->array = array;
    as_tensor(tensor)->is_inference = as_tensor(tensor)->is_unversioned = switches.inference;
    return tensor;
}

PyObject* shape_of(PyObject* array) {
    if (PyArray_CheckExact(array)) {
        PyArrayObject* a = reinterpret_cast<PyArrayObject*>(array);
        return PyArray_IntTupleFromIntp(PyArray_NDIM(a), PyArray_DIMS(a));
    }
    if (array == Py_None || PyFloat_Check(array) || PyLong_Check(array)) Py_RETURN_NONE;
    return PyObject_GetAttr(array, names.shape);
}

PyObject* dtype_of(Tensor* tensor) {
    PyObject* descriptor = PyObject_GetAttr(tensor->array, names.dtype);
    if (descriptor == nullptr) return nullptr;
    PyObject* found = PyDict_GetItemWithError(callbacks.dtypes, descriptor);
    if (found != nullptr)
        Py_INCREF(found);
    else if (!PyErr_Occurred())
        found = PyObject_CallFunctionObjArgs(callbacks.from_numpy_dtype, descriptor, nullptr);
    Py_DECREF(descriptor);
    return found;
}

Storage* storage_of(Tensor* tensor) {
    if (present(tensor->storage) == nullptr) {
        PyObject* storage = storage_type->tp_alloc(storage_type, 0);
        if (storage == nullptr) return nullptr;
        Py_XSETREF(tensor->storage, storage);
    }
    return reinterpret_cast<Storage*>(tensor->storage);
}

PyObject* edge_of(PyObject* object) {
    Tensor* tensor = as_tensor(object);
    if (!tensor->requires_grad) Py_RETURN_NONE;
    PyObject* target;
    if (is_stale(tensor)) {  // a view's node may have to be made anew
        target = PyObject_GetAttr(object, names.grad_fn);
        if (target == nullptr) return nullptr;
    } else {
        target = tensor->grad_fn != nullptr ? tensor->grad_fn : Py_None;
        Py_INCREF(target);
    }
    if (target == Py_None) {
        Py_INCREF(object);
        Py_SETREF(target, object);
    }
    PyObject* number = PyLong_FromSsize_t(tensor->output_nr);
    PyObject* edge = number == nullptr ? nullptr : PyTuple_New(2);
    if (edge == nullptr) {
        Py_XDECREF(number);
        Py_DECREF(target);
        return nullptr;
    }
    PyTuple_SET_ITEM(edge, 0, target);
    PyTuple_SET_ITEM(edge, 1, number);
    return edge;
}

namespace {

// ------------------------------------------------------------------ Storage
void storage_dealloc(PyObject* self) {
    Storage* storage = reinterpret_cast<Storage*>(self);
    PyTypeObject* type = Py_TYPE(self);
    if (storage->weakrefs != nullptr) PyObject_ClearWeakRefs(self);
    Py_CLEAR(storage->changed_by);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef storage_members[] = {
    {"version", T_PYSSIZET, offsetof(Storage, version), 0, "In-place changes so far."},
    {"changed_by", T_OBJECT, offsetof(Storage, changed_by), 0, "(operation, file, line) or None."},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Storage, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot storage_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(storage_dealloc)},
    {Py_tp_members, storage_members},
    {Py_tp_doc, const_cast<char*>("The memory that a tensor and its views share.")},
    {0, nullptr},
};
PyType_Spec storage_spec = {"rushlight.backends._tape.Storage", sizeof(Storage), 0,
                            Py_TPFLAGS_DEFAULT, storage_slots};

// ------------------------------------------------------------------ TensorBase
int tensor_traverse(PyObject* self, visitproc visit, void* arg) {
    Tensor* t = as_tensor(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(t->array);
    Py_VISIT(t->grad_fn);
    Py_VISIT(t->grad);
    Py_VISIT(t->base);
    Py_VISIT(t->hooks);
    Py_VISIT(t->accumulate_hooks);
    Py_VISIT(t->accumulate_grad);
    Py_VISIT(t->dict);
    return 0;
}

int tensor_clear(PyObject* self) {
    Tensor* t = as_tensor(self);
    Py_CLEAR(t->grad_fn);
    Py_CLEAR(t->grad);
    Py_CLEAR(t->storage);
    Py_CLEAR(t->base);
    Py_CLEAR(t->hooks);
    Py_CLEAR(t->accumulate_hooks);
    Py_CLEAR(t->accumulate_grad);
    Py_CLEAR(t->dict);
    return 0;
}

void tensor_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (as_tensor(self)->weakrefs != nullptr) PyObject_ClearWeakRefs(self);
    tensor_clear(self);
    Py_CLEAR(as_tensor(self)->array);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* no_array() {
    PyErr_SetString(PyExc_AttributeError, "the tensor has no array");
    return nullptr;
}

PyObject* get_storage_record(PyObject* self, void*) {
    PyObject* storage = reinterpret_cast<PyObject*>(storage_of(as_tensor(self)));
    Py_XINCREF(storage);
    return storage;
}
PyObject* get_version(PyObject* self, void*) {
    return PyLong_FromSsize_t(version_of(as_tensor(self)));
}

// ------------------------------------------------------------------ what everybody asks
PyObject* get_shape(PyObject* self, void*) {
    PyObject* array = as_tensor(self)->array;
    PyObject* shape = array == nullptr ? no_array() : shape_of(array);
    if (shape == nullptr || !PyTuple_Check(shape)) return shape;
    // A Size is a tuple; filled in place it needs no call.
    PyTypeObject* type = reinterpret_cast<PyTypeObject*>(callbacks.size_type);
    const Py_ssize_t ndim = PyTuple_GET_SIZE(shape);
    PyObject* size = type->tp_alloc(type, ndim);
    for (Py_ssize_t i = 0; size != nullptr && i < ndim; i++)
        PyTuple_SET_ITEM(size, i, Py_NewRef(PyTuple_GET_ITEM(shape, i)));
    Py_DECREF(shape);
    return size;
}

PyObject* get_dtype(PyObject* self, void*) {
    return as_tensor(self)->array == nullptr ? no_array() : dtype_of(as_tensor(self));
}

PyObject* get_ndim(PyObject* self, void*) {
    PyObject* array = as_tensor(self)->array;
    if (array != nullptr && PyArray_CheckExact(array))
        return PyLong_FromLong(PyArray_NDIM(reinterpret_cast<PyArrayObject*>(array)));
    return array == nullptr ? no_array() : PyObject_GetAttrString(array, "ndim");
}

// Calls _refresh_view: the base of this view was changed in place since. False with an error.
bool refresh_view(PyObject* self) {
    PyObject* none = PyObject_CallMethodObjArgs(self, names.refresh_view, nullptr);
    Py_XDECREF(none);
    return none != nullptr;
}

PyObject* get_requires_grad(PyObject* self, void*) {
    Tensor* t = as_tensor(self);
    if (!t->requires_grad && is_stale(t) && !refresh_view(self)) return nullptr;
    return PyBool_FromLong(t->requires_grad);
}
int set_requires_grad(PyObject* self, PyObject* value, void*) {
    if (value == nullptr) {
        PyErr_SetString(PyExc_AttributeError, "requires_grad cannot be deleted");
        return -1;
    }
    PyObject* same = PyObject_CallMethodObjArgs(self, names.requires_grad_, value, nullptr);
    Py_XDECREF(same);
    return same == nullptr ? -1 : 0;
}

PyObject* get_grad_fn(PyObject* self, void*) {
    Tensor* t = as_tensor(self);
    if (is_stale(t) && !refresh_view(self)) return nullptr;
    return Py_NewRef(t->grad_fn == nullptr ? Py_None : t->grad_fn);
}
PyObject* get_is_leaf(PyObject* self, void*) {
    PyObject* node = get_grad_fn(self, nullptr);
    if (node == nullptr) return nullptr;
    Py_DECREF(node);
    return PyBool_FromLong(node == Py_None);
}

PyObject* get_grad(PyObject* self, void*) {
    Tensor* t = as_tensor(self);
    if (present(t->grad) != nullptr) return Py_NewRef(t->grad);
    if (present(t->grad_fn) != nullptr && !t->retains_grad) {
        const char* text = PyUnicode_AsUTF8(callbacks.no_grad_message);
        if (text == nullptr || PyErr_WarnEx(PyExc_UserWarning, text, 1) < 0) return nullptr;
    }
    Py_RETURN_NONE;
}
int set_grad(PyObject* self, PyObject* value, void*) {
    if (value == nullptr || value == Py_None) {
        Py_CLEAR(as_tensor(self)->grad);
        return 0;
    }
    PyObject* none = PyObject_CallMethodObjArgs(self, names.assign_grad, value, nullptr);
    Py_XDECREF(none);
    return none == nullptr ? -1 : 0;
}

PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr, "The size of each dim.", nullptr},
    {"dtype", get_dtype, nullptr, "The element type.", nullptr},
    {"ndim", get_ndim, nullptr, "The number of dims.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad,
     "Whether operations on this tensor are recorded.", nullptr},
    {"grad_fn", get_grad_fn, nullptr,
     "The node of the operation that made this tensor; None for a leaf.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Whether no recorded operation made this tensor.", nullptr},
    {"grad", get_grad, set_grad,
     "The accumulated gradient of a leaf, None before the first backward.", nullptr},
    {"storage_record", get_storage_record, nullptr, "The Storage, made on first use.", nullptr},
    {"_version", get_version, nullptr, "In-place changes of the memory so far.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef tensor_members[] = {
    {"_array", T_OBJECT_EX, offsetof(Tensor, array), 0, nullptr},
    {"_requires_grad", T_BOOL, offsetof(Tensor, requires_grad), 0, nullptr},
    {"_grad_fn", T_OBJECT, offsetof(Tensor, grad_fn), 0, nullptr},
    {"_output_nr", T_PYSSIZET, offsetof(Tensor, output_nr), 0, nullptr},
    {"_grad", T_OBJECT, offsetof(Tensor, grad), 0, nullptr},
    {"_storage", T_OBJECT, offsetof(Tensor, storage), 0, nullptr},
    {"_base", T_OBJECT, offsetof(Tensor, base), 0, nullptr},
    {"_view_version", T_PYSSIZET, offsetof(Tensor, view_version), 0, nullptr},
    {"_hooks", T_OBJECT, offsetof(Tensor, hooks), 0, nullptr},
    {"_accumulate_hooks", T_OBJECT, offsetof(Tensor, accumulate_hooks), 0, nullptr},
    {"_accumulate_grad", T_OBJECT, offsetof(Tensor, accumulate_grad), 0, nullptr},
    {"_retains_grad", T_BOOL, offsetof(Tensor, retains_grad), 0, nullptr},
    {"_is_inference", T_BOOL, offsetof(Tensor, is_inference), 0, nullptr},
    {"_is_unversioned", T_BOOL, offsetof(Tensor, is_unversioned), 0, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Tensor, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Tensor, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot tensor_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(tensor_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(tensor_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(tensor_clear)},
    {Py_tp_members, tensor_members},
    {Py_tp_getset, tensor_getset},
    {Py_tp_doc, const_cast<char*>("An array with a place in the graph.")},
    {0, nullptr},
};
PyType_Spec tensor_spec = {"rushlight.backends._tape.TensorBase", sizeof(Tensor), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                           tensor_slots};

// ------------------------------------------------------------------ switches
template <bool Switches::*field>
PyObject* get_switch(PyObject*, void*) {
    return PyBool_FromLong(switches.*field);
}
template <bool Switches::*field>
int set_switch(PyObject*, PyObject* value, void*) {
    const int truth = value == nullptr ? -1 : PyObject_IsTrue(value);
    if (value == nullptr) PyErr_SetString(PyExc_TypeError, "a switch cannot be deleted");
    if (truth < 0) return -1;
    switches.*field = truth != 0;
    return 0;
}
template <bool Switches::*field>
constexpr PyGetSetDef switch_row(const char* name) {
    return {name, get_switch<field>, set_switch<field>, nullptr, nullptr};
}
PyGetSetDef switches_getset[] = {
    switch_row<&Switches::enabled>("enabled"),
    switch_row<&Switches::inference>("inference"),
    switch_row<&Switches::anomaly>("anomaly"),
    switch_row<&Switches::check_nan>("check_nan"),
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
void switches_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}
PyType_Slot switches_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(switches_dealloc)},
    {Py_tp_getset, switches_getset},
    {Py_tp_doc, const_cast<char*>("The switches of the tape in the calling thread.")},
    {0, nullptr},
};
PyType_Spec switches_spec = {"rushlight.backends._tape.Switches", sizeof(PyObject), 0,
                             Py_TPFLAGS_DEFAULT, switches_slots};

}  // namespace

bool add_tensor_types(PyObject* module) {
    storage_type = add_type(module, &storage_spec);
    tensor_base_type = add_type(module, &tensor_spec);
    PyTypeObject* switches_type = add_type(module, &switches_spec);
    if (storage_type == nullptr || tensor_base_type == nullptr || switches_type == nullptr)
        return false;
    tensor_type = tensor_base_type;
    Py_INCREF(tensor_type);
    PyObject* state = switches_type->tp_alloc(switches_type, 0);
    return state != nullptr && PyModule_AddObject(module, "state", state) == 0;
}

}  // namespace tape
}  // namespace rl
