"""Calling a module with other parameters than its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rushlight import Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Runs `module` with the given tensors in the places of its parameters and buffers.

    Names are dotted as in `state_dict`. With `tie_weights` a tensor given for one of several tied
    parameters stands for all. With `strict` every parameter and buffer must be given.

    >>> import rushlight as torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> torch.nn.utils.stateless.functional_call(
    ...     layer, {"weight": torch.ones(1, 2)}, (torch.tensor([2.0, 3.0]),)
    ... )
    tensor([5.])
    """
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced_tensors(module, parameters_and_buffers, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


def _all_tensors(module: Any) -> dict[str, Tensor]:
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _with_tied(given: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adds the other names of every tensor that is given under one of its names."""
    names_of: dict[int, list[str]] = {}
    for name, tensor in own.items():
        names_of.setdefault(id(tensor), []).append(name)
    replaced = dict(given)
    for names in names_of.values():
        values = {id(given[name]): given[name] for name in names if name in given}
        if len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. "
                "Consider using tie_weights=False"
            )
        for value in values.values():
            replaced.update(dict.fromkeys(names, value))
    return replaced


def _check_names(given: dict[str, Tensor], own: dict[str, Tensor], strict: bool) -> None:
    unexpected = sorted(set(given) - set(own))
    missing = sorted(set(own) - set(given)) if strict else []
    if strict and (unexpected or missing):
        raise RuntimeError(
            f"Error(s) in loading state_dict: unexpected key(s) {unexpected}, missing key(s) "
            f"{missing}"
        )
    if unexpected:
        raise AttributeError(f"{unexpected[0]} is no parameter or buffer of the module")


@contextmanager
def _replaced_tensors(
    module: Any, given: dict[str, Tensor], tie_weights: bool, strict: bool
) -> Iterator[None]:
    """Puts the tensors into the registries, and the old ones back afterwards."""
    own = _all_tensors(module)
    replaced = _with_tied(given, own) if tie_weights else dict(given)
    _check_names(replaced, own, strict)
    slots = []
    for name, tensor in replaced.items():
        path, _, attribute = name.rpartition(".")
        owner = module.get_submodule(path)
        registry = owner._parameters if attribute in owner._parameters else owner._buffers
        slots.append((registry, attribute, registry[attribute]))
        registry[attribute] = tensor
    try:
        yield
    finally:
        for registry, attribute, old in reversed(slots):
            registry[attribute] = old
