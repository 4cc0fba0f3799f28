"""Table and figures of the mixture study."""

import platform
import statistics
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rows import interval

from steelyard.report._drawing import RUN_COLOURS, STYLE

RESULTS = Path(__file__).parent / "results"
GROUPS = ("high", "middle", "low")


HIGH, LOW = 0.8, 0.01


def resource_groups(sizes: dict[str, int]) -> tuple[set[str], set[str]]:
    """The groups of the study: the largest domains that together hold four fifths of all examples, and those that hold less than a hundredth each."""
    total, held, high = sum(sizes.values()), 0, set()
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if held >= HIGH * total:
            break
        high.add(name)
        held += sizes[name]
    return high, {name for name, size in sizes.items() if size < LOW * total and name not in high}


def groups_of(row):
    """Held-out domains of each group, as in the report of a run."""
    high, low = resource_groups(row["examples"])
    measured = row["curve"][-1]["losses"]
    return {
        "high": [d for d in measured if d in high],
        "middle": [d for d in measured if d not in high and d not in low],
        "low": [d for d in measured if d in low],
    }


def group_means(row, point=-1):
    """The mean held-out loss of each group's domains, each counting once, and of all."""
    losses = row["curve"][point]["losses"]
    means = {group: statistics.mean(losses[d] for d in domains) for group, domains in groups_of(row).items() if domains}
    return means | {"all": statistics.mean(losses.values())}


def overfitted(row):
    """How many low-resource domains end more than half a percent above their lowest loss, and by how much on average."""
    rises = []
    for domain in groups_of(row)["low"]:
        path = [point["losses"][domain] for point in row["curve"]]
        rises.append(path[-1] / min(path) - 1)
    return sum(rise > 0.005 for rise in rises), statistics.mean(rises)


WHAT = {
    "tldr": "tldr pages, 39 languages, from nothing",
    "few": "a tenth of the tldr pages, 39 languages, from nothing",
    "po": "English interface strings into many languages, from nothing",
}


PAIRS = (
    ("cooldown", "tau=5"), ("cooldown", "increasing"), ("cooldown", "linear"), ("tau=5", "scalarization"), ("stratified tau=1", "tau=1"),
    ("stratified tau=5", "tau=5"), ("stratified cooldown", "cooldown"), ("stratified cooldown", "stratified tau=5"), ("stratified cooldown", "stratified tau=1"),
    ("cooldown at cap", "stratified cooldown"), ("adaptive cooldown", "stratified cooldown"), ("adaptive cooldown", "stratified tau=5"),
)  # fmt: skip
"""What the study asks: one arm and another that differs from it in one thing."""


def pairs_table(rows):
    means = {(row["arm"], row["seed"]): group_means(row) for row in rows}
    lines = [
        "",
        "Differences paired by seed, in per cent of the second's loss:",
        "",
        "| arm | minus | seeds | high | low | all |",
        "|---|---|---|---|---|---|",
    ]
    for arm, other in PAIRS:
        seeds = [seed for (name, seed) in means if name == arm and (other, seed) in means]
        if len(seeds) < 2:
            continue
        cells = [percent([means[arm, s][group] / means[other, s][group] - 1 for s in seeds]) for group in ("high", "low", "all")]
        lines.append(f"| {arm} | {other} | {len(seeds)} | {' | '.join(cells)} |")
    return lines if len(lines) > 5 else []


def percent(ratios):
    """A mean of relative differences with its interval, bold where clear of zero."""
    mean, half = interval([100 * ratio for ratio in ratios])
    text = f"{mean:+.1f}% ± {half:.1f}"
    return f"**{text}**" if abs(mean) > half else text


def write_tables(data):
    for name, rows in data.items():
        if rows:
            write_table(name, rows)
    write_overview({name: rows for name, rows in data.items() if rows})


