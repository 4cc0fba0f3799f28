"""Weights that follow the gradients: an objective counts more while improving all of them improves it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.settings import Count, CountFromZero, Positive, checked
from steelyard.weighting._influence_settings import InfluenceSettings
from steelyard.weighting.base import METHODS, Batch, Normalize, Preference, Weighting, had_advantage
from steelyard.weighting.influence import InfluenceMethod
from steelyard.weighting.inner_products import warn_once
from steelyard.weighting.unbiased import Estimate


def mirror_descent(weights_K: Tensor, influence_K: Tensor, *, step: float, among_K: Tensor | None = None) -> Tensor:
    """One step of exponentiated-gradient mirror descent on the simplex, `w_k <- w_k exp(step * I_k) / Z`.

    Args:
        weights_K: float64 `[K]`, non-negative, summing to 1. A weight of 0 stays 0.
        influence_K: float64 `[K]`; a constant added to all changes nothing.
        step: how far to go, in units of 1 / influence.
        among_K: bool `[K]`, which weights move; they share among themselves what they had together. Default: all.

    Returns:
        float64 `[K]`, summing to 1; computed in logarithms, so that no influence overflows.

    Example:
        >>> w = mirror_descent(torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64), step=1.0)
        >>> [round(x, 3) for x in w.tolist()]
        [0.731, 0.269]

    Reference:
        Lu et al., arXiv 2509.11452, equation 6.
    """
    if among_K is None or among_K.all():
        return torch.softmax(weights_K.log() + step * influence_K, dim=0)
    if not weights_K[among_K].any():
        return weights_K.clone()
    moved_K = weights_K.clone()
    moved_K[among_K] = weights_K[among_K].sum() * torch.softmax(weights_K[among_K].log() + step * influence_K[among_K], dim=0)
    return moved_K


@METHODS.add("gradient-influence")
class GradientInfluence(Weighting):
    """Gradient-based weights: start equal, then follow each objective's influence by mirror descent.

    `w_k <- w_k exp(lr I_k / mu)`, normalised, with `I_k = <g_k, sum_j g_j>` on the batch that is about to be used (see `influence.py`); the
    new weights apply to that very batch.

    Args:
        weights: where to start, `[K]` or by name; None for equal weights, as in the paper.
        mu: how strongly to hold on to the present weights, positive, in units of influence times learning rate. The paper's 1e-5 belongs to
            its learning rate of 1e-6 and the size of its gradients; too small, and one objective takes all.
        accumulate: influences that are summed before the weights move, at least 1.
        influence, layers, every, gram_every, estimate: see `InfluenceSettings`.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> from steelyard.weighting import Influence
        >>> method = GradientInfluence([0.5, 0.5], mu=1e-3)
        >>> found = Influence(torch.tensor([2.0, 1.0], dtype=torch.float64))
        >>> zeros = torch.zeros(4, 2)
        >>> method.on_batch(Batch(zeros, zeros, learning_rate=1e-3, progress=0.0, influence=lambda **options: found))
        >>> [round(x, 3) for x in method.weights().tolist()]
        [0.731, 0.269]

    Reference:
        Lu et al., arXiv 2509.11452, section 3.2, algorithm 2. Deviations: all trained parameters count unless `layers` says otherwise, not
        the middle layers only; the learning rate is the one of the coming update, so weights settle as it decays; an objective without an
        advantage in a batch (it applies to no answer, or all are equal) keeps its weight, where the paper's rule would starve it.
    """

    needs_gradients = True

    @checked
    def __init__(
        self,
        weights: Preference | None = None,
        *,
        mu: Positive = 1e-5,
        accumulate: Count = 1,
        normalize: Normalize = "sum",
        influence: InfluenceMethod = "finite-difference",
        layers: Sequence[str] | None = None,
        every: Count = 1,
        gram_every: CountFromZero = 0,
        estimate: Estimate = "published",
    ) -> None:
        super().__init__(weights, normalize=normalize)
        self.mu, self.accumulate = mu, accumulate
        self.settings = InfluenceSettings(influence, layers, every, gram_every, estimate)
        self._pending_K: Tensor | None = None
        self._pending_count = self._batches = 0

    def setup(self, objectives: Sequence[Any]) -> None:
        """Learn the objectives and start anew."""
        super().setup(objectives)
        self._pending_K, self._pending_count, self._batches = None, 0, 0

    def on_batch(self, batch: Batch) -> None:
        """Compute the influences and move the weights, as often as the settings say."""
        found = self.settings.ask(batch, self._batches)
        self._batches += 1
        if found is None:
            return
        self._pending_K = found.influence_K if self._pending_K is None else self._pending_K + found.influence_K
        self._pending_count += 1
        if self._pending_count == self.accumulate:
            step = batch.learning_rate * self.settings.every / self.mu
            spread = step * (self._pending_K.max() - self._pending_K.min()).item()
            if spread > 3:
                warn_once(
                    f"gradient influence: one batch moves weights apart by a factor of e^{spread:.0f}: mu={self.mu:g} is too small for "
                    f"influences of {self._pending_K.abs().max().item():.2g} at a learning rate of {batch.learning_rate:g}; see docs/weighting.md, "
                    "or use 'normalized-influence', which needs no mu"
                )
            among_K = had_advantage(batch, self._pending_K)
            self._weights_K = mirror_descent(self.weights(), self._pending_K, step=step, among_K=among_K)
            self._pending_K, self._pending_count = None, 0

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """Weights, batches seen, and influences that have not moved the weights yet."""
        pending = None if self._pending_K is None else self._pending_K.tolist()
        return {**super().state_dict(), "pending": pending, "pending_count": self._pending_count, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._pending_K = None if state["pending"] is None else torch.tensor(state["pending"], dtype=torch.float64)
        self._pending_count, self._batches = state["pending_count"], state["batches"]
