"""The fronts benchmark on SmolLM2-135M with word problems: fewer methods, fewer seeds, settings carried over from the sums task.

    python benchmarks/fronts_smollm2.py start SVAMP.json                 # the supervised stage, once (about twenty minutes on a core)
    python benchmarks/fronts_smollm2.py run SVAMP.json [--seeds 2] [--workers 2]
    python benchmarks/fronts_smollm2.py table

The problems are those of SVAMP whose numbers and answer are whole and at most 20: on all of them the model gets 4% right after such a stage, which
leaves nothing to reinforce. Every run starts from the same supervised policy, makes 10 updates of 16 answers (LoRA, at most 56 tokens) and is measured
on the same 80 held-out problems at the start and at the end. Nothing is tuned here but the published method's mu, which is the recipe's. Runs that are in
results/fronts/smollm2.jsonl already are not repeated. The score is the hypervolume from accuracy 0, 56 tokens, clarity 0. An update takes about a
minute on a core; hypervolume-guided weights, which validate after every update, would take four, and are left out.
"""

import argparse
import json
import multiprocessing
import platform
import re
import shutil
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from fronts import ACCURACY, BALANCED, EFFICIENCY, measured_run, weighting
from fronts_table import describe, told_difference
from rows import interval

RESULTS = Path(__file__).parent / "results"
RUNS = RESULTS / "fronts" / "smollm2.jsonl"
START = Path("runs") / "fronts-smollm2-start"
UPDATES, MEASURED_EVERY, LONGEST, LARGEST = 10, 10, 56.0, 20
METHODS = {
    "fixed-accuracy": weighting("fixed", weights=ACCURACY),
    "fixed-balanced": weighting("fixed", weights=BALANCED),
    "fixed-efficiency": weighting("fixed", weights=EFFICIENCY),
    "lagrangian": weighting("lagrangian", maximize="conciseness", at_least={"accuracy": 0.5, "clarity": 0.8}, rate=5.0),
    "gradient-influence": weighting("gradient-influence", mu=1e-4),
    "normalized-influence": weighting("normalized-influence"),
}


def small_problems(data):
    """The file of the problems with small numbers, written beside the start policy."""
    rows = json.loads(Path(data).read_text())
    numbers = [[float(x) for x in re.findall(r"[0-9.]+", row["Equation"])] + [row["Answer"]] for row in rows]
    kept = [row for row, found in zip(rows, numbers, strict=True) if all(x == int(x) and 0 <= x <= LARGEST for x in found)]
    START.parent.mkdir(exist_ok=True)
    place = START.parent / "svamp-small.json"
    place.write_text(json.dumps(kept))
    return str(place.resolve())


def content_of(data, seed, option):
    from steelyard.recipes.loading import load_recipe

    content = load_recipe("smollm2-svamp").model_dump(mode="json")
    content |= {"name": "fronts-smollm2", "seed": seed, "weighting": option}
    content["prompts"]["source"] = small_problems(data)
    content["prompts"]["validation"]["size"] = 80
    content["algorithm"] |= {"steps": UPDATES, "prompts_per_step": 4, "answers_per_prompt": 4, "micro_batch": 16}
    content["algorithm"]["max_answer_tokens"] = int(LONGEST)
    content["validation"] |= {"every": MEASURED_EVERY, "batch": 40}
    return content


def start(data):
    """The supervised policy that all runs start from."""
    from steelyard.models.loading import load_policy
    from steelyard.recipes.loading import parse_recipe
    from steelyard.runlog import RunLog
    from steelyard.runs._prompts import load_prompts
    from steelyard.runs._resume import resolved
    from steelyard.runs._warmup import supervised_stage
    from steelyard.runs.progress import QuietProgress

    content = content_of(data, 0, METHODS["fixed-balanced"])
    content["supervised"] |= {"steps": 120, "batch_size": 8}
    recipe = parse_recipe(content)
    rows, _, raw, _ = load_prompts(recipe.prompts)
    model, tokenizer = load_policy(recipe.model.name)
    shutil.rmtree(START, ignore_errors=True)
    supervised_stage(recipe, model, tokenizer, raw, rows, RunLog(START).create(resolved(recipe)), QuietProgress())


