"""One temperature throughout."""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.mixture.base import Knob, TemperatureSchedule
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.temperature import check_temperature


@SCHEDULES.add("constant")
@dataclass(frozen=True)
class ConstantTemperature(TemperatureSchedule):
    """One temperature throughout.

    Attributes:
        tau: above 0; 1 draws in proportion, infinity all alike.

    Raises:
        InputError: where it is not.

    Example:
        >>> ConstantTemperature(1.0).probabilities([3, 1], 0.5).tolist()
        [0.75, 0.25]
    """

    tau: float

    def __post_init__(self) -> None:
        check_temperature(self.tau)

    def temperature(self, progress: float) -> float:
        """`tau`."""
        return self.tau

    def knobs(self) -> list[Knob]:
        """Its temperature, down to 1."""
        return [Knob("constant:{}", 1.0, self.tau)]
