// Recording: the node of a primitive's call, its edges to the inputs, and what the derivative rules
// want kept (PrimitiveCall._record in rushlight/autograd/primitive.py).
#include "tape.h"

#include <initializer_list>

namespace rl {
namespace tape {

namespace {

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

}  // namespace

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

}  // namespace tape
}  // namespace rl
