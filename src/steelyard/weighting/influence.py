"""How much following all objectives would help each one: the influence of every objective's gradient.

With `g_k` the gradient of objective k alone and `v = sum_j g_j`, the influence is `I_k = <g_k, v>`. `v` is one backward pass with the advantages summed
over objectives; the products with it are those of `inner_products.py`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from steelyard.errors import InputError, nearest
from steelyard.weighting.inner_products import AnswerGradients, AnswerTerms, Call
from steelyard.weighting.unbiased import Estimate, check_estimate, unbiased_influence

InfluenceMethod = Literal["finite-difference", "jvp", "exact", "optimizer-step"]
INFLUENCE_METHODS = ("exact", "jvp", "finite-difference")
"""Ways to compute inner products with `v`: a backward pass an objective, one forward-mode pass, or two plain forward passes."""

OPTIMIZER_STEP = "optimizer-step"
"""A trainer's further way: along the step that the optimiser took on the batch before."""


def chosen_parameters(model: nn.Module, layers: Sequence[str] | None = None) -> dict[str, nn.Parameter]:
    """The trained parameters by name; with `layers`, those whose name fits one of the patterns (`*` stands for anything).

    A backward pass stops at the first layer that is chosen, so patterns for the last layers make it shorter. An embedding that is tied to the
    output counts as the first layer.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        >>> list(chosen_parameters(model, ["1.*"]))
        ['1.weight', '1.bias']
        >>> chosen_parameters(model, ["2.*"])
        Traceback (most recent call last):
        steelyard.errors.InputError: influence layers ['2.*'] fit no trained parameter; names are like '0.weight', '0.bias', ..., '1.bias'
    """
    check_layers(layers)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        raise InputError(
            f"{type(model).__name__} has no parameter that requires a gradient: there is nothing to take influences of"
        )
    if layers is None:
        return trained
    chosen = {name: p for name, p in trained.items() if any(fnmatch.fnmatchcase(name, pattern) for pattern in layers)}
    if not chosen:
        names = list(trained)
        shown = names if len(names) < 4 else [*names[:2], "...", names[-1]]
        listed = ", ".join(name if name == "..." else repr(name) for name in shown)
        raise InputError(f"influence layers {list(layers)} fit no trained parameter; names are like {listed}")
    return chosen


def sequence_logprobs(model: Call, batch: Mapping[str, Tensor], *, temperature: float = 1.0) -> Tensor:
    """Summed log-probability of every answer, `s_i = sum_t log p(token_t | before)` over the completion tokens; keeps the graph.

    Args:
        model: a causal language model of transformers (its output has `.logits`), or a function that calls one.
        batch: `input_ids`, `attention_mask`, `completion_mask`, each int `[B,T]`.
        temperature: the logits are divided by it, as when sampling.

    Returns:
        float `[B]`.
    """
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1] / temperature
    logprobs = torch.log_softmax(logits, -1).gather(-1, batch["input_ids"][:, 1:, None]).squeeze(-1)
    return (logprobs * batch["completion_mask"][:, 1:]).sum(1)


