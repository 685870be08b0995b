// Python functions of the random kernels. `key` is the generator's uint32[624], changed in place, and
// `position` its index; each function returns the numbers and the new position.
#include "bind.h"
#include "random.h"

namespace {

using namespace rl;

bool read_twister(PyObject* key, PyObject* position, Twister* twister) {
    PyArrayObject* words = contiguous_of(key, NPY_UINT32);
    if (words == nullptr || PyArray_SIZE(words) != 624 || !PyArray_ISWRITEABLE(words)) return false;
    twister->key = data<uint32_t>(words);
    return as_int64(position, &twister->position) && twister->position >= 0 &&
           twister->position <= 624;
}

// A tuple of ints, as an array's shape; false if it is no such thing.
bool read_shape(PyObject* object, npy_intp* shape, int* ndim) {
    int64_t values[NPY_MAXDIMS];
    *ndim = as_int_tuple(object, values, NPY_MAXDIMS);
    for (int i = 0; i < *ndim; i++) {
        if (values[i] < 0) return false;
        shape[i] = npy_intp(values[i]);
    }
    return *ndim >= 0;
}

PyObject* numbers_and_position(PyArrayObject* numbers, const Twister& twister) {
    return Py_BuildValue("(NL)", numbers, static_cast<long long>(twister.position));
}

// The result array of (key, position, shape, ...), null when not handled or out of memory.
PyArrayObject* start(PyObject* const* args, int type_num, Twister* twister) {
    npy_intp shape[NPY_MAXDIMS];
    int ndim;
    if (!read_twister(args[0], args[1], twister) || !read_shape(args[2], shape, &ndim))
        return nullptr;
    return new_array(ndim, shape, type_num);
}
PyObject* failed() { return PyErr_Occurred() ? nullptr : not_handled(); }

// uniform(key, position, shape, double)
PyObject* py_uniform(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 4) return not_handled();
    const bool twice = PyObject_IsTrue(args[3]) == 1;
    Twister twister;
    PyArrayObject* out = start(args, twice ? NPY_DOUBLE : NPY_FLOAT, &twister);
    if (out == nullptr) return failed();
    const int64_t n = PyArray_SIZE(out);
    if (twice)
        random_kernels().uniform_f64(&twister, data<double>(out), n);
    else
        random_kernels().uniform_f32(&twister, data<float>(out), n);
    return numbers_and_position(out, twister);
}

// Fewer numbers than a block, in double precision and then rounded.
void few_normals(Twister* twister, PyArrayObject* out, double mean, double std, double* kept,
                 bool* has_kept) {
    double numbers[16];
    const int64_t n = PyArray_SIZE(out);
    random_kernels().normal_pairs(twister, numbers, mean, std, n, kept, has_kept);
    for (int64_t i = 0; i < n; i++) {
        if (PyArray_TYPE(out) == NPY_DOUBLE)
            data<double>(out)[i] = numbers[i];
        else
            data<float>(out)[i] = float(numbers[i]);
    }
}

// normal(key, position, shape, double, mean, std, next_normal) gives the numbers, the position
// and the next call's next_normal.
PyObject* py_normal(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    double mean, std, kept = 0;
    if (nargs != 7 || !as_double(args[4], &mean) || !as_double(args[5], &std)) return not_handled();
    bool has_kept = !is_none(args[6]);
    if (has_kept && !as_double(args[6], &kept)) return not_handled();
    const bool twice = PyObject_IsTrue(args[3]) == 1;
    Twister twister;
    PyArrayObject* out = start(args, twice ? NPY_DOUBLE : NPY_FLOAT, &twister);
    if (out == nullptr) return failed();
    const int64_t n = PyArray_SIZE(out);
    if (n < 16) {
        few_normals(&twister, out, mean, std, &kept, &has_kept);
    } else {
        ReleaseGil unlocked(n >= kReleaseGilElements);
        if (twice)
            random_kernels().normal_f64(&twister, data<double>(out), mean, std, n);
        else
            random_kernels().normal_f32(&twister, data<float>(out), float(mean), float(std), n);
    }
    PyObject* next = has_kept ? PyFloat_FromDouble(kept) : Py_NewRef(Py_None);
    return Py_BuildValue("(NLN)", out, static_cast<long long>(twister.position), next);
}

