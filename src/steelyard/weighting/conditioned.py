"""Weights that the prompt itself asks for: one policy for every trade-off."""

from __future__ import annotations

import math
from collections.abc import Sequence

from steelyard.errors import InputError
from steelyard.objectives import Objective
from steelyard.settings import Positive, checked
from steelyard.weighting.base import METHODS, Batch, Normalize, Weighting

_MOST = 100
"""Preferences that a policy is measured at."""


@METHODS.add("conditioned")
class Conditioned(Weighting):
    """Each prompt has weights of its own, drawn from the simplex, and says them to the policy; afterwards the user says them.

    A run writes them into its prompts (`steelyard.training.preferences`): "[accuracy 0.7, conciseness 0.3] ...", or as `template` does. In a TRL script
    the rows have a column `preference` with the weights, and prompts that say them. Held-out prompts take turns at the lattice of preferences, so that a
    validation point is their mean; at its end a run measures the test prompts at each of them, which is a front from one policy.

    Args:
        concentration: of the Dirichlet distribution that preferences are drawn from; 1 draws evenly, less favours corners, more the middle.
        points: values of each weight on the lattice at which the policy is measured.
        template: Jinja template of a text prompt, from `prompt`, `preference` (in words) and `weights`.

    Raises:
        InputError: where there would be too many preferences to measure, and in training, where rows have none.

    Reference:
        After Yang et al., Rewards-in-Context, arXiv 2402.10207, and MOC, arXiv 2604.04497: preferences stand in the prompt; here each row has one that was drawn for
        it, and its normalised advantages are weighed by it.
    """

    conditions = True

    @checked
    def __init__(
        self, *, concentration: Positive = 1.0, points: int = 5, template: str | None = None, normalize: Normalize = "each"
    ) -> None:
        super().__init__(None, normalize=normalize)
        if points < 2:
            raise InputError(f"a lattice of preferences needs 2 points at least, but has {points}")
        self.concentration, self.points, self.template = concentration, points, template

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives' names; their number and `points` limit each other.

        Raises:
            InputError: where a policy would be measured at more than 100 preferences.
        """
        super().setup(objectives)
        size = len(objectives)
        if (count := math.comb(self.points + size - 2, size - 1)) > _MOST:
            raise InputError(
                f"{size} objectives at {self.points} points are {count} preferences to measure, and {_MOST} are the most: take fewer points"
            )

    def on_batch(self, batch: Batch) -> None:
        """Weigh each answer as its prompt asks for."""
        wanted = batch.preferences_BK
        if wanted is None or wanted.shape != batch.rewards_BK.shape:
            raise InputError(
                f"weighting 'conditioned' needs a column 'preference' with {batch.rewards_BK.shape[1]} weights in every row, and prompts that say them: "
                "see steelyard.training.with_preference"
            )
        self._weights_K = wanted.double()

    def on_validation(self, point: object) -> None:
        """Validation plays no part here."""
