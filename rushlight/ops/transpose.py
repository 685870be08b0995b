"""The dims in another order: `transpose`, `permute`, `movedim`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..backends.shapes import as_shape
from ..types_ import Array
from .common import wrap_dim
from .shape import _named_sizes, _view

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "transpose", "t", "swapaxes", "swapdims", "permute", "movedim", "moveaxis",
    "TransposeMethods",
]  # fmt: skip


@primitive(name="Transpose", view=True)
def _transpose(x: Array, *, dim0: int, dim1: int) -> Array:
    return x.swapaxes(dim0, dim1)


_transpose.derive("x", _transpose, "grad", dim0="dim0", dim1="dim1")


@primitive(name="T", view=True, kernel="transpose")
def _t(x: Array) -> Array:
    return kernels(x).transpose(x)


_t.derive("x", _t, "grad")


@primitive(name="Permute", view=True)
def _permute(x: Array, *, dims: tuple[int, ...]) -> Array:
    return x.transpose(dims)


@_permute.derivative("x")
def _permute_dx(grad: Tensor, dims: tuple[int, ...]) -> Tensor:
    back = sorted(range(len(dims)), key=dims.__getitem__)
    return _permute(grad, dims=tuple(back))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dims exchanged; a view.

    >>> import rushlight as torch
    >>> torch.transpose(torch.zeros(2, 3), 0, 1).shape
    torch.Size([3, 2])
    """
    ndim = input._array.ndim
    d0, d1 = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    return _transpose(input, dim0=d0, dim1=d1) if ndim else _view(input, shape=())


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose` by NumPy's name."""
    return transpose(input, axis0, axis1)


swapdims = transpose


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a tensor of fewer dims is itself; RuntimeError for more than 2.

    >>> import rushlight as torch
    >>> torch.t(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 3],
            [2, 4]])
    """
    if input._array.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {input._array.ndim}D"
        )
    return _t(input)


def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The dims in another order; a view.

    >>> import rushlight as torch
    >>> torch.permute(torch.zeros(2, 3, 5), (2, 0, 1)).shape
    torch.Size([5, 2, 3])
    """
    if named:
        dims = _named_sizes("permute", "dims", dims, named)
    return _permute(input, dims=_order(as_shape(dims), input._array.ndim))


@lru_cache(maxsize=1024)
def _order(dims: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """A permutation as non-negative numbers."""
    order = tuple(wrap_dim(d, ndim) for d in dims)
    if len(order) != ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal "
            f"to len(dims) = {len(order)}"
        )
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return order


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dims moved to new places, the others in their order.

    >>> import rushlight as torch
    >>> torch.movedim(torch.zeros(2, 3, 5), 0, -1).shape
    torch.Size([3, 5, 2])
    """
    ndim = input._array.ndim
    src = [wrap_dim(d, ndim) for d in ([source] if isinstance(source, int) else source)]
    dst = [
        wrap_dim(d, ndim) for d in ([destination] if isinstance(destination, int) else destination)
    ]
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({src} dims) should contain the "
            f"same number of dims as destination ({dst} dims)"
        )
    if len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    rest = iter([d for d in range(ndim) if d not in src])
    place = dict(zip(dst, src))
    return _permute(input, dims=tuple(place[i] if i in place else next(rest) for i in range(ndim)))


moveaxis = movedim


class TransposeMethods:
    """Orders of dims as methods of `Tensor`."""

    transpose = swapdims = transpose
    swapaxes = swapaxes
    t = t
    permute = permute
    movedim = moveaxis = movedim

    @property
    def T(self: Any) -> Any:
        """All dims reversed; for matrices the transpose."""
        if self._array.ndim == 2:
            return _permute(self, dims=(1, 0))
        return _permute(self, dims=tuple(reversed(range(self._array.ndim))))

    @property
    def mT(self: Any) -> Any:
        """The last two dims exchanged."""
        if self._array.ndim < 2:
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices. "
                f"Got {self._array.ndim}D tensor."
            )
        return transpose(self, -2, -1)

    @property
    def H(self: Any) -> Any:
        """The conjugate transpose of a matrix."""
        if self._array.ndim not in (0, 2):
            raise RuntimeError(
                f"tensor.H is only supported on matrices (2-D tensors). Got "
                f"{self._array.ndim}-D tensor."
            )
        return t(self).conj()

    @property
    def mH(self: Any) -> Any:
        """The last two dims exchanged and conjugated."""
        return self.mT.conj()
