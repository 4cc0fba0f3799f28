"""How to train on languages of very different size: temperatures, schedules, scalarization and stratified draws on real text.

    python benchmarks/mixture_study.py tldr PAGES.jsonl.gz [--seeds 3] [--workers 2] [--arms a,b]
    python benchmarks/mixture_study.py few PAGES.jsonl.gz [...]      # a tenth of the same pages
    python benchmarks/mixture_study.py po ROWS.jsonl [...]           # the rows are made by po_rows.py
    python benchmarks/mixture_study.py table

A byte-level Llama (0.35 million parameters) learns the pages of the tldr project from nothing, without alias pages, in 39 languages. Every run takes
600 updates of 32 pieces of 128 bytes, the same learning rate (3e-3, cosine) and the same held-out pages; nothing is tuned by arm. That is a third of a
pass over the pages, and no language is learnt by heart; "few" keeps every tenth page and makes 2,400 updates of 8 pieces, three passes. On "po" the same
model learns to translate English interface strings into some hundred languages, 32 strings an update. A run is a line in results/mixture/; runs that are there already are not repeated. `table` writes results/mixture*.md and the figures.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
RATE = 3e-3
LATE = "LOW"  # stands for the low-resource languages, which the data tells

ARMS = {
    "tau=1": {"schedule": "constant:1", "draw": "independent"},
    "tau=5": {"schedule": "constant:5", "draw": "independent"},
    "tau=100": {"schedule": "constant:100", "draw": "independent"},
    "cooldown": {"schedule": "cooldown", "draw": "independent"},
    "increasing": {"schedule": "piecewise:0=1,0.5=5", "draw": "independent"},
    "linear": {"schedule": "linear:5,1", "draw": "independent"},
    "cosine": {"schedule": "cosine:5,1", "draw": "independent"},
    "unimax": {"schedule": "unimax:5", "draw": "independent"},
    "order matters": {"schedule": f"late:{LATE}@0.5", "draw": "independent"},
    "scalarization": {"schedule": "constant:5", "by": "scalarization", "draw": "independent"},
    "stratified tau=1": {"schedule": "constant:1", "draw": "stratified"},
    "stratified tau=5": {"schedule": "constant:5", "draw": "stratified"},
    "stratified cooldown": {"schedule": "cooldown", "draw": "stratified"},
    "cooldown at cap": {"schedule": "cooldown-at-cap:20", "draw": "stratified"},
    "adaptive cooldown": {"schedule": "adaptive:5,1,0.8,1", "draw": "stratified"},
}
"""The paper's arms draw independently, as it does; the last five are ours."""

PAGES = {
    "keep": "{{ not alias }}",
    "text": "{{ (description + examples) | join('\n') }}",
    "domain": "{{ lang }}",
}
DATA = {
    "tldr": PAGES | {"held_out": {"share": 0.1, "least": 2, "most": 20}},
    "few": PAGES | {"held_out": {"share": 0.3, "least": 2, "most": 20}},
    "po": {
        "prompt": "{{ lang }}: {{ source }}\n",
        "completion": "{{ target }}",
        "domain": "{{ lang }}",
        "held_out": {"share": 0.1, "least": 4, "most": 20},
    },
}
MAX_TOKENS = {"tldr": 128, "few": 128, "po": 192}
BATCHES = {"tldr": (600, 32), "few": (2400, 8), "po": (600, 32)}
"""Updates, and examples an update."""
KEPT, LEAST = 10, 5
"""Of the pages of a language "few" keeps every tenth, and five at least where there are as many."""


