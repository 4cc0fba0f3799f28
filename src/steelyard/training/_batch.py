"""What a weighting method is shown of a batch, put together in one place for every trainer, and how it asks for influences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from steelyard.advantages import of_equal_spread
from steelyard.errors import InputError, RunError
from steelyard.training._gradients import buffered_influence
from steelyard.weighting import Batch, Influence, mean_weights
from steelyard.weighting.influence import OPTIMIZER_STEP


def batch_of(
    trainer: Any,
    rewards_BK: Tensor,
    *,
    advantages_BK: Tensor | None = None,
    influence: Callable[..., Influence | None] | None = None,
    preferences: Sequence[Any] = (),
) -> Batch:
    """A trainer's fresh batch, before its update.

    Args:
        trainer: one of TRL's, or ours.
        rewards_BK: higher is better, NaN where an objective does not apply.
        advantages_BK: the objectives' own; default: zeros, of a trainer that computes none.
        influence: computes influences; default: refuses to.
        preferences: the weights that this process's rows ask for, None where one asks for none.
    """
    rewards_BK = rewards_BK.double().cpu()
    return Batch(
        rewards_BK,
        torch.zeros_like(rewards_BK) if advantages_BK is None else advantages_BK,
        learning_rate=learning_rate_of(trainer),
        progress=progress_of(trainer),
        share=share_of(trainer),
        group_size=getattr(trainer, "group_size", None) or trainer.num_generations,
        influence=influence or _no_influence,
        preferences_BK=_preferences(preferences),
    )


def _preferences(mine: Sequence[Any]) -> Tensor | None:
    """The preferences of the rows of all processes, `[B,K]`; None where a row has none."""
    everyone = gather_object(list(mine)) if mine else []
    return None if not everyone or any(one is None for one in everyone) else torch.tensor(everyone, dtype=torch.float64)


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


def influence_of(trainer: Any, scores_BK: Tensor, advantages_BK: Tensor) -> Callable[..., Influence | None]:
    """What computes the influences of objectives with these advantages on a trainer's buffered batch; the last one is kept for the record."""
    # Before gates: which of them an answer opens is noise of its own, and halves must not depend on it.
    has_BK = ~scores_BK.isnan()
    trainer._influence = None

    def influence(
        *,
        method: str = "finite-difference",
        layers: Sequence[str] | None = None,
        gram: bool = False,
        equal_spread: bool = False,
        unbiased: bool = False,
    ) -> Influence | None:
        taken_BK = of_equal_spread(advantages_BK, estimator=trainer.estimator) if equal_spread else advantages_BK
        if method == OPTIMIZER_STEP:
            latest = trainer.step_influence.latest
            trainer.step_influence.watch(taken_BK, learning_rate_of(trainer))
        else:
            latest = buffered_influence(
                trainer, taken_BK, method=method, layers=layers, gram=gram, has_BK=has_BK if unbiased else None
            )
        trainer._influence = latest or trainer._influence
        return latest

    return influence


def use_advantages(micro_batches: Sequence[dict[str, Any]], advantages_B: Tensor, *, step: int, weights: Tensor) -> None:
    """Put the advantages of an update into its micro-batches, times each answer's loss weight where it has one.

    Raises:
        RunError: where one is not finite.
    """
    if not advantages_B.isfinite().all():
        raise RunError(
            f"step {step}: an advantage is not finite; weights {mean_weights(weights).tolist()}: lower the learning rate"
        )
    for micro_batch in micro_batches:
        taken_B = advantages_B[micro_batch["answer_index"].cpu()]
        if "loss_weight" in micro_batch:
            taken_B = taken_B * micro_batch["loss_weight"].to(taken_B)
        micro_batch["advantages"] = taken_B.float().to(micro_batch["completion_ids"].device)
