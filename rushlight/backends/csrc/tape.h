// tape.h: the compiled twin of rushlight/autograd.
//
// The Python files variable.py, primitive.py, node.py and engine.py define what the tape does; this
// extension module, rushlight.backends._tape, does the same without the interpreter's overhead:
//
//   tape_tensor.cpp     Storage, TensorBase, the thread's switches     variable.py, grad_mode.py
//   tape_node.cpp       NodeFields: what a node keeps                  node.py, recorded.py
//   tape_rules.cpp      derivative rules at work                       recorded.py
//   tape_plan.cpp       what derivative rules ask for, resolved        primitive.py
//   tape_primitive.cpp  PrimitiveCall: calling                         primitive.py
//   tape_record.cpp     PrimitiveCall: recording                       primitive.py
//   tape_inplace.cpp    in-place changes: who may, and counting them   inplace.py
//   tape_lists.cpp      lists of tensors: arrays, gradients            variable.py
//   tape_writing.cpp    in-place methods and out=                      ops/common.py
//   tape_engine.cpp     one backward pass                              engine.py
//   tape_module.cpp     the module, and what it needs from Python
//
// Python classes derive from the types here. Rare paths (hooks, anomaly mode, stale saved tensors,
// errors) call back into the Python functions that define them. No kernel and no NumPy name is used
// beyond "is this an array, and what is its shape": other array libraries pass through as objects.
#pragma once

#include "bind.h"

#include <structmember.h>

