"""Which weighting makes the best front: every method on the sums task, over seeds, with the same tries for all.

    python benchmarks/fronts.py tune  [--estimators grpo,rloo,reinforce] [--methods a,b] [--workers 2]
    python benchmarks/fronts.py final [--estimators ...] [--methods ...] [--workers 2] [--seeds 5]
    python benchmarks/fronts.py table

Every method has four settings to choose from (learning rate x one parameter of its own, or four learning rates where it has none); `tune` runs
each on a seed that is not used again, `final` runs the best of the four on the other seeds. A run is a line in results/fronts/runs.jsonl; runs that
are there already are not repeated, so that an interrupted benchmark goes on where it was. `table` writes results/fronts.md and the figures.

All runs start from the embedded policy, make 40 updates of 64 answers, and are measured on the same 512 held-out sums every 8 updates. Their
score is the hypervolume of those points, from the worst bound of every objective (accuracy 0, 80 tokens, clarity 0) to its best.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path

RUNS = Path(__file__).parent / "results" / "fronts" / "runs.jsonl"
UPDATES, MEASURED_EVERY, TUNING_SEED = 40, 8, 1000
SEEDS = (1, 2, 3, 4, 5, 6, 7, 8)

RATES = (1e-4, 2e-4)
FOUR_RATES = (5e-5, 1e-4, 2e-4, 4e-4)
ACCURACY, BALANCED, EFFICIENCY, ACCURACY_ABOVE_ALL = [0.5, 0.25, 0.25], [1 / 3] * 3, [0.25, 0.375, 0.375], [0.8, 0.1, 0.1]


def weighting(method, **options):
    return {"method": method, **options}


def grid(*options):
    return [(rate, option) for option in options for rate in RATES]


GRIDS = {
    "fixed-accuracy": [(rate, weighting("fixed", weights=ACCURACY)) for rate in FOUR_RATES],
    "fixed-balanced": [(rate, weighting("fixed", weights=BALANCED)) for rate in FOUR_RATES],
    "fixed-efficiency": [(rate, weighting("fixed", weights=EFFICIENCY)) for rate in FOUR_RATES],
    # No setting of the paper's: the control for a method that does no more than find a better constant.
    "fixed-accuracy-above-all": [(rate, weighting("fixed", weights=ACCURACY_ABOVE_ALL)) for rate in FOUR_RATES],
    "scheduled": grid(
        weighting("scheduled", points=[(0.0, ACCURACY_ABOVE_ALL), (1.0, EFFICIENCY)]),
        weighting("scheduled", points=[(0.0, EFFICIENCY), (1.0, ACCURACY_ABOVE_ALL)]),
    ),
    "gdpo": grid(weighting("gdpo", weights=BALANCED), weighting("gdpo", weights=ACCURACY)),
    "stage-aware": grid(weighting("stage-aware"), weighting("stage-aware", momentum=0.8)),
    "lagrangian": grid(
        *(
            weighting("lagrangian", maximize="conciseness", at_least={"accuracy": 0.5, "clarity": 0.8}, rate=rate)
            for rate in (4.0, 20.0)  # .1 and .5 an update
        )
    ),
    "tchebycheff": grid(*(weighting("tchebycheff", smoothing=smoothing) for smoothing in (0.1, 0.3))),
    "mgda": [(rate, weighting("mgda")) for rate in FOUR_RATES],
    "upgrad": [(rate, weighting("upgrad")) for rate in FOUR_RATES],
    "cagrad": grid(*(weighting("cagrad", radius=radius) for radius in (0.2, 0.5))),
    "hypervolume": grid(weighting("hypervolume", weights=BALANCED), weighting("hypervolume", weights=ACCURACY)),
    # Ours: counted from the worst bounds, since on this task no policy beats the start in every objective at once, and m stays at 0.5.
    "hypervolume-from-worst": grid(
        *(weighting("hypervolume", weights=weights, reference="worst") for weights in (BALANCED, ACCURACY))
    ),
    "gradient-influence": grid(*(weighting("gradient-influence", mu=mu) for mu in (3e-4, 1e-4))),
    "normalized-influence": grid(weighting("normalized-influence"), weighting("normalized-influence", normalize="sum")),
}
DERIVED = {
    "normalized-every-4": ("normalized-influence", {"every": 4}),
    "normalized-optimizer-step": ("normalized-influence", {"influence": "optimizer-step"}),
    "gdpo-accuracy-above-all": ("gdpo", {"weights": ACCURACY_ABOVE_ALL}),
    "fixed-accuracy-at-2e-4": ("fixed-accuracy", {"learning_rate": 2e-4}),
}
"""The cheaper ways to influences, in the setting that was chosen for the dear one; constants that normalized-influence must beat to have done more
than find them; and the best fixed setting at the rate that most others chose."""
ESTIMATORS = ("grpo", "rloo", "reinforce")


def jobs_to_tune(estimators, methods):
    return [("tune", e, m, rate, option, TUNING_SEED) for e in estimators for m in methods for rate, option in GRIDS[m]]


def jobs_to_decide(estimators, methods, seeds, rows):
    """The best setting of every method on the tuning seed, seed by seed, so that an early end leaves whole seeds."""
    chosen = {(e, m): best_setting(rows, e, m) for e in estimators for m in methods}
    return [
        ("final", e, m, *setting, seed)
        for e in estimators
        for seed in SEEDS[:seeds]
        for (e2, m), setting in chosen.items()
        if e2 == e
    ]


def best_setting(rows, estimator, method):
    """The best setting on the tuning seed; where an estimator has no tuning runs of its own, GRPO's choice."""
    if method in DERIVED:
        base, extra = DERIVED[method]
        rate, option = best_setting(rows, estimator, base)
        return extra.get("learning_rate", rate), {**option, **{k: v for k, v in extra.items() if k != "learning_rate"}}
    tuned = [r for r in rows if (r["phase"], r["estimator"], r["method"]) == ("tune", estimator, method)]
    if not tuned and estimator != "grpo":
        return best_setting(rows, "grpo", method)
    if len(tuned) < len(GRIDS[method]):
        raise SystemExit(f"{estimator}, {method}: {len(tuned)} of {len(GRIDS[method])} settings are tuned: run `tune` first")
    best = max(tuned, key=lambda r: r["hypervolume"])
    return best["learning_rate"], best["weighting"]


