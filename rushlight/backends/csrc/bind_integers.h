// bind_integers.h: the division of integers, for the functions that take floats as well.
#pragma once

#include "bind.h"

#include "integers.h"

namespace rl {

// op(x, y, out=None), or NotImplemented.
PyObject* divide_integers(DivisionOp op, PyObject* const* args, Py_ssize_t n);

}  // namespace rl
