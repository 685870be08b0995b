"""Batch normalisation (Ioffe & Szegedy, 2015)."""

from __future__ import annotations

from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.nn import functional as F
from rushlight.nn.modules._norm_base import _LazyNormBase, _NormBase
from rushlight.nn.modules.module import Module

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
    "_BatchNorm",
    "_NormBase",
]


class _BatchNorm(_NormBase):
    """y = (x − mean) / √(var + eps) · weight + bias, per channel over the batch and all places.

    Training uses the batch's own biased variance and moves the running statistics towards the
    batch's (with the unbiased variance) by `momentum`; `momentum=None` averages over all batches.
    Evaluation uses the running statistics, or the batch's where none are tracked.
    """

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        uses_batch = self.training or (self.running_mean is None and self.running_var is None)
        keeps_running = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if keeps_running else None,
            self.running_var if keeps_running else None,
            self.weight,
            self.bias,
            uses_batch,
            momentum,
            self.eps,
        )


def _require_dims(input: Tensor, allowed: tuple[int, ...]) -> None:
    if input.dim() not in allowed:
        names = " or ".join(f"{dims}D" for dims in allowed)
        raise ValueError(f"expected {names} input (got {input.dim()}D input)")


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of `(N, C)` or `(N, C, L)`.

    >>> import rushlight as torch
    >>> torch.nn.BatchNorm1d(2)(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))[:, 0].tolist()[1] > 0.99
    True
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, (2, 3))


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of `(N, C, H, W)`.

    >>> import rushlight as torch
    >>> torch.nn.BatchNorm2d(3)(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, (4,))


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of `(N, C, D, H, W)`."""

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, (5,))


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A BatchNorm1d that takes `num_features` from its first input."""

    cls_to_become = BatchNorm1d

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, (2, 3))


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A BatchNorm2d that takes `num_features` from its first input."""

    cls_to_become = BatchNorm2d

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, (4,))


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A BatchNorm3d that takes `num_features` from its first input."""

    cls_to_become = BatchNorm3d

    def _check_input_dim(self, input: Tensor) -> None:
        _require_dims(input, (5,))


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes.

    Its statistics need a process group on accelerators; without one only evaluation mode works.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        if self.training:
            raise ValueError(
                "[SyncBatchNorm] expected input on an accelerator and an initialised process group "
                f"in training mode; got input on {input.device}; use BatchNorm1d, BatchNorm2d or "
                "BatchNorm3d in a single process"
            )
        return super().forward(input)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """Returns `module` with every batch normalisation in it replaced by SyncBatchNorm."""
        converted = module
        if isinstance(module, _BatchNorm):
            converted = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            if module.affine:
                with rushlight.no_grad():
                    converted.weight = module.weight
                    converted.bias = module.bias
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(converted, name, getattr(module, name))
            converted.training = module.training
        for name, child in module.named_children():
            converted.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return converted
