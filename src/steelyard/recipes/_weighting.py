"""The settings of every weighting method in a recipe, told apart by `method`: made from the methods themselves."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from steelyard.errors import InputError
from steelyard.objectives.loading import load_function
from steelyard.settings import Part, settings_model
from steelyard.weighting import METHODS, Weighting


@functools.cache
def method_settings(method: str) -> type[Part]:
    """What a recipe may say of a method that ships."""
    return _settings(METHODS[method], method)


def any_of(methods: tuple[str, ...], *more: type[Part]) -> Any:
    """The annotation of a field that takes the settings of any of these methods."""
    models = [method_settings(method) for method in methods] + list(more)
    return Annotated[functools.reduce(operator.or_, models), Field(discriminator="method", description="how the weights move")]


def is_reference(method: Any) -> bool:
    """Whether a method is one of the user's own, as `mine.py:Mine`."""
    return isinstance(method, str) and ":" in method


def own_settings(method: str, *, base: Path) -> type[Part]:
    """What a recipe may say of a user's own method, by its signature."""
    return _settings(load_weighting(method, base=base), method)


def load_weighting(method: str, *, base: Path) -> Callable[..., Weighting]:
    """The class of a method: one that ships, or the user's own, found relative to `base`.

    Raises:
        InputError: where it is not there, or is no `Weighting`.
    """
    if not is_reference(method):
        return METHODS[method]
    found = load_function(method, base=base, what="weighting")
    if not (isinstance(found, type) and issubclass(found, Weighting)):
        raise InputError(f"{method!r} is no weighting: give a class that derives from steelyard.Weighting")
    return found


def _settings(made_by: Callable[..., Any], name: str) -> type[Part]:
    model = settings_model(made_by, name, tag="method")
    assert issubclass(model, Part)
    return model
