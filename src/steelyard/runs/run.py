"""From a recipe to a finished run folder: `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steelyard.recipes.loading import load_recipe
from steelyard.recipes.recipe import Recipe
from steelyard.recipes.shipped import find_recipe
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.runlog import RunLog
from steelyard.runs.life import Run, carry_through
from steelyard.runs.policy import PolicyRun, RunResult
from steelyard.runs.progress import Progress, QuietProgress
from steelyard.runs.supervised import SupervisedResult, SupervisedRun

KINDS: dict[type[Any], type[Run]] = {Recipe: PolicyRun, SupervisedRecipe: SupervisedRun}
"""What carries out a recipe, by the recipe's type."""


def train(
    recipe: Recipe | SupervisedRecipe | str | Path,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    base: Path | str = ".",
) -> RunResult | SupervisedResult:
    """Train by a recipe and write the run folder.

    Args:
        recipe: a `Recipe` or `SupervisedRecipe`, a file, or the name of a shipped recipe.
        out: the run folder; default: `runs/NAME`.
        resume: go on from the last whole checkpoint of the folder; its own recipe is used, and must be the same.
        progress: shows how the run goes; default: nothing is shown.
        base: the folder that the recipe's relative paths start from, where `recipe` is a `Recipe`; else its file's folder.

    Returns:
        The front and where everything lies; from a recipe of `kind: supervised`, the domains' losses.

    Raises:
        InputError: where recipe, prompts, model or folder are not usable; nothing is left behind then.
        RewardError: where a reward fails; what was written stays.

    Example:
        train("sums-normalized", out="runs/mine").hypervolume
    """
    base = Path(base)
    if isinstance(recipe, (str, Path)):
        base = find_recipe(recipe).parent
        recipe = load_recipe(recipe)
    assert not isinstance(recipe, (str, Path))
    log = RunLog(Path("runs") / recipe.name if out is None else out)
    if not resume:
        # Before the data are read.
        log.check_new()
    kind = next(run for type_, run in KINDS.items() if isinstance(recipe, type_))
    result: RunResult | SupervisedResult = carry_through(
        kind(recipe, base),  # type: ignore[call-arg]
        log,
        resume=resume,
        progress=progress or QuietProgress(),
    )
    return result
