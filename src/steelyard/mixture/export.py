"""A plan in the words of the tools that others train with: the blend of every phase, and where the phase ends."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence

from steelyard.errors import InputError, nearest
from steelyard.mixture.plan import MixturePlan

Shares = Sequence[tuple[str, float]]


def export_plan(plan: MixturePlan, form: str) -> str:
    """The blends of a plan, phase by phase; domains' names stand where paths or names of data sets belong.

    Args:
        plan: of a schedule with phases.
        form: "megatron", "nemo", "llama-factory", "datasets" or "mosaic".

    Raises:
        InputError: where the form is unknown, or the schedule has no phases.

    Example:
        >>> from steelyard.mixture import Cooldown, plan_mixture
        >>> plan = plan_mixture([900, 100], Cooldown(), num_samples=1000, batch_size=10, names=["en", "sw"])
        >>> print(export_plan(plan, "megatron"))
        # steps 1 to 50
        --train-iters 50 --data-path 0.608127 en 0.391873 sw
        # steps 51 to 100
        --train-iters 50 --data-path 0.9 en 0.1 sw
    """
    if form not in _EXPORTS:
        raise InputError(f"unknown form {form!r}: use one of {', '.join(_EXPORTS)}{nearest(form, _EXPORTS)}")
    if plan.dense:
        raise InputError(
            "this schedule moves with every step and has no phases to export: use one that does, as cooldown or piecewise"
        )
    edges = [round(phase * plan.steps) for phase in plan.phases] + [plan.steps]
    parts = []
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        if end > begin:
            shares = [(domain.name, float(f"{domain.shares[number]:.6g}")) for domain in plan.domains]
            parts.append(f"# steps {begin + 1} to {end}\n{_EXPORTS[form](shares, end - begin)}")
    return "\n".join(parts)


def _megatron(shares: Shares, steps: int) -> str:
    """Megatron-LM's arguments: weights and prefixes in turn."""
    return f"--train-iters {steps} --data-path " + " ".join(f"{share:g} {_shell(name)}" for name, share in shares)


def _nemo(shares: Shares, steps: int) -> str:
    """NeMo's list of weights and prefixes in turn."""
    listed = ", ".join(f"{share:g}, {json.dumps(name, ensure_ascii=False)}" for name, share in shares)
    return f"trainer: {{max_steps: {steps}}}\ndata: {{data_prefix: [{listed}]}}"


def _llama_factory(shares: Shares, steps: int) -> str:
    """LLaMA-Factory's mixing of data sets by name."""
    for name, _ in shares:
        if "," in name:
            raise InputError(f"LLaMA-Factory's names of data sets hold no comma, but {name!r} does: rename the domain")
    return (
        f"max_steps: {steps}\ndataset: {json.dumps(','.join(name for name, _ in shares), ensure_ascii=False)}\nmix_strategy: interleave_over\n"
        f"interleave_probs: {','.join(f'{share:g}' for _, share in shares)}"
    )


def _datasets(shares: Shares, steps: int) -> str:
    """A call of Hugging Face datasets."""
    names = ", ".join(f"sources[{json.dumps(name, ensure_ascii=False)}]" for name, _ in shares)
    # Its shares must sum to one to the last digit that numpy looks at.
    total = sum(share for _, share in shares)
    probabilities = ", ".join(f"{share / total!r}" for _, share in shares)
    return f"interleave_datasets([{names}], probabilities=[{probabilities}], stopping_strategy='all_exhausted')  # {steps} steps"


def _mosaic(shares: Shares, steps: int) -> str:
    """Streams of MosaicML Streaming, by proportion."""
    lines = [
        f"  {json.dumps(name, ensure_ascii=False)}: {{local: {json.dumps(name, ensure_ascii=False)}, proportion: {share:g}}}"
        for name, share in shares
    ]
    return "\n".join([f"max_duration: {steps}ba", "streams:", *lines])


def _shell(name: str) -> str:
    return (
        name
        if name.replace("-", "").replace("_", "").replace(".", "").replace("/", "").isalnum()
        else json.dumps(name, ensure_ascii=False)
    )


_EXPORTS: dict[str, Callable[[Shares, int], str]] = {
    "megatron": _megatron,
    "nemo": _nemo,
    "llama-factory": _llama_factory,
    "datasets": _datasets,
    "mosaic": _mosaic,
}
"""Forms that a plan can be written in."""