def key_of(phase, estimator, method, rate, option, seed):
    return json.dumps([phase, estimator, method, rate, option, seed])


def read_rows():
    rows = [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []
    return list(
        {
            key_of(*(r[k] for k in ("phase", "estimator", "method", "learning_rate", "weighting", "seed"))): r for r in rows
        }.values()
    )


def run(job):
    """One run; returns its line."""
    phase, estimator, method, rate, option, seed = job
    from steelyard.recipes.loading import load_recipe

    content = load_recipe("sums-fixed").model_dump(mode="json")
    content |= {"name": "fronts", "seed": seed, "weighting": option}
    content["algorithm"] |= {"estimator": estimator, "learning_rate": rate, "steps": UPDATES}
    content["prompts"]["validation"]["size"] = 512
    # The hypervolume method follows validation points; the others only need those that count.
    content["validation"] |= {"every": 2 if method.startswith("hypervolume") else MEASURED_EVERY, "batch": 512}
    told = {"phase": phase, "estimator": estimator, "method": method, "learning_rate": rate, "weighting": option, "seed": seed}
    return told | measured_run(content, every=MEASURED_EVERY, longest=80.0)


def measured_run(content, *, every, longest, base=Path(".")):
    """Train by a recipe's content in a folder that is thrown away; hypervolume of the points at multiples of `every`, weights and seconds."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    import steelyard
    from steelyard.cli.console import quiet_environment, quiet_libraries, settle_hub
    from steelyard.pareto import hypervolume
    from steelyard.recipes.loading import parse_recipe
    from steelyard.runlog import RunLog
    from steelyard.training import train

    torch.set_num_threads(1)
    quiet_environment()
    settle_hub(needed=False)
    quiet_libraries()
    content["checkpoint"] = {"every": 10**6, "front": False}
    folder, began = Path(tempfile.mkdtemp()), time.perf_counter()
    try:
        train(parse_recipe(content), out=folder / "run", base=base)
        log = RunLog(folder / "run")
        points = [(v["step"], [round(x, 5) for x in v["point"].values()]) for v in log.validations() if v["step"] % every == 0]
        steps = log.steps()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    scale = dict(reference=[0.0, longest, 0.0], maximize=[True, False, True], scale=[1.0, longest, 1.0])
    return {
        "hypervolume": round(hypervolume([point for _, point in points], **scale), 5), "points": points,
        "scales": [round(step["scale"], 3) for step in steps],
        "weights": [[round(w, 3) for w in step["weights"].values()] for step in steps[every - 1 :: every]],
        "seconds": {k: round(sum(s["seconds"].get(k, 0.0) for s in steps) / len(steps), 3) for k in ("generation", "weighting", "update")},
        "wall": round(time.perf_counter() - began, 1), "date": str(date.today()), "steelyard": steelyard.__version__, "torch": torch.__version__,
    }  # fmt: skip


def run_all(jobs, workers):
    made = {key_of(*(r[k] for k in ("phase", "estimator", "method", "learning_rate", "weighting", "seed"))) for r in read_rows()}
    todo = [job for job in jobs if key_of(*json.loads(json.dumps(job))) not in made]
    print(f"{len(todo)} of {len(jobs)} runs to go", flush=True)
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    # An executor, since a pool waits for ever for what a killed worker was doing.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, job) for job in todo]):
            row = future.result()
            with RUNS.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            print(f"{row['phase']:5} {row['estimator']:9} {row['method']:24} {row['learning_rate']:g} seed {row['seed']:4} "
                  f"hypervolume {row['hypervolume']:.4f}  end {row['points'][-1][1]} weights {row['weights'][-1]}  {row['wall']:.0f} s", flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("tune", "final", "table"))
    parser.add_argument("--estimators", default=",".join(ESTIMATORS))
    parser.add_argument("--methods", default=",".join([*GRIDS, *DERIVED]))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    estimators, methods = options.estimators.split(","), options.methods.split(",")
    if options.what == "tune":
        run_all(jobs_to_tune(estimators, [m for m in methods if m in GRIDS]), options.workers)
    elif options.what == "final":
        run_all(jobs_to_decide(estimators, methods, options.seeds, read_rows()), options.workers)
    else:
        from fronts_table import write_table

        write_table(read_rows())


if __name__ == "__main__":
    main()
