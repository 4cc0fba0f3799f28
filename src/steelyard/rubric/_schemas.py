"""What a judge's replies must be: made for the number of criteria, so that a server can hold a weak model to it."""

from __future__ import annotations

from enum import Enum
from functools import cache, lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from steelyard.rubric.meta_rubric import Tier


def _as_sent(schema: dict[str, Any]) -> None:
    """The server gets a schema that allows nothing else, and without our docstrings, which pydantic puts in."""
    schema["additionalProperties"] = False
    schema.pop("description", None)


class Schema(BaseModel):
    """What a reply must be. The server is asked for nothing else; where a reply has more, that is passed over."""

    model_config = ConfigDict(json_schema_extra=_as_sent)


class MadeCriterion(Schema):
    """A criterion that the judge has made, without a score."""

    name: str
    tier: Tier
    description: str


class Compared(Schema):
    """A criterion that the judge has made, and how two answers compare by it, from -2 (the first is better) to 2."""

    name: str
    tier: Tier
    reason: str
    quote_1: str
    quote_2: str
    score: Literal[-2, -1, 0, 1, 2]


NO_PRINCIPLE = "none"
"""What a judge says of a criterion that comes from no principle."""


@cache
def _with_principle(base: type[Schema], ids: tuple[str, ...]) -> type[Schema]:
    """A criterion that also names the principle it comes from; as it is where there are no ids to name."""
    if not ids:
        return base
    named = Enum("Principle", {f"id{i}": one for i, one in enumerate((*ids, NO_PRINCIPLE))})  # type: ignore[misc]
    name, tier, *others = base.model_fields.items()
    fields = dict((name, tier)) | {"principle": None} | dict(others)
    made = {key: (named, ...) if field is None else (field.annotation, field) for key, field in fields.items()}
    return create_model(base.__name__, __base__=Schema, **made)  # type: ignore[call-overload]


@cache
def comparison_schema(most: int, principles: tuple[str, ...] = ()) -> type[Schema]:
    """What a comparison with criteria of its own must be; each names its principle where their ids are given.

    Example:
        >>> comparison_schema(3).model_json_schema()["properties"]["criteria"]["maxItems"]
        3
        >>> list(comparison_schema(3, ("true",)).model_json_schema()["$defs"]["Compared"]["properties"])[:3]
        ['name', 'tier', 'principle']
    """
    one = _with_principle(Compared, principles)
    return create_model(
        "Comparison",
        __base__=Schema,
        differences=(list[str], Field(max_length=most_differences(most))),
        criteria=(list[one], Field(min_length=1, max_length=most)),  # type: ignore[valid-type]
    )


@cache
def differences_schema(most: int) -> type[Schema]:
    """What differences on their own must be, where `most` criteria will be asked for."""
    return create_model("Differences", __base__=Schema, differences=(list[str], Field(max_length=most_differences(most))))


def principle_of(found: Any) -> str | None:
    """The id of the principle that a criterion in a reply comes from; None where it names none."""
    named = getattr(found, "principle", None)
    said = named.value if isinstance(named, Enum) else named
    return None if said in (None, NO_PRINCIPLE) else str(said)


def most_differences(criteria: int) -> int:
    """How many differences may be named where so many criteria are asked for."""
    return min(12, 2 * criteria)


@cache
def criteria_schema(most: int, principles: tuple[str, ...] = ()) -> type[Schema]:
    """What criteria without scores must be."""
    one = _with_principle(MadeCriterion, principles)
    return create_model("Criteria", __base__=Schema, criteria=(list[one], Field(min_length=1, max_length=most)))  # type: ignore[valid-type]


@lru_cache(maxsize=256)
def scores_schema(names: tuple[str, ...]) -> type[Schema]:
    """What the scores of given criteria must be: one for each of these names and no others, so that a server can hold a weak model to it."""
    named = Enum("Name", {f"name{i}": name for i, name in enumerate(names)})  # type: ignore[misc]
    one = create_model(
        "GivenScore", __base__=Schema, name=(named, ...), reason=(str, ...), quote_1=(str, ...), quote_2=(str, ...), score=(Literal[-2, -1, 0, 1, 2], ...)
    )  # fmt: skip
    count = len(names)
    return create_model("GivenScores", __base__=Schema, criteria=(list[one], Field(min_length=count, max_length=count)))
