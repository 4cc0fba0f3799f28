"""Order Matters: high-resource domains first, the others late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from steelyard.errors import InputError, nearest
from steelyard.mixture.base import Schedule, check_progress
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.temperature import Floats, check_sizes


@SCHEDULES.add("late")
@dataclass(frozen=True)
class OrderMatters(Schedule):
    """High-resource domains first, the others added late; in proportion to size among those that are in.

    Attributes:
        late: the domains that come late, by number or name.
        at: the share of the run at which they do, above 0 and below 1.

    Raises:
        InputError: where no domain is named, or `at` is out of range.

    Example:
        >>> schedule = OrderMatters([1], at=0.5)
        >>> [schedule.probabilities([3, 1], p).tolist() for p in (0.0, 0.5)]
        [[1.0, 0.0], [0.75, 0.25]]

    Reference:
        Choi et al., Order Matters in the Presence of Dataset Imbalance, arXiv 2312.06134.
    """

    form: ClassVar[str] = "late:DOMAIN,DOMAIN,...@AT"

    late: Sequence[int] | Sequence[str]
    at: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.late, str):
            raise InputError(f"late is a list of domains, but is the text {self.late!r}: write [{self.late!r}]")
        if not self.late:
            raise InputError("late must name one domain at least")
        if not 0 < self.at < 1:
            raise InputError(f"at must be above 0 and below 1, but is {self.at}")

    def changes(self) -> list[float]:
        """Where the late ones come in."""
        return [self.at]

    def for_run(self, num_samples: int, names: Sequence[str] | None = None, sizes: ArrayLike | None = None) -> OrderMatters:
        """Late domains by name, as numbers."""
        if names is None or not any(isinstance(domain, str) for domain in self.late):
            return self
        for name in self.late:
            if name not in names:
                raise InputError(f"late names {name!r}, which is no domain{nearest(str(name), names)}")
        return replace(self, late=[names.index(name) for name in self.late])

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """In proportion, without the late ones before `at`."""
        values = check_sizes(sizes).copy()
        if check_progress(progress) < self.at:
            for domain in self.late:
                if not isinstance(domain, (int, np.integer)) or not 0 <= domain < len(values):
                    raise InputError(f"late names domain {domain!r}, but the {len(values)} domains are numbered from 0")
                values[domain] = 0.0
            if not values.any():
                raise InputError("all domains are late: leave one in at least")
        return values / values.sum()

    @classmethod
    def parse(cls, text: str) -> OrderMatters:
        """From names, and where they come in."""
        domains, _, at = text.partition("@")
        return cls(domains.split(","), at=float(at or 0.5))
