"""The JSON schema of a recipe, for editors: made from the recipe's own models, the registries, and the signatures behind them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from steelyard.checks import check_kinds
from steelyard.mixture import schedule_forms
from steelyard.objectives import BUILT_IN
from steelyard.recipes.loading import recipe_models
from steelyard.settings import help_of, option_schema, parameters_of

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe of either kind, with every name, type, range, default and help text.

    Returns:
        A schema of draft 2020-12.

    Example:
        >>> schema = recipe_schema()
        >>> schema["then"], schema["$defs"]["NormalizedInfluenceMethod"]["properties"]["momentum"]["default"]
        ({'$ref': '#/$defs/SupervisedRecipe'}, 0.8)
    """
    models = recipe_models()
    _, schema = models_json_schema([(model, "validation") for model in models.values()], ref_template="#/$defs/{model}")
    parts: dict[str, Any] = schema["$defs"]
    _fill_in_objectives(parts["ObjectiveConfig"])
    _fill_in_weighting(parts["Recipe"]["properties"]["weighting"])
    parts["MixtureConfig"]["properties"]["schedule"] |= {
        "pattern": f"^({'|'.join(schedule_forms())})(:.*)?$",
        "description": f"how often each domain is drawn: {'; '.join(schedule_forms().values())}",
    }
    return {
        "$schema": _DIALECT,
        "title": "A recipe of Steelyard",
        "type": "object",
        # Where kind is absent, it is a run of reinforcement learning.
        "if": {"properties": {"kind": {"const": "supervised"}}, "required": ["kind"]},
        "then": {"$ref": "#/$defs/SupervisedRecipe"},
        "else": {"$ref": "#/$defs/Recipe"},
        "$defs": parts,
    }


def _fill_in_objectives(part: dict[str, Any]) -> None:
    """Say of every kind of objective, and of check, which options it takes."""
    part["properties"]["kind"] = {"enum": [*BUILT_IN, None], "description": part["properties"]["kind"]["description"]}
    part["properties"]["check"] = {"enum": [*check_kinds(), None], "description": part["properties"]["check"]["description"]}
    by_kind = [_options_of("kind", kind, made_by) for kind, made_by in BUILT_IN.items() if kind != "check"]
    part["allOf"] = by_kind + [_options_of("check", kind, made_by) for kind, made_by in check_kinds().items()]


def _options_of(key: str, kind: str, made_by: Callable[..., Any]) -> dict[str, Any]:
    """If `key` is this kind, `options` are those of its signature."""
    meanings, parameters = help_of(made_by), parameters_of(made_by)
    # The name stands beside the options.
    taken = {name: given for name, given in parameters.items() if name != "name"}
    options: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _property(annotation, default, meanings.get(name)) for name, (annotation, default) in taken.items()},
    }
    required = [name for name, (_, default) in taken.items() if default is inspect.Parameter.empty]
    then: dict[str, Any] = {"properties": {"options": options}}
    if required:
        options["required"] = required
        then["required"] = ["options"]
    return {"if": {"properties": {key: {"const": kind}}, "required": [key]}, "then": then}


def _property(annotation: Any, default: Any, meaning: str | None) -> dict[str, Any]:
    shown = {} if default in (inspect.Parameter.empty, None) else {"default": default}
    return {**option_schema(annotation), **shown, **({"description": meaning} if meaning else {})}


def _fill_in_weighting(part: dict[str, Any]) -> None:
    """Beside the methods that ship, allow one of the user's own: its settings are not known here."""
    own: Mapping[str, Any] = {
        "title": "A weighting of your own",
        "type": "object",
        "properties": {"method": {"type": "string", "pattern": ":", "description": "file.py:Class or package.module:Class"}},
        "required": ["method"],
    }
    part["oneOf"] = [*part["oneOf"], own]
    # A keyword of OpenAPI, which editors of JSON schemas do not know.
    part.pop("discriminator", None)
