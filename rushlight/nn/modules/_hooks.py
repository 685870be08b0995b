"""Hooks: functions that users attach to a module's forward and backward passes.

Registration returns a `RemovableHandle`. A module without hooks never comes here: see
`Module.__call__`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

from rushlight.nn.modules._backward_hooks import BackwardHookGate
from rushlight.nn.modules._registry import ModuleRegistry

_next_hook_id = itertools.count()


class RemovableHandle:
    """Takes a hook out again, by `remove()` or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Any], *companions: dict[int, Any]) -> None:
        self.id = next(_next_hook_id)
        self._owners = [hooks, *companions]

    def remove(self) -> None:
        """Removes the hook; doing it twice is harmless."""
        for hooks in self._owners:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def add_hook(
    hooks: dict[int, Any],
    hook: Any,
    *flags: tuple[dict[int, bool], bool],
    prepend: bool = False,
) -> RemovableHandle:
    """Stores `hook`, marks it in each flag dictionary that is set, and returns its handle."""
    handle = RemovableHandle(hooks, *(registry for registry, _ in flags))
    hooks[handle.id] = hook
    for registry, is_set in flags:
        if is_set:
            registry[handle.id] = True
    if prepend:
        others = {key: value for key, value in hooks.items() if key != handle.id}
        hooks.clear()
        hooks[handle.id] = hook
        hooks.update(others)
    return handle


class GlobalHooks:
    """Hooks that run for every module; used by profilers and debuggers.

    `any_registered` has an entry for each of them, so that a call can ask one dictionary.
    """

    def __init__(self) -> None:
        self.any_registered: dict[int, bool] = {}
        self.forward_pre: dict[int, Any] = {}
        self.forward: dict[int, Any] = {}
        self.forward_with_kwargs: dict[int, bool] = {}
        self.forward_always_called: dict[int, bool] = {}
        self.backward_pre: dict[int, Any] = {}
        self.backward: dict[int, Any] = {}

    def add(
        self, hooks: dict[int, Any], hook: Any, *flags: tuple[dict[int, bool], bool]
    ) -> RemovableHandle:
        """Stores `hook` among `hooks`, which is one of this object's dictionaries."""
        return add_hook(hooks, hook, (self.any_registered, True), *flags)


GLOBAL_HOOKS = GlobalHooks()


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Registers `hook(module, args)` before the forward of every module."""
    return GLOBAL_HOOKS.add(GLOBAL_HOOKS.forward_pre, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Registers `hook(module, args, output)` after the forward of every module."""
    return GLOBAL_HOOKS.add(
        GLOBAL_HOOKS.forward,
        hook,
        (GLOBAL_HOOKS.forward_with_kwargs, with_kwargs),
        (GLOBAL_HOOKS.forward_always_called, always_call),
    )


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Registers `hook(module, grad_output)` before the backward of every module."""
    return GLOBAL_HOOKS.add(GLOBAL_HOOKS.backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Registers `hook(module, grad_input, grad_output)` after the backward of every module."""
    return GLOBAL_HOOKS.add(GLOBAL_HOOKS.backward, hook)


