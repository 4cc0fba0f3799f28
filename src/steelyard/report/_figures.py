"""The pictures of a report: matplotlib figures from run logs, one function a figure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

RUN_COLOURS = ("#1f6feb", "#d1495b", "#2a9d5c", "#8e5bd6", "#c77d0a", "#128a9b", "#6b7280", "#b0307d")
OBJECTIVE_COLOURS = ("#0b7285", "#e07a1f", "#6741d9", "#c2255c", "#2b8a3e", "#5c6770")
PHASE_COLOURS = {
    "generation": "#4c78a8",
    "rewards": "#72b7b2",
    "weighting": "#e0a03b",
    "update": "#54a24b",
    "validation": "#b279a2",
    "checkpoint": "#9d9da1",
}


@dataclass(frozen=True)
class RunData:
    """What the figures need of a run.

    Attributes:
        label: its name in legends.
        objectives: `name`, `goal` and `bounds` of each.
        reference: the reference point, by objective.
        steps, validations: as in the run folder.
        front_steps: the steps of the validation points that no other beats by more than the noise.
        method, settings: the weighting's name, and the recipe.
        tested: what the test prompts said of the kept policies; None where there were none.
    """

    label: str
    objectives: list[dict[str, Any]]
    reference: dict[str, float]
    steps: list[dict[str, Any]]
    validations: list[dict[str, Any]]
    front_steps: list[int]
    method: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    tested: dict[str, Any] | None = None

    @property
    def names(self) -> list[str]:
        """The objectives' names."""
        return [objective["name"] for objective in self.objectives]


Points = list[tuple[int, float]]

STYLE: Any = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "axes.edgecolor": "#8a929c",
    "axes.labelcolor": "#2b3137",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "text.parse_math": False,  # names are the user's, dollar signs and all
    "svg.hashsalt": "steelyard",
}


