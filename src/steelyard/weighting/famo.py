"""The objective that improved least, in shares of what it lacks, gains weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.objectives import Objective
from steelyard.settings import NotNegative, Positive, Share, checked
from steelyard.weighting.base import (
    METHODS,
    Batch,
    Normalize,
    Weighting,
    check_option,
    from_list,
    ideal_and_range,
    present_moments,
    running_mean,
    to_list,
)

_LEAST = 1e-8
_BETAS, _EPS = (0.9, 0.999), 1e-8


@METHODS.add("famo")
class FAMO(Weighting):
    """Fast adaptive multitask optimisation: weights `z_k / gap_k`, divided by their sum, with `z = softmax(logits)`.

    `gap_k = (ideal_k - mean_k) / range_k` is what objective k lacks. After each batch the logits move, by Adam, against `sum_k d_k grad z_k`, where `d_k = log gap_k
    (before) - log gap_k (now)` is how much better k has become: what improved least gains.

    Args:
        ideal: the mean reward each objective would have at best, by name. Default: its upper bound, or 1 without bounds.
        rate: Adam's learning rate of the logits.
        decay: draws the logits towards 0, so that no objective is forgotten.
        momentum: of the running mean rewards, 0 to below 1.

    Raises:
        InputError: where a name is unknown or an argument is out of range.

    Example:
        >>> method = FAMO(momentum=0.0, rate=0.1)
        >>> method.setup([Objective("right", len, bounds=(0, 1)), Objective("short", len, bounds=(0, 1))])
        >>> for right in (0.5, 0.75):                                      # one improves, the other stands still
        ...     rewards = torch.tensor([[right, 0.5]])
        ...     method.on_batch(Batch(rewards, rewards, learning_rate=1e-6, progress=0.0, influence=lambda **options: None))
        >>> [round(x, 3) for x in method.weights().tolist()]               # .25 is lacking of one and .5 of the other, and the logits moved by .1 each
        [0.621, 0.379]

    Reference:
        Liu et al., FAMO, arXiv 2306.03792, and the authors' code (rate .025, decay .01). Deviations: losses are gaps of the mean rewards of training batches,
        which are noisy (`momentum`); a gap is at least 1e-8.
    """

    @checked
    def __init__(
        self,
        *,
        ideal: Mapping[str, float] | None = None,
        rate: Positive = 0.025,
        decay: NotNegative = 0.01,
        momentum: Share = 0.8,
        normalize: Normalize = "sum",
    ) -> None:
        super().__init__(None, normalize=normalize)
        check_option("an ideal", ideal or {})
        self.ideal, self.rate, self.decay, self.momentum = dict(ideal or {}), rate, decay, momentum
        self._start()

    def _start(self) -> None:
        size = len(self._names)
        self._logits_K, self._first_K, self._second_K = (torch.zeros(size, dtype=torch.float64) for _ in range(3))
        self._mean_K: Tensor | None = None
        self._moves = 0

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives' names."""
        super().setup(objectives)
        check_option("an ideal", self.ideal, self._names)
        self._ideal_K, self._range_K = ideal_and_range(objectives, self.ideal)
        self._start()

    def _gap(self, mean_K: Tensor) -> Tensor:
        return ((self._ideal_K - mean_K) / self._range_K).nan_to_num(1.0).clamp(min=_LEAST)

    def on_batch(self, batch: Batch) -> None:
        """Move the logits by what the update before this batch has gained, and weigh by what is lacking now."""
        now_K, _ = present_moments(batch.rewards_BK)
        before_K = self._mean_K
        if before_K is not None:
            # An objective that no answer of the batch has keeps its mean.
            now_K = running_mean(before_K, now_K, self.momentum)
            gained_K = (self._gap(before_K).log() - self._gap(now_K).log()).nan_to_num(0.0)
            z_K = torch.softmax(self._logits_K, 0)
            self._move(z_K * (gained_K - (z_K * gained_K).sum()) + self.decay * self._logits_K)
        self._mean_K = now_K
        raw_K = torch.softmax(self._logits_K, 0) / self._gap(now_K)
        self._weights_K = raw_K / raw_K.sum()

    def _move(self, gradient_K: Tensor) -> None:
        """A step of Adam."""
        self._moves += 1
        self._first_K = torch.lerp(gradient_K, self._first_K, _BETAS[0])
        self._second_K = torch.lerp(gradient_K.square(), self._second_K, _BETAS[1])
        first_K, second_K = (
            moment / (1 - beta**self._moves) for moment, beta in zip((self._first_K, self._second_K), _BETAS, strict=True)
        )
        self._logits_K = self._logits_K - self.rate * first_K / (second_K.sqrt() + _EPS)

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """Weights, logits, Adam's moments and running mean rewards (null where none is known)."""
        moments = {"logits": self._logits_K.tolist(), "first": self._first_K.tolist(), "second": self._second_K.tolist()}
        return {**super().state_dict(), **moments, "moves": self._moves, "means": to_list(self._mean_K)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._logits_K, self._first_K, self._second_K = (
            torch.tensor(state[name], dtype=torch.float64) for name in ("logits", "first", "second")
        )
        self._moves = state["moves"]
        self._mean_K = from_list(state["means"])
