"""A temperature that moves along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steelyard.mixture.base import Knob
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.schedules.linear import LinearTemperature


@SCHEDULES.add("cosine")
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

    def knobs(self) -> list[Knob]:
        """Its start, down to 1."""
        return [Knob(f"cosine:{{}},{self.end:.12g}", 1.0, self.start)]
