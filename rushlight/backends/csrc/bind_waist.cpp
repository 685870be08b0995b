// bind_waist.cpp: the way from an array to a kernel, without the interpreter.
//
// Every operation asks `kernels(array)` and calls a method of what it gets; most methods of CPUKernels
// are "the native function, and where that does not take the arguments, the reference". Both are
// defined in Python (backends/__init__.py, backends/cpu_method.py); here they cost 30 ns instead of
// two Python frames, 40 to 60 times per training step of a small network. So are shapes as programs
// give them (backends/shapes.py).
#include "bind.h"

#include <structmember.h>

namespace {

using namespace rl;

// ------------------------------------------------------------------ kernels(array)
PyObject* kernels_by_type;    // {array type: Kernels}
PyObject* kernels_of_others;  // called for types that are not in it

PyObject* py_kernels(PyObject*, PyObject* array) {
    if (!allocator_installed && !install_allocator_here()) return nullptr;
    PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(array));
    PyObject* found = PyDict_GetItemWithError(kernels_by_type, type);
    if (found == nullptr)
        return PyErr_Occurred() ? nullptr
                                : PyObject_CallFunctionObjArgs(kernels_of_others, array, nullptr);
    Py_INCREF(found);
    return found;
}

PyMethodDef kernels_definition = {"kernels", py_kernels, METH_O,
                                  "kernels(array): the kernels for the array's type."};

// kernels_lookup(by_type, otherwise): the function `kernels` over a dictionary of array types.
PyObject* py_kernels_lookup(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 2 || !PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "kernels_lookup(by_type, otherwise)");
        return nullptr;
    }
    Py_INCREF(args[0]);
    Py_XSETREF(kernels_by_type, args[0]);
    Py_INCREF(args[1]);
    Py_XSETREF(kernels_of_others, args[1]);
    return PyCFunction_New(&kernels_definition, nullptr);
}

// agree(x, y): whether a kernel takes both operands without promotion.
PyObject* py_agree(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? as_array(args[0]) : nullptr;
    bool same = false;
    if (x != nullptr && PyArray_CheckExact(args[1])) {
        same = PyArray_DESCR(x) == PyArray_DESCR(reinterpret_cast<PyArrayObject*>(args[1]));
    } else if (x != nullptr) {
        const int type = PyArray_TYPE(x);
        same = (type == NPY_FLOAT || type == NPY_DOUBLE || type == NPY_HALF) &&
               (PyFloat_CheckExact(args[1]) || PyLong_CheckExact(args[1]) || PyBool_Check(args[1]));
    }
    return PyBool_FromLong(same);
}

// ------------------------------------------------------------------ shapes as programs give them
// What `given`, a tuple of arguments, names: itself, or the one sequence that it holds.
PyObject* sizes_in(PyObject* given) {
    if (PyTuple_GET_SIZE(given) != 1) return given;
    PyObject* first = PyTuple_GET_ITEM(given, 0);
    return PyTuple_Check(first) || PyList_CheckExact(first) ? first : given;
}

// Reads plain ints; their number, or -1.
int plain_sizes(PyObject* sizes, npy_intp* out) {
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(sizes);
    if (n > NPY_MAXDIMS) return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject* size = PySequence_Fast_GET_ITEM(sizes, i);
        int64_t value;
        if (!PyLong_CheckExact(size) || !as_int64(size, &value)) return -1;
        out[i] = value;
    }
    return int(n);
}

// as_shape(given): a shape as a tuple of ints. `otherwise` is the Python function that defines it.
PyObject* py_as_shape(PyObject* otherwise, PyObject* given) {
    npy_intp values[NPY_MAXDIMS];
    if (PyTuple_CheckExact(given)) {
        PyObject* sizes = sizes_in(given);
        const int n = plain_sizes(sizes, values);
        if (n >= 0 && PyTuple_CheckExact(sizes)) return Py_NewRef(sizes);
        if (n >= 0) return PyArray_IntTupleFromIntp(n, values);
    }
    return PyObject_CallOneArg(otherwise, given);
}

PyMethodDef as_shape_definition = {"as_shape", py_as_shape, METH_O,
                                "as_shape(given): a shape as a tuple of ints."};

PyObject* py_as_shape_function(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 1 || !PyCallable_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "as_shape_function(otherwise)");
        return nullptr;
    }
    return PyCFunction_New(&as_shape_definition, args[0]);
}

// view_shape(x, given): the shape of a view of x, or None where it takes a closer look.
PyObject* py_view_shape(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n == 2 ? as_array(args[0]) : nullptr;
    if (x == nullptr || !is_contiguous(x) || !PyTuple_CheckExact(args[1]) ||
        PyTuple_GET_SIZE(args[1]) == 0)
        Py_RETURN_NONE;
    npy_intp shape[NPY_MAXDIMS];
    const int ndim = plain_sizes(sizes_in(args[1]), shape);
    int64_t known = 1;
    int unknown = -1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] >= 0) {
            if (__builtin_mul_overflow(known, int64_t(shape[i]), &known)) Py_RETURN_NONE;
        } else if (shape[i] != -1 || unknown >= 0) {
            Py_RETURN_NONE;
        } else {
            unknown = i;
        }
    }
    const int64_t size = PyArray_SIZE(x);
    if (unknown >= 0 && known > 0 && size % known == 0) {
        shape[unknown] = size / known;
        known = size;
        unknown = -1;
    }
    if (ndim < 0 || unknown >= 0 || known != size) Py_RETURN_NONE;
    return PyArray_IntTupleFromIntp(ndim, shape);
}

// ------------------------------------------------------------------ KernelMethod
constexpr Py_ssize_t kMostParameters = 20;

