"""The largest and the smallest: `max`, `amin`, `argmax`, and the smooth `logsumexp`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import Primitive, primitive
from ..backends import kernels
from ..dtypes import int64
from ..types_ import Array, Shape
from .common import as_float, check_apart, check_tensor, refuse, wrap_dim, wrap_dims, write_out
from .reduce import Dims, _restore, sum

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "max", "min", "amax", "amin", "aminmax", "argmax", "argmin", "logsumexp", "ExtremaMethods",
]  # fmt: skip


def _extremum_all(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array) -> Array:
        refuse(name.lower(), x, "c")
        if x.size == 0:
            raise RuntimeError(
                f"{name.lower()}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return getattr(kernels(x), kernel_name)(x, None, False)

    return Primitive(forward, name, suffix="Backward1")


_max_all, _min_all = _extremum_all("Max", "amax"), _extremum_all("Min", "amin")


@_max_all.derivative("x")
@_min_all.derivative("x")
def _extremum_all_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """Equal extrema share the gradient evenly."""
    where = _is_extremum(x, result)
    return where * (grad / where.sum())


def _is_extremum(x: Tensor, extremum: Tensor) -> Tensor:
    """Where `x` attains the extremum; a NaN extremum is attained by every NaN."""
    return (x == extremum) | (x.isnan() & extremum.isnan())


def _extremum_dim(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array, *, dim: int, keepdim: bool) -> tuple[Array, Array]:
        k = kernels(x)
        refuse(name.lower(), x, "c")
        if x.ndim == 0:
            return x.copy(), k.full((), 0, int64.numpy)
        if x.shape[dim] == 0:
            raise IndexError(
                f"{name.lower()}(): Expected reduction dim {dim} to have non-zero size."
            )
        indices = getattr(k, kernel_name)(x, dim, True)
        values = k.take_along_axis(x, indices, dim)
        if keepdim:
            return values, indices
        shape = x.shape[:dim] + x.shape[dim + 1 :]
        return values.reshape(shape), indices.reshape(shape)

    return Primitive(forward, name, nondifferentiable=(1,))


_max_dim, _min_dim = _extremum_dim("Max", "argmax"), _extremum_dim("Min", "argmin")


@_max_dim.derivative("x")
@_min_dim.derivative("x")
def _extremum_dim_dx(grad: Tensor, results: Any, x_shape: Shape, dim: int,
                     keepdim: bool) -> Tensor:  # fmt: skip
    return scatter_along(grad, results[1], x_shape, dim, keepdim)


def scatter_along(grad: Tensor, indices: Tensor, x_shape: Shape, dim: int, keepdim: bool) -> Tensor:
    """Zeros of shape `x_shape` with `grad` at `indices` along `dim`."""
    if not x_shape:
        return grad
    if not keepdim:
        grad, indices = grad.unsqueeze(dim), indices.unsqueeze(dim)
    return grad.new_zeros(x_shape).scatter(dim, indices, grad)


def _max_or_min(name: str, ops: tuple[Primitive, Primitive, Any], input: Any, dim: Any,
                keepdim: bool, out: Any) -> Any:  # fmt: skip
    check_tensor(input, name)
    if dim is None:
        result = ops[0](input)
        return result if out is None else write_out(out, result, name)
    if not isinstance(dim, int):
        return None
    for o in out or ():
        check_apart(o, (input,), name)
    result = ops[1](input, dim=wrap_dim(dim, input._array.ndim), keepdim=keepdim)
    return (ops[2](*result)) if out is None else ops[2](*write_out(out, result, name))


def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None,
        other: Any = None) -> Any:  # fmt: skip
    """The largest element; along `dim`, the pair `(values, indices)`; of two tensors, `maximum`.

    NaN is the largest of all. Equal largest elements share the gradient of the full form evenly;
    with `dim`, the one at the returned index has it.

    >>> import rushlight as torch
    >>> torch.max(torch.tensor([[1, 4], [3, 2]]), dim=1)
    torch.return_types.max(
    values=tensor([4, 3]),
    indices=tensor([1, 0]))
    """
    pair = (_max_all, _max_dim, return_types.max)
    result = _max_or_min("max", pair, input, dim if other is None else other, keepdim, out)
    return result if result is not None else _binary("maximum", input, dim, other, out)


def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None,
        other: Any = None) -> Any:  # fmt: skip
    """The smallest element; along `dim`, the pair `(values, indices)`; of two tensors, `minimum`.

    >>> import rushlight as torch
    >>> torch.min(torch.tensor([3., 1.]))
    tensor(1.)
    """
    pair = (_min_all, _min_dim, return_types.min)
    result = _max_or_min("min", pair, input, dim if other is None else other, keepdim, out)
    return result if result is not None else _binary("minimum", input, dim, other, out)


def _binary(name: str, x: Any, dim: Any, other: Any, out: Any) -> Any:
    from . import choose

    return getattr(choose, name)(x, dim if other is None else other, out=out)


def _amax_amin(name: str, kernel_name: str) -> Primitive:
    def forward(x: Array, *, dims: tuple[int, ...] | None, keepdim: bool) -> Array:
        refuse(name.lower(), x, "c")
        return getattr(kernels(x), kernel_name)(x, dims, keepdim)

    return Primitive(forward, name)


_amax, _amin = _amax_amin("Amax", "amax"), _amax_amin("Amin", "amin")


@_amax.derivative("x")
@_amin.derivative("x")
def _amax_dx(grad: Tensor, x: Tensor, result: Tensor, dims: Any, keepdim: bool) -> Tensor:
    shape = x._array.shape
    where = _is_extremum(x, _restore(result, shape, dims, keepdim))
    count = where.sum() if dims is None else sum(where, dims, keepdim=True)
    return where * (_restore(grad, shape, dims, keepdim) / count)


def amax(input: Tensor, dim: Dims = (), keepdim: bool = False, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The largest elements along `dim` (one or several); equal ones share the gradient evenly.

    >>> import rushlight as torch
    >>> torch.amax(torch.tensor([[1, 4], [3, 2]]), dim=1)
    tensor([4, 3])
    """
    result = _amax(input, dims=_nonempty_dims("amax", input, dim), keepdim=keepdim)
    return result if out is None else write_out(out, result, "amax")


