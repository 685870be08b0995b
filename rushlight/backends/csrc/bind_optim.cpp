// Python functions of the optimizer steps. They return None when the step was done and
// NotImplemented, with nothing touched, when some array is of a kind that the kernels do not take.
#include "bind.h"  // Python.h must come before the system's headers

#include <vector>

#include "optim.h"

namespace {

using namespace rl;

// Whether the elements of both lie in the same places of one block of memory.
bool lies_alike(PyArrayObject* a, PyArrayObject* b) {
    if (!same_shape(a, b)) return false;
    return (is_contiguous(a) && is_contiguous(b)) ||
           (PyArray_IS_F_CONTIGUOUS(a) && PyArray_IS_F_CONTIGUOUS(b));
}

// A list or tuple of arrays like `params`; entry i is checked against parameter i.
class ArrayList {
  public:
    explicit ArrayList(PyObject* object)
        : items_(PyList_Check(object) || PyTuple_Check(object) ? object : nullptr) {}
    bool is_list() const { return items_ != nullptr; }
    Py_ssize_t size() const { return items_ != nullptr ? PySequence_Fast_GET_SIZE(items_) : 0; }
    PyObject* item(Py_ssize_t i) const { return PySequence_Fast_GET_ITEM(items_, i); }

    // The data of entry i if it lies in memory as the parameter does; else null.
    void* data_of(Py_ssize_t i, PyArrayObject* param, bool writeable) const {
        PyArrayObject* array = as_array(item(i));
        if (array == nullptr || PyArray_TYPE(array) != PyArray_TYPE(param) || !is_behaved(array) ||
            !lies_alike(array, param))
            return nullptr;
        if (writeable && !PyArray_ISWRITEABLE(array)) return nullptr;
        return PyArray_DATA(array);
    }

