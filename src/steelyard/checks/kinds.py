"""Checks by the name of their kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from steelyard.checks._identity import identity_of
from steelyard.checks.base import CHECKS, Check, Factory, Function
from steelyard.errors import InputError
from steelyard.settings import options_of, parameters_of


def check(kind: str, *, role: str = "guard", name: str | None = None, **options: Any) -> Check:
    """A check of a kind.

    Args:
        kind: see `check_kinds`.
        role, name: of the check; default name: the kind.
        options: of the kind, see docs/reference.md. Where a kind needs the ground truth or an instruction, it is taken from a column of the row.

    Raises:
        InputError: where there is no such kind, or an option is wrong.

    Example:
        >>> check("words", at_most=3)("Say hello.", "Hello there, friend, hello!")
        0.0
        >>> check("wrods")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown kind of check 'wrods' (did you mean 'words'?): use one of ...
    """
    run = run_of(kind, options)
    factory = CHECKS.find(kind)
    # A kind of the user's own may be another one tomorrow under the same name.
    own = "" if factory.__module__.startswith("steelyard.") else identity_of(factory)
    made_from = json.dumps([kind, dict(sorted(options.items())), own], ensure_ascii=False, default=repr)
    return Check(name or kind, run, role, made_from)


def run_of(kind: str, options: Mapping[str, Any]) -> Function:
    """The function of a check of a kind, from options that are held to the kind's signature.

    Raises:
        InputError: where there is no such kind, or an option is wrong.

    Example:
        >>> run_of("words", {"at_most": 3})("Say hello.", "Hello there!", {})
        1.0
    """
    factory, what = CHECKS.find(kind), f"check {kind!r}"
    given = options_of(factory, options, what=what)
    try:
        return factory(**given)
    except InputError as error:
        raise InputError(f"{what}: {error}") from None


_NAME_COLUMNS = ("column", "ids", "arguments")
"""Options of checks that name a column of the row."""


def columns_of(kind: str, options: Mapping[str, Any]) -> list[str]:
    """The columns of a row that a check may read.

    Example:
        >>> columns_of("ifeval", {"arguments": "given"}), columns_of("words", {"at_most": 3})
        (['instruction_id_list', 'given'], [])
    """
    parameters = parameters_of(CHECKS.find(kind))
    return [str(options.get(name, parameters[name][1])) for name in _NAME_COLUMNS if name in parameters]


def check_kinds() -> Mapping[str, Factory]:
    """Every kind of check by its name, with what makes it.

    Example:
        >>> {"maths", "words", "json", "ifeval"} <= set(check_kinds())
        True
    """
    return CHECKS