def gradient_influence(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    advantages_BK: Tensor,
    *,
    method: str = "jvp",
    temperature: float = 1.0,
    layers: Sequence[str] | None = None,
    micro_batch: int | None = None,
    estimate: Estimate = "published",
    group_size: int | None = None,
) -> Tensor:
    """Influence of every objective on one batch, `I_k = <g_k, sum_j g_j>`.

    Args:
        model: the policy; only parameters that require a gradient count. Their `.grad` is left alone, their values are as before.
        batch: `input_ids`, `attention_mask`, `completion_mask`, each int `[B,T]`.
        advantages_BK: each objective's own advantages, float `[B,K]`, finite.
        method: "exact" (K backward passes on a shared forward pass), "jvp" (one backward and one forward-mode pass; attention runs as plain
            matrix products meanwhile, since fused kernels have no forward-mode rule), or "finite-difference" (one backward and two plain forward
            passes, at a step chosen from the numbers).
        temperature: of sampling; the gradient is taken of the distribution that the answers were drawn from.
        layers: patterns of parameter names; default: all trained parameters. See `chosen_parameters`.
        micro_batch: answers in memory at a time; default: all.
        estimate: "published", both factors from all answers; or "unbiased", across two halves of the prompts (see `unbiased_influence`).
        group_size: answers a prompt, which stand together; "unbiased" needs it.

    Returns:
        float64 `[K]`.

    Raises:
        InputError: where shapes do not fit, an advantage is not finite, or the method or a layer is unknown.

    Example:
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> config = LlamaConfig(vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
        >>> model, ids = LlamaForCausalLM(config), torch.randint(0, 16, (4, 6))
        >>> batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "completion_mask": torch.ones_like(ids)}
        >>> one = torch.tensor([[1.0], [-1.0], [0.5], [0.0]])
        >>> same = gradient_influence(model, batch, one.expand(4, 2))       # two equal objectives: equal influence
        >>> bool(torch.allclose(same[0], same[1])), bool((same > 0).all())
        (True, True)

    Reference:
        Lu et al., arXiv 2509.11452, section 3.2. The reference runs K full passes and keeps a K x parameters float32 matrix of the middle
        layers; here all trained parameters count, and "jvp" and "finite-difference" cost the same for any K.
    """
    if method == OPTIMIZER_STEP:
        raise InputError(f"influence {OPTIMIZER_STEP!r} needs a trainer's step: here use one of {', '.join(INFLUENCE_METHODS)}")
    _check_method(method)
    names = ("input_ids", "attention_mask", "completion_mask")
    missing = [name for name in names if name not in batch]
    if missing:
        raise InputError(f"a batch needs {', '.join(names)}, but lacks {', '.join(missing)}")
    shapes = {name: list(batch[name].shape) for name in names}
    if len(shapes["input_ids"]) != 2 or not batch["input_ids"].numel() or len({str(shape) for shape in shapes.values()}) > 1:
        raise InputError(f"a batch needs {', '.join(names)} of one shape [B,T], not empty, but they have {shapes}")
    size = batch["input_ids"].shape[0]
    if advantages_BK.ndim != 2 or advantages_BK.shape[0] != size or not advantages_BK.shape[1]:
        raise InputError(f"advantages must have shape [{size}, K], but have {list(advantages_BK.shape)}")
    if not advantages_BK.isfinite().all():
        raise InputError("advantages must be finite: give 0 where an objective does not apply (the estimators do)")
    if not 0 < temperature < float("inf"):
        raise InputError(f"temperature must be positive and finite, but is {temperature}")
    if micro_batch is not None and (not isinstance(micro_batch, int) or micro_batch < 1):
        raise InputError(f"micro_batch must be a number of answers, at least 1, but is {micro_batch!r}")
    check_estimate(estimate)
    if estimate == "unbiased" and (not isinstance(group_size, int) or group_size < 1):
        raise InputError(f"estimate 'unbiased' tells prompts apart by group_size, the answers to each, but it is {group_size!r}")
    tokens = batch["completion_mask"][:, 1:].sum().clamp(min=1)

    def part(rows: Tensor) -> AnswerTerms:
        inputs = {name: batch[name][rows.to(batch[name].device)] for name in ("input_ids", "attention_mask", "completion_mask")}

        def terms(call: Call = model) -> Tensor:
            return sequence_logprobs(call, inputs, temperature=temperature) / tokens

        return AnswerTerms(rows, terms, terms)

    parts = [part(rows) for rows in torch.arange(size).split(micro_batch or size)]
    gradients = AnswerGradients(model, chosen_parameters(model, layers), parts, method)
    if estimate == "published" or group_size is None:
        return gradients.influence(advantages_BK).influence_K
    # Which objectives a prompt has is not told here; advantages of 0 are no sign of it, since equal rewards give them too.
    all_BK = torch.ones_like(advantages_BK, dtype=torch.bool)
    return unbiased_influence(gradients, advantages_BK, all_BK, group_size=group_size).influence_K


def check_layers(layers: Any) -> None:
    """Refuse patterns that are no list of texts."""
    if layers is None:
        return
    if isinstance(layers, str) or not layers or not all(isinstance(pattern, str) for pattern in layers):
        raise InputError(f"layers must be a list of patterns of parameter names, as in ['*.layers.29.*'], but is {layers!r}")


def _check_method(method: str) -> None:
    """Refuse an unknown way to compute influences."""
    if method not in (*INFLUENCE_METHODS, OPTIMIZER_STEP):
        known = (*INFLUENCE_METHODS, OPTIMIZER_STEP)
        raise InputError(f"unknown influence method {method!r}: use one of {', '.join(known)}{nearest(method, known)}")
