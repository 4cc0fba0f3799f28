"""Do weights that move beat a sweep of constants? Every method and a lattice of constants, on several tasks, with an untouched test set.

    python benchmarks/evidence.py tune  [--tasks sums] [--estimators grpo] [--methods a;b] [--workers 2]
    python benchmarks/evidence.py final [--tasks ...] [--estimators ...] [--methods ...] [--seeds 5]
    python benchmarks/evidence.py table

Every method and every constant of the sweep has the same two tries (learning rate 1e-4 or 2e-4) on a seed that is not used again, judged by validation. A run
has 40 updates of 64 answers from the embedded policy, validates on 512 sums every 8 updates, keeps the policies on the front beyond the noise, and at its end
measures them and the last one on 1,024 test sums that nothing has seen. Rows: results/evidence/runs.jsonl; those that are there are not repeated.

Tasks: `sums` (accuracy, tokens, clarity), `sums2` (accuracy, tokens), `sums6` (and a box, no repetition, 20 to 40 tokens), `windows` (at most 12 tokens,
or 40 and more: an answer is one or the other, so that no constant but one half has a reason to stay between), `coin` (sums, and a coin's flip).
"""

import argparse
import itertools
import math
import os
import shutil
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

from rows import interval, read_rows, run_all

RESULTS = Path(__file__).parent / "results"
RUNS = RESULTS / "evidence" / "runs.jsonl"
RATES, TUNING_SEED, UPDATES, EVERY, LONGEST = (1e-4, 2e-4), 1000, 40, 8, 80
SWEEP_SEEDS = 3
ACCURACY, TOKENS = {"kind": "accuracy"}, {"kind": "conciseness", "options": {"decay": 0.9}}
CLARITY = {"kind": "clarity", "options": {"graded": True}}
TASKS = {
    "sums": [ACCURACY, TOKENS, CLARITY],
    "sums2": [ACCURACY, TOKENS],
    "sums6": [
        ACCURACY, TOKENS, CLARITY, {"kind": "check", "check": "regex", "name": "box", "options": {"pattern": r"\\boxed\{\d+\}"}},
        {"kind": "repetition"}, {"kind": "length", "name": "window", "options": {"low": 20, "high": 40}},
    ],
    "windows": [
        {"kind": "length", "name": "short", "options": {"low": 0, "high": 12}}, {"kind": "length", "name": "long", "options": {"low": 40, "high": 80}},
    ],
    "coin": [ACCURACY, TOKENS, CLARITY, {"function": f"{Path(__file__).name}:coin", "name": "coin", "bounds": [0.0, 1.0]}],
}  # fmt: skip
WORST = {"conciseness": float(LONGEST)}
METHODS = {
    "normalized-influence": {},
    "normalized-influence, unbiased": {"estimate": "unbiased"},
    "gradient-influence": {"mu": 1e-4},
    "hypervolume": {"reference": "worst"},
    "gdpo": {},
    "mo-grpo": {},
    "dvao": {},
    "gd2po": {},
    "ctwa": {},
    "famo": {},
    "pama": {},
    "stage-aware": {},
    "tchebycheff": {},
    "mgda": {},
    "upgrad": {},
    "pcgrad": {},
}


def coin(completions, **columns):
    """A flip that no answer can do anything about; drawn from the batch itself, so that a resumed run flips the same."""
    import random

    drawn = random.Random(repr(completions))
    return [float(drawn.random() < 0.5) for _ in completions]


def constants(size):
    """A lattice on the simplex: at least 15 points where there are more than two objectives, with every objective above 0."""
    if size == 2:
        return [(i / 16, 1 - i / 16) for i in range(1, 16)]
    if size > 4:
        # One objective above all, pairs, and equal weights.
        heavy = [tuple(0.5 if j == i else 0.5 / (size - 1) for j in range(size)) for i in range(size)]
        pairs = [
            tuple(0.35 if j in pair else 0.3 / (size - 2) for j in range(size)) for pair in itertools.combinations(range(size), 2)
        ]
        return [*heavy, *pairs[: 15 - len(heavy) - 1], (1 / size,) * size]
    steps = {3: 7, 4: 7}[size]
    found = [c for c in itertools.product(range(1, steps), repeat=size) if sum(c) == steps]
    return [tuple(x / steps for x in c) for c in found][:20]


def name_of(weights):
    return "fixed " + "/".join(f"{w:.3g}" for w in weights)


def arms(task):
    """By name, the weighting of every method and of every constant."""
    size = len(TASKS[task])
    found = {name: {"method": name.partition(",")[0], **options} for name, options in METHODS.items()}
    if task in ("sums", "sums2"):
        bounds = {"accuracy": 0.5, "clarity": 0.8} if task == "sums" else {"accuracy": 0.5}
        found["lagrangian"] = {"method": "lagrangian", "maximize": "conciseness", "at_least": bounds}
    return found | {name_of(w): {"method": "fixed", "weights": list(w)} for w in constants(size)}


