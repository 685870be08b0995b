// PrimitiveCall: the one choke point of all operations. Takes the arrays out of the arguments, calls
// the forward, wraps what it returns, and records a node if an input wants a gradient
// (Primitive.__call__ in rushlight/autograd/primitive.py).
#include "tape.h"

#include <initializer_list>

namespace rl {
namespace tape {

PyTypeObject* primitive_type;

namespace {

constexpr int kMostInputs = 16;  // on the stack; more are kept on the heap

// ------------------------------------------------------------------ one call
// What passes between the steps of a call. `arrays` are owned: another thread may replace a tensor's
// array while a kernel runs without the GIL.
struct Call {
    Primitive* op;
    PyObject* const* inputs;
    PyObject** arrays;
    Py_ssize_t n_inputs;
    PyObject* kwnames;
    PyObject* const* kwvalues;
    bool wants_gradient;
};

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

// ------------------------------------------------------------------ recording
PyObject* edges_of(Call* call) {
    PyObject* edges = PyTuple_New(call->n_inputs);
    for (Py_ssize_t i = 0; edges != nullptr && i < call->n_inputs; i++) {
        PyObject* edge = Py_None;
        if (is_tensor(call->inputs[i]))
            edge = edge_of(call->inputs[i]);
        else
            Py_INCREF(edge);
        if (edge == nullptr)
            Py_CLEAR(edges);
        else
            PyTuple_SET_ITEM(edges, i, edge);
    }
    return edges;
}

PyObject* described(PyObject* array, PyObject* property) {
    if (property == names.shape) return shape_of(array);
    if (PyObject_HasAttr(array, property)) return PyObject_GetAttr(array, property);
    Py_RETURN_NONE;
}

// A tensor of inference mode, whose changes are not counted, may not be kept.
bool may_keep(Tensor* tensor) {
    if (tensor->is_inference) PyErr_SetObject(PyExc_RuntimeError, callbacks.inference_kept_message);
    return !tensor->is_inference;
}

// An entry of what the rules want kept, of the one input or of all (variadic) inputs.
bool keep(Call* call, const KeptPlan& plan, bool is_variadic, Kept* kept) {
    if (!is_variadic) {
        if (plan.input >= call->n_inputs) return true;
        PyObject* input = call->inputs[plan.input];
        kept->version = kPlain;
        if (plan.property != nullptr) {
            kept->value = described(call->arrays[plan.input], plan.property);
            return kept->value != nullptr;
        }
        if (is_tensor(input)) {
            if (!may_keep(as_tensor(input))) return false;
            kept->version = version_of(as_tensor(input));
        }
        Py_INCREF(input);
        kept->value = input;
        return true;
    }
    kept->version = plan.property == nullptr ? kTensorList : kPlain;
    kept->value = PyList_New(call->n_inputs);
    for (Py_ssize_t i = 0; kept->value != nullptr && i < call->n_inputs; i++) {
        PyObject *input = call->inputs[i], *entry;
        if (plan.property == nullptr && is_tensor(input) && !may_keep(as_tensor(input)))
            entry = nullptr;
        else if (plan.property == nullptr)
            entry = Py_BuildValue("(On)", input,
                                  is_tensor(input) ? version_of(as_tensor(input)) : kPlain);
        else
            entry = described(call->arrays[i], plan.property);
        if (entry == nullptr)
            Py_CLEAR(kept->value);
        else
            PyList_SET_ITEM(kept->value, i, entry);
    }
    return kept->value != nullptr;
}

bool keep_inputs(Call* call, Plan* plan, Node* node) {
    if (plan->n_kept == 0) return true;
    if (!reserve_kept(node, plan->n_kept)) return false;
    for (int i = 0; i < node->n_kept; i++) node->kept[i].version = kPlain;
    for (int r = 0; r < plan->n_rules; r++) {
        const RulePlan& rule = plan->rules[r];
        bool needed = plan->is_variadic;
        for (int i = 0; !needed && i < rule.n_positions; i++)
            needed = rule.positions[i] < call->n_inputs &&
                     PyTuple_GET_ITEM(node->edges, rule.positions[i]) != Py_None;
        for (int i = 0; needed && i < rule.n_kept; i++) {
            const int k = rule.kept[i];
            if (node->kept[k].value != nullptr) continue;
            if (!keep(call, plan->kept[k], plan->is_variadic, &node->kept[k])) return false;
        }
    }
    return true;
}

// The attributes in the order of the plan: those given, else their defaults.
bool keep_attributes(Call* call, Plan* plan, Node* node) {
    if (plan->n_attributes == 0) return true;
    node->attrs = PyTuple_New(plan->n_attributes);
    if (node->attrs == nullptr) return false;
    const Py_ssize_t given = call->kwnames == nullptr ? 0 : PyTuple_GET_SIZE(call->kwnames);
    for (Py_ssize_t i = 0; i < given; i++) {
        const int k = index_in(plan->attributes, PyTuple_GET_ITEM(call->kwnames, i));
        if (k < 0 || PyTuple_GET_ITEM(node->attrs, k) != nullptr) continue;
        Py_INCREF(call->kwvalues[i]);
        PyTuple_SET_ITEM(node->attrs, k, call->kwvalues[i]);
    }
    for (int k = 0; k < plan->n_attributes; k++) {
        if (PyTuple_GET_ITEM(node->attrs, k) != nullptr) continue;
        PyObject* value = PyTuple_GET_ITEM(plan->defaults, k);
        if (value == nullptr) value = Py_None;
        Py_INCREF(value);
        PyTuple_SET_ITEM(node->attrs, k, value);
    }
    return true;
}

// The outputs without gradient, and the first if a rule asks for it.
bool keep_results(Plan* plan, Node* node, PyObject* const* outs, int n_outs) {
    if (!reserve_results(node, n_outs)) return false;
    for (int i = 0; i < n_outs; i++) {
        const bool wanted = (plan->nondifferentiable >> i & 1) || (i == 0 && plan->keeps_first);
        if (outs[i] == Py_None || !wanted) continue;
        Tensor* out = as_tensor(outs[i]);
        Storage* storage = storage_of(out);
        if (storage == nullptr) return false;
        Py_INCREF(out->array);
        Py_INCREF(storage);
        node->results[i] = {out->array, reinterpret_cast<PyObject*>(storage), storage->version};
    }
    return true;
}

// 1 if shape and dtype are those of `out`, 0 if not, -1 for an error.
int looks_like(PyObject* array, PyObject* out) {
    if (PyArray_CheckExact(array) && PyArray_CheckExact(out)) {
        PyArrayObject* a = reinterpret_cast<PyArrayObject*>(array);
        PyArrayObject* b = reinterpret_cast<PyArrayObject*>(out);
        if (!same_shape(a, b)) return 0;
        if (PyArray_DESCR(a) == PyArray_DESCR(b)) return 1;
    }
    for (PyObject* name : {names.shape, names.dtype}) {
        PyObject* left = PyObject_GetAttr(array, name);
        PyObject* right = left == nullptr ? nullptr : PyObject_GetAttr(out, name);
        const int same = right == nullptr ? -1 : PyObject_RichCompareBool(left, right, Py_EQ);
        Py_XDECREF(left);
        Py_XDECREF(right);
        if (same != 1) return same;
    }
    return 1;
}

// Where an input was broadcast or promoted, the node must know the inputs' shapes and dtypes.
bool keep_input_meta(Call* call, Node* node, PyObject* out_array) {
    bool differs = false;
    for (Py_ssize_t i = 0; i < call->n_inputs && !differs; i++) {
        if (PyTuple_GET_ITEM(node->edges, i) == Py_None) continue;
        const int same = looks_like(call->arrays[i], out_array);
        if (same < 0) return false;
        differs = same == 0;
    }
    if (!differs) return true;
    node->input_meta = PyTuple_New(call->n_inputs);
    for (Py_ssize_t i = 0; node->input_meta != nullptr && i < call->n_inputs; i++) {
        PyObject* meta = Py_None;
        if (PyTuple_GET_ITEM(node->edges, i) == Py_None) {
            Py_INCREF(meta);
        } else {
            PyObject* dtype = PyObject_GetAttr(call->arrays[i], names.dtype);
            PyObject* shape = shape_of(call->arrays[i]);
            meta = dtype != nullptr && shape != nullptr ? PyTuple_Pack(2, shape, dtype) : nullptr;
            Py_XDECREF(dtype);
            Py_XDECREF(shape);
        }
        if (meta == nullptr)
            Py_CLEAR(node->input_meta);
        else
            PyTuple_SET_ITEM(node->input_meta, i, meta);
    }
    return node->input_meta != nullptr;
}

// Makes the node that leads from `outs` back to the inputs.
bool record(Call* call, PyObject* const* outs, int n_outs) {
    Primitive* op = call->op;
    if (op->plan == nullptr) op->plan = make_plan(reinterpret_cast<PyObject*>(op));
    Plan* plan = op->plan;
    if (plan == nullptr) return false;
    if (plan->n_rules == 0) return true;  // comparisons and the like: outside the graph
    if (present(op->node_type) == nullptr) {  // sets it
        PyObject* made = PyObject_CallMethod(reinterpret_cast<PyObject*>(op), "make_node_type", nullptr);
        Py_XDECREF(made);
        if (made == nullptr) return false;
    }
    PyTypeObject* type = reinterpret_cast<PyTypeObject*>(op->node_type);
    PyObject* object = type->tp_alloc(type, 0);
    if (object == nullptr) return false;
    Node* node = as_node(object);
    Py_INCREF(op);
    node->op = reinterpret_cast<PyObject*>(op);
    node->num_outputs = n_outs;
    node->sequence_nr = next_sequence_nr();
    node->edges = edges_of(call);
    bool ok = node->edges != nullptr && keep_inputs(call, plan, node) &&
              keep_attributes(call, plan, node);
    if (ok && plan->keeps_result) ok = keep_results(plan, node, outs, n_outs);
    if (ok && op->broadcast) ok = keep_input_meta(call, node, as_tensor(outs[0])->array);
    if (ok && switches.anomaly) {
        node->anomaly = PyObject_CallNoArgs(callbacks.anomaly_trace);
        ok = node->anomaly != nullptr;
    }
    for (int i = 0; ok && i < n_outs; i++) {
        if (outs[i] == Py_None || (plan->nondifferentiable >> i & 1)) continue;
        Tensor* out = as_tensor(outs[i]);
        Py_INCREF(object);
        Py_XSETREF(out->grad_fn, object);
        out->requires_grad = 1;
        out->output_nr = i;
    }
    Py_DECREF(object);
    return ok;
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

PyObject* primitive_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
    const Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    const Py_ssize_t n_keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
    Primitive* op = reinterpret_cast<Primitive*>(self);
    // One place in front for PY_VECTORCALL_ARGUMENTS_OFFSET, the keyword values behind the inputs.
    PyObject* stack[kMostInputs + 1];
    PyObject** values = stack;
    if (n + n_keywords > kMostInputs) {
        values = PyMem_New(PyObject*, size_t(n + n_keywords) + 1);
        if (values == nullptr) return PyErr_NoMemory();
    }
    Call call = {op, args, values + 1, 0, kwnames, args + n, false};
    PyObject* out = nullptr;
    for (; call.n_inputs < n; call.n_inputs++) {
        call.arrays[call.n_inputs] = array_of(&call, args[call.n_inputs]);
        if (call.arrays[call.n_inputs] == nullptr) break;
    }
    if (call.n_inputs == n) {
        for (Py_ssize_t i = 0; i < n_keywords; i++) call.arrays[n + i] = args[n + i];
        PyObject* result = PyObject_Vectorcall(
            op->forward, call.arrays, size_t(n) | PY_VECTORCALL_ARGUMENTS_OFFSET, kwnames);
        if (result != nullptr)
            out = PyTuple_CheckExact(result) ? wrap_many(&call, result) : wrap_one(&call, result);
        else if (PyErr_ExceptionMatches(PyExc_ValueError))
            explain(&call);
    }
    for (Py_ssize_t i = 0; i < call.n_inputs; i++) Py_DECREF(call.arrays[i]);
    if (values != stack) PyMem_Free(values);
    return out;
}

// ------------------------------------------------------------------ into a tensor
// The names of `attrs` and "out" behind them, as a call's kwnames.
PyObject* names_and_out(PyObject* attrs) {
    PyObject* kwnames = PyTuple_New(PyDict_GET_SIZE(attrs) + 1);
    Py_ssize_t place = 0, i = 0;
    PyObject* name;
    while (kwnames != nullptr && PyDict_Next(attrs, &place, &name, nullptr))
        PyTuple_SET_ITEM(kwnames, i++, Py_NewRef(name));
    if (kwnames != nullptr) PyTuple_SET_ITEM(kwnames, i, Py_NewRef(names.out));
    return kwnames;
}

// into(out, operation, inputs, attrs)
PyObject* primitive_into(PyObject* self, PyObject* const* args, Py_ssize_t n) {
    if (n != 4 || !is_tensor(args[0]) || !PyTuple_Check(args[2]) || !PyDict_Check(args[3]) ||
        PyTuple_GET_SIZE(args[2]) + PyDict_GET_SIZE(args[3]) > kMostInputs) {
        PyErr_SetString(PyExc_TypeError, "into(out, operation, inputs, attrs)");
        return nullptr;
    }
    Tensor* out = as_tensor(args[0]);
    const Py_ssize_t n_inputs = PyTuple_GET_SIZE(args[2]);
    PyObject* values[kMostInputs + 1];
    Py_ssize_t count = 0;
    for (; count < n_inputs; count++) {
        PyObject* input = PyTuple_GET_ITEM(args[2], count);
        values[count] = Py_NewRef(is_tensor(input) ? as_tensor(input)->array : input);
    }
    PyObject *value, *kwnames = names_and_out(args[3]);
    for (Py_ssize_t place = 0; PyDict_Next(args[3], &place, nullptr, &value);)
        values[count++] = Py_NewRef(value);
    values[count++] = Py_NewRef(out->array);
    PyObject* result =
        kwnames == nullptr ? nullptr
                           : PyObject_Vectorcall(reinterpret_cast<Primitive*>(self)->forward,
                                                 values, size_t(n_inputs), kwnames);
    for (Py_ssize_t i = 0; i < count; i++) Py_DECREF(values[i]);
    Py_XDECREF(kwnames);
    Py_XDECREF(result);
    if (result == nullptr || !bump_version(out, args[1])) return nullptr;
    return Py_NewRef(args[0]);
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
    Py_VISIT(op->node_type);
    for (int r = 0; op->plan != nullptr && r < op->plan->n_rules; r++)
        Py_VISIT(op->plan->rules[r].function);
    return 0;
}
int primitive_clear(PyObject* self) {
    Primitive* op = reinterpret_cast<Primitive*>(self);
    Py_CLEAR(op->forward);
    Py_CLEAR(op->node_type);
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
    {"node_type", T_OBJECT_EX, offsetof(Primitive, node_type), 0, nullptr},
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
