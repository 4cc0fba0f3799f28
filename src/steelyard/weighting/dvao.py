"""Weights by how much each reward varies among the answers to a prompt, prompt by prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from steelyard.weighting.base import METHODS, Batch, Preference, Weighting


def spread_weights(rewards_BK: Tensor, preference_K: Tensor, *, group_size: int) -> Tensor:
    """`w_gk ~ p_k std_gk`, with the standard deviation over the answers to prompt g.

    Args:
        rewards_BK: float `[B,K]`, NaN where an objective does not apply.
        preference_K: float64 `[K]`, not negative.
        group_size: answers a prompt, which stand together.

    Returns:
        float64 `[B,K]`, each row summing to 1; `preference_K` for a prompt whose rewards do not vary.

    Example:
        >>> R = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 3.0], [0.0, 0.0]])
        >>> spread_weights(R, torch.tensor([0.5, 0.5], dtype=torch.float64), group_size=2).tolist()
        [[1.0, 0.0], [1.0, 0.0], [0.25, 0.75], [0.25, 0.75]]
    """
    groups = rewards_BK.double().reshape(-1, group_size, rewards_BK.shape[1])
    present = ~groups.isnan()
    count = present.sum(1, keepdim=True).clamp(min=1)
    mean = torch.where(present, groups, 0).sum(1, keepdim=True) / count
    spread = (torch.where(present, groups - mean, 0).square().sum(1, keepdim=True) / count).sqrt()
    equal = torch.where(present, groups, torch.inf).amin(1, keepdim=True) >= torch.where(present, groups, -torch.inf).amax(
        1, keepdim=True
    )
    weighed = preference_K.to(groups) * torch.where(equal, 0, spread)
    total = weighed.sum(2, keepdim=True)
    rows = torch.where(total > 0, weighed / total.clamp(min=torch.finfo(torch.float64).tiny), preference_K.to(groups))
    return rows.expand(-1, group_size, -1).reshape(rewards_BK.shape)


@METHODS.add("dvao")
class DVAO(Weighting):
    """Dynamic variance-adaptive advantages: `A = sum_k w_gk A_k` with `w_gk = p_k std_gk / sum_j p_j std_gj` for prompt g.

    A reward that all answers to a prompt get alike has no weight there. With GRPO's advantages this is the weighted sum of rewards, centred and divided
    by the weighted sum of their spreads: a reward of larger units counts more, as in a plain sum, and no advantage is larger than the largest `A_k`.

    Args:
        weights: the preference p, `[K]` or by name; None for equal shares.

    Example:
        >>> from steelyard.objectives import Objective
        >>> method = DVAO()
        >>> method.setup([Objective("right", len), Objective("short", len)])
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 3.0], [0.0, 0.0]])
        >>> method.on_batch(Batch(rewards, rewards, learning_rate=1e-6, progress=0.0, influence=lambda **options: None, group_size=2))
        >>> method.weights().tolist()[2]
        [0.25, 0.75]

    Reference:
        Jiang et al., DVAO, arXiv 2605.25604 (the formula as a detailed reading of the paper gives it; its authors publish no code).
    """

    def __init__(self, weights: Preference | None = None) -> None:
        super().__init__(weights, normalize="each")

    def on_batch(self, batch: Batch) -> None:
        """Weigh every prompt by its own spreads."""
        self._weights_K = spread_weights(batch.rewards_BK, self.preference(), group_size=batch.group_size)

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""
