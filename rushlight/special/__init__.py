"""`torch.special`: special functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight.ops.extrema import logsumexp
from rushlight.ops.pointwise import xlogy
from rushlight.ops.rounding import round
from rushlight.ops.softmax import log_softmax as _log_softmax
from rushlight.ops.softmax import softmax as _softmax
from rushlight.ops.special import (
    entr,
    erfcx,
    gammainc,
    gammaincc,
    i0,
    i0e,
    i1,
    i1e,
    log_ndtr,
    multigammaln,
    ndtr,
    ndtri,
    polygamma,
    xlog1py,
    zeta,
)  # fmt: skip
from rushlight.ops.trigonometry import digamma, erf, erfc, erfinv, lgamma
from rushlight.ops.unary import exp2, expm1, log1p, logit, sigmoid, sinc

if TYPE_CHECKING:
    from rushlight.dtypes import dtype as DType
    from rushlight.tensor import Tensor

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc",
    "gammaincc", "gammaln", "i0", "i0e", "i1", "i1e", "log1p", "log_ndtr", "log_softmax", "logit",
    "logsumexp", "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "sinc", "softmax",
    "xlog1py", "xlogy", "zeta",
]  # fmt: skip

expit, gammaln, psi = sigmoid, lgamma, digamma


def softmax(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """`torch.softmax`."""
    return _softmax(input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """`torch.log_softmax`."""
    return _log_softmax(input, dim, dtype=dtype)
