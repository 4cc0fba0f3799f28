"""Recipes: everything a run needs, in one YAML file, checked before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.recipes.loading import load_recipe as load_recipe
    from steelyard.recipes.loading import parse_recipe as parse_recipe
    from steelyard.recipes.recipe import Recipe as Recipe
    from steelyard.recipes.schema import recipe_schema as recipe_schema
    from steelyard.recipes.shipped import find_recipe as find_recipe
    from steelyard.recipes.shipped import recipe_names as recipe_names
    from steelyard.recipes.supervised import SupervisedRecipe as SupervisedRecipe

__getattr__, __dir__, __all__ = lazy(__name__)
