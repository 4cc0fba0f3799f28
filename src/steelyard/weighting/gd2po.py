"""Answers on which the objectives contradict each other are left out, and prompts with many of them count less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from steelyard.settings import checked
from steelyard.weighting.base import METHODS, Batch, Preference, Weighting

_Portion = Annotated[float, Field(gt=0, le=1)]


def consensus_weights(advantages_BK: Tensor, preference_K: Tensor, *, group_size: int, threshold: float) -> Tensor:
    """`w_ik = p_k c_g` for an answer that is kept, 0 for one that is not, with `c_g` the share of prompt g's answers that are kept.

    An answer is left out where one objective has a positive and another a negative advantage, and their sum is small beside their sizes:
    `|sum_k p_k A_ik| < threshold sum_k p_k |A_ik|`.

    Args:
        advantages_BK: each objective's own, float `[B,K]`.
        preference_K: float64 `[K]`, not negative.
        group_size: answers a prompt, which stand together.
        threshold: 0 to 1; 1 leaves out every answer on which signs differ.

    Returns:
        float64 `[B,K]`.

    Example:
        >>> import torch
        >>> A = torch.tensor([[1.0, 1.0], [1.0, -0.9], [-1.0, -1.0], [-1.0, 0.2]])
        >>> consensus_weights(A, torch.tensor([0.5, 0.5], dtype=torch.float64), group_size=4, threshold=0.2)[:, 0].tolist()
        [0.375, 0.0, 0.375, 0.375]
    """
    weighed_BK = advantages_BK.double() * preference_K
    differ_B = (weighed_BK > _EPSILON).any(1) & (weighed_BK < -_EPSILON).any(1)
    agreed_B = weighed_BK.sum(1).abs() / (weighed_BK.abs().sum(1) + _EPSILON)
    kept_B = ~(differ_B & (agreed_B < threshold))
    share_P = kept_B.double().reshape(-1, group_size).mean(1)
    return (kept_B * share_P.repeat_interleave(group_size))[:, None] * preference_K


_EPSILON = 1e-8


@METHODS.add("gd2po")
class GD2PO(Weighting):
    """Group-dynamic reward-decoupled optimisation: GDPO without the answers on which objectives cancel each other (see `consensus_weights`).

    Args:
        weights: the preference p, `[K]` or by name; None for equal shares.
        threshold: an answer on which objectives differ is left out where their weighted sum is smaller than this share of their sizes; 1: always.

    Example:
        >>> from steelyard.objectives import Objective
        >>> method = GD2PO()
        >>> method.setup([Objective("right", len), Objective("short", len)])
        >>> import torch
        >>> A = torch.tensor([[1.0, 1.0], [1.0, -0.9], [-1.0, -1.0], [-1.0, 0.2]])
        >>> method.on_batch(Batch(A, A, learning_rate=1e-6, progress=0.0, influence=lambda **options: None, group_size=4))
        >>> method.weights()[1].tolist()
        [0.0, 0.0]

    Reference:
        Liu et al., GD2PO, arXiv 2606.16771, as its authors' code has it, for any number of objectives where that has two; answers are whitened without
        those that are left out.
    """

    @checked
    def __init__(self, weights: Preference | None = None, *, threshold: _Portion = 0.2) -> None:
        super().__init__(weights, normalize="each-whitened")
        self.threshold = threshold

    def on_batch(self, batch: Batch) -> None:
        """Leave out what cancels."""
        self._weights_K = consensus_weights(
            batch.advantages_BK.cpu(), self.preference(), group_size=batch.group_size, threshold=self.threshold
        )

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""
