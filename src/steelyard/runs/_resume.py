"""The recipe in a run folder, and whether a run may go on from there."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from pathlib import Path

import yaml
from pydantic import ValidationError

from steelyard.errors import InputError
from steelyard.recipes.loading import parse_recipe
from steelyard.recipes.recipe import Recipe
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.runlog import RunLog

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
    if not place.is_file():
        raise InputError(f"{path} is no run folder: it has no recipe.yaml")
    content = yaml.safe_load(place.read_text(encoding="utf-8"))
    content.pop("versions", None)
    if like is not None:
        with contextlib.suppress(ValidationError):
            return type(like).model_validate(content)
    found: Recipe | SupervisedRecipe = parse_recipe(content, where=str(place))
    return found


def check_same(log: RunLog, recipe: Recipe | SupervisedRecipe) -> None:
    """Refuse to resume a run by another recipe than its own."""
    kept = read_resolved(log.path, like=recipe).model_dump(mode="json")
    now = recipe.model_dump(mode="json")
    different = [key for key in now if now[key] != kept.get(key)]
    if different:
        raise InputError(
            f"{log.path} was started with another recipe ({', '.join(different)} differ): resume it with the recipe in its folder, "
            f"{log.path / 'recipe.yaml'}, or start a new run with --out"
        )
