// PrimitiveCall: the one choke point of all operations. Takes the arrays out of the arguments, calls
// the forward, wraps what it returns, and has a node recorded if an input wants a gradient
// (Primitive.__call__ in rushlight/autograd/primitive.py).
#include "tape.h"

namespace rl {
namespace tape {

PyTypeObject* primitive_type;

namespace {

constexpr int kMostInputs = 16;  // on the stack; more are kept on the heap

// ------------------------------------------------------------------ arguments and results
// The array of an input tensor, or the input itself; a new reference. Notes who wants a gradient.
PyObject* array_of(Call* call, PyObject* input) {
    if (!is_tensor(input)) {
        Py_INCREF(input);
        return input;
    }
    Tensor* tensor = as_tensor(input);
    if (tensor->array == nullptr) {
        PyErr_SetString(PyExc_AttributeError, "the tensor has no array");
        return nullptr;
    }
    if (is_stale(tensor) && !tensor->requires_grad && as_tensor(tensor->base)->requires_grad) {
        PyObject* none = PyObject_CallMethodObjArgs(input, names.refresh_view, nullptr);
        if (none == nullptr) return nullptr;
        Py_DECREF(none);
    }
    if (tensor->requires_grad) call->wants_gradient = true;
    Py_INCREF(tensor->array);
    return tensor->array;
}

// `result` of the forward as an array: NumPy hands out scalars. Steals `result`.
PyObject* as_result_array(Call* call, PyObject* result) {
    if (PyArray_CheckExact(result)) return result;
    PyObject* known = PyObject_CallFunctionObjArgs(callbacks.is_array, result, nullptr);
    const int truth = known == nullptr ? -1 : PyObject_IsTrue(known);
    Py_XDECREF(known);
    if (truth == 1) return result;
    PyObject* array = nullptr;
    PyObject* arrays = truth < 0 ? nullptr : PyList_New(call->n_inputs);
    for (Py_ssize_t i = 0; arrays != nullptr && i < call->n_inputs; i++) {
        Py_INCREF(call->arrays[i]);
        PyList_SET_ITEM(arrays, i, call->arrays[i]);
    }
    if (arrays != nullptr)
        array = PyObject_CallFunctionObjArgs(callbacks.asarray, result, arrays, nullptr);
    Py_XDECREF(arrays);
    Py_DECREF(result);
    return array;
}

// A tensor around a result; for a view, with the memory of the first input. Steals `result`.
PyObject* wrap_result(Call* call, PyObject* result) {
    PyObject* array = as_result_array(call, result);
    PyObject* object = array == nullptr ? nullptr : wrap(array);
    if (object == nullptr) return object;
    if (!call->op->view) return object;
    Tensor* out = as_tensor(object);
    PyObject* base = call->inputs[0];
    Storage* storage = is_tensor(base) ? storage_of(as_tensor(base)) : nullptr;
    if (storage == nullptr) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "a view needs a tensor");
        Py_DECREF(object);
        return nullptr;
    }
    out->is_inference = out->is_unversioned = as_tensor(base)->is_inference;
    if (present(as_tensor(base)->base) != nullptr) base = as_tensor(base)->base;
    Py_INCREF(base);
    out->base = base;
    Py_INCREF(storage);
    out->storage = reinterpret_cast<PyObject*>(storage);
    out->view_version = storage->version;
    return object;
}

// ------------------------------------------------------------------ wrapping
PyObject* wrap_one(Call* call, PyObject* result) {
    PyObject* out = wrap_result(call, result);
    if (out == nullptr) return nullptr;
    if (call->wants_gradient && switches.enabled && !record(call, &out, 1)) Py_CLEAR(out);
    return out;
}

// The forward returned a tuple: a tuple of tensors, None where it is None. Steals `results`.
PyObject* wrap_many(Call* call, PyObject* results) {
    const Py_ssize_t count = PyTuple_GET_SIZE(results);
    PyObject* outs = PyTuple_New(count);
    for (Py_ssize_t i = 0; outs != nullptr && i < count; i++) {
        PyObject* result = PyTuple_GET_ITEM(results, i);
        Py_INCREF(result);
        PyObject* out = result == Py_None ? result : wrap_result(call, result);
        if (out == nullptr) {
            Py_CLEAR(outs);
            break;
        }
        PyTuple_SET_ITEM(outs, i, out);
    }
    Py_DECREF(results);
    if (outs != nullptr && call->wants_gradient && switches.enabled &&
        !record(call, &PyTuple_GET_ITEM(outs, 0), int(count)))
        Py_CLEAR(outs);
    return outs;
}

// A ValueError of the forward (operands that do not broadcast) as the error that PyTorch raises.
void explain(Call* call) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject* arrays = PyList_New(0);
    for (Py_ssize_t i = 0; arrays != nullptr && i < call->n_inputs; i++)
        if (PyList_Append(arrays, call->arrays[i]) < 0) Py_CLEAR(arrays);
    PyObject* better = nullptr;
    if (arrays != nullptr)
        better = PyObject_CallMethodObjArgs(reinterpret_cast<PyObject*>(call->op), names.explain,
                                            value, arrays, nullptr);
    Py_XDECREF(arrays);
    if (better == nullptr || better == value) {
        PyErr_Clear();
        Py_XDECREF(better);
        PyErr_Restore(type, value, traceback);
        return;
    }
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(better)), better);
    Py_DECREF(better);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

