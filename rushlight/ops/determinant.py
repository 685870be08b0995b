"""Determinants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import return_types
from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array
from .decomposition import _svd
from .linalg import _inv, _out, adjoint, check_matrices

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["det", "slogdet"]


@primitive(name="LinalgDet", kernel="determinant")
def _det(x: Array) -> Array:
    return kernels(x).determinant(x)


@_det.derivative("x")
def _det_dx(grad: Tensor, x: Tensor, result: Tensor) -> Tensor:
    """`g · conj(det) · A⁻ᴴ`; of singular matrices, the cofactors from the singular values."""
    factor = (grad * result.conj()).unsqueeze(-1).unsqueeze(-1)
    if x._array.size == 0:
        return x * 0
    if bool((result != 0).all()):
        return factor * adjoint(_inv(x))
    from .reduce import _products_of_others

    u, s, vh = _svd(x, full_matrices=False)
    phase = (_det(u) * _det(vh)).conj() * grad
    others = _products_of_others(s, s._array.ndim - 1)
    return (u * (phase.unsqueeze(-1) * others).unsqueeze(-2)) @ vh


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant of each square matrix.

    >>> import rushlight as torch
    >>> torch.linalg.det(torch.tensor([[2., 1.], [1., 3.]]))
    tensor(5.)
    """
    check_matrices("linalg.det", A, square=True)
    return _out(_det(A), out, "linalg.det")


@primitive(name="LinalgSlogdet")
def _slogdet(x: Array) -> tuple[Array, Array]:
    result: tuple[Array, Array] = kernels(x).slogdet(x)
    return result


@_slogdet.derivative("x")
def _slogdet_dx(grads: list[Any], x: Tensor) -> Tensor:
    """The phase of the determinant turns as its logarithm's imaginary part."""
    g = grads[0].real * 0 if grads[1] is None else grads[1]
    if x._array.dtype.kind == "c" and grads[0] is not None:
        g = g - (grads[0].conj() * _slogdet(x)[0]).imag * 1j
    return g.unsqueeze(-1).unsqueeze(-1) * adjoint(_inv(x))


def slogdet(A: Tensor, *, out: Any = None) -> Any:
    """The sign and the logarithm of the absolute value of each determinant: `(sign, logabsdet)`.

    >>> import rushlight as torch
    >>> torch.linalg.slogdet(torch.tensor([[2., 0.], [0., -1.]])).sign
    tensor(-1.)
    """
    check_matrices("linalg.slogdet", A, square=True)
    return _out(return_types.linalg_slogdet(*_slogdet(A)), out, "linalg.slogdet")
