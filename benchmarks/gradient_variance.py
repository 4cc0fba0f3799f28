"""How noisy a real language model's mini-batch gradient is under scalarization, temperature sampling and stratified sampling.

    python benchmarks/gradient_variance.py PAGES.jsonl.gz [--pairs 24] [--updates 150]

The study's byte-level Llama (mixture_study.py) on the tldr pages, at random weights and after some updates in proportion; batches of 32 pieces of
128 bytes, the loss of an example is the mean over its bytes. Variance is the trace of the covariance, from pairs of independent batches, with 95%
intervals; ratios are of the means. Writes results/gradient_variance.md.
"""

import argparse
import platform
import tempfile
import time
from datetime import date
from pathlib import Path

import torch
from mixture_study import ARMS, content_of

import steelyard
from steelyard.mixture import estimate_gradient_variance
from steelyard.mixture.variance import METHODS
from steelyard.training import train
from steelyard.training.config import parse_recipe
from steelyard.training.domain_data import load_domains, pack_domains
from steelyard.training.scratch import byte_tokenizer, new_model

BATCH = 32


def measured(model, rows, names, pairs):
    """Variance by method and temperature on the examples of some domains."""
    by_domain = {name: [row["input_ids"] for row in rows if row["domain"] == name] for name in names}
    examples = [ids for name in names for ids in by_domain[name]]
    parameters = [p for p in model.parameters() if p.requires_grad]

    def losses(indices):
        width = max(len(examples[i]) for i in indices)
        ids = torch.zeros(len(indices), width, dtype=torch.long)
        labels = torch.full((len(indices), width), -100)
        for row, i in enumerate(indices):
            ids[row, : len(examples[i])] = labels[row, : len(examples[i])] = torch.tensor(examples[i])
        logits = model(input_ids=ids).logits[:, :-1]
        token = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none")
        return token.sum(1) / (labels[:, 1:] != -100).sum(1)

    sizes = [len(by_domain[name]) for name in names]
    for tau in (2.0, 5.0):
        found = {
            method: estimate_gradient_variance(losses, parameters, sizes, tau=tau, batch_size=BATCH, method=method, pairs=pairs)
            for method in METHODS
        }
        yield tau, max(sizes) / min(sizes), found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--updates", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
    content = content_of("tldr", options.source, ARMS["tau=1"], 0)
    content["training"]["steps"], content["validation"]["every"] = options.updates, 10**6
    recipe = parse_recipe(content)
    tokenizer = byte_tokenizer()
    rows = pack_domains(load_domains(recipe.data).train, tokenizer, 128)
    every = sorted({row["domain"] for row in rows})
    began, lines = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, out=Path(folder) / "run")
        from transformers import AutoModelForCausalLM

        trained = AutoModelForCausalLM.from_pretrained(Path(folder) / "run" / "checkpoints" / "final")
        fresh = new_model(tokenizer, width=96, layers=3, heads=4, context=128, seed=0)
        for stage, model in (("random weights", fresh), (f"after {options.updates} updates", trained)):
            for label, names in (("en and ca", ["en", "ca"]), (f"all {len(every)} languages", every)):
                for tau, skew, found in measured(model, rows, names, options.pairs):
                    cells = [f"{found[m].variance:.4g} ± {found[m].half_width:.2g}" for m in METHODS]
                    ratios = [found[a].variance / found[b].variance for a, b in (METHODS[:2], METHODS[1:])]
                    line = f"| {stage} | {label} | {skew:,.0f}:1 | {tau:g} | {' | '.join(cells)} | {ratios[0]:.2f} | {ratios[1]:.3f} |"
                    print(line, flush=True)
                    lines.append(line)
    text = [
        "# Variance of a language model's mini-batch gradient", "",
        f"`python benchmarks/gradient_variance.py PAGES.jsonl.gz --pairs {options.pairs} --updates {options.updates}`, {date.today()}; {platform.machine()}, "
        f"one thread, {time.perf_counter() - began:.0f} s, steelyard {steelyard.__version__}, torch {torch.__version__}.", "",
        f"A byte-level Llama of 0.35 million parameters on tldr pages; batches of {BATCH} pieces of 128 bytes; E|g - E g|^2 over {options.pairs} pairs of batches, with 95% intervals.", "",
        f"| weights | languages | largest : smallest | tau | {' | '.join(METHODS)} | scalarization / sampling | sampling / stratified |",
        "|---|---|---|---|---|---|---|---|---|", *lines, "",
    ]  # fmt: skip
    (Path(__file__).parent / "results" / "gradient_variance.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
