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


@cache
def comparison_schema(most: int) -> type[Schema]:
    """What a comparison with criteria of its own must be.

    Example:
        >>> comparison_schema(3).model_json_schema()["properties"]["criteria"]["maxItems"]
        3
    """
    return create_model(
        "Comparison",
        __base__=Schema,
        differences=(list[str], Field(max_length=most_differences(most))),
        criteria=(list[Compared], Field(min_length=1, max_length=most)),
    )


@cache
def differences_schema(most: int) -> type[Schema]:
    """What differences on their own must be, where `most` criteria will be asked for."""
    return create_model("Differences", __base__=Schema, differences=(list[str], Field(max_length=most_differences(most))))


def most_differences(criteria: int) -> int:
    """How many differences may be named where so many criteria are asked for."""
    return min(12, 2 * criteria)


@cache
def criteria_schema(most: int) -> type[Schema]:
    """What criteria without scores must be."""
    return create_model("Criteria", __base__=Schema, criteria=(list[MadeCriterion], Field(min_length=1, max_length=most)))


@lru_cache(maxsize=256)
def scores_schema(names: tuple[str, ...]) -> type[Schema]:
    """What the scores of given criteria must be: one for each of these names and no others, so that a server can hold a weak model to it."""
    named = Enum("Name", {f"name{i}": name for i, name in enumerate(names)})  # type: ignore[misc]
    one = create_model(
        "GivenScore", __base__=Schema, name=(named, ...), reason=(str, ...), quote_1=(str, ...), quote_2=(str, ...), score=(Literal[-2, -1, 0, 1, 2], ...)
    )  # fmt: skip
    count = len(names)
    return create_model("GivenScores", __base__=Schema, criteria=(list[one], Field(min_length=count, max_length=count)))
