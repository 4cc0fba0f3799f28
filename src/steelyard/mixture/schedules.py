"""Temperatures over a run: one, steps, Cooldown, a line or a cosine."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.errors import InputError
from steelyard.mixture.base import TemperatureSchedule
from steelyard.mixture.temperature import check_temperature


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


@dataclass(frozen=True)
class CosineTemperature(LinearTemperature):
    """A temperature that moves along half a cosine, slow at both ends: `start + (end - start) (1 - cos(pi p)) / 2`.

    Attributes:
        start, end: the temperatures, above 0 and finite.

    Raises:
        InputError: where they are not.

    Example:
        >>> CosineTemperature(5.0, 1.0).temperature(0.5)
        3.0
    """

    def temperature(self, progress: float) -> float:
        """On the cosine."""
        return super().temperature((1 - math.cos(math.pi * progress)) / 2)
