"""A reader of pickles that executes nothing.

A pickle is a program for a small stack machine. This machine knows the opcodes that build plain
data; whatever would import or call something goes to a `Globals` object, which alone decides what a
name means and what may be made with it. Containers are checked before they are filled, a claimed
length before it is read, and the depth of nesting is bounded.
"""

from __future__ import annotations

import struct
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

from .checkpoint_errors import CheckpointError

__all__ = ["Globals", "PickleReader"]

MAX_DEPTH = 10_000
_MAX_LINE = 1 << 16
_MAX_DIGITS = 4_000
_MAX_MEMO = 1 << 31
_KEY_DEPTH = 16
_NUMBERS = {"B": (1, False), "H": (2, False), "i": (4, True), "I": (4, False), "Q": (8, False)}


class Globals(Protocol):
    """Decides what the names in a pickle mean."""

    def find(self, module: str, name: str) -> Any:
        """The object of that name; CheckpointError if it is not allowed."""

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """What `function`, which `find` gave, makes of `args`."""

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A new object of `cls`, without its state."""

    def set_state(self, instance: Any, state: Any) -> None:
        """Gives an object its state."""


class PickleReader:
    """Reads one pickle after another from a binary file.

    `persistent_load` gets the ids of objects that are kept outside the pickle; `encoding` is that
    of Python 2 strings. Raises CheckpointError for whatever is malformed.
    """

    def __init__(
        self,
        file: BinaryIO,
        remaining: int,
        globals: Globals,
        persistent_load: Callable[[Any], Any] | None = None,
        encoding: str = "utf-8",
    ):
        self._file = file
        self._end = file.tell() + remaining
        self._globals = globals
        self._persistent_load = persistent_load
        self._encoding = encoding

    def load(self) -> Any:
        """The object of the next pickle in the file."""
        self.stack: list[Any] = []
        self._marked: list[list[Any]] = []  # the stacks below each open mark
        self._memo: dict[int, Any] = {}
        read, steps = self._file.read, _STEPS
        try:
            while (opcode := read(1)) != b".":
                step = steps.get(opcode)
                if step is None:
                    raise CheckpointError(_unknown(opcode))
                step(self)
            if len(self.stack) != 1 or self._marked:
                raise CheckpointError("[load] the pickle ends with an unfinished object")
        except (IndexError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"[load] the pickle is malformed: {error}") from error
        return self.stack.pop()

    # ---- reading -------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        left = self._end - self._file.tell() if count > 64 else 64
        if not 0 <= count <= left:
            raise CheckpointError(f"[load] the pickle claims {count} bytes where {left} are left")
        data = self._file.read(count)
        if len(data) != count:
            raise CheckpointError("[load] the pickle is cut short")
        return data

    def line(self) -> bytes:
        """The next line without its end."""
        data = self._file.readline(_MAX_LINE)
        if not data.endswith(b"\n"):
            raise CheckpointError("[load] the pickle has a line that is cut short or too long")
        return data[:-1]

    def number(self, code: str) -> int:
        """The next number, packed as `struct` code."""
        size, is_signed = _NUMBERS[code]
        data = self._file.read(size)
        if len(data) != size:
            raise CheckpointError("[load] the pickle is cut short")
        return int.from_bytes(data, "little", signed=is_signed)

    # ---- the stack -----------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        """Puts a value on the stack."""
        self.stack.append(value)

    def mark(self) -> None:
        """Starts a group of items."""
        if len(self._marked) >= MAX_DEPTH:
            raise CheckpointError(f"[load] the pickle nests deeper than {MAX_DEPTH} levels")
        self._marked.append(self.stack)
        self.stack = []

    def group(self) -> list[Any]:
        """The items since the last mark, taken off the stack."""
        items = self.stack
        if not self._marked:
            raise CheckpointError("[load] the pickle closes a group that it never opened")
        self.stack = self._marked.pop()
        return items

    def remember(self, index: int) -> None:
        """Puts the top of the stack into the memo."""
        if not 0 <= index < _MAX_MEMO:
            raise CheckpointError(f"[load] the pickle uses memo place {index}")
        self._memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Pushes what the memo holds."""
        if index not in self._memo:
            raise CheckpointError(f"[load] the pickle recalls memo place {index}, which is empty")
        self.stack.append(self._memo[index])

    def memoize(self) -> None:
        """Puts the top of the stack into the next free place of the memo."""
        self._memo[len(self._memo)] = self.stack[-1]

    # ---- strings and numbers -------------------------------------------------------------------

    def text(self, count: int) -> None:
        """Pushes a string of `count` UTF-8 bytes."""
        self.stack.append(str(self.take(count), "utf-8", "surrogatepass"))

    def old_string(self, data: bytes) -> None:
        """Pushes a Python 2 string: bytes, or text in the given encoding."""
        self.stack.append(data if self._encoding == "bytes" else str(data, self._encoding))

    def quoted_string(self) -> None:
        """Pushes the string of a text-mode pickle, which is written as a literal."""
        data = self.line().strip()
        if len(data) < 2 or data[:1] != data[-1:] or data[:1] not in b"\"'":
            raise CheckpointError("[load] the pickle has a string without its quotes")
        import codecs

        self.old_string(codecs.escape_decode(data[1:-1])[0])

    def decimal(self) -> None:
        """Pushes the integer of a text-mode pickle, in which 00 and 01 are bools."""
        data = self.line()
        if data in (b"00", b"01"):
            self.stack.append(data == b"01")
        else:
            self.stack.append(_decimal(data))

    def long(self, count: int) -> None:
        """Pushes an integer of `count` little-endian bytes."""
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    # ---- containers ----------------------------------------------------------------------------

    def append(self, items: list[Any]) -> None:
        """Adds to the list on top of the stack."""
        target = self.stack[-1]
        if type(target) not in (list, deque) and not _is_placeholder(target):
            raise CheckpointError(
                f"[load] the pickle appends to a {type(target).__name__}, no list"
            )
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Sets keys of the dict on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict) and not _is_placeholder(target):
            raise CheckpointError(
                f"[load] the pickle sets keys of a {type(target).__name__}, no dict"
            )
        if len(items) % 2:
            raise CheckpointError("[load] the pickle has a key without a value")
        setter = OrderedDict.__setitem__ if isinstance(target, OrderedDict) else dict.__setitem__
        for key, value in zip(items[::2], items[1::2]):
            if type(key) is not str:
                check_key(key)
            if isinstance(target, dict):
                setter(target, key, value)

    def make_dict(self) -> None:
        """Pushes a dict of the items since the last mark."""
        items = self.group()
        self.stack.append({})
        self.set_items(items)

    def add_items(self) -> None:
        """Adds the items since the last mark to the set on top of the stack."""
        items = self.group()
        target = self.stack[-1]
        if type(target) is not set:
            raise CheckpointError(f"[load] the pickle adds to a {type(target).__name__}, no set")
        for item in items:
            check_key(item)
        target.update(items)

    def make_frozenset(self) -> None:
        """Pushes a frozenset of the items since the last mark."""
        items = self.group()
        for item in items:
            check_key(item)
        self.stack.append(frozenset(items))

    def make_tuple(self, count: int) -> None:
        """Pushes a tuple of the last `count` items."""
        if len(self.stack) < count:
            raise CheckpointError("[load] the pickle makes a tuple of items that are not there")
        items = tuple(self.stack[-count:])
        self.stack[-count:] = [items]

    # ---- names and objects ---------------------------------------------------------------------

    def find(self, module: Any, name: Any) -> None:
        """Pushes what the name means."""
        if type(module) is not str or type(name) is not str:
            raise CheckpointError("[load] the pickle names a global by something that is no text")
        self.stack.append(self._globals.find(module, name))

    def global_line(self) -> None:
        """Pushes what the name on the next two lines means."""
        module, name = str(self.line(), "utf-8"), str(self.line(), "utf-8")
        self.find(module, name)

    def global_stack(self) -> None:
        """Pushes what the name on the stack means."""
        name, module = self.stack.pop(), self.stack.pop()
        self.find(module, name)

    def reduce(self) -> None:
        """Pushes what a function makes of a tuple of arguments."""
        args, function = self.stack.pop(), self.stack.pop()
        if type(args) is not tuple:
            raise CheckpointError(
                "[load] the pickle calls something with arguments that are no tuple"
            )
        self.stack.append(self._globals.call(function, args))

    def new_object(self, with_kwargs: bool) -> None:
        """Pushes a new object of a class."""
        kwargs = self.stack.pop() if with_kwargs else {}
        args, cls = self.stack.pop(), self.stack.pop()
        if type(args) is not tuple or type(kwargs) is not dict:
            raise CheckpointError("[load] the pickle makes an object with malformed arguments")
        self.stack.append(self._globals.new(cls, args, kwargs))

    def old_instance(self) -> None:
        """Pushes an instance, as text-mode pickles name them."""
        args = tuple(self.group())
        self.global_line()
        self.stack.append(self._globals.call(self.stack.pop(), args))

    def old_object(self) -> None:
        """Pushes an instance of the class that the group starts with."""
        cls, *args = self.group()
        self.stack.append(self._globals.call(cls, tuple(args)))

    def build(self) -> None:
        """Gives the object on top of the stack its state."""
        state = self.stack.pop()
        self._globals.set_state(self.stack[-1], state)

    def persistent(self, key: Any) -> None:
        """Pushes the object that is kept outside the pickle under `key`."""
        if self._persistent_load is None:
            raise CheckpointError("[load] the pickle refers to an object outside of it")
        self.stack.append(self._persistent_load(key))


