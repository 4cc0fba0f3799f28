"""How much following all objectives would help each one: the influence of every objective's gradient.

Objective k is `J_k(theta) = sum_i A[i,k] s_i(theta) / N`, with `s_i` the summed log-probability of answer i and `N` the completion tokens
of the batch. With `g_k` its gradient: the Gram matrix is `M[j,k] = <g_j, g_k>`, and the influence `I_k = <g_k, sum_j g_j> = sum_j M[j,k]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steelyard.errors import InputError


@dataclass(frozen=True)
class Influence:
    """What the objectives' gradients say of one another.

    Attributes:
        gram_KK: float64, `M[j,k] = <g_j, g_k>`.
    """

    gram_KK: Tensor

    @property
    def influence_K(self) -> Tensor:
        """`I_k = <g_k, sum_j g_j>`, float64 `[K]`."""
        return self.gram_KK.sum(0)

    @property
    def cosine_KK(self) -> Tensor:
        """Cosine of the angle between each two gradients, -1..1; 0 where one vanishes. Negative: the objectives are in conflict."""
        norm_K = self.gram_KK.diagonal().clamp(min=0).sqrt()
        return self.gram_KK / (norm_K[:, None] * norm_K[None, :]).clamp(min=torch.finfo(torch.float64).tiny)


class GradientSums:
    """The gradients of K objectives, summed over micro-batches by plain backward passes: one forward, K backward passes each.

    Holds K gradients the size of the trained parameters.

    Args:
        parameters: those that are trained.
        num_objectives: K.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], num_objectives: int) -> None:
        self.parameters = list(parameters)
        self.gradients: list[list[Tensor]] = [[torch.zeros_like(p) for p in self.parameters] for _ in range(num_objectives)]

    def add(self, terms_B: Tensor, advantages_BK: Tensor) -> None:
        """Add the gradients of `sum_i A[i,k] terms_i`, freeing the graph of `terms_B` afterwards."""
        num_objectives = advantages_BK.shape[1]
        for k in range(num_objectives):
            objective = (terms_B * advantages_BK[:, k].to(terms_B)).sum()
            found = torch.autograd.grad(objective, self.parameters, retain_graph=k + 1 < num_objectives, allow_unused=True)
            for total, gradient in zip(self.gradients[k], found, strict=True):
                if gradient is not None:
                    total += gradient

    def gram(self) -> Tensor:
        """The inner products of the gradients, float64 `[K,K]`."""
        size = len(self.gradients)
        gram = torch.zeros(size, size, dtype=torch.float64)
        for j in range(size):
            for k in range(j, size):
                products = [(a * b).sum(dtype=torch.float64) for a, b in zip(self.gradients[j], self.gradients[k], strict=True)]
                gram[j, k] = gram[k, j] = torch.stack(products).sum().cpu()
        return gram


def sequence_logprobs(model: nn.Module, batch: Mapping[str, Tensor], *, temperature: float = 1.0) -> Tensor:
    """Summed log-probability of every answer, `s_i = sum_t log p(token_t | before)` over the completion tokens; keeps the graph.

    Args:
        model: a causal language model of transformers (its output has `.logits`).
        batch: `input_ids`, `attention_mask`, `completion_mask`, each int `[B,T]`.
        temperature: the logits are divided by it, as when sampling.

    Returns:
        float `[B]`.
    """
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1] / temperature
    logprobs = torch.log_softmax(logits, -1).gather(-1, batch["input_ids"][:, 1:, None]).squeeze(-1)
    return (logprobs * batch["completion_mask"][:, 1:]).sum(1)


def gradient_influence(
    model: nn.Module, batch: Mapping[str, Tensor], advantages_BK: Tensor, *, method: str = "exact", temperature: float = 1.0
) -> Tensor:
    """Influence of every objective on one batch, `I_k = <g_k, sum_j g_j>`.

    Args:
        model: the policy; only parameters that require a gradient count. Their `.grad` is left alone.
        batch: `input_ids`, `attention_mask`, `completion_mask`, each int `[B,T]`.
        advantages_BK: each objective's own advantages, float `[B,K]`, finite.
        method: "exact", one backward pass an objective on a shared forward pass.
        temperature: of sampling; the gradient is taken of the distribution that the answers were drawn from.

    Returns:
        float64 `[K]`.

    Raises:
        InputError: where shapes do not fit, an advantage is not finite, or the method is unknown.

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
        layers; here all trained parameters count and the forward pass is shared.
    """
    if method != "exact":
        raise InputError(f"unknown influence method {method!r}: use 'exact'")
    if advantages_BK.ndim != 2 or advantages_BK.shape[0] != batch["input_ids"].shape[0]:
        raise InputError(f"advantages must have shape [{batch['input_ids'].shape[0]}, K], but have {list(advantages_BK.shape)}")
    if not advantages_BK.isfinite().all():
        raise InputError("advantages must be finite: give 0 where an objective does not apply (the estimators do)")
    sums = GradientSums([p for p in model.parameters() if p.requires_grad], advantages_BK.shape[1])
    tokens = batch["completion_mask"][:, 1:].sum().clamp(min=1)
    with torch.enable_grad():
        sums.add(sequence_logprobs(model, batch, temperature=temperature) / tokens, advantages_BK)
    return Influence(sums.gram()).influence_K
