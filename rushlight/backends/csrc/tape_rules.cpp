// The derivative rules of a recorded primitive at work (PrimitiveNode.apply in recorded.py): what the
// node kept is checked against in-place changes and handed to the rules, their gradients are collected.
#include "tape.h"

namespace rl {
namespace tape {

namespace {

bool stale(Node* node, PyObject* array, PyObject* storage, Py_ssize_t version, PyObject* role) {
    PyObject* number = PyLong_FromSsize_t(version);
    PyObject* none = nullptr;
    if (number != nullptr && role != nullptr)
        none = PyObject_CallFunctionObjArgs(callbacks.raise_stale,
                                            reinterpret_cast<PyObject*>(node), array, storage,
                                            number, role, nullptr);
    Py_XDECREF(number);
    Py_XDECREF(role);
    Py_XDECREF(none);  // raise_stale always raises
    return false;
}

bool check_version(Node* node, PyObject* object, Py_ssize_t version) {
    Tensor* tensor = as_tensor(object);
    if (version_of(tensor) == version) return true;
    return stale(node, tensor->array, tensor->storage, version,
                 PyUnicode_FromString("an input of"));
}

}  // namespace

// One kept value as a rule sees it: a new reference, or null with an error.
PyObject* unpack(Node* node, const Kept& kept) {
    if (kept.version == kTensorList) {  // [(tensor, version), ...]
        PyObject* list = PyList_New(PyList_GET_SIZE(kept.value));
        for (Py_ssize_t i = 0; list != nullptr && i < PyList_GET_SIZE(kept.value); i++) {
            PyObject* pair = PyList_GET_ITEM(kept.value, i);
            PyObject* item = PyTuple_GET_ITEM(pair, 0);
            const Py_ssize_t version = PyLong_AsSsize_t(PyTuple_GET_ITEM(pair, 1));
            if (version != kPlain && !check_version(node, item, version)) {
                Py_CLEAR(list);
                break;
            }
            Py_INCREF(item);
            PyList_SET_ITEM(list, i, item);
        }
        return list;
    }
    if (kept.version != kPlain && !check_version(node, kept.value, kept.version)) return nullptr;
    PyObject* value = kept.value != nullptr ? kept.value : Py_None;
    Py_INCREF(value);
    return value;
}

// A kept output as a tensor with this node as its history.
PyObject* unpack_result(Node* node, int number) {
    KeptResult& kept = node->results[number];
    if (kept.array == nullptr) Py_RETURN_NONE;
    if (reinterpret_cast<Storage*>(kept.storage)->version != kept.version) {
        stale(node, kept.array, kept.storage, kept.version,
              PyUnicode_FromFormat("output %d of", number));
        return nullptr;
    }
    Py_INCREF(kept.array);
    PyObject* object = wrap(kept.array);
    if (object == nullptr) return nullptr;
    Tensor* tensor = as_tensor(object);
    Py_INCREF(kept.storage);
    tensor->storage = kept.storage;
    if ((plan_of(node)->nondifferentiable >> number & 1) == 0) {
        Py_INCREF(node);
        tensor->grad_fn = reinterpret_cast<PyObject*>(node);
        tensor->requires_grad = 1;
        tensor->output_nr = number;
    }
    return object;
}

PyObject* spare_memory(PyObject* grad) {
    Tensor* tensor = as_tensor(grad);
    PyObject* array = tensor->array;
    if (switches.enabled || present(tensor->grad_fn) != nullptr || Py_REFCNT(grad) != 1 ||
        Py_REFCNT(array) != 1 || !PyArray_CheckExact(array))
        return nullptr;
    PyArrayObject* memory = reinterpret_cast<PyArrayObject*>(array);
    const bool own = PyArray_CHKFLAGS(memory, NPY_ARRAY_OWNDATA) &&
                     PyArray_BASE(memory) == nullptr && PyArray_ISWRITEABLE(memory);
    return own ? array : nullptr;
}

namespace {

// The arguments of the rules in one call of apply: kept outputs are unpacked once.
class Arguments {
  public:
    Arguments(Node* node, PyObject* const* grads, Py_ssize_t n_grads)
        : node_(node), grads_(grads), n_grads_(n_grads), plan_(plan_of(node)) {}
    ~Arguments() {
        Py_XDECREF(grad_list_);
        Py_XDECREF(results_);
    }

