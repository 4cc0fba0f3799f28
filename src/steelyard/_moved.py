"""Names and modules that had another place before 0.2; they go on working until 1.0. The one file that knows the old places.

`FORMER_MODULES` answer to their old names with a `DeprecationWarning` (by an import finder that is asked after all others). `ELSEWHERE` are public
names of a room that stand in a room above it now: they stay where they were, without a warning.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

ELSEWHERE = {
    "steelyard.training": {
        "Recipe": "steelyard.recipes.recipe",
        "RunResult": "steelyard.runs.policy",
        "SupervisedRecipe": "steelyard.recipes.supervised",
        "SupervisedResult": "steelyard.runs.supervised",
        "load_recipe": "steelyard.recipes.loading",
        "train": "steelyard.runs.run",
    },
}
"""Public names by the room that still answers to them, with the module that they stand in."""

FORMER_MODULES: dict[str, tuple[str, ...]] = {
    "steelyard.cli_bench": ("steelyard.cli.bench",),
    "steelyard.cli_judge": ("steelyard.cli.judge", "steelyard.cli.rubric"),
    "steelyard.objectives.text": ("steelyard.objectives.writing",),
    "steelyard.rubric.checks": ("steelyard.checks",),
    "steelyard.rubric.checks.base": ("steelyard.checks.base", "steelyard.checks.kinds"),
    "steelyard.rubric.checks.content": ("steelyard.checks.content",),
    "steelyard.rubric.checks.form": ("steelyard.checks.form", "steelyard.checks.base"),
    "steelyard.rubric.checks.ifbench": ("steelyard.checks._ifbench",),
    "steelyard.rubric.checks.instructions": ("steelyard.checks.ifeval",),
    "steelyard.rubric.checks.text": ("steelyard.checks.text",),
    "steelyard.rubric.fence": ("steelyard.rubric._fence",),
    "steelyard.rubric.orders": ("steelyard.rubric.order_policies", "steelyard.intervals"),
    "steelyard.rubric.reading": ("steelyard.rubric.page",),
    "steelyard.rubric.templates": ("steelyard.rubric._templates",),
    "steelyard.rubric.schemas": ("steelyard.rubric._schemas",),
    "steelyard.training.config": ("steelyard.recipes.recipe", "steelyard.recipes.loading", "steelyard.recipes.shipped"),
    "steelyard.training.supervised_config": ("steelyard.recipes.supervised",),
    "steelyard.training.parts": ("steelyard.recipes._parts",),
    "steelyard.training.methods": ("steelyard.recipes._weighting",),
    "steelyard.training.run": ("steelyard.runs.run", "steelyard.runs.policy", "steelyard.runs._resume"),
    "steelyard.training.supervised": ("steelyard.runs.supervised",),
    "steelyard.training.supervised_stage": ("steelyard.runs._warmup",),
    "steelyard.training.recorder": ("steelyard.runs._recorder",),
    "steelyard.training.progress": ("steelyard.runs.progress",),
    "steelyard.training.policy": ("steelyard.models.loading",),
    "steelyard.training.scratch": ("steelyard.models.scratch",),
    "steelyard.training.prompts": ("steelyard.runs._prompts", "steelyard.runs._templates"),
    "steelyard.training.domain_data": ("steelyard.runs._domain_data", "steelyard.runs._fingerprint"),
    "steelyard.training.domain_order": ("steelyard.training._domain_order", "steelyard.mixture.mixture"),
    "steelyard.training.sampler": ("steelyard.training._prompt_order", "steelyard.seeds"),
    "steelyard.training.mixture": ("steelyard.training.mixing",),
    "steelyard.training.influence": ("steelyard.training._gradients",),
    "steelyard.training.domain_losses": ("steelyard.training._domain_losses",),
    "steelyard.training.validation": ("steelyard.training._validation",),
    "steelyard.training.rewards": ("steelyard.training._rewards",),
    "steelyard.training.arguments": ("steelyard.training._arguments", "steelyard.runs._trl_arguments"),
    "steelyard.bench.run": ("steelyard.bench.judging",),
    "steelyard.report.domains": ("steelyard.report._domains",),
    "steelyard.report.figures": ("steelyard.report._figures",),
    "steelyard.report.mixture": ("steelyard.report._plan_figure",),
    "steelyard.mixture.adaptive": (
        "steelyard.mixture.schedules.adaptive_cooldown",
        "steelyard.mixture.schedules.cooldown_at_cap",
    ),
    "steelyard.mixture.order_matters": ("steelyard.mixture.schedules.order_matters",),
    "steelyard.mixture.shares": ("steelyard.mixture.schedules.shares",),
    "steelyard.mixture.unimax": ("steelyard.mixture.schedules.unimax",),
    "steelyard.mixture.domains": ("steelyard.mixture.count",),
    "steelyard.mixture.segments": ("steelyard.mixture._segments",),
    "steelyard.mixture.permutation": ("steelyard.mixture._permutation",),
    "steelyard.llm.replies": ("steelyard.llm._replies",),
}
"""Modules by their old name, with those that have their names now, the first one first."""


def elsewhere(room: str, name: str) -> Any:
    """A public name of a room that stands in another one now.

    Raises:
        AttributeError: where the room never had it.
    """
    if name not in ELSEWHERE.get(room, {}):
        raise AttributeError(f"module {room!r} has no attribute {name!r}")
    return getattr(importlib.import_module(ELSEWHERE[room][name]), name)


class _Finder:
    """Finds a module by its old name, where nothing else does, and loads what stands for it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname not in FORMER_MODULES:
            return None
        # A package, since it may have had modules of its own.
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        homes, old = FORMER_MODULES[module.__name__], module.__name__
        warnings.warn(f"{old} is {homes[0]} now; the old name goes with 1.0", DeprecationWarning, stacklevel=2)

        def get(name: str) -> Any:
            for home in homes:
                found = importlib.import_module(home)
                if hasattr(found, name):
                    return getattr(found, name)
            raise AttributeError(f"module {old!r} has no attribute {name!r}; it is {' and '.join(homes)} now")

        module.__getattr__ = get  # type: ignore[method-assign]


def install() -> None:
    """Let the old names be found; asked once, when the package is imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
