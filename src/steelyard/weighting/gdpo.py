"""Each reward normalised on its own, then summed, then normalised over the batch."""

from __future__ import annotations

from steelyard.weighting.base import METHODS, Preference
from steelyard.weighting.fixed import FixedWeights


@METHODS.add("gdpo")
class GDPO(FixedWeights):
    """Group reward-decoupled normalisation: `A = whiten(sum_k w_k estimator(R_k))`, with constant weights.

    Different combinations of rewards keep different advantages, where the advantage of their sum would make many of them equal.

    Args:
        weights: `[K]` or by name; None for equal weights.

    Example:
        >>> import torch
        >>> from steelyard.advantages import combine
        >>> R = torch.tensor([[1.0, 0.0], [0.0, 10.0], [0.0, 0.0], [1.0, 10.0]])
        >>> A = combine(R, GDPO([0.5, 0.5]).weights(), estimator="grpo", group_size=4, normalize=GDPO().normalize)
        >>> [round(x, 2) + 0.0 for x in A.tolist()]       # both rewards count alike, whatever their size
        [0.0, 0.0, -1.22, 1.22]

    Reference:
        Liu et al., GDPO, arXiv 2601.05242, equations 4 to 6. With `FixedWeights(normalize="each")` the last whitening is left out.
    """

    def __init__(self, weights: Preference | None = None) -> None:
        super().__init__(weights, normalize="each-whitened")
