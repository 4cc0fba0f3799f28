"""Weights that stay as they are given."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.weighting.base import METHODS, Batch, Weighting


@METHODS.add("fixed")
class FixedWeights(Weighting):
    """Constant weights, `w_t = w`; equal ones where none are given.

    Args:
        weights: `[K]` in the objectives' order, or by name; non-negative, summing to 1. None for equal weights.
        normalize: "sum" turns the weighted reward into one advantage; "each" weighs the objectives' own advantages (GDPO).

    Raises:
        InputError: where weights are negative or do not sum to 1.

    Example:
        >>> FixedWeights([0.5, 0.25, 0.25]).weights().tolist()
        [0.5, 0.25, 0.25]

    Reference:
        The baselines of Lu et al., arXiv 2509.11452, section 4; "each": Liu et al., GDPO, arXiv 2601.05242.
    """

    def on_batch(self, batch: Batch) -> None:
        """Nothing changes."""

    def on_validation(self, point: Sequence[float]) -> None:
        """Nothing changes."""
