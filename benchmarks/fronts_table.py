"""Tables and figures from the runs of fronts.py: means, 95% intervals over seeds, paired differences."""

import platform
import statistics
from collections import defaultdict
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rows import interval

from steelyard.pareto import hypervolume

RESULTS = Path(__file__).parent / "results"
PAPERS_FIXED = ("fixed-accuracy", "fixed-balanced", "fixed-efficiency")
NAMES = {"grpo": "GRPO", "rloo": "RLOO", "reinforce": "REINFORCE", "brpo": "BRPO"}


def volume_so_far(row):
    """Hypervolume after every measured update."""
    points = [point for _, point in row["points"]]
    scale = dict(reference=[0.0, 80.0, 0.0], maximize=[True, False, True], scale=[1.0, 80.0, 1.0])
    return [step for step, _ in row["points"]], [hypervolume(points[: i + 1], **scale) for i in range(len(points))]


def reached_at(row, target):
    """The update at which a run's hypervolume reaches a target, between measured updates on a line; None if it never does."""
    steps, volumes = volume_so_far(row)
    target -= 1e-5  # rows are rounded
    if volumes[0] >= target:
        return 0.0
    for i in range(1, len(steps)):
        if volumes[i] >= target:
            share = (target - volumes[i - 1]) / (volumes[i] - volumes[i - 1])
            return steps[i - 1] + share * (steps[i] - steps[i - 1])
    return None


def describe(option):
    parts = [f"{k} {[round(x, 3) for x in v] if k == 'weights' else v}" for k, v in option.items() if k != "method"]
    return ", ".join(parts) or "defaults"


def by_method(rows, estimator):
    found = defaultdict(dict)
    for row in rows:
        if row["phase"] == "final" and row["estimator"] == estimator:
            found[row["method"]][row["seed"]] = row
    return found


def told_difference(found, method, other):
    """Paired by seed, with its interval; bold where that is clear of zero."""
    shared = [seed for seed in found[method] if seed in found.get(other, {})]
    if method == other or len(shared) < 2:
        return ""
    difference, width = interval([found[method][s]["hypervolume"] - found[other][s]["hypervolume"] for s in shared])
    told = f"{difference:+.4f} ± {width:.4f}"
    return f"**{told}**" if abs(difference) > width else told