def amin(input: Tensor, dim: Dims = (), keepdim: bool = False, *,
         out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The smallest elements along `dim` (one or several); equal ones share the gradient evenly."""
    result = _amin(input, dims=_nonempty_dims("amin", input, dim), keepdim=keepdim)
    return result if out is None else write_out(out, result, "amin")


def _nonempty_dims(op: str, input: Tensor, dim: Dims) -> tuple[int, ...] | None:
    dims = wrap_dims(dim, input._array.ndim)
    if input._array.size == 0:
        if dims is None:
            raise RuntimeError(
                f"{op}(): Expected reduction dim to be specified for input.numel() "
                "== 0. Specify the reduction dim with the 'dim' argument."
            )
        for d in dims:
            if input._array.shape[d] == 0:
                raise IndexError(f"{op}(): Expected reduction dim {d} to have non-zero size.")
    return dims


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False,
            out: Any = None) -> Any:  # fmt: skip
    """The smallest and the largest element, `(min, max)`."""
    if dim is None and input._array.size == 0:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the "
            "operation has no identity."
        )
    dims: Any = () if dim is None else dim
    result = return_types.aminmax(amin(input, dims, keepdim), amax(input, dims, keepdim))
    return result if out is None else write_out(out, result, "aminmax", exact=True)


def _index_of(name: str) -> Primitive:
    def forward(x: Array, *, dim: int | None, keepdim: bool) -> Array:
        k = kernels(x)
        refuse(name, x, "bc")
        if x.ndim == 0:
            return k.full((), 0, int64.numpy)
        size = x.size if dim is None else x.shape[dim]
        if size == 0:
            raise IndexError(f"{name}(): Expected reduction dim to have non-zero size.")
        return getattr(k, name)(x, dim, keepdim)

    return Primitive(forward, name)


_argmax, _argmin = _index_of("argmax"), _index_of("argmin")


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The index of the largest element (the first, if several), in the flattened input or `dim`.

    >>> import rushlight as torch
    >>> torch.argmax(torch.tensor([[1., 4.], [3., 2.]]), dim=1)
    tensor([1, 0])
    """
    dim = None if dim is None else wrap_dim(dim, input._array.ndim)
    result = _argmax(input, dim=dim, keepdim=keepdim)
    return result if out is None else write_out(out, result, "argmax")


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False, *,
           out: Tensor | None = None) -> Tensor:  # fmt: skip
    """The index of the smallest element (the first, if several)."""
    dim = None if dim is None else wrap_dim(dim, input._array.ndim)
    result = _argmin(input, dim=dim, keepdim=keepdim)
    return result if out is None else write_out(out, result, "argmin")


@primitive(name="Logsumexp")
def _logsumexp(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return kernels(x).logsumexp(as_float(x), dims, keepdim)


@_logsumexp.derivative("x")
def _logsumexp_dx(grad: Tensor, x: Tensor, result: Tensor, dims: Any, keepdim: bool) -> Tensor:
    shape = x._array.shape
    weights = (x - _restore(result, shape, dims, keepdim)).exp().conj()
    return _restore(grad, shape, dims, keepdim) * weights


def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False, *,
              out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`log Σ exp(x)` along `dim`, without overflow.

    >>> import rushlight as torch
    >>> torch.logsumexp(torch.tensor([1000., 1000.]), dim=0)
    tensor(1000.6932)
    """
    dims = wrap_dims(dim, input._array.ndim)
    dims = tuple(range(input._array.ndim)) if dims is None else dims
    if input._array.dtype.kind == "c":
        top = amax(input.detach().real, dims, keepdim=True)
        result = sum((input - top).exp(), dims, keepdim=True).log() + top
        result = result if keepdim else result.squeeze(dims)
    else:
        result = _logsumexp(input, dims=dims, keepdim=keepdim)
    return result if out is None else write_out(out, result, "logsumexp")


class ExtremaMethods:
    """Extrema as methods of `Tensor`."""

    max = max
    min = min
    amax = amax
    amin = amin
    aminmax = aminmax
    argmax = argmax
    argmin = argmin
    logsumexp = logsumexp
