"""What is asked for and what comes back: a schema in the question, an object in the reply, repaired where it has to be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from steelyard.errors import InputError

Messages = Sequence[Mapping[str, str]]


class BadReplyError(Exception):
    """A reply that cannot be used, with its text."""

    def __init__(self, said: str, text: str) -> None:
        super().__init__(said)
        self.text = text


class FailedError(Exception):
    """A request that brought no reply."""

    def __init__(self, said: str, *, wait: float | None = None, unreachable: bool = False, hopeless: bool = False) -> None:
        super().__init__(said)
        self.wait, self.unreachable, self.hopeless = wait, unreachable, hopeless


def read_answer(answer: Any) -> tuple[str, int, int, str | None]:
    """Text, tokens in and out, and what is wrong with the text, if anything."""
    try:
        choice = answer["choices"][0]
        text, usage = choice["message"]["content"], answer.get("usage")
    except (TypeError, KeyError, IndexError):
        raise FailedError(f"not a reply of an OpenAI-compatible server: {str(answer)[:200]!r}") from None
    problem = None
    if not isinstance(text, str) or not text.strip():
        problem = f"an empty reply (finish_reason {choice.get('finish_reason')!r})"
    elif choice.get("finish_reason") == "length":
        problem = "the reply was cut off: raise max_tokens"
    elif choice.get("finish_reason") == "content_filter":
        problem = "the server's content filter cut the reply off"
    return str(text), counted(usage, "prompt_tokens"), counted(usage, "completion_tokens"), problem


def counted(usage: Any, name: str) -> int:
    """Tokens as a server counts them; some count none, or in a way of their own."""
    found = usage.get(name) if isinstance(usage, dict) else None
    return int(found) if isinstance(found, (int, float)) and 0 <= found < 1e12 else 0


def parsed(text: str, schema: type[BaseModel] | None, check: Callable[[Any], None] | None) -> Any:
    """What a reply says, by the schema and the check of the question; None where it has no schema."""
    data: Any = None
    if schema is not None:
        data = _to_model(text, schema)
    if check is not None:
        try:
            check(text if data is None else data)
        except InputError:
            raise
        except ValueError as error:
            raise BadReplyError(str(error), text) from None
    return data


def _to_model(text: str, schema: type[BaseModel]) -> BaseModel:
    """The object that a reply is, thoughts before it and a fence around it aside; repaired where only its writing is at fault.

    A reply with words beside the object is refused: the object may be one that it quotes from an answer. So is one that does not close: what was cut
    off may be what decides.
    """
    import json_repair

    said = re.sub(r"\A.*</think>", "", text, flags=re.S).strip()
    fence = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", said, flags=re.S)
    said = fence[1] if fence else said
    if not said.startswith("{"):
        raise BadReplyError("the reply is not the JSON that was asked for (no JSON object, or words beside it)", text)
    try:
        try:
            return schema.model_validate(json.loads(said))
        except ValidationError:
            raise
        except (ValueError, RecursionError):
            if not _closes_at_its_end(said):
                raise BadReplyError(
                    "the reply is not the JSON that was asked for (cut off, or something after it)", text
                ) from None
            return schema.model_validate(json_repair.loads(said))
    except ValidationError as error:
        raise BadReplyError(f"the reply is not the JSON that was asked for ({_first_problem(error)})", text) from None
    except (ValueError, RecursionError):
        raise BadReplyError("the reply is not the JSON that was asked for (beyond repair)", text) from None


def _closes_at_its_end(text: str) -> bool:
    """Whether the first bracket's partner is the last sign."""
    depth, quoted, escaped = 0, False, False
    for i, char in enumerate(text):
        if quoted:
            escaped, quoted = char == "\\" and not escaped, char != '"' or escaped
        elif char == '"':
            quoted = True
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return i == len(text) - 1
    return False


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
