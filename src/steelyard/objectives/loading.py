"""Objectives by name: the built-in ones, and users' functions as `package.module:function` or `file.py:function`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.objectives.maths import accuracy
from steelyard.objectives.objective import Objective
from steelyard.objectives.writing import clarity, conciseness, format_match, language, length_window, repetition

BUILT_IN: dict[str, Callable[..., Objective]] = {
    "accuracy": accuracy,
    "conciseness": conciseness,
    "clarity": clarity,
    "format": format_match,
    "length": length_window,
    "repetition": repetition,
    "language": language,
}
"""Built-in objectives by the name a recipe uses."""


def built_in(kind: str, **options: Any) -> Objective:
    """Make a built-in objective from its name and options, refusing what it does not know.

    Example:
        >>> built_in("clarity", graded=True).name
        'clarity'
        >>> built_in("clarty")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown objective 'clarty': built in are accuracy, conciseness, clarity, format, length, repetition, language (did you mean 'clarity'?)
    """
    if kind not in BUILT_IN:
        raise InputError(f"unknown objective {kind!r}: built in are {', '.join(BUILT_IN)}{nearest(kind, BUILT_IN)}")
    factory = BUILT_IN[kind]
    known = inspect.signature(factory).parameters
    for key in options:
        if key not in known:
            raise InputError(f"objective {kind!r} has no option {key!r}: it takes {', '.join(known)}{nearest(key, known)}")
    missing = [name for name, parameter in known.items() if parameter.default is parameter.empty and name not in options]
    if missing:
        raise InputError(f"objective {kind!r} needs options {{{', '.join(f'{name}: ...' for name in missing)}}}")
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"objective {kind!r}: {error}") from None


def load_function(reference: str, *, base: Path = Path(".")) -> Callable[..., Any]:
    """Import a user's function.

    Args:
        reference: `package.module:function`, or `path/file.py:function` with the path relative to `base`, or to the working directory.
        base: the folder of the recipe.

    Raises:
        InputError: where the file, module or function is not there or does not import.

    Example:
        >>> load_function("math:sqrt")(9.0)
        3.0
        >>> load_function("math:sqroot")
        Traceback (most recent call last):
        steelyard.errors.InputError: 'math' has no function 'sqroot'
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise InputError(
            f"a reward function is given as 'package.module:function' or 'file.py:function', but found {reference!r}"
        )
    try:
        if place.endswith(".py"):
            path = next((found for found in (base / place, Path(place)) if found.is_file()), None)
            if path is None:
                raise InputError(
                    f"no file {place!r} for reward function {reference!r} (looked in {base.resolve()} and {Path.cwd()})"
                )
            module_name = f"steelyard_user_{path.stem}"
            spec = importlib.util.spec_from_file_location(module_name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[module_name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"cannot import {place!r} for reward function {reference!r}: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"{place!r} has no function {name!r}{nearest(name, names)}")
    return function
