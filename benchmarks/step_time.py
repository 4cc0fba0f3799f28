"""Seconds an update on the sums task: plain TRL, and ours with fixed weights and with influences by every way, in one process, in turn.

    python benchmarks/step_time.py [ROUNDS] [UPDATES]

Every variant starts from the embedded policy with the same settings and a learning rate of (almost) zero, so that all of them generate and
score answers of the same kind. Rounds interleave the variants (a machine's drift hits all alike); the first update of a run is left out.
Writes benchmarks/results/step_time.md.
"""

import platform
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

import steelyard
from steelyard import FixedWeights, GradientInfluence
from steelyard.models.loading import load_policy
from steelyard.objectives import accuracy, clarity, conciseness
from steelyard.runlog import RunLog
from steelyard.runs._recorder import RunRecorder
from steelyard.runs.progress import QuietProgress
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer, load_recipe

RESULTS = Path(__file__).parent / "results" / "step_time.md"


class Clock(TrainerCallback):
    """Notes when updates end."""

    def __init__(self):
        self.ends = []

    def on_step_end(self, *args, **kwargs):
        self.ends.append(time.perf_counter())

    def seconds(self):
        return [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)]


class Phases(RunRecorder):
    """A run's recorder that also keeps the phases."""

    def __init__(self, *args):
        super().__init__(*args)
        self.seconds = []

    def on_step(self, record):
        super().on_step(record)
        self.seconds.append(record["seconds"])


VARIANTS = {
    "trl": ("trl.GRPOTrainer", None),
    "fixed": ("PolicyTrainer, fixed", FixedWeights),
    "exact": ("gradient-influence, exact", lambda: GradientInfluence(mu=1.0, influence="exact")),
    "jvp": ("gradient-influence, jvp", lambda: GradientInfluence(mu=1.0, influence="jvp")),
    "fd": ("gradient-influence, finite-difference", lambda: GradientInfluence(mu=1.0)),
    "fd4": ("gradient-influence, finite-difference, every 4", lambda: GradientInfluence(mu=1.0, every=4)),
    "last": ("gradient-influence, finite-difference, last layer", lambda: GradientInfluence(mu=1.0, layers=["*.layers.2.*"])),
    "step": ("gradient-influence, optimizer-step", lambda: GradientInfluence(mu=1e3, influence="optimizer-step")),
}


def objectives():
    return [accuracy(), conciseness(max_tokens=80), clarity(graded=True, min_steps=3)]


def run(kind, updates):
    """One run; returns (seconds of each update but the first, seconds by phase)."""
    model, tokenizer = load_policy("sums")
    folder = Path(tempfile.mkdtemp())
    arguments = GRPOConfig(
        output_dir=str(folder / "trl"), use_cpu=True, bf16=False, per_device_train_batch_size=64, num_generations=8, max_completion_length=80,
        max_steps=updates, learning_rate=1e-12, lr_scheduler_type="constant", logging_steps=1, report_to="none", save_strategy="no",
        disable_tqdm=True, gradient_checkpointing=False, dataloader_pin_memory=False,
    )  # fmt: skip
    common = {"train_dataset": Dataset.from_list(sums_rows(updates * 8, 1)[0]), "processing_class": tokenizer}
    clock, recorder = Clock(), None
    if kind == "trl":
        # TRL passes columns that a bare reward does not take; the wrapper drops them, as ours does.
        functions = [plain(objective) for objective in objectives()]
        trainer = GRPOTrainer(model, functions, arguments, callbacks=[clock], **common)
    else:
        recipe = load_recipe("sums-fixed")
        recorder = Phases(RunLog(folder / "run").create(""), recipe, objectives(), QuietProgress())
        weighting = VARIANTS[kind][1]()
        trainer = PolicyTrainer(
            model, None, arguments, objectives=objectives(), weighting=weighting, recorder=recorder, callbacks=[clock], **common
        )
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == "PrinterCallback":
            trainer.remove_callback(callback)
    trainer.train()
    phases = recorder.seconds[1:] if recorder is not None else []
    return clock.seconds(), phases


def plain(objective):
    def reward(prompts, completions, **columns):
        return objective.scores(prompts=prompts, completions=completions, **columns)

    reward.__name__ = objective.name
    return reward


def main(rounds, updates):
    kinds = list(VARIANTS)
    run("trl", 3)
    seconds, phases, means = {k: [] for k in kinds}, {k: [] for k in kinds}, {k: [] for k in kinds}
    for _ in range(rounds):
        for kind in kinds:
            found, parts = run(kind, updates)
            seconds[kind] += found
            phases[kind] += parts
            # Means, since a method that works on every fourth batch has a median that knows nothing of it.
            means[kind].append(statistics.mean(found))
    lines = [
        "# Seconds an update, sums task",
        "",
        f"`python benchmarks/step_time.py {rounds} {updates}`, {date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, steelyard {steelyard.__version__}.",
        f"64 answers an update (8 prompts x 8), at most 80 tokens; {rounds} rounds of {updates} updates, variants in turn; learning rate 1e-12.",
        "Ours writes its whole run log (answers as Parquet included), TRL writes nothing. Ratios are medians over rounds (min to max).",
        "",
        "| variant | mean s | over TRL | over fixed weights |",
        "|---|---|---|---|",
    ]

    def ratio(kind, base):
        values = [a / b for a, b in zip(means[kind], means[base], strict=True)]
        return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"

    for kind, (name, _) in VARIANTS.items():
        lines.append(
            f"| {name} | {statistics.mean(seconds[kind]):.3f} | {ratio(kind, 'trl')} | {ratio(kind, 'fixed') if kind != 'trl' else ''} |"
        )
    lines += [
        "",
        "Where it goes (mean seconds an update; a shared forward pass counts as weighting):",
        "",
        "| variant | generation | rewards | weighting | update and the rest |",
        "|---|---|---|---|---|",
    ]
    for kind in kinds[1:]:
        parts = [
            statistics.mean(part[name] for part in phases[kind]) for name in ("generation", "rewards", "weighting", "update")
        ]
        lines.append(f"| {VARIANTS[kind][0]} | " + " | ".join(f"{part:.3f}" for part in parts) + " |")
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(int((sys.argv[1:2] or [5])[0]), int((sys.argv[2:3] or [15])[0]))