class ModuleHooks(ModuleRegistry):
    """Registration of a module's hooks, and the call that runs them."""

    forward: Callable[..., Any]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args)` before each forward; what it returns replaces `args`.

        With `with_kwargs` the hook is `hook(module, args, kwargs)` and returns None or both.
        """
        return add_hook(
            self._forward_pre_hooks,
            hook,
            (self._forward_pre_hooks_with_kwargs, with_kwargs),
            prepend=prepend,
        )

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls `hook(module, args, output)` after each forward; what it returns replaces output.

        With `with_kwargs` the hook is `hook(module, args, kwargs, output)`. With `always_call` it
        also runs when the forward raised, with `output` None.

        >>> import rushlight as torch
        >>> relu = torch.nn.ReLU()
        >>> handle = relu.register_forward_hook(lambda module, args, output: print(output.shape))
        >>> _ = relu(torch.ones(2, 3))
        torch.Size([2, 3])
        >>> handle.remove()
        """
        return add_hook(
            self._forward_hooks,
            hook,
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
            prepend=prepend,
        )

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, grad_output)` before the module's backward; may replace it."""
        return add_hook(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)` once the inputs' gradients are known.

        What it returns, when not None, replaces `grad_input`.
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single "
                "Module. Please use only one of them."
            )
        self._is_full_backward_hook = True
        return add_hook(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The deprecated hook that sees only the last operation of the module.

        Use `register_full_backward_hook`, whose `grad_input` belongs to the module's own inputs.
        """
        if self._is_full_backward_hook is True:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single "
                "Module. Please use only one of them."
            )
        self._is_full_backward_hook = False
        return add_hook(self._backward_hooks, hook)

    # ---------------------------------------------------------------- the call with hooks

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Forward with every hook around it, in PyTorch's order: global hooks first."""
        pending = {**GLOBAL_HOOKS.forward_always_called, **self._forward_hooks_always_called}
        try:
            args, kwargs = self._run_forward_pre_hooks(args, kwargs)
            gate = self._backward_gate()
            if gate is not None:
                args = gate.watch_inputs(args)
            result = self.forward(*args, **kwargs)
            result = self._run_forward_hooks(args, kwargs, result, pending)
            if gate is not None:
                result = gate.watch_outputs(result)
            if self._is_full_backward_hook is False:
                self._attach_last_op_hooks(result)
            return result
        except Exception:
            self._run_pending_hooks(args, kwargs, pending)
            raise

    def _run_forward_pre_hooks(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hooks = [*GLOBAL_HOOKS.forward_pre.items(), *self._forward_pre_hooks.items()]
        for key, hook in hooks:
            if key in self._forward_pre_hooks_with_kwargs:
                replaced = hook(self, args, kwargs)
                if replaced is None:
                    continue
                if not (isinstance(replaced, tuple) and len(replaced) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {replaced}."
                    )
                args, kwargs = replaced
            else:
                replaced = hook(self, args)
                if replaced is not None:
                    args = replaced if isinstance(replaced, tuple) else (replaced,)
        return args, kwargs

    def _run_forward_hooks(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        pending: dict[int, bool],
    ) -> Any:
        for key, hook in [*GLOBAL_HOOKS.forward.items(), *self._forward_hooks.items()]:
            pending.pop(key, None)
            replaced = self._run_forward_hook(key, hook, args, kwargs, result)
            if replaced is not None:
                result = replaced
        return result

    def _run_forward_hook(
        self, key: int, hook: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Any:
        if key in self._forward_hooks_with_kwargs or key in GLOBAL_HOOKS.forward_with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)

    def _run_pending_hooks(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], pending: dict[int, bool]
    ) -> None:
        """Runs the `always_call` hooks that an exception kept from running."""
        for key in pending:
            hook = GLOBAL_HOOKS.forward.get(key) or self._forward_hooks.get(key)
            try:
                self._run_forward_hook(key, hook, args, kwargs, None)
            except Exception as error:
                warnings.warn(
                    "forward hook with ``always_call=True`` raised an exception that was silenced "
                    f"as another error was raised in forward: {error}",
                    stacklevel=3,
                )

    def _backward_gate(self) -> BackwardHookGate | None:
        pre_hooks = [*GLOBAL_HOOKS.backward_pre.values(), *self._backward_pre_hooks.values()]
        hooks = [*GLOBAL_HOOKS.backward.values()]
        if self._is_full_backward_hook is True:
            hooks.extend(self._backward_hooks.values())
        if not (hooks or pre_hooks):
            return None
        return BackwardHookGate(self, hooks, pre_hooks)

    def _attach_last_op_hooks(self, result: Any) -> None:
        while isinstance(result, (tuple, list, dict)) and result:
            result = next(iter(result.values() if isinstance(result, dict) else result))
        grad_fn = getattr(result, "grad_fn", None)
        if grad_fn is None:
            return
        for hook in self._backward_hooks.values():
            grad_fn.register_hook(
                lambda grad_input, grad_output, hook=hook: hook(self, grad_input, grad_output)
            )
