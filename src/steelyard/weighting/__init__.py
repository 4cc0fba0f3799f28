"""How much each objective counts now: one method, one file."""

import functools
import inspect
from collections.abc import Callable, Sequence

from steelyard.errors import InputError, nearest
from steelyard.weighting.aggregators import GramianWeights
from steelyard.weighting.archives import start_archive
from steelyard.weighting.base import Batch, Weighting, check_weights, weights_by_name
from steelyard.weighting.fixed import FixedWeights
from steelyard.weighting.gdpo import GDPO
from steelyard.weighting.gradient import GradientInfluence, mirror_descent
from steelyard.weighting.hypervolume import HypervolumeGuided, meta_reward
from steelyard.weighting.influence import gradient_influence, sequence_logprobs
from steelyard.weighting.inner_products import AnswerGradients, AnswerTerms, Influence
from steelyard.weighting.lagrangian import LagrangianConstraints
from steelyard.weighting.normalized import NormalizedInfluence
from steelyard.weighting.scheduled import ScheduledWeights
from steelyard.weighting.stage_aware import StageAware
from steelyard.weighting.tchebycheff import SmoothTchebycheff

METHODS: dict[str, Callable[..., Weighting]] = {
    "fixed": FixedWeights,
    "scheduled": ScheduledWeights,
    "gdpo": GDPO,
    "hypervolume": HypervolumeGuided,
    "gradient-influence": GradientInfluence,
    "normalized-influence": NormalizedInfluence,
    "stage-aware": StageAware,
    "lagrangian": LagrangianConstraints,
    "tchebycheff": SmoothTchebycheff,
    "mgda": functools.partial(GramianWeights, "mgda"),
    "upgrad": functools.partial(GramianWeights, "upgrad"),
    "cagrad": functools.partial(GramianWeights, "cagrad"),
}
"""Weighting methods by the name a recipe uses."""


def weighting_by_name(method: str, *, weights: Sequence[float] | None = None) -> Weighting:
    """Make a weighting method with its default settings, starting from the given weights or from equal ones.

    Raises:
        InputError: where there is no such method, or it cannot do with defaults or starting weights.

    Example:
        >>> type(weighting_by_name("fixed")).__name__
        'FixedWeights'
        >>> weighting_by_name("gradient")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown weighting 'gradient': use one of fixed, ... (did you mean 'gradient-influence'?)
        >>> weighting_by_name("lagrangian")
        Traceback (most recent call last):
        steelyard.errors.InputError: weighting 'lagrangian' has no defaults (missing: maximize, at_least): give weighting=LagrangianConstraints(...)
    """
    if method not in METHODS:
        raise InputError(f"unknown weighting {method!r}: use one of {', '.join(METHODS)}{nearest(method, METHODS)}")
    parameters = inspect.signature(METHODS[method]).parameters
    missing = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    if missing:
        made = getattr(METHODS[method], "__name__", method)
        raise InputError(f"weighting {method!r} has no defaults (missing: {', '.join(missing)}): give weighting={made}(...)")
    if weights is None:
        return METHODS[method]()
    if "weights" not in parameters:
        raise InputError(f"weighting {method!r} finds its weights itself: leave reward_weights out")
    return METHODS[method](weights=weights)


__all__ = [
    "GDPO",
    "METHODS",
    "AnswerGradients",
    "AnswerTerms",
    "Batch",
    "FixedWeights",
    "GradientInfluence",
    "GramianWeights",
    "HypervolumeGuided",
    "Influence",
    "LagrangianConstraints",
    "NormalizedInfluence",
    "ScheduledWeights",
    "SmoothTchebycheff",
    "StageAware",
    "Weighting",
    "check_weights",
    "gradient_influence",
    "meta_reward",
    "mirror_descent",
    "sequence_logprobs",
    "start_archive",
    "weighting_by_name",
    "weights_by_name",
]
