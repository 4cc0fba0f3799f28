"""Weighting methods by name, with their default settings."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from steelyard.errors import InputError
from steelyard.weighting.base import METHODS, Weighting


def weighting_by_name(method: str, *, weights: Sequence[float] | None = None) -> Weighting:
    """Make a weighting method with its default settings, starting from the given weights or from equal ones.

    Raises:
        InputError: where there is no such method, or it cannot do with defaults or starting weights.

    Example:
        >>> type(weighting_by_name("fixed")).__name__
        'FixedWeights'
        >>> weighting_by_name("gradient")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown weighting 'gradient' (did you mean 'gradient-influence'?): use one of cagrad, ...
        >>> weighting_by_name("lagrangian")
        Traceback (most recent call last):
        steelyard.errors.InputError: weighting 'lagrangian' has no defaults (missing: maximize, at_least): give weighting=LagrangianConstraints(...)
    """
    make = METHODS.find(method)
    parameters = inspect.signature(make).parameters
    missing = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    if missing:
        made = getattr(make, "__name__", method)
        raise InputError(f"weighting {method!r} has no defaults (missing: {', '.join(missing)}): give weighting={made}(...)")
    if weights is None:
        return make()
    if "weights" not in parameters:
        raise InputError(f"weighting {method!r} finds its weights itself: leave reward_weights out")
    return make(weights=weights)
