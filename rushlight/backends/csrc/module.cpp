// module.cpp: the extension module rushlight.backends._native.
//
// Importing it chooses the instruction set and makes the caching allocator NumPy's. The kernels'
// Python functions come from the bind_*.cpp files, one method table each.
#define RL_IMPORTS_NUMPY
#include "bind.h"  // Python.h must come before the system's headers

#include <stdlib.h>

#include "allocator.h"
#include "dispatch.h"
#include "parallel.h"

// One line per binding file. Each ends with a row of nulls.
extern PyMethodDef elementwise_methods[];
extern PyMethodDef activation_methods[];
extern PyMethodDef pointwise_methods[];
extern PyMethodDef integer_methods[];
extern PyMethodDef special_methods[];
extern PyMethodDef ternary_methods[];
extern PyMethodDef softmax_methods[];
extern PyMethodDef reduce_methods[];
extern PyMethodDef random_methods[];
extern PyMethodDef optim_methods[];
extern PyMethodDef norm_methods[];
extern PyMethodDef image_methods[];
extern PyMethodDef gemm_methods[];
extern PyMethodDef conv_methods[];
extern PyMethodDef pool_methods[];
extern PyMethodDef recurrent_methods[];
extern PyMethodDef attention_methods[];
extern PyMethodDef view_methods[];
extern PyMethodDef index_methods[];
extern PyMethodDef mask_methods[];
extern PyMethodDef order_methods[];
extern PyMethodDef waist_methods[];
extern PyMethodDef checksum_methods[];
extern PyMethodDef module_class_methods[];
extern bool add_waist_types(PyObject* module);
extern bool intern_module_names();

static PyMethodDef* const method_tables[] = {
    elementwise_methods,
    activation_methods,
    pointwise_methods,
    integer_methods,
    special_methods,
    ternary_methods,
    softmax_methods,
    reduce_methods,
    random_methods,
    optim_methods,
    norm_methods,
    image_methods,
    gemm_methods,
    conv_methods,
    pool_methods,
    recurrent_methods,
    attention_methods,
    view_methods,
    index_methods,
    mask_methods,
    order_methods,
    waist_methods,
    checksum_methods,
    module_class_methods,
};

namespace {

using namespace rl;

// ------------------------------------------------------------------ NumPy's allocator
void* handler_malloc(void*, size_t size) { return cached_alloc(size); }
void* handler_calloc(void*, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return nullptr;
    return cached_calloc(bytes);
}
void* handler_realloc(void*, void* memory, size_t size) { return cached_realloc(memory, size); }
void handler_free(void*, void* memory, size_t) { cached_free(memory); }

PyDataMem_Handler handler = {
    "rushlight_cache", 1, {nullptr, handler_malloc, handler_calloc, handler_realloc, handler_free}};

PyObject* install_allocator(PyObject*, PyObject* const*, Py_ssize_t) {
    if (!install_allocator_here()) return nullptr;
    Py_RETURN_NONE;
}

PyObject* py_memory_stats(PyObject*, PyObject* const*, Py_ssize_t) {
    const MemoryStats s = memory_stats();
    return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K}", "current", s.current, "peak", s.peak, "cached",
                         s.cached, "cache_limit", s.cache_limit, "reused", s.reused, "fresh",
                         s.fresh);
}
PyObject* py_reset_peak_memory(PyObject*, PyObject* const*, Py_ssize_t) {
    reset_peak_memory();
    Py_RETURN_NONE;
}
PyObject* py_empty_cache(PyObject*, PyObject* const*, Py_ssize_t) {
    empty_cache();
    Py_RETURN_NONE;
}
PyObject* py_set_cache_limit(PyObject*, PyObject* const* args, Py_ssize_t n) {
    int64_t bytes;
    if (n != 1 || !as_int64(args[0], &bytes) || bytes < 0) {
        PyErr_SetString(PyExc_ValueError, "[set_cache_limit] expected a number of bytes >= 0");
        return nullptr;
    }
    set_cache_limit(uint64_t(bytes));
    Py_RETURN_NONE;
}

// ------------------------------------------------------------------ threads, instruction set
PyObject* py_num_threads(PyObject*, PyObject* const*, Py_ssize_t) {
    return PyLong_FromLong(num_threads());
}
PyObject* py_set_num_threads(PyObject*, PyObject* const* args, Py_ssize_t n) {
    int64_t threads;
    if (n != 1 || !as_int64(args[0], &threads) || threads < 1) {
        PyErr_SetString(PyExc_RuntimeError,
                        "[set_num_threads] expected a positive number of threads");
        return nullptr;
    }
    set_num_threads(threads > 100000 ? 100000 : int(threads));
    Py_RETURN_NONE;
}
PyObject* py_active_isa(PyObject*, PyObject* const*, Py_ssize_t) {
    return PyUnicode_FromString(isa_name(active_isa));
}
PyObject* py_usable_isas(PyObject*, PyObject* const*, Py_ssize_t) {
    PyObject* names = PyList_New(0);
    for (int i = 0; names != nullptr && usable_isa(i) != nullptr; i++) {
        PyObject* name = PyUnicode_FromString(usable_isa(i));
        if (name == nullptr || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

PyMethodDef frame_methods[] = {
    method("install_allocator", install_allocator,
           "Make the caching allocator NumPy's in this thread's context."),
    method("memory_stats", py_memory_stats, "Bytes in use, at peak, cached; and counts."),
    method("reset_peak_memory", py_reset_peak_memory, "Forget the peak so far."),
    method("empty_cache", py_empty_cache, "Give all cached blocks back to the system."),
    method("set_cache_limit", py_set_cache_limit, "Bound the bytes that are kept for reuse."),
    method("num_threads", py_num_threads, "How many threads kernels may use."),
    method("set_num_threads", py_set_num_threads, "Set how many threads kernels may use."),
    method("active_isa", py_active_isa, "The instruction set of the kernels in use."),
    method("usable_isas", py_usable_isas, "The instruction sets that can run here, best first."),
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_native", "Native CPU kernels of rushlight.", -1, nullptr,
    nullptr,               nullptr,   nullptr,                            nullptr};

}  // namespace

namespace rl {

thread_local bool allocator_installed = false;

bool install_allocator_here() {
    PyObject* capsule = PyCapsule_New(&handler, "mem_handler", nullptr);
    PyObject* before = capsule == nullptr ? nullptr : PyDataMem_SetHandler(capsule);
    Py_XDECREF(capsule);
    Py_XDECREF(before);
    allocator_installed = before != nullptr;
    return allocator_installed;
}

}  // namespace rl

PyMODINIT_FUNC PyInit__native() {
    import_array();
    const char* problem = choose_isa(getenv("RUSHLIGHT_ISA"));
    if (problem != nullptr) {
        PyErr_SetString(PyExc_RuntimeError, problem);
        return nullptr;
    }
    PyObject* module = PyModule_Create(&module_definition);
    if (module == nullptr || PyModule_AddFunctions(module, frame_methods) < 0) return nullptr;
    for (PyMethodDef* table : method_tables)
        if (PyModule_AddFunctions(module, table) < 0) return nullptr;
    return add_waist_types(module) && intern_module_names() ? module : nullptr;
}
