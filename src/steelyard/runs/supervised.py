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

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.models.loading import load_policy
from steelyard.recipes._parts import build_mixture
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.rows import Row
from steelyard.runlog import RunLog
from steelyard.runs._conversations import write_conversations
from steelyard.runs._domain_data import DomainData, cut_texts, load_domains, measured_only, pack_domains
from steelyard.runs._fingerprint import fingerprint
from steelyard.runs._plan import plan_of_sizes, tokenizer_of
from steelyard.runs._recorder import SupervisedRecorder, save_model
from steelyard.runs._trl_arguments import lora_config, quiet, supervised_arguments
from steelyard.runs.life import Run, Start
from steelyard.runs.progress import Progress
from steelyard.training.mixing import column_of

_FINAL = "final"


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


class SupervisedRun(Run):
    """A supervised run on a mixture of domains."""

    recipe: SupervisedRecipe

    def __init__(self, recipe: SupervisedRecipe, base: Path) -> None:
        self.recipe, self.base = recipe, base
        self.domains, self.mixture = measured_only(load_domains(recipe.data, base=base), build_mixture(recipe.mixture, base=base))
        self.source = ", ".join(part.source for part in recipe.data.sources().values())
        self.data = fingerprint([*self.domains.train, *self.domains.held_out])
        self.steps = recipe.training.steps

    def trainer(self, start: Start, progress: Progress) -> Any:
        """Load or make the model, write its examples, and make a `MixtureSFTTrainer`."""
        from datasets import Dataset
        from datasets.utils.logging import disable_progress_bar

        from steelyard.training.sft import MixtureSFTTrainer

        disable_progress_bar()
        recipe, data, settings = self.recipe, self.domains, self.recipe.training
        model, self.tokenizer = _model(recipe, self.base)
        _check_model(recipe, model, self.tokenizer, conversations=any("messages" in row for row in self.domains.train))
        train_rows, held_out_rows = data.train, data.held_out
        if settings.pack:
            train_rows = pack_domains(train_rows, self.tokenizer, settings.max_tokens)
            held_out_rows = pack_domains(held_out_rows, self.tokenizer, settings.max_tokens)
        else:
            for line in _cut_lines(data, self.tokenizer, settings.max_tokens):
                progress.message(line)
        if any("messages" in row for row in train_rows):
            train_rows, held_out_rows = (
                write_conversations(rows, self.tokenizer, settings.max_tokens) for rows in (train_rows, held_out_rows)
            )
        trainer = quiet(
            MixtureSFTTrainer(
                model=model,
                args=supervised_arguments(recipe, start.log),
                train_dataset=Dataset.from_list(train_rows),
                eval_dataset=Dataset.from_list(held_out_rows),
                processing_class=self.tokenizer,
                peft_config=None if recipe.model.lora is None else lora_config(recipe.model.lora),
                mixture=self.mixture,
                recorder=SupervisedRecorder(start.log, progress),
            )
        )
        for line in left_out(train_rows, held_out_rows, trainer, settings.max_tokens):
            progress.message(line)
        if data.without:
            progress.message(f"{', '.join(data.without)}: one text each, so nothing is held out and no loss is measured")
        # Pieces of joined texts are no rows; where nothing is joined, those that TRL left out are not held out.
        held_out = [row["domain"] for row in data.held_out] if settings.pack else column_of(trainer.eval_dataset, "domain")
        domains = _domains(data, trainer, held_out)
        start.log.write_json("data.json", {**self.data, "domains": domains})
        drawn_from = {name: counts["examples"] for name, counts in domains.items() if counts["examples"]}
        for line in plan_of_sizes(recipe, drawn_from, base=self.base).warnings:
            progress.message(line)
        return trainer

    def shown(self, trainer: Any) -> list[str]:
        """The domains."""
        names: list[str] = trainer.order.names
        return names

    def finish(self, start: Start, trainer: Any) -> None:
        """Keep the model, unless a run that was over is asked to go on."""
        final = start.log.checkpoints / _FINAL
        if not (start.step >= self.steps and final.is_dir()):
            save_model(trainer, final, tokenizer=self.tokenizer)

    def result(self, log: RunLog, seconds: float) -> SupervisedResult:
        """The last validation."""
        last = log.validations()[-1]
        return SupervisedResult(log.path, last["losses"], last["loss"], seconds)


def _model(recipe: SupervisedRecipe, base: Path) -> tuple[Any, Any]:
    if recipe.model.scratch is None:
        assert recipe.model.name is not None
        return load_policy(recipe.model.name, dtype=recipe.model.dtype, base=base)
    import torch

    from steelyard.models.scratch import new_model

    new, tokenizer = recipe.model.scratch, tokenizer_of(recipe, base)
    model = new_model(tokenizer, width=new.width, layers=new.layers, heads=new.heads, context=new.context, seed=recipe.seed)
    return model.to(getattr(torch, recipe.model.dtype)), tokenizer


def _check_model(recipe: SupervisedRecipe, model: Any, tokenizer: Any, *, conversations: bool) -> None:
    """Refuse chat messages for a model without a template, and examples that are longer than it reads."""
    if not getattr(tokenizer, "chat_template", None) and (recipe.data.chat or conversations):
        if conversations:
            name = "made from scratch" if recipe.model.name is None else repr(recipe.model.name)
            raise InputError(
                f"the rows are conversations, but model {name} has no chat template: give data.text a template, or another model"
            )
        raise InputError(f"data.chat: model {recipe.model.name!r} has no chat template: leave chat out")
    if conversations and recipe.training.pack:
        raise InputError("training.pack joins texts, but the rows are conversations: leave pack out, or give data.text")
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and longest < recipe.training.max_tokens:
        raise InputError(
            f"training.max_tokens = {recipe.training.max_tokens}, but the model takes {longest} tokens at most "
            "(max_position_embeddings in its config): lower the first, or raise the second where the model's positions can be extended"
        )


def _cut_lines(data: DomainData, tokenizer: Any, max_tokens: int, *, limit: int = 20) -> list[str]:
    """A line for every domain of which texts are cut off, those that lose most first, and how many more there are."""
    cut = cut_texts([*data.train, *data.held_out], tokenizer, max_tokens)
    worst = sorted(cut, key=lambda name: -cut[name][2])
    lines = [
        f"{name}: {cut[name][0]:,} of {cut[name][1]:,} texts are cut off at training.max_tokens = {max_tokens}, and {cut[name][2]:.0%} of its tokens are not learned"
        for name in worst[:limit]
    ]
    return lines + ([f"and texts of {len(worst) - limit:,} more domains are cut off"] if len(worst) > limit else [])


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
        # A domain of the share 0 has no examples and is measured.
        for name in sorted({*rows, *held_out})
    }
