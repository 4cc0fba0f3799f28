"""A schedule over a run, cut into stretches of constant probabilities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from steelyard.errors import InputError
from steelyard.mixture.base import Schedule
from steelyard.mixture.temperature import Floats

DENSE_SEGMENTS = 256


def is_dense(schedule: Schedule, sizes: ArrayLike) -> bool:
    """Whether a schedule moves between its jumps."""
    edges = [0.0, *schedule.changes(), 1.0]
    pairs = [(a, a + 0.5 * (b - a)) for a, b in itertools.pairwise(edges)]
    return any(not np.array_equal(schedule.probabilities(sizes, a), schedule.probabilities(sizes, b)) for a, b in pairs)


def segment_starts(schedule: Schedule, sizes: ArrayLike, batches: int) -> list[int]:
    """The first batch of every segment of constant probabilities, and the number of batches.

    Example:
        >>> from steelyard.mixture import Cooldown
        >>> segment_starts(Cooldown(), np.array([9, 1]), 100)
        [0, 50, 100]
    """
    if is_dense(schedule, sizes):
        return sorted({round(i * batches / DENSE_SEGMENTS) for i in range(DENSE_SEGMENTS + 1)})
    return sorted({0, batches, *(math.ceil(at * batches - 1e-9) for at in schedule.changes())})


def segment_shares(schedule: Schedule, sizes: ArrayLike, starts: Sequence[int]) -> Floats:
    """The probabilities of every segment, float64 `[S,D]`: a dense schedule's are those of the segment's middle."""
    dense, batches = is_dense(schedule, sizes), starts[-1]
    # A constant segment is asked at its middle as well: at its very start rounding could give the one before.
    middles = [(begin + (end - 1)) / 2 if dense else (begin + end) / 2 for begin, end in itertools.pairwise(starts)]
    return np.stack([schedule.probabilities(sizes, middle / batches) for middle in middles])


def check_visits(shares: Floats, names: Sequence[str] | None) -> None:
    """Refuse a schedule that never visits a domain.

    Example:
        >>> check_visits(np.array([[1.0, 0.0]]), ["en", "sw"])
        Traceback (most recent call last):
        steelyard.errors.InputError: the schedule never visits domain 'sw': give it a share, or leave the domain out
    """
    never = np.flatnonzero(np.max(shares, axis=0) <= 0)
    if never.size:
        first = repr(names[never[0]]) if names is not None else str(never[0])
        raise InputError(f"the schedule never visits domain {first}: give it a share, or leave the domain out")
