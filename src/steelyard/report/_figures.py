"""The pictures of a report: matplotlib figures from run logs, one function a figure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from steelyard.report._drawing import OBJECTIVE_COLOURS, RUN_COLOURS, STYLE, Points, RunData, panels
from steelyard.report._time import time_figure

_MOST_PAIRS = 6
"""Panels of the front: five objectives have ten pairs."""


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
    one policy at several preferences as squares; start and reference point marked.
    """
    objectives = runs[0].objectives
    pairs = _apart(runs)
    figure, axes = panels(len(pairs), height=3.5)
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
                if run.preferences:
                    at = np.array([[p["values"][o["name"]] for o in (x, y)] for p in run.preferences])
                    square: Any = {
                        "marker": "s",
                        "s": 34,
                        "facecolors": "white",
                        "edgecolors": colour,
                        "linewidths": 1.3,
                        "zorder": 4,
                    }
                    axis.scatter(at[:, 0], at[:, 1], label=f"{run.label}, by preference", **square)
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


def _apart(runs: Sequence[RunData]) -> list[tuple[int, int]]:
    """The pairs of objectives to draw: all, or of many those whose measures pull apart most, by their correlation over the validations."""
    objectives = runs[0].objectives
    pairs = list(itertools.combinations(range(len(objectives)), 2))
    if len(pairs) <= _MOST_PAIRS:
        return pairs
    signs = np.array([1.0 if one["goal"] == "maximize" else -1.0 for one in objectives])
    points = [np.array([[v["point"][one["name"]] for one in objectives] for v in run.validations]) for run in runs]
    gains = np.concatenate([each - each.mean(0) for each in points]) * signs
    lengths = np.linalg.norm(gains, axis=0)
    cosines = gains.T @ gains / np.maximum(np.outer(lengths, lengths), 1e-12)
    return sorted(sorted(pairs, key=lambda pair: cosines[pair])[:_MOST_PAIRS])


def weights_figure(runs: Sequence[RunData]) -> Figure:
    """The weights of every run over its updates."""
    figure, axes = panels(len(runs))
    with matplotlib.rc_context(STYLE):
        for axis, run in zip(axes, runs, strict=True):
            constant = len({value for s in run.steps for value in s["weights"].values()}) == 1
            for k, name in enumerate(run.names):
                axis.plot(
                    [s["step"] for s in run.steps],
                    [s["weights"][name] for s in run.steps],
                    color=OBJECTIVE_COLOURS[k % len(OBJECTIVE_COLOURS)],
                    label=name,
                    linewidth=1.8,
                    # Equal weights lie on one another: dashes that are offset against each other show them all.
                    linestyle=(4 * k, (4, 4 * (len(run.names) - 1))) if constant else "-",
                )
            top = max((max(s["weights"].values()) for s in run.steps), default=1.0)
            # Room for twice an equal share: of many objectives, weights are small.
            axis.set_ylim(0, min(1.02, max(2 / len(run.names), top * 1.1)))
            axis.set_title(run.label)
            axis.set_xlabel("update")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("weight")
        _legend_of_names(figure, axes)
    return figure


def objectives_figure(runs: Sequence[RunData]) -> Figure:
    """Every objective's measure on validation prompts over the updates, with two standard errors, one panel an objective."""
    names = {objective["name"]: _label(objective) for objective in runs[0].objectives}
    return _measured_figure(runs, names, "point", "standard_errors")


def probes_figure(runs: Sequence[RunData]) -> Figure | None:
    """Every probe on validation prompts over the updates, with two standard errors; None where no run has any."""
    names = dict.fromkeys(name for run in runs for v in run.validations for name in v.get("probes", {}))
    return _measured_figure(runs, {name: name for name in names}, "probes", "probe_errors") if names else None


def _measured_figure(runs: Sequence[RunData], titles: dict[str, str], values_in: str, errors_in: str) -> Figure:
    figure, axes = panels(len(titles))
    with matplotlib.rc_context(STYLE):
        for axis, (name, title) in zip(axes, titles.items(), strict=True):
            for r, run in enumerate(runs):
                having = [v for v in run.validations if name in v.get(values_in, {})]
                steps = [v["step"] for v in having]
                values = np.array([v[values_in][name] for v in having])
                errors = np.array([(v.get(errors_in) or {}).get(name) or 0.0 for v in having])
                colour = RUN_COLOURS[r % len(RUN_COLOURS)]
                axis.fill_between(steps, values - 2 * errors, values + 2 * errors, color=colour, alpha=0.1, linewidth=0)
                axis.plot(steps, values, color=colour, marker="o", markersize=3.5, linewidth=1.6, label=run.label)
            axis.set_title(title)
            axis.set_xlabel("update")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def rewards_figure(runs: Sequence[RunData], *, window: int = 5) -> Figure:
    """Mean raw reward of every objective in training, averaged over `window` updates."""
    objectives = runs[0].objectives
    figure, axes = panels(len(objectives))
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
    figure, axes = panels(1, width=5.6)
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
    figure, axes = panels(len(having))
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
        _legend_of_names(figure, axes)
    return figure


def _legend_of_names(figure: Figure, axes: Sequence[Axes]) -> None:
    """A legend above the panels, in as many columns as fit: a panel is about 48 characters wide."""
    handles, labels = axes[0].get_legend_handles_labels()
    fitting = max(1, 48 * min(3, len(axes)) // (max(map(len, labels)) + 8))
    figure.legend(handles, labels, loc="outside upper center", ncols=fitting)


def gram_cosine(gram: Sequence[Sequence[float]], j: int, k: int) -> float:
    """Cosine of the angle between two gradients, from their Gram matrix; NaN where one vanishes.

    Example:
        >>> gram_cosine([[4.0, -1.0], [-1.0, 1.0]], 0, 1)
        -0.5
    """
    lengths = max(0.0, gram[j][j]) * max(0.0, gram[k][k])
    return gram[j][k] / lengths**0.5 if lengths > 0 else float("nan")


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
        "probes": probes_figure(runs),
        "time": time_figure(runs),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}
