"""What a weighting method is shown of a batch, put together in one place for every trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from steelyard.errors import InputError
from steelyard.weighting import Batch, Influence


def batch_of(
    trainer: Any,
    rewards_BK: Tensor,
    *,
    advantages_BK: Tensor | None = None,
    influence: Callable[..., Influence | None] | None = None,
) -> Batch:
    """A trainer's fresh batch, before its update.

    Args:
        trainer: one of TRL's, or ours.
        rewards_BK: higher is better, NaN where an objective does not apply.
        advantages_BK: the objectives' own; default: zeros, of a trainer that computes none.
        influence: computes influences; default: refuses to.
    """
    rewards_BK = rewards_BK.double().cpu()
    return Batch(
        rewards_BK,
        torch.zeros_like(rewards_BK) if advantages_BK is None else advantages_BK,
        learning_rate=learning_rate_of(trainer),
        progress=progress_of(trainer),
        share=share_of(trainer),
        influence=influence or _no_influence,
    )


def learning_rate_of(trainer: Any) -> float:
    """The learning rate of the coming update."""
    scheduler = trainer.lr_scheduler
    rate: float = trainer.args.learning_rate if scheduler is None else scheduler.get_last_lr()[0]
    return rate


def progress_of(trainer: Any) -> float:
    """The share of the run that is done."""
    done: float = trainer.state.global_step / max(1, trainer.state.max_steps)
    return done


def share_of(trainer: Any) -> float:
    """The share of a run that the updates from one generated batch are."""
    args = trainer.args
    iterations = getattr(trainer, "num_iterations", 1)
    updates = args.steps_per_generation * iterations / args.gradient_accumulation_steps
    share: float = updates / max(1, trainer.state.max_steps)
    return share


def _no_influence(**options: Any) -> None:
    raise InputError("a plain trainer computes no influences: use steelyard.training.PolicyTrainer")
