"""What a mixture will do, before it is trained on: how often every domain is drawn, when it begins to repeat, and what would hold it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from steelyard.errors import InputError
from steelyard.mixture._segments import check_visits, is_dense, segment_shares, segment_starts
from steelyard.mixture.base import Schedule
from steelyard.mixture.schedules.cooldown import Cooldown
from steelyard.mixture.temperature import Floats, check_sizes, temperature_probabilities
from steelyard.mixture.words import parse_schedule


@dataclass(frozen=True)
class DomainPlan:
    """What happens to one domain.

    Attributes:
        name, size: of the domain.
        shares: of each phase, in order; of a dense schedule the mean over the run.
        draws: expected in the whole run.
        epochs: passes over the domain, `draws / size`.
        repeats_at: the step, counted from 1, in which its examples begin to come again; None if they never do.

    Example:
        >>> from steelyard.mixture.schedules import ConstantTemperature
        >>> plan = plan_mixture([90, 10], ConstantTemperature(1.0), num_samples=200, batch_size=10, names=["en", "sw"]).domains[1]
        >>> plan.name, round(plan.draws, 6), round(plan.epochs, 6), plan.repeats_at
        ('sw', 20.0, 2.0, 11)
    """

    name: str
    size: float
    shares: list[float]
    draws: float
    epochs: float
    repeats_at: int | None


@dataclass(frozen=True)
class MixturePlan:
    """What happens to all domains.

    Attributes:
        domains: one plan each, in the given order.
        phases: where each phase of the run begins, as a share of it.
        steps: batches of the run.
        warnings: a line for each of the 20 domains that are repeated most, beyond the cap, and how many more there are; one for those that would
            probably never be drawn.
        dense: whether the schedule moves with every step; shares are then means over the run.
        suggestion: a schedule that keeps the cap, in words, of the same kind where that can be; None where nothing is to be mended.

    Example:
        >>> from steelyard.mixture.schedules import Cooldown
        >>> plan = plan_mixture([90, 10], Cooldown(), num_samples=200, batch_size=10)
        >>> plan.steps, plan.phases, plan.suggestion
        (20, [0.0, 0.5], None)
    """

    domains: list[DomainPlan]
    phases: list[float]
    steps: int
    warnings: list[str]
    suggestion: str | None
    dense: bool = False


_SHOWN = 20
"""Domains of which a warning has a line of its own."""


def plan_mixture(
    sizes: ArrayLike,
    schedule: Schedule,
    *,
    num_samples: int,
    batch_size: int,
    names: Sequence[str] | None = None,
    max_epochs: float = 10.0,
) -> MixturePlan:
    """Foresee a mixture's draws.

    Args:
        sizes: of the domains, in the unit that is drawn (examples, or tokens with `num_samples` in tokens).
        schedule: a `Schedule`.
        num_samples, batch_size: of the run; a step is a batch.
        names: of the domains; default: their numbers.
        max_epochs: passes over a domain beyond which it is warned of, positive.

    Returns:
        Expected draws, epochs and first repetition of every domain, warnings, and a schedule that would keep the cap.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> from steelyard.mixture.schedules import Cooldown
        >>> plan = plan_mixture([9000, 10], Cooldown(), num_samples=1000, batch_size=10, names=["en", "sw"], max_epochs=4)
        >>> [(d.name, round(d.draws), round(d.epochs, 1), d.repeats_at) for d in plan.domains]
        [('en', 897, 0.1, None), ('sw', 103, 10.3, 5)]
        >>> plan.warnings
        ['sw (10) would be seen 10.3 times by step 100, first again at step 5: lower the start temperature or cool down earlier']
        >>> plan.suggestion
        'cooldown:2.76,1,0.5 keeps every domain within 4 epochs, and so does cooldown:5,1,0.19'
    """
    values = check_sizes(sizes, names)
    for label, value in (("num_samples", num_samples), ("batch_size", batch_size)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise InputError(f"{label} must be a whole number, at least 1, but is {value!r}")
    if not 0 < max_epochs < float("inf"):
        raise InputError(f"max_epochs must be positive and finite, but is {max_epochs}")
    labels = [str(i) for i in range(len(values))] if names is None else list(names)
    if len(labels) != len(values):
        raise InputError(f"there are {len(values)} domains, but {len(labels)} names")
    cap, schedule = schedule.cap, schedule.for_run(num_samples, names, values)
    passes = num_samples / float(values.sum())
    steps = -(-num_samples // batch_size)
    starts = segment_starts(schedule, values, steps)
    shares = segment_shares(schedule, values, starts)
    check_visits(shares, names)
    draws = _expected_draws(shares, starts, num_samples, batch_size)
    cumulative = np.cumsum(draws, axis=0)
    phases = sorted({0.0, *schedule.changes()})
    dense = is_dense(schedule, values)
    shown = [cumulative[-1] / num_samples] if dense else [schedule.probabilities(values, phase) for phase in phases]
    phases = [0.0] if dense else phases
    domains = []
    for d, label in enumerate(labels):
        total = float(cumulative[-1, d])
        repeats = _first_repeat(cumulative[:, d], shares[:, d], starts, float(values[d]), batch_size)
        of_phases = [float(share[d]) for share in shown]
        domains.append(DomainPlan(label, float(values[d]), of_phases, total, total / float(values[d]), repeats))
    over = [domain for domain in domains if domain.epochs > max_epochs * (1 + 1e-9)]
    # Where the run draws all there is more often than that, no mixture helps.
    too_long = f"the run draws {passes:.3g} times all there is: shorten it, or add data"
    remedy = too_long if passes > max_epochs * (1 + 1e-9) else schedule.remedy(max_epochs)
    worst = sorted(over, key=lambda d: -d.epochs)
    warnings = [
        f"{d.name} ({d.size:g}) would be seen {d.epochs:.3g} times by step {steps}, first again at step {d.repeats_at}: {remedy}"
        for d in worst[:_SHOWN]
    ]
    if len(worst) > _SHOWN:
        warnings.append(f"{len(worst) - _SHOWN:,} more domains would be seen more than {max_epochs:g} times")
    rare = sorted((d for d in domains if d.draws < 1), key=lambda d: d.draws)
    if rare:
        seldom = ", ".join(d.name for d in rare[:5]) + (f" and {len(rare) - 5} more" if len(rare) > 5 else "")
        warnings.append(
            f"{seldom}: drawn less than once in the whole run ({rare[0].draws:.2g} times at the least): {schedule.rare_remedy()}"
        )
    if cap is not None and passes > cap * (1 + 1e-9):
        warnings.append(f"the schedule's cap of {cap:g} cannot be kept: {too_long}")
    suggestion = (
        _suggest(values, schedule, num_samples, batch_size, max_epochs) if over else _no_cooldown(values, schedule, num_samples)
    )
    return MixturePlan(domains, phases, steps, warnings, suggestion, dense)


def _no_cooldown(sizes: Floats, schedule: Schedule, num_samples: int) -> str | None:
    """A constant temperature, where a cooldown holds back what does not happen; None where it has something to hold back.

    Without repetition there is nothing to overfit, and after the cooldown small domains are only forgotten: on 113 languages that nobody had tuned to, Cooldown
    lost on all but English.
    """
    if not isinstance(schedule, Cooldown) or schedule.start <= schedule.end:
        return None
    draws = temperature_probabilities(sizes, schedule.start) * num_samples
    if (draws > sizes * (1 + 1e-9)).any():
        return None
    return f"constant:{schedule.start:.12g}: even so no example would be seen twice, and a cooldown only holds back repetition"


def _expected_draws(shares: Floats, starts: Sequence[int], num_samples: int, batch_size: int) -> Floats:
    """Expected draws of every domain in every segment, float64 `[S,D]`; the last batch may be short."""
    edges = np.minimum(np.asarray(starts, dtype=np.float64) * batch_size, num_samples)
    return np.diff(edges)[:, None] * shares


def _first_repeat(cumulative: Floats, shares: Floats, starts: Sequence[int], size: float, batch_size: int) -> int | None:
    segment = int(np.searchsorted(cumulative, size * (1 + 1e-12), side="right"))
    if segment == len(cumulative):
        return None
    before = float(cumulative[segment - 1]) if segment else 0.0
    # A whole number of batches may come out a rounding below it.
    return 1 + starts[segment] + int((size - before) / (float(shares[segment]) * batch_size) * (1 + 1e-12))


def _suggest(sizes: Floats, schedule: Schedule, num_samples: int, batch_size: int, max_epochs: float) -> str:
    """Schedules that keep every domain within a number of epochs, in words: of the same kind with the highest temperature, or the latest cooldown,
    that does; UniMax with that cap where there is none, or the kind has no temperature.
    """

    def fits(word: str) -> bool:
        candidate = parse_schedule(word).for_run(num_samples, None, sizes)
        starts = segment_starts(candidate, sizes, -(-num_samples // batch_size))
        draws = _expected_draws(segment_shares(candidate, sizes, starts), starts, num_samples, batch_size)
        return float((draws.sum(0) / sizes).max()) <= max_epochs * (1 + 1e-9)

    def highest(form: str, least: float, most: float, step: float = 0.01) -> list[str]:
        """The form with the highest number above the least that fits, in whole steps; empty where there is none."""
        low, high = round(least / step), round(min(most, 1e6) / step)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(form.format(f"{middle * step:.12g}")) else (low, middle)
        word = form.format(f"{low * step:.12g}")
        return [word] if low > round(least / step) and fits(word) else []

    if num_samples / sizes.sum() > max_epochs * (1 + 1e-9):
        return f"no mixture keeps every domain within {max_epochs:g} epochs: the run draws {num_samples / sizes.sum():.3g} times all there is"
    words = [word for knob in schedule.knobs() for word in highest(knob.form, knob.least, knob.most)]
    first, *others = words or [f"unimax:{max_epochs:.12g}"]
    return f"{first} keeps every domain within {max_epochs:g} epochs" + "".join(f", and so does {word}" for word in others)
