"""The objectives' measures on held-out prompts, answered the way TRL answers them in its own evaluation."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from datasets import IterableDataset
from torch import Tensor

from steelyard.errors import InputError, RunError, nearest
from steelyard.fields import kind_of
from steelyard.intervals import standard_error
from steelyard.objectives import Objective
from steelyard.seeds import spread_seed
from steelyard.training._logs import accounts_of
from steelyard.training._rewards import share_states
from steelyard.weighting import mean_weights


@dataclass(frozen=True)
class Measured:
    """What held-out prompts say of a policy.

    Attributes:
        values: the mean measure of every objective, over the prompts it applies to.
        standard_errors: of these means, over prompts; None where an objective applies to a single one.
        prompts: how many there were.
        probes, probe_errors: the same of what is measured and never rewarded.
        judges: by the name of each judge, what measuring has asked of it.
    """

    values: dict[str, float]
    standard_errors: dict[str, float | None]
    prompts: int
    probes: dict[str, float] = field(default_factory=dict)
    probe_errors: dict[str, float | None] = field(default_factory=dict)
    judges: dict[str, dict[str, float]] = field(default_factory=dict)

    def means(self, *, probes: bool = False) -> dict[str, tuple[float, float]]:
        """Means and standard errors of the objectives, or of the probes; those without an error are left out."""
        values, errors = (self.probes, self.probe_errors) if probes else (self.values, self.standard_errors)
        return {name: (value, error) for name, value in values.items() if (error := errors[name]) is not None}


def measure(trainer: Any, dataset: Any) -> Measured:
    """Answer held-out prompts and average every objective's measure over those it applies to.

    Every validation of a run uses the same random numbers, which are not those of training; the trainer is left as it was.

    Args:
        trainer: a `PolicyTrainer`.
        dataset: with `prompt` and the columns that objectives ask for.

    Raises:
        RunError: where an objective applies to none of the rows.
    """
    return _measured(trainer, measure_prompts(trainer, dataset))


def _measured(trainer: Any, values_NK: Tensor, *, partial: bool = False) -> Measured:
    """Means of what `measure_prompts` found: of the objectives, and of the probes as far as they apply."""
    names = [objective.name for objective in trainer.objectives]
    point = mean_of(values_NK[:, : len(names)], names, partial=partial)
    probes = mean_of(values_NK[:, len(names) :], trainer.probes.names, partial=True)
    judges = accounts_of((*trainer.objectives, *trainer.probes.probes), measuring=True)
    return replace(point, probes=probes.values, probe_errors=probes.standard_errors, judges=judges)


def mean_of(values_NK: Tensor, names: Sequence[str], *, partial: bool = False) -> Measured:
    """Means over prompts, with their standard errors.

    Args:
        values_NK: NaN where an objective does not apply.
        names: the objectives'.
        partial: leave an objective out that applies to none, where otherwise it is refused.

    Example:
        >>> import torch
        >>> mean_of(torch.tensor([[1.0], [0.0], [float("nan")]]), ["right"])
        Measured(values={'right': 0.5}, standard_errors={'right': 0.5}, prompts=3, probes={}, probe_errors={}, judges={})
    """
    values, errors = {}, {}
    for name, column_N in zip(names, values_NK.T.tolist(), strict=True):
        present = [value for value in column_N if value == value]
        if not present and partial:
            continue
        if not present:
            raise RunError(f"objective {name!r} applies to no validation prompt: it cannot be measured; add some, or drop it")
        values[name] = sum(present) / len(present)
        errors[name] = standard_error(present)
    return Measured(values, errors, len(values_NK))


def measure_prompts(trainer: Any, dataset: Any) -> Tensor:
    """Every objective's measure of every held-out prompt, and then every probe's, a mean over its answers: `[N,K+P]`, NaN where it does not apply.

    The batches are TRL's (each prompt `num_generations_eval` times), and so is all that happens to them: tools, environments, a `rollout_func`, images,
    vLLM. The model's loss, which TRL's evaluation adds, is left out.
    """
    copies, shares = trainer.num_generations_eval, trainer.args.per_device_eval_batch_size * trainer.accelerator.num_processes
    check_held_out(dataset)
    check_sampling(trainer)
    if shares % copies:
        raise InputError(
            f"num_generations_eval must divide the {shares} answers of an evaluation batch (per_device_eval_batch_size x processes), but is {copies}: "
            "set num_generations_eval=1, or another batch size"
        )
    columns: list[Tensor] = []
    with _measuring(trainer):
        for batch in trainer.get_eval_dataloader(dataset):
            trainer.model.eval()
            trainer._generate_and_score_completions(batch)
            scores_BK = trainer._scores_BK.double().cpu()
            columns.append(torch.cat([scores_BK, trainer.probes.latest_BP], dim=1) if trainer.probes.names else scores_BK)
    share_states(trainer)
    if not columns:
        raise InputError(
            "the held-out prompts fill no evaluation batch: give more of them, a smaller per_device_eval_batch_size, or dataloader_drop_last=False"
        )
    scores_BK = torch.cat(columns)
    if not isinstance(dataset, IterableDataset):
        # With several processes the last batch is filled up with the first prompts. Of a stream nobody knows how many they are.
        scores_BK = scores_BK[: len(dataset) * copies]
    return scores_BK.view(-1, copies, scores_BK.shape[1]).nanmean(1)


@contextmanager
def _measuring(trainer: Any) -> Iterator[None]:
    """A trainer in evaluation mode, with random numbers of its own; afterwards everything is as it was, states of rewards included."""
    was_training, kept_seconds = trainer.model.training, dict(trainer._seconds)
    states = [copy.deepcopy(objective.state_dict()) for objective in trainer.objectives]
    trainer._measuring = True
    try:
        with torch.random.fork_rng(), greedy(trainer) if trainer.validation_sampling == "greedy" else nullcontext():
            # Processes answer different prompts, with different random numbers.
            rank = trainer.accelerator.process_index
            torch.manual_seed(spread_seed(trainer.args.seed, f"validation {rank}" if rank else "validation"))
            yield
    finally:
        trainer._measuring, trainer._seconds = False, kept_seconds
        for objective, state in zip(trainer.objectives, states, strict=True):
            objective.load_state_dict(state)
        trainer.model.train(was_training)


@contextmanager
def greedy(trainer: Any) -> Iterator[None]:
    """Greedy generation, in transformers and in vLLM."""
    vllm = getattr(trainer, "vllm_generation", None)
    kept_config = trainer.__dict__.get("generation_config")
    kept_vllm = (None, None) if vllm is None else (vllm.temperature, vllm.generation_kwargs)
    if kept_config is not None:
        config = trainer.generation_config = copy.deepcopy(kept_config)
        config.do_sample, config.temperature, config.top_p, config.top_k = False, None, None, None
    if vllm is not None:
        vllm.temperature = 0.0
        vllm.generation_kwargs = {k: v for k, v in (vllm.generation_kwargs or {}).items() if k not in _SAMPLING}
    try:
        yield
    finally:
        if kept_config is not None:
            trainer.generation_config = kept_config
        if vllm is not None:
            vllm.temperature, vllm.generation_kwargs = kept_vllm


_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "seed")


def check_validation(trainer: Any) -> None:
    """Refuse, before anything is done, held-out prompts that could not be measured, and a best model that could not be chosen."""
    own = trainer.eval_dataset
    sets = {} if own is None else held_out_sets(None, own)
    for dataset in sets.values():
        check_held_out(dataset)
    check_best_metric(trainer.args, trainer.objectives, list(sets) or [None])
    if str(getattr(trainer.args.eval_strategy, "value", trainer.args.eval_strategy)) != "no":
        check_sampling(trainer)


def check_sampling(trainer: Any) -> None:
    """Refuse a validation whose seed, or whose greedy answers, would not reach what generates."""
    if trainer.validation_sampling == "greedy":
        if getattr(trainer, "rollout_func", None) is not None:
            raise InputError(
                "validation_sampling='greedy' does not reach a rollout_func, which generates by itself: leave it out, and let rollout_func look at "
                "trainer.model.training"
            )
    elif trainer.use_vllm and trainer.rollout_func is None:
        raise InputError(
            "sampled validation with vLLM would answer every prompt of a batch with the same random numbers, since TRL passes one seed for all: "
            "give validation_sampling='greedy'"
        )


def check_held_out(dataset: Any) -> None:
    """Refuse what holds no prompts, and held-out prompts of which there are none."""
    if isinstance(dataset, IterableDataset):
        return
    if isinstance(dataset, (str, bytes, Mapping)) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise InputError(
            f"held-out prompts must be a dataset, or sets by name, but found {kind_of(dataset)}: give eval_dataset= a dataset, a list of rows or a "
            "dictionary of these"
        )
    if not len(dataset):
        raise InputError("the held-out prompts are empty: there is nothing to measure; give at least one")


def held_out_sets(given: Any, own: Any) -> dict[str | None, Any]:
    """The sets that an evaluation measures, by name; a single one is named None.

    Args:
        given: what `evaluate` was given: None for the trainer's own, a name among them, a set, or sets by name.
        own: the trainer's `eval_dataset`.

    Example:
        >>> held_out_sets(None, ["a prompt"]), held_out_sets("easy", {"easy": ["one"], "hard": ["two"]})
        ({None: ['a prompt']}, {None: ['one']})
    """
    if isinstance(given, str):
        if not isinstance(own, Mapping) or given not in own:
            known = ", ".join(own) if isinstance(own, Mapping) else "one set without a name" if own is not None else "none"
            raise InputError(
                f"there are no held-out prompts of the name {given!r}: eval_dataset has {known}"
                + (nearest(given, own) if isinstance(own, Mapping) else "")
            )
        return {None: own[given]}
    found = own if given is None else given
    if found is None:
        raise InputError("validation needs held-out prompts: give eval_dataset=")
    if isinstance(found, Mapping) and not found:
        raise InputError("validation needs held-out prompts, but the dictionary of sets is empty")
    return dict(found) if isinstance(found, Mapping) else {None: found}


def measure_sets(trainer: Any, sets: Mapping[str | None, Any], prefix: str) -> tuple[Measured, dict[str, float]]:
    """Measure sets of held-out prompts; what all of them together say, and the metrics of each and of all."""
    values = {name: measure_prompts(trainer, dataset) for name, dataset in sets.items()}
    point = _measured(trainer, torch.cat(list(values.values())))
    metrics: dict[str, float] = {}
    for name, values_NK in values.items():
        if name is not None:
            metrics |= point_metrics(trainer, _measured(trainer, values_NK, partial=True), f"{prefix}_{name}")
    _forget_what_is_no_reward(trainer)
    return point, metrics | point_metrics(trainer, point, prefix)


def log_evaluation(trainer: Any, metrics: Mapping[str, float]) -> None:
    """Log in evaluation mode, so that TRL adds what it has noted of this evaluation, and not of training."""
    training = trainer.model.training
    trainer.model.eval()
    try:
        trainer.log(dict(metrics))
    finally:
        trainer.model.train(training)


def point_metrics(trainer: Any, point: Measured, prefix: str) -> dict[str, float]:
    """A validation point in TRL's words, as far as they fit.

    `eval_NAME` is the measure as it is, `eval_se/NAME` its standard error; `eval_rewards/NAME/mean` is the reward as it is trained on, negative for one
    that is minimised, as in TRL's training log, and `eval_reward` the weighted sum of these.
    """
    own_measure = [objective for objective in trainer.objectives if objective.measure is objective.reward]
    rewards = {o.name: o.reward_sign * point.values[o.name] for o in own_measure if o.name in point.values}
    metrics = {f"{prefix}_{name}": value for name, value in point.values.items()}
    metrics |= {f"{prefix}_se/{name}": value for name, value in point.standard_errors.items() if value is not None}
    metrics |= {f"{prefix}_rewards/{name}/mean": value for name, value in rewards.items()}
    metrics |= {f"{prefix}_probe/{name}": value for name, value in point.probes.items()}
    metrics |= {f"{prefix}_probe_se/{name}": value for name, value in point.probe_errors.items() if value is not None}
    if len(rewards) == len(trainer.objectives):
        signed_K = torch.tensor(list(rewards.values()), dtype=torch.float64)
        metrics[f"{prefix}_reward"] = float(mean_weights(trainer.weighting.weights()) @ signed_K)
    return metrics


def _forget_what_is_no_reward(trainer: Any) -> None:
    """Take out of TRL's evaluation log what it calls a reward and is a measure, and the means that `point_metrics` has over all batches."""
    logged = trainer._metrics["eval"]
    measured = [objective.name for objective in trainer.objectives if objective.measure is not objective.reward]
    for name in measured:
        logged.pop(f"rewards/{name}/std", None)
    for objective in trainer.objectives:
        logged.pop(f"rewards/{objective.name}/mean", None)
    for key in ("reward", "reward_std", "frac_reward_zero_std") if measured else ("reward",):
        logged.pop(key, None)


