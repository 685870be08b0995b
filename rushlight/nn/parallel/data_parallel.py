"""DataParallel: one module on several GPUs; without a GPU it calls the module itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight
from rushlight.nn.modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


def _usable_devices(device_ids: Sequence[Any] | None) -> list[Any]:
    """The CUDA devices that the batch would be spread over."""
    if not rushlight.cuda.is_available():
        return []
    if device_ids is None:
        return list(range(rushlight.cuda.device_count()))
    return list(device_ids)


class DataParallel(Module):
    """Wraps a module; on a machine without a GPU a call is a call of `module`.

    The wrapped module is `self.module`, so that state dict keys begin with "module.". More than one
    device is refused: spreading a batch over GPUs is not implemented.

    >>> import rushlight as torch
    >>> model = torch.nn.DataParallel(torch.nn.Linear(2, 3))
    >>> list(model.state_dict())
    ['module.weight', 'module.bias']
    >>> model(torch.ones(4, 2)).shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        devices = _usable_devices(device_ids)
        if len(devices) > 1:
            raise NotImplementedError(
                "[DataParallel] expected at most one CUDA device; got "
                f"{devices}; pass device_ids=[0], or run one process per device"
            )
        self.dim = dim
        self.module = module
        self.device_ids = devices
        self.output_device = (
            output_device if output_device is not None else (devices[0] if devices else None)
        )
        if devices:
            self.module.cuda(devices[0])

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Calls `module` on `inputs` as `DataParallel(module, …)` does."""
    if not isinstance(inputs, tuple):
        inputs = (inputs,) if inputs is not None else ()
    wrapped = DataParallel(module, device_ids, output_device, dim)
    return wrapped(*inputs, **(module_kwargs or {}))
