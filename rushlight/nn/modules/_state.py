"""`state_dict` and `load_state_dict`: a module's parameters and buffers by their dotted names."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import rushlight
from rushlight import Tensor
from rushlight.nn.modules._hooks import RemovableHandle, add_hook
from rushlight.nn.modules._traversal import ModuleTraversal
from rushlight.nn.parameter import Parameter, is_lazy

_EXTRA_STATE_KEY = "_extra_state"


class _IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: the keys it did not find, and those it had no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )

    def __str__(self) -> str:
        return repr(self)


class _ModuleHook:
    """Calls a load hook with the module in front of its other arguments."""

    def __init__(self, hook: Callable[..., Any], module: Any) -> None:
        self.hook = hook
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


class ModuleState(ModuleTraversal):
    """Saving and loading, with the hooks and the `_metadata` that PyTorch's format has."""

    def get_extra_state(self) -> Any:
        """What a subclass wants saved besides tensors; override it together with its setter."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called; a class "
            "that calls it must define get_extra_state()"
        )

    def set_extra_state(self, state: Any) -> None:
        """Takes back what `get_extra_state` returned."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called; a class "
            "that calls it must define set_extra_state()"
        )

    # ---------------------------------------------------------------- saving

    def state_dict(
        self,
        *args: Any,
        destination: Any = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> Any:
        """Returns an ordered dictionary of all parameters and persistent buffers.

        The tensors are detached but share memory with the module's; `keep_vars=True` gives the
        parameters themselves. `_metadata` on the result holds each module's version.

        >>> import rushlight as torch
        >>> list(torch.nn.Linear(3, 2).state_dict())
        ['weight', 'bias']
        """
        by_position = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
        destination = by_position.get("destination", destination)
        prefix = by_position.get("prefix", prefix)
        keep_vars = by_position.get("keep_vars", keep_vars)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, local_metadata)
            if getattr(hook, "_from_public_api", False):
                if result is not None:
                    raise RuntimeError("state_dict post-hook must return None")
            elif result is not None:
                destination = result
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Writes this module's own tensors into `destination`; subclasses may extend it."""
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if keep_vars else param.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not ModuleState.get_extra_state:
            destination[f"{prefix}{_EXTRA_STATE_KEY}"] = self.get_extra_state()

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously "
                "registered via register_state_dict_post_hook"
            )
        return add_hook(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls `hook(module, state_dict, prefix, local_metadata)` after saving; in place only."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return add_hook(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls `hook(module, prefix, keep_vars)` before saving."""
        return add_hook(self._state_dict_pre_hooks, hook)

    # ---------------------------------------------------------------- loading

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        return add_hook(
            self._load_state_dict_pre_hooks, _ModuleHook(hook, self) if with_module else hook
        )

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before this module loads its part."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls `hook(module, incompatible_keys)` after loading; it may edit the two lists."""
        return add_hook(self._load_state_dict_post_hooks, hook)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copies the tensors of `state_dict` into this module and the modules below it.

        With `strict` the keys must match exactly, else RuntimeError lists every difference. With
        `assign` the tensors of `state_dict` themselves become the parameters, keeping their dtype.

        >>> import rushlight as torch
        >>> a, b = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
        >>> a.load_state_dict(b.state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"Expected state_dict to be dict-like, got {type(state_dict)}; pass the dictionary "
                "that module.state_dict() made, or rushlight.load(path) of the file it was saved to"
            )
        metadata = getattr(state_dict, "_metadata", None)
        report = _LoadReport(strict, assign)
        # Hooks of the modules may rewrite keys: they get a copy, not the caller's dictionary.
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata  # type: ignore[attr-defined]
        report.load(self, state_dict, metadata, "")
        if strict:
            report.add_key_errors()
        if report.error_msgs:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(report.error_msgs)
            )
        return _IncompatibleKeys(report.missing_keys, report.unexpected_keys)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Loads this module's own tensors; subclasses extend it to read older versions."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, own in self._own_state_items():
            key = prefix + name
            if key in state_dict:
                message = self._load_tensor(name, key, own, state_dict[key], assign)
                if message:
                    error_msgs.append(message)
            elif strict:
                missing_keys.append(key)
        self._load_extra_state(state_dict, prefix, strict, missing_keys, unexpected_keys)
        if strict:
            unexpected_keys.extend(self._unexpected_keys(state_dict, prefix))

    def _own_state_items(self) -> list[tuple[str, Any]]:
        persistent = (
            item
            for item in self._buffers.items()
            if item[0] not in self._non_persistent_buffers_set
        )
        items = itertools.chain(self._parameters.items(), persistent)
        return [(name, tensor) for name, tensor in items if tensor is not None]

    def _load_tensor(self, name: str, key: str, own: Any, given: Any, assign: bool) -> str | None:
        """Copies or assigns one tensor; returns the error text if it does not fit."""
        if not isinstance(given, Tensor):
            return (
                f'While copying the parameter named "{key}", expected rushlight.Tensor or '
                f"Tensor-like object from checkpoint but received {type(given)}"
            )
        if not is_lazy(own):
            # Checkpoints of very old versions kept scalars as tensors of one element.
            if own.dim() == 0 and tuple(given.shape) == (1,):
                given = given[0]
            if given.shape != own.shape:
                return (
                    f"size mismatch for {key}: copying a param with shape {given.shape} from "
                    f"checkpoint, the shape in current model is {own.shape}."
                )
        try:
            with rushlight.no_grad():
                if assign:
                    self._assign_tensor(name, own, given)
                else:
                    own.copy_(given)
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{own.size()} and whose dimensions in the checkpoint are {given.size()}, an "
                f"exception occurred : {error.args}."
            )
        return None

    def _assign_tensor(self, name: str, own: Any, given: Tensor) -> None:
        if isinstance(own, Parameter) and not isinstance(given, Parameter):
            given = Parameter(given, requires_grad=own.requires_grad)
        elif isinstance(own, Parameter):
            given.requires_grad_(own.requires_grad)
        setattr(self, name, given)

    def _load_extra_state(
        self,
        state_dict: Any,
        prefix: str,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
    ) -> None:
        key = f"{prefix}{_EXTRA_STATE_KEY}"
        if type(self).set_extra_state is not ModuleState.set_extra_state:
            if key in state_dict:
                self.set_extra_state(state_dict[key])
            elif strict:
                missing_keys.append(key)
        elif strict and key in state_dict:
            unexpected_keys.append(key)

    def _unexpected_keys(self, state_dict: Any, prefix: str) -> list[str]:
        """The keys below `prefix` that name neither a child nor a tensor of this module."""
        own_names = {name for name, _ in self._own_state_items()}
        unexpected = []
        for key in state_dict:
            if not key.startswith(prefix) or key == f"{prefix}{_EXTRA_STATE_KEY}":
                continue
            first, *rest = key[len(prefix) :].split(".", 1)
            is_child = bool(rest) and first in self._modules
            if not is_child and key[len(prefix) :] not in own_names:
                unexpected.append(key)
        return unexpected


