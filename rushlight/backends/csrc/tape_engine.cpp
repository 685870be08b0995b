// One backward pass through the whole graph (rushlight/autograd/engine.py tells the story; passes
// that are restricted to some inputs, and those of anomaly mode, run there).
//
// Every target, node or leaf, has an entry with the number of contributions still to come and the
// gradients that have come. A first walk counts; then the nodes whose last contribution has come run,
// those recorded last first, taken from a heap. Python code runs in between (derivative rules, hooks,
// destructors), so no reference into the table is held across a call.
#include "tape.h"

#include <algorithm>
#include <vector>

namespace rl {
namespace tape {

namespace {

constexpr Py_ssize_t kMostEdges = 16;  // on the stack; more are kept on the heap

struct Target {
    PyObject* object;
    bool node;
    Py_ssize_t waiting;
    Py_ssize_t n_outputs;
    PyObject** many;  // with several outputs
    PyObject* one;
    bool reached;  // a gradient has come

    PyObject** slots() { return many != nullptr ? many : &one; }
};

// Entries by address: open addressing over indices into a list that keeps the order of discovery.
class TargetTable {
  public:
    ~TargetTable() {
        for (Target& target : targets_) {
            for (Py_ssize_t i = 0; i < target.n_outputs; i++) Py_XDECREF(target.slots()[i]);
            PyMem_Free(target.many);
            Py_DECREF(target.object);
        }
    }

    Target& operator[](size_t index) { return targets_[index]; }
    size_t size() const { return targets_.size(); }

    // The entry's index, or -1 when out of memory. `added` says whether it is new.
    Py_ssize_t find(PyObject* object, bool* added = nullptr) {
        if (targets_.size() * 2 >= places_.size()) grow();
        size_t place = start_of(object);
        for (; places_[place] >= 0; place = (place + 1) & (places_.size() - 1))
            if (targets_[size_t(places_[place])].object == object) return places_[place];
        Target target = {object, is_node(object), 0, 1, nullptr, nullptr, false};
        if (target.node) target.n_outputs = as_node(object)->num_outputs;
        if (target.n_outputs > 1) {
            target.many = static_cast<PyObject**>(
                PyMem_Calloc(size_t(target.n_outputs), sizeof(PyObject*)));
            if (target.many == nullptr) {
                PyErr_NoMemory();
                return -1;
            }
        }
        Py_INCREF(object);
        places_[place] = Py_ssize_t(targets_.size());
        targets_.push_back(target);
        if (added != nullptr) *added = true;
        return places_[place];
    }

  private:
    size_t start_of(PyObject* object) const {
        const size_t address = reinterpret_cast<size_t>(object) >> 4;
        return (address * 0x9E3779B97F4A7C15ull >> 20) & (places_.size() - 1);
    }
    void grow() {
        places_.assign(places_.empty() ? 64 : places_.size() * 2, -1);
        for (size_t i = 0; i < targets_.size(); i++) {
            size_t place = start_of(targets_[i].object);
            while (places_[place] >= 0) place = (place + 1) & (places_.size() - 1);
            places_[place] = Py_ssize_t(i);
        }
    }