def _axes(count: int, *, columns: int = 3, width: float = 3.9, height: float = 3.1) -> tuple[Figure, list[Axes]]:
    columns = min(columns, count)
    rows = -(-count // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def _label(objective: dict[str, Any]) -> str:
    return f"{objective['name']} ({'more' if objective['goal'] == 'maximize' else 'less'} is better)"


def _pairwise_front(points: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The rows of `[N,2]` that no other row dominates, sorted along the first axis."""
    gains = points * signs
    keep = [not ((gains >= gain).all(1) & (gains > gain).any(1)).any() for gain in gains]
    front = np.unique(points[keep], axis=0)
    return front[np.argsort(front[:, 0])]


def _error_of(validation: dict[str, Any], name: str) -> float:
    """The standard error of a measure; 0 where a run of an earlier version has none."""
    return float((validation.get("standard_errors") or {}).get(name) or 0.0)


def front_figure(runs: Sequence[RunData]) -> Figure:
    """Validation points in each pair of objectives: the front bold, with standard errors, the others faded; the kept policies on test prompts as diamonds;
    start and reference point marked.
    """
    objectives = runs[0].objectives
    pairs = list(itertools.combinations(range(len(objectives)), 2))
    figure, axes = _axes(len(pairs), height=3.5)
    with matplotlib.rc_context(STYLE):
        for axis, (i, j) in zip(axes, pairs, strict=True):
            x, y = objectives[i], objectives[j]
            signs = np.array([1.0 if o["goal"] == "maximize" else -1.0 for o in (x, y)])
            reference = [runs[0].reference[x["name"]], runs[0].reference[y["name"]]]
            for r, run in enumerate(runs):
                colour = RUN_COLOURS[r % len(RUN_COLOURS)]
                points = np.array([[v["point"][x["name"]], v["point"][y["name"]]] for v in run.validations])
                on_front = np.array([v["step"] in run.front_steps for v in run.validations])
                axis.plot(points[:, 0], points[:, 1], color=colour, alpha=0.13, linewidth=1)
                axis.scatter(points[~on_front, 0], points[~on_front, 1], color=colour, alpha=0.22, s=22, linewidths=0)
                axis.scatter(points[on_front, 0], points[on_front, 1], color=colour, s=34, linewidths=0, label=run.label)
                errors = np.array([[_error_of(v, o["name"]) for o in (x, y)] for v in run.validations])
                axis.errorbar(
                    points[on_front, 0],
                    points[on_front, 1],
                    xerr=errors[on_front, 0],
                    yerr=errors[on_front, 1],
                    fmt="none",
                    ecolor=colour,
                    elinewidth=0.8,
                    alpha=0.55,
                )
                edge = _pairwise_front(points, signs)
                axis.plot(edge[:, 0], edge[:, 1], color=colour, linewidth=1.4)
                if run.tested is not None:
                    tested = np.array([[p["values"][o["name"]] for o in (x, y)] for p in run.tested["policies"]])
                    mark: Any = {
                        "marker": "D",
                        "s": 30,
                        "facecolors": "white",
                        "edgecolors": colour,
                        "linewidths": 1.3,
                        "zorder": 4,
                    }
                    axis.scatter(tested[:, 0], tested[:, 1], label=f"{run.label}, test prompts", **mark)
                axis.scatter(points[:1, 0], points[:1, 1], facecolors="none", edgecolors=colour, s=90, linewidths=1.3)
            axis.scatter(
                reference[0],
                reference[1],
                marker="x",
                color="#22272e",
                s=48,
                linewidths=1.6,
                label="reference point",
                clip_on=False,
                zorder=5,
            )
            axis.set_xlabel(_label(x))
            axis.set_ylabel(_label(y))
            for set_limit, current, sign in (
                (axis.set_xlim, axis.get_xlim(), signs[0]),
                (axis.set_ylim, axis.get_ylim(), signs[1]),
            ):
                # Better is always to the right and up.
                if sign < 0:
                    set_limit(current[::-1])
        handles, labels = axes[0].get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=min(6, len(unique)))
    return figure


def weights_figure(runs: Sequence[RunData]) -> Figure:
    """The weights of every run over its updates."""
    figure, axes = _axes(len(runs))
    with matplotlib.rc_context(STYLE):
        for axis, run in zip(axes, runs, strict=True):
            constant = len({value for s in run.steps for value in s["weights"].values()}) == 1
            for k, name in enumerate(run.names):
                axis.plot(
                    [s["step"] for s in run.steps],
                    [s["weights"][name] for s in run.steps],
                    color=OBJECTIVE_COLOURS[k % 6],
                    label=name,
                    linewidth=1.8,
                    # Equal weights lie on one another: dashes that are offset against each other show them all.
                    linestyle=(4 * k, (4, 4 * (len(run.names) - 1))) if constant else "-",
                )
            top = max((max(s["weights"].values()) for s in run.steps), default=1.0)
            axis.set_ylim(0, min(1.02, max(0.6, top * 1.1)))
            axis.set_title(run.label)
            axis.set_xlabel("update")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("weight")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def objectives_figure(runs: Sequence[RunData]) -> Figure:
    """Every objective's measure on validation prompts over the updates, with two standard errors, one panel an objective."""
    objectives = runs[0].objectives
    figure, axes = _axes(len(objectives))
    with matplotlib.rc_context(STYLE):
        for axis, objective in zip(axes, objectives, strict=True):
            for r, run in enumerate(runs):
                steps = [v["step"] for v in run.validations]
                values = np.array([v["point"][objective["name"]] for v in run.validations])
                errors = np.array([_error_of(v, objective["name"]) for v in run.validations])
                colour = RUN_COLOURS[r % len(RUN_COLOURS)]
                axis.fill_between(steps, values - 2 * errors, values + 2 * errors, color=colour, alpha=0.1, linewidth=0)
                axis.plot(
                    steps,
                    values,
                    color=colour,
                    marker="o",
                    markersize=3.5,
                    linewidth=1.6,
                    label=run.label,
                )
            axis.set_title(_label(objective))
            axis.set_xlabel("update")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def rewards_figure(runs: Sequence[RunData], *, window: int = 5) -> Figure:
    """Mean raw reward of every objective in training, averaged over `window` updates."""
    objectives = runs[0].objectives
    figure, axes = _axes(len(objectives))
    with matplotlib.rc_context(STYLE):
        for axis, objective in zip(axes, objectives, strict=True):
            for r, run in enumerate(runs):
                rows = [
                    (s["step"], s["rewards"][objective["name"]]["mean"])
                    for s in run.steps
                    if s["rewards"][objective["name"]]["mean"] is not None
                ]
                steps, values = [row[0] for row in rows], [row[1] for row in rows]
                smooth = [float(np.mean(values[max(0, i - window + 1) : i + 1])) for i in range(len(values))]
                colour = RUN_COLOURS[r % len(RUN_COLOURS)]
                axis.plot(steps, values, color=colour, alpha=0.2, linewidth=0.9)
                axis.plot(steps, smooth, color=colour, linewidth=1.6, label=run.label)
            axis.set_title(f"{objective['name']}: reward in training")
            axis.set_xlabel("update")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def hypervolume_figure(runs: Sequence[RunData]) -> Figure:
    """Hypervolume of all validation points so far, over the updates."""
    figure, axes = _axes(1, width=5.6)
    with matplotlib.rc_context(STYLE):
        for r, run in enumerate(runs):
            steps, values = [v["step"] for v in run.validations], [v["hypervolume"] for v in run.validations]
            axes[0].plot(
                steps, values, color=RUN_COLOURS[r % len(RUN_COLOURS)], marker="o", markersize=3.5, linewidth=1.6, label=run.label
            )
        axes[0].set_xlabel("update")
        axes[0].set_ylabel("hypervolume")
        axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].legend()
    return figure


def influence_figure(runs: Sequence[RunData]) -> Figure | None:
    """Influence of every objective's gradient over the updates; None where no run has any."""

    def lines(run: RunData) -> dict[str, Points]:
        rows = [s for s in run.steps if "influence" in s]
        return {name: [(s["step"], s["influence"][name]) for s in rows] for name in run.names} if rows else {}

    return _signed_figure(runs, lines, OBJECTIVE_COLOURS, "influence")


def cosines_figure(runs: Sequence[RunData]) -> Figure | None:
    """Cosine between each two objectives' gradients over the updates; None where no run has Gram matrices."""

    def lines(run: RunData) -> dict[str, Points]:
        rows = [s for s in run.steps if "gram" in s]
        pairs = itertools.combinations(range(len(run.names)), 2)
        return {
            f"{run.names[j]} and {run.names[k]}": [(s["step"], gram_cosine(s["gram"], j, k)) for s in rows]
            for j, k in pairs
            if rows
        }

    figure = _signed_figure(runs, lines, RUN_COLOURS, "cosine of gradients")
    for axis in figure.axes if figure is not None else []:
        axis.set_ylim(-1.05, 1.05)
    return figure


def _signed_figure(
    runs: Sequence[RunData], lines: Callable[[RunData], dict[str, Points]], colours: Sequence[str], label: str
) -> Figure | None:
    """A panel for each run that has lines, around zero; None where none has."""
    having = [(run, lines(run)) for run in runs if lines(run)]
    if not having:
        return None
    figure, axes = _axes(len(having))
    with matplotlib.rc_context(STYLE):
        for axis, (run, drawn) in zip(axes, having, strict=True):
            for k, (name, points) in enumerate(drawn.items()):
                few = "." if len(points) < 20 else None
                axis.plot(*zip(*points, strict=True), color=colours[k % len(colours)], label=name, linewidth=1.2, marker=few)
            axis.axhline(0, color="#8a929c", linewidth=0.8)
            axis.set_title(run.label)
            axis.set_xlabel("update")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel(label)
        handles, labels = axes[0].get_legend_handles_labels()
        # A panel is about 48 characters wide.
        fitting = max(1, 48 * min(3, len(having)) // (max(map(len, labels)) + 8))
        figure.legend(handles, labels, loc="outside upper center", ncols=fitting)
    return figure


def gram_cosine(gram: Sequence[Sequence[float]], j: int, k: int) -> float:
    """Cosine of the angle between two gradients, from their Gram matrix; NaN where one vanishes.

    Example:
        >>> gram_cosine([[4.0, -1.0], [-1.0, 1.0]], 0, 1)
        -0.5
    """
    lengths = max(0.0, gram[j][j]) * max(0.0, gram[k][k])
    return gram[j][k] / lengths**0.5 if lengths > 0 else float("nan")


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
    figure, axes = _axes(1, width=8.6, height=0.9 + 0.5 * len(runs))
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


def all_figures(runs: Sequence[RunData]) -> dict[str, Figure]:
    """Every figure that these runs have something for, by name."""
    figures = {
        "front": front_figure(runs),
        "weights": weights_figure(runs),
        "objectives": objectives_figure(runs),
        "rewards": rewards_figure(runs),
        "hypervolume": hypervolume_figure(runs),
        "influence": influence_figure(runs),
        "cosines": cosines_figure(runs),
        "time": time_figure(runs),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}