def run(job):
    data, method, seed = job
    content = content_of(data, seed, METHODS[method])
    content["model"]["name"] = str((START / "checkpoints" / "supervised").resolve())
    content["supervised"] = None
    told = {"method": method, "weighting": METHODS[method], "seed": seed}
    return told | measured_run(content, every=MEASURED_EVERY, longest=LONGEST)


def read_rows():
    return [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []


def run_all(data, seeds, workers, methods):
    done = {(row["method"], row["seed"]) for row in read_rows()}
    todo = [(data, method, seed) for seed in range(1, seeds + 1) for method in methods if (method, seed) not in done]
    print(f"{len(todo)} runs to go", flush=True)
    # An executor, since a pool waits for ever for what a killed worker was doing.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, job) for job in todo]):
            row = future.result()
            with RUNS.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            print(row["method"], row["seed"], row["hypervolume"], row["points"][-1], row["weights"][-1], row["wall"], flush=True)


def write_table():
    rows = read_rows()
    lines = [
        "# Fronts on SmolLM2-135M with word problems (SVAMP)", "",
        f"`python benchmarks/fronts_smollm2.py run SVAMP.json`, {max(r['date'] for r in rows)}; {platform.machine()}, one thread a run, "
        f"steelyard {rows[-1]['steelyard']}, torch {rows[-1]['torch']}. GRPO, {UPDATES} updates of 16 answers; settings carried over from the sums task.", "",
        "Differences to balanced fixed weights are paired by seed; 95% t intervals, which with two seeds are wide. Measured before runs had a test set, on the "
        "validation prompts. The row of lagrangian is of rewards normalised as a sum, which is no longer its default.", "",
        "| method | setting | seeds | hypervolume | minus fixed-balanced | accuracy | tokens | clarity | weights at the end | weighting s | s an update |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    found = {method: {row["seed"]: row for row in rows if row["method"] == method} for method in METHODS}
    for method in METHODS:
        runs = [row for row in rows if row["method"] == method]
        if not runs:
            continue
        mean, half = interval([row["hypervolume"] for row in runs]) if len(runs) > 1 else (runs[0]["hypervolume"], None)
        spread = f"{mean:.4f}" + ("" if half is None else f" ± {half:.4f}")
        ends = np.mean([row["points"][-1][1] for row in runs], axis=0)
        weights = np.mean([row["weights"][-1] for row in runs], axis=0)
        weighing = statistics.mean(row["seconds"]["weighting"] for row in runs)
        seconds = statistics.mean(sum(row["seconds"].values()) for row in runs)
        lines.append(
            f"| {method} | {describe(METHODS[method])} | {len(runs)} | {spread} | {told_difference(found, method, 'fixed-balanced')} | {ends[0]:.3f} | {ends[1]:.1f} | {ends[2]:.3f} "
            f"| {'/'.join(f'{w:.2f}' for w in weights)} | {weighing:.1f} | {seconds:.1f} |"
        )
    starts = np.mean([row["points"][0][1] for row in rows], axis=0)
    lines += ["", f"The start: accuracy {starts[0]:.3f}, {starts[1]:.1f} tokens, clarity {starts[2]:.3f}.", ""]
    (RESULTS / "fronts_smollm2.md").write_text("\n".join(lines))
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("start", "run", "table"))
    parser.add_argument("data", nargs="?")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--methods", default=",".join(METHODS))
    options = parser.parse_args()
    if options.what == "table":
        return write_table()
    if options.data is None:
        parser.error("give the path of SVAMP.json")
    return (
        start(options.data)
        if options.what == "start"
        else run_all(options.data, options.seeds, options.workers, options.methods.split(","))
    )


if __name__ == "__main__":
    main()
