// Python functions of the special functions: erfc(x, out=None) and so on. Arrays are float32, or what
// else has a kernel, in any layout; the rest is left to the reference.
#include "operands.h"  // Python.h must come before the system's headers

#include "special.h"

namespace {

using namespace rl;

template <SpecialOp op>
PyObject* py_special(PyObject*, PyObject* const* args, Py_ssize_t n) {
    PyArrayObject* x = n >= 1 ? as_array(args[0]) : nullptr;
    const int number = x != nullptr ? number_of(x) : -1;
    if (number != kFloat32 && number != kFloat64) return not_handled();
    return unary(special_kernels().loops[op][number], x, n >= 2 ? args[1] : nullptr);
}

const char kDoc[] = "(x, out=None), or NotImplemented.";

}  // namespace

PyMethodDef special_methods[] = {
    method("erfc", py_special<kErfc>, kDoc),
    method("erfinv", py_special<kErfinv>, kDoc),
    method("lgamma", py_special<kLgamma>, kDoc),
    method("digamma", py_special<kDigamma>, kDoc),
    {nullptr, nullptr, 0, nullptr},
};
