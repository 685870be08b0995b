"""Compares what a program prints with what it should print: text exactly, numbers to rounding."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


def differences(got: str, expected: str, rtol: float = 0.0, atol: float = 0.0) -> list[str]:
    """The lines that differ; numbers may differ by `rtol · |expected| + atol`."""
    a, b = got.rstrip().splitlines(), expected.rstrip().splitlines()
    found = []
    if len(a) != len(b):
        found.append(f"{len(a)} lines instead of {len(b)}")
    for i, (x, y) in enumerate(zip(a, b), 1):
        if not _same(x.rstrip(), y.rstrip(), rtol, atol):
            found.append(f"line {i}: got {x!r}, expected {y!r}")
    return found


def _same(x: str, y: str, rtol: float, atol: float) -> bool:
    if x == y:
        return True
    if _words(x) != _words(y):
        return False
    for u, v in zip(_NUMBER.findall(x), _NUMBER.findall(y)):
        if abs(float(u) - float(v)) > rtol * abs(float(v)) + atol:
            return False
    return True


def _words(line: str) -> list[str]:
    """The line without its numbers and the spaces that align them."""
    return re.sub(r"\s+", " ", _NUMBER.sub("#", line)).replace(" #", "#").split("#")
