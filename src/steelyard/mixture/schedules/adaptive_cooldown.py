"""A cooldown that comes when the upsampled domains' held-out loss turns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.errors import InputError
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.schedules.cooldown import Cooldown
from steelyard.mixture.temperature import temperature_probabilities


@SCHEDULES.add("adaptive")
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

    form: ClassVar[str] = "adaptive, or adaptive:START,END,LATEST,PATIENCE"
    follows_losses: ClassVar[bool] = True

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