def run(phase, task, estimator, arm, rate, seed):
    """One run; returns its row."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    import steelyard
    from steelyard.cli.console import quiet_environment, quiet_libraries, settle_hub
    from steelyard.recipes.loading import load_recipe, parse_recipe
    from steelyard.runlog import RunLog
    from steelyard.training import train

    torch.set_num_threads(1)
    quiet_environment()
    settle_hub(needed=False)
    quiet_libraries()
    content = load_recipe("sums-fixed").model_dump(mode="json")
    content |= {"name": "evidence", "seed": seed, "weighting": arms(task)[arm], "objectives": TASKS[task]}
    content["algorithm"] |= {"estimator": estimator, "learning_rate": rate, "steps": UPDATES}
    content["prompts"] |= {"validation": {"size": 512}, "test": {"size": 1024 if phase == "final" else 0}}
    content["validation"] |= {"every": 2 if arm == "hypervolume" else EVERY, "batch": 512}
    content["checkpoint"] = {"every": 10**6, "front": True}
    folder, began = Path(tempfile.mkdtemp()), time.perf_counter()
    try:
        train(parse_recipe(content), out=folder / "run", base=Path(__file__).parent)
        wall = time.perf_counter() - began
        log = RunLog(folder / "run")
        steps, points, front = log.steps(), log.validations(), log.pareto()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    names = list(points[0]["point"])
    policies = [
        {"step": p["step"], "last": "last" in p["names"], "values": [round(p["values"][n], 5) for n in names],
         "errors": [round(p["standard_errors"][n] or 0.0, 5) for n in names]}
        for p in (front["test"]["policies"] if front.get("test") else [])
    ]  # fmt: skip
    return {
        "phase": phase, "task": task, "estimator": estimator, "arm": arm, "rate": rate, "seed": seed, "names": names,
        "points": [[p["step"], [round(p["point"][n], 5) for n in names]] for p in points if p["step"] % EVERY == 0], "policies": policies,
        "weights": [[round(w, 3) for w in s["weights"].values()] for s in steps[EVERY - 1 :: EVERY]],
        "mean_weights": [round(statistics.mean(s["weights"][n] for s in steps), 4) for n in names],
        "seconds": {k: round(statistics.mean(s["seconds"].get(k, 0.0) for s in steps), 3) for k in ("generation", "rewards", "weighting", "update")},
        "wall": round(wall, 1), "date": str(date.today()), "steelyard": steelyard.__version__, "torch": torch.__version__,
    }  # fmt: skip


# Figures ----------------------------------------------------------------------------------------------------------------------------------------


def gains_of(task, values):
    """Values as gains over the worst, 0 to 1, in the order of the task's objectives."""
    names = [one.get("name", one.get("kind")) for one in TASKS[task]]
    return [1 - v / LONGEST if n == "conciseness" else v for n, v in zip(names, values, strict=True)]


def hypervolume_of(task, points):
    """Of the objectives that are worth something: a coin is worth nothing."""
    from steelyard.pareto import hypervolume

    keep = [i for i, one in enumerate(TASKS[task]) if one.get("name") != "coin"]
    gains = [[gains_of(task, point)[i] for i in keep] for point in points]
    return hypervolume(gains, reference=[0.0] * len(keep), maximize=[True] * len(keep), scale=[1.0] * len(keep))


def score(row):
    """What a setting is chosen by: the hypervolume of its validation points."""
    return hypervolume_of(row["task"], [point for _, point in row["points"]])


def tested(row, *, last):
    points = [p["values"] for p in row["policies"] if p["last"] or not last]
    return hypervolume_of(row["task"], points)


def distances(task, points, front):
    """IGD+ and the additive epsilon of points beside a front, in gains."""
    points, front = [gains_of(task, p) for p in points], [gains_of(task, p) for p in front]
    short = [[[max(0.0, f - p) for p, f in zip(point, target, strict=True)] for point in points] for target in front]
    igd = statistics.mean(min(math.sqrt(sum(x * x for x in each)) for each in row) for row in short)
    return igd, max(min(max(each) for each in row) for row in short)


# Rows ---------------------------------------------------------------------------------------------------------------------------------------------


def key_of(row):
    return tuple(row[k] for k in ("phase", "task", "estimator", "arm", "rate", "seed"))


def chosen_rate(rows, task, estimator, arm):
    found = {
        r["rate"]: score(r) for r in rows if (r["phase"], r["task"], r["estimator"], r["arm"]) == ("tune", task, estimator, arm)
    }
    if len(found) < len(RATES):
        return None
    return max(found, key=lambda rate: found[rate])


def line_of(row):
    return (
        f"{row['phase']:5} {row['task']:8} {row['estimator']:9} {row['arm']:32} {row['rate']:g} seed {row['seed']:4} validation {score(row):.4f} "
        f"test {tested(row, last=False) if row['policies'] else 0:.4f} end {row['points'][-1][1]} weights {row['weights'][-1]}  {row['wall']:.0f} s"
    )  # fmt: skip


