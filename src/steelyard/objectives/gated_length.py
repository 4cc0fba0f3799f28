"""Shorter among the right answers to a prompt; a wrong answer gains nothing by its length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.errors import InputError
from steelyard.messages import text_of
from steelyard.objectives.kinds import BUILT_IN
from steelyard.objectives.maths import accuracy
from steelyard.objectives.objective import Objective
from steelyard.objectives.writing import lengths
from steelyard.settings import checked


def _brevity_bonus(tokens: Sequence[int], right: Sequence[bool]) -> list[float]:
    """How much shorter each right answer is than the mean of the right ones, 0 to 1; 0 for a longer one, and for every wrong one.

        b_i = max(0, 1 - L_i / mean of L over the right answers)   where answer i is right, else 0

    Example:
        >>> _brevity_bonus([10, 30, 20, 5], [True, True, True, False])
        [0.5, 0.0, 0.0, 0.0]
    """
    mine = [length for length, is_right in zip(tokens, right, strict=True) if is_right]
    mean = sum(mine) / len(mine) if mine else 0.0
    return [max(0.0, 1 - length / mean) if is_right and mean else 0.0 for length, is_right in zip(tokens, right, strict=True)]


@BUILT_IN.add("brevity")
@checked
def brevity(*, name: str = "brevity", column: str = "answer") -> Objective:
    """Rewarded for being right and shorter than the mean right answer to the same prompt (see `_brevity_bonus`).

    A penalty on length that wrong answers pay as well teaches to fail fast: of two wrong answers the shorter wins. Here length counts among right answers
    alone, and no right answer gets less than a wrong one.

    Args:
        name: the objective's name.
        column: of the row, with the ground truth; an answer is right where `accuracy` is 1. A row without one is left out.

    Example:
        >>> objective = brevity()
        >>> answers = ["It is 4", "So it must be that it is 4", "It is 5"]
        >>> [None if x is None else round(x, 2) for x in objective.scores(prompts=["2+2"] * 3, completions=answers, answer=["4"] * 3)]
        [0.45, 0.0, 0.0]

    Reference:
        The success-gated length shaping of prime-rl (pull requests 2265 and 3376) as an objective of its own: there it is a factor or a term of the reward.
    """
    is_right = accuracy(column=column)

    def score(
        prompts: Sequence, completions: Sequence, completion_ids: Any = None, tool_mask: Any = None, **columns: Any
    ) -> list[float | None]:
        if column not in columns:
            raise InputError(f"objective {name!r} needs the ground truth in a column {column!r}")
        rights = is_right.scores(prompts=prompts, completions=completions, **{column: columns[column]})
        tokens = lengths(completions, completion_ids, tool_mask)
        groups: dict[str, list[int]] = {}
        for i, (prompt, right) in enumerate(zip(prompts, rights, strict=True)):
            if right is not None:
                groups.setdefault(text_of(prompt), []).append(i)
        found: list[float | None] = [None] * len(prompts)
        for members in groups.values():
            bonuses = _brevity_bonus([tokens[i] for i in members], [(rights[i] or 0.0) >= 1.0 for i in members])
            for i, bonus in zip(members, bonuses, strict=True):
                found[i] = bonus
        return found

    return Objective(name, score, goal="maximize", bounds=(0.0, 1.0))
