"""What is asked for and what comes back: a schema in the question, an object in the reply, repaired where it has to be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from steelyard.errors import InputError
from steelyard.llm._repeated_keys import RepeatedKeyError, refuse_repeated, repeated_key
from steelyard.llm._server_words import words_of

Messages = Sequence[Mapping[str, str]]


_FINISHED = {"max_tokens": "length", "max_length": "length", "model_length": "length", "safety": "content_filter"}
"""Other words for why a reply ended, by what they mean."""


_REPAIRED = 500_000
"""Characters of a reply that is repaired times the depth of its brackets, at most: that is what repairing takes time by."""


class BadReplyError(Exception):
    """A reply that cannot be used.

    Attributes:
        text: of the reply.
        formless: whether it has nothing of the form that was asked for, as where a server passes over response_format.
    """

    def __init__(self, said: str, text: str, *, formless: bool = False) -> None:
        super().__init__(said)
        self.text, self.formless = text, formless


class CutOffError(BadReplyError):
    """A reply that the limit of tokens cut off."""


class FailedError(Exception):
    """A request that brought no reply.

    Attributes:
        wait: seconds to wait before the next try, where the server says so.
        unreachable: whether there was no server.
        hopeless: whether the same question would fail again.
        barred: whether every question would: the key, the account or the model is refused.
    """

    def __init__(
        self, said: str, *, wait: float | None = None, unreachable: bool = False, hopeless: bool = False, barred: bool = False
    ) -> None:
        super().__init__(said)
        self.wait, self.unreachable, self.hopeless, self.barred = wait, unreachable, hopeless, barred


@dataclass(frozen=True)
class Answered:
    """What a server replied.

    Attributes:
        text: of the reply; its thoughts, where it wrote nothing else.
        tokens_in, tokens_out: as the server counts them.
        finish: why it ended, as the server says.
        refusal: the model's words where it refused to reply.
    """

    text: str
    tokens_in: int
    tokens_out: int
    finish: str | None
    refusal: str | None

    def check(self) -> None:
        """Refuse a reply that is none.

        Raises:
            BadReplyError: where it is empty, was cut off, or was refused by the model.
        """
        if self.finish == "length":
            raise CutOffError("the reply was cut off", self.text)
        if not self.text.strip():
            raise BadReplyError(
                f"an empty reply (finish_reason {self.finish!r})", self.text, formless=self.finish != "content_filter"
            )
        if self.finish == "content_filter":
            raise BadReplyError("the server's content filter cut the reply off", self.text)


def read_answer(answer: Any) -> Answered:
    """What a reply of a server holds.

    Raises:
        FailedError: where it is no reply.
    """
    try:
        choice = answer["choices"][0]
        message, usage = choice["message"], answer.get("usage")
        text, refusal = _written(message.get("content")), message.get("refusal")
    except (TypeError, KeyError, IndexError, AttributeError):
        raise FailedError(f"not a reply of an OpenAI-compatible server: {str(answer)[:200]!r}") from None
    if not refusal and isinstance(message.get("content"), list):
        refusal = _written(message["content"], kinds=("refusal",))
    finish = _FINISHED.get(str(choice.get("finish_reason")).lower(), choice.get("finish_reason"))
    if finish == "error" or (choice.get("error") and not text.strip()):
        raise FailedError(f"the server broke off: {words_of(json.dumps(choice.get('error') or 'without a word of why'))}")
    if finish == "refusal":
        refusal = refusal or text or "without a word of why"
        return Answered("", counted(usage, "prompt_tokens"), counted(usage, "completion_tokens"), finish, refusal)
    if not text.strip() and finish != "length":
        # Some servers take a whole reply for thoughts.
        thoughts = (message.get(name) for name in ("reasoning_content", "reasoning"))
        text = next((found for found in map(_written, thoughts) if found.strip()), text)
    said_no = isinstance(refusal, str) and refusal.strip() and not _written(message.get("content")).strip()
    refusal = refusal if said_no else None
    return Answered(text, counted(usage, "prompt_tokens"), counted(usage, "completion_tokens"), finish, refusal)


def _written(content: Any, kinds: Sequence[str] = ("text", "output_text")) -> str:
    """The text of a content: a text, or a list of parts, of which thoughts and others are passed over.

    Example:
        >>> _written([{"type": "thinking", "thinking": []}, {"type": "text", "text": "4"}]), _written(None)
        ('4', '')
    """
    if isinstance(content, str):
        return content
    out: list[Any] = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, dict) and part.get("type", "text") in kinds:
            out.append(part.get("refusal" if part.get("type") == "refusal" else "text"))
    return "".join(text for text in out if isinstance(text, str))


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
        hold_to(check, data, text)
    return data


def hold_to(check: Callable[[Any], None], data: Any, text: str) -> None:
    """Hold a reply to the check of its question: the object that it is, or its text where it is none.

    Raises:
        BadReplyError: where it does not check.
    """
    try:
        check(text if data is None else data)
    except InputError:
        raise
    except ValueError as error:
        raise BadReplyError(str(error), text) from None


def _to_model(text: str, schema: type[BaseModel]) -> BaseModel:
    """The object that a reply is, thoughts before it and a fence around it aside; repaired where only its writing is at fault.

    A reply with words beside the object is refused: the object may be one that it quotes from an answer. So is one that does not close: what was cut
    off may be what decides.
    """
    import json_repair

    said = _without_fence(text.rpartition("</think>")[2].strip())
    if not said.startswith("{"):
        raise BadReplyError(
            "the reply is not the JSON that was asked for (no JSON object, or words beside it)", text, formless=True
        )
    try:
        try:
            return schema.model_validate(json.loads(said, object_pairs_hook=refuse_repeated))
        except (ValidationError, RepeatedKeyError):
            raise
        except (ValueError, RecursionError):
            if not _closes_at_its_end(said):
                raise BadReplyError(
                    "the reply is not the JSON that was asked for (cut off, or something after it)", text, formless=True
                ) from None
            if (twice := repeated_key(said)) is not None:
                raise RepeatedKeyError(twice) from None
            if len(said) * _depth(said) > _REPAIRED:
                raise BadReplyError(
                    "the reply is not the JSON that was asked for (too long, and nested too deeply, to be repaired)",
                    text,
                    formless=True,
                ) from None
            return schema.model_validate(json_repair.loads(said))
    except RepeatedKeyError as error:
        raise BadReplyError(
            f"the reply is not the JSON that was asked for (the key {str(error)!r} is there twice)", text
        ) from None
    except ValidationError as error:
        raise BadReplyError(
            f"the reply is not the JSON that was asked for ({_first_problem(error)})", text, formless=_is_another(error)
        ) from None
    except (ValueError, RecursionError):
        raise BadReplyError("the reply is not the JSON that was asked for (beyond repair)", text, formless=True) from None


def _without_fence(text: str) -> str:
    """What stands inside a fence of three backticks; the whole text where none is around it.

    Without a regular expression: one that skips white space on both sides of the content takes minutes for a reply of
    nothing but line breaks, into which weak models fall.

    Example:
        >>> _without_fence("```json\\n{}\\n```"), _without_fence("```{}")
        ('{}', '```{}')
    """
    if len(text) < 6 or not text.startswith("```") or not text.endswith("```"):
        return text
    return text[3:-3].removeprefix("json").strip()


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


def _depth(text: str) -> int:
    """How many brackets are open at once, at most, wherever they stand.

    Example:
        >>> _depth("{[(])}")
        3
    """
    depth = deepest = 0
    for char in text:
        if char in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]}":
            depth -= 1
    return deepest


def _is_another(error: ValidationError) -> bool:
    """Whether an object is one of other keys than those that were asked for."""
    return any(one["type"] == "missing" and len(one["loc"]) == 1 for one in error.errors())


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


@lru_cache(maxsize=256)
def schema_text(schema: type[BaseModel]) -> str:
    """A model's JSON schema as text, made once."""
    return json.dumps(json_schema(schema), sort_keys=True)


def bounded(schema: Any, longest: int | None) -> Any:
    """A JSON schema in which every free string has a longest length."""
    if longest is None:
        return schema
    if isinstance(schema, list):
        return [bounded(part, longest) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: bounded(part, longest) for key, part in schema.items()}
    if out.get("type") == "string" and "enum" not in out:
        out.setdefault("maxLength", longest)
    return out
