// NodeFields: the fields of node.py's Node and of recorded.py's PrimitiveNode, with what a recorded
// primitive keeps for backward.
#include "tape.h"

namespace rl {
namespace tape {

PyTypeObject* node_type;

Py_ssize_t next_sequence_nr() {
    static Py_ssize_t last = 0;  // guarded by the GIL
    return ++last;
}

bool reserve_kept(Node* node, int count) {
    node->kept = node->inline_kept;
    if (count > kInlineKept) {
        node->kept = static_cast<Kept*>(PyMem_Calloc(size_t(count), sizeof(Kept)));
        if (node->kept == nullptr) {
            PyErr_NoMemory();
            return false;
        }
    }
    node->n_kept = count;
    return true;
}

bool reserve_results(Node* node, int count) {
    node->results = node->inline_results;
    if (count > kInlineResults) {
        node->results = static_cast<KeptResult*>(PyMem_Calloc(size_t(count), sizeof(KeptResult)));
        if (node->results == nullptr) {
            PyErr_NoMemory();
            return false;
        }
    }
    node->n_results = count;
    return true;
}

namespace {

// Drops what is kept. Values are taken out before they are freed: freeing may run Python code.
void drop_kept(Node* node) {
    Kept* const kept = node->kept;
    const int count = node->n_kept;
    node->n_kept = 0;
    node->kept = nullptr;
    for (int i = 0; i < count; i++) Py_CLEAR(kept[i].value);
    if (kept != node->inline_kept) PyMem_Free(kept);
}
void drop_results(Node* node) {
    KeptResult* const results = node->results;
    const int count = node->n_results;
    node->n_results = 0;
    node->results = nullptr;
    for (int i = 0; i < count; i++) {
        Py_CLEAR(results[i].array);
        Py_CLEAR(results[i].storage);
    }
    if (results != node->inline_results) PyMem_Free(results);
}

}  // namespace

void release(Node* node) {
    bool keeps_tensors = node->n_results > 0;
    for (int i = 0; i < node->n_kept; i++) keeps_tensors |= node->kept[i].version != kPlain;
    if (!keeps_tensors) return;  // numbers and shapes: the node may run again
    node->released = true;
    drop_kept(node);
    drop_results(node);
}

namespace {

// ------------------------------------------------------------------ the type
PyObject* node_new(PyTypeObject* type, PyObject*, PyObject*) {
    PyObject* self = type->tp_alloc(type, 0);
    if (self != nullptr) as_node(self)->num_outputs = 1;
    return self;
}

int node_traverse(PyObject* self, visitproc visit, void* arg) {
    Node* n = as_node(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(n->edges);
    Py_VISIT(n->pre_hooks);
    Py_VISIT(n->output_hooks);
    Py_VISIT(n->post_hooks);
    Py_VISIT(n->op);
    Py_VISIT(n->attrs);
    Py_VISIT(n->input_meta);
    for (int i = 0; i < n->n_kept; i++) Py_VISIT(n->kept[i].value);
    for (int i = 0; i < n->n_results; i++) Py_VISIT(n->results[i].array);
    Py_VISIT(n->dict);
    return 0;
}

int node_clear(PyObject* self) {
    Node* n = as_node(self);
    Py_CLEAR(n->edges);
    Py_CLEAR(n->pre_hooks);
    Py_CLEAR(n->output_hooks);
    Py_CLEAR(n->post_hooks);
    Py_CLEAR(n->anomaly);
    Py_CLEAR(n->attrs);
    Py_CLEAR(n->input_meta);
    drop_kept(n);
    drop_results(n);
    n->released = true;
    Py_CLEAR(n->op);
    Py_CLEAR(n->dict);
    return 0;
}

void node_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (as_node(self)->weakrefs != nullptr) PyObject_ClearWeakRefs(self);
    node_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// ------------------------------------------------------------------ methods
// Whether `self` was recorded by a primitive; else an error.
bool is_recorded(PyObject* self) {
    if (as_node(self)->op != nullptr) return true;
    PyErr_SetString(PyExc_NotImplementedError, Py_TYPE(self)->tp_name);
    return false;
}

// apply(grads, edges): `edges` are the node's, without those that need no gradient.
PyObject* py_apply(PyObject* self, PyObject* const* args, Py_ssize_t n) {
    Node* node = as_node(self);
    if (!is_recorded(self)) return nullptr;
    PyObject* grads = n > 0 ? args[0] : Py_None;
    PyObject* edges = n > 1 ? args[1] : node->edges;
    if (!PyList_Check(grads) || PyList_GET_SIZE(grads) < node->num_outputs || n > 2 ||
        !PyTuple_Check(edges) || PyTuple_GET_SIZE(edges) != PyTuple_GET_SIZE(node->edges)) {
        PyErr_SetString(PyExc_TypeError, "apply() takes a list with one gradient per output");
        return nullptr;
    }
    const Py_ssize_t n_grads = PyList_GET_SIZE(grads), count = PyTuple_GET_SIZE(edges);
    PyObject** values = PyMem_New(PyObject*, size_t(n_grads + count));
    if (values == nullptr) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n_grads; i++) {
        PyObject* grad = PyList_GET_ITEM(grads, i);
        values[i] = grad == Py_None ? nullptr : grad;
        Py_XINCREF(values[i]);  // a rule might change the list
    }
    PyObject** out = values + n_grads;
    const bool ok = apply_rules(node, edges, values, n_grads, out);
    PyObject* list = ok ? PyList_New(count) : nullptr;
    for (Py_ssize_t i = 0; ok && i < count; i++) {
        if (list == nullptr) {
            Py_XDECREF(out[i]);
            continue;
        }
        if (out[i] == nullptr) {
            Py_INCREF(Py_None);
            out[i] = Py_None;
        }
        PyList_SET_ITEM(list, i, out[i]);
    }
    for (Py_ssize_t i = 0; i < n_grads; i++) Py_XDECREF(values[i]);
    PyMem_Free(values);
    return list;
}

PyObject* py_release(PyObject* self, PyObject*) {
    release(as_node(self));
    Py_RETURN_NONE;
}

// saved_value(name): what is kept under this name; KeyError if nothing is.
PyObject* py_saved_value(PyObject* self, PyObject* name) {
    Node* node = as_node(self);
    if (!is_recorded(self)) return nullptr;
    if (node->released) {
        PyErr_SetObject(PyExc_RuntimeError, callbacks.freed_message);
        return nullptr;
    }
    const Plan* plan = plan_of(node);
    if (node->n_results > 0 && PyUnicode_CompareWithASCIIString(name, "result") == 0)
        return unpack_result(node, 0);
    for (int i = 0; i < node->n_kept; i++) {
        if (node->kept[i].value == nullptr) continue;
        if (PyUnicode_Compare(plan->kept[i].name, name) == 0) return unpack(node, node->kept[i]);
    }
    for (int i = 0; node->attrs != nullptr && i < plan->n_attributes; i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(plan->attributes, i), name) != 0) continue;
        PyObject* value = PyTuple_GET_ITEM(node->attrs, i);
        Py_INCREF(value);
        return value;
    }
    PyErr_SetObject(PyExc_KeyError, name);
    return nullptr;
}

// keeps(tensor): whether this very tensor is kept for backward.
PyObject* py_keeps(PyObject* self, PyObject* tensor) {
    Node* node = as_node(self);
    for (int i = 0; i < node->n_kept; i++) {
        const Kept& kept = node->kept[i];
        if (kept.value == tensor && kept.version >= 0) Py_RETURN_TRUE;
        if (kept.version != kTensorList) continue;
        for (Py_ssize_t k = 0; k < PyList_GET_SIZE(kept.value); k++)
            if (PyTuple_GET_ITEM(PyList_GET_ITEM(kept.value, k), 0) == tensor) Py_RETURN_TRUE;
    }
    Py_RETURN_FALSE;
}

// keep_instead(tensor, other): keeps `other` where `tensor` is kept.
PyObject* py_keep_instead(PyObject* self, PyObject* const* args, Py_ssize_t n) {
    Node* node = as_node(self);
    if (n != 2 || !is_tensor(args[1])) {
        PyErr_SetString(PyExc_TypeError, "keep_instead(tensor, other) takes two tensors");
        return nullptr;
    }
    for (int i = 0; i < node->n_kept; i++) {
        Kept& kept = node->kept[i];
        const Py_ssize_t version = version_of(as_tensor(args[1]));
        for (Py_ssize_t k = 0; kept.version == kTensorList && k < PyList_GET_SIZE(kept.value); k++) {
            if (PyTuple_GET_ITEM(PyList_GET_ITEM(kept.value, k), 0) != args[0]) continue;
            PyObject* pair = Py_BuildValue("(On)", args[1], version);
            if (pair == nullptr || PyList_SetItem(kept.value, k, pair) < 0) return nullptr;
        }
        if (kept.value != args[0] || kept.version < 0) continue;
        kept.version = version;
        Py_INCREF(args[1]);
        Py_SETREF(kept.value, args[1]);
    }
    Py_RETURN_NONE;
}

// adopt_result(tensor): the one kept output now stands in this tensor's memory.
PyObject* py_adopt_result(PyObject* self, PyObject* object) {
    Node* node = as_node(self);
    if (!is_tensor(object)) {
        PyErr_SetString(PyExc_TypeError, "adopt_result() takes a tensor");
        return nullptr;
    }
    if (node->n_results != 1) Py_RETURN_NONE;
    Tensor* tensor = as_tensor(object);
    Storage* storage = storage_of(tensor);
    if (storage == nullptr) return nullptr;
    KeptResult& kept = node->results[0];
    kept.version = storage->version;
    Py_INCREF(tensor->array);
    Py_XSETREF(kept.array, tensor->array);
    Py_INCREF(storage);
    Py_XSETREF(kept.storage, reinterpret_cast<PyObject*>(storage));
    Py_RETURN_NONE;
}

PyMethodDef node_methods[] = {
    method("_apply_rules", py_apply, "Gradients of the inputs, one per edge."),
    {"_release_kept", py_release, METH_NOARGS, "Frees the tensors kept for backward."},
    {"saved_value", py_saved_value, METH_O, "What is kept under a name."},
    {"keeps", py_keeps, METH_O, "Whether this very tensor is kept."},
    method("keep_instead", py_keep_instead, "Keeps another tensor in the place of one."),
    {"adopt_result", py_adopt_result, METH_O, "Moves the kept output to a tensor's memory."},
    {nullptr, nullptr, 0, nullptr},
};
PyMemberDef node_members[] = {
    {"sequence_nr", T_PYSSIZET, offsetof(Node, sequence_nr), 0, nullptr},
    {"num_outputs", T_PYSSIZET, offsetof(Node, num_outputs), 0, nullptr},
    {"pre_hooks", T_OBJECT, offsetof(Node, pre_hooks), 0, nullptr},
    {"output_hooks", T_OBJECT, offsetof(Node, output_hooks), 0, nullptr},
    {"post_hooks", T_OBJECT, offsetof(Node, post_hooks), 0, nullptr},
    {"anomaly", T_OBJECT, offsetof(Node, anomaly), 0, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Node, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Node, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

// Edges are always a tuple, so that the engine may read them without a check.
PyObject* get_edges(PyObject* self, void*) {
    PyObject* edges = as_node(self)->edges;
    if (edges == nullptr) return PyTuple_New(0);
    Py_INCREF(edges);
    return edges;
}
int set_edges(PyObject* self, PyObject* value, void*) {
    PyObject* edges = value == nullptr ? nullptr : PySequence_Tuple(value);
    if (edges == nullptr) return -1;
    Py_XSETREF(as_node(self)->edges, edges);
    return 0;
}

PyGetSetDef node_getset[] = {
    {"edges", get_edges, set_edges, "Where the gradients of the inputs go.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyType_Slot node_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(node_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(node_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(node_clear)},
    {Py_tp_methods, node_methods},
    {Py_tp_members, node_members},
    {Py_tp_getset, node_getset},
    {Py_tp_doc, const_cast<char*>("The fields of an operation in the graph.")},
    {0, nullptr},
};
PyType_Spec node_spec = {"rushlight.backends._tape.NodeFields", sizeof(Node), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
                         node_slots};

}  // namespace

bool add_node_types(PyObject* module) {
    node_type = add_type(module, &node_spec);
    return node_type != nullptr;
}

}  // namespace tape
}  // namespace rl
