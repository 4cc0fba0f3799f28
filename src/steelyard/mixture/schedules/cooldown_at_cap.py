"""A cooldown that comes when a domain has been seen often enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from steelyard.errors import InputError
from steelyard.mixture.base import Schedule
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.schedules.constant import ConstantTemperature
from steelyard.mixture.schedules.cooldown import Cooldown
from steelyard.mixture.temperature import Floats, check_sizes, check_temperature, temperature_probabilities


@SCHEDULES.add("cooldown-at-cap")
@dataclass(frozen=True)
class CooldownAtCap(Schedule):
    """A high temperature until the first domain has been seen a number of times, a low one from there on.

    Attributes:
        max_epochs: passes over a domain that end the high temperature, positive.
        start, end: the temperatures.

    Example:
        >>> CooldownAtCap(2.0).for_run(1000, sizes=[900, 1])
        Cooldown(start=5.0, end=1.0, at=0.0097...)
        >>> CooldownAtCap(2.0).for_run(1000, sizes=[900, 900])
        ConstantTemperature(tau=5.0)

    Ours: the paper cools half way, whatever the sizes.
    """

    form: ClassVar[str] = "cooldown-at-cap:EPOCHS, or cooldown-at-cap:EPOCHS,START,END"

    max_epochs: float
    start: float = 5.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.start)
        check_temperature(self.end)
        if not 0 < self.max_epochs < math.inf:
            raise InputError(f"max_epochs must be positive and finite, but is {self.max_epochs}")

    def for_run(self, num_samples: int, names: Sequence[str] | None = None, sizes: ArrayLike | None = None) -> Schedule:
        """The cooldown of a run of this length, `at = min_i max_epochs |D_i| / (p(i; start) num_samples)`."""
        if sizes is None:
            return self
        values = check_sizes(sizes)
        at = float((self.max_epochs * values / (temperature_probabilities(values, self.start) * num_samples)).min())
        return Cooldown(self.start, self.end, at) if at < 1 else ConstantTemperature(self.start)

    @property
    def cap(self) -> float:
        """Its cap."""
        return self.max_epochs

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """Those of the run's cooldown."""
        raise InputError("CooldownAtCap needs the length of the run: call for_run(num_samples, names, sizes) first")