def estimator_table(rows, estimator):
    found = by_method(rows, estimator)
    fixed = {m: statistics.mean(r["hypervolume"] for r in found[m].values()) for m in PAPERS_FIXED if m in found}
    best = max(fixed, key=fixed.get)
    updates = next(iter(found[best].values()))["points"][-1][0]
    lines = [
        f"## {NAMES[estimator]}",
        "",
        f"Best of the paper's three fixed settings, by its mean here: {best}. Differences are paired by seed; bold where the interval is clear of zero. "
        "The other two columns are controls: accuracy-focused weights at the learning rate that most others chose, and a constant of another kind.",
        "",
        "| method | setting (chosen on the tuning seed) | seeds | hypervolume | minus best fixed | minus fixed-accuracy at 2e-4 | minus .8/.1/.1 | reaches best fixed after | accuracy | tokens | clarity | weights at the end | s an update |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for method in sorted(found, key=lambda m: -statistics.mean(r["hypervolume"] for r in found[m].values())):
        runs = [found[method][seed] for seed in sorted(found[method])]
        mean, half = interval([r["hypervolume"] for r in runs])
        shared = [seed for seed in found[method] if seed in found[best]]
        told = [told_difference(found, method, other) for other in (best, "fixed-accuracy-at-2e-4", "fixed-accuracy-above-all")]
        reached = [reached_at(found[method][s], found[best][s]["hypervolume"]) for s in shared]
        there = [r for r in reached if r is not None]
        when = sorted(r if r is not None else float("inf") for r in reached)[len(reached) // 2]
        share = f"{when / updates:.2f} of the updates" if when < float("inf") else "not by half the seeds"
        ends = np.mean([r["points"][-1][1] for r in runs], axis=0)
        weights = np.mean([r["weights"][-1] for r in runs], axis=0)
        seconds = statistics.mean(sum(r["seconds"].values()) for r in runs)
        lines.append(
            f"| {method} | lr {runs[0]['learning_rate']:g}; {describe(runs[0]['weighting'])} | {len(runs)} | {mean:.4f} ± {half:.4f} "
            f"| {' | '.join(told)} | {share} ({len(there)} of {len(reached)}) "
            f"| {ends[0]:.3f} | {ends[1]:.1f} | {ends[2]:.3f} | {'/'.join(f'{w:.2f}' for w in weights)} | {seconds:.2f} |"
        )
    return [*lines, ""]


def tuning_table(rows):
    lines = [
        "## Every setting that was tried (tuning seed)", "", "| estimator | method | learning rate | setting | hypervolume |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    tuned = sorted(
        (r for r in rows if r["phase"] == "tune"),
        key=lambda r: (r["estimator"], r["method"], describe(r["weighting"]), r["learning_rate"]),
    )
    for r in tuned:
        lines.append(
            f"| {r['estimator']} | {r['method']} | {r['learning_rate']:g} | {describe(r['weighting'])} | {r['hypervolume']:.4f} |"
        )
    return [*lines, ""]


def figure(rows, estimators):
    """Hypervolume of every method: a dot a seed, a bar for the interval of the mean."""
    style = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "steelyard"}
    with matplotlib.rc_context(style):
        drawn = Figure(figsize=(4.6 * len(estimators) + 1.6, 5.2), layout="constrained")
        axes = drawn.subplots(1, len(estimators), squeeze=False)[0]
        for axis, estimator in zip(axes, estimators, strict=True):
            found = by_method(rows, estimator)
            order = sorted(found, key=lambda m: statistics.mean(r["hypervolume"] for r in found[m].values()))
            for y, method in enumerate(order):
                values = [r["hypervolume"] for r in found[method].values()]
                mean, half = interval(values)
                colour = (
                    "#6b7280"
                    if method in PAPERS_FIXED
                    else "#d1495b"
                    if method in ("gradient-influence", "hypervolume", "hypervolume-from-worst")
                    else "#1f6feb"
                )
                colour = "#2a9d5c" if method == "normalized-influence" else colour
                axis.errorbar(mean, y, xerr=half, fmt="o", color=colour, capsize=3, markersize=5)
                axis.scatter(values, [y] * len(values), color=colour, alpha=0.3, s=14, linewidths=0)
            axis.set_yticks(range(len(order)), order)
            axis.set_title(NAMES[estimator], fontweight="bold")
            axis.set_xlabel("hypervolume (mean, 95% interval; dots are seeds)")
            axis.grid(axis="x", color="#e6e8eb")
            axis.set_axisbelow(True)
    drawn.savefig(RESULTS / "fronts.png", dpi=110)


def write_table(rows):
    import steelyard

    # An estimator is shown when its fixed settings have three seeds, so that there is something to be paired with.
    done = [e for e in NAMES if min(len(by_method(rows, e).get(m, {})) for m in PAPERS_FIXED) >= 3]
    dates = sorted({r["date"] for r in rows})
    versions = sorted({f"steelyard {r['steelyard']}, torch {r['torch']}" for r in rows})
    text = [
        "# Fronts on the sums task", "",
        f"`make bench-fronts`; {dates[0]} to {dates[-1]}; {platform.machine()}, Python {platform.python_version()}, {'; '.join(versions)}; one thread a run. "
        f"Table by steelyard {steelyard.__version__}.", "",
        "40 updates of 64 answers from the embedded policy; hypervolume of the points measured every 8 updates on 512 held-out sums, from accuracy 0, "
        "80 tokens, clarity 0. Every method had four settings to choose from with GRPO, on one seed that is not used here; other estimators take those, but for "
        "the published gradient influence, whose mu is tuned for each (its scale is theirs). normalized-influence was developed on the tuning seed (LOG.md). "
        "Intervals are 95% t intervals over seeds.", "",
        "**Measured before runs had a test set.** These are hypervolumes of the validation points themselves, and of noisy points it counts the luckiest: that "
        "is worth up to +.017 here. It is the same for methods whose points lie alike, and differences of that size are no evidence.", "",
        "![Hypervolume of every method](fronts.png)", "",
    ]  # fmt: skip
    for estimator in done:
        text += estimator_table(rows, estimator)
    text += tuning_table(rows)
    (RESULTS / "fronts.md").write_text("\n".join(text))
    figure(rows, done)
    print("\n".join(text))
