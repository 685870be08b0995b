// bind_modules.cpp: attributes and calls of nn.Module without the interpreter.
//
// What they do is defined in Python, by `__getattr__` in nn/modules/_registry.py and `__call__` in
// nn/modules/module.py. A module keeps its parameters, buffers and submodules in dictionaries of its
// own, where Python looks only after the usual look-up has failed and made an AttributeError with its
// text: 0.6 us for every `self.weight`, as long as a small kernel takes. The look-up here asks the
// same places in the same order (the class, the instance, then the three dictionaries) before it
// fails; the call runs `forward` at once where no hook is registered. Sixty attributes and ten calls
// make a training step of a small network.
//
// They stand in the slots of every class whose `__getattr__` and `__call__` are those of Module.
// Python puts its own functions there when a class gets other ones, also later and from outside.
#include "bind.h"

namespace {

// From connect_modules.
PyObject *python_getattr, *python_call;  // the functions of Module
PyObject* any_global_hook;               // a dictionary, empty if there is none
PyObject* explain_error;                 // (error, module), at errors on their way out

PyObject* registries[3];  // names, interned
PyObject* hook_fields[4];
PyObject *forward_name, *getattr_name, *getattribute_name, *call_name;

// A field of the instance, or what its dictionaries hold under the name; borrowed, or null.
PyObject* find_in_fields(PyObject* fields, PyObject* name) {
    PyObject* found = PyDict_GetItemWithError(fields, name);
    for (int i = 0; found == nullptr && i < 3 && !PyErr_Occurred(); i++) {
        PyObject* registry = PyDict_GetItemWithError(fields, registries[i]);
        if (registry != nullptr && PyDict_Check(registry))
            found = PyDict_GetItemWithError(registry, name);
    }
    return found;
}

// tp_getattro
PyObject* module_attribute(PyObject* self, PyObject* name) {
    PyObject* found = nullptr;
    if (_PyType_Lookup(Py_TYPE(self), name) == nullptr) {
        PyObject* fields = PyObject_GenericGetDict(self, nullptr);
        if (fields == nullptr) return nullptr;
        found = find_in_fields(fields, name);
        Py_XINCREF(found);
        Py_DECREF(fields);
        if (found != nullptr || PyErr_Occurred()) return found;
    }
    found = PyObject_GenericGetAttr(self, name);
    if (found != nullptr || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
    PyErr_Clear();
    return PyObject_CallFunctionObjArgs(python_getattr, self, name, nullptr);
}

// 1 if a hook would run, 0 if none, -1 if Module.__init__ was not called.
int has_hooks(PyObject* fields) {
    if (PyDict_GET_SIZE(any_global_hook) > 0) return 1;
    for (PyObject* field : hook_fields) {
        PyObject* hooks = PyDict_GetItemWithError(fields, field);
        if (hooks == nullptr || !PyDict_Check(hooks)) return -1;
        if (PyDict_GET_SIZE(hooks) > 0) return 1;
    }
    return 0;
}

// function(self, *args, **kwargs)
PyObject* call_with_self(PyObject* function, PyObject* self, PyObject* args, PyObject* kwargs) {
    const Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (kwargs == nullptr && n < 8) {
        PyObject* values[9] = {nullptr, self};  // the first for PY_VECTORCALL_ARGUMENTS_OFFSET
        for (Py_ssize_t i = 0; i < n; i++) values[i + 2] = PyTuple_GET_ITEM(args, i);
        return PyObject_Vectorcall(function, values + 1,
                                   size_t(n + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    }
    PyObject* all = PyTuple_New(n + 1);
    if (all == nullptr) return nullptr;
    PyTuple_SET_ITEM(all, 0, Py_NewRef(self));
    for (Py_ssize_t i = 0; i < n; i++)
        PyTuple_SET_ITEM(all, i + 1, Py_NewRef(PyTuple_GET_ITEM(args, i)));
    PyObject* result = PyObject_Call(function, all, kwargs);
    Py_DECREF(all);
    return result;
}

PyObject* call_forward(PyObject* self, PyObject* fields, PyObject* args, PyObject* kwargs) {
    PyObject* function = _PyType_Lookup(Py_TYPE(self), forward_name);
    if (function != nullptr && PyFunction_Check(function) &&
        PyDict_GetItemWithError(fields, forward_name) == nullptr && !PyErr_Occurred()) {
        Py_INCREF(function);
        PyObject* result = call_with_self(function, self, args, kwargs);
        Py_DECREF(function);
        return result;
    }
    PyObject* forward = PyErr_Occurred() ? nullptr : PyObject_GetAttr(self, forward_name);
    PyObject* result = forward == nullptr ? nullptr : PyObject_Call(forward, args, kwargs);
    Py_XDECREF(forward);
    return result;
}

// Lets Python write into the exception which module it came out of.
void note_module(PyObject* self) {
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != nullptr) PyException_SetTraceback(error, traceback);
    PyObject* none = PyObject_CallFunctionObjArgs(explain_error, error, self, nullptr);
    if (none != nullptr) {
        Py_DECREF(none);
        PyErr_Restore(type, error, traceback);
        return;
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
}

// tp_call
PyObject* module_call(PyObject* self, PyObject* args, PyObject* kwargs) {
    PyObject* fields = PyObject_GenericGetDict(self, nullptr);
    if (fields == nullptr) return nullptr;
    PyObject* result = nullptr;
    if (has_hooks(fields) != 0) {
        result = PyErr_Occurred() ? nullptr : call_with_self(python_call, self, args, kwargs);
    } else if (Py_EnterRecursiveCall(" in a module's forward") == 0) {
        result = call_forward(self, fields, args, kwargs);
        Py_LeaveRecursiveCall();
        if (result == nullptr && PyErr_ExceptionMatches(PyExc_Exception)) note_module(self);
    }
    Py_DECREF(fields);
    return result;
}

// connect_modules(__getattr__, __call__, any_global_hook, explain_error)
PyObject* connect_modules(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyObject** places[] = {&python_getattr, &python_call, &any_global_hook, &explain_error};
    if (n != 4 || !PyDict_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError,
                        "connect_modules(__getattr__, __call__, any_global_hook, explain_error)");
        return nullptr;
    }
    for (int i = 0; i < 4; i++) {
        Py_INCREF(args[i]);
        Py_XSETREF(*places[i], args[i]);
    }
    Py_RETURN_NONE;
}

// adopt_module_class(cls): gives the class the slots above, if it has not got functions of its own.
PyObject* adopt_module_class(PyObject*, PyObject* cls) {
    if (!PyType_Check(cls) || python_call == nullptr) Py_RETURN_NONE;
    PyTypeObject* type = reinterpret_cast<PyTypeObject*>(cls);
    const bool plain_attributes =
        _PyType_Lookup(type, getattr_name) == python_getattr &&
        _PyType_Lookup(type, getattribute_name) ==
            _PyType_Lookup(&PyBaseObject_Type, getattribute_name);
    if (plain_attributes) type->tp_getattro = module_attribute;
    if (_PyType_Lookup(type, call_name) == python_call) type->tp_call = module_call;
    PyType_Modified(type);
    Py_RETURN_NONE;
}

}  // namespace

bool intern_module_names() {
    const struct {
        PyObject** place;
        const char* text;
    } rows[] = {
        {&registries[0], "_parameters"},
        {&registries[1], "_buffers"},
        {&registries[2], "_modules"},
        {&hook_fields[0], "_forward_hooks"},
        {&hook_fields[1], "_forward_pre_hooks"},
        {&hook_fields[2], "_backward_hooks"},
        {&hook_fields[3], "_backward_pre_hooks"},
        {&forward_name, "forward"},
        {&getattr_name, "__getattr__"},
        {&getattribute_name, "__getattribute__"},
        {&call_name, "__call__"},
    };
    for (const auto& row : rows)
        if ((*row.place = PyUnicode_InternFromString(row.text)) == nullptr) return false;
    return true;
}

PyMethodDef module_class_methods[] = {
    rl::method("connect_modules", connect_modules,
               "(__getattr__, __call__, any_global_hook, explain_error): see bind_modules.cpp."),
    {"adopt_module_class", adopt_module_class, METH_O, "(cls): see bind_modules.cpp."},
    {nullptr, nullptr, 0, nullptr},
};
