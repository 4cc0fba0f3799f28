"""Any check as an objective, by its name."""

from __future__ import annotations

from typing import Any

from steelyard.checks.base import Check
from steelyard.checks.kinds import run_of
from steelyard.objectives.kinds import BUILT_IN
from steelyard.objectives.objective import Objective


@BUILT_IN.add("check")
def checked(*, check: str, options: dict[str, Any] | None = None, name: str | None = None) -> Objective:
    """What a programmatic check gives: 1 where an answer passes, 0 where it does not, or a share.

    Args:
        check: the check's kind, as in `steelyard.checks.check_kinds()`.
        options: of the check.
        name: the objective's name; default: the check's kind.

    Example:
        >>> objective = checked(check="words", options={"at_most": 3}, name="short")
        >>> objective.scores(prompts=["Say hello."] * 2, completions=["Hello there!", "Hello there, friend, hello!"])
        [1.0, 0.0]
    """
    return Objective.from_check(Check(check, run_of(check, options or {})), name=name)