    std::vector<Target> targets_;
    std::vector<Py_ssize_t> places_;
};

PyObject* list_of(PyObject* const* values, Py_ssize_t count) {
    PyObject* list = PyList_New(count);
    for (Py_ssize_t i = 0; list != nullptr && i < count; i++) {
        PyObject* value = values[i] != nullptr ? values[i] : Py_None;
        Py_INCREF(value);
        PyList_SET_ITEM(list, i, value);
    }
    return list;
}

// Takes the items of a sequence as `count` new references, None as null. Steals `items`.
bool take_items(PyObject* items, PyObject** out, Py_ssize_t count, PyObject* node) {
    PyObject* fast = items == nullptr
                         ? nullptr
                         : PySequence_Fast(items, "a node returns a sequence of gradients");
    Py_XDECREF(items);
    if (fast == nullptr) return false;
    const Py_ssize_t given = PySequence_Fast_GET_SIZE(fast);
    if (given < count) {
        PyErr_Format(PyExc_RuntimeError, "[backward] %s returned %zd gradients; expected %zd",
                     Py_TYPE(node)->tp_name, given, count);
        Py_DECREF(fast);
        return false;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject* item = PySequence_Fast_GET_ITEM(fast, i);
        Py_XINCREF(item == Py_None ? nullptr : item);
        out[i] = item == Py_None ? nullptr : item;
    }
    Py_DECREF(fast);
    return true;
}

bool call_for_nothing(PyObject* result) {
    Py_XDECREF(result);
    return result != nullptr;
}

// Whether `array` is `memory`, or a view of it that nobody else refers to.
bool shows_only(PyObject* array, PyObject* memory) {
    if (array == memory) return true;
    return PyArray_CheckExact(array) && Py_REFCNT(array) == 1 &&
           PyArray_BASE(reinterpret_cast<PyArrayObject*>(array)) == memory;
}

// The array that a leaf may keep as its gradient without a copy: that of `grad` if nobody else refers
// to it, or, where that is the transpose of a transpose, the array below, if nobody else refers to
// that one. Borrowed; null if there is none.
PyObject* exclusive_array(PyObject* grad) {
    Tensor* tensor = as_tensor(grad);
    if (Py_REFCNT(grad) != 1 || present(tensor->grad_fn) != nullptr) return nullptr;
    if (Py_REFCNT(tensor->array) != 1 || !PyArray_CheckExact(tensor->array)) return nullptr;
    PyArrayObject* array = reinterpret_cast<PyArrayObject*>(tensor->array);
    if (!PyArray_IS_C_CONTIGUOUS(array)) return nullptr;
    PyObject* below = PyArray_BASE(array);
    if (below == nullptr)
        return PyArray_CHKFLAGS(array, NPY_ARRAY_OWNDATA) ? tensor->array : nullptr;
    PyObject* base = present(tensor->base);
    if (base == nullptr || Py_REFCNT(base) != 1 || !shows_only(as_tensor(base)->array, below))
        return nullptr;
    PyArrayObject* owner = reinterpret_cast<PyArrayObject*>(below);
    const bool same = Py_REFCNT(below) == 2 && PyArray_CheckExact(below) &&
                      PyArray_CHKFLAGS(owner, NPY_ARRAY_OWNDATA) &&
                      PyArray_IS_C_CONTIGUOUS(owner) && same_shape(owner, array) &&
                      PyArray_DATA(owner) == PyArray_DATA(array) &&
                      PyArray_DESCR(owner) == PyArray_DESCR(array);
    return same ? below : nullptr;
}

// Whether an array that owns its memory lies in it as `like` does.
bool lies_like(PyObject* array, PyObject* like) {
    PyArrayObject* a = reinterpret_cast<PyArrayObject*>(array);
    PyArrayObject* b = reinterpret_cast<PyArrayObject*>(like);
    return same_shape(a, b) && PyArray_ITEMSIZE(a) == PyArray_ITEMSIZE(b) &&
           PyArray_CompareLists(PyArray_STRIDES(a), PyArray_STRIDES(b), PyArray_NDIM(a));
}

// A tensor outside the graph with the gradient's values, laid out as the leaf's.
PyObject* own_gradient(PyObject* grad, PyObject* leaf) {
    PyObject* like = as_tensor(leaf)->array;
    PyObject* array = as_tensor(grad)->array;
    const bool known = PyArray_Check(array) && PyArray_Check(like);
    const bool plain = known && PyArray_IS_C_CONTIGUOUS(reinterpret_cast<PyArrayObject*>(like));
    PyObject* own = plain ? exclusive_array(grad) : known ? spare_memory(grad) : nullptr;
    if (!plain && (own == nullptr || !lies_like(own, like)))
        return PyObject_CallFunctionObjArgs(callbacks.copy_gradient, grad, leaf, nullptr);
    if (own != nullptr) {
        Py_INCREF(own);
        return wrap(own);
    }
    PyObject* copy = PyArray_NewCopy(reinterpret_cast<PyArrayObject*>(array), NPY_CORDER);
    return copy == nullptr ? nullptr : wrap(copy);
}

// Whether `before` may become the sum: its memory is spare, and `grad` is of its kind.
bool can_become_sum(PyObject* before, PyObject* grad) {
    PyObject* memory = spare_memory(before);
    PyObject* other = as_tensor(grad)->array;
    if (memory == nullptr || other == nullptr || !PyArray_CheckExact(other)) return false;
    PyArrayObject* a = reinterpret_cast<PyArrayObject*>(memory);
    PyArrayObject* b = reinterpret_cast<PyArrayObject*>(other);
    return same_shape(a, b) && PyArray_DESCR(a) == PyArray_DESCR(b);
}

class Pass {
  public:
    Pass(bool keep_graph, bool create_graph) : keep_(keep_graph), create_(create_graph) {}

