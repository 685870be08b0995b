// Elementwise primitives that write into a tensor they are given: in-place methods and `out=`
// (in_place and compute_out in rushlight/ops/common.py, which define both and take whatever is not
// plain here: recorded changes, promotion, resizing, all errors).
#include "tape.h"

namespace rl {
namespace tape {

namespace {

constexpr Py_ssize_t kMostValues = 16;

PyObject* name_of_out;  // ("out",), the names of a call without attributes

// `names` and "out" behind them; a new reference.
PyObject* with_out(PyObject* attributes) {
    if (attributes == nullptr) {
        if (name_of_out == nullptr) name_of_out = PyTuple_Pack(1, names.out);
        return Py_XNewRef(name_of_out);
    }
    const Py_ssize_t n = PyTuple_GET_SIZE(attributes);
    PyObject* kwnames = PyTuple_New(n + 1);
    for (Py_ssize_t i = 0; kwnames != nullptr && i < n; i++)
        PyTuple_SET_ITEM(kwnames, i, Py_NewRef(PyTuple_GET_ITEM(attributes, i)));
    if (kwnames != nullptr) PyTuple_SET_ITEM(kwnames, n, Py_NewRef(names.out));
    return kwnames;
}

// Calls the op's forward on `n` inputs and the attributes' values behind them, into `out`.
PyObject* write(PyObject* op, PyObject* out, PyObject* operation, PyObject* const* args,
                Py_ssize_t n, PyObject* kwnames) {
    PyObject* values[kMostValues];
    Py_ssize_t count = 0;
    for (; count < n; count++)
        values[count] =
            Py_NewRef(is_tensor(args[count]) ? as_tensor(args[count])->array : args[count]);
    const Py_ssize_t n_attributes = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < n_attributes; i++, count++) values[count] = Py_NewRef(args[count]);
    values[count++] = Py_NewRef(as_tensor(out)->array);
    PyObject* all_names = with_out(kwnames);
    PyObject* result = nullptr;
    if (all_names != nullptr)
        result = PyObject_Vectorcall(reinterpret_cast<Primitive*>(op)->forward, values, size_t(n),
                                     all_names);
    for (Py_ssize_t i = 0; i < count; i++) Py_DECREF(values[i]);
    Py_XDECREF(all_names);
    Py_XDECREF(result);
    if (result == nullptr || !bump_version(as_tensor(out), operation)) return nullptr;
    return Py_NewRef(out);
}

// Whether the call is one that `write` may do: nothing is recorded, and what the op makes of the
// inputs fits the tensor as it is.
bool is_plain(PyObject* op, PyObject* out, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
    const Py_ssize_t n_attributes = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
    const char* kinds = PyUnicode_AsUTF8(reinterpret_cast<Primitive*>(op)->kinds);
    if (kinds == nullptr) PyErr_Clear();
    return kinds != nullptr && n + n_attributes < kMostValues && !are_recorded(&out, 1) &&
           !are_recorded(args, n) && can_write_over(as_tensor(out), args, n, kinds);
}

// ------------------------------------------------------------------ out=
// Whether `out` has neither elements nor a part in a graph, so that a result may take its place.
bool is_empty_target(PyObject* out) {
    Tensor* tensor = as_tensor(out);
    return tensor->array != nullptr && PyArray_CheckExact(tensor->array) &&
           PyArray_SIZE(reinterpret_cast<PyArrayObject*>(tensor->array)) == 0 &&
           present(tensor->base) == nullptr && !tensor->requires_grad &&
           (!tensor->is_unversioned || switches.inference);
}

// Whether nobody else holds `result` or its memory, and that could be the memory of `out`.
bool may_become(PyObject* result, PyObject* out) {
    if (!is_tensor(result) || Py_REFCNT(result) != 1 || as_tensor(result)->requires_grad)
        return false;
    PyObject* object = as_tensor(result)->array;
    if (object == nullptr || !PyArray_CheckExact(object) || Py_REFCNT(object) != 1) return false;
    PyArrayObject* array = reinterpret_cast<PyArrayObject*>(object);
    PyArrayObject* old = reinterpret_cast<PyArrayObject*>(as_tensor(out)->array);
    return PyArray_BASE(array) == nullptr && PyArray_DESCR(array) == PyArray_DESCR(old) &&
           is_contiguous(array) && !same_shape(array, old);
}

// What the op makes of the inputs becomes the array of the empty tensor `out`; write_out stores what
// may not.
PyObject* fill_empty(PyObject* op, PyObject* name, PyObject* out, PyObject* const* args,
                     Py_ssize_t n, PyObject* kwnames) {
    PyObject* result = PyObject_Vectorcall(op, args, size_t(n), kwnames);
    if (result == nullptr) return nullptr;
    PyObject* written = nullptr;
    if (may_become(result, out)) {
        Py_SETREF(as_tensor(out)->array, Py_NewRef(as_tensor(result)->array));
        Py_CLEAR(as_tensor(out)->storage);
        if (bump_version(as_tensor(out), name)) written = Py_NewRef(out);
    } else {
        written = PyObject_CallFunctionObjArgs(callbacks.write_out, out, result, name, nullptr);
    }
    Py_DECREF(result);
    return written;
}

// compute_out(op, name, out, *inputs, **attrs)
PyObject* compute_out(PyObject* otherwise, PyObject* const* args, Py_ssize_t n,
                      PyObject* kwnames) {
    if (n >= 3 && PyObject_TypeCheck(args[0], primitive_type)) {
        if (args[2] == Py_None)
            return PyObject_Vectorcall(args[0], args + 3, size_t(n - 3), kwnames);
        if (is_tensor(args[2]) && is_plain(args[0], args[2], args + 3, n - 3, kwnames))
            return write(args[0], args[2], args[1], args + 3, n - 3, kwnames);
        if (is_tensor(args[2]) && is_empty_target(args[2]))
            return fill_empty(args[0], args[1], args[2], args + 3, n - 3, kwnames);
    }
    return PyObject_Vectorcall(otherwise, args, size_t(n), kwnames);
}

PyMethodDef compute_out_definition = {
    "compute_out",
    reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(compute_out)),
    METH_FASTCALL | METH_KEYWORDS, "(op, name, out, *inputs, **attrs): see ops/common.py."};

PyObject* py_compute_out_function(PyObject*, PyObject* otherwise) {
    return PyCFunction_New(&compute_out_definition, otherwise);
}

// ------------------------------------------------------------------ in-place methods
struct InPlaceMethod {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject* otherwise;  // the Python function that defines the method
    PyObject* op;
    PyObject* name;
    PyObject* attributes;  // the names of keywords that the op knows, a frozenset
    Py_ssize_t operands;   // beside the tensor itself
    PyObject* dict;
};

InPlaceMethod* as_method(PyObject* object) { return reinterpret_cast<InPlaceMethod*>(object); }

bool are_attributes(PyObject* known, PyObject* kwnames) {
    for (Py_ssize_t i = 0; kwnames != nullptr && i < PyTuple_GET_SIZE(kwnames); i++)
        if (PySet_Contains(known, PyTuple_GET_ITEM(kwnames, i)) != 1) return false;
    return true;
}

PyObject* call_method(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
    InPlaceMethod* m = as_method(self);
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    if (n == m->operands + 1 && is_tensor(args[0]) && are_attributes(m->attributes, kwnames) &&
        is_plain(m->op, args[0], args, n, kwnames))
        return write(m->op, args[0], m->name, args, n, kwnames);
    return PyObject_Vectorcall(m->otherwise, args, nargsf, kwnames);
}

PyObject* bind_method(PyObject* self, PyObject* instance, PyObject*) {
    if (instance != nullptr && instance != Py_None) return PyMethod_New(self, instance);
    return Py_NewRef(self);
}

// InPlaceMethod(otherwise, op, name, attributes, operands)
PyObject* new_method(PyTypeObject* type, PyObject* args, PyObject*) {
    PyObject *otherwise, *op, *name, *attributes;
    Py_ssize_t operands;
    if (!PyArg_ParseTuple(args, "OO!UO!n", &otherwise, primitive_type, &op, &name,
                          &PyFrozenSet_Type, &attributes, &operands))
        return nullptr;
    PyObject* self = type->tp_alloc(type, 0);
    if (self == nullptr) return nullptr;
    InPlaceMethod* m = as_method(self);
    m->vectorcall = call_method;
    m->otherwise = Py_NewRef(otherwise);
    m->op = Py_NewRef(op);
    m->name = Py_NewRef(name);
    m->attributes = Py_NewRef(attributes);
    m->operands = operands;
    return self;
}

int traverse_method(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(as_method(self)->otherwise);
    Py_VISIT(as_method(self)->op);
    Py_VISIT(as_method(self)->dict);
    return 0;
}
int clear_method(PyObject* self) {
    Py_CLEAR(as_method(self)->otherwise);
    Py_CLEAR(as_method(self)->op);
    Py_CLEAR(as_method(self)->dict);
    return 0;
}
void free_method(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear_method(self);
    Py_CLEAR(as_method(self)->name);
    Py_CLEAR(as_method(self)->attributes);
    type->tp_free(self);
    Py_DECREF(type);
}

PyGetSetDef method_attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef method_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(InPlaceMethod, dict), READONLY, nullptr},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(InPlaceMethod, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot method_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_method)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(bind_method)},
    {Py_tp_dealloc, reinterpret_cast<void*>(free_method)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_method)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_method)},
    {Py_tp_getset, method_attributes},
    {Py_tp_members, method_members},
    {0, nullptr},
};
PyType_Spec method_spec = {"rushlight.backends._tape.InPlaceMethod", sizeof(InPlaceMethod), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                               Py_TPFLAGS_METHOD_DESCRIPTOR,
                           method_slots};

}  // namespace

