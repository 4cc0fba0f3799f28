"""Objectives and TRL's reward functions, each in the shape of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate.utils import gather_object
from torch import nn

from steelyard.errors import RunError
from steelyard.objectives import Objective


@dataclass(frozen=True)
class WholeBatch:
    """The answers of all processes, for rewards that keep a state.

    Attributes:
        rows, prompts, completions, completion_ids: of every answer, process after process.
        mine: which of them are this process's.
    """

    rows: list[dict[str, Any]]
    prompts: list[Any]
    completions: list[Any]
    completion_ids: list[Any]
    mine: slice

    @classmethod
    def gathered(cls, rows: list, prompts: list, completions: list, completion_ids: list, *, rank: int) -> WholeBatch:
        """Ask all processes for their answers; every one must call it. Each has as many."""
        everyone = gather_object(list(zip(rows, prompts, completions, completion_ids, strict=True)))
        all_rows, all_prompts, all_completions, all_ids = (list(column) for column in zip(*everyone, strict=True))
        return cls(all_rows, all_prompts, all_completions, all_ids, mine=slice(rank * len(rows), (rank + 1) * len(rows)))

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a reward is called with in the place of what TRL gave it for this process's answers alone."""
        own = {"prompts": self.prompts, "completions": self.completions, "completion_ids": self.completion_ids}
        columns = {key: [row.get(key) for row in self.rows] for key in given if key not in own and key in self.rows[0]}
        # `log_extra` writes a line for each of this process's answers, which these are not.
        others = {key: value for key, value in given.items() if key not in own and key not in columns and key != "log_extra"}
        return own | columns | others


def whole_batch_of(trainer: Any, *batch: list) -> WholeBatch | None:
    """The batch of all processes, where a reward keeps a state: every process then shows it the same answers, and has the same state."""
    stateful = any(objective.keeps_state for objective in trainer.objectives)
    if trainer.accelerator.num_processes == 1 or trainer.is_measuring() or not stateful:
        return None
    return WholeBatch.gathered(*batch, rank=trainer.accelerator.process_index)


def as_reward_function(
    objective: Objective,
    measuring: Callable[[], bool],
    domain_column: str = "domain",
    *,
    whole_batch: Callable[[], WholeBatch | None] = lambda: None,
) -> Callable[..., Any]:
    """An objective as TRL calls it; while `measuring()`, its measure. `applies_to` looks at the domain column.

    A reward that keeps a state is shown the `whole_batch()` where there is one, so that every process has the same state.
    """

    def shown(given: dict[str, Any]) -> tuple[dict[str, Any], slice]:
        whole = whole_batch() if objective.keeps_state else None
        return (given, slice(None)) if whole is None else (whole.arguments(given), whole.mine)

    if objective.is_async:

        async def score_async(**given: Any) -> list[float | None]:
            arguments, mine = shown(given)
            found = await objective.scores_async(measuring=measuring(), domain_column=domain_column, **arguments)
            return found[mine]

        score_async.__name__ = objective.name
        return score_async

    def score(**given: Any) -> list[float | None]:
        arguments, mine = shown(given)
        return objective.scores(measuring=measuring(), domain_column=domain_column, **arguments)[mine]

    score.__name__ = objective.name
    return score


def as_objective(function: Any) -> Objective | None:
    """An objective as it is, a plain reward function as an objective; None for a reward model, which TRL runs itself."""
    if isinstance(function, Objective):
        return function
    if isinstance(function, (str, nn.Module)):
        return None
    return Objective(getattr(function, "__name__", type(function).__name__), function)


def as_reward_functions(given: Any, as_trl_calls: Callable[[Objective], Any]) -> tuple[list[Any], list[Objective | None]]:
    """What TRL is given for rewards, and the objective in each; None for a reward model, which stays as it is, for TRL to run.

    Args:
        given: one reward or several: functions, objectives or models; None is none.
        as_trl_calls: makes a reward function of an objective.
    """
    rewards = list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]
    objectives = [as_objective(reward) for reward in rewards]
    called = [reward if one is None else as_trl_calls(one) for reward, one in zip(rewards, objectives, strict=True)]
    return called, objectives


def names_that_differ(names: Sequence[str]) -> list[str]:
    """Names of which each is there once: a later one of the same name is numbered.

    Example:
        >>> names_that_differ(["<lambda>", "length", "<lambda>"])
        ['<lambda>', 'length', '<lambda>-2']
    """
    taken: list[str] = []
    for name in names:
        number, tried = 2, name
        while tried in taken:
            number, tried = number + 1, f"{name}-{number}"
        taken.append(tried)
    return taken


def objectives_of(names: Sequence[str], wrapped: Sequence[Objective | None]) -> list[Objective]:
    """An objective for each of TRL's rewards, by TRL's name: those that were given, and one that stands for each that TRL runs itself, environments' own
    rewards included, which TRL appends.
    """
    given = [*wrapped, *[None] * (len(names) - len(wrapped))]
    objectives = [Objective(name, left_to_trl) if one is None else one for name, one in zip(names, given, strict=True)]
    for name, objective in zip(names, objectives, strict=True):
        objective.name = name
    return objectives


def left_to_trl(**columns: Any) -> list[float | None]:
    """Stands for the function of an objective that TRL scores itself."""
    raise RunError("a reward model is run by TRL, and not as a function")
