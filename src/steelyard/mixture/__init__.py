"""How often each domain is drawn: temperatures and their schedules."""

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
)
from steelyard.mixture.temperature import scalarization_weights, temperature_probabilities

__all__ = [
    "ConstantTemperature",
    "Cooldown",
    "CosineTemperature",
    "LinearTemperature",
    "OrderMatters",
    "PiecewiseTemperature",
    "Schedule",
    "Shares",
    "TemperatureSchedule",
    "UniMax",
    "scalarization_weights",
    "temperature_probabilities",
]
