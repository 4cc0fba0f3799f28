"""Temperatures that hold from given shares of the run on."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from steelyard.errors import InputError
from steelyard.mixture.base import TemperatureSchedule
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.temperature import check_temperature


@SCHEDULES.add("piecewise")
@dataclass(frozen=True)
class PiecewiseTemperature(TemperatureSchedule):
    """Temperatures that hold from given shares of the run on.

    Attributes:
        points: `(progress, temperature)` pairs, ascending from 0 to 1 at most, the first at 0; temperatures above 0, infinity allowed.

    Raises:
        InputError: where they are not.

    Example:
        >>> schedule = PiecewiseTemperature([(0.0, 100.0), (0.2, 5.0), (0.6, 1.0)])
        >>> [schedule.temperature(p) for p in (0.0, 0.2, 0.59, 1.0)]
        [100.0, 5.0, 5.0, 1.0]
    """

    form: ClassVar[str] = "piecewise:0=TAU,AT=TAU,..."

    points: Sequence[tuple[float, float]]

    def __post_init__(self) -> None:
        at = [progress for progress, _ in self.points]
        if not at or at[0] != 0 or not all(a < b for a, b in itertools.pairwise(at)) or at[-1] > 1:
            raise InputError(f"points must lie at ascending shares of the run, the first at 0, but lie at {at}")
        for _, tau in self.points:
            check_temperature(tau)

    def temperature(self, progress: float) -> float:
        """The temperature of the last point that is reached."""
        return self.points[bisect_right([at for at, _ in self.points], progress) - 1][1]

    def changes(self) -> list[float]:
        """The points after the first."""
        return [at for at, _ in self.points[1:]]

    @classmethod
    def parse(cls, text: str) -> PiecewiseTemperature:
        """From `0=TAU,AT=TAU`."""
        pairs = [pair.split("=") for pair in text.split(",")]
        return cls([(float(at), float(tau)) for at, tau in pairs])
