"""A recipe in the words of TRL and peft, and TRL's words that we take over or refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import torch

from steelyard.advantages import ESTIMATORS
from steelyard.errors import InputError, nearest
from steelyard.mixture.mixture import Mixture
from steelyard.training._gradients import check_update
from steelyard.weighting import Weighting, weighting_by_name
from steelyard.weighting.influence import chosen_parameters
from steelyard.weighting.unbiased import check_prompts


def check_choices(*, estimator: str, validation_sampling: str, group_size: int | None) -> None:
    """Refuse what a trainer does not know, before TRL's constructor loads a model."""
    if estimator not in ESTIMATORS:
        raise InputError(f"unknown estimator {estimator!r}: use one of {', '.join(ESTIMATORS)}{nearest(estimator, ESTIMATORS)}")
    if validation_sampling not in ("sampled", "greedy"):
        raise InputError(f"validation_sampling must be 'sampled' or 'greedy', but is {validation_sampling!r}")
    if group_size is not None and (not isinstance(group_size, int) or group_size < 1):
        raise InputError(f"group_size must be a number of answers, at least 1, but is {group_size!r}")


def check_group_size(group_size: int, *, answers: int, estimator: str) -> None:
    """Refuse groups that do not divide a batch, and lone answers for an estimator that compares them."""
    if answers % group_size:
        raise InputError(f"group_size must divide the {answers} answers of a batch, but is {group_size}")
    if group_size < 2 and ESTIMATORS[estimator]:
        raise InputError(f"{estimator} compares answers to one prompt: group_size must be at least 2 (reinforce needs no groups)")


def check_weighting(weighting: Weighting, trainer: Any) -> None:
    """Refuse, before anything is done, a trainer that cannot give a weighting what it needs."""
    check_influence_layers(weighting, trainer.accelerator.unwrap_model(trainer.model))
    if weighting.needs_gradients:
        check_update(trainer)
        if getattr(getattr(weighting, "settings", None), "estimate", None) == "unbiased":
            check_prompts(trainer.args.generation_batch_size // trainer.group_size)
    if weighting.needs_validation and (trainer.eval_dataset is None or trainer.args.eval_strategy == "no"):
        raise InputError(
            f"{type(weighting).__name__} follows validation points: give eval_dataset=, and eval_strategy='steps' with eval_steps=1 "
            "(after every update, as in the paper) or more"
        )


def check_no_losses(mixture: Mixture | None) -> None:
    """Refuse a mixture that follows held-out losses, which reinforcement learning has none of.

    Example:
        >>> check_no_losses(None)
    """
    if mixture is not None and mixture.follows_losses:
        raise InputError("an adaptive cooldown follows held-out losses, and reinforcement learning has none: give a cooldown")


def check_groups_of(dataset: Any, group_size: int | None, num_generations: int) -> None:
    """Refuse a streamed set with groups of another size than TRL repeats its prompts by: a group would hold answers to several prompts.

    Example:
        >>> check_groups_of(["a prompt"], 2, 4)
    """
    streamed = isinstance(dataset, (datasets.IterableDataset, torch.utils.data.IterableDataset))
    if streamed and group_size is not None and group_size != num_generations:
        raise InputError(
            f"a streamed train_dataset is repeated by TRL, num_generations ({num_generations}) times a prompt, so group_size must be the same, but is "
            f"{group_size}: leave it out, or load the set"
        )


def check_trl_arguments(args: Any, weighting: Any) -> None:
    """Refuse settings of TRL that our advantages would pass over in silence."""
    if str(args.scale_rewards).lower() not in ("group", "true"):
        raise InputError(
            f"scale_rewards={args.scale_rewards!r} has no effect here: choose by estimator= ('rloo' divides by nothing, 'reinforce' by the batch's spread)"
        )
    if args.multi_objective_aggregation != "sum_then_normalize":
        raise InputError(
            f"multi_objective_aggregation={args.multi_objective_aggregation!r} has no effect here: give weighting=FixedWeights(normalize='each')"
        )
    if args.reward_weights is not None and isinstance(weighting, Weighting):
        raise InputError("weights are given twice, in args.reward_weights and by weighting=: leave one out")


def shares(weights: Sequence[float]) -> list[float]:
    """TRL's reward weights as shares of one."""
    if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise InputError(f"reward_weights must not be negative and must not all be 0, but are {list(weights)}")
    return [weight / sum(weights) for weight in weights]


def as_weighting(weighting: Any, weights: Sequence[float] | None) -> Weighting:
    """A weighting given as one, or by a method's name with starting weights.

    Example:
        >>> type(as_weighting("fixed", [0.5, 0.5])).__name__
        'FixedWeights'
        >>> as_weighting({"method": "fixed"}, None)
        Traceback (most recent call last):
        steelyard.errors.InputError: weighting must be a Weighting or a method's name, but is {'method': 'fixed'}: give, for instance, 'fixed' or FixedWeights()
    """
    if isinstance(weighting, str):
        return weighting_by_name(weighting, weights=weights)
    if not isinstance(weighting, Weighting):
        raise InputError(
            f"weighting must be a Weighting or a method's name, but is {weighting!r}: give, for instance, 'fixed' or FixedWeights()"
        )
    return weighting


def check_influence_layers(weighting: Weighting, model: Any) -> None:
    """Refuse layers for influences that the model does not have, before anything is done."""
    settings = getattr(weighting, "settings", None)
    if settings is not None:
        chosen_parameters(model, settings.layers)
