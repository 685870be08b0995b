// Plans: the names that a primitive's derivative rules ask for, resolved once into positions, so that
// recording copies pointers and running a rule looks nothing up (class Rule in primitive.py).
#include "tape.h"

#include <stdio.h>

#include <initializer_list>

namespace rl {
namespace tape {

void free_plan(Plan* plan) {
    if (plan == nullptr) return;
    for (int r = 0; plan->rules != nullptr && r < plan->n_rules; r++) {
        Py_CLEAR(plan->rules[r].function);
        Py_CLEAR(plan->rules[r].keywords);
        Py_CLEAR(plan->rules[r].constants);
    }
    for (int k = 0; plan->kept != nullptr && k < plan->n_kept; k++) {
        Py_CLEAR(plan->kept[k].name);
        Py_CLEAR(plan->kept[k].property);
    }
    PyMem_Free(plan->rules);
    PyMem_Free(plan->kept);
    Py_XDECREF(plan->attributes);
    Py_XDECREF(plan->defaults);
    PyMem_Free(plan);
}

int index_in(PyObject* names_tuple, PyObject* name) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names_tuple); i++) {
        PyObject* candidate = PyTuple_GET_ITEM(names_tuple, i);
        if (candidate == name || PyUnicode_Compare(candidate, name) == 0) return int(i);
    }
    return -1;
}

namespace {

// The index of (name, property, input) among what the primitive keeps; a new entry if need be.
int kept_index(Plan* plan, PyObject* name, PyObject* property, int input) {
    for (int k = 0; k < plan->n_kept; k++)
        if (PyUnicode_Compare(plan->kept[k].name, name) == 0) return k;
    Py_INCREF(name);
    Py_XINCREF(property);
    plan->kept[plan->n_kept] = {name, property, input};
    return plan->n_kept++;
}

// Reads `rule.saved` [(name, input)] and `rule.described` [(name, input, property)].
bool plan_kept(Plan* plan, RulePlan* rule, PyObject* saved, PyObject* described) {
    for (PyObject* list : {saved, described}) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
            PyObject* entry = PyList_GET_ITEM(list, i);
            PyObject* property = list == described ? PyTuple_GET_ITEM(entry, 2) : nullptr;
            const long input = PyLong_AsLong(PyTuple_GET_ITEM(entry, 1));
            if ((input == -1 && PyErr_Occurred()) || rule->n_kept == kMostArguments) return false;
            rule->kept[rule->n_kept++] =
                kept_index(plan, PyTuple_GET_ITEM(entry, 0), property, int(input));
        }
    }
    return true;
}

bool plan_argument(Plan* plan, PyObject* name, Argument* argument) {
    static const struct {
        const char* name;
        Source source;
    } special[] = {{"grad", kGrad},       {"grads", kGrads}, {"result", kResult},
                   {"results", kResults}, {"needs", kNeeds}, {"spare", kSpare}};
    for (const auto& row : special) {
        if (PyUnicode_CompareWithASCIIString(name, row.name) != 0) continue;
        *argument = {row.source, 0};
        return true;
    }
    const char* text = PyUnicode_AsUTF8(name);
    if (text == nullptr) return false;
    int number;
    if (sscanf(text, "results[%d]", &number) == 1) {
        *argument = {kOneResult, number};
        return true;
    }
    if (sscanf(text, "grads[%d]", &number) == 1) {
        *argument = {kOneGrad, number};
        return true;
    }
    const int attribute = index_in(plan->attributes, name);
    if (attribute >= 0) {
        *argument = {kAttribute, attribute};
        return true;
    }
    for (int k = 0; k < plan->n_kept; k++) {
        if (PyUnicode_Compare(plan->kept[k].name, name) != 0) continue;
        *argument = {kKept, k};
        return true;
    }
    PyErr_Format(PyExc_TypeError, "a derivative rule asks for the unknown value %R", name);
    return false;
}