  private:
    PyObject* items_;
};

// Fills one range per parameter, with `count` lists of states; false when something does not fit.
bool make_ranges(const ArrayList& params, const ArrayList& grads, const ArrayList* states,
                 int count, int* type_num, std::vector<OptimRange>* ranges) {
    if (!params.is_list() || !grads.is_list() || grads.size() != params.size()) return false;
    for (int k = 0; k < count; k++)
        if (!states[k].is_list() || states[k].size() != params.size()) return false;
    ranges->reserve(size_t(params.size()));
    for (Py_ssize_t i = 0; i < params.size(); i++) {
        PyArrayObject* param = as_array(params.item(i));
        if (param == nullptr) return false;
        const int type = PyArray_TYPE(param);
        if (i == 0) *type_num = type;
        if (type != *type_num || (type != NPY_FLOAT && type != NPY_DOUBLE)) return false;
        OptimRange range = {};
        range.n = PyArray_SIZE(param);
        range.shrink = 1;
        range.param = params.data_of(i, param, true);
        range.grad = grads.data_of(i, param, false);
        if (range.param == nullptr || range.grad == nullptr) return false;
        for (int k = 0; k < count; k++) {
            range.state[k] = states[k].data_of(i, param, true);
            if (range.state[k] == nullptr) return false;
        }
        ranges->push_back(range);
    }
    return true;
}

// ------------------------------------------------------------------ step counts
// Contiguous arrays of floats that may be written; false where one is of another kind.
bool writeable_floats(PyObject* object, std::vector<PyArrayObject*>* arrays) {
    const ArrayList list(object);
    for (Py_ssize_t i = 0; i < list.size(); i++) {
        PyArrayObject* array = as_array(list.item(i));
        if (array == nullptr || !is_behaved(array) || !is_contiguous(array) ||
            !PyArray_ISWRITEABLE(array) ||
            (PyArray_TYPE(array) != NPY_FLOAT && PyArray_TYPE(array) != NPY_DOUBLE))
            return false;
        arrays->push_back(array);
    }
    return list.is_list();
}

template <class T, class Change>
void change_numbers(PyArrayObject* array, double value, const Change& change) {
    T* numbers = data<T>(array);
    for (int64_t i = 0, n = PyArray_SIZE(array); i < n; i++)
        numbers[i] = change(numbers[i], T(value));
}
template <class Change>
void change_each(const std::vector<PyArrayObject*>& arrays, const double* values, int64_t step,
                 const Change& change) {
    int64_t total = 0;
    for (PyArrayObject* array : arrays) total += PyArray_SIZE(array);
    ReleaseGil released(total > kReleaseGilElements);
    for (PyArrayObject* array : arrays) {
        if (PyArray_TYPE(array) == NPY_FLOAT)
            change_numbers<float>(array, *values, change);
        else
            change_numbers<double>(array, *values, change);
        values += step;
    }
}

// add_to_each(arrays, value): adds a number to every element of every array.
PyObject* py_add_to_each(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    double value;
    std::vector<PyArrayObject*> arrays;
    if (nargs != 2 || !as_double(args[1], &value) || !writeable_floats(args[0], &arrays))
        return not_handled();
    change_each(arrays, &value, 0, [](auto number, auto term) { return number + term; });
    Py_RETURN_NONE;
}

// scale_each(arrays, numbers), write_each(arrays, numbers): a number for every array.
template <bool is_product>
PyObject* py_change_each(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    std::vector<PyArrayObject*> arrays;
    if (nargs != 2 || !PyList_Check(args[1]) || !writeable_floats(args[0], &arrays) ||
        size_t(PyList_GET_SIZE(args[1])) != arrays.size())
        return not_handled();
    std::vector<double> values(arrays.size());
    for (size_t i = 0; i < values.size(); i++)
        if (!as_double(PyList_GET_ITEM(args[1], Py_ssize_t(i)), &values[i])) return not_handled();
    change_each(arrays, values.data(), 1, [](auto number, auto given) {
        return is_product ? number * given : given;
    });
    Py_RETURN_NONE;
}

// ------------------------------------------------------------------ steps
int64_t total_size(const std::vector<OptimRange>& ranges) {
    int64_t n = 0;
    for (const OptimRange& range : ranges) n += range.n;
    return n;
}

// sgd_step(params, grads, momentum_buffers, lr, momentum, dampening, weight_decay, nesterov,
//          maximize, first_step)
PyObject* py_sgd_step(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 10) return not_handled();
    SgdSettings s;
    double* numbers[] = {&s.lr, &s.momentum, &s.dampening, &s.weight_decay};
    for (int i = 0; i < 4; i++)
        if (!as_double(args[3 + i], numbers[i])) return not_handled();
    s.nesterov = PyObject_IsTrue(args[7]) == 1;
    s.maximize = PyObject_IsTrue(args[8]) == 1;
    s.first_step = PyObject_IsTrue(args[9]) == 1;
    const ArrayList params(args[0]), grads(args[1]), buffers(args[2]);
    std::vector<OptimRange> ranges;
    int type_num = NPY_FLOAT;
    if (!make_ranges(params, grads, &buffers, s.momentum != 0 ? 1 : 0, &type_num, &ranges))
        return not_handled();
    {
        ReleaseGil unlocked(total_size(ranges) >= kReleaseGilElements);
        const OptimKernels& kernels = optim_kernels();
        (type_num == NPY_FLOAT ? kernels.sgd_f32 : kernels.sgd_f64)(ranges.data(),
                                                                    int(ranges.size()), s);
    }
    Py_RETURN_NONE;
}

// adam_step(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps, lr, beta1, beta2, eps,
//           weight_decay, amsgrad, maximize, decoupled)
PyObject* py_adam_step(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 14) return not_handled();
    AdamSettings s;
    double* numbers[] = {&s.lr, &s.beta1, &s.beta2, &s.eps, &s.weight_decay};
    for (int i = 0; i < 5; i++)
        if (!as_double(args[6 + i], numbers[i])) return not_handled();
    s.amsgrad = PyObject_IsTrue(args[11]) == 1;
    s.maximize = PyObject_IsTrue(args[12]) == 1;
    s.decoupled = PyObject_IsTrue(args[13]) == 1;
    const ArrayList params(args[0]), grads(args[1]), steps(args[5]);
    const ArrayList states[] = {ArrayList(args[2]), ArrayList(args[3]), ArrayList(args[4])};
    std::vector<OptimRange> ranges;
    int type_num = NPY_FLOAT;
    if (!steps.is_list() || steps.size() != params.size() ||
        !make_ranges(params, grads, states, s.amsgrad ? 3 : 2, &type_num, &ranges))
        return not_handled();
    for (Py_ssize_t i = 0; i < steps.size(); i++)
        if (!as_double(steps.item(i), &ranges[size_t(i)].factor[0])) return not_handled();
    {
        ReleaseGil unlocked(total_size(ranges) >= kReleaseGilElements);
        const OptimKernels& kernels = optim_kernels();
        (type_num == NPY_FLOAT ? kernels.adam_f32 : kernels.adam_f64)(ranges.data(),
                                                                      int(ranges.size()), s);
    }
    Py_RETURN_NONE;
}

