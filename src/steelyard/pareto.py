"""The Pareto archive: which validation points no other beats, and how much of the objective space they cover.

The hypervolume itself is moocore's. This file puts objectives of different units and directions on one scale first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError


class ParetoArchive:
    """The points seen so far and the hypervolume they cover beyond a reference point.

    With `z_k = s_k (x_k - reference_k) / scale_k` (`s_k` = 1 where objective k is maximised, -1 where it is minimised) the hypervolume
    is the volume of the union of the boxes `[0, z]`. A point that is no better than the reference in some objective covers nothing.

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

    def _gains(self, points: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """Scaled improvement over the reference, higher is better, `[N,K]`."""
        sign = np.where(self.maximize, 1.0, -1.0)
        return sign * (np.asarray(points, dtype=np.float64) - self.reference) / self.scale

    def _volume(self, points: Sequence[Sequence[float]]) -> float:
        if not points:
            return 0.0
        return float(moocore.hypervolume(self._gains(points), ref=np.zeros(len(self.reference)), maximise=True))

    def contribution(self, point: Sequence[float]) -> float:
        """How much the hypervolume would grow if `point` were added; the archive stays as it is.

        Example:
            >>> ParetoArchive([0.0], maximize=[True]).contribution([0.5])
            0.5
        """
        point = [float(value) for value in point]
        if len(point) != len(self.reference) or not np.isfinite(point).all():
            raise InputError(f"a point needs {len(self.reference)} finite values, but is {point}")
        return max(0.0, self._volume([*self.points, point]) - self.hypervolume)

    def add(self, point: Sequence[float]) -> float:
        """Keep a point and return by how much it made the hypervolume grow.

        Example:
            >>> ParetoArchive([0.0], maximize=[True]).add([-1.0])
            0.0
        """
        gain = self.contribution(point)
        self.points.append([float(value) for value in point])
        return gain

    @property
    def hypervolume(self) -> float:
        """The volume covered, in units of the scales' product; at most 1 where the scales reach to the best possible values."""
        return self._volume(self.points)

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
        return self._volume([self.points[index]])

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on: plain lists, ready for JSON."""
        return {
            "reference": list(self.reference),
            "maximize": list(self.maximize),
            "scale": list(self.scale),
            "points": [list(point) for point in self.points],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of another archive, its reference and scale included."""
        self.reference, self.maximize, self.scale = list(state["reference"]), list(state["maximize"]), list(state["scale"])
        self.points = [list(point) for point in state["points"]]


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
