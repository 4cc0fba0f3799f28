"""How often each domain is drawn over a run: one schedule, one file."""

from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.schedules.adaptive_cooldown import AdaptiveCooldown
from steelyard.mixture.schedules.constant import ConstantTemperature
from steelyard.mixture.schedules.cooldown import Cooldown
from steelyard.mixture.schedules.cooldown_at_cap import CooldownAtCap
from steelyard.mixture.schedules.cosine import CosineTemperature
from steelyard.mixture.schedules.linear import LinearTemperature
from steelyard.mixture.schedules.order_matters import OrderMatters
from steelyard.mixture.schedules.piecewise import PiecewiseTemperature
from steelyard.mixture.schedules.shares import Shares
from steelyard.mixture.schedules.unimax import UniMax

__all__ = [
    "SCHEDULES",
    "AdaptiveCooldown",
    "ConstantTemperature",
    "Cooldown",
    "CooldownAtCap",
    "CosineTemperature",
    "LinearTemperature",
    "OrderMatters",
    "PiecewiseTemperature",
    "Shares",
    "UniMax",
]
