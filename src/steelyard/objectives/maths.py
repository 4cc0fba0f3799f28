"""Is the answer right? Ground-truth equivalence of mathematical answers, on math-verify."""

from __future__ import annotations

from typing import Any

from steelyard.checks.answers import equivalent, final_answer
from steelyard.errors import InputError
from steelyard.messages import text_of
from steelyard.objectives.objective import Objective


def accuracy(*, name: str = "accuracy", column: str = "answer") -> Objective:
    r"""1 where the final answer (boxed, after `####`, or the last plain number) equals the ground truth, else 0.

    Args:
        name: the objective's name.
        column: the prompts' column that holds the ground truth; a truth that itself ends in `#### n` or a box is read the same way.

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
        scores: list[float | None] = []
        for completion, truth in zip(completions, columns[column], strict=True):
            if truth is None:
                scores.append(None)
                continue
            expected = str(truth)
            if "####" in expected or "\\boxed" in expected:
                expected = final_answer(expected) or expected
            found_answer = final_answer(text_of(completion))
            scores.append(float(found_answer is not None and equivalent(found_answer, expected)))
        return scores

    return Objective(name, score, goal="maximize", bounds=(0.0, 1.0))
