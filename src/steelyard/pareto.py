"""The Pareto archive: which validation points no other beats, and how much of the objective space they cover.

The hypervolume itself is moocore's. This file puts objectives of different units and directions on one scale first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError


class ParetoArchive:
    """The points seen so far and the hypervolume they cover beyond a reference point.

    With `z_k = s_k (x_k - reference_k) / scale_k` (`s_k` = 1 where objective k is maximised, -1 where it is minimised) the hypervolume
    is the volume of the union of the boxes `[0, z]`. A point that is no better than the reference in some objective covers nothing. What a point adds is
    counted exactly, but for more than a few dozen points in seven dimensions or more, where that would take seconds to hours: see `box_union`.

    Measured points are noisy, and the best of noisy points is better than any policy is: the archive of one policy that never changes grows with every
    point. Give each point its standard errors, and keep by `front_beyond_noise`.

    Args:
        reference: `[K]`, in the objectives' own units; the corner that every counted point must beat.
        maximize: `[K]`, True where larger is better. Never implied.
        scale: `[K]`, positive, in the objectives' own units: the improvement over the reference that counts as 1. None stands for ones,
            which only fits objectives that are in comparable units already.

    Raises:
        InputError: where lengths differ, a value is not finite, or a scale is not positive.

    Example:
        >>> archive = ParetoArchive([0.0, 100.0], maximize=[True, False], scale=[1.0, 100.0])
        >>> archive.add([0.5, 50.0])           # halfway up in accuracy, half the tokens saved
        0.25
        >>> archive.add([0.4, 60.0])           # beaten in both: adds nothing
        0.0
        >>> archive.front
        [[0.5, 50.0]]

    Reference:
        Lu et al., arXiv 2509.11452, section 3.1. Deviation: the reference code enters tokens and accuracies in raw units and sums slices
        in a recursion that is exponential in K; here measures are scaled, and moocore computes the volume.
    """

    def __init__(self, reference: Sequence[float], *, maximize: Sequence[bool], scale: Sequence[float] | None = None) -> None:
        self.reference = [float(value) for value in reference]
        self.maximize = [bool(value) for value in maximize]
        self.scale = [1.0] * len(self.reference) if scale is None else [float(value) for value in scale]
        if not self.reference or not len(self.reference) == len(self.maximize) == len(self.scale):
            raise InputError(
                f"reference, maximize and scale need one value an objective, but have {len(self.reference)}, "
                f"{len(self.maximize)} and {len(self.scale)}"
            )
        if not np.isfinite(self.reference).all():
            raise InputError(f"the reference point must be finite, but is {self.reference}")
        if not (np.isfinite(self.scale).all() and min(self.scale) > 0):
            raise InputError(f"scales must be positive and finite, but are {self.scale}")
        self.points: list[list[float]] = []
        self.standard_errors: list[list[float] | None] = []
        self.hypervolume = 0.0
        """The volume covered, in units of the scales' product; at most 1 where the scales reach to the best possible values."""
        self._front_NK = np.empty((0, len(self.reference)))

    def _gains(self, points: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """Scaled improvement over the reference, higher is better, `[N,K]`."""
        sign = np.where(self.maximize, 1.0, -1.0)
        return sign * (np.asarray(points, dtype=np.float64) - self.reference) / self.scale

    def _gained(self, gains_K: NDArray[np.float64]) -> float:
        """The volume of the box `[0, gains]` without what the front covers of it."""
        if gains_K.min() <= 0 or (self._front_NK >= gains_K).all(1).any():
            return 0.0
        return max(0.0, float(gains_K.prod()) - box_union(np.minimum(self._front_NK, gains_K)))

    def contribution(self, point: Sequence[float]) -> float:
        """How much the hypervolume would grow if `point` were added; the archive stays as it is.

        Example:
            >>> ParetoArchive([0.0], maximize=[True]).contribution([0.5])
            0.5
        """
        return self._gained(self._gains([self._checked(point)])[0])

    def _checked(self, point: Sequence[float]) -> list[float]:
        point = [float(value) for value in point]
        if len(point) != len(self.reference) or not np.isfinite(point).all():
            raise InputError(f"a point needs {len(self.reference)} finite values, but is {point}")
        return point

    def add(self, point: Sequence[float], standard_errors: Sequence[float | None] | None = None) -> float:
        """Keep a point and return by how much it made the hypervolume grow.

        Args:
            point: `[K]`, in the objectives' own units.
            standard_errors: of its values, `[K]`; None where they are not known, which counts as exact.

        Example:
            >>> ParetoArchive([0.0], maximize=[True]).add([-1.0])
            0.0
        """
        point = self._checked(point)
        if standard_errors is not None and len(standard_errors) != len(point):
            raise InputError(f"a point needs {len(point)} standard errors, but has {len(standard_errors)}")
        gains_K = self._gains([point])[0]
        gained = self._gained(gains_K)
        self.hypervolume += gained
        if gained > 0:
            self._front_NK = np.vstack([self._front_NK[~(self._front_NK <= gains_K).all(1)], gains_K])
        self.points.append(point)
        self.standard_errors.append(None if standard_errors is None else [float(error or 0.0) for error in standard_errors])
        return gained

    @property
    def front_indices(self) -> list[int]:
        """Which of `points`, in the order they were added, no other point dominates; of equal points, the first."""
        if not self.points:
            return []
        keep = moocore.is_nondominated(self._gains(self.points), maximise=True, keep_weakly=False)
        return [int(i) for i in np.flatnonzero(keep)]

    @property
    def front(self) -> list[list[float]]:
        """The points that no other point dominates, in the objectives' own units, in the order they were added."""
        return [self.points[i] for i in self.front_indices]

    def front_beyond_noise(self, *, standard_errors: float = 2.0) -> list[int]:
        """Which of `points` no other beats by more than the noise: the policies worth keeping, in the order they were added.

        Point by point: a new one is kept if no kept one is at least as good in every objective but for `standard_errors` of their difference
        (epsilon-dominance with the noise as epsilon), or if it dominates a kept one, whose place it takes. What was let go never comes back. Of 60
        measurements of one policy with 10 objectives, 57 are on the plain front and 3 are kept.

        Args:
            standard_errors: how many, 0 or more; at 0, or for points without standard errors, the front is the plain one (of equal points the first).

        Example:
            >>> archive = ParetoArchive([0.0, 0.0], maximize=[True, True])
            >>> for point in ([0.50, 0.50], [0.51, 0.49], [0.50, 0.60], [0.80, 0.20]):
            ...     _ = archive.add(point, [0.02, 0.02])
            >>> archive.front_indices, archive.front_beyond_noise()
            ([1, 2, 3], [2, 3])
        """
        gains_NK = np.asarray(self.scaled_gains())
        errors_NK = [np.zeros(len(self.scale)) if e is None else np.asarray(e) / self.scale for e in self.standard_errors]
        kept: list[int] = []
        for i, gains_K in enumerate(gains_NK):
            noise = {j: standard_errors * np.hypot(errors_NK[i], errors_NK[j]) for j in kept}
            matched = any((gains_NK[j] + noise[j] >= gains_K).all() for j in kept)
            beaten = [j for j in kept if (gains_K >= gains_NK[j]).all() and (gains_K > gains_NK[j]).any()]
            if beaten or not matched:
                kept = [*(j for j in kept if j not in beaten), i]
        return kept

    def scaled_gains(self) -> list[list[float]]:
        """`z` of every point, in the order they were added: improvement over the reference, in scales, higher is better."""
        return [[float(value) for value in row] for row in self._gains(self.points)] if self.points else []

    def volume_of_one(self, index: int) -> float:
        """The volume that a single point covers on its own.

        Example:
            >>> archive = ParetoArchive([0.0, 0.0], maximize=[True, True])
            >>> _ = archive.add([0.5, 0.5])
            >>> archive.volume_of_one(0)
            0.25
        """
        return float(np.maximum(self._gains([self.points[index]])[0], 0.0).prod())

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on: plain lists, ready for JSON."""
        return {
            "reference": list(self.reference),
            "maximize": list(self.maximize),
            "scale": list(self.scale),
            "points": [list(point) for point in self.points],
            "standard_errors": [None if errors is None else list(errors) for errors in self.standard_errors],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of another archive, its reference and scale included."""
        other = ParetoArchive(state["reference"], maximize=state["maximize"], scale=state["scale"])
        points = state["points"]
        for point, errors in zip(points, state.get("standard_errors", [None] * len(points)), strict=True):
            other.add(point, errors)
        vars(self).update(vars(other))


_EXACT = {7: 150, 8: 80, 9: 50, 10: 32}
"""Boxes, by dimension, whose union is computed exactly within a tenth of a second on one core: measured with moocore 0.3.2."""


def box_union(corners_NK: NDArray[np.float64]) -> float:
    """The volume of the union of the boxes `[0, corner]`.

    Exact in up to six dimensions; in more, for up to 150 boxes in seven, 80, 50, 32, and 12 beyond ten. Otherwise by moocore's integral over 2^18 fixed
    directions, which is off by a thousandth or less where points are alike, and by a few hundredths at worst in fifteen dimensions.

    Example:
        >>> box_union(np.array([[0.5, 1.0], [1.0, 0.5]]))
        0.75
    """
    counted = corners_NK[(corners_NK > 0).all(1)] if len(corners_NK) else corners_NK
    if not len(counted):
        return 0.0
    dimensions = counted.shape[1]
    counted = counted[moocore.is_nondominated(counted, maximise=True, keep_weakly=False)]
    exact = len(counted) <= _EXACT.get(dimensions, 12 if dimensions > 6 else math.inf)
    volume = moocore.hypervolume if exact else moocore.hv_approx
    return float(volume(counted, ref=np.zeros(dimensions), maximise=True))


def hypervolume(
    points: Sequence[Sequence[float]],
    *,
    reference: Sequence[float],
    maximize: Sequence[bool],
    scale: Sequence[float] | None = None,
) -> float:
    """The hypervolume of a set of points, as `ParetoArchive` counts it.

    Example:
        >>> hypervolume([[0.5, 1.0], [1.0, 0.5]], reference=[0.0, 0.0], maximize=[True, True])
        0.75
    """
    archive = ParetoArchive(reference, maximize=maximize, scale=scale)
    for point in points:
        archive.add(point)
    return archive.hypervolume


def simplex_lattice(size: int, points: int) -> Iterator[tuple[float, ...]]:
    """Weights that sum to 1, with `points` values from 0 to 1 for each of `size`; the corners are among them.

    Example:
        >>> list(simplex_lattice(2, 3))
        [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)]
        >>> len(list(simplex_lattice(3, 5)))
        15
    """
    steps = points - 1
    for cuts in itertools.combinations(range(steps + size - 1), size - 1):
        edges = (-1, *cuts, steps + size - 1)
        counts = [after - before - 1 for before, after in itertools.pairwise(edges)]
        yield tuple(count / steps for count in reversed(counts))
