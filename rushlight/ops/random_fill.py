"""Filling a tensor with random numbers, in the order in which they lie in memory."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from .. import random as generators
from ..autograd.inplace import bump_version, check_in_place
from ..autograd.overlap import check_repeats
from ..backends import kernels
from ..types_ import Array
from .common import TensorBase
from .memory_format import memory_axes

__all__ = ["normal_", "RandomFillMethods"]


def state_of(generator: Any) -> Any:
    """The random state of a generator, or of the default one for None."""
    return (generators.default_generator if generator is None else generator).state


def _fill(self: Any, values: Array, name: str) -> Any:
    """Writes `values`, an array of the shape of `_in_memory_order`, over the tensor."""
    check_in_place(self)
    check_repeats(self, name)
    target = _in_memory_order(self._array)
    target[...] = values if values.dtype == target.dtype else kernels(values).cast(
        values, target.dtype)  # fmt: skip
    bump_version(self, name)
    return self


def _in_memory_order(array: Array) -> Array:
    """A view with the axes in the order in which PyTorch fills a tensor: as memory has them."""
    axes = memory_axes(array)
    return array if axes is None else array.transpose(axes)


def _uniforms(self: Any, generator: Any) -> Array:
    shape = _in_memory_order(self._array).shape
    return kernels(self._array).random_uniform(state_of(generator), shape, dtypes.float64.numpy)


def _normals_in_pairs(array: Array, mean: float, std: float, generator: Any) -> Array:
    shape = _in_memory_order(array).shape
    numbers = kernels(array).random_normal_pairs(state_of(generator), array.size, mean, std)
    return numbers.reshape(shape)


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None,
            _draw: bool = True) -> Any:  # fmt: skip
    """Fills this tensor with normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if self._array.dtype.kind not in "fcV":
        raise RuntimeError(f'"normal_kernel_cpu" not implemented for {self.dtype}')
    if not _draw:
        return self.mul_(std).add_(mean) if (mean, std) != (0.0, 1.0) else self
    array = self._array
    if array.flags.c_contiguous or array.dtype.kind == "c":
        shape = _in_memory_order(array).shape
        values = kernels(array).random_normal(state_of(generator), shape, array.dtype, mean, std)
    else:  # PyTorch makes blocks of normal numbers for contiguous memory alone
        values = _normals_in_pairs(array, mean, std, generator)
    return _fill(self, values, "normal_")


class RandomFillMethods:
    """Random filling as methods of `Tensor`."""

    normal_ = normal_

    def uniform_(self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Any = None,
                 **kwargs: Any) -> Any:  # fmt: skip
        """Fills this tensor with uniform numbers in [from, to)."""
        low = kwargs.pop("from", from_)
        if kwargs:
            raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(kwargs))}'")
        if low > to:
            raise RuntimeError(
                f"uniform_ expects to return a [from, to) range, but found from={low} > to={to}"
            )
        k, array = kernels(self._array), self._array
        if array.dtype.kind not in "fcV":
            raise RuntimeError(f'"check_uniform_bounds" not implemented for {self.dtype}')
        shape = _in_memory_order(array).shape
        values = k.random_uniform(state_of(generator), shape, array.dtype)
        if (low, to) != (0.0, 1.0):
            number = values.dtype.type
            values = k.add(k.mul(values, float(number(to) - number(low))), float(number(low)))
        return _fill(self, values, "uniform_")

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
        """Fills this tensor with 1 (probability `p`) and 0."""
        if isinstance(p, TensorBase):
            p = p.expand(self._array.shape)
            axes = memory_axes(self._array)
            p = p if axes is None else p.permute(axes)
            return _fill(self, p.bernoulli(generator=generator)._array, "bernoulli_")
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        k = kernels(self._array)
        dtype = self._array.dtype if self._array.dtype.kind in "fV" else dtypes.float32.numpy
        shape = _in_memory_order(self._array).shape
        return _fill(self, k.random_bernoulli(state_of(generator), shape, p, dtype), "bernoulli_")

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
        """Fills this tensor with exponential numbers of rate `lambd`."""
        if lambd <= 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        k, u = kernels(self._array), _uniforms(self, generator)
        values = k.mul(k.log1p(k.neg(u)), -1.0 / lambd)
        return _fill(self, values, "exponential_")

    def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
        """Fills this tensor with the number of trials up to the first success."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        k, u = kernels(self._array), _uniforms(self, generator)
        return _fill(self, k.ceil(k.div(k.log(u), math.log1p(-p))), "geometric_")

    def cauchy_(
        self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
    ) -> Any:
        """Fills this tensor with Cauchy numbers."""
        if sigma <= 0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
        k, u = kernels(self._array), _uniforms(self, generator)
        values = k.add(k.mul(k.tan(k.mul(k.sub(u, 0.5), math.pi)), sigma), median)
        return _fill(self, values, "cauchy_")

    def log_normal_(
        self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
    ) -> Any:
        """Fills this tensor with exponentials of normal numbers."""
        if std <= 0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
        numbers = _normals_in_pairs(self._array, mean, std, generator)
        return _fill(self, kernels(numbers).exp(numbers), "log_normal_")

    def random_(self: Any, from_: Any = None, to: Any = None, *, generator: Any = None,
                **kwargs: Any) -> Any:  # fmt: skip
        """Fills this tensor with integers in [from, to), or all that its dtype holds exactly."""
        from_ = kwargs.pop("from", from_)
        if from_ is not None and to is None:
            from_, to = 0, from_
        k, array = kernels(self._array), self._array
        state, shape = state_of(generator), _in_memory_order(array).shape
        if to is not None:
            if from_ >= to:
                raise RuntimeError(
                    f"random_ expects 'from' to be less than 'to', but got from={from_} >= to={to}"
                )
            return _fill(self, k.random_integers(state, shape, from_, to), "random_")
        bits = {"b": 1, "u": array.itemsize * 8, "i": array.itemsize * 8 - 1}.get(array.dtype.kind)
        if bits is None:
            exact = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[self.dtype.name]
            span = (1 << exact) + 1
        else:
            span = 1 << bits
        if span == 1 << 63:
            words = k.random_uint64(state, array.size).reshape(shape)
            values = (words & ((1 << 63) - 1)).astype("int64")
        else:
            values = k.random_integers(state, shape, 0, span)
        return _fill(self, values, "random_")
