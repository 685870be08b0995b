// Python functions of the optimizer steps. They return None when the step was done and
// NotImplemented, with nothing touched, when some array is of a kind that the kernels do not take.
#include "bind.h"  // Python.h must come before the system's headers

#include <vector>

#include "optim.h"

namespace {

using namespace rl;

// A list or tuple of arrays like `params`; entry i is checked against parameter i.
class ArrayList {
  public:
    explicit ArrayList(PyObject* object)
        : items_(PyList_Check(object) || PyTuple_Check(object) ? object : nullptr) {}
    bool is_list() const { return items_ != nullptr; }
    Py_ssize_t size() const { return PySequence_Fast_GET_SIZE(items_); }
    PyObject* item(Py_ssize_t i) const { return PySequence_Fast_GET_ITEM(items_, i); }

    // The data of entry i if it is a contiguous array of this type and size; else null.
    void* data_of(Py_ssize_t i, int type_num, int64_t n, bool writeable) const {
        PyArrayObject* array = contiguous_of(item(i), type_num);
        if (array == nullptr || PyArray_SIZE(array) != n) return nullptr;
        if (writeable && !PyArray_ISWRITEABLE(array)) return nullptr;
        return PyArray_DATA(array);
    }

  private:
    PyObject* items_;
};

// Fills one range per parameter; false when something does not fit. Unused lists are empty.
bool make_ranges(const ArrayList& params, const ArrayList& grads, const ArrayList& first,
                 const ArrayList& second, const ArrayList& largest, int* type_num,
                 std::vector<OptimRange>* ranges) {
    if (!params.is_list() || !grads.is_list() || !first.is_list() || !second.is_list() ||
        !largest.is_list() || grads.size() != params.size())
        return false;
    for (Py_ssize_t i = 0; i < params.size(); i++) {
        PyArrayObject* param = as_array(params.item(i));
        if (param == nullptr) return false;
        const int type = PyArray_TYPE(param);
        if (i == 0) *type_num = type;
        if (type != *type_num || (type != NPY_FLOAT && type != NPY_DOUBLE)) return false;
        const int64_t n = PyArray_SIZE(param);
        OptimRange range = {};
        range.n = n;
        range.param = params.data_of(i, type, n, true);
        range.grad = grads.data_of(i, type, n, false);
        if (range.param == nullptr || range.grad == nullptr) return false;
        const ArrayList* lists[] = {&first, &second, &largest};
        void** slots[] = {&range.first, &range.second, &range.largest};
        for (int k = 0; k < 3; k++) {
            if (lists[k]->size() == 0) continue;
            if (lists[k]->size() != params.size()) return false;
            *slots[k] = lists[k]->data_of(i, type, n, true);
            if (*slots[k] == nullptr) return false;
        }
        ranges->push_back(range);
    }
    return true;
}

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
    PyObject* nothing = PyTuple_New(0);
    if (nothing == nullptr) return nullptr;
    const ArrayList none(nothing), params(args[0]), grads(args[1]);
    const ArrayList buffers(s.momentum != 0 ? args[2] : nothing);
    std::vector<OptimRange> ranges;
    int type_num = NPY_FLOAT;
    bool fits = make_ranges(params, grads, buffers, none, none, &type_num, &ranges);
    fits = fits && (s.momentum == 0 || buffers.size() == params.size());
    Py_DECREF(nothing);
    if (!fits) return not_handled();
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
    const ArrayList params(args[0]), grads(args[1]), means(args[2]), squares(args[3]);
    const ArrayList largest(args[4]), steps(args[5]);
    std::vector<OptimRange> ranges;
    int type_num = NPY_FLOAT;
    if (!steps.is_list() ||
        !make_ranges(params, grads, means, squares, largest, &type_num, &ranges) ||
        means.size() != params.size() || squares.size() != params.size() ||
        steps.size() != params.size() || (s.amsgrad && largest.size() != params.size()))
        return not_handled();
    for (Py_ssize_t i = 0; i < steps.size(); i++)
        if (!as_double(steps.item(i), &ranges[size_t(i)].step)) return not_handled();
    {
        ReleaseGil unlocked(total_size(ranges) >= kReleaseGilElements);
        const OptimKernels& kernels = optim_kernels();
        (type_num == NPY_FLOAT ? kernels.adam_f32 : kernels.adam_f64)(ranges.data(),
                                                                      int(ranges.size()), s);
    }
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef optim_methods[] = {
    method("sgd_step", py_sgd_step, "One step of SGD over a list, or NotImplemented."),
    method("adam_step", py_adam_step, "One step of Adam or AdamW, or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
