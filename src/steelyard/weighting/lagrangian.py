"""One objective is pursued, others are kept above a bound: weights as Lagrange multipliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field

from steelyard.errors import InputError, nearest
from steelyard.objectives import Objective
from steelyard.settings import NotNegative, Positive, Share, checked
from steelyard.weighting.base import METHODS, Batch, Normalize, Weighting, check_option, present_moments, reward_bounds


@METHODS.add("constrained-grpo")
@METHODS.add("lagrangian")
class LagrangianConstraints(Weighting):
    """Maximise one objective while others' mean rewards stay above bounds, by dual ascent.

    `l_c <- clip(l_c + rate p (bound_c - mean_c), 0, limit)` for every constraint c after each batch, with a running mean of the raw reward and `p` the
    share of the run that the batch is; the weights are 1 for the pursued objective and `l_c` for the constraints, divided by their sum. A constraint
    that holds with room to spare loses its weight; one that is broken gains.

    The weights are of the objectives' own advantages (`normalize="each"`): a weighted sum of rewards that is normalised afterwards divides each multiplier
    by the spread of the sum, which is the other objectives' as well, and so gave constraints 1.4 to 1.9 times the multiplier that was meant.

    Args:
        maximize: the objective to pursue, by name (for shorter answers, one whose reward is higher for them).
        at_least: bounds on other objectives' mean rewards, by name, in units of the reward as weighed (of a goal "minimize" without a measure
            of its own, with its sign turned). Objectives that are neither have weight 0.
        rate: of the multipliers, positive: what a shortfall of 1 adds in a whole run.
        start: of every multiplier, 0 or more.
        limit: the largest multiplier.
        momentum: of the running means, 0 to below 1.

    Raises:
        InputError: where a name is unknown or an argument is out of range.

    Example:
        >>> method = LagrangianConstraints(maximize="short", at_least={"right": 0.8}, rate=10.0, momentum=0.0)
        >>> method.setup([Objective("right", len), Objective("short", len)])
        >>> rewards = torch.tensor([[0.0, 1.0], [1.0, 0.0]])               # right in half the cases: .3 short of the bound
        >>> tenth = Batch(rewards, rewards, learning_rate=1e-6, progress=0.0, share=0.1, influence=lambda **options: None)
        >>> method.on_batch(tenth)
        >>> [round(x, 3) for x in method.weights().tolist()]
        [0.565, 0.435]

    Reference:
        Dual ascent on the Lagrangian, as in constrained policy optimisation (Tessler et al., RCPO, arXiv 1805.11074); why each objective is normalised on
        its own: Girgis et al., Constrained GRPO, arXiv 2602.05863, `A = l_R Z_R - sum_k l_k Z_k`, whose costs are rewards of the opposite sign here. It goes
        by that name as well.
    """

    follows_progress = True

    @checked
    def __init__(
        self,
        *,
        maximize: str,
        at_least: Annotated[Mapping[str, float], Field(min_length=1)],
        rate: Positive = 10.0,
        start: NotNegative = 1.0,
        limit: Positive = 20.0,
        momentum: Share = 0.8,
        normalize: Normalize = "each",
    ) -> None:
        super().__init__(None, normalize=normalize)
        if not at_least:
            raise InputError("at_least must hold one bound at least, as in {'accuracy': 0.8}")
        check_option("a bound", at_least)
        if maximize in at_least:
            raise InputError(f"{maximize!r} cannot be both pursued and constrained: take it out of at_least")
        if start > limit:
            raise InputError(f"0 <= start <= limit must hold with a positive limit, but start is {start} and limit {limit}")
        self.maximize, self.at_least = maximize, dict(at_least)
        self.rate, self.start, self.limit, self.momentum = rate, start, limit, momentum
        self.multipliers = dict.fromkeys(self.at_least, self.start)
        self._means: dict[str, float] = {}

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives' names."""
        super().setup(objectives)
        for name in (self.maximize, *self.at_least):
            if name not in self._names:
                raise InputError(
                    f"unknown objective {name!r}: the objectives are {', '.join(self._names)}{nearest(name, self._names)}"
                )
        for objective in objectives:
            bound, bounds = self.at_least.get(objective.name), reward_bounds(objective)
            if bound is not None and bounds is not None and bound > bounds[1]:
                raise InputError(f"{objective.name!r} cannot be {bound:g}: its bounds are {bounds}")
        self.multipliers, self._means = dict.fromkeys(self.at_least, self.start), {}
        self._weigh()

    def _weigh(self) -> None:
        raw = [1.0 if name == self.maximize else self.multipliers.get(name, 0.0) for name in self._names]
        self._weights_K = torch.tensor(raw, dtype=torch.float64) / sum(raw)

    def on_batch(self, batch: Batch) -> None:
        """Move the multipliers by what the constraints lack; the new weights apply to this very batch."""
        mean_K, _ = present_moments(batch.rewards_BK)
        for name, mean in zip(self._names, mean_K.tolist(), strict=True):
            if name in self.multipliers and mean == mean:
                old = self._means.get(name, mean)
                self._means[name] = self.momentum * old + (1 - self.momentum) * mean
                moved = self.multipliers[name] + self.rate * batch.share * (self.at_least[name] - self._means[name])
                self.multipliers[name] = min(self.limit, max(0.0, moved))
        self._weigh()

    def on_validation(self, point: Sequence[float]) -> None:
        """Validation plays no part here."""

    def state_dict(self) -> dict[str, Any]:
        """Weights, multipliers and running means."""
        return {**super().state_dict(), "multipliers": dict(self.multipliers), "means": dict(self._means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self.multipliers, self._means = dict(state["multipliers"]), dict(state["means"])