class _LoadReport:
    """One run of `load_state_dict`: walks the modules and collects what does not fit."""

    def __init__(self, strict: bool, assign: bool) -> None:
        self.strict = strict
        self.assign = assign
        self.missing_keys: list[str] = []
        self.unexpected_keys: list[str] = []
        self.error_msgs: list[str] = []

    def load(self, module: Any, state_dict: Any, metadata: Any, prefix: str) -> None:
        local_metadata = {} if metadata is None else metadata.get(prefix[:-1], {})
        if self.assign:
            local_metadata = {**local_metadata, "assign_to_params_buffers": True}
        module._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            True,
            self.missing_keys,
            self.unexpected_keys,
            self.error_msgs,
        )
        for name, child in module._modules.items():
            if child is None:
                continue
            child_prefix = f"{prefix}{name}."
            # A child sees only its own keys, so that its time does not grow with the whole file.
            part = {k: v for k, v in state_dict.items() if k.startswith(child_prefix)}
            self.load(child, part, metadata, child_prefix)
        keys = _IncompatibleKeys(self.missing_keys, self.unexpected_keys)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                    "to return new values, if incompatible_keys need to be modified, it should be "
                    "done inplace."
                )

    def add_key_errors(self) -> None:
        """Puts the lists of missing and unexpected keys in front of the other errors."""
        for kind, keys in (
            ("Unexpected", self.unexpected_keys),
            ("Missing", self.missing_keys),
        ):
            if keys:
                quoted = ", ".join(f'"{key}"' for key in keys)
                self.error_msgs.insert(0, f"{kind} key(s) in state_dict: {quoted}. ")
