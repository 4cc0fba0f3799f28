"""Names that are imported when they are first used, so that importing a room is quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(room: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a room's `__init__` needs to import its names when they are first used.

    Args:
        room: the module's `__name__`.
        homes: the module each name stands in, by name; a name that is its module's last part stands for the module itself.

    Returns:
        `__getattr__`, `__dir__` and `__all__` of the room.

    Example:
        >>> get, _, names = lazy("steelyard", {"wilson": "steelyard.intervals"})
        >>> get("wilson").__name__, names
        ('wilson', ['wilson'])
        >>> get("wislon")
        Traceback (most recent call last):
        AttributeError: module 'steelyard' has no attribute 'wislon'
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        module = importlib.import_module(homes[name])
        return module if homes[name] == f"{room}.{name}" else getattr(module, name)

    names = sorted(homes)
    return get, lambda: names, names
