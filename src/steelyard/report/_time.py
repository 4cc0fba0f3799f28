"""Where the time of a run went, and what judging came to: questions, cost, failures, and how long the run waited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from steelyard.report._drawing import STYLE, RunData, panels

PHASE_COLOURS = {
    "generation": "#4c78a8",
    "rewards": "#72b7b2",
    "weighting": "#e0a03b",
    "update": "#54a24b",
    "validation": "#b279a2",
    "checkpoint": "#9d9da1",
}
_SUMMED = ("pairs", "failed", "disagreed", "no_gradient", "groups", "calls", "cached", "tokens_in", "tokens_out", "price")


def phase_seconds(run: RunData) -> dict[str, float]:
    """Seconds a run spent in each phase.

    Example:
        >>> run = RunData("a", [], {}, [{"seconds": {"generation": 1.0}}, {"seconds": {"generation": 2.0}}], [], [])
        >>> phase_seconds(run)["generation"]
        3.0
    """
    totals = dict.fromkeys(PHASE_COLOURS, 0.0)
    for step in run.steps:
        for phase, seconds in step["seconds"].items():
            totals[phase] = totals.get(phase, 0.0) + seconds
    for validation in run.validations:
        totals["validation"] += validation["seconds"]
        totals["checkpoint"] += validation["checkpoint_seconds"]
    return totals


def time_figure(runs: Sequence[RunData]) -> Figure:
    """Where the time went, one bar a run."""
    figure, axes = panels(1, width=8.6, height=0.9 + 0.5 * len(runs))
    axis = axes[0]
    with matplotlib.rc_context(STYLE):
        left = np.zeros(len(runs))
        totals = [phase_seconds(run) for run in runs]
        for phase, colour in PHASE_COLOURS.items():
            widths = np.array([total[phase] for total in totals])
            if widths.sum() > 0:
                axis.barh(range(len(runs)), widths, left=left, color=colour, label=phase, height=0.62)
                left += widths
        axis.set_yticks(range(len(runs)), [run.label for run in runs])
        axis.invert_yaxis()
        axis.grid(axis="y", visible=False)
        axis.set_xlabel("seconds")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def judging_of(run: RunData) -> dict[str, Any]:
    """By judge, what it was asked in updates and in validations; and the share of the updates' time spent waiting. Empty where nothing was judged.

    Example:
        >>> step = {"seconds": {"rewards": 3.0, "update": 1.0}, "waited": 1.0, "judges": {"rubric": {"pairs": 4, "calls": 8}}}
        >>> found = judging_of(RunData("a", [], {}, [step, step], [], []))
        >>> found["waited"], found["judges"]["rubric"]["updates"]["calls"]
        (0.25, 16)
    """
    names = list(dict.fromkeys(name for record in (*run.steps, *run.validations) for name in record.get("judges", {})))
    if not names:
        return {}
    judges = {name: {"updates": _summed(run.steps, name), "validations": _summed(run.validations, name)} for name in names}
    seconds = sum(sum(step["seconds"].values()) for step in run.steps)
    waited = sum(step.get("waited", 0.0) for step in run.steps)
    return {"judges": judges, "waited": waited / seconds if seconds else 0.0, "waited_seconds": waited}


def _summed(records: list[dict[str, Any]], name: str) -> dict[str, float]:
    counts = [record.get("judges", {}).get(name, {}) for record in records]
    return {what: sum(one.get(what, 0) for one in counts) for what in _SUMMED}
