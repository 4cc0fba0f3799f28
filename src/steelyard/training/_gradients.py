"""The objectives' gradients of TRL's own loss, on the answers that a trainer is about to use.

Objective k is what TRL's loss would be with the advantages `A[:,k]`, on fresh answers (importance ratios of 1) and without KL or entropy
terms: `J_k = sum_i c_i A[i,k] sum_t log p(token_it)`, with `c_i` by the loss type.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate.utils import AutocastKwargs
from torch import Tensor, nn
from transformers import TrainerCallback

from steelyard.errors import InputError
from steelyard.seeds import RandomState
from steelyard.weighting import AnswerGradients, AnswerTerms, Influence, unbiased_gram, unbiased_influence
from steelyard.weighting.influence import OPTIMIZER_STEP, chosen_parameters, sequence_logprobs

LOSSES = ("dapo", "grpo", "bnpo", "dr_grpo", "cispo")
"""Losses of TRL whose gradient, on fresh answers, is a weighted sum of the answers' log-probability gradients."""


BESIDE_TOKENS = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)
"""What TRL's loss hands to the model beside tokens, where a batch has it. A forward pass that is shared must have seen it too."""


def check_loss(loss_type: str) -> None:
    """Refuse a loss of TRL that is no weighted sum.

    Example:
        >>> check_loss("sapo")
        Traceback (most recent call last):
        steelyard.errors.InputError: gradient influence needs loss_type dapo, grpo, bnpo, dr_grpo, cispo, but is 'sapo'
    """
    if loss_type not in LOSSES:
        raise InputError(f"gradient influence needs loss_type {', '.join(LOSSES)}, but is {loss_type!r}")


def check_update(trainer: Any) -> None:
    """Refuse settings with which the update's loss is no sum over the objectives' terms on one batch.

    Raises:
        InputError: naming the setting, and what to set instead.
    """
    check_loss(trainer.loss_type)
    args = trainer.args
    if trainer.top_entropy_quantile < 1:
        raise InputError(
            f"gradient influence needs top_entropy_quantile=1.0, but it is {trainer.top_entropy_quantile:g}: which tokens count would change with "
            "the weights' own step"
        )
    if args.steps_per_generation % args.gradient_accumulation_steps:
        raise InputError(
            f"gradient influence needs an update whose answers are of one generation: steps_per_generation ({args.steps_per_generation}) must be a "
            f"multiple of gradient_accumulation_steps ({args.gradient_accumulation_steps})"
        )
    if getattr(args, "delta", None) is not None and args.delta < 1:
        raise InputError(
            f"gradient influence needs delta of at least 1, but it is {args.delta:g}: no fresh answer would have a gradient"
        )


def _accumulation(trainer: Any) -> int:
    """Micro-batches of the coming update: fewer than the setting says where an epoch ends."""
    return getattr(trainer, "current_gradient_accumulation_steps", None) or trainer.args.gradient_accumulation_steps


class SharedForward:
    """Hands the forward pass of an influence computation on to the update, which would make the very same one.

    It can be shared where one micro-batch in one process makes the whole update. The trainer's `_get_per_token_logps_and_entropies` asks
    `take` first.
    """

    def __init__(self) -> None:
        self._kept: tuple[Tensor, Any] | None = None

    @staticmethod
    def possible(trainer: Any) -> bool:
        """Whether the coming update consists of one forward pass that an influence computation may make for it."""
        alone = trainer.accelerator.num_processes == 1 and len(trainer._buffered_inputs) == 1
        return alone and not trainer.aux_loss_enabled and trainer.args.gradient_accumulation_steps == 1

    def keep(self, input_ids: Tensor, outputs: Any) -> None:
        """Keep what the model said of these tokens."""
        self._kept = (input_ids, outputs)

    def take(self, input_ids: Tensor) -> Any:
        """What was kept for these very tokens, once; None if there is nothing."""
        kept, self._kept = self._kept, None
        if kept is None or kept[0].shape != input_ids.shape or not torch.equal(kept[0], input_ids):
            return None
        return kept[1]


