"""A run whose policy is given preferences in its prompts: which prompt says which, and what the policy does with each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.pareto import simplex_lattice
from steelyard.runs._prompts import Prompts
from steelyard.runs._templates import Template
from steelyard.runs.progress import Progress
from steelyard.training._validation import measure
from steelyard.training.preferences import drawn_preferences, with_preference


class Preferences:
    """How a run's prompts say preferences.

    Args:
        weighting: of the run, which conditions.
        names: the objectives'.
        seed: of what is drawn.
    """

    def __init__(self, weighting: Any, names: Sequence[str], seed: int) -> None:
        self.names, self.seed, self.concentration = list(names), seed, weighting.concentration
        self.lattice = [list(weights) for weights in simplex_lattice(len(self.names), weighting.points)]
        self.template = None if weighting.template is None else Template(weighting.template, "weighting.template")

    def written(self, row: dict[str, Any], weights: Sequence[float]) -> dict[str, Any]:
        """A row that says a preference."""
        return with_preference(row, self.names, weights, self.template)

    def of_prompts(self, prompts: Prompts) -> Prompts:
        """Training prompts with preferences drawn by seed, and validation prompts that take turns at the lattice; test prompts stay as they are."""
        drawn = drawn_preferences(len(prompts.train), len(self.names), concentration=self.concentration, seed=self.seed)
        train = [self.written(row, weights) for row, weights in zip(prompts.train, drawn, strict=True)]
        validation = [self.written(row, self.lattice[i % len(self.lattice)]) for i, row in enumerate(prompts.validation)]
        return prompts._replace(train=train, validation=validation)

    def measured(self, trainer: Any, rows: Sequence[dict[str, Any]], progress: Progress) -> list[dict[str, Any]]:
        """What the policy's answers to the same prompts are worth at each preference of the lattice."""
        from datasets import Dataset

        progress.message(f"measuring the policy at {len(self.lattice)} preferences on {len(rows)} prompts")
        found = []
        for weights in self.lattice:
            point = measure(trainer, Dataset.from_list([self.written(row, weights) for row in rows]))
            found.append(
                {
                    "preference": dict(zip(self.names, weights, strict=True)),
                    "values": point.values,
                    "standard_errors": point.standard_errors,
                }
            )
        return found
