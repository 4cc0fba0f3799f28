"""Which domain the next example comes from: temperatures, their schedules, and a sampler that draws by them."""

from steelyard.mixture.domains import count_domains
from steelyard.mixture.plan import DomainPlan, MixturePlan, plan_mixture
from steelyard.mixture.sampler import MixtureSampler
from steelyard.mixture.schedules import (
    ConstantTemperature,
    Cooldown,
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
from steelyard.mixture.temperature import scalarization_weights, temperature_probabilities

__all__ = [
    "ConstantTemperature",
    "Cooldown",
    "CosineTemperature",
    "DomainPlan",
    "LinearTemperature",
    "MixturePlan",
    "MixtureSampler",
    "OrderMatters",
    "PiecewiseTemperature",
    "Schedule",
    "Shares",
    "TemperatureSchedule",
    "UniMax",
    "count_domains",
    "parse_schedule",
    "plan_mixture",
    "scalarization_weights",
    "temperature_probabilities",
]
