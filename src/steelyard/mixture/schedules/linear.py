"""A temperature that moves along a line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steelyard.errors import InputError
from steelyard.mixture.base import Knob, TemperatureSchedule
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.temperature import check_temperature


@SCHEDULES.add("linear")
@dataclass(frozen=True)
class LinearTemperature(TemperatureSchedule):
    """A temperature that moves along a line, `(1 - p) start + p end`.

    Attributes:
        start, end: the temperatures, above 0 and finite.

    Raises:
        InputError: where they are not.

    Example:
        >>> LinearTemperature(5.0, 1.0).temperature(0.25)
        4.0
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        for tau in (self.start, self.end):
            if math.isinf(check_temperature(tau)):
                raise InputError("a dense schedule needs finite temperatures: take 1000 for infinity")

    def temperature(self, progress: float) -> float:
        """On the line."""
        return (1 - progress) * self.start + progress * self.end

    def knobs(self) -> list[Knob]:
        """Its start, down to 1."""
        return [Knob(f"linear:{{}},{self.end:.12g}", 1.0, self.start)]
