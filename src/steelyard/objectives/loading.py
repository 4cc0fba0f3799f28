"""Users' functions and classes, as `package.module:name` or `file.py:name`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.files import is_file


def load_function(reference: str, *, base: Path = Path("."), what: str = "reward function") -> Callable[..., Any]:
    """Import a user's function or class.

    Args:
        reference: `package.module:function`, or `path/file.py:function` with the path relative to `base`, or to the working directory.
        base: the folder of the recipe.
        what: what it is for, in messages.

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
        raise InputError(f"a {what} is given as 'package.module:name' or 'file.py:name', but found {reference!r}")
    try:
        if place.endswith(".py"):
            path = next((found for found in (base / place, Path(place)) if is_file(found)), None)
            if path is None:
                raise InputError(f"no file {place!r} for {what} {reference!r} (looked in {base.resolve()} and {Path.cwd()})")
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
        raise InputError(f"cannot import {place!r} for {what} {reference!r}: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"{place!r} has no {what.split()[-1]} {name!r}{nearest(name, names)}")
    return function
