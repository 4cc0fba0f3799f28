"""Conversations of several turns as examples to learn: the chat template's text, and a loss on what the assistant says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.fields import as_text, kind_of
from steelyard.messages import as_message
from steelyard.rows import Row

COLUMNS = ("messages", "conversations", "conversation")
"""Columns that hold conversations, by the names that data sets give them."""
_ROLES = ("system", "user", "assistant", "tool", "developer")
_IGNORED = -100
"""The label of a token that has no loss."""


def read_conversation(value: Any, column: str) -> list[dict[str, Any]]:
    """A row's conversation as messages with role and content.

    Args:
        value: messages (`role`, `content`), or ShareGPT's (`from`, `value`); or their JSON, as a table's cell holds it.
        column: where it stands, for messages.

    Raises:
        ValueError: where it is no conversation, a role is unknown, or the assistant says nothing in it.

    Example:
        >>> read_conversation([{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}], "conversations")
        [{'role': 'user', 'content': '2+2?'}, {'role': 'assistant', 'content': '4'}]
    """
    value = turns_in(value)
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(turn, Mapping) for turn in value):
        raise ValueError(
            f"column {column!r} must hold a list of messages, each with role and content, but holds {kind_of(value)}"
        )
    read: list[dict[str, Any]] = []
    for number, turn in enumerate(value, start=1):
        said = as_message(turn)
        if "role" not in said or ("role" not in turn and "content" not in said):
            found = ", ".join(str(key) for key, kept in turn.items() if kept is not None)
            raise ValueError(
                f"message {number} of column {column!r} needs role and content, or from and value, but has {found or 'nothing'}"
            )
        if (role := said["role"]) not in _ROLES:
            raise ValueError(
                f"message {number} of column {column!r} has the role {role!r}: use one of {', '.join(_ROLES)}{nearest(role, _ROLES)}"
            )
        if isinstance(said.get("content"), list):
            said["content"] = "\n".join(_part(part, column, number) for part in said["content"])
        if "content" in said:
            said["content"] = as_text(said["content"], f"{column}, message {number}")
        elif not said.get("tool_calls"):
            said["content"] = ""
        read.append(said)
    if not any(turn["role"] == "assistant" and (turn.get("content") or turn.get("tool_calls")) for turn in read):
        raise ValueError(f"the assistant says nothing in column {column!r}: there is nothing to learn")
    return read


def turns_in(value: Any) -> Any:
    """The list in a cell: as it is, or from its JSON where the cell is a text, as those of CSV files are; anything else unchanged.

    Example:
        >>> turns_in('[{"role": "user", "content": "hi"}]'), turns_in("hello")
        ([{'role': 'user', 'content': 'hi'}], 'hello')
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            read = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return read if isinstance(read, list) and read and all(isinstance(turn, dict) for turn in read) else value
    return value


def _part(part: Any, column: str, number: int) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and part.get("type") == "text":
        return as_text(part.get("text"), column)
    what = part.get("type") if isinstance(part, Mapping) else kind_of(part)
    raise ValueError(f"message {number} of column {column!r} has a part that is no text ({what}): only texts can be learned")


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """What stands before the assistant's first word, which says what is held out together."""
    first = next(i for i, turn in enumerate(messages) if turn["role"] == "assistant")
    return repr([(turn["role"], turn.get("content")) for turn in messages[:first]])


def tokens_of(messages: Sequence[Mapping[str, Any]], tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens of a conversation, and their labels: the assistant's turns, each with its end, are learned, and nothing else is.

    Raises:
        ValueError: where the tokenizer's chat template writes earlier turns anew, so that a turn cannot be found in the whole.

    Example:
        >>> from steelyard.models.scratch import byte_tokenizer
        >>> tokenizer = byte_tokenizer()
        >>> tokenizer.chat_template = "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }};{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
        >>> ids, labels = tokens_of([{"role": "user", "content": "2?"}, {"role": "assistant", "content": "4"}], tokenizer)
        >>> tokenizer.decode(ids), tokenizer.decode([label for label in labels if label >= 0])
        ('<u>2?;<a>4;', '4;')
    """

    def written(count: int, *, asking: bool = False) -> str:
        text: str = tokenizer.apply_chat_template(list(messages[:count]), tokenize=False, add_generation_prompt=asking)
        return text

    pieces: list[tuple[str, bool]] = []
    done = ""
    for i, turn in enumerate(messages):
        if turn["role"] != "assistant":
            continue
        before, after = written(i, asking=True) if i else "", written(i + 1)
        if not (before.startswith(done) and after.startswith(before)):
            raise ValueError(
                "the chat template writes earlier turns anew, so that a turn cannot be found in the whole: use one that only adds"
            )
        pieces += [(before[len(done) :], False), (after[len(before) :], True)]
        done = after
    ids: list[int] = []
    labels: list[int] = []
    for text, learned in pieces:
        found = tokenizer.encode(text, add_special_tokens=False) if text else []
        ids += found
        labels += found if learned else [_IGNORED] * len(found)
    return ids, labels


def write_conversations(rows: Sequence[Row], tokenizer: Any, max_tokens: int) -> list[Row]:
    """Rows of `messages` as rows of `input_ids` and `labels`, cut to `max_tokens`; those of which nothing is left to learn are left out.

    Raises:
        InputError: where the chat template cannot write them.
    """
    out = []
    for row in rows:
        try:
            ids, labels = tokens_of(row["messages"], tokenizer)
        except Exception as error:  # a template raises what it likes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"a conversation of domain {row['domain']!r} cannot be written by the model's chat template: {reason}"
            ) from None
        ids, labels = ids[:max_tokens], labels[:max_tokens]
        if any(label != _IGNORED for label in labels[1:]):
            out.append({"input_ids": ids, "labels": labels, "domain": row["domain"]})
    return out