def buffered_influence(
    trainer: Any,
    advantages_BK: Tensor,
    *,
    method: str = "finite-difference",
    layers: Sequence[str] | None = None,
    gram: bool = False,
    has_BK: Tensor | None = None,
) -> Influence:
    """The influences of the objectives on a trainer's buffered answers.

    Args:
        trainer: a `PolicyTrainer` whose buffered micro-batches have `answer_index`, each answer's row in `advantages_BK`.
        advantages_BK: of the whole generation batch, over all processes.
        method: see `gradient_influence`.
        layers: see `chosen_parameters`.
        gram: whether the whole Gram matrix is wanted, at K times the cost.
        has_BK: which objectives apply to which answers, for an unbiased estimate; default: the published one.

    Raises:
        InputError: where the loss type is none of `LOSSES`, or an unbiased estimate has fewer than two prompts.
    """
    check_update(trainer)
    model = trainer.accelerator.unwrap_model(trainer.model)
    share = SharedForward.possible(trainer)
    # Parameters are looked up anew every time: sharding swaps the objects.
    with torch.random.fork_rng(enabled=not share), trainer.compute_loss_context_manager(), _no_reentrant_checkpoints(model):
        gradients = AnswerGradients(
            model,
            chosen_parameters(model, layers),
            # Of the update that follows: where a generation serves several, the others are no fresh ones.
            [_answer_terms(trainer, micro_batch, share) for micro_batch in trainer._buffered_inputs[: _accumulation(trainer)]],
            method,
            functools.partial(average_over_processes, trainer),
            mixed=trainer.accelerator.native_amp,
            factor=trainer.step_factor,
        )
        if has_BK is None:
            found = gradients.gram(advantages_BK) if gram else gradients.influence(advantages_BK)
        else:
            unbiased = unbiased_gram if gram else unbiased_influence
            found = unbiased(gradients, advantages_BK, has_BK, group_size=trainer.group_size)
        trainer.step_factor = gradients.factor
        return found


def _answer_terms(trainer: Any, micro_batch: dict[str, Any], share: bool) -> AnswerTerms:
    mask, factor = loss_mask(micro_batch), answer_factor(trainer, micro_batch)
    ratio = _sampling_ratio(trainer, micro_batch)

    def terms() -> Tensor:
        # Differences of passes that are rounded to half precision would be differences of roundings.
        with nullcontext() if torch.is_grad_enabled() else full_precision(trainer):
            input_ids, outputs = token_logprobs(trainer, micro_batch, entropy=share and torch.is_grad_enabled())
        if share and torch.is_grad_enabled():
            trainer.shared_forward.keep(input_ids, outputs)
        return _terms_of(trainer, micro_batch, outputs[0])

    def plain_terms(call: Any) -> Tensor:
        # TRL's fused head has no forward-mode rule; the plain one says the same.
        inputs = {
            "input_ids": torch.cat([micro_batch["prompt_ids"], micro_batch["completion_ids"]], 1),
            "attention_mask": torch.cat([micro_batch["prompt_mask"], micro_batch["completion_mask"]], 1),
            "completion_mask": torch.cat([torch.zeros_like(micro_batch["prompt_mask"]), mask], 1),
        }
        return sequence_logprobs(call, inputs, temperature=trainer.temperature) * factor

    return AnswerTerms(
        micro_batch["answer_index"].cpu(),
        terms,
        plain_terms if isinstance(ratio, float) and not beside_tokens(micro_batch) else None,
    )


def token_logprobs(trainer: Any, micro_batch: dict[str, Any], *, entropy: bool = False) -> tuple[Tensor, Any]:
    """The tokens of a micro-batch, and what the trainer's model says of its completions, as TRL's loss asks for it."""
    input_ids = torch.cat([micro_batch["prompt_ids"], micro_batch["completion_ids"]], 1)
    outputs = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        input_ids,
        torch.cat([micro_batch["prompt_mask"], micro_batch["completion_mask"]], 1),
        micro_batch["completion_ids"].size(1),
        compute_entropy=entropy,
        **beside_tokens(micro_batch),
    )
    return input_ids, outputs


