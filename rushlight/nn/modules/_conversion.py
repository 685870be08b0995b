"""Moving a whole module to another dtype or device, in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rushlight
from rushlight import Tensor
from rushlight.nn.modules._traversal import ModuleTraversal
from rushlight.nn.parameter import is_lazy

if TYPE_CHECKING:
    from typing_extensions import Self


class ModuleConversion(ModuleTraversal):
    """`.to()` and its relatives; parameters keep their identity, so optimizers keep them too."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replaces every parameter's, gradient's and buffer's data by `fn` of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            # Conversion is no step of the computation: gradients must not flow through it.
            with rushlight.no_grad():
                param.data = fn(param.data)
                if param.grad is not None:
                    param.grad.data = fn(param.grad.data)
        for name, buffer in self._buffers.items():
            if buffer is None:
                continue
            if is_lazy(buffer):
                buffer.data = fn(buffer.data)
            else:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Any], None]) -> Self:
        """Calls `fn` on every module below and then on this one; the usual place for own init.

        >>> import rushlight as torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        >>> _ = net.apply(lambda module: print(type(module).__name__))
        Linear
        ReLU
        Sequential
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves parameters and buffers: `to(device)`, `to(dtype)`, both, or `to(tensor)`.

        Only floating-point and complex tensors change their dtype; the module itself is changed
        and returned.

        >>> import rushlight as torch
        >>> torch.nn.Linear(2, 2).to(torch.float64).weight.dtype
        torch.float64
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def convert(tensor: Tensor) -> Tensor:
            converts = tensor.is_floating_point() or tensor.is_complex()
            options: dict[str, Any] = {"dtype": dtype if converts else None}
            if device is not None:
                options["device"] = device
            if memory_format is not None and tensor.dim() in (4, 5):
                options["memory_format"] = memory_format
            return tensor.to(non_blocking=non_blocking, **options)

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Moves parameters and buffers to `device` without copying their values."""
        return self._apply(lambda t: rushlight.empty_like(t, device=device), recurse=recurse)

    def type(self, dst_type: Any) -> Self:
        """Casts all parameters and buffers to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def _cast_floating(self, dtype: Any) -> Self:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Self:
        """Casts all floating-point parameters and buffers to float32."""
        return self._cast_floating(rushlight.float32)

    def double(self) -> Self:
        """Casts all floating-point parameters and buffers to float64."""
        return self._cast_floating(rushlight.float64)

    def half(self) -> Self:
        """Casts all floating-point parameters and buffers to float16."""
        return self._cast_floating(rushlight.float16)

    def bfloat16(self) -> Self:
        """Casts all floating-point parameters and buffers to bfloat16."""
        return self._cast_floating(rushlight.bfloat16)

    def cpu(self) -> Self:
        """Moves all parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Moves all parameters and buffers to a CUDA device."""
        return self._apply(lambda t: t.cuda(device))

    def share_memory(self) -> Self:
        """Moves all parameters and buffers to memory that child processes share."""
        return self._apply(lambda t: t.share_memory_())


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """Reads the arguments of `Module.to` into (device, dtype, non_blocking, memory_format)."""
    known = {"device", "dtype", "non_blocking", "memory_format", "tensor", "other"}
    unknown = set(kwargs) - known
    if unknown:
        raise TypeError(f"to() received an invalid keyword argument '{sorted(unknown)[0]}'")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    like = kwargs.get("tensor", kwargs.get("other"))
    flags = []
    for arg in args:
        if isinstance(arg, Tensor):
            like = arg
        elif isinstance(arg, rushlight.dtype):
            dtype = arg
        elif isinstance(arg, bool):
            flags.append(arg)
        elif isinstance(arg, (str, int, rushlight.device)):
            device = arg
        elif arg is not None:
            raise TypeError(
                "to() received an invalid argument of type "
                f"{type(arg).__name__}; expected a device, a dtype or a tensor"
            )
    if like is not None:
        device, dtype = like.device, like.dtype
    if device is not None:
        device = rushlight.device(device)
    non_blocking = kwargs.get("non_blocking", flags[0] if flags else False)
    return device, dtype, non_blocking, kwargs.get("memory_format")
