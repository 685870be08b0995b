"""Shapes as programs give them: several ints, or one sequence of them, perhaps with a -1."""

from __future__ import annotations

import math
from typing import Any

from . import native_available
from .reference.base import Array

__all__ = ["as_shape", "view_shape"]

Shape = tuple[int, ...]


def as_shape(given: tuple[Any, ...]) -> Shape:
    """A shape given as several ints or as one sequence of them.

    >>> as_shape((2, 3)), as_shape(([2, 3],))
    ((2, 3), (2, 3))
    """
    if len(given) == 1 and not isinstance(given[0], int):
        first = given[0]
        if isinstance(first, (tuple, list)):
            return tuple(map(int, first))
        return (int(first),)
    for size in given:
        if type(size) is not int:
            return tuple(map(int, given))
    return given


def view_shape(x: Array, given: tuple[Any, ...]) -> Shape | None:
    """The shape that a view of the contiguous array `x` gets, with its -1 inferred.

    None where it takes a closer look: other layouts, other things than ints, sizes that do not fit.

    >>> import numpy
    >>> view_shape(numpy.ones((2, 6)), (3, -1)), view_shape(numpy.ones(6), (4, -1))
    ((3, 4), None)
    """
    if not x.flags.c_contiguous or not given:
        return None
    shape = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    if any(type(size) is not int for size in shape):
        return None
    size, known = math.prod(x.shape), math.prod([s for s in shape if s != -1])
    if -1 in shape and known > 0 and size % known == 0:
        i = shape.index(-1)
        shape = (*shape[:i], size // known, *shape[i + 1 :])
        known = size
    return tuple(shape) if min(shape, default=0) >= 0 and known == size else None


if native_available():
    from . import _native

    # the same in C
    as_shape, view_shape = _native.as_shape_function(as_shape), _native.view_shape