    // Sequences of equal length: the roots and their gradients.
    bool run(PyObject* roots, PyObject* grads) {
        std::vector<size_t> starts;
        if (!start(roots, grads, &starts) || !count(starts)) return false;
        for (size_t index : starts)
            if (table_[index].waiting == 0 && !arrived(index)) return false;
        while (!ready_.empty()) {
            std::pop_heap(ready_.begin(), ready_.end());
            const size_t index = ready_.back().index;
            ready_.pop_back();
            if (!run_node(index)) return false;
        }
        return true;
    }

  private:
    struct Ready {
        Py_ssize_t sequence_nr;
        size_t index;
        bool operator<(const Ready& other) const { return sequence_nr < other.sequence_nr; }
    };

    bool start(PyObject* roots, PyObject* grads, std::vector<size_t>* starts) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(roots); i++) {
            PyObject* root = PySequence_Fast_GET_ITEM(roots, i);
            PyObject* target = PyObject_GetAttr(root, names.grad_fn);
            if (target == nullptr) return false;
            if (target == Py_None) {
                Py_INCREF(root);
                Py_SETREF(target, root);
            }
            const Py_ssize_t index = table_.find(target);
            Py_DECREF(target);
            PyObject* grad = PySequence_Fast_GET_ITEM(grads, i);
            Py_INCREF(grad);
            if (index < 0 || !add(size_t(index), as_tensor(root)->output_nr, grad)) return false;
            if (std::find(starts->begin(), starts->end(), size_t(index)) == starts->end())
                starts->push_back(size_t(index));
        }
        return true;
    }

    // Counts, for every target behind the starts, the edges that lead to it.
    bool count(const std::vector<size_t>& starts) {
        std::vector<size_t> stack;
        for (size_t index : starts)
            if (table_[index].node) stack.push_back(index);
        while (!stack.empty()) {
            PyObject* edges = as_node(table_[stack.back()].object)->edges;
            stack.pop_back();
            for (Py_ssize_t i = 0; edges != nullptr && i < PyTuple_GET_SIZE(edges); i++) {
                PyObject* edge = PyTuple_GET_ITEM(edges, i);
                if (edge == Py_None) continue;
                bool added = false;
                const Py_ssize_t index = table_.find(PyTuple_GET_ITEM(edge, 0), &added);
                if (index < 0) return false;
                table_[size_t(index)].waiting++;
                if (added && table_[size_t(index)].node) stack.push_back(size_t(index));
            }
        }
        return true;
    }

    // Adds one contribution to the gradient of an output. Steals `grad`.
    bool add(size_t index, Py_ssize_t number, PyObject* grad) {
        Target& target = table_[index];
        target.reached = true;
        if (number >= target.n_outputs) {
            PyErr_SetString(PyExc_RuntimeError, "[backward] an edge leads to a missing output");
            Py_DECREF(grad);
            return false;
        }
        PyObject* before = target.slots()[number];
        if (before == nullptr) {
            target.slots()[number] = grad;
            return true;
        }
        target.slots()[number] = nullptr;
        PyObject* sum = can_become_sum(before, grad) ? PyObject_CallMethodOneArg(before, names.add_, grad)
                                                : PyNumber_Add(before, grad);
        Py_DECREF(before);
        Py_DECREF(grad);
        if (sum == nullptr) return false;
        table_[index].slots()[number] = sum;
        return true;
    }

