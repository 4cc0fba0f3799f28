"""What is asked for and what comes back: a schema in the question, an object in the reply, repaired where it has to be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

Messages = Sequence[Mapping[str, str]]


class BadReplyError(Exception):
    """A reply that cannot be used, with its text."""

    def __init__(self, said: str, text: str) -> None:
        super().__init__(said)
        self.text = text


def parsed(text: str, schema: type[BaseModel] | None, check: Callable[[Any], None] | None) -> Any:
    """What a reply says, by the schema and the check of the question; None where it has no schema."""
    data: Any = None
    if schema is not None:
        data = _to_model(text, schema)
    if check is not None:
        try:
            check(text if data is None else data)
        except ValueError as error:
            raise BadReplyError(str(error), text) from None
    return data


def _to_model(text: str, schema: type[BaseModel]) -> BaseModel:
    """The object in a reply: as it is, else without thoughts and fences before and after, else repaired."""
    import json_repair

    stripped = re.sub(r"^.*</think>", "", text, flags=re.S).strip()
    fenced = re.search(r"```(?:json)?\s*(\{.*\})\s*```", stripped, flags=re.S)
    candidates = [text, fenced[1] if fenced else stripped]
    problem = "no JSON object"
    for candidate in candidates:
        try:
            return schema.model_validate(json.loads(candidate))
        except ValidationError as error:
            problem = _first_problem(error)
        except (ValueError, RecursionError):
            continue
    start = stripped.find("{")
    if start >= 0:
        try:
            repaired = json_repair.loads(stripped[start:])
            return schema.model_validate(repaired)
        except ValidationError as error:
            problem = _first_problem(error)
        except (ValueError, RecursionError):
            pass
    raise BadReplyError(f"the reply is not the JSON that was asked for ({problem})", text)


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'object'}: {first['msg'].lower()}"


def with_schema(messages: Messages, schema: type[BaseModel]) -> list[dict[str, str]]:
    """The messages with the schema at the end of the first one, so that what stays the same stays in front."""
    asked = "\n\nAnswer with one JSON object and nothing else, by this JSON schema:\n" + json.dumps(json_schema(schema))
    first, *rest = messages
    return [{**first, "content": first["content"] + asked}, *map(dict, rest)]


@lru_cache(maxsize=256)
def json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema, made once."""
    return schema.model_json_schema()


def bounded(schema: Any, longest: int | None) -> Any:
    """A JSON schema in which every free string has a longest length."""
    if isinstance(schema, list):
        return [bounded(part, longest) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: bounded(part, longest) for key, part in schema.items()}
    if longest is not None and out.get("type") == "string" and "enum" not in out:
        out.setdefault("maxLength", longest)
    return out
