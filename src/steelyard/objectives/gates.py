"""Objectives that count only where another one passed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steelyard.errors import InputError, nearest

if TYPE_CHECKING:
    from steelyard.objectives.objective import Objective


@dataclass(frozen=True)
class Gate:
    """Opens an objective only on answers where another objective's raw reward is high enough.

    Attributes:
        objective: the other one's name.
        at_least: its least raw reward that opens the gate.
        otherwise: the reward where the gate is shut. None leaves the objective out there, so that only answers that passed are compared;
            a low number (GDPO's conditioned reward) makes passing part of it, so that it also pushes towards passing.

    Where the other objective does not apply, the gate is shut. Gates look at raw rewards, not at what other gates leave of them.

    Example:
        >>> Gate("accuracy")
        Gate(objective='accuracy', at_least=1.0, otherwise=None)
    """

    objective: str
    at_least: float = 1.0
    otherwise: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.at_least) or not (self.otherwise is None or math.isfinite(self.otherwise)):
            raise InputError(f"a gate's at_least and otherwise must be finite, but are {self.at_least} and {self.otherwise}")


def apply_gates(scores_BK: Tensor, objectives: Sequence[Objective]) -> Tensor:
    """Shut the gates: raw scores in, the same out, but for objectives whose gate is shut on an answer.

    Args:
        scores_BK: raw scores, float `[B,K]`, NaN where an objective does not apply.
        objectives: K of them.

    Returns:
        float `[B,K]`; the given tensor itself is left alone.

    Example:
        >>> from steelyard.objectives import Objective
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


def check_gates(objectives: Sequence[Objective]) -> None:
    """Refuse gates that name no other objective.

    Example:
        >>> from steelyard.objectives import Objective
        >>> check_gates([Objective("short", len, gate=Gate("rigth")), Objective("right", len)])
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