def table_of(rows, task, estimator):
    """The lines of a task and an estimator."""
    import moocore
    import numpy as np

    finals = [r for r in rows if (r["phase"], r["task"], r["estimator"]) == ("final", task, estimator)]
    sweep = [r for r in finals if r["arm"].startswith("fixed ")]
    if not sweep or len({r["arm"] for r in sweep}) < len(constants(len(TASKS[task]))):
        return [f"## {task}, {estimator}", "", "The sweep is not complete.", ""]
    by_arm = {}
    for row in finals:
        by_arm.setdefault(row["arm"], []).append(row)
    constant = {
        arm: statistics.mean(tested(r, last=False) for r in each) for arm, each in by_arm.items() if arm.startswith("fixed ")
    }
    best, median = max(constant, key=lambda arm: constant[arm]), statistics.median(constant.values())
    union = [p["values"] for r in sweep for p in r["policies"]]
    gains = [gains_of(task, p) for p in union]
    kept_front = moocore.is_nondominated(np.array(gains), maximise=True, keep_weakly=False)
    front = [point for point, is_kept in zip(union, kept_front, strict=True) if is_kept]
    lines = [
        f"## {task}, {estimator}", "",
        f"Sweep of {len(constant)} constants, {len({r['seed'] for r in sweep})} seeds each: best {best.removeprefix('fixed ')} at {constant[best]:.3f}, median {median:.3f}, worst {min(constant.values()):.3f}.", "",
        "| method | seeds | kept policies | share of the best constant | last policy | IGD+ | epsilon | weights, mean | s |", "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    shown = [arm for arm in by_arm if not arm.startswith("fixed ")] + [best]
    for arm in sorted(shown, key=lambda arm: -statistics.mean(tested(r, last=False) for r in by_arm[arm])):
        each = by_arm[arm]
        kept, half = interval([tested(r, last=False) for r in each])
        ends, half_ends = interval([tested(r, last=True) for r in each])
        far = [distances(task, [p["values"] for p in r["policies"]], front) for r in each]
        weights = "/".join(f"{statistics.mean(r['mean_weights'][k] for r in each):.2f}" for k in range(len(each[0]["names"])))
        lines.append(
            f"| {'**' + arm + '**' if arm == best else arm} | {len(each)} | {kept:.3f} ± {half:.3f} | {kept / constant[best]:.2f} | {ends:.3f} ± {half_ends:.3f} | "
            f"{statistics.mean(f[0] for f in far):.3f} | {statistics.mean(f[1] for f in far):.3f} | {weights} | {statistics.mean(r['wall'] for r in each):.0f} |"
        )
    return [*lines, ""]


def table():
    rows = read_rows(RUNS)
    last = rows[-1]
    lines = [
        "# Weights that move beside a sweep of constants", "",
        f"`python benchmarks/evidence.py tune`, `final`, `table`; {last['date']}; x86_64, 2 cores, a thread a run; torch {last['torch']}, steelyard {last['steelyard']}. What a "
        "run and a task are: the script's first lines.", "",
        "Hypervolume of policies on 1,024 test sums, from the worst bound of every objective to its best; means over seeds with 95% intervals. *Kept policies*: those that the run's "
        "validation points put on the front, and the last. *Share of the best constant*: how much of the sweep's best, which was chosen on the same test figures among all, one run of the "
        "method reaches without a search. IGD+ and additive epsilon are beside the front of the whole sweep.", "",
    ]  # fmt: skip
    for task, estimator in dict.fromkeys((r["task"], r["estimator"]) for r in rows if r["phase"] == "final"):
        lines += table_of(rows, task, estimator)
    (RESULTS / "evidence.md").write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("tune", "final", "table"))
    parser.add_argument("--tasks", default="sums")
    parser.add_argument("--estimators", default="grpo")
    parser.add_argument("--methods", help="names, with ; between them; `sweep` for all constants. Default: all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.what == "table":
        table()
        return
    wanted = options.methods and options.methods.split(";")
    jobs, rows = [], read_rows(RUNS)
    for task, estimator in itertools.product(options.tasks.split(","), options.estimators.split(",")):
        names = [a for a in arms(task) if wanted is None or a in wanted or ("sweep" in wanted and a.startswith("fixed "))]
        if options.what == "tune":
            jobs += [("tune", task, estimator, arm, rate, TUNING_SEED) for arm in names for rate in RATES]
            continue
        rates = {arm: chosen_rate(rows, task, estimator, arm) for arm in names}
        if missing := [arm for arm, rate in rates.items() if rate is None]:
            print(f"{task}, {estimator}: not tuned, left out: {', '.join(missing)}", flush=True)
        # Seed by seed, so that an early end leaves whole seeds; constants have fewer.
        for seed in range(1, options.seeds + 1):
            jobs += [("final", task, estimator, arm, rate, seed) for arm, rate in rates.items()
                     if rate is not None and (seed <= SWEEP_SEEDS or not arm.startswith("fixed "))]  # fmt: skip
    run_all(run, jobs, RUNS, key_of, line_of, options.workers)


if __name__ == "__main__":
    main()
