"""`WeightingCallback`: weights that move in an unmodified `trl.GRPOTrainer` or `trl.RLOOTrainer`.

Left out: methods that follow gradients or weigh objectives' own advantages. They need `PolicyTrainer`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import TrainerCallback
from trl import GRPOTrainer

from steelyard.advantages import estimate
from steelyard.errors import InputError
from steelyard.objectives import Objective
from steelyard.training._arguments import as_weighting, shares
from steelyard.training._batch import batch_of
from steelyard.training._rewards import left_to_trl
from steelyard.training._state import STATE_FILE, read_state, write_state
from steelyard.training.preferences import COLUMN
from steelyard.training.record import ConstantRewards
from steelyard.training.trainer import PolicyTrainer
from steelyard.weighting import Weighting, mean_weights


class WeightingCallback(TrainerCallback):
    """Moves a TRL trainer's `reward_weights`, from each batch's rewards before they are weighed, and from its evaluations.

    Args:
        trainer: a `trl.GRPOTrainer` or `trl.RLOOTrainer`; its reward functions are objectives to be maximised, its `args.reward_weights`
            the start or the preference. It is used as it is, with two of its methods watched: `_calculate_rewards` (the weights change between the
            rewards and their sum) and `_generate_and_score_completions` (a meta-reward acts on the advantages).
        weighting: a `Weighting`, or a method's name.
        bounds: lowest and highest possible mean reward, by name, which put objectives of different units on one scale for "hypervolume".

    Rewards are multiplied by the weights times the sum of TRL's own (K, unless `args.reward_weights` says otherwise), so that equal weights train as the
    trainer does without a callback, also beside a KL term. The weights are logged as `weights/NAME`, summing to 1, and the method's state is saved in every checkpoint and taken up when training is resumed from one
    in `args.output_dir`.

    Raises:
        InputError: where the trainer has no reward functions, or the method needs what a plain trainer cannot give.

    Example:
        trainer = GRPOTrainer(model, reward_funcs, args, train_dataset=train_dataset)
        trainer.add_callback(WeightingCallback(trainer, "stage-aware"))
    """

    def __init__(
        self, trainer: Any, weighting: Weighting | str, *, bounds: Mapping[str, tuple[float, float]] | None = None
    ) -> None:
        for needed in ("reward_func_names", "reward_weights", "_calculate_rewards", "_generate_and_score_completions"):
            if not hasattr(trainer, needed):
                raise InputError(
                    f"WeightingCallback needs a trl.GRPOTrainer or trl.RLOOTrainer, but {type(trainer).__name__} has no {needed}"
                )
        if isinstance(trainer, PolicyTrainer):
            raise InputError("a PolicyTrainer moves its weights itself: give it weighting=, and no WeightingCallback")
        given = None if trainer.args.reward_weights is None else shares(trainer.args.reward_weights)
        # TRL's weights sum to K, or to what the user chose: where nothing divides by a spread, as in RLOO, the KL term is measured against that.
        self._total = float(sum(trainer.args.reward_weights or [1.0] * len(trainer.reward_func_names)))
        if given is not None and isinstance(weighting, Weighting):
            raise InputError("weights are given twice, in args.reward_weights and by the weighting: leave one out")
        weighting = as_weighting(weighting, given)
        _check_fits(weighting, trainer)
        self.weighting, self._trainer = weighting, trainer
        names = list(trainer.reward_func_names)
        for name in bounds or {}:
            if name not in names:
                raise InputError(f"bounds are given for {name!r}, but the reward functions are {', '.join(names)}")
        self.objectives = [Objective(name, left_to_trl, bounds=(bounds or {}).get(name)) for name in names]
        weighting.setup(self.objectives)
        self._constant = ConstantRewards(names)
        self._score, self._generate = trainer._calculate_rewards, trainer._generate_and_score_completions
        trainer._calculate_rewards = self._calculate_rewards
        trainer._generate_and_score_completions = self._generate_and_score_completions
        self._resumed_at: int | None = None
        self._put()

    def _put(self, *, of_answers: bool = False) -> None:
        weights = self.weighting.weights()
        if weights.ndim == 2 and of_answers:
            self._trainer.reward_weights = (self._total * weights).float().as_subclass(_OfAnswers)
        else:
            self._trainer.reward_weights = (self._total * mean_weights(weights)).float()

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        rewards_BK = self._score(*args, **kwargs)
        trainer = self._trainer
        if not trainer.model.training:
            self._put()
            return rewards_BK
        estimator = "grpo" if isinstance(trainer, GRPOTrainer) else "rloo"
        advantages_BK = estimate(rewards_BK.double().cpu(), estimator=estimator, group_size=trainer.num_generations)
        rows = args[0] if args else kwargs.get("inputs", ())
        preferences = [row.get(COLUMN) for row in rows]
        self.weighting.on_batch(batch_of(trainer, rewards_BK, advantages_BK=advantages_BK, preferences=preferences))
        self._constant.see(rewards_BK)
        self._put(of_answers=True)
        for objective, weight in zip(self.objectives, mean_weights(self.weighting.weights()).tolist(), strict=True):
            trainer._metrics["train"][f"weights/{objective.name}"].append(weight)
        return rewards_BK

    def _generate_and_score_completions(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        output = self._generate(*args, **kwargs)
        if self._trainer.model.training:
            # After normalisation: on the rewards a common factor would cancel.
            output["advantages"] = output["advantages"] * self.weighting.scale()
        return output

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float] | None = None, **kwargs: Any) -> None:
        """Show the weighting a validation point: every reward's mean on the evaluation prompts."""
        keys = [f"eval_rewards/{objective.name}/mean" for objective in self.objectives]
        if state.global_step == self._resumed_at:
            # With eval_on_start the trainer evaluates where it goes on: that point is not the run's, or it is in the state already.
            return
        if metrics is not None and all(key in metrics for key in keys):
            self.weighting.on_validation([metrics[key] for key in keys])
            self._put()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take up the state of the checkpoint that training goes on from."""
        if state.global_step > 0:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            kept = read_state(checkpoint)
            if kept is not None:
                self.weighting.load_state_dict(kept)
                self._constant.load_state_dict(kept.get("constant"))
                self._resumed_at = state.global_step
                self._put()
            else:
                warnings.warn(
                    f"no weighting state at {checkpoint / STATE_FILE}: the weights start anew at step {state.global_step}",
                    stacklevel=2,
                )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add the weighting's state to the checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if args.should_save and folder.is_dir():
            write_state(folder, {**self.weighting.state_dict(), "constant": self._constant.state_dict()})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Name objectives that were constant, in a run that was too short to say so earlier."""
        self._constant.finish()


