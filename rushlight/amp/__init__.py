"""Mixed precision: the contexts and scalers that programs mention, switched off where they must be.

Autocast is not in rushlight yet. Switched off (`enabled=False`, or for CUDA on a machine without a
device, as PyTorch does with a warning) everything here works; switched on it is an error.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd",
           "is_autocast_available"]  # fmt: skip


class autocast:
    """A context (or decorator) in which operations choose their own precision.

    With `enabled=False` it changes nothing. Enabled for CUDA without a device it switches itself
    off with a UserWarning, as PyTorch's does. NotImplementedError if it would have to work.

    >>> import rushlight as torch
    >>> with torch.amp.autocast("cpu", enabled=False):
    ...     torch.ones(1).dtype
    torch.float32
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: Any = None
    ):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type
        self._enabled = enabled
        if enabled and device_type == "cuda":
            warnings.warn(
                "User provided device_type of 'cuda', but CUDA is not available. Disabling",
                stacklevel=2,
            )
            self._enabled = False
        elif enabled:
            raise NotImplementedError(
                f"[autocast] mixed precision on {device_type!r} is not in rushlight yet; use "
                "enabled=False (results are then those of full precision), or convert the model "
                "with .to(torch.bfloat16)"
            )

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        """Nothing was switched on."""

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return inside


class GradScaler:
    """Scales a loss so that float16 gradients do not underflow; here switched off.

    Switched off, `scale` returns the loss, `step` steps the optimizer, the rest does nothing.
    Enabled for CUDA without a device it switches itself off with a UserWarning, as PyTorch's does.

    >>> import rushlight as torch
    >>> torch.amp.GradScaler("cpu", enabled=False).scale(3.0)
    3.0
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ):  # fmt: skip
        if enabled and device == "cuda":
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
        elif enabled:
            raise NotImplementedError(
                f"[GradScaler] loss scaling on {device!r} is not in rushlight yet; use "
                "enabled=False"
            )
        self._enabled = False

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def scale(self, outputs: Any) -> Any:
        """The outputs, as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Gradients are not scaled."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """One step of the optimizer."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """There is no scale to adapt."""

    def get_scale(self) -> float:
        """The factor: 1."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Empty, as for every scaler that is switched off."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A scaler that is switched off has nothing to restore."""


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Marks the forward of a custom Function; without autocast it stays as it is."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    return fwd


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """Marks the backward of a custom Function; without autocast it stays as it is."""
    return functools.partial(custom_bwd, device_type=device_type) if bwd is None else bwd


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast works for a kind of device: not yet for any."""
    return False
