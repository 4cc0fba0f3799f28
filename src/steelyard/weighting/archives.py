"""Pareto archives on a scale that objectives and their bounds give."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.objectives import Objective
from steelyard.pareto import ParetoArchive


def run_archive(objectives: Sequence[Objective], start: Sequence[float]) -> ParetoArchive:
    """An archive on a scale that does not depend on the run where bounds are known: from the worst bound to the best counts as 1.

    Without bounds the start point is the reference, and its size the scale.

    Example:
        >>> archive = run_archive([Objective("right", len, bounds=(0, 1)), Objective("cost", len, goal="minimize", measure=len)], [0.5, 80.0])
        >>> archive.reference, archive.scale
        ([0.0, 80.0], [1.0, 80.0])
    """
    reference, scale = [], []
    for objective, value in zip(objectives, start, strict=True):
        low, high = objective.bounds if objective.bounds is not None else (value, value + (abs(value) or 1.0))
        reference.append(value if objective.bounds is None else low if objective.maximize else high)
        scale.append(high - low)
    return ParetoArchive(reference, maximize=[objective.maximize for objective in objectives], scale=scale)


def start_archive(objectives: Sequence[Objective], start: Sequence[float]) -> ParetoArchive:
    """An archive whose reference is the start point, and where the way from there to the best bound counts as 1.

    Where that way is nil (the start is the best possible) the whole range counts as 1; without bounds, the start value does.

    Example:
        >>> start_archive([Objective("short", len, goal="minimize", measure=len, bounds=(0, 64))], [40.0]).scale
        [40.0]
    """
    scale = []
    for objective, value in zip(objectives, start, strict=True):
        if objective.bounds is None:
            scale.append(abs(float(value)) or 1.0)
        else:
            low, high = objective.bounds
            way = (high - float(value)) if objective.maximize else (float(value) - low)
            scale.append(way if way > 0 else high - low)
    return ParetoArchive(start, maximize=[objective.maximize for objective in objectives], scale=scale)
