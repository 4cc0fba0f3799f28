"""Prompts and answers as text, whether they are given as text or as messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ASSISTANT = ("assistant", "model", None)
"""Roles of the one whose answers are trained; a message without a role is an answer."""
_ROLES = {
    **{name: name for name in ("system", "user", "assistant", "tool", "developer")},
    "human": "user",
    **dict.fromkeys(("gpt", "chatgpt", "bing", "model", "bot", "chatbot", "function_call"), "assistant"),
    **dict.fromkeys(("observation", "function_response"), "tool"),
}
"""Roles by the names that chat templates and ShareGPT's files give them."""


def text_of(message: Any) -> str:
    """The text of a prompt or completion, whether a string or messages: everybody's, joined by newlines.

    A content may be null or missing (a message that only calls a tool has none), or a list of parts, of which texts are read.

    Raises:
        TypeError: where it is neither a text nor messages.

    Example:
        >>> text_of([{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": [{"type": "text", "text": "four"}]}])
        '2+2?\\nfour'
        >>> text_of([{"role": "assistant", "content": None}])
        ''
    """
    return "\n".join(text for role, text in _turns(message) if text)


def answer_of(completion: Any) -> str:
    """What the model itself said in a completion, over all its turns: not what tools, environments or users said.

    Example:
        >>> answer_of([{"role": "tool", "content": "4"}, {"role": "assistant", "content": "I do not know."}])
        'I do not know.'
    """
    return "\n".join(text for role, text in _turns(completion) if text and role in _ASSISTANT)


def last_answer_of(completion: Any) -> str:
    """What the model said last: its final answer is in there, or nowhere. Empty where its last turn says nothing, as one that calls a tool.

    Example:
        >>> last_answer_of([{"role": "assistant", "content": "4?"}, {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "No: 5."}])
        'No: 5.'
    """
    return next((text for role, text in reversed(list(_turns(completion))) if role in _ASSISTANT), "")


def transcript_of(completion: Any) -> str | None:
    """The messages of a completion as JSON, where they are more than one text of the model's; else None, and its text is all there is.

    Example:
        >>> transcript_of([{"role": "assistant", "content": "4"}]) is None, transcript_of("4") is None
        (True, True)
        >>> transcript_of([{"role": "tool", "content": "4"}, {"role": "assistant", "content": "four"}])
        '[{"role": "tool", "content": "4"}, {"role": "assistant", "content": "four"}]'
    """
    if isinstance(completion, str) or completion is None:
        return None
    messages = _messages(completion)
    only = messages[0] if len(messages) == 1 else {}
    if only.get("role") in _ASSISTANT and isinstance(only.get("content"), str) and set(only) <= {"role", "content"}:
        return None
    return json.dumps(messages, ensure_ascii=False, default=lambda other: f"<{type(other).__name__}>")


def as_message(given: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the form of chat templates, from that or from ShareGPT's `from` and `value`; roles by their usual names, and nothing that is null.

    A role that has no other name here stays as it is.

    Example:
        >>> as_message({"from": "gpt", "value": "4", "weight": None}), as_message({"role": "critic", "content": "5"})
        ({'role': 'assistant', 'content': '4'}, {'role': 'critic', 'content': '5'})
    """
    out = {key: value for key, value in given.items() if key not in ("role", "from", "value") and value is not None}
    role = given.get("role", given.get("from"))
    named = {} if role is None else {"role": _ROLES.get(str(role).lower(), str(role))}
    if given.get("value") is not None and "content" not in out:
        named["content"] = given["value"]
    return named | out


def _messages(message: Any) -> Sequence[Mapping[str, Any]]:
    return [message] if isinstance(message, Mapping) else message


def _turns(message: Any) -> Iterator[tuple[str | None, str]]:
    """Role and text of every message; a plain text has no role."""
    if message is None or isinstance(message, str):
        yield None, message or ""
        return
    for one in _messages(message):
        if not isinstance(one, Mapping):
            raise TypeError(
                f"expected a text or a list of messages, but found {type(one).__name__} in a {type(message).__name__}"
            )
        yield one.get("role"), _content(one.get("content"))


def _content(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, (list, tuple)):
        return str(content)
    # A part with a text of another type is a thought or a call, and no text that was said.
    texts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str) or _is_text(part)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type", "text") in ("text", "input_text", "output_text")
