"""Many pairs: read, judged with a bounded number in flight, written one by one, summed up; what was judged before is not judged again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steelyard.errors import InputError
from steelyard.rows import read_rows
from steelyard.rubric.conversation import Conversation, conversation_of, parted
from steelyard.rubric.criteria import Criterion, check_given


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt.

    Attributes:
        id: unique among the pairs.
        prompt, a, b: texts, or conversations where there is more than one text to each.
        label: "a" or "b" where it is known which is better.
        domain: the rubric's name; criteria: given with the prompt; columns: the row, for checks.
    """

    id: str
    prompt: str | Conversation
    a: str | Conversation
    b: str | Conversation
    label: str | None = None
    domain: str | None = None
    criteria: tuple[Criterion, ...] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


def read_pairs(source: str, *, domain_column: str | None = None) -> list[Pair]:
    """Read pairs from rows with `prompt`, `a` and `b`, or `prompt`, `chosen` and `rejected` (A is the chosen one, and the label).

    Each is a text or messages. Answers that hold the whole conversation are cut to what follows the prompt; where there is no prompt, it is what both
    begin with. A row may have an `id`, a `label` ("a" or "b"), and `criteria`, a list of objects with name, description and tier.

    Raises:
        InputError: where a row lacks a text, a label is none, or two have one id.
    """
    pairs: list[Pair] = []
    seen: set[str] = set()
    for number, row in enumerate(read_rows(source), start=1):
        where = f"{source}, row {number}"
        keys = ("a", "b") if "a" in row or "b" in row else ("chosen", "rejected")
        given = [row.get(key) for key in ("prompt", *keys)]
        for key, value in zip(("prompt", *keys), given, strict=True):
            missing = value is None and not (key == "prompt" and all(isinstance(text, list) for text in given[1:]))
            if missing or not isinstance(value, (str, list, dict, type(None))):
                raise InputError(
                    f"{where}: needs a text in {key!r} (found: {', '.join(map(str, row))}): give prompt, a, b, or prompt, chosen, rejected"
                )
        try:
            prompt, a, b = (
                conversation_of(text, speaker=speaker)
                for text, speaker in zip(parted(*given), ("user", "assistant", "assistant"), strict=True)
            )
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        label = row.get("label") if keys[0] == "a" else "a"
        label = label or None  # an empty field of a CSV file
        if label not in (None, "a", "b"):
            raise InputError(f"{where}: label must be 'a' or 'b', but is {label!r}")
        name = str(number if row.get("id") is None else row["id"])
        if name in seen:
            raise InputError(f"{where}: id {name!r} is there twice")
        seen.add(name)
        if domain_column is not None and domain_column not in row:
            raise InputError(f"{where}: no column {domain_column!r} to tell the domain by (found: {', '.join(map(str, row))})")
        domain = None if domain_column is None else row[domain_column]
        pairs.append(Pair(name, prompt, a, b, label, None if domain is None else str(domain), _criteria(row, where), row))
    return pairs


def _criteria(row: Mapping[str, Any], where: str) -> tuple[Criterion, ...] | None:
    given = row.get("criteria")
    if given is None:
        return None
    try:
        made = tuple(Criterion(**{key: value for key, value in item.items() if value is not None}) for item in given)
        check_given(made)
    except (TypeError, AttributeError):
        raise InputError(
            f"{where}: criteria are a list of objects with name, description and tier, but found {str(given)[:80]}"
        ) from None
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return made
