"""Objectives and TRL's reward functions, each in the shape of the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from steelyard.errors import RunError
from steelyard.objectives import Objective


def as_reward_function(objective: Objective, measuring: Callable[[], bool], domain_column: str = "domain") -> Callable[..., Any]:
    """An objective as TRL calls it; while `measuring()`, its measure. `applies_to` looks at the domain column."""
    if objective.is_async:

        async def score_async(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
            return await objective.scores_async(
                prompts=prompts, completions=completions, measuring=measuring(), domain_column=domain_column, **columns
            )

        score_async.__name__ = objective.name
        return score_async

    def score(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        return objective.scores(
            prompts=prompts, completions=completions, measuring=measuring(), domain_column=domain_column, **columns
        )

    score.__name__ = objective.name
    return score


def as_objective(function: Any) -> Objective | None:
    """An objective as it is, a plain reward function as an objective; None for a reward model, which TRL runs itself."""
    if isinstance(function, Objective):
        return function
    if isinstance(function, (str, nn.Module)):
        return None
    return Objective(getattr(function, "__name__", type(function).__name__), function)


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


def left_to_trl(**columns: Any) -> list[float | None]:
    """Stands for the function of an objective that TRL scores itself."""
    raise RunError("a reward model is run by TRL, and not as a function")
