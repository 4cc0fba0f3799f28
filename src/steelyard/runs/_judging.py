"""What the judge of a recipe will be asked, said before a run begins."""

from __future__ import annotations

from steelyard.recipes._judge import JudgedConfig
from steelyard.recipes.recipe import Recipe


def judging_costs(recipe: Recipe, validated: int) -> list[str]:
    """A line for each judge: questions an update, a validation and a run, at most; checks, caches and equal answers take some away.

    Args:
        recipe: of the run.
        validated: its validation prompts.
    """
    lines = []
    algorithm = recipe.algorithm
    for config in (*recipe.objectives, *recipe.probes):
        if isinstance(config, JudgedConfig):
            step, each, how = config.questions(algorithm.prompts_per_step, algorithm.answers_per_prompt)
            step *= config in recipe.objectives  # a probe is asked in validations alone
            validation = validated * each
            times = -(-algorithm.steps // recipe.validation.every)
            whole = algorithm.steps * step + times * validation
            lines.append(
                f"judge {config.name!r} ({how}): at most {step:,} questions an update and {validation:,} a validation, "
                f"{whole:,} in the whole run (updates: {algorithm.steps}, validations after the first: {times})"
            )
    return lines
