"""A run of reinforcement learning, from a recipe to a finished run folder."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, SteelyardError
from steelyard.files import damage_is_clear, disk_full_is_clear
from steelyard.mixture.mixture import Mixture
from steelyard.models.loading import load_policy
from steelyard.objectives import Objective
from steelyard.recipes.parts import build_mixture
from steelyard.recipes.recipe import Recipe
from steelyard.runlog import RunLog
from steelyard.runs.fingerprint import check_unchanged, fingerprint
from steelyard.runs.progress import Progress
from steelyard.runs.prompts import load_prompts
from steelyard.runs.recorder import RunRecorder
from steelyard.runs.resume import check_same, resolved
from steelyard.runs.trl_arguments import lora_config, training_arguments
from steelyard.training._arguments import check_influence_layers
from steelyard.training._domain_order import DomainOrder


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        path: the run folder.
        front: the validation points that no other dominates: step, values by objective, checkpoint, names.
        hypervolume: of all validation points, on the run's fixed scale.
        seconds: wall time of this call.
    """

    path: Path
    front: list[dict[str, Any]]
    hypervolume: float
    seconds: float


def train_policy(recipe: Recipe, log: RunLog, resume: bool, progress: Progress, base: Path) -> RunResult:
    """Train by a recipe of reinforcement learning; see `steelyard.runs.train`."""
    began = time.perf_counter()
    objectives = recipe.build_objectives(base=base)
    weighting = recipe.build_weighting(objectives)
    mixture = None if recipe.mixture is None else build_mixture(recipe.mixture, base=base)
    train_rows, validation_rows, raw_rows = load_prompts(recipe.prompts, base=base, seed=recipe.seed)
    print_of_data = fingerprint([*train_rows, *validation_rows])
    check_answers(recipe, train_rows, raw_rows)
    check_enough(recipe, train_rows)
    without = next((number for number, row in enumerate(train_rows, start=1) if row.get("domain") is None), None)
    if mixture is not None and without is not None:
        raise InputError(
            f"{recipe.prompts.source}, prompt {without}: a mixture needs every prompt's domain: name it in prompts.domain, "
            "as in '{{ subject }}', and fill it in"
        )
    if mixture is not None:
        # What does not fit is found before anything is written.
        labels, a_batch = [row["domain"] for row in train_rows], recipe.algorithm.prompts_per_step
        DomainOrder(mixture, labels, num_samples=recipe.algorithm.steps * a_batch, batch_size=a_batch, seed=recipe.seed)
    if resume:
        with damage_is_clear(log.path):
            check_same(log, recipe)
            if (log.path / "data.json").is_file():
                check_unchanged(json.loads((log.path / "data.json").read_text()), print_of_data, recipe.prompts.source)
    else:
        log.check_new()
    model, tokenizer = load_policy(recipe.model.name, dtype=recipe.model.dtype, base=base)
    check_chat(train_rows, tokenizer, recipe.model.name)
    if recipe.model.lora is None:
        check_influence_layers(weighting, model)
    if not resume:
        log.create(resolved(recipe))
        log.write_json("data.json", print_of_data)
    with disk_full_is_clear(log.path), log.lock():
        if recipe.supervised is not None:
            from steelyard.runs.warmup import supervised_stage

            model = supervised_stage(recipe, model, tokenizer, raw_rows, train_rows, log, progress)
        make_trainer = functools.partial(
            _trainer, recipe, model, tokenizer, objectives, weighting, mixture, train_rows, validation_rows, log
        )
        _reinforce(recipe, make_trainer, objectives, log, progress, resume)
    front = log.pareto()
    return RunResult(log.path, front["front"], front["hypervolume"], time.perf_counter() - began)


def _reinforce(
    recipe: Recipe,
    make_trainer: Callable[[RunRecorder], Any],
    objectives: list[Objective],
    log: RunLog,
    progress: Progress,
    resume: bool,
) -> None:
    checkpoint = log.last_checkpoint() if resume else None
    step = 0 if checkpoint is None else int(checkpoint.name.partition("-")[2])
    with damage_is_clear(log.path):
        if resume:
            log.rewind(step if checkpoint is not None else -1)
        recorder = RunRecorder(log, recipe, objectives, progress)
    try:
        trainer = make_trainer(recorder)
    except SteelyardError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"the recipe's settings do not fit together for TRL: {error}") from error
    progress.begin(recipe.algorithm.steps, done=step, names=[objective.name for objective in objectives])
    try:
        if checkpoint is not None and step >= recipe.algorithm.steps:
            # All updates are made; only the last validation may be missing.
            trainer.restore(str(checkpoint))
        else:
            if checkpoint is None:
                trainer.evaluate()
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if trainer.validated_at != recipe.algorithm.steps:
            trainer.evaluate()
        recorder.on_checkpoint(recipe.algorithm.steps)
    finally:
        progress.end()


def _trainer(
    recipe: Recipe,
    model: Any,
    tokenizer: Any,
    objectives: list[Objective],
    weighting: Any,
    mixture: Mixture | None,
    train_rows: list[dict],
    validation_rows: list[dict],
    log: RunLog,
    recorder: RunRecorder,
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback

    from steelyard.training.trainer import PolicyTrainer

    trainer = PolicyTrainer(
        model=model,
        args=training_arguments(recipe, log),
        train_dataset=Dataset.from_list(train_rows),
        eval_dataset=Dataset.from_list(validation_rows),
        processing_class=tokenizer,
        peft_config=None if recipe.model.lora is None else lora_config(recipe.model.lora),
        objectives=objectives,
        weighting=weighting,
        estimator=recipe.algorithm.estimator,
        group_size=recipe.algorithm.answers_per_prompt,
        mixture=mixture,
        validation_sampling=recipe.validation.sampling,
        recorder=recorder,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def check_answers(recipe: Recipe, rows: Sequence[dict], raw_rows: Sequence[dict]) -> None:
    """Refuse an accuracy objective where no training prompt has a ground truth."""
    wanted = [config for config in recipe.objectives if config.kind == "accuracy" and "column" not in config.options]
    if wanted and all(row["answer"] is None for row in rows):
        raise InputError(
            f"objective 'accuracy' needs the ground truth, but {recipe.prompts.source} has no column 'answer' "
            f"(found: {', '.join(map(str, raw_rows[0]))}): name the right one in prompts.answer, as in '{{{{ solution }}}}'"
        )


def check_enough(recipe: Recipe, rows: Sequence[dict]) -> None:
    """Refuse fewer prompts than one update takes."""
    if len(rows) < recipe.algorithm.prompts_per_step:
        raise InputError(
            f"{recipe.prompts.source}: {len(rows)} training prompts, but an update takes algorithm.prompts_per_step = "
            f"{recipe.algorithm.prompts_per_step} different ones"
        )


def check_chat(rows: Sequence[dict], tokenizer: Any, model: str) -> None:
    """Refuse message prompts for a model without a chat template."""
    if rows and not isinstance(rows[0]["prompt"], str) and not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f"the prompts are chat messages, but model {model!r} has no chat template: give text prompts, or prompts.chat: false"
        )
