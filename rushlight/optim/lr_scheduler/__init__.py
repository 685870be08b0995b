"""Learning-rate schedulers: call `step()` after the optimizer's, once per epoch or batch."""

from __future__ import annotations

from rushlight.optim.lr_scheduler._base import EPOCH_DEPRECATION_WARNING, LRScheduler
from rushlight.optim.lr_scheduler._combined import ChainedScheduler, SequentialLR
from rushlight.optim.lr_scheduler._cycles import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    OneCycleLR,
)
from rushlight.optim.lr_scheduler._factors import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from rushlight.optim.lr_scheduler._plateau import ReduceLROnPlateau

# The name that PyTorch gave the base class before 2.0.
_LRScheduler = LRScheduler

__all__ = [
    "EPOCH_DEPRECATION_WARNING",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
