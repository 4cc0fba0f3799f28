"""Training on TRL. Importing this module is quick; TRL itself is imported when `PolicyTrainer` is first used or a run starts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steelyard.training.callback import WeightingCallback as WeightingCallback
    from steelyard.training.config import Recipe as Recipe
    from steelyard.training.config import load_recipe as load_recipe
    from steelyard.training.domain_order import Mixture as Mixture
    from steelyard.training.mixture import use_mixture as use_mixture
    from steelyard.training.run import RunResult as RunResult
    from steelyard.training.run import train as train
    from steelyard.training.sft import MixtureSFTTrainer as MixtureSFTTrainer
    from steelyard.training.supervised import SupervisedResult as SupervisedResult
    from steelyard.training.supervised_config import SupervisedRecipe as SupervisedRecipe
    from steelyard.training.trainer import PolicyTrainer as PolicyTrainer

_HOMES = {
    "PolicyTrainer": "steelyard.training.trainer",
    "MixtureSFTTrainer": "steelyard.training.sft",
    "Mixture": "steelyard.training.domain_order",
    "use_mixture": "steelyard.training.mixture",
    "WeightingCallback": "steelyard.training.callback",
    "train": "steelyard.training.run",
    "RunResult": "steelyard.training.run",
    "SupervisedResult": "steelyard.training.supervised",
    "SupervisedRecipe": "steelyard.training.supervised_config",
    "Recipe": "steelyard.training.config",
    "load_recipe": "steelyard.training.config",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'steelyard.training' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
