"""Built-in objectives by the name of their kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from steelyard.errors import InputError
from steelyard.objectives.objective import Objective
from steelyard.registry import Registry
from steelyard.settings import options_of

BUILT_IN: Registry[Callable[..., Objective]] = Registry("objective", __package__)
"""What makes a built-in objective, by the name that a recipe uses; each adds itself where it stands."""


def built_in(kind: str, **options: Any) -> Objective:
    """Make a built-in objective from its name and options, refusing what it does not know.

    Example:
        >>> built_in("clarity", graded=True).name
        'clarity'
        >>> built_in("clarty")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown objective 'clarty' (did you mean 'clarity'?): use one of accuracy, check, clarity, ...
    """
    return objective_of(kind, options)


def objective_of(kind: str, options: Mapping[str, Any]) -> Objective:
    """`built_in`, with the options as a mapping: one that a file gives may have any name.

    Example:
        >>> objective_of("clarity", {"kind": "graded"})
        Traceback (most recent call last):
        steelyard.errors.InputError: objective 'clarity' has no option 'kind': it takes name, min_steps, graded
    """
    factory, what = BUILT_IN.find(kind), f"objective {kind!r}"
    given = options_of(factory, options, what=what)
    try:
        return factory(**given)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
