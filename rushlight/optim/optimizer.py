"""Optimizer: groups of parameters, their state, saving and loading, and hooks around the step."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from rushlight import Tensor

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]

ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Group = dict[str, Any]


class _RequiredParameter:
    """Marks an option that every parameter group must give for itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()

_hook_ids = itertools.count()
_global_pre_hooks: dict[int, Callable[..., Any]] = {}
_global_post_hooks: dict[int, Callable[..., Any]] = {}


class HookHandle:
    """Takes a hook out again, by `remove()` or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Any], hook: Any, prepend: bool = False) -> None:
        self.id = next(_hook_ids)
        self._hooks = hooks
        others = dict(hooks) if prepend else {}
        if prepend:
            hooks.clear()
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        """Removes the hook; doing it twice is harmless."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> HookHandle:
    """Calls `hook(optimizer, args, kwargs)` before the step of every optimizer."""
    return HookHandle(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> HookHandle:
    """Calls `hook(optimizer, args, kwargs)` after the step of every optimizer."""
    return HookHandle(_global_post_hooks, hook)


def _step_with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a subclass's `step` so that the hooks run, and schedulers see that it was called."""

    @functools.wraps(step)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        pre_hooks, post_hooks = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        if not (pre_hooks or post_hooks or _global_pre_hooks or _global_post_hooks):
            return step(self, *args, **kwargs)
        all_args: tuple[Any, ...] = (self, *args)
        for hook in [*_global_pre_hooks.values(), *pre_hooks.values()]:
            replaced = hook(self, all_args, kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise RuntimeError(
                    f"{hook} must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {replaced}."
                )
            all_args, kwargs = replaced
        result = step(*all_args, **kwargs)
        for hook in [*post_hooks.values(), *_global_post_hooks.values()]:
            hook(self, all_args, kwargs)
        return result

    return wrapped


class Optimizer:
    """The base class of all optimizers.

    `params` is an iterable of tensors, of (name, tensor) pairs, or of dictionaries that each hold
    `params` and options of their own; `defaults` are the options of groups that give none.
    Subclasses write `step`, keep what they remember per parameter in `self.state[param]`, and read
    their options from the groups in `self.param_groups`.
    """

    state: defaultdict[Tensor, Any]
    param_groups: list[Group]
    _optimizer_step_pre_hooks: dict[int, Any]
    _optimizer_step_post_hooks: dict[int, Any]
    _optimizer_state_dict_pre_hooks: dict[int, Any]
    _optimizer_state_dict_post_hooks: dict[int, Any]
    _optimizer_load_state_dict_pre_hooks: dict[int, Any]
    _optimizer_load_state_dict_post_hooks: dict[int, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _step_with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._set_hook_fields()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {params.type()}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _set_hook_fields(self) -> None:
        self._opt_called = False
        for name in (
            "_optimizer_step_pre_hooks",
            "_optimizer_step_post_hooks",
            "_optimizer_state_dict_pre_hooks",
            "_optimizer_state_dict_post_hooks",
            "_optimizer_load_state_dict_pre_hooks",
            "_optimizer_load_state_dict_post_hooks",
        ):
            self.__dict__.setdefault(name, {})

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_hook_fields()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines.extend(f"    {key}: {group[key]}" for key in sorted(group) if key != "params")
        return "\n".join(lines) + "\n)"

    # ---------------------------------------------------------------- stepping

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes the parameters by their gradients; returns what `closure` returned, if given."""
        raise NotImplementedError(
            f"[{type(self).__name__}.step] an optimizer must define step(closure=None)"
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Resets the gradients of all parameters, to None or (`set_to_none=False`) to zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                    continue
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                else:
                    param.grad.requires_grad_(False)
                param.grad.zero_()

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Calls `hook(optimizer, args, kwargs)` before each step; it may return both anew."""
        return HookHandle(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> HookHandle:
        """Calls `hook(optimizer, args, kwargs)` after each step."""
        return HookHandle(self._optimizer_step_post_hooks, hook)

    # ---------------------------------------------------------------- groups

    def add_param_group(self, param_group: Group) -> None:
        """Adds parameters with options of their own, such as layers that are unfrozen later.

        Raises TypeError for what is no tensor, ValueError for a non-leaf, for a missing required
        option and for a parameter that another group has already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            param_group["params"] = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        else:
            param_group["params"] = list(params)
        self._split_names(param_group)
        self._check_params(param_group["params"])
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization "
                    f"parameter {name}"
                )
            param_group.setdefault(name, default)
        self._check_duplicates(param_group)
        self.param_groups.append(param_group)

    def _split_names(self, group: Group) -> None:
        """Turns (name, tensor) pairs into `params` and `param_names`."""
        named = [isinstance(param, tuple) for param in group["params"]]
        if not any(named):
            return
        if not all(named):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing"
            )
        group["param_names"] = [name for name, _ in group["params"]]
        group["params"] = [param for _, param in group["params"]]

    def _check_params(self, params: list[Any]) -> None:
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(param).__name__}"
                )
            if not self.defaults.get("differentiable") and not (
                param.is_leaf or param.retains_grad
            ):
                raise ValueError("can't optimize a non-leaf Tensor")

    def _check_duplicates(self, new_group: Group) -> None:
        params = new_group["params"]
        ids = {id(param) for param in params}
        if len(ids) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in group) != ("param_names" in new_group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group with{'' if 'param_names' in new_group else 'out'} "
                    "names to the optimizer"
                )
            if any(id(param) in ids for param in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")

    # ---------------------------------------------------------------- saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Returns `{"state": …, "param_groups": …}` with parameters replaced by their numbers.

        Numbers count through all groups in order, so that a file does not depend on where the
        parameters lie. Tensors are not copied.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        number_of: dict[int, int] = {}
        packed_groups = []
        for group in self.param_groups:
            for param in group["params"]:
                number_of.setdefault(id(param), len(number_of))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [number_of[id(param)] for param in group["params"]]
            packed_groups.append(packed)
        packed_state = {
            (number_of[id(key)] if isinstance(key, Tensor) else key): value
            for key, value in self.state.items()
        }
        state_dict = {"state": packed_state, "param_groups": packed_groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the state and the options that `state_dict` returned.

        State tensors take the dtype and device of their parameter. Raises ValueError when the
        groups differ in number or size.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        own_groups = self.param_groups
        given_groups = deepcopy(state_dict["param_groups"])
        _check_groups_match(own_groups, given_groups)
        numbers = itertools.chain.from_iterable(group["params"] for group in given_groups)
        params = itertools.chain.from_iterable(group["params"] for group in own_groups)
        param_of = dict(zip(numbers, params, strict=True))
        group_of = {n: group for group in given_groups for n in group["params"]}
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in param_of:
                state[param_of[key]] = _cast_state(param_of[key], value, group_of[key])
            else:
                state[key] = value
        for own, given in zip(own_groups, given_groups, strict=True):
            given["params"] = own["params"]
            if "param_names" in own and "param_names" not in given:
                given["param_names"] = own["param_names"]
        self.__setstate__({"state": state, "param_groups": given_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., None], prepend: bool = False
    ) -> HookHandle:
        """Calls `hook(optimizer)` before `state_dict`."""
        return HookHandle(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> HookHandle:
        """Calls `hook(optimizer, state_dict)` after `state_dict`; it may return another one."""
        return HookHandle(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> HookHandle:
        """Calls `hook(optimizer, state_dict)` before loading; it may return another one."""
        return HookHandle(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., None], prepend: bool = False
    ) -> HookHandle:
        """Calls `hook(optimizer)` after loading."""
        return HookHandle(self._optimizer_load_state_dict_post_hooks, hook, prepend)


def _check_groups_match(own_groups: list[Group], given_groups: list[Group]) -> None:
    if len(own_groups) != len(given_groups):
        raise ValueError("loaded state dict has a different number of parameter groups")
    for own, given in zip(own_groups, given_groups, strict=True):
        if len(own["params"]) != len(given["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )


def _cast_state(param: Tensor, value: Any, group: Group, key: str | None = None) -> Any:
    """Gives a parameter's state its dtype and device; step counts stay as they are."""
    if isinstance(value, Tensor):
        if key == "step":
            if group.get("capturable") or group.get("fused"):
                return value.to(device=param.device, dtype=param.new_zeros(()).float().dtype)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
    if isinstance(value, dict):
        return {k: _cast_state(param, v, group, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast_state(param, entry, group) for entry in value)
    return value
