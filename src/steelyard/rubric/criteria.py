"""Criteria: given with a prompt, or made by the judge for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.errors import InputError, nearest, repeated
from steelyard.rubric._schemas import principle_of
from steelyard.rubric.meta_rubric import TIERS

MOST_CRITERIA = 15


@dataclass(frozen=True)
class Criterion:
    """A criterion that is given with a prompt, and not made for the pair.

    Attributes:
        name: unique among those of the prompt.
        description: what a good answer does and what counts as a failure.
        tier: "hard", "core", "important" or "highlight".
        principle: the id of the principle that it comes from; None where it comes from none.
    """

    name: str
    description: str
    tier: str = "core"
    principle: str | None = None


def check_given(criteria: Sequence[Criterion]) -> None:
    """Refuse criteria that cannot be scored."""
    for criterion in criteria:
        for text in (criterion.name, criterion.description):
            if not isinstance(text, str) or any(0xD800 <= ord(char) < 0xE000 for char in text):
                raise InputError(f"the name and the description of a given criterion must be text, but one is {text!r}")
    names = [criterion.name for criterion in criteria]
    if not criteria or not all(
        name.strip() and criterion.description.strip() for name, criterion in zip(names, criteria, strict=True)
    ):
        raise InputError("given criteria need a name and a description each, and there must be one at least")
    if (twice := repeated(names)) is not None:
        raise InputError(f"two given criteria are named {twice!r}")
    for criterion in criteria:
        if criterion.tier not in TIERS:
            raise InputError(
                f"criterion {criterion.name!r}: unknown tier {criterion.tier!r}{nearest(criterion.tier, TIERS)}: use one of {', '.join(TIERS)}"
            )


def with_different_names(found: Any) -> list[Criterion]:
    """Criteria with names that differ; one that is there again in the same words is left out."""
    out: dict[str, Criterion] = {}
    seen = set()
    for one in found.criteria:
        name = " ".join(one.name.split()) or "criterion"
        said = (name.casefold(), " ".join(one.description.split()).casefold())
        if said in seen:
            continue
        seen.add(said)
        while name in out:
            name += " (again)"
        out[name] = Criterion(name, " ".join(one.description.split()), one.tier, principle_of(one))
    return list(out.values())
