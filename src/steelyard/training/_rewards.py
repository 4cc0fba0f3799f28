"""Objectives and TRL's reward functions, each in the shape of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from steelyard.errors import RunError, SteelyardError
from steelyard.objectives import Objective
from steelyard.training._early import EarlyRewards


@dataclass(frozen=True)
class WholeBatch:
    """The answers of all processes, for rewards that keep a state.

    Attributes:
        rows, prompts, completions, completion_ids: of every answer, process after process.
        mine: which of them are this process's.
        is_main: whether this is the main process, which alone asks rewards that are to be asked once.
        asked: what such rewards said, or why they failed, by the objective's name; on the main process.
    """

    rows: list[dict[str, Any]]
    prompts: list[Any]
    completions: list[Any]
    completion_ids: list[Any]
    mine: slice
    is_main: bool
    asked: dict[str, list[float | None] | SteelyardError] = field(default_factory=dict)

    @classmethod
    def gathered(cls, rows: list, prompts: list, completions: list, completion_ids: list, *, rank: int) -> WholeBatch:
        """Ask all processes for their answers; every one must call it. Each has as many."""
        everyone = gather_object(list(zip(rows, prompts, completions, completion_ids, strict=True)))
        all_rows, all_prompts, all_completions, all_ids = (list(column) for column in zip(*everyone, strict=True))
        mine = slice(rank * len(rows), (rank + 1) * len(rows))
        return cls(all_rows, all_prompts, all_completions, all_ids, mine, is_main=rank == 0)

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a reward is called with in the place of what TRL gave it for this process's answers alone."""
        own = {"prompts": self.prompts, "completions": self.completions, "completion_ids": self.completion_ids}
        columns = {key: [row.get(key) for row in self.rows] for key in given if key not in own and key in self.rows[0]}
        # `log_extra` writes a line for each of this process's answers, which these are not.
        others = {key: value for key, value in given.items() if key not in own and key not in columns and key != "log_extra"}
        return own | columns | others

    async def ask_once(self, objective: Objective, domain_column: str, given: Mapping[str, Any]) -> list[float | None]:
        """A reward that is asked on the main process alone; the others' scores, and all failures, come with `spread`."""
        if not self.is_main:
            return [0.0] * (self.mine.stop - self.mine.start)
        try:
            found = await objective.scores_async(domain_column=domain_column, **self.arguments(given))
        except SteelyardError as error:
            # Raised here, the other processes would wait for this one for ever.
            self.asked[objective.name] = error
            return [0.0] * (self.mine.stop - self.mine.start)
        self.asked[objective.name] = found
        return found[self.mine]

    def spread(self, scores_BK: Tensor, names: Sequence[str]) -> Tensor:
        """The scores of all processes, with those of the rewards that the main process has asked; every process must call it.

        Raises:
            SteelyardError: where such a reward failed, on every process.
        """
        (asked,) = broadcast_object_list([self.asked])
        for name, found in asked.items():
            if isinstance(found, SteelyardError):
                raise found
            column_B = torch.tensor([float("nan") if score is None else score for score in found])
            scores_BK[:, names.index(name)] = column_B.to(scores_BK)
        return scores_BK


def whole_batch_of(trainer: Any, *batch: list) -> WholeBatch | None:
    """The batch of all processes, where a reward keeps a state: every process then shows it the same answers, and has the same state."""
    stateful = any(one.keeps_state or getattr(one.reward, "ask_once", False) for one in trainer.objectives)
    if trainer.accelerator.num_processes == 1 or trainer.is_measuring() or not stateful:
        return None
    return WholeBatch.gathered(*batch, rank=trainer.accelerator.process_index)


def as_reward_function(
    objective: Objective,
    measuring: Callable[[], bool],
    domain_column: str = "domain",
    *,
    whole_batch: Callable[[], WholeBatch | None] = lambda: None,
    early: EarlyRewards | None = None,
) -> Callable[..., Any]:
    """An objective as TRL calls it; while `measuring()`, its measure. `applies_to` looks at the domain column.

    A reward that has begun already is in `early`, which also notes how long it was waited for.

    A reward that keeps a state is shown the `whole_batch()` where there is one, so that every process has the same state.
    """

    early = early or EarlyRewards()
    once = getattr(objective.reward, "ask_once", False)

    def shown(given: dict[str, Any]) -> tuple[dict[str, Any], slice]:
        whole = whole_batch() if objective.keeps_state else None
        return (given, slice(None)) if whole is None else (whole.arguments(given), whole.mine)

    if objective.is_async:

        async def score_async(**given: Any) -> list[float | None]:
            with early.clock():
                begun = early.take(objective.name)
                return await (_score(given) if begun is None else begun)

        async def _score(given: dict[str, Any]) -> list[float | None]:
            whole = whole_batch() if once else None
            if whole is not None:
                return await whole.ask_once(objective, domain_column, given)
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


def share_states(trainer: Any) -> None:
    """Let rewards take in what those of other processes have learnt from a validation, where each measures prompts of its own."""
    if trainer.accelerator.num_processes > 1:
        for objective in (*trainer.objectives, *trainer.probes.probes):
            if hasattr(objective.reward, "merge"):
                for state in gather_object([objective.state_dict()]):
                    objective.reward.merge(state)


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