def content_of(name, source, mixture, seed):
    updates, size = BATCHES[name]
    return {
        "name": "mixture-study",
        "kind": "supervised",
        "seed": seed,
        "model": {"scratch": {"width": 96, "layers": 3, "heads": 4, "context": MAX_TOKENS[name]}},
        "data": {"source": str(Path(source).resolve()), **DATA[name]},
        "mixture": mixture,
        "training": {
            "steps": updates, "batch_size": size, "max_tokens": MAX_TOKENS[name], "pack": "text" in DATA[name], "learning_rate": RATE,
            "schedule": "cosine", "warmup": 0.02,
        },
        "validation": {"every": updates // 8, "batch": 64},
        "checkpoint": {"every": 10**6},
    }  # fmt: skip


def thinned(source, folder):
    """A file of every tenth page of each language."""
    pages = {}
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if not row["alias"]:
                pages.setdefault(row["lang"], []).append(line)
    place = Path(folder) / "few.jsonl"
    place.write_text("".join(line for mine in pages.values() for line in mine[:: max(1, min(KEPT, len(mine) // LEAST))]))
    return place


def low_resource(recipe):
    """The languages that hold less than a hundredth of the examples each, as in the report."""
    from mixture_tables import resource_groups

    from steelyard.models.scratch import byte_tokenizer
    from steelyard.runs._domain_data import load_domains, pack_domains

    rows = load_domains(recipe.data).train
    if recipe.training.pack:
        rows = pack_domains(rows, byte_tokenizer(), recipe.training.max_tokens)
    sizes = {}
    for row in rows:
        sizes[row["domain"]] = sizes.get(row["domain"], 0) + 1
    return sorted(resource_groups(sizes)[1])


def run(job):
    name, source, arm, seed = job
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    import steelyard
    from steelyard.cli.console import quiet_environment, quiet_libraries, settle_hub
    from steelyard.recipes.loading import parse_recipe
    from steelyard.runlog import RunLog
    from steelyard.training import train

    torch.set_num_threads(1)
    quiet_environment()
    settle_hub(needed=False)
    quiet_libraries()
    mixture = dict(ARMS[arm])
    folder, began = Path(tempfile.mkdtemp()), time.perf_counter()
    source = thinned(source, folder) if name == "few" else source
    if LATE in mixture["schedule"]:
        plain = parse_recipe(content_of(name, source, ARMS["tau=1"], seed))
        mixture["schedule"] = mixture["schedule"].replace(LATE, ",".join(low_resource(plain)))
    said = Told()
    try:
        train(parse_recipe(content_of(name, source, mixture, seed)), out=folder / "run", progress=said)
        log = RunLog(folder / "run")
        validations, steps = log.validations(), log.steps()
        domains = json.loads((folder / "run" / "data.json").read_text())["domains"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    drawn = {}
    for step in steps:
        for domain, count in step["draws"].items():
            drawn[domain] = drawn.get(domain, 0) + count
    return {
        "data": name, "arm": arm, "seed": seed, "updates": BATCHES[name][0], "rate": RATE,
        "examples": {d: counts["examples"] for d, counts in domains.items()}, "drawn": drawn, "tokens": validations[-1]["tokens"],
        "curve": [{"step": v["step"], "losses": {d: round(x, 4) for d, x in v["losses"].items()}} for v in validations],
        "said": said.lines, "wall": round(time.perf_counter() - began, 1), "date": str(date.today()),
        "steelyard": steelyard.__version__, "torch": torch.__version__,
    }  # fmt: skip


class Told:
    """Keeps what a run says of itself (when it cooled down) and shows nothing."""

    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def read_rows(name):
    path = RESULTS / "mixture" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_all(name, source, arms, seeds, workers):
    done = {(row["arm"], row["seed"]) for row in read_rows(name)}
    todo = [(name, source, arm, seed) for seed in range(1, seeds + 1) for arm in arms if (arm, seed) not in done]
    print(f"{len(todo)} runs to go", flush=True)
    (RESULTS / "mixture").mkdir(parents=True, exist_ok=True)
    # An executor, since a pool waits for ever for what a killed worker was doing.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, job) for job in todo]):
            row = future.result()
            with (RESULTS / "mixture" / f"{name}.jsonl").open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            from mixture_tables import group_means

            means = {group: round(value, 4) for group, value in group_means(row).items()}
            print(f"{row['arm']:22} seed {row['seed']}  {means}  {row['said']}  {row['wall']:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=(*DATA, "table"))
    parser.add_argument("source", nargs="?")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.what == "table":
        from mixture_tables import write_tables

        return write_tables({name: read_rows(name) for name in DATA})
    if options.source is None:
        parser.error("give the file of the data")
    return run_all(options.what, options.source, options.arms.split(","), options.seeds, options.workers)


if __name__ == "__main__":
    main()
