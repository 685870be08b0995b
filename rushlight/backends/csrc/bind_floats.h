// bind_floats.h: float32 and float64 arguments of kernels that ask for a layout.
//
// An array that lies otherwise is copied, which costs a fraction of what the reference kernels
// cost.
#pragma once

#include "bind.h"
#include "bind_windows.h"
#include "strided_copy.h"

namespace rl {
namespace {

inline bool is_float_type(int type_num) { return type_num == NPY_FLOAT || type_num == NPY_DOUBLE; }

enum class Order { contiguous, channels_last, either };

// A reference to a float array in one of these orders; null for other dtypes, and, with Python's
// error set, when there is no memory for a copy.
class FloatInput {
  public:
    FloatInput(PyObject* object, Order order) {
        PyArrayObject* x = as_array(object);
        if (x == nullptr || !is_float_type(PyArray_TYPE(x)) || !PyArray_ISNOTSWAPPED(x)) return;
        const bool last = is_channels_last(x);
        channels_last_ = order == Order::channels_last || (order == Order::either && last);
        const bool lies_so = channels_last_ ? last : is_contiguous(x);
        if (PyArray_ISALIGNED(x) && lies_so) {
            Py_INCREF(object);
            array_.set(x);
            return;
        }
        array_.set(channels_last_ ? new_channels_last(PyArray_NDIM(x), PyArray_DIMS(x),
                                                      PyArray_TYPE(x))
                                  : new_like(x));
        if (array_.get() != nullptr) copy_elements(array_.get(), x);
    }
    PyArrayObject* get() const { return array_.get(); }
    bool channels_last() const { return channels_last_; }
    Order order() const { return channels_last_ ? Order::channels_last : Order::contiguous; }
    // A fresh array like this one, in the same order.
    PyArrayObject* result() const {
        PyArrayObject* x = array_.get();
        return channels_last_ ? new_channels_last(PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x))
                              : new_like(x);
    }

  private:
    Owned array_;
    bool channels_last_ = false;
};

}  // namespace
}  // namespace rl
