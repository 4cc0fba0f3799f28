"""Probes: measures of held-out answers that are never a reward, to see a policy that learns to please its rewards and grows no better."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object

from steelyard.errors import InputError, nearest
from steelyard.objectives import Objective, check_names

_Mean = tuple[float, float]
"""A mean and its standard error."""
_SURE = 2.0
"""Standard errors of a difference from which on it counts as a rise or a fall."""


class Probes:
    """What a trainer measures beside its objectives, at every validation, and warns of.

    Args:
        probes: objectives, of which the measures are used and the rewards never.
        objectives: those that are trained on; a probe may not have the name of one.
        domain_column: which `applies_to` looks at.

    Raises:
        InputError: where names are not unique.

    Example:
        >>> probes = Probes([Objective("right", len)], [Objective("pleasing", len)])
        >>> probes.watch(0, {"pleasing": (0.5, 0.02)}, {"right": (0.6, 0.02)})
        >>> probes.alarms(40, {"pleasing": (0.8, 0.02)}, {"right": (0.4, 0.02)})
        ["update 40: probe 'right' got worse, from 0.6 to 0.4, while objective 'pleasing' got better, from 0.5 to 0.8"]

    Reference:
        arXiv 2608.11669: the reward of a training judge rises while that of a judge which nobody trains against falls.
    """

    def __init__(self, probes: Sequence[Objective], objectives: Sequence[Objective], domain_column: str = "domain") -> None:
        self.probes, self.objectives, self.domain_column = list(probes), list(objectives), domain_column
        check_probes(self.probes, self.objectives)
        self._start: dict[str, _Mean] = {}
        self._named: list[str] = []
        self.latest_BP = torch.zeros(0, len(self.probes))

    @property
    def names(self) -> list[str]:
        """The probes' names."""
        return [probe.name for probe in self.probes]

    def score(self, trainer: Any, rows: Sequence[Mapping[str, Any]], prompts: list, completions: list, ids: list) -> None:
        """Measure the answers of a validation's batch, those of all processes: `[B,P]`, NaN where a probe does not apply."""
        if not self.probes or not trainer.is_measuring():
            return
        columns = {key: [row.get(key) for row in rows] for key in rows[0] if key not in ("prompt", "completion")}
        given = {"prompts": prompts, "completions": completions, "completion_ids": ids, **columns}
        found = [probe.scores(measuring=True, domain_column=self.domain_column, **given) for probe in self.probes]
        everyone = gather_object([[math.nan if value is None else value for value in each] for each in zip(*found, strict=True)])
        self.latest_BP = torch.tensor(everyone, dtype=torch.float64)

    def watch(self, step: int, objectives: Mapping[str, _Mean], probes: Mapping[str, _Mean]) -> None:
        """Take in a validation: warn of a probe that is worse than at the start while an objective is better, once a probe."""
        for line in self.alarms(step, objectives, probes):
            warnings.warn(
                f"{line}: the policy may have learnt to please the reward; read its answers (steelyard explain)", stacklevel=2
            )
        for name, mean in {**objectives, **probes}.items():
            self._start.setdefault(name, mean)

    def alarms(self, step: int, objectives: Mapping[str, _Mean], probes: Mapping[str, _Mean]) -> list[str]:
        """A line for each probe that got worse by more than the noise while an objective got better, and was not named before."""
        better = [(one, self._change(one, objectives)) for one in self.objectives]
        best = max((found for found in better if found[1] is not None), key=lambda found: found[1] or 0.0, default=None)
        lines: list[str] = []
        for probe in self.probes:
            change = self._change(probe, probes)
            if best is None or change is None or probe.name in self._named or change > -_SURE or (best[1] or 0.0) < _SURE:
                continue
            self._named.append(probe.name)
            lines.append(
                f"update {step}: probe {probe.name!r} got worse, from {self._start[probe.name][0]:.3g} to {probes[probe.name][0]:.3g}, "
                f"while objective {best[0].name!r} got better, from {self._start[best[0].name][0]:.3g} to {objectives[best[0].name][0]:.3g}"
            )
        return lines

    def _change(self, one: Objective, now: Mapping[str, _Mean]) -> float | None:
        """How much better a measure is than at the start, in standard errors of the difference; None where nobody knows."""
        if one.name not in self._start or one.name not in now:
            return None
        (before, error_before), (after, error_after) = self._start[one.name], now[one.name]
        gained = (after - before) * (1 if one.goal == "maximize" else -1)
        noise = math.hypot(error_before, error_after)
        return gained / noise if noise > 0 else math.copysign(math.inf, gained) if gained else 0.0

    def state_dict(self) -> dict[str, Any]:
        """What the start was like, which probes were named, and the states of those that have one."""
        kept = {probe.name: probe.state_dict() for probe in self.probes}
        return {"start": {name: list(mean) for name, mean in self._start.items()}, "named": self._named, "probes": kept}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Take over the state of an earlier run; None: of one that had no probes.

        Raises:
            InputError: where it had others.
        """
        if state is None:
            return
        self._start = {name: (mean[0], mean[1]) for name, mean in state["start"].items()}
        self._named = list(state["named"])
        for probe in self.probes:
            if probe.name not in state["probes"]:
                known = list(state["probes"])
                raise InputError(
                    f"the run began without probe {probe.name!r}{nearest(probe.name, known)}: give those that it began with"
                )
            probe.load_state_dict(state["probes"][probe.name])


def check_probes(probes: Sequence[Objective], objectives: Sequence[Objective]) -> None:
    """Refuse names that are not unique, also beside the objectives'.

    Example:
        >>> check_probes([Objective("right", len)], [Objective("right", len)])
        Traceback (most recent call last):
        steelyard.errors.InputError: probe 'right' has the name of an objective, but a probe is never a reward: give it another name
    """
    check_names(probes)
    trained = [objective.name for objective in objectives]
    for name in (probe.name for probe in probes):
        if name in trained:
            raise InputError(f"probe {name!r} has the name of an objective, but a probe is never a reward: give it another name")
