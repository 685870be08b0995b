"""Making a module without drawing its initial values."""

from __future__ import annotations

import inspect
from typing import Any

import rushlight
from rushlight.nn.modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """Returns `module_cls(*args, **kwargs)` with uninitialised parameters and buffers.

    The random stream is left as it was. The class must take `device`.

    >>> import rushlight as torch
    >>> torch.nn.utils.skip_init(torch.nn.Linear, 5, 1)
    Linear(in_features=5, out_features=1, bias=True)
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    state = rushlight.get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        rushlight.set_rng_state(state)
