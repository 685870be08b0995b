"""Seeds of CUDA generators: remembered until there is a device to seed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .unavailable import refuse

__all__ = ["get_rng_state", "get_rng_state_all", "initial_seed", "manual_seed", "manual_seed_all",
           "seed", "seed_all", "set_rng_state", "set_rng_state_all"]  # fmt: skip

_pending_seed: int | None = None


def manual_seed(seed: int) -> None:
    """Seeds the current device's generator when a device is first used; quiet without one."""
    global _pending_seed
    _pending_seed = int(seed)


def manual_seed_all(seed: int) -> None:
    """Seeds the generators of all devices when they are first used; quiet without one."""
    manual_seed(seed)


def seed() -> None:
    """Seeds the current device's generator from the operating system."""
    manual_seed(int.from_bytes(os.urandom(8), "little") & ((1 << 53) - 1))


def seed_all() -> None:
    """Seeds the generators of all devices from the operating system."""
    seed()


def initial_seed() -> int:
    """The seed of the current device's generator; AssertionError if there is no device."""
    refuse("initial_seed")


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of a device's generator; AssertionError if there is no device."""
    refuse("get_rng_state")


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Restores the state of a device's generator; AssertionError if there is no device."""
    refuse("set_rng_state")


def get_rng_state_all() -> list[Any]:
    """The states of all devices' generators."""
    return []


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Restores the states of all devices' generators; AssertionError if there are more states."""
    if list(new_states):
        refuse("set_rng_state_all")
