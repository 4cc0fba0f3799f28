"""Recipes: everything a run needs, in one YAML file, checked before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.recipes._parts import AdapterConfig as AdapterConfig
    from steelyard.recipes._parts import MixtureConfig as MixtureConfig
    from steelyard.recipes.loading import load_recipe as load_recipe
    from steelyard.recipes.loading import parse_recipe as parse_recipe
    from steelyard.recipes.recipe import AlgorithmConfig as AlgorithmConfig
    from steelyard.recipes.recipe import CheckpointConfig as CheckpointConfig
    from steelyard.recipes.recipe import GateConfig as GateConfig
    from steelyard.recipes.recipe import ModelConfig as ModelConfig
    from steelyard.recipes.recipe import ObjectiveConfig as ObjectiveConfig
    from steelyard.recipes.recipe import PromptsConfig as PromptsConfig
    from steelyard.recipes.recipe import Recipe as Recipe
    from steelyard.recipes.recipe import SourceConfig as SourceConfig
    from steelyard.recipes.recipe import SupervisedConfig as SupervisedConfig
    from steelyard.recipes.recipe import ValidationConfig as ValidationConfig
    from steelyard.recipes.recipe import ValidationPromptsConfig as ValidationPromptsConfig
    from steelyard.recipes.schema import recipe_schema as recipe_schema
    from steelyard.recipes.shipped import find_recipe as find_recipe
    from steelyard.recipes.shipped import recipe_names as recipe_names
    from steelyard.recipes.supervised import DataConfig as DataConfig
    from steelyard.recipes.supervised import HeldOutConfig as HeldOutConfig
    from steelyard.recipes.supervised import KeepConfig as KeepConfig
    from steelyard.recipes.supervised import LossesConfig as LossesConfig
    from steelyard.recipes.supervised import ScratchConfig as ScratchConfig
    from steelyard.recipes.supervised import SupervisedModelConfig as SupervisedModelConfig
    from steelyard.recipes.supervised import SupervisedRecipe as SupervisedRecipe
    from steelyard.recipes.supervised import UpdateConfig as UpdateConfig

__getattr__, __dir__, __all__ = lazy(__name__)
