"""The recipes that ship, and where a recipe's file is."""

from __future__ import annotations

from pathlib import Path

from steelyard.errors import InputError, nearest
from steelyard.files import is_file

_RECIPES_DIR = Path(__file__).parent


def recipe_names() -> list[str]:
    """The recipes that ship.

    Example:
        >>> "sums-gradient" in recipe_names()
        True
    """
    return sorted(path.stem for path in _RECIPES_DIR.glob("*.yaml"))


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe given as a path, or as the name of one that ships with the package.

    Raises:
        InputError: naming the shipped recipes, where there is no such file.

    Example:
        >>> find_recipe("sums-gradient").name
        'sums-gradient.yaml'
    """
    path = Path(name)
    if is_file(path):
        return path
    shipped = _RECIPES_DIR / f"{name}.yaml"
    if is_file(shipped):
        return shipped
    known = recipe_names()
    raise InputError(
        f"no recipe file {str(name)!r}, and none that ships by that name (there are {', '.join(known)}){nearest(str(name), known)}"
    )
