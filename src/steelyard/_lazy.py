"""Names that are imported when they are first used, so that importing a room is quick."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any


def lazy(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a room's `__init__` needs to import its public names when they are first used.

    The names are said once: they are those that the `__init__` imports under `if TYPE_CHECKING:`, where type checkers and editors see them.

    Args:
        room: the module's `__name__`.

    Returns:
        `__getattr__`, `__dir__` and `__all__` of the room.

    Example:
        >>> get, _, names = lazy("steelyard.models")
        >>> get("new_model").__module__, names
        ('steelyard.models.scratch', ['byte_tokenizer', 'load_policy', 'new_model'])
        >>> get("old_model")
        Traceback (most recent call last):
        AttributeError: module 'steelyard.models' has no attribute 'old_model'
    """
    spec = sys.modules[room].__spec__ or importlib.util.find_spec(room)
    homes = _promised(spec.loader.get_source(room))  # type: ignore[union-attr]

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        home, original = homes[name]
        if home == room:
            # A module of the room itself.
            return importlib.import_module(f"{room}.{original}")
        return getattr(importlib.import_module(home), original)

    names = sorted(homes)
    return get, lambda: names, names


def _promised(source: str) -> dict[str, tuple[str, str]]:
    """Module and name by public name, of what a source imports under `if TYPE_CHECKING:`."""
    return {
        alias.asname or alias.name: (str(line.module), alias.name)
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
