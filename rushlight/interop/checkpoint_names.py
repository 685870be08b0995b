"""What the names in a checkpoint mean: the whole list of what loading can make.

`LoadGlobals` is the one place that turns names into objects. It imports nothing for a file; a name
that is not listed here (or registered by `add_safe_globals`) is an error that names them all.
"""

from __future__ import annotations

import argparse
import builtins
import codecs
import collections
import contextlib
import datetime
import decimal
import pathlib
import sys
import types
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import dtypes, formats, legacy
from ..random import Generator
from ..tensor import Tensor
from . import checkpoint_numpy, checkpoint_rebuild
from .checkpoint_errors import CheckpointError, UnsupportedContentError, shown
from .checkpoint_rebuild import StorageType, build_device, build_size, set_attributes

__all__ = ["LoadGlobals", "STORAGE_TYPES", "storage_type"]

_STORAGE_NAMES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "ByteStorage": "uint8", "CharStorage": "int8",
    "ShortStorage": "int16", "IntStorage": "int32", "LongStorage": "int64", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_BY_NAME = {d.name: d for d in dtypes.ALL_DTYPES}
STORAGE_TYPES = {name: StorageType(name, _BY_NAME[d]) for name, d in _STORAGE_NAMES.items()}
UNTYPED = StorageType("UntypedStorage", None)
_BY_DTYPE = {t.dtype: t for t in STORAGE_TYPES.values()}
# What PyTorch can save and rushlight has no tensors for.
_NOT_HERE = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a meta tensor, which has no values",
    "torch._utils._rebuild_wrapper_subclass": "a wrapper subclass",
}
_QUANTIZED = (
    "QInt8Storage",
    "QUInt8Storage",
    "QInt32Storage",
    "QUInt4x2Storage",
    "QUInt2x4Storage",
)


@contextlib.contextmanager
def _damage_is_the_files() -> Iterator[None]:
    """What a maker cannot take is the fault of the file."""
    try:
        yield
    except CheckpointError:
        raise
    except (RuntimeError, AssertionError, AttributeError, NotImplementedError) as error:
        raise CheckpointError(f"[load] the file holds a malformed object: {error}") from error


def storage_type(dtype: dtypes.dtype) -> StorageType:
    """The storage type that tensors of a dtype are saved with; bytes for the younger dtypes."""
    return _BY_DTYPE.get(dtype, UNTYPED)


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """`_codecs.encode`, by which protocol 2 writes bytes."""
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise CheckpointError("[load] bytes are written in an unknown way")
    return codecs.encode(text, encoding)


def _layout(name: Any) -> Any:
    found = getattr(formats, str(name).removeprefix("torch."), None)
    if not isinstance(found, formats.layout):
        raise CheckpointError(f"[load] the file names the layout {shown(name)}, which is not known")
    return found


def _set(items: Any = ()) -> set[Any]:
    from .checkpoint_opcodes import check_key

    for item in _plain(items):
        check_key(item)
    return set(items)


def _ordered_dict(items: Any = ()) -> Any:
    result: Any = collections.OrderedDict()
    for pair in _plain(items):
        key, value = pair
        _set((key,))
        result[key] = value
    return result


def _counter(items: Any = ()) -> Any:
    if type(items) is not dict:
        raise CheckpointError("[load] a Counter is made of something that is no dict")
    return collections.Counter(items)


def _bytearray(data: Any = b"", encoding: Any = "latin-1") -> bytearray:
    if isinstance(data, str):
        return bytearray(_encode(data, encoding))
    if not isinstance(data, (bytes, list, tuple)):
        raise CheckpointError("[load] a bytearray is made of something that is no bytes")
    return bytearray(data)


def _complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    return complex(float(real), float(imag))


def _plain(items: Any) -> Any:
    if not isinstance(items, (tuple, list)):
        raise CheckpointError(f"[load] expected a list; the file has a {type(items).__name__}")
    return items