def check_best_metric(args: Any, objectives: Sequence[Objective], sets: Sequence[str | None]) -> None:
    """Refuse a best model by a metric that no evaluation has, or in the wrong direction, before anything is done.

    Example:
        >>> from types import SimpleNamespace
        >>> args = SimpleNamespace(metric_for_best_model="loss", greater_is_better=False)
        >>> check_best_metric(args, [Objective("right", len)], [None])
        Traceback (most recent call last):
        steelyard.errors.InputError: metric_for_best_model must be one of eval_right, eval_rewards/right/mean, eval_reward, but is 'loss', TRL's default (an evaluation has no loss here)
    """
    wanted = args.metric_for_best_model
    if wanted is None:
        return
    better: dict[str, bool] = {}
    for name in dict.fromkeys([None, *sets]):  # of several sets, each has its own, and there are those over all
        prefix = "eval" if name is None else f"eval_{name}"
        better |= {f"{prefix}_{o.name}": o.maximize for o in objectives}
        better |= {f"{prefix}_rewards/{o.name}/mean": True for o in objectives if o.measure is o.reward}
        if all(o.measure is o.reward for o in objectives):
            better[f"{prefix}_reward"] = True
    key = wanted if wanted.startswith("eval_") else f"eval_{wanted}"
    if key not in better:
        loss = ", TRL's default (an evaluation has no loss here)" if wanted in ("loss", "eval_loss") else nearest(key, better)
        raise InputError(f"metric_for_best_model must be one of {', '.join(better)}, but is {wanted!r}{loss}")
    if args.greater_is_better is not None and bool(args.greater_is_better) is not better[key]:
        raise InputError(
            f"greater_is_better={args.greater_is_better} would keep the worst model by {key}, which is better when "
            f"{'larger' if better[key] else 'smaller'}: set greater_is_better={better[key]}"
        )
