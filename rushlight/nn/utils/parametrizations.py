"""Ready parametrizations: weight, spectral and orthogonal."""

from __future__ import annotations

import rushlight
from rushlight import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from rushlight.nn.modules.module import Module
from rushlight.nn.utils import parametrize
from rushlight.nn.utils.weight_norm import norm_except_dim

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """g · v / ‖v‖, with g = original0 and v = original1."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, 2, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The length and the direction of `weight`."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Splits a weight into length and direction (Salimans & Kingma, 2016).

    >>> import rushlight as torch
    >>> from rushlight.nn.utils.parametrizations import weight_norm
    >>> layer = weight_norm(torch.nn.Linear(20, 40))
    >>> layer.parametrizations.weight.original0.size()
    torch.Size([40, 1])
    """
    function = _WeightNorm(dim)
    parametrize.register_parametrization(module, name, function, unsafe=True)
    return module


class _SpectralNorm(Module):
    """weight / σ; σ from power iterations in training mode, with u and v as buffers."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.dim() <= dim < weight.dim():
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{weight.dim()}, {weight.dim() - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + weight.dim()
        self.eps = eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._as_matrix(weight)
            rows, columns = matrix.size()
            u = weight.new_empty(rows).normal_(0, 1)
            v = weight.new_empty(columns).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            # Fifteen steps so that evaluation mode is right without training.
            self._power_method(matrix.detach(), 15)

    def _as_matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            rest = [axis for axis in range(weight.dim()) if axis != self.dim]
            weight = weight.permute(self.dim, *rest)
        return weight.flatten(1)

    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        with rushlight.no_grad():
            for _ in range(iterations):
                self._u.copy_(F.normalize(rushlight.mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(rushlight.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._as_matrix(weight)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / rushlight.dot(u, rushlight.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: it is taken to be normalised."""
        return value


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divides a weight by its largest singular value (Miyato et al., 2018).

    >>> import rushlight as torch
    >>> from rushlight.nn.utils.parametrizations import spectral_norm
    >>> layer = spectral_norm(torch.nn.Linear(20, 40))
    >>> layer.weight.size()
    torch.Size([40, 20])
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        transposed = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
        dim = 1 if isinstance(module, transposed) else 0
    function = _SpectralNorm(weight, n_power_iterations, dim, eps)
    parametrize.register_parametrization(module, name, function)
    return module


class _Orthogonal(Module):
    """An orthogonal matrix B·exp(A) or B·Cayley(A) of the skew part A of the original.

    The base B is a buffer: the orthogonal matrix that was last assigned.
    """

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str) -> None:
        super().__init__()
        self.orthogonal_map = orthogonal_map
        q, _ = rushlight.linalg.qr(
            weight if weight.size(-2) >= weight.size(-1) else weight.mT, mode="complete"
        )
        self.register_buffer("base", q)

    def forward(self, x: Tensor) -> Tensor:
        n, k = x.size(-2), x.size(-1)
        is_wide = n < k
        if is_wide:
            x = x.mT
            n, k = k, n
        lower = x.tril(-1)
        if n != k:
            fill = x.new_zeros((*x.shape[:-2], n, n - k))
            lower = rushlight.cat([lower, fill], dim=-1)
        skew = lower - lower.mT
        if self.orthogonal_map == "matrix_exp":
            q = rushlight.linalg.matrix_exp(skew)
        else:
            identity = rushlight.eye(n, dtype=x.dtype, device=x.device)
            q = rushlight.linalg.solve(identity + skew / 2, identity - skew / 2)
        q = (self.base @ q)[..., :k]
        return q.mT if is_wide else q

    def right_inverse(self, q: Tensor) -> Tensor:
        """Makes `q`'s orthogonal factor the base and the skew part zero."""
        tall = q if q.size(-2) >= q.size(-1) else q.mT
        base, r = rushlight.linalg.qr(tall, mode="complete")
        signs = rushlight.ones(base.size(-1), dtype=q.dtype, device=q.device)
        diagonal = r.diagonal(dim1=-2, dim2=-1).sign()
        signs = rushlight.cat([diagonal, signs[diagonal.size(-1) :]])
        self.base.copy_(base * signs)
        return rushlight.zeros_like(q)


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keeps a matrix orthogonal: WᵀW = I (or WWᵀ = I if it is wide).

    `orthogonal_map` is "matrix_exp" or "cayley"; PyTorch's third map, "householder", and
    `use_trivialization=False` are not available and raise NotImplementedError.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp"
    if orthogonal_map == "householder" or not use_trivialization or weight.dim() != 2:
        raise NotImplementedError(
            "[orthogonal] expected a 2-D weight, orthogonal_map 'matrix_exp' or 'cayley' and "
            f"use_trivialization=True; got {weight.dim()}-D, {orthogonal_map!r}, "
            f"{use_trivialization}"
        )
    if orthogonal_map not in ("matrix_exp", "cayley"):
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    function = _Orthogonal(weight.detach(), orthogonal_map)
    parametrize.register_parametrization(module, name, function, unsafe=True)
    return module
