"""What the judge of a recipe will be asked, said before a run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steelyard.recipes._judge import JudgedConfig
from steelyard.recipes.recipe import Recipe


def judging_costs(recipe: Recipe, validated: int, rows: Sequence[Mapping[str, Any]], base: Path) -> list[str]:
    """A line for each judge: questions an update, a validation and a run, at most; checks, caches and equal answers take some away.

    Args:
        recipe: of the run.
        validated: its validation prompts.
        rows: its prompts, whose criteria are counted.
        base: the recipe's folder.
    """
    lines = []
    algorithm = recipe.algorithm
    for config in (*recipe.objectives, *recipe.probes):
        if isinstance(config, JudgedConfig):
            step, each, how = config.questions(algorithm.prompts_per_step, algorithm.answers_per_prompt, rows, base)
            step *= config in recipe.objectives  # a probe is asked in validations alone
            validation = validated * each
            times = -(-algorithm.steps // recipe.validation.every) + (not config.first_validation_is_free)
            whole = algorithm.steps * step + times * validation
            lines.append(
                f"judge {config.name!r} ({how}): at most {step:,} questions an update and {validation:,} a validation, "
                f"{whole:,} in the whole run (updates: {algorithm.steps}, validations that ask: {times}; the test at the end comes on top)"
            )
    return lines
