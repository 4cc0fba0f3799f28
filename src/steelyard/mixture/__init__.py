"""Which domain the next example comes from: temperatures, their schedules, and a sampler that draws by them.

What needs torch is imported when first used, so that a plan is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from steelyard.mixture.base import Schedule, TemperatureSchedule
from steelyard.mixture.count import count_domains
from steelyard.mixture.mixture import Mixture
from steelyard.mixture.plan import DomainPlan, MixturePlan, plan_mixture
from steelyard.mixture.schedules import (
    SCHEDULES,
    AdaptiveCooldown,
    ConstantTemperature,
    Cooldown,
    CooldownAtCap,
    CosineTemperature,
    LinearTemperature,
    OrderMatters,
    PiecewiseTemperature,
    Shares,
    UniMax,
)
from steelyard.mixture.temperature import scalarization_weights, temperature_probabilities
from steelyard.mixture.words import parse_schedule, schedule_forms

if TYPE_CHECKING:
    from steelyard.mixture.sampler import MixtureSampler
    from steelyard.mixture.stream import MixtureStream
    from steelyard.mixture.variance import VarianceEstimate, estimate_gradient_variance, gradient_variance, moments_variance

_LATER = {
    "MixtureSampler": "sampler",
    "MixtureStream": "stream",
    "VarianceEstimate": "variance",
    "estimate_gradient_variance": "variance",
    "gradient_variance": "variance",
    "moments_variance": "variance",
}

__all__ = [
    "SCHEDULES",
    "AdaptiveCooldown",
    "ConstantTemperature",
    "Cooldown",
    "CooldownAtCap",
    "CosineTemperature",
    "DomainPlan",
    "LinearTemperature",
    "Mixture",
    "MixturePlan",
    "MixtureSampler",
    "MixtureStream",
    "OrderMatters",
    "PiecewiseTemperature",
    "Schedule",
    "Shares",
    "TemperatureSchedule",
    "UniMax",
    "VarianceEstimate",
    "count_domains",
    "estimate_gradient_variance",
    "gradient_variance",
    "moments_variance",
    "parse_schedule",
    "plan_mixture",
    "scalarization_weights",
    "schedule_forms",
    "temperature_probabilities",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'steelyard.mixture' has no attribute {name!r}")
    return getattr(importlib.import_module(f"steelyard.mixture.{_LATER[name]}"), name)
