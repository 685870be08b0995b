"""`Tensor`: an n-dimensional array with a place in the graph.

The fields are `TensorBase`'s; the maths comes from the op files as method classes, the bridge to
Python and NumPy from `interchange.py`; what is here is what a tensor says about itself, its place
in the graph and its memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import autograd
from .autograd.grad_mode import state
from .autograd.inplace import bump_version, check_inference, make_view_node, set_history
from .autograd.node import Node, RemovableHandle
from .autograd.variable import TensorBase, alias, keep_inference, set_tensor_type
from .backends import kernels
from .backends.shapes import as_shape
from .device import CPU, device
from .interchange import InterchangeMethods
from .ops import TensorMethods
from .ops.common import wrap_dim
from .ops.from_data import to_array
from .size import Size
from .storage import UntypedStorage, storage_offset

__all__ = ["Tensor"]


class Tensor(InterchangeMethods, TensorMethods):
    """A multi-dimensional array of one dtype, with automatic differentiation.

    Made by `rushlight.tensor`, `zeros`, `from_numpy` and their like; `Tensor(data)` makes a float32
    one from sequences, `Tensor(2, 3)` an unset one of that shape.

    >>> import rushlight as torch
    >>> x = torch.tensor([[1., 2.], [3., 4.]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([[2., 4.],
            [6., 8.]])
    """

    __array_priority__ = 1000

    def __new__(cls, *data: Any, device: Any = None) -> Any:
        self = object.__new__(cls)
        if len(data) == 1 and isinstance(data[0], TensorBase):
            self._array = data[0]._array
            self._storage = data[0].storage_record
            keep_inference(self, data[0])
            return self
        if len(data) == 1 and not isinstance(data[0], (int, Size)):
            from . import dtypes

            self._array = to_array(data[0], dtypes.float32)
        else:
            shape = data[0] if len(data) == 1 and isinstance(data[0], Size) else data
            from .ops.create import empty

            self._array = empty(*shape)._array if shape else empty(0)._array
        self._is_inference = self._is_unversioned = state.inference
        return self

    def __init__(self, *data: Any, device: Any = None) -> None:
        """Everything is done by `__new__`."""

    @classmethod
    def _make_subclass(cls, tensor_class: Any, data: Any, require_grad: bool = False) -> Any:
        """A leaf of the given class that shares the memory of `data`."""
        self = object.__new__(tensor_class)
        self._array = data._array
        self._storage = data.storage_record
        keep_inference(self, data)
        if require_grad:
            self.requires_grad_(True)
        return self

    # ---- what it is ------------------------------------------------------------------------

    @property
    def device(self) -> device:
        """Where the memory lies."""
        return CPU

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return int(self._array.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._array.nbytes)

    @property
    def layout(self) -> Any:
        """How elements are stored; always `torch.strided` here."""
        from .formats import strided

        return strided

    @property
    def is_cuda(self) -> bool:
        """Whether the memory is a CUDA device's."""
        return False

    # Kinds of tensors that there are none of here.
    is_mps = is_meta = is_quantized = is_sparse = is_mkldnn = is_nested = is_xpu = False

    @property
    def names(self) -> tuple[None, ...]:
        """Names of dims; never set here."""
        return (None,) * self._array.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dim."""
        shape = self._array.shape
        if dim is None:
            return Size(shape)
        if not shape:
            raise IndexError("Dimension specified as 0 but tensor has no dimensions")
        return shape[wrap_dim(dim, len(shape))]

    def dim(self) -> int:
        """The number of dims."""
        return int(self._array.ndim)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    nelement = numel

    def element_size(self) -> int:
        """Bytes of one element."""
        return int(self._array.itemsize)

    def stride(self, dim: int | None = None) -> Any:
        """The distance in memory, in elements, between neighbours along each dim (or along one)."""
        array = self._array
        if array.size == 0:
            strides, step = [], 1
            for n in reversed(array.shape):
                strides.append(step)
                step *= max(n, 1)
            all_strides = tuple(reversed(strides))
        else:
            all_strides = tuple(s // array.itemsize for s in array.strides)
        return all_strides if dim is None else all_strides[dim]

    def storage_offset(self) -> int:
        """Elements between the start of the memory and the first element."""
        return storage_offset(self._array)

    def untyped_storage(self) -> UntypedStorage:
        """The memory shared with all views."""
        return UntypedStorage(self._array)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._array.__array_interface__["data"][0]) if self._array.size else 0

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether the elements lie in memory in the order of their indices."""
        name = getattr(memory_format, "name", "contiguous_format")
        array = self._array
        if name in ("channels_last", "channels_last_3d"):
            n = array.ndim
            return bool(array.transpose(0, *range(2, n), 1).flags.c_contiguous)
        return bool(array.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating-point one."""
        return self._array.dtype.kind in "fV"

    def is_complex(self) -> bool:
        """Whether the dtype is a complex one."""
        return bool(self._array.dtype.kind == "c")

    def is_signed(self) -> bool:
        """Whether the dtype has a sign."""
        return self.dtype.is_signed

    def is_conj(self) -> bool:
        """Always False: conjugates are computed at once."""
        return False

    is_neg = is_conj

    def is_inference(self) -> bool:
        """Whether the tensor, or the memory that it shows, was made in `inference_mode`."""
        return self._is_inference

    def is_same_size(self, other: Tensor) -> bool:
        """Whether both have the same shape."""
        return bool(self._array.shape == other._array.shape)

    def is_set_to(self, other: Tensor) -> bool:
        """Whether both show the same memory in the same way."""
        mine, theirs = self._array, other._array
        same = self.data_ptr() == other.data_ptr()
        return same and mine.shape == theirs.shape and mine.strides == theirs.strides

    def get_device(self) -> int:
        """The CUDA device number, -1 on the CPU."""
        return -1

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of PyTorch's old tensor type, or the tensor converted to a dtype."""
        from .formats import legacy_type_name, parse_type

        if dtype is None:
            return legacy_type_name(self.dtype)
        return self.to(parse_type(dtype))

    # ---- its place in the graph ------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Turns recording on or off for this leaf; returns it.

        RuntimeError for integers and bools, and for turning it off inside a graph.
        """
        if requires_grad and self._is_inference and not autograd.is_inference_mode_enabled():
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                "allowed."
            )
        if requires_grad and self._array.dtype.kind not in "fcV":
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require gradients"
            )
        if not requires_grad and self._grad_fn is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach()."
            )
        self._requires_grad = bool(requires_grad)
        return self

    def _refresh_view(self) -> None:
        """The base was changed in place since: its history is this view's, too."""
        if self._view_version != self._version and self._base._requires_grad:
            make_view_node(self)

    def _like_view(self, view: Tensor) -> Any:
        """The view of this base that shows what `view` shows, as a recorded operation."""
        item = self._array.itemsize
        strides = tuple(s // item for s in view._array.strides)
        return self.as_strided(view._array.shape, strides, view.storage_offset())

    def _set_history(self, node: Node, output_nr: int) -> None:
        set_history(self, node, output_nr)

    def _alias(self) -> Any:
        """A new tensor on the same memory, outside the graph."""
        result = alias(self)
        result._storage = self.storage_record
        return result

    @property
    def output_nr(self) -> int:
        """Which output of its node this tensor is."""
        return self._output_nr

    def _is_view(self) -> bool:
        return self._base is not None

    def _assign_grad(self, value: Any) -> None:
        """`.grad = value`, where `value` is not None."""
        if not isinstance(value, TensorBase):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of "
                f"type {type(value).__name__}"
            )
        if value._array.shape != self._array.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value._array.shape)}' to a "
                f"tensor of size '{list(self._array.shape)}'; the gradient and the tensor must "
                "have the same size"
            )
        if value._array.dtype != self._array.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype}' to a "
                f"tensor with dtype '{self.dtype}'; both must have the same dtype"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        self._grad = value

    def backward(self, gradient: Any = None, retain_graph: bool | None = None,
                 create_graph: bool = False, inputs: Any = None) -> None:  # fmt: skip
        """Adds to the `.grad` of every leaf behind this tensor the gradient of this tensor.

        `gradient` is that of this tensor itself; a scalar needs none.
        """
        autograd.backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def retain_grad(self) -> None:
        """Makes backward fill `.grad` of this tensor although it is no leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.grad_fn is None or self._retains_grad:
            return
        import weakref

        self._retains_grad = True
        reference = weakref.ref(self)

        def keep(grad: Any) -> None:
            tensor = reference()
            if tensor is not None:
                if tensor._grad is None:
                    tensor._grad = grad.detach().clone()
                else:
                    tensor._grad = tensor._grad + grad.detach()

        self._add_output_hook(keep)

    @property
    def retains_grad(self) -> bool:
        """Whether `.grad` of this non-leaf is filled by backward."""
        return self._retains_grad

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(grad)` when the gradient of this tensor is known; it may return another."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.grad_fn is not None:
            return self._add_output_hook(hook)
        if self._hooks is None:
            self._hooks = {}
        return RemovableHandle(self._hooks, hook)

    def _add_output_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        node = self.grad_fn
        assert node is not None
        if node.output_hooks is None:
            node.output_hooks = {}
        return RemovableHandle(node.output_hooks.setdefault(self._output_nr, {}), hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(tensor)` after `.grad` of this leaf was updated."""
        if self.grad_fn is not None:
            raise RuntimeError(
                "post accumulate grad hooks cannot be registered on non-leaf tensors"
            )
        if self._accumulate_hooks is None:
            self._accumulate_hooks = {}
        return RemovableHandle(self._accumulate_hooks, hook)

    @property
    def data(self) -> Any:
        """The same memory outside the graph; changes of it are not noticed by backward."""
        return alias(self)

    @data.setter
    def data(self, value: Any) -> None:
        self._array = value._array
        self._storage = None
        self._is_inference = value._is_inference
        self._is_unversioned = self._is_unversioned and value._is_inference

    # ---- memory ----------------------------------------------------------------------------

    def set_(self, source: Any = None, *args: Any) -> Tensor:
        """Makes this tensor show the memory of `source`."""
        check_inference(self)
        if source is None:
            self._array = kernels(self._array).empty((0,), self._array.dtype)
        elif isinstance(source, TensorBase):
            self._array = source._array
        else:
            raise TypeError("[set_] expected a Tensor; storages are not settable in rushlight yet")
        self._storage = None
        return self

    def resize_(self, *sizes: Any, memory_format: Any = None) -> Tensor:
        """Changes the shape, keeping the elements that lie first in memory; new ones are unset."""
        check_inference(self)
        if self.requires_grad:
            raise RuntimeError("cannot resize variables that require grad")
        shape = as_shape(sizes)
        old = self._array
        new = kernels(old).empty(shape, old.dtype)
        count = min(new.size, old.size)
        if new.size <= old.size and old.flags.c_contiguous:
            self._array = old.reshape(-1)[: new.size].reshape(shape)
        else:
            new.reshape(-1)[:count] = old.reshape(-1)[:count]
            self._array = new
        bump_version(self, "resize_")
        return self

    def resize_as_(self, other: Tensor, memory_format: Any = None) -> Tensor:
        """`resize_` to the shape of `other`."""
        return self.resize_(other._array.shape)

    def share_memory_(self) -> Tensor:
        """Moves the elements to memory that other processes can share; returns this tensor."""
        from .formats import move_to_shared_memory

        move_to_shared_memory(self)
        return self

    def is_shared(self) -> bool:
        """Whether the memory can be shared with other processes."""
        from .formats import is_in_shared_memory

        return is_in_shared_memory(self)

    def is_pinned(self, device: Any = None) -> bool:
        """Whether the memory is page-locked; never here."""
        return False

    def pin_memory(self, device: Any = None) -> Tensor:
        """Page-locked memory for a GPU; RuntimeError without one."""
        raise RuntimeError("Cannot access accelerator device when none is available.")

    def apply_(self, function: Callable[[Any], Any]) -> Tensor:
        """Replaces every element by `function(element)`; slow."""
        with autograd.no_grad():
            flat = [function(v) for v in self._array.reshape(-1).tolist()]
            self.copy_(self.new_tensor(flat).reshape(self._array.shape))
        return self

    def tril_(self, diagonal: int = 0) -> Tensor:
        """Sets the elements above a diagonal to 0."""
        return self.copy_(self.tril(diagonal))

    def triu_(self, diagonal: int = 0) -> Tensor:
        """Sets the elements below a diagonal to 0."""
        return self.copy_(self.triu(diagonal))


set_tensor_type(Tensor)
