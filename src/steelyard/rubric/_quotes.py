"""Quotes of answers: what of them is looked for, and whether it is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from steelyard.errors import repeated
from steelyard.folding import folded
from steelyard.rubric._fence import visible


def quote_parts(quote: str) -> list[str]:
    """The parts of a quote between its dots, without the quotation marks around it and without white space at the ends.

    Example:
        >>> quote_parts('"Two plus ... is four"')
        ['Two plus', 'is four']
    """
    parts = re.split(r"\.{3}|\u2026", quote.strip().strip("\"'\u201c\u201d\u2018\u2019"))
    return [part.strip() for part in parts if folded(part).strip()]  # signs that are not seen are no quote


@lru_cache(maxsize=256)
def quote_found(quote: str, answer: str) -> bool | None:
    """Whether a quote stands in an answer, white space, case, and forms of quotes, dashes and accents aside; None for no quote.

    Example:
        >>> quote_found("Two  plus two", "So two plus two is 4."), quote_found("five", "4"), quote_found("", "4")
        (True, False, None)
    """
    parts = [as_looked_for(part) for part in quote_parts(quote)]
    if not parts:
        return None
    return any(all(part in text for part in parts) for text in _looked_in(answer))


def check_evidence(criteria: Sequence[Any], first: str, second: str, least: float, *, given: bool = False) -> None:
    """Refuse scores that rest on nothing: one criterion said again and again, or quotes that stand in neither answer.

    Args:
        criteria: each with a name, a reason, and quotes of the first and the second answer.
        first, second: the answers.
        least: the share of the quotes that must stand in the answer that they are of, 0 to 1; 0 asks for none.
        given: whether the judge was given the criteria to score: then reasons may be alike.

    Raises:
        ValueError: naming what is repeated, or how many quotes are there.
    """
    names = [as_looked_for(_name_of(one)) for one in criteria]
    if (twice := repeated(names)) is not None:
        raise ValueError(f"the criterion {twice!r} is there {names.count(twice)} times")
    said = {(as_looked_for(one.reason), as_looked_for(one.quote_1), as_looked_for(one.quote_2)) for one in criteria}
    if not given and len(criteria) > 1 and len(said) == 1 and any(part for one in said for part in one):
        raise ValueError(f"all {len(criteria)} criteria have the same reason and quotes")
    found = [quote_found(quote, answer) for one in criteria for quote, answer in ((one.quote_1, first), (one.quote_2, second))]
    there = [one for one in found if one is not None]
    if sum(there) < least * len(there):
        raise ValueError(f"only {sum(there)} of {len(there)} quotes stand in the answers, where {least:.0%} must")


def _name_of(criterion: Any) -> str:
    name = criterion.name
    return str(name.value if isinstance(name, Enum) else name)


@lru_cache(maxsize=64)
def _looked_in(answer: str) -> tuple[str, ...]:
    """An answer as quotes are looked for in it: as it is, and as the judge was shown it, with hidden signs written out."""
    return tuple(dict.fromkeys(as_looked_for(text) for text in (answer, visible(answer))))


def as_looked_for(text: str) -> str:
    """A text as quotes are compared: without case, with one form of quotes, dashes and accents, and with one blank for all white space.

    Example:
        >>> as_looked_for(" It\\u2019s\\n  Two")
        "it's two"
    """
    return " ".join(folded(text).split())


def with_places(text: str) -> tuple[str, list[int]]:
    """A folded text, and where each of its signs stood.

    Example:
        >>> with_places(" A  b")
        ('a b', [1, 3, 4])
    """
    signs: list[str] = []
    places: list[int] = []
    gap = False
    for at, char in enumerate(text):
        if char.isspace():
            gap = bool(signs)
            continue
        if not (written := folded(char)):
            continue  # a sign that is not seen
        written = (" " if gap else "") + written
        signs.append(written)
        places += [at - 1] * gap + [at] * (len(written) - gap)
        gap = False
    return "".join(signs), places
