"""How noisy a real language model's mini-batch gradient is under scalarization, temperature sampling and stratified sampling.

    python benchmarks/gradient_variance.py PAGES.jsonl.gz [--pairs 24] [--updates 100]

The study's byte-level Llama (mixture_study.py) on the tldr pages, at random weights and after some updates in proportion; batches of 32 pieces of
128 bytes, the loss of an example is the mean over its bytes. Variance is the trace of the covariance: exactly, from the gradient of every example there
is, and measured from pairs of the sampler's batches, with 95% intervals. Writes results/gradient_variance.md; a process for each set of weights.
"""

import argparse
import multiprocessing
import os
import platform
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from mixture_study import ARMS, content_of

import steelyard
from steelyard.mixture import estimate_gradient_variance, moments_variance
from steelyard.mixture.variance import _VARIANCE_METHODS as METHODS
from steelyard.models.scratch import byte_tokenizer, new_model
from steelyard.recipes.loading import parse_recipe
from steelyard.runs._domain_data import load_domains, pack_domains
from steelyard.training import train

BATCH, TEMPERATURES, PAIR = 32, (2.0, 5.0), ["en", "ca"]


def losses_of(model, examples):
    """The mean loss over the bytes of each of some examples."""

    def losses(indices):
        width = max(len(examples[i]) for i in indices)
        ids = torch.zeros(len(indices), width, dtype=torch.long)
        labels = torch.full((len(indices), width), -100)
        for row, i in enumerate(indices):
            ids[row, : len(examples[i])] = labels[row, : len(examples[i])] = torch.tensor(examples[i])
        logits = model(input_ids=ids).logits[:, :-1]
        token = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
        return token.sum(1) / (labels[:, 1:] != -100).sum(1)

    return losses


def moments(losses, parameters, sizes):
    """Inner products of the domains' mean gradients, and their mean squared norms, over all examples."""
    width = sum(p.numel() for p in parameters)
    sums, squares, at = torch.zeros(len(sizes), width, dtype=torch.float64), torch.zeros(len(sizes), dtype=torch.float64), 0
    for domain, size in enumerate(sizes):
        for i in range(at, at + size):
            gradient = torch.cat([part.flatten() for part in torch.autograd.grad(losses([i]).sum(), parameters)])
            sums[domain] += gradient
            squares[domain] += gradient.double().square().sum()
        at += size
    counts = torch.tensor(sizes, dtype=torch.float64)
    means = sums / counts[:, None]
    return means @ means.T, squares / counts


def stage(job):
    """All figures of one set of weights: a line a setting for the exact table, and one for the measured."""
    label, place, by_domain, pairs = job
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(place).train(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    names = sorted(by_domain)
    products, squares = moments(
        losses_of(model, [ids for name in names for ids in by_domain[name]]), parameters, [len(by_domain[name]) for name in names]
    )
    exact, measured = [], []
    for which, title in ((PAIR, " and ".join(PAIR)), (names, f"all {len(names)} languages")):
        sizes = [len(by_domain[name]) for name in which]
        at = torch.tensor([names.index(name) for name in which])
        losses = losses_of(model, [ids for name in which for ids in by_domain[name]])
        for tau in TEMPERATURES:
            begin = f"| {label} | {title} | {max(sizes) / min(sizes):,.0f}:1 | {tau:g} |"
            settings = {"tau": tau, "batch_size": BATCH}
            true = {m: moments_variance(products[at][:, at], squares[at], sizes, method=m, **settings) for m in METHODS}
            ratios = [true[a] / true[b] for a, b in (METHODS[:2], METHODS[1:])]
            exact.append(f"{begin} {' | '.join(f'{true[m]:.4g}' for m in METHODS)} | {ratios[0]:.2f} | {ratios[1]:.3f} |")
            found = {m: estimate_gradient_variance(losses, parameters, sizes, method=m, pairs=pairs, **settings) for m in METHODS}
            measured.append(f"{begin} {' | '.join(f'{found[m].variance:.4g} ± {found[m].half_width:.2g}' for m in METHODS)} |")
    return exact, measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--updates", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    content = content_of("tldr", options.source, ARMS["tau=1"], 0)
    content["training"]["steps"], content["validation"]["every"] = options.updates, 10**6
    recipe, tokenizer, began = parse_recipe(content), byte_tokenizer(), time.perf_counter()
    by_domain = {}
    for row in pack_domains(load_domains(recipe.data).train, tokenizer, 128):
        by_domain.setdefault(row["domain"], []).append(row["input_ids"])
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, out=Path(folder) / "run")
        new_model(tokenizer, width=96, layers=3, heads=4, context=128, seed=0).save_pretrained(Path(folder) / "fresh")
        places = {
            "random weights": Path(folder) / "fresh",
            f"after {options.updates} updates": Path(folder) / "run" / "checkpoints" / "final",
        }
        jobs = [(label, place, by_domain, options.pairs) for label, place in places.items()]
        with ProcessPoolExecutor(len(jobs), mp_context=multiprocessing.get_context("spawn")) as pool:
            done = list(pool.map(stage, jobs))
    exact, measured = ([line for tables in done for line in tables[which]] for which in (0, 1))
    heads, rule = f"| weights | languages | largest : smallest | tau | {' | '.join(METHODS)} |", "|---" * (4 + len(METHODS)) + "|"
    total = sum(len(ids) for ids in by_domain.values())
    text = [
        "# Variance of a language model's mini-batch gradient", "",
        f"`python benchmarks/gradient_variance.py PAGES.jsonl.gz --pairs {options.pairs} --updates {options.updates}`, {date.today()}; {platform.machine()}, "
        f"two processes of one thread, {time.perf_counter() - began:.0f} s, steelyard {steelyard.__version__}, torch {torch.__version__}, numpy {np.__version__}.", "",
        f"A byte-level Llama of 0.35 million parameters on tldr pages; batches of {BATCH} pieces of 128 bytes; E|g - E g|^2.", "",
        f"Exactly, from the gradients of all {total:,} pieces; examples of a domain as drawn with replacement:", "",
        f"{heads} scalarization / sampling | sampling / stratified |", rule + "---|---|", *exact, "",
        f"Measured, from {options.pairs} pairs of the sampler's batches, with 95% intervals; a heavy tail (the rare example of large weight) makes those of "
        "scalarization wide, and its mean too low more often than too high:", "",
        heads, rule, *measured, "",
    ]  # fmt: skip
    (Path(__file__).parent / "results" / "gradient_variance.md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
