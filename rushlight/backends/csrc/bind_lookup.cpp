// bind_lookup.cpp: the __getattribute__ that finds a module's parameters, buffers and submodules.
//
// A module keeps them in dictionaries of its own, where Python looks only by `__getattr__`, that is
// after the usual look-up has failed and made an AttributeError with its text: 0.6 us for every
// `self.weight`, as long as a small kernel takes. This look-up asks the same places in the same order
// (the class, the instance, then `_parameters`, `_buffers`, `_modules`) before it fails.
#include "bind.h"

namespace {

PyObject* registries[3];  // the names, interned

PyObject* lookup(PyObject* self, PyObject* name) {
    if (_PyType_Lookup(Py_TYPE(self), name) != nullptr) return PyObject_GenericGetAttr(self, name);
    PyObject* fields = PyObject_GenericGetDict(self, nullptr);
    if (fields == nullptr) return nullptr;
    PyObject* found = PyDict_GetItemWithError(fields, name);
    for (int i = 0; found == nullptr && i < 3 && !PyErr_Occurred(); i++) {
        PyObject* registry = PyDict_GetItemWithError(fields, registries[i]);
        if (registry != nullptr && PyDict_Check(registry))
            found = PyDict_GetItemWithError(registry, name);
    }
    Py_XINCREF(found);
    Py_DECREF(fields);
    if (found != nullptr || PyErr_Occurred()) return found;
    return PyObject_GenericGetAttr(self, name);  // raises; `__getattr__` says more
}

PyMethodDef lookup_definition = {"__getattribute__", lookup, METH_O,
                                 "Attributes, and what lies in a module's dictionaries."};

}  // namespace

// Adds `module_getattribute`, a method that any class may have.
bool add_module_lookup(PyObject* module) {
    const char* names[] = {"_parameters", "_buffers", "_modules"};
    for (int i = 0; i < 3; i++)
        if ((registries[i] = PyUnicode_InternFromString(names[i])) == nullptr) return false;
    PyObject* method = PyDescr_NewMethod(&PyBaseObject_Type, &lookup_definition);
    return method != nullptr && PyModule_AddObject(module, "module_getattribute", method) == 0;
}
