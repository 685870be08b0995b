"""`device`: where a tensor's memory lies."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["device", "CPU"]

_TYPES = ("cpu", "cuda", "meta", "mps", "xpu")


class device:
    """A device such as `device("cpu")` or `device("cuda", 1)`; also a context for new tensors.

    Raises RuntimeError for a string that names no device.

    >>> import rushlight as torch
    >>> torch.device("cuda:1").index, torch.device("cpu")
    (1, device(type='cpu'))
    """

    __slots__ = ("type", "index")

    type: str
    index: int | None

    def __new__(cls, type: str | int | device, index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        self = object.__new__(cls)
        if isinstance(type, int) and not isinstance(type, bool):
            index, type = type, "cuda"
        if not isinstance(type, str):
            raise TypeError(f"device() expected a string, an int or a device; got {type!r}")
        if index is None:
            type, index = _parse(type)
        elif ":" in type:
            raise RuntimeError(
                f"type (string) must not include an index because index was passed "
                f"explicitly: {type}"
            )
        if type not in _TYPES:
            raise RuntimeError(
                f"Expected one of {', '.join(_TYPES)} device type at start of device string: {type}"
            )
        object.__setattr__(self, "type", type)
        object.__setattr__(self, "index", index)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, device):
            return NotImplemented
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index) if self.index is not None else (self.type,)


def _parse(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"([a-z]+)(?::(\d+))?", text)
    if not match:
        raise RuntimeError(f"Invalid device string: '{text}'")
    kind, index = match.groups()
    return kind, None if index is None else int(index)


CPU = device("cpu")