def check_key(key: Any, depth: int = 0) -> None:
    """Refuses a dict key or set item whose hash could run code or recurse without bound."""
    if isinstance(key, (tuple, frozenset)):
        if depth >= _KEY_DEPTH:
            raise CheckpointError("[load] the pickle has a key nested too deeply")
        for part in key:
            check_key(part, depth + 1)
    elif type(key) not in _KEY_TYPES and type(key).__module__.partition(".")[0] not in (
        "numpy", "rushlight", "ml_dtypes", "datetime", "pathlib", "decimal", "uuid",
    ):  # fmt: skip
        raise CheckpointError(f"[load] the pickle uses a {type(key).__name__} as a key")


def _is_placeholder(target: Any) -> bool:
    return getattr(type(target), "stands_for_unknown", False) is True


_KEY_TYPES = frozenset((str, int, float, bool, complex, bytes, type(None), type, type(...)))


def _decimal(data: bytes) -> int:
    if len(data) > _MAX_DIGITS:
        raise CheckpointError(f"[load] the pickle has a number of {len(data)} digits")
    return int(data.rstrip(b"L"))


def _unknown(opcode: bytes) -> str:
    if not opcode:
        return "[load] the pickle is cut short"
    return f"[load] the pickle has the opcode {opcode!r}, which no checkpoint uses"


