"""The report of supervised runs: the held-out loss of every domain, against its size and over the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from steelyard.errors import InputError
from steelyard.report._drawing import RUN_COLOURS, STYLE
from steelyard.runlog import RunLog

LOW = 0.1
"""Low-resource: domains with less than this share of what each would have if all were of one size."""


@dataclass(frozen=True)
class DomainRun:
    """What the page needs of a supervised run.

    Attributes:
        label: its name in legends.
        domains: counts of every domain, from data.json.
        steps, validations: as in the run folder.
        settings: the resolved recipe.
    """

    label: str
    domains: dict[str, dict[str, int]]
    steps: list[dict[str, Any]]
    validations: list[dict[str, Any]]
    settings: dict[str, Any]

    @property
    def mixture(self) -> str:
        """The mixture in a few words."""
        mixture = self.settings["mixture"]
        how = "" if mixture["by"] == "sampling" else ", by loss weights"
        return f"{mixture['schedule']}{how}, {mixture['draw']}"

    def groups(self) -> dict[str, list[str]]:
        """Names of the high-, middle- and low-resource domains that have held-out rows."""
        sizes = {name: counts["examples"] for name, counts in self.domains.items() if counts["examples"]}
        high, low = resource_groups(sizes)
        measured = [name for name in sizes if name in self.validations[-1]["losses"]]
        return {
            "high": [name for name in measured if name in high],
            "middle": [name for name in measured if name not in high and name not in low],
            "low": [name for name in measured if name in low],
        }

    def group_losses(self, group: str) -> list[tuple[int, float]]:
        """The mean held-out loss of a group's domains, each counting once, by step."""
        names = self.groups()[group]
        return [(v["step"], float(np.mean([v["losses"][name] for name in names]))) for v in self.validations if names]


def resource_groups(sizes: dict[str, int]) -> tuple[set[str], set[str]]:
    """The high- and the low-resource domains: of D, those that hold more than 1/D of all examples, and less than a tenth of that.

    Example:
        >>> high, low = resource_groups({"en": 900, "fr": 90, "sw": 9, "lo": 1})
        >>> sorted(high), sorted(low)
        (['en'], ['lo', 'sw'])
    """
    fair = sum(sizes.values()) / max(1, len(sizes))
    return {name for name, size in sizes.items() if size > fair}, {name for name, size in sizes.items() if size < LOW * fair}


def read_domain_run(path: Path, settings: dict[str, Any]) -> DomainRun:
    """Read what the page needs from a run folder."""
    log = RunLog(path)
    validations = log.validations()
    if not validations or not (path / "data.json").is_file():
        raise InputError(f"{path} has no validation yet: wait for the first, then ask again")
    domains = json.loads((path / "data.json").read_text(encoding="utf-8"))["domains"]
    return DomainRun(path.name, domains, log.steps(), validations, settings)


def domain_rows(run: DomainRun) -> list[dict[str, Any]]:
    """A row a domain, the largest first: what there is of it, how often it was drawn, and how its held-out loss went."""
    drawn: Counter[str] = Counter()
    for step in run.steps:
        drawn.update(step["draws"])
    total = sum(drawn.values()) or 1
    rows = []
    for name, counts in sorted(run.domains.items(), key=lambda item: -item[1]["examples"]):
        losses = [(v["losses"][name], v["step"]) for v in run.validations if name in v["losses"]]
        lowest = min(losses, default=(None, None))
        # Half a percent is more than a validation's noise from batch order, and less than anything one would act on.
        turned = bool(losses) and losses[-1][0] > 1.005 * (lowest[0] or 0.0)
        since = sum(step["draws"].get(name, 0) for step in run.steps if lowest[1] is not None and step["step"] > lowest[1])
        rows.append(
            {
                "name": name,
                **counts,
                "drawn": drawn[name],
                "share": drawn[name] / total,
                "epochs": drawn[name] / counts["examples"] if counts["examples"] else 0.0,
                "start": losses[0][0] if losses else None,
                "end": losses[-1][0] if losses else None,
                "lowest": lowest[0],
                "lowest_at": lowest[1],
                "turned": turned,
                # Seen again and again while it rose, it is learned too well; hardly seen, it is forgotten.
                "why": None if not turned else "overfitting" if since >= counts["examples"] else "forgetting",
            }
        )
    return rows


