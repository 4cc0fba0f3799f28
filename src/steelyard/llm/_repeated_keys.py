"""A key that is there twice: parsers take the last one in silence, and the first may be what was meant."""

from __future__ import annotations

import re
from typing import Any

from steelyard.errors import repeated

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|[{}\[\],:]|[^\s{}\[\],:"\']+', re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)


class RepeatedKeyError(ValueError):
    """A key that is there twice in one object."""


def refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its pairs, for `json.loads`.

    Raises:
        RepeatedKeyError: where a key is there twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        raise RepeatedKeyError(repeated(name for name, _ in pairs))
    return made


def repeated_key(text: str) -> str | None:
    """A key that is there twice in one object of a text that is nearly JSON, with single quotes, bare keys or comments; or None.

    Example:
        >>> repeated_key("{'score': 1, 'why': {'score': 2}, 'score': -2,}"), repeated_key("{score: 1, 'why': 'score: 2, score: 1'}")
        ('score', None)
    """
    objects: list[set[str] | None] = []
    before, last, at = "", "", 0
    while at < len(text):
        # An apostrophe opens a text only where a text may begin.
        pattern = _QUOTED if text[at] == "'" and last in ("", "{", "[", ",", ":") else _TOKEN
        match = pattern.match(text, at)
        if match is None:
            if text[at] == '"' or pattern is _QUOTED:
                return None  # a text that does not end: there is nothing behind it
            at += 1
            continue
        token, at = match[0], match.end()
        if token.startswith("//"):
            continue
        if token == "{":
            objects.append(set())
        elif token == "[":
            objects.append(None)
        elif token in ("}", "]") and objects:
            objects.pop()
        elif token == ":" and objects and (known := objects[-1]) is not None:
            key = last[1:-1] if last[:1] in ('"', "'") else last
            if before in ("{", ","):
                if key in known:
                    return key
                known.add(key)
        before, last = last, token
    return None
