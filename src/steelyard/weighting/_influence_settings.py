"""How and how often influences are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.errors import InputError
from steelyard.settings import Count, CountFromZero
from steelyard.weighting.base import Batch
from steelyard.weighting.influence import OPTIMIZER_STEP, InfluenceMethod, check_layers
from steelyard.weighting.inner_products import Influence
from steelyard.weighting.unbiased import Estimate, check_estimate


@dataclass(frozen=True)
class InfluenceSettings:
    """How and how often influences are computed.

    Attributes:
        influence: "finite-difference", "jvp", "exact" (see `gradient_influence`), or "optimizer-step": along the step that the optimiser
            took on an earlier batch, for one forward pass; influences have another size then.
        layers: patterns of parameter names, such as `["*.layers.29.*"]`; None for all trained parameters.
        every: batches from one computation to the next; a step of the weights counts for all of them.
        gram_every: batches between two whole Gram matrices, from which the report draws cosines; 0 for never. One costs K influences.
        estimate: "published": both factors of an influence from the same answers, so that it holds the squared noise of the objective's own gradient; or
            "unbiased": one factor from each half of the prompts, at twice the cost (see `unbiased_influence`).
        equal_spread: whether advantages are brought to equal spread first; it matters with RLOO, whose are in units of reward.
    """

    influence: InfluenceMethod = "finite-difference"
    layers: Sequence[str] | None = None
    every: Count = 1
    gram_every: CountFromZero = 0
    estimate: Estimate = "published"
    equal_spread: bool = False

    def __post_init__(self) -> None:
        if self.influence == OPTIMIZER_STEP and self.layers is not None:
            raise InputError("influence 'optimizer-step' follows the whole step: leave layers out")
        if self.influence == OPTIMIZER_STEP and self.gram_every:
            raise InputError("influence 'optimizer-step' knows no gradients: leave gram_every at 0")
        check_estimate(self.estimate)
        if self.influence == OPTIMIZER_STEP and self.estimate == "unbiased":
            raise InputError(
                "influence 'optimizer-step' follows the step of all prompts together: with estimate='unbiased' use 'finite-difference', 'jvp' or 'exact'"
            )
        check_layers(self.layers)

    def ask(self, batch: Batch, number: int) -> Influence | None:
        """The influences on the run's batch with this number, if they are due."""
        gram = self.gram_every > 0 and number % self.gram_every == 0
        more = {"equal_spread": True} if self.equal_spread else {}
        more |= {"unbiased": True} if self.estimate == "unbiased" else {}
        if number % self.every:
            if gram:
                batch.influence(method=self.influence, layers=self.layers, gram=True, **more)
            return None
        if self.influence == OPTIMIZER_STEP:
            return batch.influence(method=self.influence, **more)
        return batch.influence(method=self.influence, layers=self.layers, gram=gram, **more)
