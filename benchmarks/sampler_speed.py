"""Indices a second of MixtureSampler, beside datasets.interleave_datasets on the same domains and probabilities, in one process, in turn.

    python benchmarks/sampler_speed.py [ROUNDS]

39 domains of 10 to a million examples, tau = 5, 200,000 draws. interleave_datasets gives rows, so its own work on indices is timed by itself as well:
the difference between making the interleaved dataset and reading it. Also: 10,000 domains, and start-up and one far index for 1e13 examples.
Writes benchmarks/results/sampler_speed.md.
"""

import platform
import statistics
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from datasets import Dataset, interleave_datasets

import steelyard
from steelyard import ConstantTemperature, MixtureSampler, temperature_probabilities

RESULTS = Path(__file__).parent / "results" / "sampler_speed.md"
DRAWS = 200_000


def timed(function):
    began = time.perf_counter()
    value = function()
    return time.perf_counter() - began, value


def main(rounds):
    sizes = np.geomspace(10, 1e6, 39).astype(int)
    parts = [Dataset.from_dict({"i": np.arange(size)}) for size in sizes]
    probabilities = temperature_probabilities(sizes, 5.0).tolist()
    many = np.geomspace(10, 1e6, 10_000).astype(int)
    huge = np.geomspace(10, 1e13, 39).astype(np.int64)
    seconds = {}

    def note(label, value):
        seconds.setdefault(label, []).append(value)

    for seed in range(rounds):
        for draw in ("stratified", "independent"):
            options = dict(num_samples=DRAWS, batch_size=256, seed=seed, draw=draw)
            took, sampler = timed(lambda options=options: MixtureSampler(sizes, ConstantTemperature(5.0), **options))
            note(f"MixtureSampler, {draw}: start-up", took)
            took, _ = timed(lambda sampler=sampler: sampler.indices(0, DRAWS))
            note(f"MixtureSampler, {draw}: {DRAWS:,} indices as an array", took)
            took, drawn = timed(lambda sampler=sampler: list(sampler))
            note(f"MixtureSampler, {draw}: {DRAWS:,} indices one by one", took)
            assert len(drawn) == DRAWS
            took, sampler = timed(lambda options=options: MixtureSampler(many, ConstantTemperature(5.0), **options))
            note(f"MixtureSampler, {draw}, 10,000 domains: start-up", took)
            took, _ = timed(lambda sampler=sampler: sampler.indices(0, DRAWS))
            note(f"MixtureSampler, {draw}, 10,000 domains: {DRAWS:,} indices as an array", took)
        took, mixed = timed(
            lambda seed=seed: interleave_datasets(
                parts, probabilities=probabilities, seed=seed, stopping_strategy="all_exhausted"
            )
        )
        note("interleave_datasets: made (until all are exhausted)", took * DRAWS / len(mixed))
        took, _ = timed(
            lambda mixed=mixed: [row for batch in mixed.select(range(min(DRAWS, len(mixed)))).iter(1000) for row in batch["i"]]
        )
        note("interleave_datasets: rows read", took * DRAWS / min(DRAWS, len(mixed)))
        took, sampler = timed(lambda: MixtureSampler(huge, ConstantTemperature(5.0), num_samples=10**9, batch_size=256))
        note("MixtureSampler, 1e13 examples: start-up", took)
        took, _ = timed(lambda sampler=sampler: sampler[10**9 - 1])
        note("MixtureSampler, 1e13 examples: index 999,999,999", took)
    lines = [
        "# Indices a second", "",
        f"`python benchmarks/sampler_speed.py {rounds}`, {date.today()}, {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, steelyard {steelyard.__version__}; one thread, medians of {rounds} rounds in turn (min to max).", "",
        "Figures of interleave_datasets are for as many draws, in proportion to what it made.", "",
        "| what | seconds | indices a second |", "|---|---|---|",
    ]  # fmt: skip
    for label, values in seconds.items():
        rate = "" if "start-up" in label or "index 9" in label else f"{DRAWS / statistics.median(values):,.0f}"
        lines.append(f"| {label} | {statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f}) | {rate} |")
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main(int((sys.argv[1:2] or [5])[0]))
