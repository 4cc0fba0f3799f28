"""Weights that follow a schedule over the run."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from steelyard.errors import InputError
from steelyard.settings import Number, check_value, checked
from steelyard.weighting.base import METHODS, Batch, Normalize, Preference, Weighting, check_weights, weights_by_name


@METHODS.add("scheduled")
class ScheduledWeights(Weighting):
    """Weights given at points of the run, and what happens between them.

    Between the points `(a, u)` and `(b, v)`, at progress p, with `x = (p - a) / (b - a)`: "piecewise" keeps u, "linear" is
    `(1 - x) u + x v`, and "cosine" is the same with `x` replaced by `(1 - cos(pi x)) / 2`. Before the first point and after the last their weights hold.

    Args:
        points: `(progress, weights)` pairs in ascending order, progress 0..1 of the run, weights `[K]` or by name.
        shape: "piecewise", "linear" or "cosine", what happens between the points.

    Raises:
        InputError: where points are not in order, out of range, or weights do not sum to 1.

    Example:
        >>> method = ScheduledWeights([(0.0, [1.0, 0.0]), (1.0, [0.5, 0.5])])
        >>> zeros = torch.zeros(4, 2)
        >>> for progress in (0.0, 0.5):
        ...     method.on_batch(Batch(zeros, zeros, learning_rate=1e-6, progress=progress, influence=lambda **options: None))
        ...     print(method.weights().tolist())
        [1.0, 0.0]
        [0.75, 0.25]

    Reference:
        What TRL's users ask for in huggingface/trl issue 3036.
    """

    follows_progress = True

    @checked
    def __init__(
        self,
        points: Annotated[Sequence[tuple[float, Preference]], Field(min_length=1)],
        *,
        shape: Literal["piecewise", "linear", "cosine"] = "linear",
        normalize: Normalize = "sum",
    ) -> None:
        if not points:
            raise InputError("a schedule needs at least one point, as in [(0.0, [0.5, 0.5])]")
        for point in points:
            if not (isinstance(point, Sequence) and len(point) == 2):
                raise InputError(f"a point of a schedule is a pair of progress and weights, but found {point!r}")
        at = [check_value("a point's progress", progress, Number) for progress, _ in points]
        if not all(0 <= progress <= 1 for progress in at) or any(a >= b for a, b in itertools.pairwise(at)):
            raise InputError(f"a schedule's points must lie at ascending shares of the run, 0 to 1, but lie at {at}")
        super().__init__(points[0][1], normalize=normalize)
        self.shape, self._at, self._given = shape, at, [weights for _, weights in points]
        self._points_PK: list[Tensor] = []
        if not any(isinstance(weights, dict) for weights in self._given):
            self._points_PK = [check_weights(weights) for weights in self._given]  # type: ignore[arg-type]

    def setup(self, objectives: Sequence[Any]) -> None:
        """Learn the objectives' names and number."""
        super().setup(objectives)
        names = [objective.name for objective in objectives]
        for weights in self._given:
            if not isinstance(weights, dict) and len(weights) != len(names):
                raise InputError(
                    f"a schedule's weights need one value an objective ({', '.join(names)}), but found {list(weights)}"
                )
        self._points_PK = [
            weights_by_name(weights, names) if isinstance(weights, dict) else check_weights(weights)  # type: ignore[arg-type]
            for weights in self._given
        ]

    def on_batch(self, batch: Batch) -> None:
        """Look up the weights of the run's present share."""
        self._weights_K = self.at(batch.progress)

    def at(self, progress: float) -> Tensor:
        """The weights at a share of the run, float64 `[K]`."""
        after = bisect_right(self._at, progress)
        if after in (0, len(self._at)):
            return self._points_PK[max(0, after - 1)]
        share = (progress - self._at[after - 1]) / (self._at[after] - self._at[after - 1])
        share = {"piecewise": 0.0, "linear": share, "cosine": (1 - math.cos(math.pi * share)) / 2}[self.shape]
        return torch.lerp(self._points_PK[after - 1], self._points_PK[after], share)

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""
