"""Objectives that count only where another one passed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from steelyard.errors import InputError


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
