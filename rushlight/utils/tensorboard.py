"""`SummaryWriter`, from the tensorboardX package where it is installed."""

from __future__ import annotations

from typing import Any

__all__ = ["SummaryWriter"]  # noqa: F822 (made on first use)


def __getattr__(name: str) -> Any:
    if name != "SummaryWriter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from tensorboardX import (  # type: ignore[import-not-found,unused-ignore]
            SummaryWriter,
        )
    except ImportError as error:
        raise ImportError(
            "[tensorboard] writing TensorBoard logs needs a package: pip install tensorboardX"
        ) from error
    return SummaryWriter