// ------------------------------------------------------------------ calling
// Puts the values of all keyword arguments behind the inputs, in the order of the signature; false
// (without an error) if a name is unknown or a value missing.
bool arrange(const Call* call) {
    const Primitive* op = call->op;
    const Py_ssize_t count = PyTuple_GET_SIZE(op->keywords);
    const Py_ssize_t given = call->kwnames == nullptr ? 0 : PyTuple_GET_SIZE(call->kwnames);
    PyObject** values = call->arrays + call->n_inputs;
    Py_ssize_t used = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject* name = PyTuple_GET_ITEM(op->keywords, i);
        // calls name them in the order of the signature, mostly
        Py_ssize_t k = used < given && PyTuple_GET_ITEM(call->kwnames, used) == name ? used : 0;
        while (k < given && PyTuple_GET_ITEM(call->kwnames, k) != name) k++;
        values[i] = k < given ? call->kwvalues[k] : PyDict_GetItemWithError(op->defaults, name);
        if (values[i] == nullptr) return false;
        used += k < given;
    }
    return used == given;
}

// kernels(first input).<kernel>(inputs and keyword arguments in order): what the forward of a
// primitive with a kernel says. `room` is how many values fit behind the inputs.
PyObject* call_kernel(const Call* call, Py_ssize_t room) {
    const Primitive* op = call->op;
    const Py_ssize_t count = call->n_inputs + PyTuple_GET_SIZE(op->keywords);
    if (call->n_inputs != op->n_inputs || PyTuple_GET_SIZE(op->keywords) > room || !arrange(call))
        return nullptr;
    PyObject** values = call->arrays - 1;
    values[0] = PyObject_CallOneArg(callbacks.kernels, call->arrays[0]);
    if (values[0] == nullptr) return nullptr;
    PyObject* result = PyObject_VectorcallMethod(op->kernel, values, size_t(count + 1), nullptr);
    Py_DECREF(values[0]);
    return result;
}

PyObject* call_forward(const Call* call, Py_ssize_t room) {
    if (present(call->op->kernel) != nullptr) {
        PyObject* result = call_kernel(call, room);
        if (result != nullptr || PyErr_Occurred()) return result;
    }  // an argument is missing or too much: the function says so
    const Py_ssize_t n_keywords = call->kwnames == nullptr ? 0 : PyTuple_GET_SIZE(call->kwnames);
    for (Py_ssize_t i = 0; i < n_keywords; i++)
        call->arrays[call->n_inputs + i] = call->kwvalues[i];
    return PyObject_Vectorcall(call->op->forward, call->arrays,
                               size_t(call->n_inputs) | PY_VECTORCALL_ARGUMENTS_OFFSET,
                               call->kwnames);
}

PyObject* primitive_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    const Py_ssize_t n_keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
    Primitive* op = reinterpret_cast<Primitive*>(self);
    // One place in front for the kernels, the keyword values behind the inputs.
    PyObject* stack[kMostInputs + 1];
    PyObject** values = stack;
    Py_ssize_t room = kMostInputs - n;
    if (n_keywords > room) {
        values = PyMem_New(PyObject*, size_t(n + n_keywords) + 1);
        if (values == nullptr) return PyErr_NoMemory();
        room = n_keywords;
    }
    Call call = {op, args, values + 1, 0, kwnames, args + n, false};
    PyObject* out = nullptr;
    for (; call.n_inputs < n; call.n_inputs++) {
        call.arrays[call.n_inputs] = array_of(&call, args[call.n_inputs]);
        if (call.arrays[call.n_inputs] == nullptr) break;
    }
    if (call.n_inputs == n) {
        PyObject* result = call_forward(&call, room);
        if (result != nullptr)
            out = PyTuple_CheckExact(result) ? wrap_many(&call, result) : wrap_one(&call, result);
        else if (PyErr_ExceptionMatches(PyExc_ValueError))
            explain(&call);
    }
    for (Py_ssize_t i = 0; i < call.n_inputs; i++) Py_DECREF(call.arrays[i]);
    if (values != stack) PyMem_Free(values);
    return out;
}

