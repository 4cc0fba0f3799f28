"""Prompts and answers as text, whether they are given as text or as messages."""

from __future__ import annotations

from typing import Any


def text_of(message: Any) -> str:
    """The text of a prompt or completion, whether a string or a list of messages (their contents, joined by newlines).

    Example:
        >>> text_of([{"role": "assistant", "content": "four"}])
        'four'
    """
    if isinstance(message, str):
        return message
    return "\n".join(part["content"] if isinstance(part["content"], str) else str(part["content"]) for part in message)