namespace rl {
namespace tape {

// ------------------------------------------------------------------ tensors
struct Storage {
    PyObject_HEAD
    Py_ssize_t version;
    PyObject* changed_by;
    PyObject* weakrefs;
};

struct Tensor {
    PyObject_HEAD
    PyObject* array;
    PyObject* grad_fn;
    PyObject* grad;
    PyObject* storage;
    PyObject* base;
    PyObject* hooks;
    PyObject* accumulate_hooks;
    PyObject* accumulate_grad;
    Py_ssize_t output_nr;
    Py_ssize_t view_version;
    char requires_grad;
    char retains_grad;
    char is_inference;    // made in inference mode, or around the memory of such a tensor
    char is_unversioned;  // made in inference mode, which does not count changes
    PyObject* dict;
    PyObject* weakrefs;
};

// The switches of grad_mode.py, one set per thread.
struct Switches {
    bool enabled = true, inference = false, anomaly = false, check_nan = true;
};
extern thread_local Switches switches;

extern PyTypeObject* storage_type;
extern PyTypeObject* tensor_base_type;
extern PyTypeObject* tensor_type;  // what operations return; set_tensor_type

inline bool is_tensor(PyObject* object) {
    return Py_TYPE(object) == tensor_type || PyObject_TypeCheck(object, tensor_base_type);
}
inline Tensor* as_tensor(PyObject* object) { return reinterpret_cast<Tensor*>(object); }

// A field that Python may have set to None, null then.
inline PyObject* present(PyObject* field) { return field == Py_None ? nullptr : field; }

// A tensor around `array` (which is stolen, even on failure), outside every graph.
PyObject* wrap(PyObject* array);

// The shape of an array as a tuple; None for a number.
PyObject* shape_of(PyObject* array);

// The dtype of a tensor that has an array; a new reference.
PyObject* dtype_of(Tensor* tensor);

// The tensor's Storage, made on first use; borrowed.
Storage* storage_of(Tensor* tensor);

inline Py_ssize_t version_of(Tensor* tensor) {
    PyObject* storage = present(tensor->storage);
    return storage == nullptr ? 0 : reinterpret_cast<Storage*>(storage)->version;
}

// Whether the memory of this view was changed in place since its history was right.
inline bool is_stale(Tensor* tensor) {
    return present(tensor->base) != nullptr && tensor->view_version != version_of(tensor);
}

// Where the gradient of `tensor` goes, as node.py's edge_of: (target, output_nr) or None.
PyObject* edge_of(PyObject* tensor);

// Counts an in-place change of the tensor's memory; `who` is (operation, file, line). False with an
// error.
bool count_change(Tensor* tensor, PyObject* who);
// As count_change, by the innermost caller outside the package.
bool bump_version(Tensor* tensor, PyObject* operation);

// Whether one of the inputs wants a gradient while recording is on.
bool are_recorded(PyObject* const* inputs, Py_ssize_t n);
// Whether what a primitive of these `kinds` makes of the inputs may go straight into the tensor.
bool can_write_over(Tensor* tensor, PyObject* const* inputs, Py_ssize_t n, const char* kinds);

// ------------------------------------------------------------------ nodes
// Something kept for backward: a tensor with its version, or a plain value (version kPlain).
struct Kept {
    PyObject* value;
    Py_ssize_t version;
};
constexpr Py_ssize_t kPlain = -1, kTensorList = -2;

// An output kept for backward, without the tensor, whose history is this node.
struct KeptResult {
    PyObject* array;
    PyObject* storage;
    Py_ssize_t version;
};

constexpr int kInlineKept = 4, kInlineResults = 2;

struct Node {
    PyObject_HEAD
    PyObject* edges;
    Py_ssize_t sequence_nr;
    Py_ssize_t num_outputs;
    PyObject* pre_hooks;
    PyObject* output_hooks;
    PyObject* post_hooks;
    PyObject* anomaly;
    // Of recorded primitives only:
    PyObject* op;
    PyObject* attrs;       // values of the op's attributes, a tuple in the order of its plan
    PyObject* input_meta;  // (shape, dtype) per input, where broadcasting must be undone
    Kept* kept;            // the op's plan says what stands where
    KeptResult* results;
    int n_kept, n_results;
    bool released;
    Kept inline_kept[kInlineKept];
    KeptResult inline_results[kInlineResults];
    PyObject* dict;
    PyObject* weakrefs;
};

extern PyTypeObject* node_type;

inline Node* as_node(PyObject* object) { return reinterpret_cast<Node*>(object); }
inline bool is_node(PyObject* object) { return PyObject_TypeCheck(object, node_type); }

Py_ssize_t next_sequence_nr();

// Room for what the op's plan wants kept; false with MemoryError.
bool reserve_kept(Node* node, int count);
bool reserve_results(Node* node, int count);

// Gradients of the inputs from those of the outputs by the op's rules, for those of the edges that are
// not None. `out` has one place per edge, filled with new references or null.
bool apply_rules(Node* node, PyObject* edges, PyObject* const* grads, Py_ssize_t n_grads,
                 PyObject** out);
// The array of a gradient if nobody but the pass, which holds one reference, will look at it again
// and no graph is recorded through the pass; null otherwise. Borrowed.
PyObject* spare_memory(PyObject* grad);
// Frees the tensors that are kept; a node that keeps none may run again.
void release(Node* node);
// A kept value as a rule sees it, a kept output as a tensor; null with an error if it was changed.
PyObject* unpack(Node* node, const Kept& kept);
PyObject* unpack_result(Node* node, int number);

// ------------------------------------------------------------------ primitives
// Where an argument of a derivative rule comes from.
enum Source : unsigned char {
    kGrad, kGrads, kOneGrad, kResult, kResults, kOneResult, kNeeds, kSpare, kKept, kAttribute
};

struct Argument {
    Source source;
    int index;
};

constexpr int kMostArguments = 24;

struct RulePlan {
    PyObject* function;
    PyObject* keywords;   // names of the last arguments, a tuple; null if all go by position
    PyObject* constants;  // those behind the arguments below, a tuple
    bool is_joint;
    int n_positions, n_arguments, n_kept;
    int positions[kMostArguments];
    Argument arguments[kMostArguments];
    int kept[kMostArguments];  // what this rule wants kept, as indices into Plan::kept
};

struct KeptPlan {
    PyObject* name;
    PyObject* property;  // of the input's array: "shape", "dtype", …; null for the input itself
    int input;
};

// The rules of a primitive, resolved once from the names that they ask for.
struct Plan {
    RulePlan* rules;
    KeptPlan* kept;
    PyObject* attributes;  // names, a tuple
    PyObject* defaults;    // values in the same order, or a tuple's null where there is none
    int n_rules, n_kept, n_attributes;
    bool is_variadic, keeps_result, keeps_first;
    unsigned long long nondifferentiable;  // bit per output
};

// The plan of a primitive's rules; null with an error.
Plan* make_plan(PyObject* primitive);
void free_plan(Plan* plan);
// The position of a name in a tuple of names, or -1.
int index_in(PyObject* names_tuple, PyObject* name);

struct Primitive {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject* forward;
    PyObject* kernel;    // the name of the kernel that forward hands its arguments to, if it does no more
    PyObject* keywords;  // the names of its keyword arguments in order, a tuple
    PyObject* defaults;  // {name: value}
    PyObject* node_type;
    Plan* plan;
    PyObject* kinds;  // str: of the dtypes that the forward keeps, "?" if it makes bools
    Py_ssize_t n_inputs;  // of its positional parameters
    char view;
    char broadcast;
};

extern PyTypeObject* primitive_type;

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

// Makes the node that leads from the outputs, tensors or None, back to the inputs; false with an
// error.
bool record(Call* call, PyObject* const* outs, int n_outs);

// into(out, operation, inputs, attrs), a method of primitives: computes straight into `out`.
PyObject* primitive_into(PyObject* self, PyObject* const* args, Py_ssize_t n);

inline Plan* plan_of(Node* node) { return reinterpret_cast<Primitive*>(node->op)->plan; }

// ------------------------------------------------------------------ from Python
// Functions of the Python files that the rare paths call; set by connect().
struct Callbacks {
    PyObject* kernels;           // (array) -> the kernels of its device
    PyObject* asarray;           // (value, arrays) -> array, for what is no array yet
    PyObject* is_array;          // (value) -> bool
    PyObject* raise_stale;       // (node, array, storage, version, role)
    PyObject* freed_message;     // str
    PyObject* anomaly_trace;     // () -> str
    PyObject* run_tensor_hooks;  // (hooks, grad) -> grad
    PyObject* run_pre_hooks;     // (node, grads)
    PyObject* run_post_hooks;    // (node, results, grads) -> results
    PyObject* accumulate_grad;   // (leaf, grad, create_graph)
    PyObject* explain;           // (error, node)
    PyObject* copy_gradient;     // (grad, leaf) -> tensor
    PyObject* dtypes;            // {NumPy dtype: dtype}
    PyObject* from_numpy_dtype;  // (NumPy dtype) -> dtype, for the rest
    PyObject* size_type;         // Size
    PyObject* no_grad_message;   // str
    PyObject* inference_kept_message;  // str
    PyObject* write_out;         // (out, result, operation) -> out
    PyObject* package;           // the path that the files of this package start with
};
extern Callbacks callbacks;

// Interned attribute and method names.
struct Names {
    PyObject *grad_fn, *shape, *dtype, *kind, *sum_to_size, *to_array_dtype, *real, *refresh_view,
        *explain, *apply, *release, *add_, *requires_grad_, *assign_grad, *out;
};
extern Names names;

bool add_tensor_types(PyObject* module);
bool add_node_types(PyObject* module);
bool add_primitive_types(PyObject* module);
bool add_writing_types(PyObject* module);

extern PyMethodDef engine_methods[];
extern PyMethodDef inplace_methods[];
extern PyMethodDef list_methods[];
extern PyMethodDef writing_methods[];

// Makes a type from its spec and adds it to the module under its last name.
PyTypeObject* add_type(PyObject* module, PyType_Spec* spec);

}  // namespace tape
}  // namespace rl