bool plan_rule(Plan* plan, RulePlan* rule, PyObject* source) {
    PyObject* wants = PyObject_GetAttrString(source, "wants");
    PyObject* positions = PyObject_GetAttrString(source, "positions");
    PyObject* saved = PyObject_GetAttrString(source, "saved");
    PyObject* described = PyObject_GetAttrString(source, "described");
    PyObject* joint = PyObject_GetAttrString(source, "is_joint");
    PyObject* keywords = PyObject_GetAttrString(source, "keywords");
    rule->function = PyObject_GetAttrString(source, "function");
    rule->constants = PyObject_GetAttrString(source, "constants");
    bool ok = wants != nullptr && positions != nullptr && saved != nullptr &&
              described != nullptr && joint != nullptr && keywords != nullptr &&
              rule->function != nullptr && rule->constants != nullptr;
    if (ok && (PyTuple_GET_SIZE(wants) + PyTuple_GET_SIZE(rule->constants) > kMostArguments ||
               PyTuple_GET_SIZE(positions) > kMostArguments)) {
        PyErr_Format(PyExc_TypeError, "a derivative rule may ask for %d values", kMostArguments);
        ok = false;
    }
    ok = ok && plan_kept(plan, rule, saved, described);
    if (ok) {
        rule->is_joint = joint == Py_True;
        if (PyTuple_GET_SIZE(keywords) > 0) rule->keywords = Py_NewRef(keywords);
        rule->n_positions = int(PyTuple_GET_SIZE(positions));
        for (int i = 0; i < rule->n_positions; i++)
            rule->positions[i] = int(PyLong_AsLong(PyTuple_GET_ITEM(positions, i)));
        for (Py_ssize_t i = 0; ok && i < PyTuple_GET_SIZE(wants); i++)
            ok = plan_argument(plan, PyTuple_GET_ITEM(wants, i),
                               &rule->arguments[rule->n_arguments++]);
    }
    Py_XDECREF(wants);
    Py_XDECREF(positions);
    Py_XDECREF(saved);
    Py_XDECREF(described);
    Py_XDECREF(joint);
    Py_XDECREF(keywords);
    return ok;
}

// Names of keyword arguments and their defaults (null where there is none), in one order.
bool plan_attributes(Plan* plan, PyObject* op) {
    PyObject* attributes = PyObject_GetAttrString(op, "attributes");
    PyObject* defaults = PyObject_GetAttrString(op, "defaults");
    if (attributes != nullptr && defaults != nullptr) {
        plan->attributes = PySequence_Tuple(attributes);
        if (plan->attributes != nullptr) {
            plan->n_attributes = int(PyTuple_GET_SIZE(plan->attributes));
            plan->defaults = PyTuple_New(plan->n_attributes);
        }
        for (int i = 0; plan->defaults != nullptr && i < plan->n_attributes; i++) {
            PyObject* value =
                PyDict_GetItemWithError(defaults, PyTuple_GET_ITEM(plan->attributes, i));
            Py_XINCREF(value);
            PyTuple_SET_ITEM(plan->defaults, i, value);
        }
    }
    Py_XDECREF(attributes);
    Py_XDECREF(defaults);
    return plan->defaults != nullptr && !PyErr_Occurred();
}

// Bits of the outputs without gradient.
bool plan_outputs(Plan* plan, PyObject* op) {
    PyObject* numbers = PyObject_GetAttrString(op, "nondifferentiable");
    PyObject* list = numbers == nullptr ? nullptr : PySequence_List(numbers);
    Py_XDECREF(numbers);
    if (list == nullptr) return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        plan->nondifferentiable |= 1ull << (PyLong_AsLong(PyList_GET_ITEM(list, i)) & 63);
    Py_DECREF(list);
    return !PyErr_Occurred();
}

bool is_true(PyObject* object, const char* name) {
    PyObject* value = PyObject_GetAttrString(object, name);
    const bool truth = value != nullptr && PyObject_IsTrue(value) == 1;
    Py_XDECREF(value);
    return truth;
}

}  // namespace

Plan* make_plan(PyObject* object) {
    PyObject* rules = PyObject_GetAttrString(object, "rules");
    if (rules == nullptr) return nullptr;
    const Py_ssize_t n_rules = PyList_GET_SIZE(rules);
    Plan* plan = static_cast<Plan*>(PyMem_Calloc(1, sizeof(Plan)));
    bool ok = plan != nullptr;
    if (ok) {
        plan->rules = static_cast<RulePlan*>(PyMem_Calloc(size_t(n_rules) + 1, sizeof(RulePlan)));
        plan->kept = static_cast<KeptPlan*>(
            PyMem_Calloc(size_t(n_rules + 1) * kMostArguments, sizeof(KeptPlan)));
        ok = plan->rules != nullptr && plan->kept != nullptr;
    }
    if (!ok) PyErr_NoMemory();
    ok = ok && plan_attributes(plan, object) && plan_outputs(plan, object);
    for (Py_ssize_t r = 0; ok && r < n_rules; r++) {
        plan->n_rules = int(r) + 1;
        ok = plan_rule(plan, &plan->rules[r], PyList_GET_ITEM(rules, r));
    }
    if (ok) {
        plan->is_variadic = is_true(object, "variadic");
        plan->keeps_result = is_true(object, "keeps_result");
        plan->keeps_first = is_true(object, "keeps_first");
    }
    Py_DECREF(rules);
    if (ok && !PyErr_Occurred()) return plan;
    free_plan(plan);
    return nullptr;
}

}  // namespace tape
}  // namespace rl