    // All contributions have come.
    bool arrived(size_t index) {
        Target& target = table_[index];
        if (target.node) {
            ready_.push_back({as_node(target.object)->sequence_nr, index});
            std::push_heap(ready_.begin(), ready_.end());
            return true;
        }
        PyObject* grad = target.one;
        target.one = nullptr;
        return grad == nullptr || accumulate(target.object, grad);
    }

    // Adds the gradient to the leaf's; takes it as it is when nobody else holds it. Steals `grad`.
    bool accumulate(PyObject* leaf, PyObject* grad) {
        Tensor* tensor = as_tensor(leaf);
        PyObject* hooks = present(tensor->hooks);
        if (hooks != nullptr && PyObject_IsTrue(hooks) == 1) {
            PyObject* changed = PyObject_CallFunctionObjArgs(callbacks.run_tensor_hooks, hooks,
                                                             grad, nullptr);
            if (changed == nullptr) {
                Py_DECREF(grad);
                return false;
            }
            Py_SETREF(grad, changed);
        }
        const bool simple = !create_ && present(tensor->accumulate_hooks) == nullptr;
        if (simple && present(tensor->grad) == nullptr) {
            PyObject* own = own_gradient(grad, leaf);
            Py_DECREF(grad);
            if (own == nullptr) return false;
            Py_XSETREF(tensor->grad, own);
            return true;
        }
        const bool ok = call_for_nothing(
            simple ? PyObject_CallMethodOneArg(tensor->grad, names.add_, grad)
                   : PyObject_CallFunctionObjArgs(callbacks.accumulate_grad, leaf, grad,
                                                  create_ ? Py_True : Py_False, nullptr));
        Py_DECREF(grad);
        return ok;
    }

    bool run_node(size_t index) {
        PyObject* const object = table_[index].object;
        Node* const node = as_node(object);
        PyObject* edges = node->edges;
        if (edges == nullptr) return true;
        Py_INCREF(edges);
        const Py_ssize_t n_edges = PyTuple_GET_SIZE(edges);
        const Py_ssize_t n_grads = table_[index].n_outputs;
        PyObject* stack[kMostEdges];
        PyObject** values = stack;
        if (n_edges + n_grads > kMostEdges)
            values = PyMem_New(PyObject*, size_t(n_edges + n_grads));
        bool ok = values != nullptr;
        if (!ok) PyErr_NoMemory();
        if (ok) {
            PyObject** grads = values + n_edges;
            for (Py_ssize_t i = 0; i < n_grads; i++) {
                grads[i] = table_[index].slots()[i];
                table_[index].slots()[i] = nullptr;
            }
            for (Py_ssize_t i = 0; i < n_edges; i++) values[i] = nullptr;
            if (table_[index].reached) ok = apply(object, grads, n_grads, values, n_edges);
            for (Py_ssize_t i = 0; i < n_grads; i++) Py_XDECREF(grads[i]);
            ok = send(edges, values, ok);
        }
        if (values != stack) PyMem_Free(values);
        Py_DECREF(edges);
        return ok;
    }