def _generator(dev: Any = "cpu") -> Generator:
    return Generator(dev)


# Name in the file -> the function that makes the object from untrusted arguments.
_MAKERS: dict[str, Callable[..., Any]] = {
    **{f"torch._utils.{f.__name__}": f for f in checkpoint_rebuild.TENSOR_BUILDERS},
    "torch._tensor._rebuild_from_type_v2": checkpoint_rebuild._rebuild_from_type_v2,
    "torch.Size": build_size,
    "torch.device": build_device,
    "torch.serialization._get_layout": _layout,
    "torch._C.Generator": _generator,
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "_codecs.encode": _encode,
    "builtins.set": _set,
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    **checkpoint_numpy.MAKERS,
}
_MAKER_IDS = frozenset(map(id, _MAKERS.values()))
# Name in the file -> a value that is not called.
_VALUES: dict[str, Any] = {
    **{f"torch.{name}": d for name, d in _BY_NAME.items()},
    **{f"torch.{name}": t for name, t in STORAGE_TYPES.items()},
    **{f"torch.cuda.{name}": t for name, t in STORAGE_TYPES.items()},
    "torch.storage.UntypedStorage": UNTYPED,
    "torch.UntypedStorage": UNTYPED,
    "torch.Tensor": Tensor,
    "torch._tensor.Tensor": Tensor,
    **{f"torch.{n}": getattr(legacy, n) for n in legacy.__all__},
    **{f"torch.cuda.{n}": getattr(legacy, n) for n in legacy.__all__},
    **{
        f"torch.{f.name}": f for f in vars(formats).values() if isinstance(f, formats.memory_format)
    },
    **checkpoint_numpy.VALUES,
}
# With weights_only=False: classes that only hold data, made and filled by Python itself.
_DATA_CLASSES: tuple[type, ...] = (
    argparse.Namespace, types.SimpleNamespace, collections.defaultdict, collections.deque,
    datetime.date, datetime.datetime, datetime.timedelta, datetime.time, datetime.timezone,
    decimal.Decimal, pathlib.PurePosixPath, pathlib.PureWindowsPath, uuid.UUID, slice, range,
    frozenset, list, dict, tuple, int, float, str, bool, bytes,
)  # fmt: skip
_PATHS = {
    "pathlib.PosixPath": pathlib.PurePosixPath,
    "pathlib.WindowsPath": pathlib.PureWindowsPath,
    "pathlib._local.PosixPath": pathlib.PurePosixPath,  # as Python 3.13 names them
    "pathlib._local.WindowsPath": pathlib.PureWindowsPath,
}
_FILLED = (argparse.Namespace, types.SimpleNamespace)
_PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_PYTHON2_NAMES = {"builtins.xrange": "builtins.range", "builtins.unicode": "builtins.str",
                  "builtins.long": "builtins.int"}  # fmt: skip


def full_name(module: str, name: str) -> str:
    """The dotted name, in Python 3's spelling."""
    full = f"{_PYTHON2_MODULES.get(module, module)}.{name}"
    return _PYTHON2_NAMES.get(full, full)


def names_of(obj: Any) -> list[str]:
    """The names under which a file may mention a class or function of ours or the user's."""
    name = f"{obj.__module__}.{obj.__qualname__}"
    if name.startswith("rushlight.vision."):
        return [name, "torchvision" + name.removeprefix("rushlight.vision")]
    return (
        [name, "torch" + name.removeprefix("rushlight")]
        if name.startswith("rushlight.")
        else [name]
    )


