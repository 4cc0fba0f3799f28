"""Each reward normalised on its own, then summed."""

from __future__ import annotations

from steelyard.weighting.base import METHODS, Preference
from steelyard.weighting.fixed import FixedWeights


@METHODS.add("mo-grpo")
class MOGRPO(FixedWeights):
    """Multi-objective GRPO: `A = sum_k w_k estimator(R_k)`, with constant weights; `FixedWeights(normalize="each")` by its name.

    Args:
        weights: `[K]` or by name; None for equal weights.

    Example:
        >>> MOGRPO([0.5, 0.5]).normalize
        'each'

    Reference:
        Ichihara et al., MO-GRPO, arXiv 2509.22047. `GDPO` whitens the sum as well.
    """

    def __init__(self, weights: Preference | None = None) -> None:
        super().__init__(weights, normalize="each")
