"""Recipes from files: read, changed from the command line, checked before anything is loaded."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError, create_model

from steelyard.errors import InputError, nearest
from steelyard.recipes._weighting import any_of, is_reference, own_settings
from steelyard.recipes.recipe import Recipe
from steelyard.recipes.shipped import find_recipe
from steelyard.recipes.supervised import SupervisedRecipe
from steelyard.settings import Part, explained
from steelyard.weighting import METHODS
from steelyard.yaml_texts import parse_yaml, read_yaml

_KNOWN_METHODS = tuple(METHODS)
"""Those that the class `Recipe` takes; more may be added after it was made."""
KINDS: dict[str, type[Recipe] | type[SupervisedRecipe]] = {"reinforcement": Recipe, "supervised": SupervisedRecipe}


def parse_recipe(content: dict[str, Any], *, where: str = "recipe", base: Path = Path(".")) -> Any:
    """Check a recipe's content: a `Recipe`, or by `kind: supervised` a `SupervisedRecipe`.

    Args:
        content: the recipe, as its file has it.
        where: its name, for messages.
        base: the folder that a weighting of the user's own (`method: mine.py:Mine`) is found in, else in the working directory.

    Raises:
        InputError: naming every wrong key, the nearest known one, and what was expected.

    Example:
        >>> parse_recipe({"name": "a", "algorythm": {}}, where="a.yaml")
        Traceback (most recent call last):
        steelyard.errors.InputError: a.yaml: unknown key 'algorythm' (did you mean 'algorithm'?); ...
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: a recipe is a mapping of keys, but found {type(content).__name__}")
    kind = content.get("kind", "reinforcement")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{where}: unknown kind {kind!r}: use one of {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
    try:
        model = _model(kind, content, base)
    except InputError as error:
        raise InputError(f"{where}: weighting: {error}") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: " + "; ".join(_explain(problem, model) for problem in error.errors())) from None


def _model(kind: str, content: dict[str, Any], base: Path) -> type[BaseModel]:
    """The model of a recipe: with the user's own weighting where it names one, and with methods that were added since."""
    weighting = content.get("weighting")
    method = weighting.get("method") if isinstance(weighting, dict) else None
    if KINDS[kind] is Recipe and is_reference(method):
        return _with_weightings(tuple(METHODS), own_settings(str(method), base=base))
    return _with_weightings(tuple(METHODS)) if KINDS[kind] is Recipe else KINDS[kind]


def recipe_models() -> dict[str, type[BaseModel]]:
    """The models of recipes by their kind, with every weighting that is known by now."""
    return {"reinforcement": _with_weightings(tuple(METHODS)), "supervised": SupervisedRecipe}


@functools.cache
def _with_weightings(methods: tuple[str, ...], *more: type[Part]) -> type[Recipe]:
    if methods == _KNOWN_METHODS and not more:
        return Recipe
    return create_model("Recipe", __base__=Recipe, __doc__=Recipe.__doc__, weighting=(any_of(methods, *more), ...))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation can hold, through unions, lists and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _known_keys(location: tuple[str | int, ...], root: type[BaseModel]) -> list[str]:
    """The keys that are known at a location of the recipe."""
    models: list[type[BaseModel]] = [root]
    for step in location:
        if not isinstance(step, str):
            continue
        inside = [
            found for model in models if step in model.model_fields for found in _models_in(model.model_fields[step].annotation)
        ]
        # A step that is no field is the tag of a discriminated union.
        models = inside or [
            m for m in models if "method" in m.model_fields and step in get_args(m.model_fields["method"].annotation)
        ]
    return [key for model in models for key in model.model_fields]


def _explain(problem: Any, root: type[BaseModel]) -> str:
    location = tuple(problem["loc"])
    if location[:1] in (("objectives",), ("probes",)) and location[2:3] in (("rubric",), ("points",), ("other",)):
        # Which kind of objective it is: no key of the recipe.
        location = (*location[:2], *location[3:])
        problem = {**problem, "loc": location}
    path = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], root)
        parent = ".".join(str(part) for part in location[:-1])
        place = f" in {parent}" if parent else ""
        return f"unknown key {str(location[-1])!r}{place}{nearest(str(location[-1]), known) or f' (known: {known})'}"
    if problem["type"] == "missing":
        return f"missing key {path!r}"
    if problem["type"] == "union_tag_invalid":
        found = problem["ctx"]["tag"]
        return f"{path}: unknown method {found!r}: use one of {', '.join(METHODS)}{nearest(found, METHODS)}"
    if problem["type"] == "union_tag_not_found":
        return f"{path}: missing key 'method': use one of {', '.join(METHODS)}"
    return explained(problem)


def load_recipe(name: str | Path, *, changes: list[str] | None = None) -> Any:
    """Read and check a recipe of either kind.

    Args:
        name: a path, or the name of a shipped recipe.
        changes: `key.key=value` strings applied before checking, values read as YAML.

    Raises:
        InputError: where the file is missing, is no YAML, or does not check.

    Example:
        >>> load_recipe("sums-gradient", changes=["algorithm.steps=3"]).algorithm.steps
        3
    """
    path = find_recipe(name)
    content = read_yaml(path)
    if isinstance(content, dict):
        # A run's own recipe is a recipe as well; the versions in it are for people.
        content.pop("versions", None)
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: a recipe is a mapping of keys, but found {'nothing' if content is None else type(content).__name__}"
        )
    _check_keys(content, str(path))
    for change in changes or []:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise InputError(f"a change is given as key=value, but found {change!r}")
        content = _changed(content, key.split("."), _value(change, value))
    return parse_recipe(content, where=str(path), base=path.parent)


def _value(change: str, text: str) -> Any:
    value = parse_yaml(text, f"the value of {change!r}")
    if isinstance(value, str):
        # YAML 1.1 reads 1e-4 as text for want of a dot.
        with contextlib.suppress(ValueError):
            value = float(value)
    return value


def _check_keys(content: Any, where: str, inside: str = "") -> None:
    """YAML reads some names as what they are not: `no` as False, `1` as a number."""
    if isinstance(content, list):
        for part in content:
            _check_keys(part, where, inside)
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if not isinstance(key, str):
            inside_what = f" in {inside}" if inside else ""
            raise InputError(
                f'{where}: YAML reads the key {key!r}{inside_what} as no text: put it in quotes, as in "no" for Norwegian'
            )
        _check_keys(value, where, f"{inside}.{key}" if inside else key)


def _changed(place: Any, keys: list[str], value: Any) -> Any:
    """A copy of a recipe's content with one value changed; parents that are missing are made, an item of a list is named by its number."""
    if not keys:
        return value
    key, *rest = keys
    if isinstance(place, list):
        if not key.isdigit() or int(key) >= len(place):
            raise InputError(f"a change names item {key!r} of a list of {len(place)}: give a number from 0 to {len(place) - 1}")
        return [_changed(item, rest, value) if i == int(key) else item for i, item in enumerate(place)]
    kept = dict(place) if isinstance(place, dict) else {}
    return {**kept, key: _changed(kept.get(key), rest, value)}
