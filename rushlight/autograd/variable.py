"""What the tape needs to know of a tensor: its array, its memory, its place in the graph.

`TensorBase` holds the fields and nothing of the maths; `rushlight.Tensor` adds the operations.
Fields have their defaults on the class, so that making a tensor costs one attribute.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..dtypes import BY_NUMPY, dtype, from_numpy_dtype
from ..size import Size
from ..types_ import Array
from .anomaly import PACKAGE, user_line
from .grad_mode import state
from .twin import native

if TYPE_CHECKING:
    from .node import Node

__all__ = ["FIELDS", "Storage", "TensorBase", "alias", "arrays_of", "bump_version",
           "dtypes_of", "keep_inference", "mark_changed", "set_tensor_type",
           "with_gradient", "wrap"]  # fmt: skip


class Storage:
    """The memory that a tensor and its views share, with a count of in-place changes.

    A tensor gets its `Storage` when somebody needs it: at the first view, the first in-place
    change, or when an operation saves its own result. `changed_by` remembers the last in-place
    operation and the user's line, for the error that a stale saved tensor raises.
    """

    __slots__ = ("version", "changed_by", "__weakref__")

    def __init__(self) -> None:
        self.version = 0
        self.changed_by: tuple[str, str, int] | None = None


NO_GRAD_OF_A_RESULT = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
    "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
    "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor."
)


class TensorBase:
    """An array with a place in the graph. See `rushlight.Tensor` for the public class."""

    _array: Array
    _requires_grad: bool = False
    _grad_fn: Node | None = None
    _output_nr: int = 0
    _grad: Any = None
    _storage: Storage | None = None
    _base: Any = None  # of a view: the tensor whose memory it shows
    _view_version: int = 0  # of a view: the version at which `_grad_fn` was right
    _hooks: Any = None  # of a leaf: {handle id: hook}
    _accumulate_hooks: Any = None
    _accumulate_grad: Any = None  # weak reference to the node that stands for this leaf
    _retains_grad: bool = False
    _is_inference: bool = False  # made in inference mode, or around the memory of such a tensor
    _is_unversioned: bool = False  # made in inference mode, which does not count changes

    if TYPE_CHECKING:  # the operations, which the subclass brings

        def __getattr__(self, name: str) -> Any: ...

    @property
    def storage_record(self) -> Storage:
        """The `Storage` shared with all views, made on first use."""
        storage = self._storage
        if storage is None:
            storage = self._storage = Storage()
        return storage

    @property
    def _version(self) -> int:
        storage = self._storage
        return 0 if storage is None else storage.version

    # ---- what everybody asks a tensor ------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each dim."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> dtype:
        """The element type."""
        return from_numpy_dtype(self._array.dtype)

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return int(self._array.ndim)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        if self._base is not None and not self._requires_grad and self._base._requires_grad:
            self._refresh_view()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def grad_fn(self) -> Node | None:
        """The node of the operation that made this tensor; None for a leaf."""
        if self._base is not None and self._view_version != self._version:
            self._refresh_view()
        return self._grad_fn

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self.grad_fn is None

    @property
    def grad(self) -> Any:
        """The accumulated gradient of a leaf, None before the first backward."""
        if self._grad is None and self._grad_fn is not None and not self._retains_grad:
            warnings.warn(NO_GRAD_OF_A_RESULT, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is None:
            self._grad = None
        else:
            self._assign_grad(value)

    @grad.deleter
    def grad(self) -> None:
        self._grad = None


# The fields of a tensor; whatever else it carries was put there by the user.
FIELDS = (
    "_array", "_requires_grad", "_grad_fn", "_output_nr", "_grad", "_storage", "_base",
    "_view_version", "_hooks", "_accumulate_hooks", "_accumulate_grad", "_retains_grad",
    "_is_inference", "_is_unversioned",
)  # fmt: skip

_new = object.__new__
_tensor_type: type[Any] = TensorBase


def set_tensor_type(cls: type[Any]) -> None:
    """Names the class that operations return; called once, by the module that defines it."""
    global _tensor_type
    _tensor_type = cls


def wrap(array: Array) -> Any:
    """A tensor around `array`, outside every graph."""
    tensor = _new(_tensor_type)
    tensor._array = array
    if state.inference:
        tensor._is_inference = tensor._is_unversioned = True
    return tensor


def alias(tensor: Any) -> Any:
    """A tensor around the same array, outside the graph."""
    result = wrap(tensor._array)
    if tensor._is_inference or result._is_inference:
        keep_inference(result, tensor)
    return result


def keep_inference(alias: Any, tensor: Any) -> None:
    """Marks an alias of `tensor`: where that is of inference mode, so is the alias.

    An alias made outside of inference mode counts its changes, so it may be changed there.
    """
    alias._is_inference = tensor._is_inference
    alias._is_unversioned = tensor._is_inference and state.inference


def mark_changed(tensors: Sequence[Any], operation: str) -> None:
    """Counts an in-place change of each tensor, and remembers the user's line that made it."""
    who = (operation, *user_line())
    for tensor in tensors:
        storage = tensor.storage_record
        storage.version += 1
        storage.changed_by = who


def bump_version(tensor: Any, operation: str) -> None:
    """Counts an in-place change and remembers who made it."""
    mark_changed((tensor,), operation)


def arrays_of(tensors: Sequence[Any]) -> list[Array]:
    """The arrays of the tensors."""
    return [tensor._array for tensor in tensors]


def dtypes_of(tensors: Sequence[Any]) -> set[dtype]:
    """The dtypes of the tensors."""
    return {tensor.dtype for tensor in tensors}


def with_gradient(tensors: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The tensors that have a gradient, and their gradients."""
    chosen, grads = [], []
    for tensor in tensors:
        grad = tensor.grad
        if grad is not None:
            chosen.append(tensor)
            grads.append(grad)
    return chosen, grads


if native is not None:
    native.connect("dtypes", BY_NUMPY)
    native.connect("from_numpy_dtype", from_numpy_dtype)
    native.connect("size_type", Size)
    native.connect("no_grad_message", NO_GRAD_OF_A_RESULT)
    native.connect("package", PACKAGE)
    Storage, TensorBase = native.Storage, native.TensorBase  # type: ignore[misc]
    set_tensor_type, wrap = native.set_tensor_type, native.wrap
    mark_changed, bump_version = native.mark_changed, native.bump_version
    arrays_of, dtypes_of = native.arrays_of, native.dtypes_of
    with_gradient = native.with_gradient
