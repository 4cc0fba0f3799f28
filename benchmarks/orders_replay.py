"""What each policy of orders costs and gains, replayed on recorded verdicts of real judges.

    python benchmarks/orders_replay.py FOLDER      # with llmbar_judge_votes/votes.csv and judgebench/o1_mini_decisions.jsonl

o1-mini on JudgeBench gave its verdicts in five steps ([[A>>B]] to [[B>>A]]), so that a first verdict can be decisive or not; the judges of LLMBar gave
a plain winner. For the latter "half" asks a random half of the second orders: what a policy without a sense of its own certainty gets at the same price.
Writes results/orders_replay.md.
"""

import csv
import json
import random
import re
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path

from steelyard.rubric.order_policies import Recorded, calibrate, replay

STEPS = {"A>>B": 2.0, "A>B": 1.0, "A=B": 0.0, "B>A": -1.0, "B>>A": -2.0}


def score_of(text):
    found = re.findall(r"\[\[\s*(A>>B|A>B|A=B|B>A|B>>A)\s*\]\]", text)
    return STEPS[found[-1]] if found else None


def o1_mini(folder):
    rows = [json.loads(line) for line in (folder / "judgebench" / "o1_mini_decisions.jsonl").read_text().splitlines()]
    pairs = []
    for row in rows:
        second = score_of(row["text_BA"])
        pairs.append(Recorded(score_of(row["text_AB"]), None if second is None else -second, 1 if row["label"] == "A>B" else -1))
    return pairs


def llmbar(folder):
    groups, sign = defaultdict(list), {"1": 1.0, "2": -1.0, "": None}
    with (folder / "llmbar_judge_votes" / "votes.csv").open() as lines:
        for row in csv.DictReader(lines):
            scores = [sign.get(row[key], 0.0) for key in ("winner_order_ab", "winner_order_ba")]
            groups[row["judge_model"]].append(Recorded(*scores, 1 if row["label"] == "1" else -1))
    return groups


def line(label, policy, found):
    precision = f"{found.precision:.3f} ({found.precision_low:.3f} to {found.precision_high:.3f})"
    return (
        f"| {label} | {policy} | {found.pairs} | {found.failures} | {found.accuracy:.3f} ({found.low:.3f} to {found.high:.3f}) | {found.decided:.0%} "
        f"| {precision} | {found.calls:.2f} | {'' if found.flips != found.flips else f'{found.flips:.0%}'} |"
    )


def main(folder):
    head = [
        "| judge | policy | pairs | failed | accuracy, ties half | decided | right among the decided | calls a pair | flips |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    pairs = o1_mini(folder)
    mirrored = [Recorded(pair.second, pair.first, pair.label) for pair in pairs]
    lines = [
        "# Orders: what they cost and gain", "",
        f"`python benchmarks/orders_replay.py FOLDER`, {date.today()}. Recorded verdicts, no call is made. 95% intervals (Wilson).", "",
        "## o1-mini on JudgeBench, 350 pairs", "",
        "Both choices of the first order are shown, since the policies use one of the two.", "", *head,
    ]  # fmt: skip
    for label, these in (("o1-mini, AB first", pairs), ("o1-mini, BA first", mirrored)):
        lines += [line(label, policy, replay(these, policy)) for policy in ("one", "both", "sum")]
        lines += [line(label, f"adaptive, decisive {value:g}", replay(these, "adaptive", decisive=value)) for value in (1.0, 2.0)]
    halves = [pairs[::2] + mirrored[1::2], pairs[1::2] + mirrored[::2]]
    chosen = [calibrate(half, calls=1.5) for half in halves]
    mixed = halves[0] + halves[1]
    lines += [
        "",
        f"The threshold with the best accuracy at no more than 1.5 calls, on either half of the pairs: {chosen[0]:g} and {chosen[1]:g}; over both choices of the first order "
        f"`adaptive` at 2 has {replay(mixed, 'adaptive', decisive=2.0).accuracy:.3f} in {replay(mixed, 'adaptive', decisive=2.0).calls:.2f} calls, `both` {replay(mixed, 'both').accuracy:.3f} in 2.",
        "", "## Six judges on LLMBar, up to 15 ways of asking each", "", *head,
    ]  # fmt: skip
    rng = random.Random(0)
    for label, these in sorted(llmbar(folder).items()):
        # A score below `decisive` asks for the second order: here a coin decides.
        coin = [Recorded(p.first and p.first * rng.choice((1.0, 2.0)), p.second, p.label) for p in these]
        lines += [line(label, policy, replay(these, policy)) for policy in ("one", "both")]
        lines.append(line(label, "half", replay(coin, "adaptive", decisive=2.0)))
    text = "\n".join([*lines, ""])
    (Path(__file__).parent / "results" / "orders_replay.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