// normal_pairs(key, position, shape, mean, std, next_normal): as normal, never in blocks.
PyObject* py_normal_pairs(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    double mean, std, kept = 0;
    if (nargs != 6 || !as_double(args[3], &mean) || !as_double(args[4], &std)) return not_handled();
    bool has_kept = !is_none(args[5]);
    if (has_kept && !as_double(args[5], &kept)) return not_handled();
    Twister twister;
    PyArrayObject* out = start(args, NPY_DOUBLE, &twister);
    if (out == nullptr) return failed();
    const int64_t n = PyArray_SIZE(out);
    random_kernels().normal_pairs(&twister, data<double>(out), mean, std, n, &kept, &has_kept);
    PyObject* next = has_kept ? PyFloat_FromDouble(kept) : Py_NewRef(Py_None);
    return Py_BuildValue("(NLN)", out, static_cast<long long>(twister.position), next);
}

// bernoulli(key, position, shape, p, as_bool)
PyObject* py_bernoulli(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    double p;
    if (nargs != 5 || !as_double(args[3], &p)) return not_handled();
    const bool as_bool = PyObject_IsTrue(args[4]) == 1;
    Twister twister;
    PyArrayObject* out = start(args, as_bool ? NPY_BOOL : NPY_FLOAT, &twister);
    if (out == nullptr) return failed();
    const int64_t n = PyArray_SIZE(out);
    if (as_bool)
        random_kernels().bernoulli_bool(&twister, data<bool>(out), p, n);
    else
        random_kernels().bernoulli_f32(&twister, data<float>(out), p, n);
    return numbers_and_position(out, twister);
}

// integers(key, position, shape, low, span), 0 < span < 2^63
PyObject* py_integers(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    int64_t low, span;
    if (nargs != 5 || !as_int64(args[3], &low) || !as_int64(args[4], &span) || span <= 0)
        return not_handled();
    Twister twister;
    PyArrayObject* out = start(args, NPY_INT64, &twister);
    if (out == nullptr) return failed();
    random_kernels().integers(&twister, data<int64_t>(out), low, uint64_t(span), PyArray_SIZE(out));
    return numbers_and_position(out, twister);
}

// draws(key, position, shape), permutation(key, position, shape)
PyObject* py_draws(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    Twister twister;
    if (nargs != 3) return not_handled();
    PyArrayObject* out = start(args, NPY_UINT32, &twister);
    if (out == nullptr) return failed();
    random_kernels().draws(&twister, data<uint32_t>(out), PyArray_SIZE(out));
    return numbers_and_position(out, twister);
}
PyObject* py_permutation(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
    Twister twister;
    if (nargs != 3) return not_handled();
    PyArrayObject* out = start(args, NPY_INT64, &twister);
    if (out == nullptr) return failed();
    random_kernels().permutation(&twister, data<int64_t>(out), PyArray_SIZE(out));
    return numbers_and_position(out, twister);
}

}  // namespace

PyMethodDef random_methods[] = {
    method("random_uniform", py_uniform, "(key, position, shape, double)."),
    method("random_normal", py_normal, "(key, position, shape, double, mean, std, next)."),
    method("random_normal_pairs", py_normal_pairs, "(key, position, shape, mean, std, next)."),
    method("random_bernoulli", py_bernoulli, "(key, position, shape, p, as_bool)."),
    method("random_integers", py_integers, "(key, position, shape, low, span)."),
    method("random_draws", py_draws, "(key, position, shape)."),
    method("random_permutation", py_permutation, "(key, position, shape)."),
    {nullptr, nullptr, 0, nullptr},
};