@contextmanager
def full_precision(trainer: Any) -> Iterator[None]:
    """Forward passes in the precision of the parameters: accelerate wraps mixed precision around the model, and TRL enters it once more inside."""
    model, accelerator = trainer.accelerator.unwrap_model(trainer.model), trainer.accelerator
    handler = accelerator.autocast_handler
    wrapped, original = model.__dict__.get("forward"), model.__dict__.get("_original_forward")
    if wrapped is not None and original is not None:
        model.forward = original
    accelerator.autocast_handler = AutocastKwargs(enabled=False)
    try:
        with torch.autocast(next(model.parameters()).device.type, enabled=False):
            yield
    finally:
        accelerator.autocast_handler = handler
        if wrapped is not None and original is not None:
            model.forward = wrapped


@contextmanager
def _no_reentrant_checkpoints(model: nn.Module) -> Iterator[None]:
    """Checkpoints whose layers have a graph: a reentrant one has gradients with `backward()` alone, which is not how influences are found."""
    changed = []
    for module in model.modules():
        function = module.__dict__.get("_gradient_checkpointing_func")
        if isinstance(function, functools.partial) and function.keywords.get("use_reentrant", True):
            changed.append((module, function))
            module.__dict__["_gradient_checkpointing_func"] = functools.partial(
                function.func, **{**function.keywords, "use_reentrant": False}
            )
    try:
        yield
    finally:
        for module, function in changed:
            module.__dict__["_gradient_checkpointing_func"] = function


def beside_tokens(micro_batch: dict[str, Any]) -> dict[str, Any]:
    """Images and the like, as TRL's loss passes them on.

    Example:
        >>> beside_tokens({"prompt_ids": 1, "token_type_ids": 2, "pixel_values": None})
        {'token_type_ids': 2}
    """
    return {name: micro_batch[name] for name in BESIDE_TOKENS if micro_batch.get(name) is not None}


def loss_mask(micro_batch: dict[str, Any]) -> Tensor:
    """Which tokens TRL's loss counts, `[b,T]`: the completion without what tools said."""
    mask = micro_batch["completion_mask"]
    return mask if micro_batch.get("tool_mask") is None else mask * micro_batch["tool_mask"]


