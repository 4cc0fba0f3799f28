"""The objectives' gradients of TRL's own loss, on the answers that a trainer is about to use."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steelyard.errors import InputError
from steelyard.weighting import GradientSums, Influence

LOSSES = ("dapo", "grpo", "bnpo", "dr_grpo", "cispo")
"""Losses of TRL whose gradient, on fresh answers, is a weighted sum of the answers' log-probability gradients."""


def buffered_influence(trainer: Any, advantages_BK: Tensor) -> Influence:
    """The Gram matrix of the objectives' gradients on a trainer's buffered answers.

    Objective k is what TRL's loss would be with the advantages `A[:,k]`, on fresh answers (importance ratios of 1) and without KL or entropy
    terms: `J_k = sum_i c_i A[i,k] sum_t log p(token_it)`, with `c_i` by the loss type.

    Args:
        trainer: a `GRPOTrainer` whose buffered micro-batches have `answer_index`, each answer's row in `advantages_BK`.
        advantages_BK: of the whole generation batch, over all processes.

    Raises:
        InputError: where the loss type is none of `LOSSES`.
    """
    if trainer.loss_type not in LOSSES:
        raise InputError(f"gradient influence needs loss_type {', '.join(LOSSES)}, but is {trainer.loss_type!r}")
    model = trainer.accelerator.unwrap_model(trainer.model)
    # Parameters are looked up anew every time: sharding swaps the objects.
    sums = GradientSums([p for p in model.parameters() if p.requires_grad], advantages_BK.shape[1])
    with torch.random.fork_rng(), trainer.compute_loss_context_manager():
        for micro_batch in trainer._buffered_inputs:
            mask = micro_batch["completion_mask"]
            if micro_batch.get("tool_mask") is not None:
                mask = mask * micro_batch["tool_mask"]
            logprobs, _, _ = trainer._get_per_token_logps_and_entropies(
                trainer.model,
                torch.cat([micro_batch["prompt_ids"], micro_batch["completion_ids"]], 1),
                torch.cat([micro_batch["prompt_mask"], micro_batch["completion_mask"]], 1),
                micro_batch["completion_ids"].size(1),
            )
            terms_B = (logprobs * mask).sum(1) * answer_factor(trainer, mask, micro_batch)
            sums.add(terms_B, advantages_BK[micro_batch["answer_index"]])
    if trainer.accelerator.num_processes > 1:
        for gradients in sums.gradients:
            for gradient in gradients:
                gradient.copy_(trainer.accelerator.reduce(gradient, reduction="mean"))
    return Influence(sums.gram())


def answer_factor(trainer: Any, mask: Tensor, micro_batch: dict[str, Any]) -> Tensor:
    """By what TRL's loss multiplies an answer's summed token terms, `c_i`: scalar or `[B]`."""
    accumulation = trainer.args.gradient_accumulation_steps
    if trainer.loss_type in ("dapo", "cispo"):
        whole = micro_batch["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes
        return 1 / (whole * accumulation / trainer.args.steps_per_generation)
    if trainer.loss_type == "bnpo":
        return 1 / (mask.sum().clamp(min=1.0) * accumulation)
    if trainer.loss_type == "dr_grpo":
        return torch.tensor(1 / (mask.size(0) * trainer.max_completion_length * accumulation), device=mask.device)
    return 1 / (mask.sum(1).clamp(min=1.0) * mask.size(0) * accumulation)
