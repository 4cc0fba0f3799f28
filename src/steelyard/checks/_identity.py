"""What a function's results depend on, as text: files that keep results tell by it whether they are still those of this function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

_DEEPEST = 8
"""Levels of functions in functions and lists in lists that are written out: a function may capture itself."""


def identity_of(function: Callable[..., Any]) -> str:
    """The name, code, defaults and captured values of a function, or of what else can be called, as text.

    Values that are neither numbers, texts nor collections of such count by their class alone.

    Example:
        >>> def shorter_than(most):
        ...     return lambda prompt, answer, columns: float(len(answer) < most)
        >>> identity_of(shorter_than(50)) == identity_of(shorter_than(50)), identity_of(shorter_than(50)) == identity_of(shorter_than(100))
        (True, False)
    """
    return repr(_described(function, _DEEPEST))


def _described(value: Any, depth: int) -> Any:
    """A value with functions and objects written out; what is written out has no addresses in it."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, complex)):
        return value
    name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if depth == 0:
        return name
    inside = functools.partial(_described, depth=depth - 1)
    if isinstance(value, functools.partial):
        return ("partial", inside(value.func), inside(value.args), inside(value.keywords))
    if isinstance(value, CodeType):
        return (value.co_name, value.co_code.hex(), value.co_names, inside(value.co_consts))
    if isinstance(value, Mapping):
        return {str(key): inside(item) for key, item in sorted(value.items(), key=lambda item: str(item[0]))}
    if isinstance(value, (list, tuple)):
        return [inside(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(repr(inside(item)) for item in value)
    code = getattr(value, "__code__", None)
    if code is None:
        # A method's code is its function's; the code of an object that is called is its class's.
        method = getattr(value, "__func__", None)
        return name if method is None else (name, inside(method))
    captured = [inside(_captured(cell)) for cell in value.__closure__ or ()]
    return (name, inside(code), inside(value.__defaults__), inside(value.__kwdefaults__), captured)


def _captured(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"
