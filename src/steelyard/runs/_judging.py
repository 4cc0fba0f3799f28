"""What the judge of a recipe will be asked, said before a run begins."""

from __future__ import annotations

from steelyard.recipes.recipe import Recipe, RubricConfig
from steelyard.rubric_reward.references import COLUMN, LISTWISE, REFERENCES

_ORDERS = {"both": 2, "sum": 2, "adaptive": 2, "one": 1, "other": 1}


def judging_costs(recipe: Recipe, validated: int) -> list[str]:
    """A line for each judge: questions an update, a validation and a run, at most; checks, caches and equal answers take some away.

    Args:
        recipe: of the run.
        validated: its validation prompts.
    """
    lines = []
    algorithm = recipe.algorithm
    for config in (*recipe.objectives, *recipe.probes):
        if isinstance(config, RubricConfig):
            asked = 1 if config.reference == LISTWISE else _ORDERS[config.orders] * config.stages
            pairs = algorithm.prompts_per_step * REFERENCES.get(config.reference, COLUMN).calls(algorithm.answers_per_prompt)
            pairs *= config in recipe.objectives  # a probe is asked in validations alone
            if config.pairs_per_step is not None:
                pairs = min(pairs, config.pairs_per_step)
            judges = 1 + len(config.judges)
            step = pairs * config.samples * asked * judges
            validation = validated * _ORDERS[config.orders] * config.stages * (judges if config.measured_by is None else 1)
            times = -(-algorithm.steps // recipe.validation.every)
            whole = algorithm.steps * step + times * validation
            lines.append(
                f"judge {config.name!r} ({config.reference}): at most {step:,} questions an update and {validation:,} a validation, "
                f"{whole:,} in the whole run (updates: {algorithm.steps}, validations after the first: {times})"
            )
    return lines
