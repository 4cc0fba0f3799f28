"""Weights by how much each reward still varies: what has saturated steps back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.errors import InputError
from steelyard.objectives import Objective
from steelyard.settings import Share, checked
from steelyard.weighting.base import METHODS, Batch, Normalize, Preference, Weighting, check_option, present_moments


def variation_weights(mean_K: Tensor, spread_K: Tensor, floors_K: Tensor, preference_K: Tensor) -> Tensor:
    """Weights in proportion to each reward's coefficient of variation, `w_k ~ p_k std_k / (mean_k - floor_k)`.

    Args:
        mean_K: mean reward, float64 `[K]`.
        spread_K: its standard deviation.
        floors_K: the lowest possible reward.
        preference_K: a further factor; equal values for none.

    Returns:
        float64 `[K]`, summing to 1; `preference_K` itself where no reward varies.

    Example:
        >>> t = lambda *x: torch.tensor(x, dtype=torch.float64)
        >>> [round(x, 3) for x in variation_weights(t(0.1, 0.9), t(0.3, 0.3), t(0.0, 0.0), t(0.5, 0.5)).tolist()]
        [0.9, 0.1]
    """
    above_K = mean_K - floors_K
    variation_K = preference_K * torch.where(spread_K > 0, spread_K / above_K.clamp(min=1e-12), torch.zeros_like(spread_K))
    total = variation_K.sum()
    return variation_K / total if total > 0 else preference_K


@METHODS.add("stage-aware")
class StageAware(Weighting):
    """SAW: weights by each reward's coefficient of variation in the batch, `w_k ~ std_k / (mean_k - floor_k)`.

    A reward that all answers get has nothing left to teach and steps back; one that few get counts most.

    Args:
        weights: a preference that multiplies the variations, `[K]` or by name; None for equal shares.
        floors: the lowest possible reward by objective, needed where rewards can be negative; 0 where not given.
        momentum: share of the old weights that a new batch leaves, 0 to below 1; 0 is the paper's.

    Raises:
        InputError: where a floor is not finite or names no objective, and in training where a reward lies below its floor.

    Example:
        >>> method = StageAware()
        >>> method.setup([Objective("easy", len), Objective("hard", len)])
        >>> rewards = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
        >>> method.on_batch(Batch(rewards, rewards, learning_rate=1e-6, progress=0.0, influence=lambda **options: None))
        >>> [round(x, 3) for x in method.weights().tolist()]
        [0.25, 0.75]

    Reference:
        SAW, arXiv 2606.07705. Deviations: `floors` (with negative rewards a mean can be 0 or below, and the ratio means nothing); a reward
        that does not vary at all has weight 0, and the preference holds where none does.
    """

    @checked
    def __init__(
        self,
        weights: Preference | None = None,
        *,
        floors: Mapping[str, float] | None = None,
        momentum: Share = 0.0,
        normalize: Normalize = "sum",
    ) -> None:
        super().__init__(weights, normalize=normalize)
        check_option("a floor", floors or {})
        self.floors = dict(floors or {})
        self.momentum, self._seen = momentum, False

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives' names."""
        super().setup(objectives)
        check_option("a floor", self.floors, self._names)
        self._seen = False

    def on_batch(self, batch: Batch) -> None:
        """Weigh by the batch's variations."""
        mean_K, spread_K = present_moments(batch.rewards_BK)
        floors_K = torch.tensor([self.floors.get(name, 0.0) for name in self._names], dtype=torch.float64)
        lowest_K = torch.where(batch.rewards_BK.isnan(), torch.inf, batch.rewards_BK).amin(0)
        for name, lowest, floor in zip(self._names, lowest_K.tolist(), floors_K.tolist(), strict=True):
            if lowest < floor:
                raise InputError(
                    f"stage-aware weights need the lowest possible reward, but {name!r} gave {lowest:g}, below its floor of {floor:g}: "
                    f"give floors={{{name!r}: ...}}"
                )
        weights_K = variation_weights(mean_K, spread_K, floors_K, self.preference())
        self._weights_K = torch.lerp(weights_K, self.weights(), self.momentum) if self._seen else weights_K
        self._seen = True

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """The weights, and whether a batch has been seen."""
        return {**super().state_dict(), "seen": self._seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._seen = state["seen"]