def _protocol(machine: PickleReader) -> None:
    if machine.number("B") > 5:
        raise CheckpointError("[load] the pickle is of a protocol above 5")


def _float_line(machine: PickleReader) -> None:
    machine.push(float(machine.line()))


def _float_bytes(machine: PickleReader) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _pop(machine: PickleReader) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.group()


def _unicode_line(machine: PickleReader) -> None:
    machine.push(str(machine.line(), "raw-unicode-escape"))


def _bytearray(machine: PickleReader) -> None:
    machine.push(bytearray(machine.take(machine.number("Q"))))


_STEPS: dict[bytes, Callable[[PickleReader], Any]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: m.number("Q"),  # FRAME: only a hint for buffering
    b"(": PickleReader.mark,
    b"0": _pop,
    b"1": PickleReader.group,
    b"2": lambda m: m.push(m.stack[-1]),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": PickleReader.decimal,
    b"L": lambda m: m.push(_decimal(m.line())),
    b"J": lambda m: m.push(m.number("i")),
    b"K": lambda m: m.push(m.number("B")),
    b"M": lambda m: m.push(m.number("H")),
    b"\x8a": lambda m: m.long(m.number("B")),
    b"\x8b": lambda m: m.long(m.number("i")),
    b"F": _float_line,
    b"G": _float_bytes,
    b"S": PickleReader.quoted_string,
    b"T": lambda m: m.old_string(m.take(m.number("i"))),
    b"U": lambda m: m.old_string(m.take(m.number("B"))),
    b"V": _unicode_line,
    b"\x8c": lambda m: m.text(m.number("B")),
    b"X": lambda m: m.text(m.number("I")),
    b"\x8d": lambda m: m.text(m.number("Q")),
    b"C": lambda m: m.push(m.take(m.number("B"))),
    b"B": lambda m: m.push(m.take(m.number("I"))),
    b"\x8e": lambda m: m.push(m.take(m.number("Q"))),
    b"\x96": _bytearray,
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b")": lambda m: m.push(()),
    b"\x8f": lambda m: m.push(set()),
    b"l": lambda m: m.push(m.group()),
    b"t": lambda m: m.push(tuple(m.group())),
    b"d": PickleReader.make_dict,
    b"\x85": lambda m: m.make_tuple(1),
    b"\x86": lambda m: m.make_tuple(2),
    b"\x87": lambda m: m.make_tuple(3),
    b"a": lambda m: m.append([m.stack.pop()]),
    b"e": lambda m: m.append(m.group()),
    b"s": lambda m: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    b"u": lambda m: m.set_items(m.group()),
    b"\x90": PickleReader.add_items,
    b"\x91": PickleReader.make_frozenset,
    b"p": lambda m: m.remember(_decimal(m.line())),
    b"q": lambda m: m.remember(m.number("B")),
    b"r": lambda m: m.remember(m.number("I")),
    b"\x94": PickleReader.memoize,
    b"g": lambda m: m.recall(_decimal(m.line())),
    b"h": lambda m: m.recall(m.number("B")),
    b"j": lambda m: m.recall(m.number("I")),
    b"c": PickleReader.global_line,
    b"\x93": PickleReader.global_stack,
    b"R": PickleReader.reduce,
    b"i": PickleReader.old_instance,
    b"o": PickleReader.old_object,
    b"\x81": lambda m: m.new_object(with_kwargs=False),
    b"\x92": lambda m: m.new_object(with_kwargs=True),
    b"b": PickleReader.build,
    b"P": lambda m: m.persistent(str(m.line(), "ascii")),
    b"Q": lambda m: m.persistent(m.stack.pop()),
}
