"""Module, the base class of all layers and networks.

Its parts stand in files of their own: `_registry.py` (what a module holds), `_traversal.py`
(walking the tree), `_conversion.py` (dtype and device), `_hooks.py`, `_state.py`
(saving and loading) and `_error_path.py` (which module an exception came from). This file has
the call itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rushlight.backends import adopt_module_class, connect_modules
from rushlight.nn.modules._conversion import ModuleConversion
from rushlight.nn.modules._error_path import note_module
from rushlight.nn.modules._hooks import (
    GLOBAL_HOOKS,
    ModuleHooks,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from rushlight.nn.modules._state import ModuleState, _IncompatibleKeys

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Module",
    "_IncompatibleKeys",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
]

_ANY_GLOBAL_HOOK = GLOBAL_HOOKS.any_registered


class Module(ModuleConversion, ModuleState, ModuleHooks):
    """The base class of all neural network modules.

    Assign parameters and other modules to attributes in `__init__`, after `super().__init__()`,
    and write the computation in `forward`:

    >>> import rushlight as torch
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc1 = torch.nn.Linear(4, 3)
    ...
    ...     def forward(self, x):
    ...         return torch.relu(self.fc1(x))
    >>> net = Net()
    >>> net
    Net(
      (fc1): Linear(in_features=4, out_features=3, bias=True)
    )
    >>> net(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def forward(self, *input: Any) -> Any:
        """The computation of the module; every subclass defines its own."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` and the hooks around it."""
        fields = self.__dict__
        try:
            if (
                fields["_forward_hooks"]
                or fields["_forward_pre_hooks"]
                or fields["_backward_hooks"]
                or fields["_backward_pre_hooks"]
                or _ANY_GLOBAL_HOOK
            ):
                return self._call_with_hooks(args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            _explain_error(error, self)
            raise

    # ---------------------------------------------------------------- modes and gradients

    def train(self, mode: bool = True) -> Self:
        """Switches this module and all below it to training mode (or to evaluation mode).

        Only modules such as Dropout and BatchNorm act differently in the two.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Switches to evaluation mode: the same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Says for all parameters whether gradients are to be computed; False freezes them."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Resets the gradients of all parameters, to None or (`set_to_none=False`) to zeros."""
        for param in self.parameters():
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

    # ---------------------------------------------------------------- printing

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The text between the parentheses of the module's repr; subclasses override it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        child_lines = [
            f"({name}): {_indent_tail(repr(module))}" for name, module in self._modules.items()
        ]
        if not child_lines and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        body = "\n  ".join(lines + child_lines)
        return f"{self._get_name()}(\n  {body}\n)"


def _explain_error(error: Exception, module: Module) -> None:
    """Writes into an exception which module it came out of."""
    if "_modules" not in module.__dict__:
        raise AttributeError(
            f"'{type(module).__name__}' was called before Module.__init__(); call "
            "super().__init__() first in its __init__"
        ) from error
    note_module(error, module)


connect_modules(Module.__getattr__, Module.__call__, _ANY_GLOBAL_HOOK, _explain_error)
adopt_module_class(Module)


def _indent_tail(text: str) -> str:
    """Indents all lines but the first by two spaces."""
    return text.replace("\n", "\n  ")
