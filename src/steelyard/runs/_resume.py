"""The recipe in a run folder, and whether a run may go on from there."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from steelyard.errors import InputError
from steelyard.files import is_file
from steelyard.recipes._judge import HARMLESS
from steelyard.recipes.loading import parse_recipe
from steelyard.recipes.recipe import Recipe
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.runlog import RunLog
from steelyard.weighting import METHODS
from steelyard.yaml_texts import read_yaml

VERSIONED = ("steelyard", "torch", "transformers", "trl", "accelerate", "peft", "datasets", "moocore", "math-verify")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def resolved(recipe: Recipe | SupervisedRecipe) -> str:
    """A recipe with every default filled in and the versions that run it, as YAML."""
    versions = {name: _version(name) for name in VERSIONED} | {"python": platform.python_version()}
    content = recipe.model_dump(mode="json")
    return "# Resolved recipe of this run.\n" + yaml.safe_dump(
        {**content, "versions": versions}, sort_keys=False, allow_unicode=True
    )


def read_resolved(path: Path, *, like: Recipe | SupervisedRecipe | None = None) -> Recipe | SupervisedRecipe:
    """The recipe of a run folder.

    Args:
        path: the folder.
        like: a recipe of the same kind, which knows a weighting of the user's own that it names; default: none.
    """
    place = path / "recipe.yaml"
    if not is_file(place):
        raise InputError(f"{path} is no run folder: it has no recipe.yaml")
    content = read_yaml(place)
    if not isinstance(content, dict):
        raise InputError(f"{place}: a recipe is a mapping of keys, but found {type(content).__name__}")
    content.pop("versions", None)
    if like is not None:
        with contextlib.suppress(ValidationError):
            return type(like).model_validate(content)
    found: Recipe | SupervisedRecipe = parse_recipe(content, where=str(place))
    return found


def check_same(log: RunLog, recipe: Recipe | SupervisedRecipe) -> bool:
    """Refuse to resume a run by a recipe that would give other numbers than its own.

    What gives the same ones may differ: how many examples are in memory at a time, how often checkpoints are written and progress is measured (where nothing
    follows it), and more steps, where nothing depends on how long the run is.

    Returns:
        Whether anything differs, so that the recipe in the folder is to be replaced.
    """
    kept = _flat(read_resolved(log.path, like=recipe).model_dump(mode="json"))
    now = _flat(recipe.model_dump(mode="json"))
    different = {key: (kept.get(key), now.get(key)) for key in {**kept, **now} if kept.get(key) != now.get(key)}
    refused = {key: values for key, values in different.items() if not _is_the_same_run(recipe, key, *values)}
    if refused:
        listed = "; ".join(
            f"{key} was {_short(before)} and is {_short(after)}" for key, (before, after) in sorted(refused.items())[:5]
        )
        raise InputError(
            f"{log.path} was started with another recipe ({listed}): resume it with the recipe in its folder, {log.path / 'recipe.yaml'}, or start a new run "
            "with --out"
        )
    return bool(different)


def _flat(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names.

    Example:
        >>> _flat({"a": {"b": 1, "c": [1, 2]}, "d": {}})
        {'a.b': 1, 'a.c': [1, 2], 'd': {}}
    """
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) and value else {f"{above}{key}": value}
    return found


def _asked(objective: Any) -> Any:
    """An objective's settings without those that say where and how long a judge is asked."""
    if not isinstance(objective, Mapping) or objective.get("kind") not in ("rubric", "points"):
        return objective
    return {key: value for key, value in objective.items() if key not in HARMLESS}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_the_same_run(recipe: Recipe | SupervisedRecipe, key: str, before: Any, now: Any) -> bool:
    """Whether a run with another value of a setting gives the same numbers, as far as it went."""
    supervised = isinstance(recipe, SupervisedRecipe)
    if key == "objectives" and isinstance(before, list) and isinstance(now, list):
        return list(map(_asked, before)) == list(map(_asked, now))
    if key in ("checkpoint.every", "checkpoint.front", "algorithm.micro_batch", "training.micro_batch"):
        return True
    if key == "validation.every":
        follows = recipe.mixture is not None and recipe.mixture.follows_losses
        return not follows and (supervised or not _weighting_says(recipe, "needs_validation"))
    if key == "validation.batch":
        # Sampled answers are drawn batch by batch; losses and greedy ones are not.
        return supervised or getattr(recipe.validation, "sampling", "") == "greedy"
    if key == "algorithm.steps" and not supervised:
        longer = isinstance(before, int) and isinstance(now, int) and now > before
        return (
            longer
            and recipe.mixture is None
            and recipe.algorithm.schedule == "constant"
            and not _weighting_says(recipe, "follows_progress")
        )
    return False


def _weighting_says(recipe: Any, what: str) -> bool:
    """A class attribute of a recipe's weighting; of a user's own, which may lie beside the recipe, the cautious answer."""
    method = METHODS.get(recipe.weighting.method) if recipe.weighting.method in METHODS else None
    return True if method is None else bool(getattr(method, what, True))