class _OfAnswers(Tensor):
    """Weights of each answer `[B,K]` in the place of TRL's `[K]`, which it makes `[1,K]` before it multiplies rewards `[B,K]` by them."""

    def unsqueeze(self, dim: int) -> Tensor:
        return self.as_subclass(Tensor)


def _is_linear(args: Any) -> bool:
    """Whether a trainer's advantages are linear in the rewards: RLOO's without `normalize_advantages`, and GRPO's with `scale_rewards="none"`."""
    if hasattr(args, "normalize_advantages"):
        return not args.normalize_advantages
    return str(getattr(args, "scale_rewards", "group")).lower() in ("none", "false")


def _check_fits(weighting: Weighting, trainer: Any) -> None:
    """Refuse a method that a plain trainer cannot serve."""
    name = type(weighting).__name__
    if weighting.needs_gradients:
        raise InputError(
            f"{name} follows the objectives' gradients, which a plain {type(trainer).__name__} does not compute: "
            "use steelyard.training.PolicyTrainer"
        )
    aggregation = getattr(trainer, "multi_objective_aggregation", "sum_then_normalize")
    # Where nothing is divided by a spread, the advantage of the weighted sum is the weighted sum of the advantages.
    linear = _is_linear(trainer.args)
    each = {"each": "sum_then_normalize"} if linear else {}
    wanted = {"sum": "sum_then_normalize", "each-whitened": "normalize_then_sum", **each}.get(weighting.normalize)
    if wanted is None:
        raise InputError(
            f"{name} with normalize={weighting.normalize!r} weighs the objectives' own advantages, which a {type(trainer).__name__} that divides by the "
            "spread of the sum does not take: use steelyard.training.PolicyTrainer, an RLOOTrainer, scale_rewards='none', or "
            f"{name}(..., normalize='sum')"
        )
    if aggregation != wanted:
        raise InputError(
            f"{name} with normalize={weighting.normalize!r} needs multi_objective_aggregation={wanted!r}, but it is {aggregation!r}"
            + ("" if hasattr(trainer, "multi_objective_aggregation") else f", which {type(trainer).__name__} cannot change")
        )
    if weighting.needs_validation:
        args = trainer.args
        if (
            trainer.eval_dataset is None
            or str(getattr(args.eval_strategy, "value", args.eval_strategy)) == "no"
            or not args.eval_on_start
        ):
            raise InputError(
                f"{name} follows validation points: give eval_dataset=, eval_strategy='steps', eval_steps= and eval_on_start=True"
            )