class LoadGlobals:
    """The names that one load accepts.

    `safe` are the user's own classes and functions by name; `weights_only=False` adds plain data
    classes, and the modules (`nn.Module` subclasses) of code that is already imported.
    """

    def __init__(self, weights_only: bool, safe: dict[str, Any]):
        self._weights_only = weights_only
        self._safe = safe

    def find(self, module: str, name: str) -> Any:
        """The object of that name; CheckpointError if it is not allowed."""
        full = full_name(module, name)
        for table in (_MAKERS, _VALUES, self._safe):
            if full in table:
                return table[full]
        if full == "torch.nn.parameter.Parameter":
            from ..nn.parameter import Parameter

            return Parameter
        if full in _NOT_HERE or (module == "torch" and name in _QUANTIZED):
            what = _NOT_HERE.get(full, "a quantized tensor")
            raise UnsupportedContentError(
                f"[load] the file holds {what}, which rushlight does not have yet; save it "
                "converted to a dense tensor"
            )
        found = None if self._weights_only else self._find_more(full)
        if found is None:
            raise UnknownGlobal(full)
        return found

    def _find_more(self, full: str) -> Any:
        if full in _PATHS:
            return _PATHS[full]
        for cls in _DATA_CLASSES:
            if full == f"{cls.__module__}.{cls.__qualname__}":
                return cls
        return _known_module_class(full)

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """What `function`, which `find` gave, makes of `args`."""
        if id(function) in _MAKER_IDS:
            with _damage_is_the_files():
                return function(*args)
        if self._is_safe(function):
            return function(*args)
        from ..nn.parameter import Parameter

        if function is Parameter and args and isinstance(args[0], Tensor):
            return Parameter(*args[:2])
        if function is collections.defaultdict and not self._weights_only:
            return _defaultdict(*args)
        if not self._weights_only and isinstance(function, type) and function in _DATA_CLASSES:
            return _checked_data_class(function, args)
        raise CheckpointError(
            f"[load] the file calls {shown(function)}, which is not called by a load"
        )

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A new object of `cls`, without its state."""
        if self._is_safe(cls) and isinstance(cls, type):
            return cls.__new__(cls, *args, **kwargs)
        if cls in (_ordered_dict, _counter) and not args and not kwargs:
            return cls({}) if cls is _counter else cls()
        if not self._weights_only and not args and not kwargs:
            if cls in _FILLED or _is_module_class(cls):
                return object.__new__(cls)
        if not self._weights_only and not kwargs and cls in _DATA_CLASSES:
            return _checked_data_class(cls, args)
        raise CheckpointError(
            f"[load] the file makes an object of {shown(cls)}, which no load makes"
        )

    def set_state(self, instance: Any, state: Any) -> None:
        """Gives an object its state."""
        kind = type(instance)
        if self._is_safe(kind):
            _set_user_state(instance, state)
        elif kind is Generator:
            with _damage_is_the_files():
                _set_generator_state(instance, state)
        elif isinstance(instance, (np.ndarray, np.dtype)):
            checkpoint_numpy.set_state(instance, state)
        elif kind is collections.OrderedDict:
            _set_ordered_dict_state(instance, state)
        elif kind in _FILLED and isinstance(state, dict):
            instance.__dict__.update({str(k): v for k, v in state.items()})
        elif not self._weights_only and _is_module_class(kind) and isinstance(state, dict):
            instance.__setstate__(state)
        elif isinstance(instance, Tensor):
            set_attributes(instance, state)
        else:
            raise CheckpointError(f"[load] the file sets the state of a {kind.__name__}")

    def _is_safe(self, obj: Any) -> bool:
        return any(obj is value for value in self._safe.values())


class UnknownGlobal(CheckpointError):
    """Raised for a name that a load does not accept; the message is completed by `load`."""

    def __init__(self, name: str):
        super().__init__(f"[load] Unsupported global: {name}")
        self.global_name = name


def _known_module_class(full: str) -> Any:
    """A class of modules, or a function of `nn.functional`, of code that is already imported."""
    from ..nn import functional

    module_name, _, name = full.rpartition(".")
    for theirs, ours in (("torch.", "rushlight."), ("torchvision.", "rushlight.vision.")):
        if full.startswith(theirs):
            module_name = (ours + module_name[len(theirs) :]).rstrip(".")
    if module_name == "rushlight.nn":
        module_name = "rushlight.nn.modules"
    if module_name == "rushlight.nn.functional":
        found = vars(functional).get(name)
        return found if isinstance(found, types.FunctionType) else None
    found = vars(sys.modules.get(module_name, builtins)).get(name)
    if found is None and module_name.startswith("rushlight.nn.modules."):
        found = getattr(sys.modules["rushlight.nn.modules"], name, None)  # in another file of ours
    return found if _is_module_class(found) else None


def _is_module_class(cls: Any) -> bool:
    """Whether instances can be made and filled without running code of the user or the file."""
    from ..nn import Module

    if not isinstance(cls, type) or not issubclass(cls, Module):
        return False
    return cls.__setstate__.__module__.startswith("rushlight.") and "__new__" not in vars(cls)


def _defaultdict(factory: Any = None, *items: Any) -> Any:
    if factory not in (None, list, dict, int, float, str, bool, _set, _ordered_dict):
        raise CheckpointError("[load] a defaultdict's factory is not a plain type")
    if factory in (_set, _ordered_dict):
        factory = set if factory is _set else collections.OrderedDict
    return collections.defaultdict(factory, *items)


def _checked_data_class(cls: Any, args: tuple[Any, ...]) -> Any:
    simple = (str, int, float, bytes, bool, type(None), datetime.timezone, datetime.timedelta)
    bounded = cls in (list, tuple, frozenset, collections.deque, dict)
    for arg in args:
        if not isinstance(arg, simple) and not (bounded and isinstance(arg, (list, tuple, dict))):
            raise CheckpointError(f"[load] a {cls.__name__} is made of a {type(arg).__name__}")
        if cls is bytes and isinstance(arg, int):
            raise CheckpointError("[load] bytes are made of a count")
    if cls is frozenset:
        return frozenset(_set(*args))
    if cls is datetime.timezone and args:
        return datetime.timezone(*args)
    return cls(*args)


def _set_ordered_dict_state(instance: Any, state: Any) -> None:
    if not isinstance(state, dict):
        raise CheckpointError("[load] the state of an OrderedDict is no dict")
    for name, value in state.items():
        if type(name) is not str or hasattr(collections.OrderedDict, name):
            raise CheckpointError(f"[load] the file sets attribute {shown(name)} of an OrderedDict")
        instance.__dict__[name] = value


def _set_generator_state(generator: Generator, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) != 3 or not isinstance(state[2], Tensor):
        raise CheckpointError("[load] the state of a Generator is malformed")
    generator.set_state(state[2])


def _set_user_state(instance: Any, state: Any) -> None:
    """What pickle does: `__setstate__`, or attributes from a dict and slots from a second one."""
    if hasattr(instance, "__setstate__"):
        instance.__setstate__(state)
        return
    fields, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for name, value in (fields or {}).items():
        instance.__dict__[name] = value
    for name, value in (slots or {}).items():
        setattr(instance, name, value)


class ListingGlobals:
    """Accepts every name, makes nothing of it, and keeps the names that a load would refuse."""

    def __init__(self, allowed: LoadGlobals):
        self._allowed = allowed
        self.refused: list[str] = []

    def find(self, module: str, name: str) -> Any:
        """A placeholder."""
        try:
            self._allowed.find(module, name)
        except CheckpointError:
            full = full_name(module, name)
            if full not in self.refused:
                self.refused.append(full)
        return Placeholder()

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """A placeholder."""
        return Placeholder()

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A placeholder."""
        return Placeholder()

    def set_state(self, instance: Any, state: Any) -> None:
        """Nothing is kept of a state."""


class Placeholder:
    """Stands for an object that is not made, while the names in a file are listed."""

    stands_for_unknown = True

    def extend(self, items: Iterable[Any]) -> None:
        """Items are not kept."""