    // Calls the rule; a new reference. `needs` is a tuple of bools, or null.
    PyObject* call(const RulePlan& rule, PyObject* needs) {
        PyObject* values[kMostArguments + 1];
        int count = 0;
        spare_ = spare_array();
        PyObject* returned = nullptr;
        for (; count < rule.n_arguments; count++) {
            values[count + 1] = get(rule.arguments[count], needs);
            if (values[count + 1] == nullptr) break;
        }
        if (count == rule.n_arguments) {
            for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(rule.constants); i++)
                values[++count] = Py_NewRef(PyTuple_GET_ITEM(rule.constants, i));
            const int named = rule.keywords == nullptr ? 0 : int(PyTuple_GET_SIZE(rule.keywords));
            returned = PyObject_Vectorcall(rule.function, values + 1,
                                           size_t(count - named) | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                           rule.keywords);
        }
        for (int i = 1; i <= count; i++) Py_DECREF(values[i]);
        return returned;
    }

  private:
    PyObject* get(const Argument& argument, PyObject* needs) {
        PyObject* value = nullptr;
        switch (argument.source) {
            case kGrad: value = grad(0); break;
            case kOneGrad: value = grad(argument.index); break;
            case kGrads: value = grad_list(); break;
            case kResults: value = results(); break;
            case kResult: value = result(0); break;
            case kOneResult: value = result(argument.index); break;
            case kNeeds: value = needs; break;
            case kSpare: value = spare_ != nullptr ? spare_ : Py_None; break;
            case kAttribute: value = PyTuple_GET_ITEM(node_->attrs, argument.index); break;
            case kKept:
                if (argument.index < node_->n_kept)
                    return unpack(node_, node_->kept[argument.index]);
                freed();
        }
        Py_XINCREF(value);
        return value;
    }

    // The memory of the gradient if nobody will look at it after this rule: no hook of the node and
    // no other rule either.
    PyObject* spare_array() {
        const bool last = plan_->n_rules == 1 && n_grads_ == 1 && grads_[0] != nullptr &&
                          present(node_->post_hooks) == nullptr;
        return last ? spare_memory(grads_[0]) : nullptr;
    }

    // Another thread's pass may release the node between two rules.
    void freed() { PyErr_SetObject(PyExc_RuntimeError, callbacks.freed_message); }

    PyObject* result(int number) {
        PyObject* all = results();
        if (all == nullptr) return nullptr;
        if (number < PyTuple_GET_SIZE(all)) return PyTuple_GET_ITEM(all, number);
        freed();
        return nullptr;
    }

    PyObject* grad(int number) {
        return number < n_grads_ && grads_[number] != nullptr ? grads_[number] : Py_None;
    }

    PyObject* grad_list() {
        if (grad_list_ != nullptr) return grad_list_;
        grad_list_ = PyList_New(n_grads_);
        for (Py_ssize_t i = 0; grad_list_ != nullptr && i < n_grads_; i++) {
            PyObject* grad = grads_[i] != nullptr ? grads_[i] : Py_None;
            Py_INCREF(grad);
            PyList_SET_ITEM(grad_list_, i, grad);
        }
        return grad_list_;
    }

    PyObject* results() {
        if (results_ != nullptr) return results_;
        results_ = PyTuple_New(node_->n_results);
        for (int i = 0; results_ != nullptr && i < node_->n_results; i++) {
            PyObject* result = unpack_result(node_, i);
            if (result == nullptr)
                Py_CLEAR(results_);
            else
                PyTuple_SET_ITEM(results_, i, result);
        }
        return results_;
    }

