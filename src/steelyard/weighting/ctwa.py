"""An objective that does not move with the weighted reward gains weight until it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.advantages import weighted_reward
from steelyard.objectives import Objective
from steelyard.settings import Positive, Share, checked
from steelyard.weighting.base import (
    METHODS,
    Batch,
    Normalize,
    Preference,
    Weighting,
    check_option,
    from_list,
    running_mean,
    to_list,
)


def score_correlations(rewards_BK: Tensor, score_B: Tensor, *, group_size: int) -> Tensor:
    """The correlation of each reward with the weighted score among the answers to a prompt, averaged over the prompts where both vary.

    Args:
        rewards_BK: float `[B,K]`, NaN where an objective does not apply.
        score_B: the weighted score, float `[B]`, NaN where an answer has none.
        group_size: answers a prompt, which stand together.

    Returns:
        float64 `[K]`, -1 to 1; NaN where an objective varies in no group.

    Example:
        >>> R = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> [round(x, 3) for x in score_correlations(R, R @ torch.tensor([0.8, 0.2]), group_size=3).tolist()]
        [0.971, -0.277]
    """
    groups = rewards_BK.double().reshape(-1, group_size, rewards_BK.shape[1])
    score = score_B.double().reshape(-1, group_size, 1).expand_as(groups)
    both = ~(groups.isnan() | score.isnan())
    count = both.sum(1).clamp(min=1)

    def centred(values: Tensor) -> Tensor:
        values = torch.where(both, values, 0)
        return torch.where(both, values - (values.sum(1) / count)[:, None], 0)

    a, b = centred(groups), centred(score)
    size = (a.square().sum(1) * b.square().sum(1)).sqrt()
    varies = size > 1e-12
    found = torch.where(varies, (a * b).sum(1) / size.clamp(min=1e-12), 0)
    return torch.where(varies.any(0), found.sum(0) / varies.sum(0).clamp(min=1), torch.nan)


@METHODS.add("ctwa")
class CovarianceTargeted(Weighting):
    """CTWA: `log w_k <- log w_k + rate max(0, target_k - c_k)`, with `c_k` the running correlation of reward k with the weighted reward; then `w / sum w`.

    To first order an objective improves where its reward covaries with the signal that is trained on. One that does not gains weight.

    Args:
        weights: where to start, `[K]` or by name; None for equal weights.
        target: the least correlation, -1 to 1, of every objective.
        targets: of some objectives, by name, in its place.
        rate: what a shortfall of 1 adds to the logarithm of a weight in a batch.
        momentum: of the running correlation, 0 to below 1.

    Raises:
        InputError: where a name is unknown or an argument is out of range.

    Example:
        >>> method = CovarianceTargeted([0.8, 0.2], rate=1.0, target=0.2)
        >>> method.setup([Objective("right", len), Objective("short", len)])
        >>> rewards = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> method.on_batch(Batch(rewards, rewards, learning_rate=1e-6, progress=0.0, influence=lambda **options: None, group_size=3))
        >>> [round(x, 3) for x in method.weights().tolist()]
        [0.713, 0.287]

    Reference:
        Lu and Jiang, arXiv 2602.06869, as the authors' code has it (rate .05, momentum .9, targets .05 to .15). Deviations: the score is the weighted reward,
        which on the policy that generated is the induced weight of the clipped objective; weights are divided by their sum, which normalised advantages
        do not see; new weights apply to this very batch. Nothing lowers a weight but the others' rising.
    """

    @checked
    def __init__(
        self,
        weights: Preference | None = None,
        *,
        target: float = 0.1,
        targets: Mapping[str, float] | None = None,
        rate: Positive = 0.05,
        momentum: Share = 0.9,
        normalize: Normalize = "sum",
    ) -> None:
        super().__init__(weights, normalize=normalize)
        check_option("a target", targets or {})
        self.target, self.targets, self.rate, self.momentum = target, dict(targets or {}), rate, momentum
        self._mean_K: Tensor | None = None

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives' names."""
        super().setup(objectives)
        check_option("a target", self.targets, self._names)
        self._mean_K = None

    def on_batch(self, batch: Batch) -> None:
        """Raise the weights of what does not move with the weighted reward."""
        weights_K = self.weights()
        score_B = weighted_reward(batch.rewards_BK, weights_K, group_size=batch.group_size)
        found_K = score_correlations(batch.rewards_BK, score_B, group_size=batch.group_size)
        self._mean_K = running_mean(self._mean_K, found_K, self.momentum)
        target_K = torch.tensor([self.targets.get(name, self.target) for name in self._names], dtype=torch.float64)
        # An objective that has never varied says nothing, and gains nothing.
        short_K = (target_K - self._mean_K).clamp(min=0).nan_to_num(0.0)
        raised_K = weights_K * (self.rate * short_K).exp()
        self._weights_K = raised_K / raised_K.sum()

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """Weights and running correlations (null where none is known)."""
        return {**super().state_dict(), "means": to_list(self._mean_K)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._mean_K = from_list(state["means"])
