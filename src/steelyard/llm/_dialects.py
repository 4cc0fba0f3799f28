"""How a server wants to be asked for a model: what its refusals and its replies taught, for as long as the process lives.

OpenAI-compatible servers differ in what they take. A refusal that names what it refuses is a lesson, and so is a reply that does not keep the form that
was asked for. A lesson is learnt once for a server and a model, whichever client learnt it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steelyard.llm._server_words import shown_address

MOST_LESSONS = 8
"""Lessons of one question; a server that teaches more is not understood."""
_NAMED = (400, 404, 405, 415, 422, 500, 501)
"""Statuses of refusals whose words may name what is refused."""
_UNNAMED = (400, 405, 415, 422, 500, 501)
"""Those that may refuse the form without a word on it."""
LIMITS = ("max_tokens", "max_completion_tokens")
_FORMAT = re.compile(
    r"response.?format|json.?(?:schema|object|mode)|guided.?(?:decoding|json)|grammar|structured.?output|\bschema\b"
)
_SYSTEM = re.compile(
    r"system (?:role|message|prompt)s?\b.{0,60}?(?:support|allowed|permitted|available|enabled)|(?:role|unsupported)\W{1,3}system\b|roles must alternate"
)
# A number that is too large is no refusal of its name.
_SIZE = re.compile(
    r"too (?:large|big|high|long|many|small)|context (?:length|window|size)|maximum context|exceed|at (?:most|least)|(?:less|greater|larger|longer|more) than"
    r"|out of range|must be (?:between|positive|in)|reduce|limit(?:ed)? (?:of|to|is)"
)
# A question that is too long is refused in whatever form it is asked.
_LONG = re.compile(
    r"context.?(?:length|window|size|limit)|maximum context|too many (?:input )?tokens|(?:prompt|input|request|message)s? (?:is|are|was) too (?:long|large)"
)
# What follows names what would be taken.
_INSTEAD = re.compile(
    r"expected (?:one|any) of|(?:supported|allowed|valid|accepted|known|available) (?:\w+ )?(?:are|include)\b|(?:supported|allowed|valid|accepted) (?:\w+)?:"
)


@dataclass
class Dialect:
    """What a server taught about one model.

    Attributes:
        refused: names of what it does not take: "response_format" (or takes and ignores), "max_tokens", "max_completion_tokens", "temperature",
            "seed", and "system" for messages of that role.
        kept, ignored: replies that were, and were not, JSON where response_format asked for it.
        doubted, worked: refusals without a reason where response_format was sent, and replies where it was then left out.
        settled: sets of names that were sent in one request and taken.
        longer: by a limit of tokens, the larger one that was needed.
    """

    refused: set[str] = field(default_factory=set)
    kept: int = 0
    ignored: int = 0
    doubted: int = 0
    worked: int = 0
    settled: set[frozenset[str]] = field(default_factory=set)
    longer: dict[int, int] = field(default_factory=dict)

    @property
    def by_prompt(self) -> bool:
        """Whether a schema is asked for in the prompt."""
        return "response_format" in self.refused or self.doubted > self.worked

    def spoken(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A request as this server takes it.

        Example:
            >>> Dialect({"max_tokens", "seed"}).spoken({"model": "m", "max_tokens": 9, "seed": 1})
            {'model': 'm', 'max_completion_tokens': 9}
        """
        said = dict(body)
        limit = said.pop("max_completion_tokens", said.pop("max_tokens", None))
        name = next((name for name in reversed(LIMITS) if name in body and name not in self.refused), None)
        name = name or next((name for name in LIMITS if name not in self.refused), None)
        if limit is not None and name is not None:
            said[name] = limit
        for name in self.refused:
            said.pop(name, None)
        if "system" in self.refused:
            said["messages"] = without_system(body["messages"])
        return said

    def refuses(self, status: int, words: str, codes: set[str], sent: Mapping[str, Any]) -> str | None:
        """What a refusal is about: a name of what was sent; None where it is about something else, or does not say."""
        words = words.lower()
        if status not in _NAMED or _LONG.search(words):
            return None
        words = _INSTEAD.split(words, maxsplit=1)[0].strip() or words
        size = _SIZE.search(words) is not None
        found: dict[str, int] = {}
        if "response_format" in sent and (match := _FORMAT.search(words)):
            found["response_format"] = match.start()
        for name in LIMITS:
            match = re.search(rf"\b{name}\b", words) or (re.search(rf"\b{LIMITS[1]}\b", words) if name == LIMITS[0] else None)
            if name in sent and match and not size:
                found[name] = match.start()
        for name in ("temperature", "seed"):
            if name in sent and (match := re.search(rf"\b{name}\b", words)):
                found[name] = match.start()
        if any(message.get("role") == "system" for message in sent.get("messages", ())) and (match := _SYSTEM.search(words)):
            found["system"] = match.start()
        named = [name for name in found if name in codes]
        return named[0] if named else min(found, key=lambda name: found[name], default=None)

    def may_refuse_silently(self, status: int, words: str, sent: Mapping[str, Any]) -> bool:
        """Whether a refusal that names nothing may be one of response_format: it was sent, and was never taken so far."""
        return status in _UNNAMED and "response_format" in sent and not self.kept and not _LONG.search(words.lower())

    def learn(self, name: str) -> None:
        """Leave out what is refused from now on."""
        self.refused.add(name)

    def unlearn(self, names: Iterable[str]) -> None:
        """Send again what a question was refused with and without: the words only happened to name it."""
        self.refused.difference_update(names)

    def took_form(self) -> None:
        """The reply kept the form that response_format asked for."""
        self.kept += 1
        self.doubted = self.worked = 0

    def passed_over_form(self) -> None:
        """The reply was no JSON though response_format asked for it: where that is so more often than not, the prompt asks from now on."""
        self.ignored += 1
        if self.ignored > self.kept:
            self.learn("response_format")

    def doubt(self) -> None:
        """A refusal without a reason, where response_format was sent."""
        self.doubted += 1
        if self.doubted > 1 and self.worked:
            self.learn("response_format")

    def worked_without(self, *, sure: bool = False) -> None:
        """The same was taken without response_format; `sure`: the very question that was refused with it, by a status that is no accident."""
        if self.doubted > self.worked:
            self.worked += 1
            if sure:
                self.learn("response_format")

    def note(self, url: str) -> str | None:
        """What is done otherwise for this server, in one line; None where nothing is."""
        words = []
        if "response_format" in self.refused:
            words.append("JSON is asked for in the prompt (response_format is refused or ignored)")
        if "max_tokens" in self.refused:
            words.append(
                "replies have no limit"
                if "max_completion_tokens" in self.refused
                else "max_tokens is sent as max_completion_tokens"
            )
        words += [f"{name} is left out" for name in ("temperature", "seed") if name in self.refused]
        if "system" in self.refused:
            words.append("the system message is put before the user's")
        return f"{shown_address(url)}: {'; '.join(words)}" if words else None


_known: dict[tuple[str, str], Dialect] = {}


def dialect_of(url: str, model: str) -> Dialect:
    """What a server has taught about a model so far in this process."""
    return _known.setdefault((url, model), Dialect())


def forget_dialects() -> None:
    """Forget all, as where other servers stand at the same addresses."""
    _known.clear()


def without_system(messages: Any) -> list[dict[str, Any]]:
    """Messages with those of the system put before the next one's text.

    Example:
        >>> without_system([{"role": "system", "content": "rules"}, {"role": "user", "content": "hi"}])
        [{'role': 'user', 'content': 'rules\\n\\nhi'}]
    """
    out: list[dict[str, Any]] = []
    before = ""
    for message in messages:
        if message["role"] == "system":
            before += message["content"] + "\n\n"
        else:
            out.append({**message, "content": before + message["content"]})
            before = ""
    return out or [{"role": "user", "content": before.strip()}]
