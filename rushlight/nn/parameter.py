"""Tensors that a Module registers by itself: parameters, buffers and their not-yet-shaped kinds."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Size, Tensor

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class Parameter(Tensor):
    """A tensor that becomes a parameter of the `Module` it is assigned to.

    `Parameter(data, requires_grad=True)` shares the memory of `data` and is a leaf of the autograd
    graph; `data=None` makes an empty parameter. Results of operations on parameters are plain
    tensors.

    >>> import rushlight as torch
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.requires_grad, (weight * 2).is_leaf
    (True, False)
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = rushlight.empty(0)
        return Tensor._make_subclass(cls, data.detach(), requires_grad)

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        """Everything is done by `__new__`."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        copy = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __repr__(self) -> str:  # type: ignore[override]  # without Tensor's keyword, as PyTorch's
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild_parameter, (self.data, self.requires_grad)


def _rebuild_parameter(data: Tensor, requires_grad: bool) -> Parameter:
    return Parameter(data, requires_grad)


class Buffer(Tensor):
    """A tensor that becomes a buffer of the `Module` it is assigned to.

    With `persistent=False` it stays out of the module's `state_dict`.

    >>> import rushlight as torch
    >>> module = torch.nn.Module()
    >>> module.total = torch.nn.Buffer(torch.zeros(1))
    >>> list(module.state_dict())
    ['total']
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            data = rushlight.empty(0)
        buffer = Tensor._make_subclass(cls, data.detach(), data.requires_grad)
        buffer.persistent = persistent
        return buffer

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        """Everything is done by `__new__`."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        if id(self) in memo:
            return memo[id(self)]
        copy = type(self)(self.data.clone(), persistent=self.persistent)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild_buffer, (self.data, self.persistent)


def _rebuild_buffer(data: Tensor, persistent: bool) -> Buffer:
    return Buffer(data, persistent=persistent)


class UninitializedTensorMixin(Tensor):
    """What a tensor without a shape may do: learn its dtype and device, and then its shape."""

    cls_to_become: type[Tensor]

    def materialize(
        self,
        shape: tuple[int, ...],
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        """Gives the tensor its shape (uninitialised values) and makes it an ordinary one."""
        device = device if device is not None else self.data.device
        dtype = dtype if dtype is not None else self.data.dtype
        self.data = rushlight.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]  # a sibling class

    @property
    def shape(self) -> Size:
        raise RuntimeError(
            "the shape of an uninitialized parameter is not known yet; run the module once on a "
            "sample input so that its lazy parameters take their shapes"
        )

    def share_memory_(self) -> Tensor:
        raise RuntimeError(
            "share_memory_ needs an initialized parameter; run the lazy module once on a sample "
            "input first"
        )

    def __repr__(self) -> str:  # type: ignore[override]  # without Tensor's keyword, as PyTorch's
        return f"<{type(self).__name__}>"


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first input of its lazy module will decide."""

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        data = rushlight.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        """Everything is done by `__new__`."""

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        if id(self) in memo:
            return memo[id(self)]
        copy = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return UninitializedParameter, (self.requires_grad, self.data.device, self.data.dtype)


class UninitializedBuffer(UninitializedTensorMixin):
    """A buffer whose shape the first input of its lazy module will decide."""

    cls_to_become = Tensor
    persistent: bool

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        data = rushlight.empty(0, device=device, dtype=dtype)
        buffer = Tensor._make_subclass(cls, data, requires_grad)
        buffer.persistent = persistent
        return buffer

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        """Everything is done by `__new__`."""


def is_lazy(param: Any) -> bool:
    """True for a parameter or buffer that still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)
