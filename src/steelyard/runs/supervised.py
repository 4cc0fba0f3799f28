"""A supervised run on a mixture of domains, from a recipe to a finished run folder.

runs/NAME/
    recipe.yaml          resolved, with versions and seed
    data.json            every domain's rows, examples and tokens, and the checksum of what was read
    steps.jsonl          one line an update: loss, learning rate, draws of every domain
    validation.jsonl     one line a validation: held-out loss of every domain
    checkpoints/         what to resume from, and the model at the end
    report.html
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, SteelyardError
from steelyard.files import damage_is_clear, disk_full_is_clear
from steelyard.models.loading import load_policy
from steelyard.recipes.parts import build_mixture
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.rows import Row
from steelyard.runlog import RunLog
from steelyard.runs.domain_data import DomainData, load_domains, pack_domains
from steelyard.runs.fingerprint import check_unchanged, fingerprint
from steelyard.runs.progress import Progress, QuietProgress
from steelyard.runs.recorder import SupervisedRecorder
from steelyard.runs.trl_arguments import common_arguments, lora_config, record_arguments
from steelyard.training.mixing import column_of

FINAL = "final"


@dataclass(frozen=True)
class SupervisedResult:
    """What a supervised run came to.

    Attributes:
        path: the run folder; the model lies in its `checkpoints/final`.
        losses: held-out loss of every domain at the end, in nats a token.
        loss: the mean over all held-out tokens.
        seconds: wall time of this call.

    Example:
        >>> result = SupervisedResult(Path("runs/one"), {"en": 1.2, "sw": 2.1}, 1.3, 60.0)
        >>> max(result.losses, key=result.losses.get)
        'sw'
    """

    path: Path
    losses: dict[str, float]
    loss: float
    seconds: float


def train_supervised(
    recipe: SupervisedRecipe, log: RunLog, *, resume: bool = False, progress: Progress | None = None, base: Path = Path(".")
) -> SupervisedResult:
    """Train by a recipe of `kind: supervised`; see `steelyard.training.train`."""
    from steelyard.runs.resume import check_same, resolved

    began = time.perf_counter()
    mixture = build_mixture(recipe.mixture, base=base)
    data = load_domains(recipe.data, base=base)
    source = recipe.data.source if isinstance(recipe.data.source, str) else ", ".join(recipe.data.source.values())
    print_of_data = fingerprint([*data.train, *data.held_out])
    if resume:
        with damage_is_clear(log.path):
            check_same(log, recipe)
            # A run that was killed before anything else was written has no data.json, and nothing to be resumed differently.
            if (log.path / "data.json").is_file():
                kept = json.loads((log.path / "data.json").read_text(encoding="utf-8"))
                check_unchanged({key: kept[key] for key in ("rows", "checksum")}, print_of_data, source)
    else:
        log.check_new()
    model, tokenizer = _model(recipe, base)
    if recipe.data.chat and not getattr(tokenizer, "chat_template", None):
        raise InputError(f"data.chat: model {recipe.model.name!r} has no chat template: leave chat out")
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and longest < recipe.training.max_tokens:
        raise InputError(
            f"training.max_tokens = {recipe.training.max_tokens}, but the model takes {longest} tokens at most "
            "(max_position_embeddings in its config): lower the first, or raise the second where the model's positions can be extended"
        )
    train_rows, held_out_rows = data.train, data.held_out
    if recipe.training.pack:
        train_rows = pack_domains(train_rows, tokenizer, recipe.training.max_tokens)
        held_out_rows = pack_domains(held_out_rows, tokenizer, recipe.training.max_tokens)
    progress = progress or QuietProgress()
    recorder = SupervisedRecorder(log, progress)
    if not resume:
        log.create(resolved(recipe))
        log.write_json("data.json", print_of_data)
    try:
        trainer = _trainer(recipe, model, tokenizer, mixture, train_rows, held_out_rows, log, recorder)
        for line in left_out(train_rows, held_out_rows, trainer, recipe.training.max_tokens):
            progress.message(line)
        if data.without:
            progress.message(f"{', '.join(data.without)}: one text each, so nothing is held out and no loss is measured")
    except (SteelyardError, ValueError, TypeError) as error:
        if not resume:
            log.discard()
        if isinstance(error, SteelyardError):
            raise
        raise InputError(f"the recipe's settings do not fit together for TRL: {error}") from error
    # Pieces of joined texts are no rows; where nothing is joined, those that TRL left out are not held out.
    held_out_domains = (
        [row["domain"] for row in data.held_out] if recipe.training.pack else column_of(trainer.eval_dataset, "domain")
    )
    log.write_json("data.json", {**print_of_data, "domains": _domains(data, trainer, held_out_domains)})
    with disk_full_is_clear(log.path), log.lock():
        _run(recipe, trainer, tokenizer, log, progress, resume)
    last = log.validations()[-1]
    return SupervisedResult(log.path, last["losses"], last["loss"], time.perf_counter() - began)


def _model(recipe: SupervisedRecipe, base: Path) -> tuple[Any, Any]:
    if recipe.model.scratch is None:
        assert recipe.model.name is not None
        return load_policy(recipe.model.name, dtype=recipe.model.dtype, base=base)
    import torch

    from steelyard.models.scratch import byte_tokenizer, new_model

    new = recipe.model.scratch
    tokenizer = byte_tokenizer() if new.tokenizer == "bytes" else load_policy(new.tokenizer, base=base)[1]
    model = new_model(tokenizer, width=new.width, layers=new.layers, heads=new.heads, context=new.context, seed=recipe.seed)
    return model.to(getattr(torch, recipe.model.dtype)), tokenizer


def _trainer(
    recipe: SupervisedRecipe,
    model: Any,
    tokenizer: Any,
    mixture: Any,
    train_rows: list[Row],
    held_out_rows: list[Row],
    log: RunLog,
    recorder: SupervisedRecorder,
) -> Any:
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from transformers import PrinterCallback, ProgressCallback
    from trl import SFTConfig

    from steelyard.training.sft import MixtureSFTTrainer

    disable_progress_bar()
    settings = recipe.training
    micro_batch = settings.micro_batch or settings.batch_size
    trainer = MixtureSFTTrainer(
        model=model,
        args=SFTConfig(
            **common_arguments(log.checkpoints, recipe.seed),
            **record_arguments(recipe.validation.every, recipe.checkpoint.every),
            max_steps=settings.steps,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=settings.batch_size // micro_batch,
            per_device_eval_batch_size=recipe.validation.batch,
            max_length=settings.max_tokens,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.schedule,
            warmup_steps=round(settings.warmup * settings.steps),
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
        ),
        train_dataset=Dataset.from_list(train_rows),
        eval_dataset=Dataset.from_list(held_out_rows),
        processing_class=tokenizer,
        peft_config=None if recipe.model.lora is None else lora_config(recipe.model.lora),
        mixture=mixture,
        recorder=recorder,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def left_out(train_rows: list[Row], held_out_rows: list[Row], trainer: Any, max_tokens: int) -> list[str]:
    """A line for every domain of which TRL left rows out, since their prompts alone fill `max_tokens`.

    Raises:
        InputError: where nothing of a domain is left to train on.
    """
    lines = []
    for what, given, kept in (("training", train_rows, trainer.train_dataset), ("held-out", held_out_rows, trainer.eval_dataset)):
        before, after = Counter(row["domain"] for row in given), Counter(column_of(kept, "domain"))
        for name, count in before.items():
            why = f"their prompts alone fill training.max_tokens = {max_tokens}"
            if what == "training" and not after[name]:
                raise InputError(
                    f"domain {name!r}: all {count} training rows are left out, since {why}: raise it, or leave the domain out"
                )
            if after[name] < count:
                lines.append(f"{name}: {count - after[name]} of {count} {what} rows are left out, since {why}")
    return lines


def _domains(data: DomainData, trainer: Any, held_out_domains: Iterable[str]) -> dict[str, dict[str, int]]:
    """What there is of every domain: rows read, examples and tokens that can be drawn, rows held out, repeats left out."""
    from steelyard.training._domain_losses import token_counts

    rows, held_out = Counter(row["domain"] for row in data.train), Counter(held_out_domains)
    examples: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for name, count in zip(column_of(trainer.train_dataset, "domain"), token_counts(trainer.train_dataset), strict=True):
        examples[name] += 1
        tokens[name] += count
    return {
        name: {
            "rows": rows[name],
            "examples": examples[name],
            "tokens": tokens[name],
            "held_out": held_out[name],
            "repeats": data.repeats.get(name, 0),
        }
        for name in sorted(rows)
    }


def _run(recipe: SupervisedRecipe, trainer: Any, tokenizer: Any, log: RunLog, progress: Progress, resume: bool) -> None:
    checkpoint = log.last_checkpoint() if resume else None
    step = 0 if checkpoint is None else int(checkpoint.name.partition("-")[2])
    with damage_is_clear(log.path):
        if resume:
            log.rewind(step if checkpoint is not None else -1)
    progress.begin(recipe.training.steps, done=step, names=trainer.order.names)
    done = log.checkpoints / FINAL
    try:
        if checkpoint is None:
            trainer.evaluate()
        if not (resume and done.is_dir() and step >= recipe.training.steps):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            if trainer.validated_at != recipe.training.steps:
                trainer.evaluate()
            unfinished = log.checkpoints / f".unfinished-{FINAL}"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(done, ignore_errors=True)
            trainer.save_model(str(unfinished), _internal_call=True)
            (unfinished / "training_args.bin").unlink(missing_ok=True)
            tokenizer.save_pretrained(unfinished)
            os.replace(unfinished, done)
    finally:
        progress.end()
