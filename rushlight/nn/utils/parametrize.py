"""Parametrizations: a parameter as the value of a function of other parameters.

`register_parametrization(layer, "weight", fn)` moves the parameter to
`layer.parametrizations.weight.original`; reading `layer.weight` then computes `fn(original)`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rushlight
from rushlight import Tensor
from rushlight.nn.modules.container import ModuleDict, ModuleList
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_depth = 0
_cache: dict[tuple[int, str], Any] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within the block every parametrized tensor is computed once.

    >>> import rushlight as torch
    >>> from rushlight.nn.utils import parametrize
    >>> with parametrize.cached():
    ...     pass
    """
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if _cache_depth == 0:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The functions of one tensor, and what they are functions of.

    One original is named `original`; a function whose `right_inverse` gives several makes them
    `original0`, `original1`, …
    """

    original: Tensor

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        value: Any = original
        with rushlight.no_grad():
            for module in reversed(list(self)):
                inverse = getattr(module, "right_inverse", None)
                if inverse is not None:
                    value = inverse(value)
        self.is_tensor = isinstance(value, Tensor)
        self.ntensors = 1 if self.is_tensor else len(value)
        if self.is_tensor:
            self._register("original", value, original)
        else:
            for i, part in enumerate(value):
                self._register(f"original{i}", part, original)
        if not unsafe:
            self._check_result(original)

    def _register(self, name: str, value: Tensor, original: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise ValueError(
                "right_inverse must return a Tensor or a Sequence of tensors (list, tuple...), "
                f"got {type(value).__name__}"
            )
        if isinstance(original, Parameter):
            # The optimizer may hold the parameter already: keep the object where shapes allow.
            if self.is_tensor and value.shape == original.shape and value.dtype == original.dtype:
                with rushlight.no_grad():
                    original.data = value.data if value is not original else original.data
                self.register_parameter(name, original)
            else:
                self.register_parameter(name, Parameter(value, original.requires_grad))
        else:
            self.register_buffer(name, value)

    def _check_result(self, original: Tensor) -> None:
        with rushlight.no_grad():
            result = self()
        if not isinstance(result, Tensor):
            raise ValueError(
                f"A parametrization must return a tensor. Got {type(result).__name__}."
            )
        for what in ("dtype", "shape"):
            got, expected = getattr(result, what), getattr(original, what)
            if got != expected:
                raise ValueError(
                    f"Registering a parametrization may not change the {what} of the tensor, "
                    f"unless `unsafe` flag is enabled. Original {what}: {expected}; {what} after "
                    f"the parametrization: {got}"
                )

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that the parametrized tensor becomes `value`."""
        with rushlight.no_grad():
            current: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                current = module.right_inverse(current)
            given = [current] if self.is_tensor else list(current)
            for own, new in zip(self._originals(), given, strict=True):
                own.data = new.data if own.shape != new.shape else own.data.copy_(new)

    def forward(self) -> Tensor:
        first, *rest = list(self)
        result = first(*self._originals())
        for module in rest:
            result = module(result)
        return result


def _parametrized_class(module: Module) -> None:
    """Gives `module` a class of its own, on which properties can be set."""
    base = type(module)

    def refuse_pickle(self: Any) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict()."
        )

    def deep_copy(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        twin = self.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__ = copy.deepcopy(self.__dict__, memo)
        return twin

    members = {"__getstate__": refuse_pickle, "__deepcopy__": deep_copy}
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), members)


def _add_property(module: Any, name: str) -> None:
    def read(self: Any) -> Tensor:
        if not _cache_depth:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(read, write))


def register_parametrization(
    module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Any:
    """Makes `module.tensor_name` the value of `parametrization(original)`.

    A second registration on the same tensor is applied after the first. A parametrization with
    `right_inverse` can be assigned to. Unless `unsafe`, shape and dtype must stay.

    >>> import rushlight as torch
    >>> from rushlight.nn.utils import parametrize
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = parametrize.register_parametrization(torch.nn.Linear(3, 3), "weight", Symmetric())
    >>> torch.equal(layer.weight, layer.weight.T)
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        _append_parametrization(module, tensor_name, parametrization, unsafe)
        return module
    if tensor_name in module._parameters or tensor_name in module._buffers:
        original = getattr(module, tensor_name)
        if not is_parametrized(module):
            _parametrized_class(module)
            module.parametrizations = ModuleDict()
        functions = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        _add_property(module, tensor_name)
        module.parametrizations[tensor_name] = functions
        return module
    raise ValueError(
        f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with "
        f"name '{tensor_name}'"
    )


def _append_parametrization(
    module: Any, tensor_name: str, parametrization: Module, unsafe: bool
) -> None:
    functions = module.parametrizations[tensor_name]
    before = getattr(module, tensor_name)
    if not unsafe:
        after = parametrization(before)
        if after.dtype != before.dtype or after.shape != before.shape:
            raise ValueError(
                "Registering a parametrization may not change the dtype or the shape of the "
                f"tensor, unless the `unsafe` flag is enabled. Before: {before.dtype} "
                f"{before.shape}; after: {after.dtype} {after.shape}"
            )
    if hasattr(parametrization, "right_inverse"):
        with rushlight.no_grad():
            functions.right_inverse(parametrization.right_inverse(before))
    functions.append(parametrization)
    functions.unsafe |= unsafe


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """True if `module` (or its tensor `tensor_name`) has a parametrization."""
    functions = module.__dict__.get("_modules", {}).get("parametrizations")
    if not isinstance(functions, ModuleDict):
        return False
    return len(functions) > 0 if tensor_name is None else tensor_name in functions


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Makes the tensor a plain one again: its present value, or (`False`) the original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    functions = module.parametrizations[tensor_name]
    if not functions.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    original = functions.original if functions.is_tensor else functions.original0
    if leave_parametrized:
        with rushlight.no_grad():
            value = getattr(module, tensor_name)
        if isinstance(original, Parameter):
            same = functions.is_tensor and value.shape == original.shape
            if same:
                original.data = value.data
            original = original if same else Parameter(value.detach(), original.requires_grad)
        else:
            original = value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if isinstance(original, Parameter):
        module.register_parameter(tensor_name, original)
    else:
        module.register_buffer(tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Any) -> type:
    """The class that the module had before its first parametrization."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Any, to_module: Any, tensor_name: str | None = None
) -> Any:
    """Copies parametrizations and their originals (of one tensor, or all) to another module."""
    if not is_parametrized(from_module):
        return to_module
    names = [tensor_name] if tensor_name is not None else list(from_module.parametrizations)
    for name in names:
        functions = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for function in functions:
            register_parametrization(to_module, name, copy.deepcopy(function), unsafe=True)
        twins = to_module.parametrizations[name]._originals()
        with rushlight.no_grad():
            for own, given in zip(twins, functions._originals(), strict=True):
                own.copy_(given)
    return to_module
