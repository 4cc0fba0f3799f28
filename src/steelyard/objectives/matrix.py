"""The matrix of rewards of a batch: raw scores, gates, signs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.errors import InputError, nearest
from steelyard.objectives.objective import Objective


def apply_gates(scores_BK: Tensor, objectives: Sequence[Objective]) -> Tensor:
    """Shut the gates: raw scores in, the same out, but for objectives whose gate is shut on an answer.

    Args:
        scores_BK: raw scores, float `[B,K]`, NaN where an objective does not apply.
        objectives: K of them.

    Returns:
        float `[B,K]`; the given tensor itself is left alone.

    Example:
        >>> from steelyard.objectives import Gate
        >>> short = Objective("short", len, gate=Gate("right"))
        >>> apply_gates(torch.tensor([[1.0, 0.3], [0.0, 0.9]]), [Objective("right", len), short]).tolist()
        [[1.0, 0.30000001192092896], [0.0, nan]]

    Reference:
        Conditioned rewards: Liu et al., GDPO, arXiv 2601.05242, section 3.2.
    """
    names = [objective.name for objective in objectives]
    gated_BK = scores_BK
    for k, objective in enumerate(objectives):
        if objective.gate is None:
            continue
        passed_B = scores_BK[:, names.index(objective.gate.objective)] >= objective.gate.at_least
        shut = math.nan if objective.gate.otherwise is None else objective.gate.otherwise
        # Where the objective itself does not apply, it does not apply.
        column_B = torch.where(passed_B | scores_BK[:, k].isnan(), scores_BK[:, k], shut)
        gated_BK = torch.cat([gated_BK[:, :k], column_B[:, None], gated_BK[:, k + 1 :]], 1)
    return gated_BK


def _check_gates(objectives: Sequence[Objective]) -> None:
    """Refuse gates that name no other objective.

    Example:
        >>> from steelyard.objectives import Gate
        >>> _check_gates([Objective("short", len, gate=Gate("rigth")), Objective("right", len)])
        Traceback (most recent call last):
        steelyard.errors.InputError: objective 'short' is gated by 'rigth', but the others are right (did you mean 'right'?)
    """
    names = [objective.name for objective in objectives]
    by_name = dict(zip(names, objectives, strict=True))
    for objective in objectives:
        others = [name for name in names if name != objective.name]
        if objective.gate is not None and objective.gate.objective not in others:
            wanted = objective.gate.objective
            raise InputError(
                f"objective {objective.name!r} is gated by {wanted!r}, but the others are {', '.join(others)}{nearest(wanted, others)}"
            )
        opener = None if objective.gate is None else by_name[objective.gate.objective]
        if opener is not None and objective.gate is not None and opener.bounds is not None and opener.measure is opener.reward:
            highest = opener.bounds[1]
            if objective.gate.at_least > highest:
                raise InputError(
                    f"the gate of {objective.name!r} never opens: it needs {opener.name!r} at {objective.gate.at_least:g}, which is {highest:g} at best"
                )


def reward_matrix(
    objectives: Sequence[Objective],
    *,
    prompts: Sequence | None = None,
    completions: Sequence | None = None,
    scores_BK: Tensor | None = None,
    domain_column: str = "domain",
    **columns: Any,
) -> Tensor:
    """The rewards of a batch, one row an answer, one column an objective; higher is better in every column.

    `R[i,k] = s_k r_k(answer i)`, where `s_k` is -1 for an objective that is minimised and has no measure of its own, else 1; NaN where objective k
    does not apply to answer i, or its gate is shut. Trainers call this very function, with the scores that TRL has gathered.

    Args:
        objectives: K of them, with different names.
        prompts, completions: B of each, texts or message lists; a prompt stands once an answer.
        scores_BK: raw scores that are known already, float `[B,K]`, NaN where an objective does not apply; in place of prompts and completions.
        domain_column: the column that `applies_to` looks at.
        columns: further columns of the prompts, a list of B values each (`answer`, `domain`, ...).

    Returns:
        float32 `[B,K]` (of given scores, their type), NaN where an objective does not apply or its gate is shut.

    Raises:
        InputError: where two objectives share a name, a gate names none of them, or both or neither of answers and scores are given.
        RewardError: where a reward fails.

    Example:
        >>> from steelyard.objectives import Gate
        >>> even = Objective("even", lambda prompts, completions: [None if text == "" else len(text) % 2 == 0 for text in completions])
        >>> reward_matrix([even], prompts=["p"] * 3, completions=["ab", "abc", ""]).tolist()
        [[1.0], [0.0], [nan]]
        >>> long = Objective("long", len, goal="minimize", gate=Gate("even"))
        >>> reward_matrix([even, long], scores_BK=torch.tensor([[1.0, 2.0], [0.0, 3.0]])).tolist()
        [[1.0, -2.0], [0.0, nan]]
    """
    check_names(objectives)
    if scores_BK is None:
        if prompts is None or completions is None:
            raise InputError(
                "rewards need answers (prompts= and completions=) or their scores (scores_BK=), but there are neither"
            )
        scores_KB = [
            [
                math.nan if score is None else score
                for score in objective.scores(prompts=prompts, completions=completions, domain_column=domain_column, **columns)
            ]
            for objective in objectives
        ]
        scores_BK = torch.tensor(scores_KB, dtype=torch.float32).T
    elif prompts is not None or completions is not None or columns:
        raise InputError(
            "rewards are made from answers or from their scores: give either prompts= and completions=, or scores_BK="
        )
    if scores_BK.ndim != 2 or scores_BK.shape[1] != len(objectives):
        raise InputError(
            f"scores must have shape [B, {len(objectives)}], a column an objective, but have {list(scores_BK.shape)}"
        )
    signs_K = torch.tensor([objective.reward_sign for objective in objectives]).to(scores_BK)
    return (apply_gates(scores_BK, objectives) * signs_K).contiguous()


def check_names(objectives: Sequence[Objective]) -> None:
    """Refuse objectives that share a name, and gates that name no other objective.

    Example:
        >>> check_names([Objective("a", lambda completions: []), Objective("a", lambda completions: [])])
        Traceback (most recent call last):
        steelyard.errors.InputError: two objectives are named 'a': give each a name of its own
    """
    seen = set()
    for objective in objectives:
        if objective.name in seen:
            raise InputError(f"two objectives are named {objective.name!r}: give each a name of its own")
        seen.add(objective.name)
    _check_gates(objectives)