def write_overview(data):
    """Every comparison on all data side by side, and what stratified draws do over all of them."""
    means = {(name, row["arm"], row["seed"]): group_means(row) for name, rows in data.items() for row in rows}
    lines = [
        "# Mixtures: every comparison on all data", "",
        "Held-out loss of one arm minus another's, paired by seed, in per cent of the second's, with 95% intervals; bold where clear of zero. "
        + " ".join(f"[{name}](mixture_{name}.md): {WHAT[name]}." for name in data), "",
        "| arm | minus |" + "".join(f" {name}, high | {name}, low |" for name in data), "|---|---|" + "---|---|" * len(data),
    ]  # fmt: skip

    def ratios(name, arm, other, group):
        seeds = [s for n, a, s in means if (n, a) == (name, arm) and (name, other, s) in means]
        return [means[name, arm, s][group] / means[name, other, s][group] - 1 for s in seeds]

    for arm, other in PAIRS:
        cells = [ratios(name, arm, other, group) for name in data for group in ("high", "low")]
        lines.append(f"| {arm} | {other} | " + " | ".join(percent(found) if len(found) > 1 else "" for found in cells) + " |")
    stratified = [(arm, other) for arm, other in PAIRS if arm == f"stratified {other}"]
    found = [ratio for name in data for arm, other in stratified for ratio in ratios(name, arm, other, "all")]
    lower = sum(statistics.mean(r) < 0 for name in data for arm, other in stratified if (r := ratios(name, arm, other, "all")))
    compared = sum(bool(ratios(name, arm, other, "all")) for name in data for arm, other in stratified)
    lines += ["", f"Stratified draws minus independent ones, over all languages: lower in {lower} of {compared} comparisons, {percent(found)} over {len(found)} pairs.", ""]  # fmt: skip
    (RESULTS / "mixture.md").write_text("\n".join(lines))
    print("\n".join(lines))


