"""A cooldown that comes when the run asks for it: when a domain has been seen often enough, or when the upsampled domains' held-out loss turns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.errors import InputError
from steelyard.mixture.base import Schedule
from steelyard.mixture.schedules import ConstantTemperature, Cooldown
from steelyard.mixture.temperature import Floats, check_sizes, check_temperature, temperature_probabilities


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

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """Those of the run's cooldown."""
        raise InputError("CooldownAtCap needs the length of the run: call for_run(num_samples, names, sizes) first")


@dataclass(frozen=True)
class AdaptiveCooldown(Cooldown):
    """A high temperature until the mean held-out loss of the domains that it upsamples has turned, a low one from there on.

    Attributes:
        start, end: the temperatures.
        at: where it cools down at the latest, above 0 and below 1.
        patience: validations without a new lowest loss that count as a turn, at least 1.

    What does not know the run's losses (`plan_mixture`, `MixtureSampler` alone) takes it for a cooldown at the latest moment.

    Example:
        >>> schedule = AdaptiveCooldown()
        >>> schedule.turned([3.0, 2.5, 2.4]), schedule.turned([3.0, 2.4, 2.5]), schedule.turned([3.0, 2.4, 2.5, 2.6])
        (False, False, True)

    Ours: the paper cools half way.
    """

    at: float = 0.8
    patience: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.patience, (int, float)) or not 1 <= self.patience < 1e6 or self.patience != int(self.patience):
            raise InputError(f"patience must be a number of validations, at least 1, but is {self.patience!r}")

    @property
    def latest(self) -> float:
        """Where it cools down at the latest."""
        return self.at

    def upsampled(self, sizes: ArrayLike) -> NDArray[np.bool_]:
        """Which domains the high temperature draws more often than the low one, bool `[D]`."""
        return temperature_probabilities(sizes, self.start) > temperature_probabilities(sizes, self.end)

    def turned(self, losses: Sequence[float]) -> bool:
        """Whether the last `patience` losses, one a validation, have all been above the lowest before them."""
        patience = int(self.patience)
        if len(losses) <= patience or not all(map(math.isfinite, losses)):
            return False
        return min(losses[-patience:]) > min(losses[:-patience])

    def cooled(self, at: float) -> Cooldown:
        """The cooldown that it turned out to be."""
        return Cooldown(self.start, self.end, at)
