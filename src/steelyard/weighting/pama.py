"""All weight on the objective whose good answers stand out least, and no update from bad ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steelyard.weighting.base import METHODS, Batch, Weighting


def least_positive(advantages_BK: Tensor) -> Tensor:
    """Weights 1 for the objective with the least mean positive advantage, on its answers with a positive one; all else 0.

    The convex combination of the means `a_k = mean_i max(A_ik, 0)` that is nearest to 0 is the least of them.

    Args:
        advantages_BK: each objective's own, float `[B,K]`.

    Returns:
        float64 `[B,K]`; 0 where no objective has an advantage.

    Example:
        >>> least_positive(torch.tensor([[2.0, 0.5], [-2.0, -0.5]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    positive_BK = advantages_BK.double().clamp(min=0)
    mean_K = positive_BK.mean(0)
    chosen_BK = torch.zeros_like(positive_BK)
    if (mean_K > 0).any():
        k = int(torch.where(mean_K > 0, mean_K, torch.inf).argmin())
        chosen_BK[:, k] = (positive_BK[:, k] > 0).double()
    return chosen_BK


@METHODS.add("pama")
class PAMA(Weighting):
    """Pareto multi-objective alignment: the closed form of an upper bound of the min-norm problem, `O(K)` without a gradient (see `least_positive`).

    Example:
        >>> from steelyard.objectives import Objective
        >>> method = PAMA()
        >>> method.setup([Objective("right", len), Objective("short", len)])
        >>> A = torch.tensor([[2.0, 0.5], [-2.0, -0.5]])
        >>> method.on_batch(Batch(A, A, learning_rate=1e-6, progress=0.0, influence=lambda **options: None))
        >>> method.weights().tolist()
        [[0.0, 1.0], [0.0, 0.0]]

    Reference:
        He and Maghsudi, PAMA, arXiv 2508.07768, theorem 1, with its PPO without negative advantages, as the code of arXiv 2602.06869 has it. Deviations: an
        objective without an advantage in the batch is left out, where its mean of 0 would be the solution and stop training.
    """

    def __init__(self) -> None:
        super().__init__(None, normalize="each")

    def on_batch(self, batch: Batch) -> None:
        """Choose the objective."""
        self._weights_K = least_positive(batch.advantages_BK.cpu())

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""