    // Hands the gradients along the edges; without `ok` only frees them.
    bool send(PyObject* edges, PyObject** grads, bool ok) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(edges); i++) {
            PyObject* edge = PyTuple_GET_ITEM(edges, i);
            if (!ok || edge == Py_None) {
                Py_XDECREF(grads[i]);
                continue;
            }
            const Py_ssize_t index = table_.find(PyTuple_GET_ITEM(edge, 0));
            ok = index >= 0;
            if (!ok) {
                Py_XDECREF(grads[i]);
                continue;
            }
            if (grads[i] != nullptr)
                ok = add(size_t(index), PyLong_AsSsize_t(PyTuple_GET_ITEM(edge, 1)), grads[i]);
            if (ok && --table_[size_t(index)].waiting == 0) ok = arrived(size_t(index));
        }
        return ok;
    }

    bool apply(PyObject* object, PyObject** grads, Py_ssize_t n_grads, PyObject** out,
               Py_ssize_t n_out) {
        Node* node = as_node(object);
        if ((present(node->output_hooks) != nullptr || present(node->pre_hooks) != nullptr) &&
            !run_pre_hooks(object, grads, n_grads))
            return false;
        const bool ok = node->op != nullptr
                            ? apply_rules(node, node->edges, grads, n_grads, out)
                            : take_items(call_apply(object, grads, n_grads), out, n_out, object);
        if (!ok) {
            explain(object);
            return false;
        }
        if (present(node->post_hooks) != nullptr &&
            !run_post_hooks(object, grads, n_grads, out, n_out))
            return false;
        if (keep_) return true;
        if (node->op == nullptr)
            return call_for_nothing(PyObject_CallMethodNoArgs(object, names.release));
        release(node);
        return true;
    }

    PyObject* call_apply(PyObject* object, PyObject** grads, Py_ssize_t n_grads) {
        PyObject* list = list_of(grads, n_grads);
        if (list == nullptr) return nullptr;
        PyObject* results = PyObject_CallMethodOneArg(object, names.apply, list);
        Py_DECREF(list);
        return results;
    }

    bool run_pre_hooks(PyObject* object, PyObject** grads, Py_ssize_t n_grads) {
        PyObject* list = list_of(grads, n_grads);
        if (list == nullptr ||
            !call_for_nothing(PyObject_CallFunctionObjArgs(callbacks.run_pre_hooks, object, list,
                                                           nullptr))) {
            Py_XDECREF(list);
            return false;
        }
        for (Py_ssize_t i = 0; i < n_grads; i++) Py_CLEAR(grads[i]);
        return take_items(list, grads, n_grads, object);
    }

    bool run_post_hooks(PyObject* object, PyObject** grads, Py_ssize_t n_grads, PyObject** out,
                        Py_ssize_t n_out) {
        PyObject* results = list_of(out, n_out);
        PyObject* list = list_of(grads, n_grads);
        PyObject* changed = nullptr;
        if (results != nullptr && list != nullptr)
            changed = PyObject_CallFunctionObjArgs(callbacks.run_post_hooks, object, results, list,
                                                   nullptr);
        Py_XDECREF(results);
        Py_XDECREF(list);
        if (changed == nullptr) return false;
        for (Py_ssize_t i = 0; i < n_out; i++) Py_CLEAR(out[i]);
        return take_items(changed, out, n_out, object);
    }

    // Adds to the current exception which operation was being differentiated.
    void explain(PyObject* object) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (traceback != nullptr && value != nullptr) PyException_SetTraceback(value, traceback);
        if (value != nullptr && PyObject_IsInstance(value, PyExc_Exception) == 1 &&
            !call_for_nothing(
                PyObject_CallFunctionObjArgs(callbacks.explain, value, object, nullptr)))
            PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }

    const bool keep_, create_;
    TargetTable table_;
    std::vector<Ready> ready_;
};

// run_pass(roots, grads, keep_graph, create_graph)
PyObject* run_pass(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (n != 4) {
        PyErr_SetString(PyExc_TypeError, "run_pass(roots, grads, keep_graph, create_graph)");
        return nullptr;
    }
    PyObject* roots = PySequence_Fast(args[0], "roots is no sequence");
    PyObject* grads = PySequence_Fast(args[1], "grads is no sequence");
    const int keep = PyObject_IsTrue(args[2]), create = PyObject_IsTrue(args[3]);
    bool ok = roots != nullptr && grads != nullptr && keep >= 0 && create >= 0;
    for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(roots); i++)
        ok = is_tensor(PySequence_Fast_GET_ITEM(roots, i)) &&
             i < PySequence_Fast_GET_SIZE(grads) && is_tensor(PySequence_Fast_GET_ITEM(grads, i));
    if (!ok && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "[backward] every root and its gradient is a tensor");
    if (ok) {
        const bool before = switches.enabled;
        switches.enabled = create == 1;
        {
            Pass pass(keep == 1, create == 1);
            ok = pass.run(roots, grads);
        }
        switches.enabled = before;
    }
    Py_XDECREF(roots);
    Py_XDECREF(grads);
    if (!ok) return nullptr;
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef engine_methods[] = {
    method("run_pass", run_pass, "One backward pass through all that is behind the roots."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace tape
}  // namespace rl
