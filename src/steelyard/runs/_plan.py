"""What a recipe's mixture will draw: from the examples that the run itself would draw from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.mixture import ConstantTemperature, MixturePlan, plan_mixture
from steelyard.mixture.schedules.shares import Shares
from steelyard.models.loading import load_tokenizer
from steelyard.recipes._parts import MixtureConfig, build_mixture
from steelyard.recipes.recipe import Recipe
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.rows import Row
from steelyard.runs._conversations import tokens_of, write_conversations
from steelyard.runs._domain_data import load_domains, measured_only, pack_domains
from steelyard.runs._prompts import load_prompts


def plan_of_recipe(recipe: Recipe | SupervisedRecipe, *, base: Path = Path("."), max_epochs: float = 10.0) -> MixturePlan:
    """The plan of a run, before it: its rows are read, held out, packed and left out as the run does it.

    Raises:
        InputError: where the recipe draws by no mixture, or its data cannot be used.
    """
    if isinstance(recipe, SupervisedRecipe):
        rows = _supervised_rows(recipe, base)
    elif recipe.mixture is None:
        raise InputError(f"recipe {recipe.name!r} draws every prompt once an epoch: give it a mixture to plan")
    else:
        rows = load_prompts(recipe.prompts, base=base, seed=recipe.seed).train
        if any(row.get("domain") is None for row in rows):
            raise InputError("a mixture needs every prompt's domain: name it in prompts.domain")
    return plan_of_sizes(recipe, Counter(str(row["domain"]) for row in rows), base=base, max_epochs=max_epochs)


def plan_of_sizes(
    recipe: Recipe | SupervisedRecipe, sizes: Mapping[str, int], *, base: Path = Path("."), max_epochs: float = 10.0
) -> MixturePlan:
    """The plan of a recipe's mixture over domains with so many examples."""
    if isinstance(recipe, SupervisedRecipe):
        batch_size, steps = recipe.training.batch_size, recipe.training.steps
    else:
        batch_size, steps = recipe.algorithm.prompts_per_step, recipe.algorithm.steps
    mixture = build_mixture(recipe.mixture or MixtureConfig(), base=base)
    if isinstance(mixture.schedule, Shares):
        mixture = replace(mixture, schedule=mixture.schedule.without(mixture.schedule.unvisited - set(sizes)))
    # Scalarization draws in proportion, and weights the loss.
    schedule: Any = mixture.schedule if mixture.by == "sampling" else ConstantTemperature(1.0)
    return plan_mixture(
        list(sizes.values()),
        schedule,
        num_samples=steps * batch_size,
        batch_size=batch_size,
        names=list(sizes),
        max_epochs=max_epochs,
    )


def _supervised_rows(recipe: SupervisedRecipe, base: Path) -> Sequence[Row]:
    """The examples that a supervised run draws from."""
    data, _ = measured_only(load_domains(recipe.data, base=base), build_mixture(recipe.mixture, base=base))
    rows, settings = data.train, recipe.training
    if settings.pack:
        return pack_domains(rows, tokenizer_of(recipe, base), settings.max_tokens)
    if any("messages" in row for row in rows):
        return write_conversations(rows, tokenizer_of(recipe, base), settings.max_tokens)
    if recipe.data.prompt is None:
        return rows
    tokenizer = tokenizer_of(recipe, base)
    return [row for row in rows if _prompt_tokens(row, tokenizer) < settings.max_tokens]


def _prompt_tokens(row: Row, tokenizer: Any) -> int:
    """Tokens before the completion: TRL leaves a row out whose prompt leaves no room for it."""
    if isinstance(row["prompt"], str):
        return len(tokenizer.encode(row["prompt"]))
    _, labels = tokens_of([*row["prompt"], *row["completion"]], tokenizer)
    return next((i for i, label in enumerate(labels) if label >= 0), len(labels))


def tokenizer_of(recipe: SupervisedRecipe, base: Path) -> Any:
    """The tokenizer of a recipe's model, without the model."""
    scratch = recipe.model.scratch
    if scratch is not None and scratch.tokenizer == "bytes":
        from steelyard.models.scratch import byte_tokenizer

        return byte_tokenizer()
    name = recipe.model.name if scratch is None else scratch.tokenizer
    assert name is not None
    return load_tokenizer(name, base=base)
