"""Which domain the next example comes from: temperatures, their schedules, and a sampler that draws by them."""

from steelyard.mixture.adaptive import AdaptiveCooldown
from steelyard.mixture.domains import count_domains
from steelyard.mixture.plan import DomainPlan, MixturePlan, plan_mixture
from steelyard.mixture.sampler import MixtureSampler
from steelyard.mixture.schedules import (
    ConstantTemperature,
    Cooldown,
    CooldownAtCap,
    CosineTemperature,
    LinearTemperature,
    OrderMatters,
    PiecewiseTemperature,
    Schedule,
    Shares,
    TemperatureSchedule,
    UniMax,
    parse_schedule,
)
from steelyard.mixture.stream import MixtureStream
from steelyard.mixture.temperature import scalarization_weights, temperature_probabilities
from steelyard.mixture.variance import VarianceEstimate, estimate_gradient_variance, gradient_variance

__all__ = [
    "AdaptiveCooldown",
    "ConstantTemperature",
    "Cooldown",
    "CooldownAtCap",
    "CosineTemperature",
    "DomainPlan",
    "LinearTemperature",
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
    "parse_schedule",
    "plan_mixture",
    "scalarization_weights",
    "temperature_probabilities",
]
