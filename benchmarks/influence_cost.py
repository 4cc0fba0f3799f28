"""What a weighted update costs: from a batch of answers to the gradient of the update, by every way to the influences, for 3 and 8 objectives.

    python benchmarks/influence_cost.py [sums|smollm2] [ROUNDS]

"Reference" does as the paper's code: a full forward and backward pass an objective, each gradient kept as a row of a matrix, then one more full
pass for the update. Ours share the forward pass with the update where there is one micro-batch. Variants take turns in every round; the ratio to
the reference is the median of the rounds' ratios. Errors are of the influences against "exact" (float32 gradients, float64 sums), largest over objectives, relative to
the largest influence; the reference's own is that of its float32 matrix product. Writes benchmarks/results/influence_cost_MODEL.md.
"""

import platform
import statistics
import sys
import time
from datetime import date
from pathlib import Path

import torch

import steelyard
from steelyard.models.loading import load_policy
from steelyard.weighting import AnswerGradients, AnswerTerms, sequence_logprobs
from steelyard.weighting.influence import chosen_parameters

SHAPES = {"sums": (64, 10, 75), "smollm2": (8, 32, 64)}
LAST = {"sums": ["*.layers.2.*"], "smollm2": ["*.layers.2[5-9].*"]}


def make_batch(model, answers, prompt, completion):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, model.config.vocab_size, (answers, prompt + completion), generator=generator)
    mask = torch.ones_like(ids)
    counted = mask.clone()
    counted[:, :prompt] = 0
    # Answers end at different places, as they do.
    for i, length in enumerate(torch.linspace(0.3, 1.0, answers).tolist()):
        counted[i, prompt + int(length * completion) :] = 0
    return {"input_ids": ids, "attention_mask": mask, "completion_mask": counted}


def reference(model, batch, advantages):
    rows, parameters = [], [p for p in model.parameters() if p.requires_grad]
    for k in range(advantages.shape[1]):
        model.zero_grad()
        (sequence_logprobs(model, batch) / batch["completion_mask"].sum() * advantages[:, k]).sum().backward()
        rows.append(torch.cat([p.grad.flatten() for p in parameters]))
    matrix = torch.stack(rows)
    influence = (matrix @ matrix.T).sum(0).double()
    model.zero_grad()
    (sequence_logprobs(model, batch) / batch["completion_mask"].sum() * advantages.mean(1)).sum().backward()
    return influence


def ours(method, layers=None):
    def update(model, batch, advantages):
        model.zero_grad()

        def terms(call=model):
            return sequence_logprobs(call, batch) / batch["completion_mask"].sum()

        rows = torch.arange(len(advantages))
        gradients = AnswerGradients(model, chosen_parameters(model, layers), [AnswerTerms(rows, terms, terms)], method)
        influence = gradients.influence(advantages).influence_K
        (gradients._graph * advantages.mean(1)).sum().backward()
        return influence

    return update


def optimizer_step(model, batch, advantages):
    """The update itself, and one forward pass after it; the step is a small one along the gradient, put back afterwards."""
    model.zero_grad()
    tokens = batch["completion_mask"].sum()
    before = sequence_logprobs(model, batch) / tokens
    (before * advantages.sum(1)).sum().backward()
    with torch.no_grad():
        parameters = [p for p in model.parameters() if p.requires_grad]
        kept, rate = [p.clone() for p in parameters], 1e-4
        for p in parameters:
            p.add_(p.grad, alpha=rate)
        after = sequence_logprobs(model, batch) / tokens
        for p, value in zip(parameters, kept, strict=True):
            p.copy_(value)
    return ((after - before.detach()).double() @ advantages.double()) / rate


def fixed(model, batch, advantages):
    model.zero_grad()
    (sequence_logprobs(model, batch) / batch["completion_mask"].sum() * advantages.mean(1)).sum().backward()


def main(name, rounds):
    model, _ = load_policy(name)
    model.train()
    variants = {
        "reference: K+1 full passes": reference,
        "exact": ours("exact"),
        "jvp": ours("jvp"),
        "finite-difference": ours("finite-difference"),
        "optimizer-step (plain step)": optimizer_step,
        f"finite-difference, layers {LAST[name]}": ours("finite-difference", LAST[name]),
        "fixed weights: one pass": fixed,
    }
    answers, prompt, completion = SHAPES[name]
    batch = make_batch(model, answers, prompt, completion)
    tables = []
    for objectives in (3, 8):
        advantages = torch.randn(answers, objectives, generator=torch.Generator().manual_seed(1))
        seconds, errors = {label: [] for label in variants}, {}
        for _ in range(rounds):
            found = {}
            for label, variant in variants.items():
                began = time.perf_counter()
                found[label] = variant(model, batch, advantages)
                seconds[label].append(time.perf_counter() - began)
            for label, influence in found.items():
                if influence is not None and label != "exact" and "layers" not in label:
                    errors[label] = ((influence - found["exact"]).abs().max() / found["exact"].abs().max()).item()
        base = seconds["reference: K+1 full passes"]
        lines = [
            "",
            f"K = {objectives}",
            "",
            "| way | median s | ratio to the reference (min to max) | error |",
            "|---|---|---|---|",
        ]
        for label, values in seconds.items():
            ratios = [a / b for a, b in zip(values, base, strict=True)]
            error = f"{errors[label]:.1e}" if label in errors else ""
            lines.append(
                f"| {label} | {statistics.median(values):.2f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {error} |"
            )
        tables += lines
    head = [
        f"# Seconds from a batch to the gradient of its update, {name}",
        "",
        f"`python benchmarks/influence_cost.py {name} {rounds}`, {date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}, steelyard {steelyard.__version__}.",
        f"{answers} answers of {prompt} + {completion} tokens, float32; {rounds} rounds, variants in turn.",
    ]
    out = Path(__file__).parent / "results" / f"influence_cost_{name}.md"
    out.write_text("\n".join(head + tables) + "\n")
    print("\n".join(head + tables))


if __name__ == "__main__":
    main(*(sys.argv[1:2] or ["sums"]), int((sys.argv[2:3] or [7])[0]))