def answer_factor(trainer: Any, micro_batch: dict[str, Any]) -> Tensor:
    """By what TRL's loss multiplies an answer's summed token terms, `c_i`: scalar or `[b]`."""
    # A mixture by scalarization multiplies an answer's advantage, and so its term.
    mask, steps, weight = loss_mask(micro_batch), _accumulation(trainer), micro_batch.get("loss_weight", 1.0)
    if trainer.loss_type in ("dapo", "cispo"):
        whole = micro_batch["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes
        # cispo clamps ratios from above alone, which are 1 here.
        clamped = min(1.0, trainer.epsilon_high) if trainer.loss_type == "cispo" else 1.0
        return weight * clamped / (whole * steps / trainer.args.steps_per_generation)
    if trainer.loss_type == "bnpo":
        return weight / (mask.sum().clamp(min=1.0) * steps)
    if trainer.loss_type == "dr_grpo":
        return weight * torch.tensor(1 / (mask.size(0) * trainer.max_completion_length * steps), device=mask.device)
    return weight / (mask.sum(1).clamp(min=1.0) * mask.size(0) * steps)


def _sampling_ratio(trainer: Any, micro_batch: dict[str, Any]) -> Tensor | float:
    """By what TRL multiplies a token's term where vLLM drew it, `[b,T]` or `[b,1]`; 1 without vLLM."""
    corrected = trainer.use_vllm and trainer.vllm_importance_sampling_correction
    return micro_batch["importance_sampling_ratio"] if corrected and "importance_sampling_ratio" in micro_batch else 1.0


def _terms_of(trainer: Any, micro_batch: dict[str, Any], logprobs: Tensor) -> Tensor:
    """The answers' terms of the loss, `[b]`, from their tokens' log-probabilities."""
    counted = loss_mask(micro_batch) * _sampling_ratio(trainer, micro_batch)
    return (logprobs * counted).sum(1) * answer_factor(trainer, micro_batch)


class StepInfluence:
    """Influences along the step that the optimiser really took: `I_k = sum_i A[i,k] (t_i(after) - t_i(before)) / lr`.

    The terms before the step are those of the update itself, so that one forward pass after it is all this costs. The step contains what
    the optimiser made of the gradient (Adam's scaling, momentum, clipping) and the weights of that update, so influences have another size than
    those of the plain gradient, and they tell of an earlier batch.
    """

    def __init__(self) -> None:
        self._before: dict[int, tuple[Tensor, RandomState]] = {}
        self._advantages_BK: Tensor | None = None
        self._learning_rate = 0.0
        self.latest: Influence | None = None

    def watch(self, advantages_BK: Tensor, learning_rate: float) -> None:
        """Begin with a fresh batch, before its update."""
        self._before, self._advantages_BK, self._learning_rate = {}, advantages_BK.cpu().double(), learning_rate

    def note(self, trainer: Any, micro_batch: dict[str, Any], logprobs: Tensor, state: RandomState) -> None:
        """Take down the log-probabilities that the update itself computes, and what random numbers it began with.

        Those of later updates on the same answers are passed over.
        """
        if self._advantages_BK is not None:
            terms = _terms_of(trainer, micro_batch, logprobs.detach())
            self._before.setdefault(int(micro_batch["answer_index"][0]), (terms, state))

    def measure(self, trainer: Any) -> None:
        """After an update: how far every answer's term has moved."""
        watched, self._advantages_BK = self._advantages_BK, None
        if watched is None or not self._learning_rate > 0:
            return
        if not self._before:
            raise InputError(
                "influence 'optimizer-step' reads the log-probabilities of the update, but this loss computes none (a fused one, as Liger's): "
                "use influence 'finite-difference'"
            )
        products_K = torch.zeros(watched.shape[1], dtype=torch.float64)
        with torch.no_grad(), torch.random.fork_rng(), trainer.compute_loss_context_manager():
            for micro_batch in trainer._buffered_inputs:
                noted = self._before.get(int(micro_batch["answer_index"][0]))
                if noted is not None:
                    before, state = noted
                    # In the update's own precision and with its dropout: the terms before were.
                    with state.again():
                        _, outputs = token_logprobs(trainer, micro_batch)
                    after = _terms_of(trainer, micro_batch, outputs[0])
                    products_K += (after - before).double().cpu() @ watched[micro_batch["answer_index"].cpu()]
        products_K = average_over_processes(trainer, products_K) / self._learning_rate
        self.latest = Influence(products_K, method=OPTIMIZER_STEP)

    def state_dict(self) -> list[float] | None:
        """What the next batch is given."""
        return None if self.latest is None else self.latest.influence_K.tolist()

    def load_state_dict(self, state: list[float] | None) -> None:
        """Take over the state of an earlier run."""
        self.latest = None if state is None else Influence(torch.tensor(state, dtype=torch.float64), method=OPTIMIZER_STEP)


def average_over_processes(trainer: Any, tensor: Tensor) -> Tensor:
    """Mean over a trainer's processes, on the tensor's own device."""
    if trainer.accelerator.num_processes == 1:
        return tensor
    return trainer.accelerator.reduce(tensor.to(trainer.accelerator.device), reduction="mean").to(tensor.device)


class AfterStep(TrainerCallback):
    """Takes the start point where a weighting needs one, measures what an update has moved, keeps checkpoints out of a generation, and names
    constant objectives at the end.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._checkpoint_waits = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A method that follows validation points needs the one before any update."""
        trainer = self._trainer
        if (
            trainer.weighting.needs_validation
            and state.global_step == 0
            and trainer.validated_at is None
            and not args.eval_on_start
        ):
            trainer.evaluate()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Between the optimiser's step and the next batch."""
        began = time.perf_counter()
        self._trainer.step_influence.measure(self._trainer)
        self._trainer._clock("weighting", began)
        # Inside a generation a checkpoint lacks the answers that later updates go on with: it waits for the generation's last update.
        inside = self._trainer._step % (args.steps_per_generation * self._trainer.num_iterations) != 0
        wanted = control.should_save or self._checkpoint_waits
        self._checkpoint_waits = wanted and inside and state.global_step < state.max_steps
        control.should_save = wanted and not self._checkpoint_waits

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Name what was constant, in a run that was too short to say so earlier."""
        self._trainer._constant.finish()