    Node* node_;
    PyObject* const* grads_;
    Py_ssize_t n_grads_;
    Plan* plan_;
    PyObject *grad_list_ = nullptr, *results_ = nullptr;
    PyObject* spare_ = nullptr;  // borrowed
};

inline bool has_edge(PyObject* edges, int position) {
    return position < PyTuple_GET_SIZE(edges) && PyTuple_GET_ITEM(edges, position) != Py_None;
}

// Which of the positions (all edges when null) want a gradient, as a tuple of bools.
PyObject* needs_of(PyObject* edges, const int* positions, Py_ssize_t count, bool* any) {
    PyObject* needs = PyTuple_New(count);
    *any = false;
    for (Py_ssize_t i = 0; needs != nullptr && i < count; i++) {
        const bool needed = has_edge(edges, positions != nullptr ? positions[i] : int(i));
        *any |= needed;
        PyTuple_SET_ITEM(needs, i, PyBool_FromLong(needed));
    }
    return needs;
}

// Spreads what a joint rule returned; None counts as no gradient. Steals `returned`.
bool spread(PyObject* returned, PyObject* needs, const int* positions, PyObject** out) {
    if (returned == nullptr) return false;
    PyObject* items = PySequence_Fast(returned, "a joint derivative rule returns a sequence");
    Py_DECREF(returned);
    if (items == nullptr) return false;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    if (count > PyTuple_GET_SIZE(needs)) count = PyTuple_GET_SIZE(needs);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject* grad = PySequence_Fast_GET_ITEM(items, i);
        if (PyTuple_GET_ITEM(needs, i) != Py_True || grad == Py_None) continue;
        Py_INCREF(grad);
        out[positions != nullptr ? positions[i] : int(i)] = grad;
    }
    Py_DECREF(items);
    return true;
}

// Undoes type promotion for one gradient. Steals `grad`.
PyObject* to_dtype(PyObject* grad, PyObject* from, PyObject* to) {
    PyObject* from_kind = PyObject_GetAttr(from, names.kind);
    PyObject* to_kind = PyObject_GetAttr(to, names.kind);
    if (from_kind != nullptr && to_kind != nullptr &&
        PyUnicode_CompareWithASCIIString(from_kind, "c") == 0 &&
        PyUnicode_CompareWithASCIIString(to_kind, "c") != 0)
        Py_SETREF(grad, PyObject_GetAttr(grad, names.real));
    Py_XDECREF(from_kind);
    Py_XDECREF(to_kind);
    if (grad != nullptr && !PyErr_Occurred())
        Py_SETREF(grad, PyObject_CallMethodObjArgs(grad, names.to_array_dtype, to, nullptr));
    return grad;
}

// Gradients take their inputs' shape and dtype; `meta` is (shape, dtype) or None per input.
bool match_inputs(Node* node, PyObject** out) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(node->input_meta); i++) {
        PyObject* meta = PyTuple_GET_ITEM(node->input_meta, i);
        if (out[i] == nullptr || meta == Py_None) continue;
        PyObject *shape = PyTuple_GET_ITEM(meta, 0), *dtype = PyTuple_GET_ITEM(meta, 1);
        PyObject* array = as_tensor(out[i])->array;
        PyObject* has_shape = PyObject_GetAttr(array, names.shape);
        PyObject* has_dtype = PyObject_GetAttr(array, names.dtype);
        int same_shape = -1, same_dtype = -1;
        if (has_shape != nullptr && has_dtype != nullptr) {
            same_shape = PyObject_RichCompareBool(has_shape, shape, Py_EQ);
            same_dtype = PyObject_RichCompareBool(has_dtype, dtype, Py_EQ);
        }
        if (same_shape == 0)
            Py_SETREF(out[i], PyObject_CallMethodObjArgs(out[i], names.sum_to_size, shape, nullptr));
        if (same_dtype == 0 && out[i] != nullptr) out[i] = to_dtype(out[i], has_dtype, dtype);
        Py_XDECREF(has_shape);
        Py_XDECREF(has_dtype);
        if (out[i] == nullptr || PyErr_Occurred()) return false;
    }
    return true;
}

bool run_rules(Node* node, PyObject* edges, Arguments& arguments, PyObject** out) {
    const Plan* plan = plan_of(node);
    bool any;
    if (plan->is_variadic) {
        PyObject* needs = needs_of(edges, nullptr, PyTuple_GET_SIZE(edges), &any);
        const bool ok =
            needs != nullptr && spread(arguments.call(plan->rules[0], needs), needs, nullptr, out);
        Py_XDECREF(needs);
        return ok;
    }
    for (int r = 0; r < plan->n_rules; r++) {
        const RulePlan& rule = plan->rules[r];
        if (!rule.is_joint) {
            if (!has_edge(edges, rule.positions[0])) continue;
            PyObject* grad = arguments.call(rule, nullptr);
            if (grad == nullptr) return false;
            if (grad == Py_None)
                Py_DECREF(grad);
            else
                out[rule.positions[0]] = grad;
            continue;
        }
        PyObject* needs = needs_of(edges, rule.positions, rule.n_positions, &any);
        const bool ok = needs != nullptr && (!any || spread(arguments.call(rule, needs), needs,
                                                            rule.positions, out));
        Py_XDECREF(needs);
        if (!ok) return false;
    }
    return node->input_meta == nullptr || match_inputs(node, out);
}

}  // namespace

bool apply_rules(Node* node, PyObject* edges, PyObject* const* grads, Py_ssize_t n_grads,
                 PyObject** out) {
    if (node->released) {
        PyErr_SetObject(PyExc_RuntimeError, callbacks.freed_message);
        return false;
    }
    const Py_ssize_t count = PyTuple_GET_SIZE(edges);
    for (Py_ssize_t i = 0; i < count; i++) out[i] = nullptr;
    Arguments arguments(node, grads, n_grads);
    if (run_rules(node, edges, arguments, out)) return true;
    for (Py_ssize_t i = 0; i < count; i++) Py_CLEAR(out[i]);
    return false;
}

}  // namespace tape
}  // namespace rl