def write_table(name, rows):
    arms = list(dict.fromkeys(row["arm"] for row in sorted(rows, key=lambda row: row["seed"])))
    base = {row["seed"]: group_means(row) for row in rows if row["arm"] == "tau=1"}
    groups = groups_of(rows[0])
    named = {group: len(domains) for group, domains in groups.items()}
    lines = [
        f"# Mixtures: {WHAT[name]}", "",
        f"`python benchmarks/mixture_study.py {name} FILE`, {min(r['date'] for r in rows)} to {max(r['date'] for r in rows)}; {platform.machine()}, one thread a run, "
        f"steelyard {rows[-1]['steelyard']}, torch {rows[-1]['torch']}. {rows[0]['updates']} updates, learning rate {rows[0]['rate']:g}, nothing tuned by arm.", "",
        f"Held-out loss in nats a byte, each language counting once: {named['high']} high-resource ({', '.join(groups['high'])}), {named['middle']} in the middle, "
        f"{named['low']} low-resource. Means over seeds with 95% intervals; differences to tau=1 are paired by seed, bold where clear of zero.", "",
        f"![Low- against high-resource loss](mixture_{name}.png)", "",
        "| arm | seeds | high | minus tau=1 | low | minus tau=1 | all | low-resource languages that end above their lowest | seen most often |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for arm in sorted(arms, key=lambda arm: statistics.mean(group_means(r)["all"] for r in rows if r["arm"] == arm)):
        mine = [row for row in rows if row["arm"] == arm]
        cells = []
        for group in ("high", "low"):
            cells.append("{:.4f} ± {:.4f}".format(*interval([group_means(row)[group] for row in mine])))
            paired = [group_means(row)[group] - base[row["seed"]][group] for row in mine if row["seed"] in base]
            mean, half = interval(paired) if paired else (0.0, 0.0)
            text = f"{mean:+.4f} ± {half:.4f}"
            cells.append("" if arm == "tau=1" or not paired else f"**{text}**" if abs(mean) > half else text)
        everything = interval([group_means(row)["all"] for row in mine])
        risen = [overfitted(row) for row in mine]
        epochs = {d: statistics.mean(row["drawn"].get(d, 0) for row in mine) / n for d, n in mine[0]["examples"].items()}
        most = max(epochs, key=epochs.__getitem__)
        lines.append(
            f"| {arm} | {len(mine)} | {' | '.join(cells)} | {everything[0]:.4f} ± {everything[1]:.4f} "
            f"| {statistics.mean(count for count, _ in risen):.1f} of {named['low']}, by {statistics.mean(rise for _, rise in risen):.1%} "
            f"| {most}, {epochs[most]:.{0 if epochs[most] >= 9.5 else 1}f} times |"
        )
    lines += pairs_table(rows)
    said = sorted({(row["arm"], row["seed"], line) for row in rows for line in row["said"]})
    if said:
        lines += ["", "What runs said: " + "; ".join(f"{arm}, seed {seed}: {line}" for arm, seed, line in said) + "."]
    lines += ["", f"![Loss of every language against its size](mixture_{name}_sizes.png)", ""]
    lines = [line.replace(" ± nan", "") for line in lines]
    (RESULTS / f"mixture_{name}.md").write_text("\n".join(lines))
    print("\n".join(lines))
    front_figure(rows, arms).savefig(RESULTS / f"mixture_{name}.png", dpi=140)
    sizes_figure(rows).savefig(RESULTS / f"mixture_{name}_sizes.png", dpi=140)


def front_figure(rows, arms):
    """Low- against high-resource loss at the end, and low-resource loss over updates."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.4, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        tops, ends = [], {}
        for i, arm in enumerate(arms):
            mine = [row for row in rows if row["arm"] == arm]
            colour, marker = RUN_COLOURS[i % 8], "os^D"[i // 8 % 4]
            xs, ys = ([group_means(row)[group] for row in mine] for group in ("high", "low"))
            left.errorbar(
                np.mean(xs), np.mean(ys), xerr=interval(xs)[1] if len(xs) > 1 else None, yerr=interval(ys)[1] if len(ys) > 1 else None,
                fmt=marker, color=colour, markersize=5, elinewidth=0.7,
            )  # fmt: skip
            ends[arm] = (np.mean(xs), np.mean(ys))
            steps = [point["step"] for point in mine[0]["curve"]][2:]
            curve = [np.mean([group_means(row, p)["low"] for row in mine]) for p in range(2, len(mine[0]["curve"]))]
            tops.append(max(curve))
            right.plot(steps, curve, color=colour, linestyle="-" if i < 8 else "--", linewidth=1.3, label=arm)
        label_points(left, ends)
        left.set_xlabel("high-resource loss, nats a byte")
        left.set_ylabel("low-resource loss, nats a byte")
        left.set_title("at the end: left and down is better")
        # One arm that starts far above the others would flatten them all.
        right.set_ylim(top=sorted(tops)[-2] * 1.02 if len(tops) > 1 else None)
        right.set_xlabel("update")
        right.set_title("low-resource loss over the run")
        right.legend(fontsize=7.5, ncols=2)
    return figure


def label_points(axis, ends, points=(370, 300)):
    """Names beside their points, each in the first of four places where it covers no other point or name; `points` is about the panel's size."""
    (x0, x1), (y0, y1) = axis.get_xlim(), axis.get_ylim()
    at = {arm: ((x - x0) / (x1 - x0) * points[0], (y - y0) / (y1 - y0) * points[1]) for arm, (x, y) in ends.items()}
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in at.values()]
    for arm, (x, y) in sorted(at.items(), key=lambda pair: pair[1]):
        width, best = 4.6 * len(arm), None
        for dx, dy in ((5, 3), (5, -11), (-5 - width, 3), (-5 - width, -11)):
            box = (x + dx, y + dy, x + dx + width, y + dy + 8)
            outside = box[0] < 0 or box[2] > points[0]
            hits = outside + sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
            if best is None or hits < best[0]:
                best = (hits, (dx, dy), box)
        taken.append(best[2])
        axis.annotate(arm, ends[arm], xytext=best[1], textcoords="offset points", fontsize=8)


def sizes_figure(rows, shown=("tau=1", "tau=5", "tau=100", "cooldown", "stratified cooldown")):
    """Loss of every language relative to tau=1, against its size."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 4.0), layout="constrained")
        axis = figure.subplots()
        base = {row["seed"]: row["curve"][-1]["losses"] for row in rows if row["arm"] == "tau=1"}
        for i, arm in enumerate(arm for arm in shown if arm != "tau=1"):
            mine = [row for row in rows if row["arm"] == arm and row["seed"] in base]
            if not mine:
                continue
            domains = sorted(mine[0]["curve"][-1]["losses"], key=mine[0]["examples"].__getitem__)
            means = [np.mean([row["curve"][-1]["losses"][d] - base[row["seed"]][d] for row in mine]) for d in domains]
            axis.plot([mine[0]["examples"][d] for d in domains], means, "o", color=RUN_COLOURS[i % 8], markersize=4, label=arm)
        axis.axhline(0, color="#8a929c", linewidth=0.9)
        axis.set_xscale("log")
        axis.set_xlabel("examples of the language")
        axis.set_ylabel("loss minus that of tau=1, nats a byte")
        if axis.lines[:-1]:
            axis.legend()
    return figure
