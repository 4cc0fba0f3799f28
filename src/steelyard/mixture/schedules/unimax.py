"""UniMax: as uniform as a cap on epochs allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from steelyard.errors import InputError
from steelyard.mixture.base import Schedule, check_progress
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.temperature import Floats, check_sizes


@SCHEDULES.add("unimax")
@dataclass(frozen=True)
class UniMax(Schedule):
    """As uniform as a cap on epochs allows: small domains are drawn until they have been seen so often, the rest is shared alike.

    With `B` samples to draw, domains from small to large get `min(B_left / domains_left, max_epochs |D_i|)`.

    Attributes:
        max_epochs: how often an example may be seen, positive.
        num_samples: of the run, in the unit of the sizes; `for_run` fills it in.

    Example:
        >>> UniMax(2.0, num_samples=100).probabilities([1000, 10], 0.0).tolist()
        [0.8, 0.2]

    Reference:
        Chung et al., UniMax, arXiv 2304.09151, algorithm 1.
    """

    form: ClassVar[str] = "unimax:EPOCHS"

    max_epochs: float
    num_samples: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.max_epochs < math.inf:
            raise InputError(f"max_epochs must be positive and finite, but is {self.max_epochs}")

    def for_run(self, num_samples: int, names: Sequence[str] | None = None, sizes: ArrayLike | None = None) -> UniMax:
        """The same cap, for a run of this length."""
        return self if self.num_samples is not None else replace(self, num_samples=num_samples)

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """The same throughout the run."""
        check_progress(progress)
        values = check_sizes(sizes)
        if self.num_samples is None:
            raise InputError("UniMax needs the length of the run: UniMax(max_epochs, num_samples=...)")
        order = np.argsort(values, kind="stable")
        drawn, left = np.zeros_like(values), float(self.num_samples)
        for place, domain in enumerate(order):
            drawn[domain] = min(left / (len(order) - place), self.max_epochs * values[domain])
            left -= drawn[domain]
        return drawn / drawn.sum()

    def rare_remedy(self) -> str:
        """It shares alike already."""
        return "leave out, or make the run longer"

    @property
    def cap(self) -> float:
        """Its cap."""
        return self.max_epochs

    def remedy(self, max_epochs: float) -> str:
        """Its cap."""
        return f"lower its cap to {max_epochs:g}"

    @classmethod
    def parse(cls, text: str) -> UniMax:
        """From the cap alone."""
        return cls(float(text))
