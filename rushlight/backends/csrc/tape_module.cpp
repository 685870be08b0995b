// The module rushlight.backends._tape: its types, its functions, and what it needs from Python.
#define RL_IMPORTS_NUMPY
#include "tape.h"

namespace rl {
namespace tape {

Callbacks callbacks;
Names names;

PyTypeObject* add_type(PyObject* module, PyType_Spec* spec) {
    PyObject* type = PyType_FromSpec(spec);
    if (type == nullptr) return nullptr;
    const char* name = strrchr(spec->name, '.') + 1;
    Py_INCREF(type);  // one reference for the module, one for the caller
    if (PyModule_AddObject(module, name, type) < 0) return nullptr;
    return reinterpret_cast<PyTypeObject*>(type);
}

namespace {

bool intern_names() {
    const struct {
        PyObject** place;
        const char* text;
    } rows[] = {
        {&names.grad_fn, "grad_fn"},
        {&names.shape, "shape"},
        {&names.dtype, "dtype"},
        {&names.kind, "kind"},
        {&names.sum_to_size, "sum_to_size"},
        {&names.to_array_dtype, "_to_array_dtype"},
        {&names.real, "real"},
        {&names.refresh_view, "_refresh_view"},
        {&names.explain, "explain"},
        {&names.apply, "apply"},
        {&names.release, "release"},
        {&names.add_, "add_"},
        {&names.requires_grad_, "requires_grad_"},
        {&names.assign_grad, "_assign_grad"},
        {&names.out, "out"},
    };
    for (const auto& row : rows)
        if ((*row.place = PyUnicode_InternFromString(row.text)) == nullptr) return false;
    return true;
}

// connect(name, function): sets one of the callbacks.
PyObject* connect(PyObject*, PyObject* const* args, Py_ssize_t n) {
    const struct {
        PyObject** place;
        const char* name;
    } rows[] = {
        {&callbacks.kernels, "kernels"},
        {&callbacks.asarray, "asarray"},
        {&callbacks.is_array, "is_array"},
        {&callbacks.raise_stale, "raise_stale"},
        {&callbacks.freed_message, "freed_message"},
        {&callbacks.anomaly_trace, "anomaly_trace"},
        {&callbacks.run_tensor_hooks, "run_tensor_hooks"},
        {&callbacks.run_pre_hooks, "run_pre_hooks"},
        {&callbacks.run_post_hooks, "run_post_hooks"},
        {&callbacks.accumulate_grad, "accumulate_grad"},
        {&callbacks.explain, "explain"},
        {&callbacks.copy_gradient, "copy_gradient"},
        {&callbacks.dtypes, "dtypes"},
        {&callbacks.from_numpy_dtype, "from_numpy_dtype"},
        {&callbacks.size_type, "size_type"},
        {&callbacks.no_grad_message, "no_grad_message"},
        {&callbacks.inference_kept_message, "inference_kept_message"},
        {&callbacks.write_out, "write_out"},
        {&callbacks.package, "package"},
    };
    for (const auto& row : rows) {
        if (n != 2 || !PyUnicode_Check(args[0]) ||
            PyUnicode_CompareWithASCIIString(args[0], row.name) != 0)
            continue;
        Py_INCREF(args[1]);
        Py_XSETREF(*row.place, args[1]);
        Py_RETURN_NONE;
    }
    PyErr_SetString(PyExc_TypeError, "connect(name, function): unknown name");
    return nullptr;
}

PyObject* set_tensor_type(PyObject*, PyObject* cls) {
    if (!PyType_Check(cls) ||
        !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), tensor_base_type)) {
        PyErr_SetString(PyExc_TypeError, "set_tensor_type() takes a subclass of TensorBase");
        return nullptr;
    }
    Py_INCREF(cls);
    Py_SETREF(tensor_type, reinterpret_cast<PyTypeObject*>(cls));
    Py_RETURN_NONE;
}

PyObject* py_wrap(PyObject*, PyObject* array) {
    Py_INCREF(array);
    return wrap(array);
}

PyObject* py_next_sequence_nr(PyObject*, PyObject*) {
    return PyLong_FromSsize_t(next_sequence_nr());
}

PyMethodDef module_methods[] = {
    method("connect", connect, "Sets one of the Python functions that rare paths call."),
    {"set_tensor_type", set_tensor_type, METH_O, "Names the class that operations return."},
    {"wrap", py_wrap, METH_O, "A tensor around an array, outside every graph."},
    {"next_sequence_nr", py_next_sequence_nr, METH_NOARGS, "Numbers nodes in order."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module_definition = {PyModuleDef_HEAD_INIT,
                                 "_tape",
                                 "The compiled twin of rushlight.autograd's hot path.",
                                 -1,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr};

}  // namespace
}  // namespace tape
}  // namespace rl

PyMODINIT_FUNC PyInit__tape() {
    using namespace rl::tape;
    import_array();
    PyObject* module = PyModule_Create(&module_definition);
    if (module == nullptr) return nullptr;
    if (intern_names() && add_tensor_types(module) && add_node_types(module) &&
        add_primitive_types(module) && add_writing_types(module) &&
        PyModule_AddFunctions(module, module_methods) == 0 &&
        PyModule_AddFunctions(module, engine_methods) == 0 &&
        PyModule_AddFunctions(module, inplace_methods) == 0 &&
        PyModule_AddFunctions(module, list_methods) == 0 &&
        PyModule_AddFunctions(module, writing_methods) == 0)
        return module;
    Py_DECREF(module);
    return nullptr;
}
