// bind.h: what bindings need to take NumPy arrays from Python and give them back.
//
// A binding is a METH_FASTCALL function. It reads its arguments, and when it meets a dtype or layout
// that its kernel does not take it returns `not_handled()`: Python's NotImplemented, on which the
// caller in cpu.py goes on to the reference kernel. Errors are never raised for unsupported input.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL rushlight_array_api
#ifndef RL_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>
#include <stdint.h>

namespace rl {

inline PyObject* not_handled() {
    Py_INCREF(Py_NotImplemented);
    return Py_NotImplemented;
}

// The argument as an array, or null when it is anything else (a subclass, a number, None).
inline PyArrayObject* as_array(PyObject* object) {
    return PyArray_CheckExact(object) ? reinterpret_cast<PyArrayObject*>(object) : nullptr;
}

inline bool is_none(PyObject* object) { return object == Py_None; }

// Native byte order and aligned elements: what every kernel needs.
inline bool is_behaved(PyArrayObject* array) {
    return PyArray_ISALIGNED(array) && PyArray_ISNOTSWAPPED(array);
}

inline bool is_contiguous(PyArrayObject* array) { return PyArray_IS_C_CONTIGUOUS(array); }

// A behaved array of this type number, C-contiguous; else null.
inline PyArrayObject* contiguous_of(PyObject* object, int type_num) {
    PyArrayObject* array = as_array(object);
    if (array == nullptr || PyArray_TYPE(array) != type_num) return nullptr;
    return is_behaved(array) && is_contiguous(array) ? array : nullptr;
}

template <class T>
inline T* data(PyArrayObject* array) {
    return static_cast<T*>(PyArray_DATA(array));
}

// NumPy keeps its allocator per context, and every thread starts with a context of its own: the first
// operation of a thread installs ours there (module.cpp).
extern thread_local bool allocator_installed;
bool install_allocator_here();

// A fresh C-contiguous array, uninitialised; null with MemoryError set.
inline PyArrayObject* new_array(int ndim, const npy_intp* shape, int type_num) {
    return reinterpret_cast<PyArrayObject*>(
        PyArray_SimpleNew(ndim, const_cast<npy_intp*>(shape), type_num));
}
inline PyArrayObject* new_like(PyArrayObject* array) {
    return new_array(PyArray_NDIM(array), PyArray_DIMS(array), PyArray_TYPE(array));
}

inline bool same_shape(PyArrayObject* a, PyArrayObject* b) {
    const int ndim = PyArray_NDIM(a);
    if (ndim != PyArray_NDIM(b)) return false;
    for (int i = 0; i < ndim; i++)
        if (PyArray_DIM(a, i) != PyArray_DIM(b, i)) return false;
    return true;
}

// Reads a Python number; false when the object is not one (no Python error is left behind).
inline bool as_double(PyObject* object, double* value) {
    if (PyFloat_CheckExact(object)) {
        *value = PyFloat_AS_DOUBLE(object);
        return true;
    }
    if (!PyFloat_Check(object) && !PyLong_Check(object)) return false;
    *value = PyFloat_AsDouble(object);
    if (*value == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return true;
}
inline bool as_int64(PyObject* object, int64_t* value) {
    if (!PyLong_Check(object)) return false;
    *value = PyLong_AsLongLong(object);
    if (*value == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return true;
}

// Reads a tuple of ints of at most `most` entries; its length, or -1.
inline int as_int_tuple(PyObject* object, int64_t* values, int most) {
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) > most) return -1;
    const int n = int(PyTuple_GET_SIZE(object));
    for (int i = 0; i < n; i++)
        if (!as_int64(PyTuple_GET_ITEM(object, i), &values[i])) return -1;
    return n;
}

// A reference that is given back unless it is taken.
class Owned {
  public:
    explicit Owned(PyArrayObject* array = nullptr) : array_(array) {}
    ~Owned() { Py_XDECREF(array_); }
    Owned(const Owned&) = delete;
    Owned& operator=(const Owned&) = delete;
    void set(PyArrayObject* array) {
        Py_XDECREF(array_);
        array_ = array;
    }
    PyArrayObject* get() const { return array_; }
    // The array, or None where there is none; the reference is the caller's.
    PyObject* release() {
        PyObject* object = reinterpret_cast<PyObject*>(array_);
        array_ = nullptr;
        if (object != nullptr) return object;
        Py_INCREF(Py_None);
        return Py_None;
    }
    template <class T>
    T* values() const {
        return array_ != nullptr ? data<T>(array_) : nullptr;
    }

  private:
    PyArrayObject* array_;
};

// Lets other Python threads run while a kernel works; worth its 100 ns only for long work.
class ReleaseGil {
  public:
    explicit ReleaseGil(bool worthwhile) : state_(worthwhile ? PyEval_SaveThread() : nullptr) {}
    ~ReleaseGil() {
        if (state_ != nullptr) PyEval_RestoreThread(state_);
    }
    ReleaseGil(const ReleaseGil&) = delete;
    ReleaseGil& operator=(const ReleaseGil&) = delete;

  private:
    PyThreadState* state_;
};

// Elementwise work on this many elements is worth a release of the GIL.
constexpr int64_t kReleaseGilElements = 16384;

typedef PyObject* (*FastCall)(PyObject*, PyObject* const*, Py_ssize_t);

// A row of a method table. The cast is the one the C API prescribes for METH_FASTCALL.
inline PyMethodDef method(const char* name, FastCall function, const char* doc) {
    return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)),
            METH_FASTCALL, doc};
}

}  // namespace rl
