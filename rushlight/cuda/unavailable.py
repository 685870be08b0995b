"""The error for what needs a CUDA device."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["refuse"]


def refuse(what: str) -> NoReturn:
    """Raises PyTorch's AssertionError, with what was asked for and what to do."""
    raise AssertionError(
        f"Torch not compiled with CUDA enabled: [cuda] {what} needs a CUDA device, and this "
        "rushlight has no CUDA backend. Ask torch.cuda.is_available() first and use "
        "torch.device('cpu') when it is False"
    )
