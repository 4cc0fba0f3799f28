"""Multi-objective gradient descent's own answers to conflict: MGDA, UPGrad, CAGrad and PCGrad, from TorchJD."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from steelyard.errors import InputError, nearest
from steelyard.settings import NotNegative, checked
from steelyard.weighting._influence_settings import InfluenceSettings
from steelyard.weighting.base import METHODS, Batch, Weighting
from steelyard.weighting.influence import InfluenceMethod
from steelyard.weighting.unbiased import Estimate

_AGGREGATORS = ("mgda", "upgrad", "cagrad", "pcgrad")


class GramianWeights(Weighting):
    """Weights that an aggregator of gradients computes from the objectives' Gram matrix, anew for every batch.

    The update is `sum_k a_k g_k` with `a = aggregator(M)`: `w = a / sum(a)`, and the advantage is scaled by `sum(a)`, where that is 0 by 0.
    Objectives' own advantages are weighed (`normalize="each"`), for only then is the update that sum.

    Args:
        aggregator: "mgda" (the shortest vector in the gradients' convex hull), "upgrad" (the mean of the gradients, each projected to conflict
            with none), "cagrad" (near the mean gradient, the best for the worst objective), or "pcgrad" (the mean of the gradients, each projected on the
            others that it conflicts with, one after the other in random order).
        radius: of "cagrad", its c, 0 or more.
        influence, layers, estimate: see `InfluenceSettings`; the whole Gram matrix costs K influences a batch.

    Raises:
        InputError: where TorchJD is not installed, or an argument is out of range.

    Example:
        >>> from steelyard.weighting import Influence
        >>> method, zeros = GramianWeights("mgda"), torch.zeros(4, 2)
        >>> found = Influence.of(torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
        >>> method.on_batch(Batch(zeros, zeros, learning_rate=1e-6, progress=0.0, influence=lambda **options: found))
        >>> [round(x, 2) for x in method.weights().tolist()]
        [0.2, 0.8]

    Reference:
        MGDA: Sener and Koltun, arXiv 1810.04650; UPGrad: Quinton and Rey, arXiv 2406.16232; CAGrad: Liu et al., arXiv 2110.14048;
        PCGrad: Yu et al., arXiv 2001.06782. Solved by TorchJD's Gramian weightings, which have none for Nash-MTL. Deviation: here gradients are of policy objectives, by each one's own advantages.
    """

    needs_gradients = True

    @checked
    def __init__(
        self,
        aggregator: str = "mgda",
        *,
        radius: NotNegative = 0.5,
        influence: InfluenceMethod = "finite-difference",
        layers: Sequence[str] | None = None,
        estimate: Estimate = "published",
    ) -> None:
        super().__init__(None, normalize="each")
        if aggregator not in _AGGREGATORS:
            raise InputError(
                f"unknown aggregator {aggregator!r}: use one of {', '.join(_AGGREGATORS)}{nearest(aggregator, _AGGREGATORS)}"
            )
        self.aggregator, self.settings = aggregator, InfluenceSettings(influence, layers, gram_every=1, estimate=estimate)
        self._aggregate = _load(aggregator, radius)
        self._scale, self._batches = 1.0, 0

    def setup(self, objectives: Sequence[Any]) -> None:
        """Learn the objectives' names."""
        super().setup(objectives)
        self._batches = 0

    def scale(self) -> float:
        """The sum of the aggregator's weights; 0 where the gradients leave no direction to go."""
        return self._scale

    def on_batch(self, batch: Batch) -> None:
        """Compute the Gram matrix and let the aggregator weigh it."""
        found = self.settings.ask(batch, 0)
        assert found is not None
        assert found.gram_KK is not None
        # PCGrad draws an order: by a seed of its own, so that it does not disturb what else is drawn, and a resumed run draws the same.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._batches)
            raw_K = _aggregate_gramian(self._aggregate, found.gram_KK)
        self._batches += 1
        total = raw_K.sum().item()
        self._scale = total
        if total > 0:
            self._weights_K = raw_K / total

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """Weights and scale of the last batch."""
        return {**super().state_dict(), "scale": self._scale, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._scale, self._batches = state["scale"], state.get("batches", 0)


_Products = Literal["finite-difference", "jvp", "exact"]


@METHODS.add("mgda")
def mgda(
    *, influence: _Products = "finite-difference", layers: Sequence[str] | None = None, estimate: Estimate = "published"
) -> GramianWeights:
    """MGDA: the shortest vector in the gradients' convex hull, from TorchJD (extra `baselines`).

    Args:
        influence, layers, estimate: see `InfluenceSettings`.
    """
    return GramianWeights("mgda", influence=influence, layers=layers, estimate=estimate)


@METHODS.add("upgrad")
def upgrad(
    *, influence: _Products = "finite-difference", layers: Sequence[str] | None = None, estimate: Estimate = "published"
) -> GramianWeights:
    """UPGrad: the mean of the gradients, each projected to conflict with none, from TorchJD (extra `baselines`).

    Args:
        influence, layers, estimate: see `InfluenceSettings`.
    """
    return GramianWeights("upgrad", influence=influence, layers=layers, estimate=estimate)


@METHODS.add("cagrad")
def cagrad(
    *,
    radius: NotNegative = 0.5,
    influence: _Products = "finite-difference",
    layers: Sequence[str] | None = None,
    estimate: Estimate = "published",
) -> GramianWeights:
    """CAGrad: near the mean gradient, the best for the worst objective, from TorchJD (extra `baselines`).

    Args:
        radius: how far from the mean gradient it may go, in its lengths.
        influence, layers, estimate: see `InfluenceSettings`.
    """
    return GramianWeights("cagrad", radius=radius, influence=influence, layers=layers, estimate=estimate)


@METHODS.add("pcgrad")
def pcgrad(
    *, influence: _Products = "finite-difference", layers: Sequence[str] | None = None, estimate: Estimate = "published"
) -> GramianWeights:
    """PCGrad: the mean of the gradients, each projected on those that it conflicts with, from TorchJD (extra `baselines`).

    Args:
        influence, layers, estimate: see `InfluenceSettings`.
    """
    return GramianWeights("pcgrad", influence=influence, layers=layers, estimate=estimate)


def _aggregate_gramian(aggregator: Callable[[Tensor], Tensor], gram_KK: Tensor) -> Tensor:
    """An aggregator's weights, float64 `[K]`, not negative, for objectives with a gradient; 0 for those without.

    Gramians are divided by their mean diagonal first: solvers have absolute tolerances, and policy gradients are small. An objective without a
    gradient would be a convex hull's shortest vector, and its aggregator would stand still for it.
    """
    diagonal_K = gram_KK.diagonal()
    active = diagonal_K > 1e-12 * diagonal_K.max().clamp(min=torch.finfo(torch.float64).tiny)
    raw_K = torch.zeros_like(diagonal_K)
    if active.any():
        # Inner products found along different directions may differ in their last digits; a Gramian has no negative eigenvalue.
        gram = gram_KK[active][:, active] / diagonal_K[active].mean()
        values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
        gram = vectors @ torch.diag(values.clamp(min=0)) @ vectors.T
        raw_K[active] = aggregator((gram + gram.T) / 2).double().clamp(min=0)
    return raw_K


def _load(aggregator: str, radius: float) -> Callable[[Tensor], Tensor]:
    try:
        library = importlib.import_module("torchjd.aggregation")
        if aggregator == "mgda":
            return library.MGDAWeighting()
        if aggregator == "pcgrad":
            return library.PCGradWeighting()
        return library.UPGradWeighting() if aggregator == "upgrad" else library.CAGradWeighting(c=radius)
    except ImportError as error:
        raise InputError(f"weighting {aggregator!r} needs TorchJD ({error}): pip install 'steelyard[baselines]'") from None
