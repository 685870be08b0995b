"""How a Module keeps its parameters, buffers and children: registration and attribute access.

A tensor or module assigned to an attribute does not go into the instance's `__dict__` but into one
of three dictionaries, `_parameters`, `_buffers` and `_modules`; Python calls `__getattr__` only for
names that it finds nowhere else, and that is where they are looked up. The compiled extension looks
there before Python gives up, which takes a tenth of the time (`csrc/bind_modules.cpp`).
"""

from __future__ import annotations

from typing import Any

from rushlight import Tensor
from rushlight.backends import adopt_module_class
from rushlight.nn.parameter import Buffer, Parameter, UninitializedBuffer

_HOOK_FIELDS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class ModuleRegistry:
    """The fields of every Module, and the rules by which attributes enter and leave them."""

    dump_patches: bool = False
    call_super_init: bool = False
    _version: int = 1

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]
    _is_full_backward_hook: bool | None
    _backward_pre_hooks: dict[int, Any]
    _backward_hooks: dict[int, Any]
    _forward_hooks: dict[int, Any]
    _forward_hooks_with_kwargs: dict[int, bool]
    _forward_hooks_always_called: dict[int, bool]
    _forward_pre_hooks: dict[int, Any]
    _forward_pre_hooks_with_kwargs: dict[int, bool]
    _state_dict_hooks: dict[int, Any]
    _state_dict_pre_hooks: dict[int, Any]
    _load_state_dict_pre_hooks: dict[int, Any]
    _load_state_dict_post_hooks: dict[int, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            self._refuse_arguments(args, kwargs)
        fields = self.__dict__
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_non_persistent_buffers_set"] = set()
        fields["_is_full_backward_hook"] = None
        for name in _HOOK_FIELDS:
            fields[name] = {}
        fields["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        adopt_module_class(cls)

    def _refuse_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        name = type(self).__name__
        if kwargs:
            raise TypeError(
                f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
            )
        if args:
            raise TypeError(
                f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Modules pickled by other versions may lack the younger fields.
        fields = self.__dict__
        fields.setdefault("_non_persistent_buffers_set", set())
        fields.setdefault("_is_full_backward_hook", None)
        for name in _HOOK_FIELDS:
            fields.setdefault(name, {})

    # ---------------------------------------------------------------- registration

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under `name`; None keeps the name for a parameter that is switched off.

        >>> import rushlight as torch
        >>> module = torch.nn.Module()
        >>> module.register_parameter("bias", None)
        >>> module.bias is None, list(module.parameters())
        (True, [])
        """
        self._check_new_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                "(nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                "created explicitly. To express a parameter as a function of another Tensor, "
                "compute the value in forward()."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that belongs to the module's state but is no parameter.

        A persistent buffer is saved by `state_dict`; all buffers follow `.to()` and `.float()`.
        """
        self._check_new_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Any) -> None:
        """Adds a child module under `name`, reachable as an attribute of that name."""
        if module is not None and not isinstance(module, ModuleRegistry):
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        self._check_new_name("module", name, self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Any) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def _check_new_name(self, kind: str, name: Any, registry: dict[str, Any]) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_type_name(name)}")
        if hasattr(self, name) and name not in registry:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    # ---------------------------------------------------------------- attribute access

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        if "_modules" in fields:
            # Unrolled: this runs at every `self.fc1` and `self.weight` of every forward.
            registry = fields["_modules"]
            if name in registry:
                return registry[name]
            registry = fields["_parameters"]
            if name in registry:
                return registry[name]
            registry = fields["_buffers"]
            if name in registry:
                return registry[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, _REGISTERED):
            self._assign_registered(name, value)
            return
        fields = self.__dict__
        if "_parameters" in fields:
            if name in fields["_parameters"]:
                self._clear_slot("parameter", name, value, "nn.Parameter or None expected")
                return
            if name in fields["_modules"]:
                self._clear_slot("child module", name, value, "nn.Module or None expected")
                return
            if name in fields["_buffers"]:
                self._assign_buffer(name, value)
                return
        object.__setattr__(self, name, value)

    def _assign_registered(self, name: str, value: Any) -> None:
        """Stores a Parameter, Buffer or Module, and forgets what else had that name."""
        fields = self.__dict__
        if isinstance(value, Parameter):
            kind, target = "parameters", "_parameters"
        elif isinstance(value, ModuleRegistry):
            kind, target = "module", "_modules"
        else:
            kind, target = "buffer", "_buffers"
        if target not in fields:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if target == "_buffers":
            if name in fields["_parameters"] or name in fields["_modules"]:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as parameter or child module '{name}'"
                )
            fields.pop(name, None)
            self.register_buffer(name, value, value.persistent)
            return
        fields.pop(name, None)
        for other in ("_parameters", "_buffers", "_modules"):
            if other != target:
                fields[other].pop(name, None)
        fields["_non_persistent_buffers_set"].discard(name)
        if target == "_parameters":
            self.register_parameter(name, value)
        else:
            fields["_modules"][name] = value

    def _clear_slot(self, kind: str, name: str, value: Any, expected: str) -> None:
        if value is not None:
            raise TypeError(f"cannot assign '{_type_name(value)}' as {kind} '{name}' ({expected})")
        registry = self._parameters if kind == "parameter" else self._modules
        registry[name] = None

    def _assign_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(value)}' as buffer '{name}' "
                "(nn.Buffer, Tensor or None expected)"
            )
        self._buffers[name] = value

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        names.update(self._parameters, self._modules, self._buffers)
        # A name such as the "0" of a Sequential is no attribute that one could write.
        return sorted(name for name in names if not name[0].isdigit())


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


_REGISTERED = (Parameter, ModuleRegistry, Buffer, UninitializedBuffer)
