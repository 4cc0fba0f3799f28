"""A high temperature first, a low one from a given share of the run on."""

from __future__ import annotations

from dataclasses import dataclass

from steelyard.errors import InputError
from steelyard.mixture.base import Knob, TemperatureSchedule
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.temperature import check_temperature


@SCHEDULES.add("cooldown")
@dataclass(frozen=True)
class Cooldown(TemperatureSchedule):
    """A high temperature first, a low one from a given share of the run on; without arguments the paper's.

    Attributes:
        start, end: the temperatures, above 0, infinity allowed.
        at: where it cools down, above 0 and below 1.

    Raises:
        InputError: where one is out of range.

    Example:
        >>> [Cooldown().temperature(p) for p in (0.0, 0.49, 0.5, 1.0)]
        [5.0, 5.0, 1.0, 1.0]

    Reference:
        Li et al., arXiv 2410.04579, section 5: 5, then 1, half way.
    """

    start: float = 5.0
    end: float = 1.0
    at: float = 0.5

    def __post_init__(self) -> None:
        check_temperature(self.start)
        check_temperature(self.end)
        if not 0 < self.at < 1:
            raise InputError(f"a cooldown comes within the run: at must be above 0 and below 1, but is {self.at}")

    def temperature(self, progress: float) -> float:
        """`start` before, `end` from `at` on."""
        return self.start if progress < self.at else self.end

    def changes(self) -> list[float]:
        """Where it cools down."""
        return [self.at]

    def remedy(self, max_epochs: float) -> str:
        """Its temperatures, or where it cools down."""
        return "lower its temperatures" if self.start <= self.end else "lower the start temperature or cool down earlier"

    def knobs(self) -> list[Knob]:
        """Its start and where it cools down; where it rises, its end."""
        start, end, at = (f"{value:.12g}" for value in (self.start, self.end, self.at))
        if self.start <= self.end:
            return [Knob(f"cooldown:{start},{{}},{at}", max(1.0, self.start), self.end)]
        return [Knob(f"cooldown:{{}},{end},{at}", 1.0, self.start), Knob(f"cooldown:{start},{end},{{}}", 0.0, self.at)]
