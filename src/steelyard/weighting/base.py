"""What every weighting method shares: what it sees, and what it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from steelyard.errors import InputError, nearest
from steelyard.objectives import Objective, check_names
from steelyard.registry import Registry
from steelyard.settings import checked
from steelyard.weighting.inner_products import Influence

Preference = Sequence[float] | Mapping[str, float]
Normalize = Literal["sum", "each", "each-whitened"]
METHODS: Registry[Callable[..., Weighting]] = Registry("weighting", __package__)
"""Weighting methods by the name that a recipe uses; each adds itself where it stands."""


@dataclass(frozen=True)
class Batch:
    """One generation batch, as a weighting method sees it before the update.

    Attributes:
        rewards_BK: higher is better, NaN where an objective does not apply.
        advantages_BK: each objective's own advantages, by the run's estimator.
        learning_rate: of the update that will follow.
        progress: share of the run that is done, 0..1.
        share: of the run that this batch's updates are.
        group_size: answers a prompt, which stand together; 1 where answers have no groups.
        preferences_BK: the weights that the rows ask for in their column `preference`; None where they ask for none.
        influence: computes the objectives' influences on this batch when called, with `method`, `layers`, `gram`, `equal_spread` and `unbiased` as
            keywords; costs passes through the model, so only methods that need it call. None where there is nothing to tell yet ("optimizer-step").
    """

    rewards_BK: Tensor
    advantages_BK: Tensor
    learning_rate: float
    progress: float
    influence: Callable[..., Influence | None]
    share: float = 0.0
    group_size: int = 1
    preferences_BK: Tensor | None = None


class Weighting(ABC):
    """Decides how much each objective counts, and may change its mind every batch and after every validation.

    The trainer calls `setup` once, then per generation batch `on_batch`, then reads `weights()` and `scale()` for that very batch; after
    each validation `on_validation`. The first validation is the start point, before any update.

    A method adds itself by a name, `@METHODS.add("mine")`; the signature and the `Args:` of the class are its settings in recipes, see docs/extending.md.

    Args:
        weights: where to start, `[K]` in the objectives' order or by name, not negative, summing to 1; default: equal weights.
        normalize: "sum" turns the weighted reward into one advantage; "each" weighs the objectives' own advantages; "each-whitened" whitens their sum as
            well (GDPO).

    Class attributes:
        needs_validation: whether the method is no use without validation points.
        needs_gradients: whether it asks batches for influences, which take a trainer that can compute them.
        follows_progress: whether its weights depend on how long the run is, by a batch's `progress` or `share`.
        conditions: whether it takes the weights that rows ask for, and prompts have to say them.
    """

    needs_validation: ClassVar[bool] = False
    needs_gradients: ClassVar[bool] = False
    follows_progress: ClassVar[bool] = False
    conditions: ClassVar[bool] = False

    @checked
    def __init__(self, weights: Preference | None = None, *, normalize: Normalize = "sum") -> None:
        self.initial = weights
        self.normalize = normalize
        self._names: list[str] = []
        self._preference_K: Tensor | None = None
        self._weights_K: Tensor | None = None
        if weights is not None and not isinstance(weights, Mapping):
            check_weights(weights)

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives and start anew; equal weights where none were given.

        Raises:
            InputError: where weights and objectives do not fit.
        """
        check_names(objectives)
        self._names = names = [objective.name for objective in objectives]
        if self.initial is None:
            self._preference_K = torch.full((len(names),), 1 / len(names), dtype=torch.float64)
        elif isinstance(self.initial, Mapping):
            self._preference_K = weights_by_name(self.initial, names)
        elif len(self.initial) != len(names):
            raise InputError(
                f"weights need one value an objective ({', '.join(names)}), but have {len(self.initial)}: {list(self.initial)}"
            )
        else:
            self._preference_K = check_weights(self.initial)
        self._weights_K = self._preference_K

    def preference(self) -> Tensor:
        """The weights at the start, which a method may go on from: float64 `[K]`."""
        if self._preference_K is None and self.initial is not None and not isinstance(self.initial, Mapping):
            self._preference_K = check_weights(self.initial)
        if self._preference_K is None:
            raise InputError("weights are not known yet: call setup(objectives), or give the weights as a list")
        return self._preference_K

    def weights(self) -> Tensor:
        """The weights now: float64 `[K]`, non-negative, summing to 1; or `[B,K]`, a row for each answer of the batch that was seen last.

        A row may be 0, which leaves its answer out of the update, and rows may sum to less than 1, which lets their answers count less.
        """
        if self._weights_K is None:
            self._weights_K = self.preference()
        return self._weights_K

    def scale(self) -> float:
        """A common factor on the advantage, applied after normalisation; 1 unless the method has a meta-reward."""
        return 1.0

    @abstractmethod
    def on_batch(self, batch: Batch) -> None:
        """See a batch before its update, and set the weights that apply to it."""

    @abstractmethod
    def on_validation(self, point: Sequence[float]) -> None:
        """See the objectives' measures on held-out prompts, in their own units and order."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the method remembers, as plain JSON values; floats survive exactly."""
        return {"method": type(self).__name__, "objectives": self._names, "weights": mean_weights(self.weights()).tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run.

        Raises:
            InputError: where it is another method's, or of other objectives (also of the same in another order).
        """
        for what, now in (("method", type(self).__name__), ("objectives", self._names)):
            if now and state.get(what, now) != now:
                raise InputError(
                    f"the weighting's {what} was {state[what]} when the run began and is {now} now: a run is resumed with the same"
                )
        self._weights_K = torch.tensor(state["weights"], dtype=torch.float64)


def mean_weights(weights: Tensor) -> Tensor:
    """Weights by objective `[K]`: as they are, or of `[B,K]` their mean over answers.

    Example:
        >>> mean_weights(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).tolist()
        [0.75, 0.25]
    """
    return weights if weights.ndim == 1 else weights.mean(0)


def check_weights(weights: Sequence[float]) -> Tensor:
    """Turn weights into a float64 tensor, refusing negative ones and ones that do not sum to 1 within 0.002.

    The tolerance admits roundings such as .334/.333/.333; the result sums to 1 exactly.

    Example:
        >>> check_weights([0.25, 0.75]).tolist()
        [0.25, 0.75]
        >>> check_weights([0.5, 0.6])
        Traceback (most recent call last):
        steelyard.errors.InputError: weights must sum to 1, but [0.5, 0.6] sum to 1.1: divide each by 1.1
    """
    try:
        values = torch.tensor([float(weight) for weight in weights], dtype=torch.float64)
    except (TypeError, ValueError):
        raise InputError(f"weights must be a list of numbers or a mapping from names to numbers, but are {weights!r}") from None
    if values.numel() == 0:
        raise InputError("weights need one value an objective, but there are none")
    if not values.isfinite().all() or (values < 0).any():
        raise InputError(f"weights must be finite and not negative, but are {list(weights)}")
    total = values.sum().item()
    if abs(total - 1) > 0.002:
        raise InputError(f"weights must sum to 1, but {list(weights)} sum to {total:.6g}: divide each by {total:.6g}")
    return values / total


def weights_by_name(weights: Mapping[str, float], names: Sequence[str]) -> Tensor:
    """Order weights given by objective name.

    Example:
        >>> weights_by_name({"b": 0.4, "a": 0.6}, ["a", "b"]).tolist()
        [0.6, 0.4]
    """
    for name in weights:
        if name not in names:
            raise InputError(f"a weight is given for {name!r}, but the objectives are {', '.join(names)}{nearest(name, names)}")
    missing = [name for name in names if name not in weights]
    if missing:
        raise InputError(f"no weight is given for {', '.join(missing)}: every objective needs one (0 switches it off)")
    return check_weights([weights[name] for name in names])


def check_option(what: str, values: Mapping[str, float], names: Sequence[str] | None = None) -> None:
    """Refuse values by objective that are not finite, or (once the names are known) that name no objective.

    Example:
        >>> check_option("a floor", {"a": 0.0, "bb": 0.0}, ["a", "b"])
        Traceback (most recent call last):
        steelyard.errors.InputError: a floor is given for 'bb', but the objectives are a, b (did you mean 'b'?)
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{what} is given by an objective's name, as in {{'accuracy': 0.5}}, but found {values!r}")
    for name, value in values.items():
        if not isinstance(value, (int, float)) or not abs(value) < float("inf"):
            raise InputError(f"{what} must be finite, but that of {name!r} is {value}")
        if names is not None and name not in names:
            raise InputError(f"{what} is given for {name!r}, but the objectives are {', '.join(names)}{nearest(name, names)}")


def with_floor(weights_K: Tensor, floor: float) -> Tensor:
    """Mix weights with equal ones so that none is below a floor, `floor + (1 - K floor) w`.

    Raises:
        InputError: where K floors make more than 1.

    Example:
        >>> with_floor(torch.tensor([1.0, 0.0], dtype=torch.float64), 0.1).tolist()
        [0.9, 0.1]
    """
    size = len(weights_K)
    if floor * size > 1:
        raise InputError(f"floor must be at most 1/{size} with {size} objectives, but is {floor}")
    return floor + (1 - size * floor) * weights_K


def reward_bounds(objective: Objective) -> tuple[float, float] | None:
    """Least and greatest reward as it is weighed, where an objective's bounds, which are those of its measure, say so.

    Example:
        >>> from steelyard.objectives import Objective
        >>> reward_bounds(Objective("right", len, bounds=(0.0, 1.0))), reward_bounds(Objective("free", len))
        ((0.0, 1.0), None)
        >>> reward_bounds(Objective("cost", len, goal="minimize", bounds=(0.0, 10.0)))
        (-10.0, -0.0)
    """
    if objective.bounds is None or objective.measure is not objective.reward:
        return None
    low, high = objective.bounds
    if objective.maximize:
        return low, high
    # A measure of its own leaves the reward's sign alone, even where it is the same function.
    return (-high, -low) if objective.reward_sign < 0 else None


def ideal_and_range(objectives: Sequence[Objective], ideal: Mapping[str, float]) -> tuple[Tensor, Tensor]:
    """The mean reward of each objective at best, as given or its upper bound or 1, and its range, that of its bounds or 1; float64 `[K]` each.

    Example:
        >>> from steelyard.objectives import Objective
        >>> best, span = ideal_and_range([Objective("right", len, bounds=(0.0, 1.0)), Objective("free", len)], {"free": 5.0})
        >>> best.tolist(), span.tolist()
        ([1.0, 5.0], [1.0, 1.0])
    """
    bounds = {objective.name: reward_bounds(objective) for objective in objectives}
    best = [ideal.get(name, 1.0 if known is None else known[1]) for name, known in bounds.items()]
    span = [1.0 if known is None or known[1] == known[0] else known[1] - known[0] for known in bounds.values()]
    return torch.tensor(best, dtype=torch.float64), torch.tensor(span, dtype=torch.float64)


def had_advantage(batch: Batch, influence_K: Tensor) -> Tensor:
    """Which objectives a batch says anything of, bool `[K]`: not one that applies to no answer of it, or gave all of a prompt's answers the same.

    Example:
        >>> batch = Batch(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), learning_rate=1e-3, progress=0.0, influence=None)
        >>> had_advantage(batch, torch.zeros(2)).tolist()
        [True, False]
    """
    return batch.advantages_BK.any(0).cpu() | (influence_K != 0)


def present_moments(rewards_BK: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n - 1) of every objective over the answers that have it; NaN and 0 where none or too few do.

    Example:
        >>> mean, spread = present_moments(torch.tensor([[1.0, float("nan")], [3.0, float("nan")]]))
        >>> mean.tolist(), [round(x, 3) for x in spread.tolist()]
        ([2.0, nan], [1.414, 0.0])
    """
    values_BK = rewards_BK.double()
    present_BK = ~values_BK.isnan()
    count_K = present_BK.sum(0)
    mean_K = torch.where(present_BK, values_BK, 0).sum(0) / count_K
    squares_K = torch.where(present_BK, values_BK - mean_K, 0).square().sum(0)
    equal_K = torch.where(present_BK, values_BK, torch.inf).amin(0) >= torch.where(present_BK, values_BK, -torch.inf).amax(0)
    spread_K = torch.where(equal_K, 0, (squares_K / (count_K - 1).clamp(min=1)).sqrt())
    return mean_K.cpu(), spread_K.cpu()


def running_mean(mean_K: Tensor | None, found_K: Tensor, momentum: float) -> Tensor:
    """`momentum mean_k + (1 - momentum) found_k`; the one that is known where the other is NaN.

    Example:
        >>> running_mean(torch.tensor([1.0, 1.0, torch.nan]), torch.tensor([0.0, torch.nan, 0.5]), 0.75).tolist()
        [0.75, 1.0, 0.5]
    """
    if mean_K is None:
        return found_K
    moved_K = torch.lerp(found_K, mean_K, momentum)
    return torch.where(found_K.isnan(), mean_K, torch.where(mean_K.isnan(), found_K, moved_K))


def to_list(values_K: Tensor | None) -> list[float | None] | None:
    """Values for a state, null where NaN."""
    return None if values_K is None else [None if value != value else value for value in values_K.tolist()]


def from_list(values: Sequence[float | None] | None) -> Tensor | None:
    """The float64 tensor that `to_list` was given."""
    return (
        None
        if values is None
        else torch.tensor([float("nan") if value is None else value for value in values], dtype=torch.float64)
    )
