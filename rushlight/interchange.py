"""What a tensor is to Python and NumPy: numbers, arrays, DLPack, text, copies, pickles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .autograd.grad_mode import state
from .autograd.variable import FIELDS, TensorBase
from .printing import tensor_repr

__all__ = ["InterchangeMethods"]


class InterchangeMethods(TensorBase):
    """Conversions of tensors as methods of `Tensor`."""

    def item(self) -> Any:
        """The one element as a Python number; RuntimeError if there are more or none."""
        array = self._array
        if array.size != 1:
            raise RuntimeError(f"a Tensor with {array.size} elements cannot be converted to Scalar")
        value = array.item()
        return value if array.dtype.kind != "V" else float(value)

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        array = self._array
        if array.dtype.kind == "V":
            array = array.astype(np.float32)
        return array.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """The array that shares this tensor's memory.

        RuntimeError if the tensor requires a gradient, unless `force`; TypeError for bfloat16 and
        float8, which NumPy does not have.
        """
        if not force and self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        if self._array.dtype.kind == "V":
            raise TypeError(
                f"Got unsupported ScalarType {self.dtype.name}; convert it with .float() first"
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None,
                   copy: Any = None) -> Any:  # fmt: skip
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        options: dict[str, Any] = {}
        if max_version is not None:
            options["max_version"] = max_version
        if copy is not None:
            options["copy"] = copy
        return self._array.__dlpack__(stream=None, **options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __bool__(self) -> bool:
        array = self._array
        if array.size != 1:
            if array.size == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iub" or self._array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._array.item())

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return int(self._array.shape[0])

    def __iter__(self) -> Iterator[Any]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __contains__(self, element: Any) -> bool:
        return bool((self == element).any())

    def __format__(self, spec: str) -> str:
        from .tensor import Tensor

        if self._array.ndim == 0 and type(self) is Tensor:
            return format(self.item(), spec)
        return object.__format__(self, spec)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return tensor_repr(self)

    def __dir__(self) -> list[str]:
        return sorted(set(object.__dir__(self)))

    def __copy__(self) -> Any:
        result = object.__new__(type(self))
        for name in FIELDS:
            setattr(result, name, getattr(self, name))
        result.__dict__.update(self.__dict__)
        result._is_inference = result._is_unversioned = state.inference
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment. If you were attempting to deepcopy a module, this may be "
                "because a non-leaf tensor is stored in it"
            )
        if id(self) in memo:
            return memo[id(self)]
        from copy import deepcopy

        result = object.__new__(type(self))
        memo[id(self)] = result
        result._array = self._array.copy("K")
        result._is_inference = result._is_unversioned = state.inference
        result._requires_grad = self._requires_grad
        if self._grad is not None:
            result._grad = deepcopy(self._grad, memo)
        for name, value in self.__dict__.items():
            if not name.startswith("_"):
                result.__dict__[name] = deepcopy(value, memo)
        return result

    def __reduce_ex__(self, protocol: Any) -> Any:
        from .formats import rebuild_tensor

        if self._grad_fn is not None:
            raise RuntimeError(
                "cannot pickle a tensor inside a graph (a non-leaf that requires grad); pickle "
                "tensor.detach() instead"
            )
        extra = {k: v for k, v in self.__dict__.items() if not k.startswith("_")}
        array = np.ascontiguousarray(self._array) if self._array.ndim else self._array
        return rebuild_tensor, (type(self), array, self._requires_grad, extra)

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)
