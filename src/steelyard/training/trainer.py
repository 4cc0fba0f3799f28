"""`PolicyTrainer`: TRL's GRPOTrainer with an estimator, objectives and a weighting to choose.

What is added hangs on these methods of TRL's trainer, each overridden and each calling the original:

    rewards      _calculate_rewards                  keeps the raw scores, and gives TRL those with their sign
                 _generate                           times generation
    advantages   _generate_and_score_completions     notes each answer's row, and its loss weight with scalarization
                 _prepare_inputs                     weighs a fresh batch before its update
                 compute_loss                        marks the update's own forward pass
                 _get_per_token_logps_and_entropies  shares a forward pass that influences have made
    records      training_step, log                  time an update and write its record
    validation   evaluate                            measures the objectives on held-out prompts
    order        train, _get_train_sampler           prompts by a mixture, or by an order that can be resumed
    state        _save_checkpoint, _load_optimizer_and_scheduler
                                                     add our state to a checkpoint, and take it up
                 create_model_card                   writes none

Loss, optimiser, generation and scale-out are TRL's own. Left out: importance weights across several updates of one generation are TRL's; influences are
those of the first update.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler
from trl import GRPOConfig, GRPOTrainer

from steelyard.advantages import combine, estimate, weighted_reward
from steelyard.errors import InputError
from steelyard.mixture import Schedule
from steelyard.mixture.mixture import Mixture, as_mixture_and_column
from steelyard.objectives import Objective, check_names, reward_matrix
from steelyard.seeds import RandomState
from steelyard.training._arguments import (
    as_weighting,
    check_choices,
    check_group_size,
    check_groups_of,
    check_no_losses,
    check_trl_arguments,
    check_weighting,
    shares,
)
from steelyard.training._batch import batch_of, influence_of, progress_of, use_advantages
from steelyard.training._domain_order import DomainOrder
from steelyard.training._early import EarlyRewards
from steelyard.training._gradients import AfterStep, SharedForward, StepInfluence
from steelyard.training._logs import answers_of, failures_of, log_batch, log_failures, record_of, texts_of
from steelyard.training._probes import Probes
from steelyard.training._prompt_order import prompt_sampler
from steelyard.training._rewards import (
    WholeBatch,
    as_reward_function,
    as_reward_functions,
    names_that_differ,
    objectives_of,
    whole_batch_of,
)
from steelyard.training._state import check_finite, checkpoint_of, divergence_is_clear, read_state, restore, write_state
from steelyard.training._validation import Measured, check_validation, held_out_sets, log_evaluation, measure_sets
from steelyard.training.mixing import check_mixture_state, mixture_state, order_for, train_sampler
from steelyard.training.record import ConstantRewards, Recorder, update_record
from steelyard.training.references import policy_answers, with_policy_answers
from steelyard.weighting import FixedWeights, Influence, Weighting, mean_weights


class PolicyTrainer(GRPOTrainer):
    """A `trl.GRPOTrainer` that trains on several objectives, with weights that may move.

    Args:
        model, args, train_dataset, ...: as for `trl.GRPOTrainer`, which gets everything not named here.
        reward_funcs: TRL's reward functions, each taken as an objective to be maximised; or give `objectives`.
        objectives: what to reward and how to measure it.
        weighting: a `Weighting`, or a method's name; default: `args.reward_weights` divided by their sum, else equal weights.
        estimator: "grpo", "rloo", "reinforce" or "brpo".
        group_size: answers to one prompt that stand together; default: `args.num_generations`. "reinforce" may have 1, where TRL's own setting
            must be 2 at least; then TRL's only has to divide the batch. With "reinforce" nothing else depends on it.
        mixture: draws prompts by domain: a `Mixture`, a `Schedule`, or a schedule in a word; default: every prompt once an epoch.
        domain_column: the column with each prompt's domain, which `applies_to`, records and a mixture read; default: the mixture's, else "domain".
        validation_sampling: "sampled" (at the training temperature, with a seed of its own) or "greedy".
        recorder: see `Recorder`.
        probes: objectives of which the measures are taken at every validation and the rewards never. One that gets worse while an objective gets better is named.

    `args.eval_strategy="steps"` with `eval_steps` validates on `eval_dataset`; every point reaches the weighting, and callbacks' `on_evaluate`.

    Raises:
        InputError: where arguments do not fit together.
        RewardError: in training, where a reward fails.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: GRPOConfig | None = None,
        *positional: Any,
        objectives: Sequence[Objective] | None = None,
        weighting: Weighting | str | None = None,
        estimator: str = "grpo",
        group_size: int | None = None,
        mixture: Mixture | Schedule | str | None = None,
        domain_column: str | None = None,
        validation_sampling: str = "sampled",
        recorder: Recorder | None = None,
        probes: Sequence[Objective] = (),
        **keywords: Any,
    ) -> None:
        check_choices(estimator=estimator, validation_sampling=validation_sampling, group_size=group_size)
        if (objectives is None) == (reward_funcs is None) and (objectives is not None or not keywords.get("environment_factory")):
            raise InputError("give either objectives= or TRL's reward_funcs=, and not both")
        # Known before TRL's constructor runs, since that one asks for the sampler.
        self._given_group_size = group_size
        self._mixture, self.domain_column = as_mixture_and_column(mixture, domain_column)
        self._measuring, self.early = False, EarlyRewards()
        self._whole_batch: WholeBatch | None = None
        self._tool_masks: list[list[int]] | None = None
        if objectives is not None:
            check_names(objectives)
        reward_funcs, wrapped = as_reward_functions(
            reward_funcs if objectives is None else objectives,
            lambda one: as_reward_function(
                one, self.is_measuring, self.domain_column, whole_batch=lambda: self._whole_batch, early=self.early
            ),
        )
        if args is not None:
            check_trl_arguments(args, weighting)
        self._order: DomainOrder | None = None
        check_no_losses(self._mixture)
        super().__init__(model, reward_funcs, args, *positional, **keywords)
        self.group_size: int = self.num_generations if group_size is None else group_size
        check_group_size(self.group_size, answers=self.args.generation_batch_size, estimator=estimator)
        if objectives is None:  # TRL takes functions and models of one name; its metrics and our weights need several
            self.reward_func_names: list[str] = names_that_differ(self.reward_func_names)
        self.objectives = objectives_of(self.reward_func_names, wrapped)
        check_groups_of(self.train_dataset, group_size, self.num_generations)
        check_names(self.objectives)
        self.probes = Probes(probes, self.objectives, self.domain_column)
        self.estimator, self.validation_sampling, self.recorder = estimator, validation_sampling, recorder
        start = None if self.args.reward_weights is None else shares(self.args.reward_weights)
        self.weighting = FixedWeights(start) if weighting is None else as_weighting(weighting, start)
        self.weighting.setup(self.objectives)
        check_weighting(self.weighting, self)
        check_validation(self)
        # TRL logs the weighted reward by these.
        self.reward_weights = mean_weights(self.weighting.weights()).float()
        self._reward_signs = torch.tensor([objective.reward_sign for objective in self.objectives])
        self._scores_BK: Tensor | None = None
        self._texts = texts_of([], [], [], self.domain_column)
        self._loss_weights: Tensor | None = None
        self._undecided = 0
        self._seconds: dict[str, float] = {}
        self._record: dict[str, Any] = {}
        self._step_began: float | None = None
        self.validated_at: int | None = None
        self.last_measured: Measured | None = None
        self._resumed_at: int | None = None
        self.shared_forward, self.step_influence = SharedForward(), StepInfluence()
        self.step_factor = 1.0
        self._in_update: dict[str, Any] | None = None
        self._influence: Influence | None = None
        self._constant = ConstantRewards([objective.name for objective in self.objectives])
        self.policy_answers = policy_answers(self, [objective.reward for objective in self.objectives])
        self.add_callback(AfterStep(self))

    def is_measuring(self) -> bool:
        """Whether rewards are asked for a validation, where measures take their place."""
        return self._measuring

    # Rewards ---------------------------------------------------------------------------------------------------------------------------

    def _calculate_rewards(self, inputs: list, prompts: list, completions: list, completion_ids_list: list) -> Tensor:
        began = time.perf_counter()
        before = failures_of(self)
        if self._tool_masks is not None:  # so that a length can leave out what tools said
            inputs = [{**row, "tool_mask": mask} for row, mask in zip(inputs, self._tool_masks, strict=True)]
        inputs = with_policy_answers(self, inputs)
        whole = self._whole_batch = whole_batch_of(self, inputs, prompts, completions, completion_ids_list)
        with self.early.begun(self, inputs, prompts, completions, completion_ids_list):
            scores_BK = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        scores_BK = scores_BK if whole is None else whole.spread(scores_BK, self.reward_func_names)
        self._whole_batch = None
        self.probes.score(self, inputs, prompts, completions, completion_ids_list)
        log_failures(self, since=before)
        self._scores_BK = scores_BK
        self._texts = texts_of(prompts, completions, inputs, self.domain_column)
        self._clock("rewards", began)
        return scores_BK * self._reward_signs.to(scores_BK)

    def _generate(self, prompts: list) -> Any:
        began = time.perf_counter()
        with divergence_is_clear(self.state.global_step + 1):
            generated = super()._generate(prompts)
        self._tool_masks = generated[2]
        self._clock("generation", began)
        return generated

    # Advantages and weights ------------------------------------------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        if self._scores_BK is None or self._measuring or not self.model.training:
            return output
        # Groups may span processes, so baselines are taken over the gathered matrix; each answer remembers its row in it.
        local = len(inputs)
        first = self.accelerator.process_index * local
        output["answer_index"] = torch.arange(first, first + local, device=output["completion_ids"].device)
        if self.order is not None and self.order.mixture.by == "scalarization":
            weights = self.order.weights_of([row[self.domain_column] for row in inputs], progress_of(self))
            self._loss_weights = output["loss_weight"] = torch.tensor(weights, device=output["completion_ids"].device)
        return output

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        fresh = self.model.training and (
            self._step % (self.args.steps_per_generation * self.num_iterations) == 0 or self._buffered_inputs is None
        )
        inputs = super()._prepare_inputs(generation_batch)
        if fresh:
            self._weigh()
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return inputs

    def _weigh(self) -> None:
        """Let the weighting see the fresh batch, and put the advantages of its new weights into that very batch."""
        began = time.perf_counter()
        assert self._scores_BK is not None
        # A matrix of a few hundred numbers is weighed on the processor, where weights are: on a device every step of it would be a kernel and a wait.
        scores_BK = self._scores_BK.cpu()
        rewards_BK = reward_matrix(self.objectives, scores_BK=scores_BK).double()
        advantages_BK = estimate(rewards_BK, estimator=self.estimator, group_size=self.group_size)
        more: dict[str, Any] = {"influence": influence_of(self, scores_BK, advantages_BK), "preferences": self._texts[4]}
        self.weighting.on_batch(batch_of(self, rewards_BK, advantages_BK=advantages_BK, **more))
        self._constant.see(rewards_BK)
        weights = self.weighting.weights()
        self.reward_weights = mean_weights(weights).float()
        advantages_B = combine(
            rewards_BK,
            weights,
            estimator=self.estimator,
            group_size=self.group_size,
            normalize=self.weighting.normalize,
            scale=self.weighting.scale(),
        )
        use_advantages(self._buffered_inputs, advantages_B, step=self.state.global_step + 1, weights=weights)
        self._clock("weighting", began)
        self._record = record_of(self, scores_BK, weights)
        log_batch(self, self._record, advantages_B, weighted_reward(rewards_BK, weights, group_size=self.group_size))
        if self.recorder is not None:
            self.recorder.on_answers(self._record["step"], answers_of(self, scores_BK, weights, advantages_B))

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """As TRL; the forward pass may be one that an influence computation has made already."""
        self._in_update = inputs
        try:
            return super().compute_loss(model, inputs, *args, **kwargs)
        finally:
            self._in_update = None

    def _get_per_token_logps_and_entropies(self, model: Any, input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        state = RandomState(input_ids.device)
        shared = None if self._in_update is None else self.shared_forward.take(input_ids)
        outputs = shared or super()._get_per_token_logps_and_entropies(model, input_ids, *args, **kwargs)
        if self._in_update is not None:
            self.step_influence.note(self, self._in_update, outputs[0], state)
        return outputs

    # What happened ---------------------------------------------------------------------------------------------------------------------

    def _clock(self, phase: str, began: float) -> None:
        self._seconds[phase] = self._seconds.get(phase, 0.0) + time.perf_counter() - began

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """One micro-batch; as TRL, with a clock."""
        if self._step_began is None:
            self._step_began, self._seconds = time.perf_counter(), {}
        return super().training_step(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As TRL; an update's log completes its record."""
        if self.model.training and "grad_norm" in logs:
            check_finite(self.state.global_step, logs)
        if self.model.training and self._record and "grad_norm" in logs:
            total = time.perf_counter() - (self._step_began or time.perf_counter())
            lengths = self._metrics["train"].get("completions/mean_length", [])
            if self.recorder is not None:
                self.recorder.on_step(self._record | update_record(logs, self._seconds, total, lengths))
            self._record, self._step_began = {}, None
        super().log(logs, start_time)

    # Validation ------------------------------------------------------------------------------------------------------------------------

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure every objective on held-out prompts: `{eval_NAME: mean measure, eval_se/NAME: its standard error}`.

        The prompts are answered as TRL's evaluation answers them, `num_generations_eval` times each, with tools, environments and all. Every validation of
        a run uses the same prompts and the same random numbers, which are not those of training. Objectives that are measured by their reward also have
        TRL's `eval_rewards/NAME/mean`, and where all are, there is `eval_reward`.

        Args:
            eval_dataset: default: the trainer's own, which makes a point of the run's front: the weighting and the recorder see it. Anything else is only
                measured: a set, the name of one of the trainer's own, or sets by name. Nor is it a point where a resumed run goes on, nor a second time
                after the same update.
            ignore_keys: as for TRL; without effect here.
            metric_key_prefix: of the metrics' names. Of several sets there are `eval_SET_NAME`, and `eval_NAME` over all their prompts.

        Raises:
            InputError: where there are no held-out prompts, or they cannot be answered as asked.
            RunError: where an objective applies to none of them.
        """
        step, began = self.state.global_step, time.perf_counter()
        point, metrics = measure_sets(self, held_out_sets(eval_dataset, self.eval_dataset), metric_key_prefix)
        self.last_measured = point
        own = eval_dataset is None
        if own and step in (self.validated_at, self._resumed_at):
            self._metrics["eval"].clear()
            return metrics
        seconds = time.perf_counter() - began
        if own:
            self.validated_at = step
            self.weighting.on_validation(list(point.values.values()))
            self.probes.watch(step, point.means(), point.means(probes=True))
        log_evaluation(self, metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        if own and self.recorder is not None:
            self.recorder.on_validation(step, point.values, seconds, self)
        return metrics

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As TRL; without a checkpoint another run begins, whose steps count from 0."""
        if not resume_from_checkpoint:
            self.validated_at, self._resumed_at = self.validated_at and None, None
        _ = self.order  # Before the trainer asks its arguments how long the run is.
        return super().train(resume_from_checkpoint, *args, **kwargs)

    # Order and state -------------------------------------------------------------------------------------------------------------------

    @property
    def order(self) -> DomainOrder | None:
        """The order of prompts where a mixture was given."""
        if self._order is None and self._mixture is not None:
            self._order = order_for(self, self._mixture)
            self.add_callback(mixture_state(self._order))
        return self._order

    def _get_train_sampler(self, dataset: Any = None) -> Sampler:
        if self.order is not None:
            return train_sampler(self, self.order)
        return prompt_sampler(self, self.train_dataset if dataset is None else dataset)

    def state_dict(self) -> dict[str, Any]:
        """What our part of the trainer remembers: weighting, objectives with a state, the last validation."""
        return {
            "weighting": self.weighting.state_dict(),
            "objectives": {objective.name: objective.state_dict() for objective in self.objectives},
            "validated": self.validated_at,
            "constant": self._constant.state_dict(),
            "step_influence": self.step_influence.state_dict(),
            "step_factor": self.step_factor,
            "probes": self.probes.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        self.weighting.load_state_dict(state["weighting"])
        for objective in self.objectives:
            objective.load_state_dict(state["objectives"][objective.name])
        self.validated_at = state["validated"]
        self._constant.load_state_dict(state.get("constant"))
        self.step_influence.load_state_dict(state["step_influence"])
        self.step_factor = state.get("step_factor", 1.0)
        self.probes.load_state_dict(state.get("probes"))

    restore = restore

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card: TRL would write one, for a model that is not being published, into every checkpoint's parent."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        # Every process writes a part of it.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_state(checkpoint_of(self, trial), self.state_dict())
            if self.recorder is not None:
                self.recorder.on_checkpoint(self.state.global_step)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        check_mixture_state(self, self._mixture)
        self._resumed_at = self.state.global_step
        if (state := read_state(checkpoint)) is not None:
            self.load_state_dict(state)
