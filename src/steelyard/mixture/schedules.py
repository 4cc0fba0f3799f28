"""How the mixture of domains changes over a run: one small class a schedule, each with `probabilities(sizes, progress)`."""

from __future__ import annotations

import itertools
import json
import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from steelyard.errors import InputError, nearest
from steelyard.mixture.temperature import Floats, check_sizes, check_temperature, temperature_probabilities


class Schedule(ABC):
    """Says how often each domain is drawn at every share of a run."""

    @abstractmethod
    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """Probabilities of the domains, float64 `[D]`, summing to 1, at a share of the run, 0..1."""

    def changes(self) -> list[float]:
        """Where in the run the mixture jumps; between these it is constant or, for a dense schedule, moves smoothly."""
        return []

    def for_run(self, num_samples: int, names: Sequence[str] | None = None, sizes: ArrayLike | None = None) -> Schedule:
        """The same schedule, told how many samples the run draws, what the domains are called and how large they are."""
        return self


def check_progress(progress: float) -> float:
    """A share of the run.

    Example:
        >>> check_progress(1.5)
        Traceback (most recent call last):
        steelyard.errors.InputError: progress is a share of the run, 0 to 1, but is 1.5
    """
    if not 0 <= progress <= 1:
        raise InputError(f"progress is a share of the run, 0 to 1, but is {progress}")
    return float(progress)


class TemperatureSchedule(Schedule):
    """A schedule that is a temperature at every share of the run."""

    @abstractmethod
    def temperature(self, progress: float) -> float:
        """The temperature at a share of the run."""

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """`p(i; tau)` at the temperature of that share of the run."""
        return temperature_probabilities(sizes, self.temperature(check_progress(progress)))


@dataclass(frozen=True)
class ConstantTemperature(TemperatureSchedule):
    """One temperature throughout.

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
        points: `(progress, temperature)` pairs, ascending, the first at 0.

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
class LinearTemperature(TemperatureSchedule):
    """A temperature that moves along a line, `(1 - p) start + p end`.

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
    """A temperature that moves along half a cosine, slow at both ends.

    Example:
        >>> CosineTemperature(5.0, 1.0).temperature(0.5)
        3.0
    """

    def temperature(self, progress: float) -> float:
        """On the cosine."""
        return super().temperature((1 - math.cos(math.pi * progress)) / 2)


@dataclass(frozen=True)
class Shares(Schedule):
    """A mixture given as plain shares, or as weights from elsewhere (DoReMi's, say); they need not sum to 1.

    Attributes:
        shares: one a domain, not negative, in the domains' order or by name.

    Example:
        >>> Shares([3.0, 1.0]).probabilities([10, 10], 0.0).tolist()
        [0.75, 0.25]
        >>> Shares({"en": 1.0, "sw": 1.0}).for_run(100, ["sw", "en"]).probabilities([1, 9], 0.0).tolist()
        [0.5, 0.5]
    """

    shares: Sequence[float] | Mapping[str, float]

    def __post_init__(self) -> None:
        values = list(self.shares.values()) if isinstance(self.shares, Mapping) else list(self.shares)
        if not values or not all(isinstance(v, (int, float)) and 0 <= v < math.inf for v in values) or not sum(values) > 0:
            raise InputError(f"shares must be finite, not negative and not all 0, but are {self.shares}")

    @classmethod
    def load(cls, path: Path | str) -> Shares:
        """Read shares from a JSON file, an object from domain names to numbers."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot read shares from {path}: {error.strerror}") from None
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
        if not isinstance(found, dict):
            raise InputError(f"{path}: shares are a JSON object from domain names to numbers, but found {type(found).__name__}")
        try:
            return cls(found)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

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


@dataclass(frozen=True)
class OrderMatters(Schedule):
    """High-resource domains first, the others added late; in proportion to size among those that are in.

    Attributes:
        late: the domains that come late, by number or name.
        at: the share of the run at which they do.

    Example:
        >>> schedule = OrderMatters([1], at=0.5)
        >>> [schedule.probabilities([3, 1], p).tolist() for p in (0.0, 0.5)]
        [[1.0, 0.0], [0.75, 0.25]]

    Reference:
        Choi et al., Order Matters in the Presence of Dataset Imbalance, arXiv 2312.06134.
    """

    late: Sequence[int] | Sequence[str]
    at: float = 0.5

    def __post_init__(self) -> None:
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


FORMS = {
    "constant": "constant:TAU",
    "cooldown": "cooldown, or cooldown:START,END,AT",
    "cooldown-at-cap": "cooldown-at-cap:EPOCHS, or cooldown-at-cap:EPOCHS,START,END",
    "adaptive": "adaptive, or adaptive:START,END,LATEST,PATIENCE",
    "piecewise": "piecewise:0=TAU,AT=TAU,...",
    "linear": "linear:START,END",
    "cosine": "cosine:START,END",
    "unimax": "unimax:EPOCHS",
    "late": "late:DOMAIN,DOMAIN,...@AT",
    "shares": "shares:FILE.json",
}
"""How a schedule is written in one word."""


def parse_schedule(text: str) -> Schedule:
    """A schedule from one word, as on the command line.

    Raises:
        InputError: naming the forms there are.

    Example:
        >>> parse_schedule("cooldown"), parse_schedule("piecewise:0=100,0.2=5,0.6=1").changes()
        (Cooldown(start=5.0, end=1.0, at=0.5), [0.2, 0.6])
        >>> parse_schedule("cooldwn")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown schedule 'cooldwn' (did you mean 'cooldown'?): use constant:TAU; cooldown, or ...
    """
    kind, _, rest = text.partition(":")
    if kind not in FORMS:
        raise InputError(f"unknown schedule {kind!r}{nearest(kind, FORMS)}: use {'; '.join(FORMS.values())}")
    try:
        if kind == "shares":
            return Shares.load(rest)
        if kind == "late":
            domains, _, at = rest.partition("@")
            return OrderMatters(domains.split(","), at=float(at or 0.5))
        if kind == "piecewise":
            pairs = [pair.split("=") for pair in rest.split(",")]
            return PiecewiseTemperature([(float(at), float(tau)) for at, tau in pairs])
        numbers = [float(number) for number in rest.split(",")] if rest else []
        from steelyard.mixture.adaptive import AdaptiveCooldown

        made: dict[str, type[Schedule]] = {
            "constant": ConstantTemperature, "cooldown": Cooldown, "cooldown-at-cap": CooldownAtCap, "adaptive": AdaptiveCooldown,
            "linear": LinearTemperature, "cosine": CosineTemperature, "unimax": UniMax,
        }  # fmt: skip
        return made[kind](*numbers)
    except (ValueError, TypeError):
        raise InputError(f"cannot read schedule {text!r}: write {FORMS[kind]}") from None
