"""Weights that follow the gradients in units of their own size: one setting for every model, estimator and length of run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.settings import Count, CountFromZero, NotNegative, Positive, Share, checked
from steelyard.weighting._influence_settings import InfluenceSettings
from steelyard.weighting.base import METHODS, Batch, Normalize, Preference, Weighting, had_advantage, with_floor
from steelyard.weighting.gradient import mirror_descent
from steelyard.weighting.influence import InfluenceMethod
from steelyard.weighting.unbiased import Estimate

_REMEMBERED = 20
"""Batches after which running means forget."""


@METHODS.add("normalized-influence")
class NormalizedInfluence(Weighting):
    """Gradient influence without a mu to guess: each is measured by its own running size, smoothed, and no weight falls below a floor.

    Where an objective has no advantage in a batch (it applies to no answer there, or all are equal), its weight and its means stay.

    With `s_k^2` the running mean of `I_k^2`, `i_k <- momentum i_k + (1 - momentum) I_k / s_k`, and `p` the share of the run that a batch is:
    `u_k <- u_k exp(strength p i_k) / Z`, `w = floor + (1 - K floor) u`. So `i_k` says how reliably, and not how much, objective k gains from
    all: -1 to 1 where its influence is always the same, near 0 where it is noise.

    Args:
        weights: where to start, `[K]` or by name; None for equal weights.
        strength: how far the logarithm of a weight is pushed in the whole run if its objective gains alike from every batch, and as far down if
            it loses; positive. Influences that grow push further.
        momentum: share of the smoothed influence that a new batch leaves, 0 to below 1.
        floor: the least weight of every objective, 0 to 1/K. Default: 0.15/K, so that it leaves the same freedom to any number of objectives.
        significance: by how many standard errors a mean influence must differ from 0 to move its weight: `i_k` is multiplied by `max(0, 1 - (significance / t_k)^2)`,
            with `t_k` the mean influence so far (of the last 20 batches or so) in units of its standard error. 0: all move. It makes sense with
            `estimate="unbiased"` alone: a published influence is far from 0 for a coin's flip as well.
        normalize: as for every method. By default each reward is normalised on its own, as it was when its influence was taken, and the sum is
            whitened (GDPO).
        influence, layers, every, gram_every, estimate: see `InfluenceSettings`.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> from steelyard.weighting import Influence
        >>> def after(size):
        ...     method, zeros = NormalizedInfluence([0.5, 0.5], strength=1.0, floor=0.1), torch.zeros(4, 2)
        ...     found = Influence(size * torch.tensor([2.0, -1.0], dtype=torch.float64))
        ...     for progress in (0.0, 0.5):
        ...         batch = Batch(zeros, zeros, learning_rate=1e-3, progress=progress, share=0.5, influence=lambda **options: found)
        ...         method.on_batch(batch)
        ...     return [round(x, 3) for x in method.weights().tolist()]
        >>> after(1.0) == after(1e-6), after(1.0)
        (True, [0.805, 0.195])

    Reference:
        Built on Lu et al., arXiv 2509.11452, section 3.2 (`GradientInfluence` is theirs). There mu is in units of influence times learning
        rate, so it has to be found anew for every model, estimator and batch; one batch with an outlying influence can turn the weights over; and
        an objective without gradient is driven out. See LOG.md, "One batch turns the weights over".
    """

    needs_gradients = True
    follows_progress = True

    @checked
    def __init__(
        self,
        weights: Preference | None = None,
        *,
        strength: Positive = 4.0,
        momentum: Share = 0.8,
        floor: Share | None = None,
        significance: NotNegative = 0.0,
        normalize: Normalize = "each-whitened",
        influence: InfluenceMethod = "finite-difference",
        layers: Sequence[str] | None = None,
        every: Count = 1,
        gram_every: CountFromZero = 0,
        estimate: Estimate = "published",
    ) -> None:
        super().__init__(weights, normalize=normalize)
        self.strength, self.momentum, self.floor, self.significance = strength, momentum, floor, significance
        self.settings = InfluenceSettings(influence, layers, every, gram_every, estimate, equal_spread=True)
        self._free_K: Tensor | None = None
        self._smooth_K: Tensor | None = None
        self._square_K: Tensor | None = None
        self._count_K: Tensor | None = None
        self._mean_K: Tensor | None = None
        self._batches = 0

    def setup(self, objectives: Sequence[Any]) -> None:
        """Learn the objectives and start anew; their number limits the floor."""
        super().setup(objectives)
        self._free_K = self._smooth_K = self._square_K = self._count_K = self._mean_K = None
        self._batches = 0
        with_floor(self.weights(), self._floor())

    def _floor(self) -> float:
        return 0.15 / len(self.weights()) if self.floor is None else self.floor

    def on_batch(self, batch: Batch) -> None:
        """Compute the influences and move the weights, as often as the settings say."""
        found = self.settings.ask(batch, self._batches)
        self._batches += 1
        if found is None:
            return
        influence_K = found.influence_K
        had_K = had_advantage(batch, influence_K)
        if self._count_K is None or self._square_K is None or self._smooth_K is None:
            self._count_K, self._square_K, self._smooth_K = (torch.zeros_like(influence_K) for _ in range(3))
        first_K = had_K & (self._count_K == 0)
        self._count_K = self._count_K + had_K
        # A plain mean over the first batches, then one that forgets.
        new_K = 1 / self._count_K.clamp(1, _REMEMBERED)
        self._square_K = torch.where(had_K, torch.lerp(self._square_K, influence_K.square(), new_K), self._square_K)
        mean_K = torch.zeros_like(influence_K) if self._mean_K is None else self._mean_K
        self._mean_K = torch.where(had_K, torch.lerp(mean_K, influence_K, new_K), mean_K)
        relative_K = influence_K / self._square_K.sqrt().clamp(min=torch.finfo(torch.float64).tiny)
        smooth_K = torch.where(first_K, relative_K, torch.lerp(relative_K, self._smooth_K, self.momentum))
        self._smooth_K = torch.where(had_K, smooth_K, self._smooth_K)
        free_K = self.weights() if self._free_K is None else self._free_K
        step = self.strength * batch.share * self.settings.every
        self._free_K = mirror_descent(free_K, self._smooth_K * self._certainty(), step=step, among_K=had_K)
        self._weights_K = with_floor(self._free_K, self._floor())

    def _certainty(self) -> Tensor:
        """By what share of an objective's smoothed influence its weight moves, 0 to 1."""
        assert self._mean_K is not None
        assert self._square_K is not None
        assert self._count_K is not None
        if not self.significance:
            return torch.ones_like(self._mean_K)
        variance_K = (self._square_K - self._mean_K.square()).clamp(min=0)
        squared_K = self._mean_K.square() * (self._count_K.clamp(max=_REMEMBERED) - 1).clamp(min=0)
        return (1 - self.significance**2 * variance_K / squared_K.clamp(min=torch.finfo(torch.float64).tiny)).clamp(0, 1)

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """Weights with and without the floor, the smoothed influences and their running size."""
        kept = {"free": self._free_K, "smooth": self._smooth_K, "square": self._square_K, "count": self._count_K}
        kept["mean"] = self._mean_K
        listed = {name: None if value is None else value.tolist() for name, value in kept.items()}
        return {**super().state_dict(), **listed, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._free_K, self._smooth_K, self._square_K, self._count_K, self._mean_K = (
            None if state.get(name) is None else torch.tensor(state[name], dtype=torch.float64)
            for name in ("free", "smooth", "square", "count", "mean")
        )
        if self._count_K is not None and self._square_K is not None:  # runs of earlier versions counted once for all objectives
            self._count_K = self._count_K.expand(self._square_K.shape).clone()
        self._batches = state["batches"]