def size_figure(runs: Sequence[DomainRun]) -> Figure:
    """Held-out loss at the end and number of passes of every domain, against its size."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.4, 4.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        for r, run in enumerate(runs):
            rows = domain_rows(run)
            for axis, key in ((left, "end"), (right, "epochs")):
                shown = [row for row in rows if row[key] and row["examples"]]
                sizes = [row["examples"] for row in shown]
                line = "o" if key == "end" else "o-"
                axis.plot(
                    sizes,
                    [row[key] for row in shown],
                    line,
                    color=RUN_COLOURS[r % 8],
                    markersize=3.5,
                    linewidth=0.9,
                    label=run.label,
                )
        for axis in (left, right):
            axis.set_xscale("log")
            axis.set_xlabel("examples of the domain")
        left.set_ylabel("held-out loss at the end, nats a token")
        right.set_yscale("log")
        right.set_ylabel("times each example was seen")
        if len(runs) > 1:
            left.legend()
        for row in domain_rows(runs[0])[:3] + domain_rows(runs[0])[-3:]:
            if row["end"] is not None:
                left.annotate(row["name"], (row["examples"], row["end"]), xytext=(3, 3), textcoords="offset points", fontsize=7.5)
    return figure


def losses_figure(runs: Sequence[DomainRun]) -> Figure:
    """The mean held-out loss of high-, middle- and low-resource domains over updates."""
    groups = [group for group in ("high", "middle", "low") if all(run.groups()[group] for run in runs)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.9 * max(1, len(groups)), 3.3), layout="constrained")
        axes = figure.subplots(1, max(1, len(groups)), squeeze=False).ravel().tolist()
        for axis, group in zip(axes, groups, strict=False):
            for r, run in enumerate(runs):
                points = run.group_losses(group)
                axis.plot(
                    *zip(*points, strict=True), "o-", color=RUN_COLOURS[r % 8], markersize=3, linewidth=1.3, label=run.label
                )
            axis.set_title(f"{group}-resource domains ({len(runs[0].groups()[group])})")
            axis.set_xlabel("update")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylabel("mean held-out loss, nats a token")
        if len(runs) > 1:
            axes[0].legend()
    return figure


def shares_figure(runs: Sequence[DomainRun]) -> Figure:
    """The share of the draws that fell to each group, over updates."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.9 * min(len(runs), 3), 2.9 * -(-len(runs) // 3)), layout="constrained")
        axes = figure.subplots(-(-len(runs) // 3), min(len(runs), 3), squeeze=False).ravel().tolist()
        for spare in axes[len(runs) :]:
            spare.remove()
        for axis, run in zip(axes, runs, strict=False):
            window = max(1, len(run.steps) // 40)
            names = run.groups()
            for group, colour in zip(("high", "middle", "low"), ("#0b7285", "#e07a1f", "#6741d9"), strict=True):
                if not names[group] or not run.steps:
                    continue
                counts = np.array(
                    [[sum(s["draws"].get(name, 0) for name in names[group]), sum(s["draws"].values())] for s in run.steps]
                )
                whole = counts[: len(counts) // window * window].reshape(-1, window, 2).sum(1)
                at = [run.steps[i * window]["step"] for i in range(len(whole))]
                axis.step(
                    at,
                    whole[:, 0] / whole[:, 1],
                    where="post",
                    color=colour,
                    label=f"{group} ({len(names[group])})",
                    linewidth=1.4,
                )
            axis.set_ylim(0, 1)
            axis.set_title(run.label)
            axis.set_xlabel("update")
        axes[0].set_ylabel("share of the draws")
        axes[0].legend()
    return figure


FIGURES: dict[str, Callable[[Sequence[DomainRun]], Figure]] = {
    "sizes": size_figure,
    "losses": losses_figure,
    "shares": shares_figure,
}


def summarise_domains(run: DomainRun) -> dict[str, Any]:
    """A run in one row."""
    groups = {group: points[-1][1] for group in ("high", "middle", "low") if (points := run.group_losses(group))}
    rows = [row for row in domain_rows(run) if row["end"] is not None]
    return {
        "label": run.label,
        "mixture": run.mixture,
        "updates": len(run.steps),
        "loss": run.validations[-1]["loss"],
        "mean": float(np.mean([row["end"] for row in rows])),
        "groups": groups,
        "most": max(domain_rows(run), key=lambda row: row["epochs"]),
        "turned": sum(row["turned"] for row in rows),
        "measured": len(rows),
        "seconds": sum(step["seconds"] for step in run.steps) + sum(v["seconds"] for v in run.validations),
    }
