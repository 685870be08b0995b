"""Methods that try a native function first and go on to the reference kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from . import _native

__all__ = ["native_or"]

Method = TypeVar("Method", bound=Callable[..., Any])


def native_or(reference: Method, native: Callable[..., Any]) -> Method:
    """A method like ``reference`` that calls ``native`` with all arguments in their order.

    The native function returns ``NotImplemented`` for dtypes and layouts that it does not take; the
    reference kernel then does the work. In Python this would read::

        def method(self, *arguments):
            result = native(*arguments)
            return reference(self, *arguments) if result is NotImplemented else result
    """
    code = reference.__code__
    method = _native.KernelMethod(
        native, reference, code.co_varnames[1 : code.co_argcount], reference.__defaults__ or ()
    )
    method.__name__, method.__doc__ = reference.__name__, reference.__doc__
    return cast(Method, method)
