"""Is the answer right? The final answer against the ground truth."""

from __future__ import annotations

from typing import Any

from steelyard.checks.answers import are_right
from steelyard.errors import InputError
from steelyard.messages import last_answer_of
from steelyard.objectives.kinds import BUILT_IN
from steelyard.objectives.objective import Objective


@BUILT_IN.add("accuracy")
def accuracy(*, name: str = "accuracy", column: str = "answer") -> Objective:
    r"""1 where the final answer (boxed, after `####`, or the last number or formula) equals the ground truth, else 0.

    Args:
        name: the objective's name.
        column: the prompts' column that holds the ground truth; a truth that itself ends in `#### n` or a box is read the same way. A prompt without a
            truth is left out.

    Example:
        >>> accuracy().scores(prompts=["2+2="] * 2, completions=[r"\boxed{4}", "5"], answer=["4", "4"])
        [1.0, 0.0]

    Reference:
        Lu et al., arXiv 2509.11452, section 4. Deviation: `####` and plain numbers count as well as boxes, since the datasets use them.
    """

    def score(prompts: list, completions: list, **columns: Any) -> list[float | None]:
        if column not in columns:
            found = ", ".join(sorted(key for key, value in columns.items() if isinstance(value, list))) or "none"
            raise InputError(f"objective {name!r} needs the prompts' column {column!r} with the ground truth (found: {found})")
        right = are_right([last_answer_of(completion) for completion in completions], columns[column])
        return [None if one is None else float(one) for one in right]

    return Objective(name, score, goal="maximize", bounds=(0.0, 1.0))
