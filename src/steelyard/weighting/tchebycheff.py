"""The objective that lags most counts most: smooth Tchebycheff scalarisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

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
    ideal_and_range,
    present_moments,
    reward_bounds,
    running_mean,
    to_list,
)
from steelyard.weighting.inner_products import warn_once


def tchebycheff_weights(preference_K: Tensor, gap_K: Tensor, *, smoothing: float) -> Tensor:
    """The gradient of `smoothing log sum_k exp(p_k gap_k / smoothing)`, as weights: `w_k ~ p_k exp(p_k gap_k / smoothing)`.

    Args:
        preference_K: float64 `[K]`, non-negative, summing to 1.
        gap_K: how far each objective is from its ideal, float64 `[K]`.
        smoothing: towards 0 the worst takes all, towards infinity the preference stays.

    Returns:
        float64 `[K]`, summing to 1.

    Example:
        >>> t = lambda *x: torch.tensor(x, dtype=torch.float64)
        >>> [round(x, 3) for x in tchebycheff_weights(t(0.5, 0.5), t(0.8, 0.2), smoothing=0.1).tolist()]
        [0.953, 0.047]

    Reference:
        Lin et al., Smooth Tchebycheff Scalarization, arXiv 2402.19078, equation 6.
    """
    return torch.softmax(preference_K.log() + preference_K * gap_K / smoothing, dim=0)


@METHODS.add("tchebycheff")
class SmoothTchebycheff(Weighting):
    """Minimise a smooth maximum of the weighted gaps to an ideal: `w_k ~ p_k exp(p_k (ideal_k - mean_k) / (range_k smoothing))`.

    Unlike any fixed weighted sum this can reach points of the front where it bends inwards.

    The range is that of an objective's bounds, so that no gap counts more for its unit; without bounds it is 1. There a reward of hundreds leaves one
    objective with all the weight, and a warning says so.

    Args:
        weights: the preference p, `[K]` or by name; None for equal shares.
        ideal: the mean reward each objective would have at best, by name. Default: its upper bound, or 1 without bounds.
        smoothing: positive, in shares of the range.
        momentum: of the running mean rewards, 0 to below 1.

    Raises:
        InputError: where a name is unknown or an argument is out of range.

    Example:
        >>> method = SmoothTchebycheff(smoothing=0.1)
        >>> method.setup([Objective("right", len), Objective("short", len)])
        >>> rewards = torch.tensor([[0.0, 1.0], [0.4, 0.6]])               # means .2 and .8
        >>> method.on_batch(Batch(rewards, rewards, learning_rate=1e-6, progress=0.0, influence=lambda **options: None))
        >>> [round(x, 3) for x in method.weights().tolist()]
        [0.953, 0.047]

    Reference:
        Lin et al., arXiv 2402.19078. Deviations: gaps are of the running mean reward of training batches, in shares of the objective's range.
    """

    @checked
    def __init__(
        self,
        weights: Preference | None = None,
        *,
        ideal: Mapping[str, float] | None = None,
        smoothing: Positive = 0.1,
        momentum: Share = 0.8,
        normalize: Normalize = "sum",
    ) -> None:
        super().__init__(weights, normalize=normalize)
        check_option("an ideal", ideal or {})
        self.ideal = dict(ideal or {})
        self.smoothing, self.momentum = smoothing, momentum
        self._mean_K: Tensor | None = None
        self._without_bounds: list[str] = []

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives' names."""
        super().setup(objectives)
        check_option("an ideal", self.ideal, self._names)
        self._mean_K = None
        self._ideal_K, self._range_K = ideal_and_range(objectives, self.ideal)
        self._without_bounds = [objective.name for objective in objectives if reward_bounds(objective) is None]

    def on_batch(self, batch: Batch) -> None:
        """Weigh by the gaps of the running mean rewards, this batch's included."""
        preference_K = self.preference()
        mean_K, _ = present_moments(batch.rewards_BK)
        # An objective that no answer of the batch has keeps its mean.
        self._mean_K = running_mean(self._mean_K, mean_K, self.momentum)
        gap_K = ((self._ideal_K - self._mean_K) / self._range_K).nan_to_num(0.0)
        self._weights_K = tchebycheff_weights(preference_K, gap_K, smoothing=self.smoothing)
        pull_K = preference_K * gap_K / self.smoothing
        if self._without_bounds and (pull_K.max() - pull_K.min()).item() > 10:
            warn_once(
                f"tchebycheff: gaps of {gap_K.min().item():.3g} to {gap_K.max().item():.3g} leave one objective with all the weight; give bounds= to "
                f"{', '.join(self._without_bounds)}, so that gaps are in shares of a range, or a larger smoothing (it is {self.smoothing:g})"
            )

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """Weights and running mean rewards (null where none is known)."""
        return {**super().state_dict(), "means": to_list(self._mean_K)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._mean_K = from_list(state["means"])
