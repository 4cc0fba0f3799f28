"""A mixture given as plain shares, or as weights that another method found."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from steelyard.errors import InputError, nearest, repeated
from steelyard.files import read_json
from steelyard.mixture.base import Schedule, check_progress
from steelyard.mixture.schedules._registry import SCHEDULES
from steelyard.mixture.temperature import Floats, check_sizes


@SCHEDULES.add("shares")
@dataclass(frozen=True)
class Shares(Schedule):
    """A mixture given as plain shares, or as weights from elsewhere (DoReMi's, say); they need not sum to 1.

    Attributes:
        shares: one a domain, not negative, in the domains' order or by name.

    Raises:
        InputError: where a share is negative or not finite, or all are 0.

    Example:
        >>> Shares([3.0, 1.0]).probabilities([10, 10], 0.0).tolist()
        [0.75, 0.25]
        >>> Shares({"en": 1.0, "sw": 1.0}).for_run(100, ["sw", "en"]).probabilities([1, 9], 0.0).tolist()
        [0.5, 0.5]
    """

    form: ClassVar[str] = "shares:FILE.json"
    reads_a_file: ClassVar[bool] = True

    shares: Sequence[float] | Mapping[str, float]

    def __post_init__(self) -> None:
        values = list(self.shares.values()) if isinstance(self.shares, Mapping) else list(self.shares)
        if not values or not all(map(_is_share, values)) or not 0 < math.fsum(values) < math.inf:
            raise InputError(f"shares must be finite, not negative and not all 0, but are {str(self.shares)[:200]}")

    @classmethod
    def load(cls, path: Path | str) -> Shares:
        """Read shares from a JSON file, an object from domain names to numbers, or DoReMi's, which has such an object as `train_domain_weights`.

        Raises:
            InputError: where it cannot be read, is no such object, or names a domain twice.

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp()) / "weights.json"
            >>> _ = path.write_text('{"en": 0.9, "sw": 0.1}')
            >>> Shares.load(path)
            Shares(shares={'en': 0.9, 'sw': 0.1})
        """

        def once(pairs: list[tuple[str, float]]) -> dict[str, float]:
            if (twice := repeated(name for name, _ in pairs)) is not None:
                raise InputError(f"{path}: two shares are given for {twice!r}")
            return dict(pairs)

        found = read_json(Path(path), pairs=once)
        if isinstance(found, dict) and isinstance(found.get("train_domain_weights"), dict):
            found = found["train_domain_weights"]  # as DoReMi writes them
        if not isinstance(found, dict):
            raise InputError(f"{path}: shares are a JSON object from domain names to numbers, but found {type(found).__name__}")
        try:
            return cls(found)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @property
    def unvisited(self) -> frozenset[str]:
        """Domains, by name, whose share is 0: they are measured and never drawn.

        Example:
            >>> Shares({"en": 1.0, "sw": 0.0}).unvisited
            frozenset({'sw'})
        """
        return (
            frozenset(name for name, share in self.shares.items() if share == 0)
            if isinstance(self.shares, Mapping)
            else frozenset()
        )

    def without(self, names: Collection[str]) -> Shares:
        """The shares of the other domains."""
        assert isinstance(self.shares, Mapping)
        return replace(self, shares={name: share for name, share in self.shares.items() if name not in names})

    def for_run(self, num_samples: int, names: Sequence[str] | None = None, sizes: ArrayLike | None = None) -> Shares:
        """Shares by name, put into the domains' order."""
        if not isinstance(self.shares, Mapping) or names is None:
            return self
        for name in self.shares:
            if name not in names:
                raise InputError(f"a share is given for {name!r}, which is no domain{nearest(name, names)}")
        missing = [name for name in names if name not in self.shares]
        if missing:
            raise InputError(f"no share is given for {', '.join(missing)}: every domain needs one")
        return replace(self, shares=[self.shares[name] for name in names])

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """The shares, whatever the sizes."""
        check_progress(progress)
        count = len(check_sizes(sizes))
        if isinstance(self.shares, Mapping):
            raise InputError("shares by name need the domains' names: call for_run(num_samples, names) first")
        if len(self.shares) != count:
            raise InputError(f"there are {count} domains, but {len(self.shares)} shares")
        values = np.asarray(self.shares, dtype=np.float64)
        return values / values.sum()

    def remedy(self, max_epochs: float) -> str:
        """Its shares."""
        return "lower its share"

    def rare_remedy(self) -> str:
        """Their shares."""
        return "raise their shares, or leave out"

    @classmethod
    def parse(cls, text: str) -> Shares:
        """From a file."""
        return cls.load(text)


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= sys.float_info.max