// ------------------------------------------------------------------ the type
PyObject* primitive_new(PyTypeObject* type, PyObject*, PyObject*) {
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) reinterpret_cast<Primitive*>(self)->vectorcall = primitive_call;
    return self;
}

int primitive_traverse(PyObject* self, visitproc visit, void* arg) {
    Primitive* op = reinterpret_cast<Primitive*>(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(op->forward);
    Py_VISIT(op->defaults);
    Py_VISIT(op->node_type);
    for (int r = 0; op->plan != nullptr && r < op->plan->n_rules; r++)
        Py_VISIT(op->plan->rules[r].function);
    return 0;
}
int primitive_clear(PyObject* self) {
    Primitive* op = reinterpret_cast<Primitive*>(self);
    Py_CLEAR(op->forward);
    Py_CLEAR(op->kernel);
    Py_CLEAR(op->keywords);
    Py_CLEAR(op->defaults);
    Py_CLEAR(op->node_type);
    Py_CLEAR(op->kinds);
    return 0;
}
void primitive_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    primitive_clear(self);
    free_plan(reinterpret_cast<Primitive*>(self)->plan);
    type->tp_free(self);
    Py_DECREF(type);
}

// Before Python 3.12 a class made in Python did not inherit the fast calling convention.
PyObject* init_subclass(PyObject* cls, PyObject*) {
#if PY_VERSION_HEX < 0x030C0000
    reinterpret_cast<PyTypeObject*>(cls)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
#else
    (void)cls;
#endif
    Py_RETURN_NONE;
}

// The plan is made at the first recorded call. Nodes recorded by it would misread what they kept by
// another one, so no rule may be added later.
PyObject* check_unused(PyObject* self, PyObject*) {
    if (reinterpret_cast<Primitive*>(self)->plan != nullptr) {
        PyErr_SetString(PyExc_RuntimeError,
                        "[derivative] this primitive has already been recorded; declare all its "
                        "derivative rules before its first use");
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyMethodDef primitive_methods[] = {
    {"__init_subclass__", init_subclass, METH_NOARGS | METH_CLASS, nullptr},
    method("into", primitive_into, "(out, operation, inputs, attrs): see primitive.py."),
    {"_check_unused", check_unused, METH_NOARGS, "RuntimeError if a call was recorded already."},
    {nullptr, nullptr, 0, nullptr},
};
PyMemberDef primitive_members[] = {
    {"forward", T_OBJECT_EX, offsetof(Primitive, forward), 0, nullptr},
    {"kernel", T_OBJECT, offsetof(Primitive, kernel), 0, nullptr},
    {"keywords", T_OBJECT_EX, offsetof(Primitive, keywords), 0, nullptr},
    {"defaults", T_OBJECT_EX, offsetof(Primitive, defaults), 0, nullptr},
    {"node_type", T_OBJECT_EX, offsetof(Primitive, node_type), 0, nullptr},
    {"n_inputs", T_PYSSIZET, offsetof(Primitive, n_inputs), 0, nullptr},
    {"kinds", T_OBJECT_EX, offsetof(Primitive, kinds), 0, nullptr},
    {"view", T_BOOL, offsetof(Primitive, view), 0, nullptr},
    {"broadcast", T_BOOL, offsetof(Primitive, broadcast), 0, nullptr},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Primitive, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot primitive_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(primitive_new)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_dealloc, reinterpret_cast<void*>(primitive_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(primitive_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(primitive_clear)},
    {Py_tp_methods, primitive_methods},
    {Py_tp_members, primitive_members},
    {Py_tp_doc, const_cast<char*>("The call of a primitive.")},
    {0, nullptr},
};
PyType_Spec primitive_spec = {"rushlight.backends._tape.PrimitiveCall", sizeof(Primitive), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
                                  Py_TPFLAGS_HAVE_VECTORCALL,
                              primitive_slots};

}  // namespace

bool add_primitive_types(PyObject* module) {
    primitive_type = add_type(module, &primitive_spec);
    return primitive_type != nullptr;
}

}  // namespace tape
}  // namespace rl
