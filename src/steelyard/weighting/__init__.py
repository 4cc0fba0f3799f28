"""How much each objective counts now: one method, one file."""

from collections.abc import Callable, Sequence

from steelyard.errors import InputError, nearest
from steelyard.weighting.base import Batch, Weighting, check_weights, weights_by_name
from steelyard.weighting.fixed import FixedWeights
from steelyard.weighting.gradient import GradientInfluence, mirror_descent
from steelyard.weighting.hypervolume import HypervolumeGuided, meta_reward, start_archive
from steelyard.weighting.influence import GradientSums, Influence, gradient_influence, sequence_logprobs

METHODS: dict[str, Callable[..., Weighting]] = {
    "fixed": FixedWeights,
    "hypervolume": HypervolumeGuided,
    "gradient-influence": GradientInfluence,
}
"""Weighting methods by the name a recipe uses."""


def weighting_by_name(method: str, *, weights: Sequence[float] | None = None) -> Weighting:
    """Make a weighting method with its default settings, starting from the given weights or from equal ones.

    Example:
        >>> type(weighting_by_name("fixed")).__name__
        'FixedWeights'
        >>> weighting_by_name("gradient")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown weighting 'gradient': use one of fixed, hypervolume, gradient-influence (did you mean 'gradient-influence'?)
    """
    if method not in METHODS:
        raise InputError(f"unknown weighting {method!r}: use one of {', '.join(METHODS)}{nearest(method, METHODS)}")
    return METHODS[method](weights)


__all__ = [
    "METHODS",
    "Batch",
    "FixedWeights",
    "GradientInfluence",
    "GradientSums",
    "HypervolumeGuided",
    "Influence",
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