// A tuple of at most `most` Python numbers; false when it is something else.
bool as_numbers(PyObject* object, int most, double* numbers) {
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) > most) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); i++)
        if (!as_double(PyTuple_GET_ITEM(object, i), &numbers[i])) return false;
    return true;
}

// rule(params, grads, states, factors, numbers, weight_decay, maximize): `states` is a tuple of
// lists; `factors` has a tuple for each parameter: what it is multiplied with first, then the
// rule's factors.
template <OptimRule rule, int state_count>
PyObject* py_rule(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 7 || !PyTuple_Check(args[2]) || PyTuple_GET_SIZE(args[2]) != state_count)
        return not_handled();
    RuleSettings s = {};
    if (!as_numbers(args[4], kMostNumbers, s.number) || !as_double(args[5], &s.decay))
        return not_handled();
    s.sign = PyObject_IsTrue(args[6]) == 1 ? -1 : 1;
    const ArrayList params(args[0]), grads(args[1]), factors(args[3]);
    const int most = state_count - 1;
    const ArrayList states[] = {ArrayList(PyTuple_GET_ITEM(args[2], 0)),
                                ArrayList(PyTuple_GET_ITEM(args[2], most < 1 ? most : 1)),
                                ArrayList(PyTuple_GET_ITEM(args[2], most))};
    std::vector<OptimRange> ranges;
    int type_num = NPY_FLOAT;
    if (!factors.is_list() || factors.size() != params.size() ||
        !make_ranges(params, grads, states, state_count, &type_num, &ranges))
        return not_handled();
    for (Py_ssize_t i = 0; i < factors.size(); i++) {
        double numbers[1 + kMostFactors] = {1};
        if (!as_numbers(factors.item(i), 1 + kMostFactors, numbers)) return not_handled();
        ranges[size_t(i)].shrink = numbers[0];
        for (int k = 0; k < kMostFactors; k++) ranges[size_t(i)].factor[k] = numbers[1 + k];
    }
    {
        ReleaseGil unlocked(total_size(ranges) >= kReleaseGilElements);
        optim_kernels().rules[rule][type_num == NPY_DOUBLE](ranges.data(), int(ranges.size()), s);
    }
    Py_RETURN_NONE;
}

const char kRuleDoc[] =
    "(params, grads, states, factors, numbers, weight_decay, maximize), or NotImplemented.";

}  // namespace

PyMethodDef optim_methods[] = {
    method("adagrad_step", py_rule<kAdagrad, 1>, kRuleDoc),
    method("adadelta_step", py_rule<kAdadelta, 2>, kRuleDoc),
    method("adamax_step", py_rule<kAdamax, 2>, kRuleDoc),
    method("asgd_step", py_rule<kAsgd, 1>, kRuleDoc),
    method("nadam_step", py_rule<kNadam, 2>, kRuleDoc),
    method("radam_step", py_rule<kRadam, 2>, kRuleDoc),
    method("rmsprop_step", py_rule<kRmsprop, 1>, kRuleDoc),
    method("rmsprop_centered_step", py_rule<kRmspropCentered, 2>, kRuleDoc),
    method("rmsprop_momentum_step", py_rule<kRmspropMomentum, 2>, kRuleDoc),
    method("rmsprop_both_step", py_rule<kRmspropBoth, 3>, kRuleDoc),
    method("rprop_step", py_rule<kRprop, 2>, kRuleDoc),
    method("add_to_each", py_add_to_each, "(arrays, value), or NotImplemented."),
    method("scale_each", py_change_each<true>, "(arrays, numbers), or NotImplemented."),
    method("write_each", py_change_each<false>, "(arrays, numbers), or NotImplemented."),
    method("sgd_step", py_sgd_step, "One step of SGD over a list, or NotImplemented."),
    method("adam_step", py_adam_step, "One step of Adam or AdamW, or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
