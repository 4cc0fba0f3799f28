"""Checks by the name of their kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steelyard.checks.base import Check, Function
from steelyard.errors import InputError, nearest


def check(kind: str, *, role: str = "guard", name: str | None = None, **options: Any) -> Check:
    """A check of a built-in kind.

    Args:
        kind: see `check_kinds`.
        role, name: of the check; absent name: the kind.
        options: of the kind. Where a kind needs the ground truth or an instruction, it is taken from a column of the row.

    Raises:
        InputError: where there is no such kind, or an option is wrong.

    Example:
        >>> check("words", at_most=3)("Say hello.", "Hello there, friend, hello!")
        0.0
        >>> check("wrods")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown kind of check 'wrods' (did you mean 'words'?): use one of ...
    """
    kinds = check_kinds()
    if kind not in kinds:
        raise InputError(f"unknown kind of check {kind!r}{nearest(kind, kinds)}: use one of {', '.join(kinds)}")
    try:
        run = kinds[kind](**options)
    except TypeError as error:
        raise InputError(f"check {kind!r}: {str(error).partition('() ')[2] or error}") from None
    except InputError as error:
        raise InputError(f"check {kind!r}: {error}") from None
    return Check(name or kind, run, role)


def check_kinds() -> dict[str, Callable[..., Function]]:
    """Every built-in kind with what makes it.

    Example:
        >>> {"maths", "words", "json", "ifeval"} <= set(check_kinds())
        True
    """
    from steelyard.checks.content import CONTENT
    from steelyard.checks.form import FORM
    from steelyard.checks.ifeval import INSTRUCTIONS

    return {**FORM, **CONTENT, **INSTRUCTIONS}