PyObject* primitive_into(PyObject* self, PyObject* const* args, Py_ssize_t n) {
    if (n != 4 || !is_tensor(args[0]) || !PyTuple_Check(args[2]) || !PyDict_Check(args[3]) ||
        PyTuple_GET_SIZE(args[2]) + PyDict_GET_SIZE(args[3]) >= kMostValues) {
        PyErr_SetString(PyExc_TypeError, "into(out, operation, inputs, attrs)");
        return nullptr;
    }
    const Py_ssize_t n_inputs = PyTuple_GET_SIZE(args[2]);
    PyObject* values[kMostValues];
    for (Py_ssize_t i = 0; i < n_inputs; i++) values[i] = PyTuple_GET_ITEM(args[2], i);
    PyObject* kwnames = PyTuple_New(PyDict_GET_SIZE(args[3]));
    PyObject* name;
    Py_ssize_t i = 0;
    for (Py_ssize_t place = 0;
         kwnames != nullptr && PyDict_Next(args[3], &place, &name, &values[n_inputs + i]); i++)
        PyTuple_SET_ITEM(kwnames, i, Py_NewRef(name));
    PyObject* out = kwnames == nullptr
                        ? nullptr
                        : write(self, args[0], args[1], values, n_inputs, kwnames);
    Py_XDECREF(kwnames);
    return out;
}

bool add_writing_types(PyObject* module) { return add_type(module, &method_spec) != nullptr; }

PyMethodDef writing_methods[] = {
    {"compute_out_function", py_compute_out_function, METH_O,
     "(otherwise): the function compute_out."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace tape
}  // namespace rl