struct KernelMethod {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject* native;
    PyObject* reference;   // the function of Kernels; takes the instance first
    PyObject* parameters;  // its parameters' names, without the instance
    PyObject* defaults;    // of the last parameters
    PyObject* dict;
};

KernelMethod* as_method(PyObject* object) { return reinterpret_cast<KernelMethod*>(object); }

// The arguments in the order of the parameters, with the defaults; false if they do not fit.
bool arrange(const KernelMethod* m, PyObject* const* args, Py_ssize_t n, PyObject* kwnames,
             PyObject** values) {
    const Py_ssize_t count = PyTuple_GET_SIZE(m->parameters);
    const Py_ssize_t first_default = count - PyTuple_GET_SIZE(m->defaults);
    for (Py_ssize_t i = 0; i < count; i++) {
        values[i] = i < n ? args[i] : nullptr;
        if (i >= n && i >= first_default)
            values[i] = PyTuple_GET_ITEM(m->defaults, i - first_default);
    }
    const Py_ssize_t keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < keywords; k++) {
        PyObject* name = PyTuple_GET_ITEM(kwnames, k);
        Py_ssize_t i = n;
        while (i < count && PyUnicode_Compare(PyTuple_GET_ITEM(m->parameters, i), name) != 0) i++;
        if (i == count) return false;
        values[i] = args[n + k];
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (values[i] == nullptr) return false;
    return true;
}

PyObject* call_method(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
    KernelMethod* m = as_method(self);
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf) - 1;  // without the instance
    const Py_ssize_t count = PyTuple_GET_SIZE(m->parameters);
    PyObject* result = nullptr;
    if (n == count && kwnames == nullptr) {
        result = PyObject_Vectorcall(m->native, args + 1, size_t(n), nullptr);
    } else {
        PyObject* values[kMostParameters];
        if (n >= 0 && n <= count && arrange(m, args + 1, n, kwnames, values))
            result = PyObject_Vectorcall(m->native, values, size_t(count), nullptr);
        else  // the reference raises the TypeError
            return PyObject_Vectorcall(m->reference, args, size_t(n + 1), kwnames);
    }
    if (result != Py_NotImplemented) return result;
    Py_DECREF(result);
    return PyObject_Vectorcall(m->reference, args, size_t(n + 1), kwnames);
}

PyObject* bind_method(PyObject* self, PyObject* instance, PyObject*) {
    if (instance != nullptr && instance != Py_None) return PyMethod_New(self, instance);
    Py_INCREF(self);
    return self;
}

PyObject* new_method(PyTypeObject* type, PyObject* args, PyObject*) {
    PyObject *native, *reference, *parameters, *defaults;
    if (!PyArg_ParseTuple(args, "OOO!O!", &native, &reference, &PyTuple_Type, &parameters,
                          &PyTuple_Type, &defaults))
        return nullptr;
    if (PyTuple_GET_SIZE(parameters) > kMostParameters ||
        PyTuple_GET_SIZE(defaults) > PyTuple_GET_SIZE(parameters)) {
        PyErr_SetString(PyExc_ValueError, "KernelMethod: more parameters than it has room for");
        return nullptr;
    }
    PyObject* self = type->tp_alloc(type, 0);
    if (self == nullptr) return nullptr;
    KernelMethod* m = as_method(self);
    m->vectorcall = call_method;
    m->native = Py_NewRef(native);
    m->reference = Py_NewRef(reference);
    m->parameters = Py_NewRef(parameters);
    m->defaults = Py_NewRef(defaults);
    return self;
}

int traverse_method(PyObject* self, visitproc visit, void* arg) {
    KernelMethod* m = as_method(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(m->native);
    Py_VISIT(m->reference);
    Py_VISIT(m->dict);
    return 0;
}
int clear_method(PyObject* self) {
    KernelMethod* m = as_method(self);
    Py_CLEAR(m->native);
    Py_CLEAR(m->reference);
    Py_CLEAR(m->dict);
    return 0;
}
void free_method(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear_method(self);
    Py_CLEAR(as_method(self)->parameters);
    Py_CLEAR(as_method(self)->defaults);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef method_members[] = {
    {"native", T_OBJECT, offsetof(KernelMethod, native), READONLY, nullptr},
    {"__wrapped__", T_OBJECT, offsetof(KernelMethod, reference), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(KernelMethod, dict), READONLY, nullptr},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(KernelMethod, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot method_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_method)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(bind_method)},
    {Py_tp_dealloc, reinterpret_cast<void*>(free_method)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_method)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_method)},
    {Py_tp_members, method_members},
    {Py_tp_doc, const_cast<char*>("A native function with the reference kernel behind it.")},
    {0, nullptr},
};
PyType_Spec method_spec = {"rushlight.backends._native.KernelMethod", sizeof(KernelMethod), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                               Py_TPFLAGS_METHOD_DESCRIPTOR,
                           method_slots};

}  // namespace

bool add_waist_types(PyObject* module) {
    PyObject* type = PyType_FromSpec(&method_spec);
    return type != nullptr && PyModule_AddObject(module, "KernelMethod", type) == 0;
}

PyMethodDef waist_methods[] = {
    method("agree", py_agree, "(x, y): whether a kernel takes both without promotion."),
    method("as_shape_function", py_as_shape_function, "(otherwise): the function as_shape."),
    method("view_shape", py_view_shape, "(x, given): see backends/shapes.py."),
    method("kernels_lookup", py_kernels_lookup, "(by_type, otherwise): the function kernels."),
    {nullptr, nullptr, 0, nullptr},
};
