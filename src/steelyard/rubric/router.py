"""Which domain's meta-rubric a prompt is judged by: found by a column, by rules, or by one cheap question to the judge."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache

from pydantic import create_model

from steelyard.errors import InputError, LLMError, nearest
from steelyard.llm import Client
from steelyard.patterns import Pattern
from steelyard.rubric._fence import fenced
from steelyard.rubric._templates import filled
from steelyard.rubric.conversation import Conversation, asked_text
from steelyard.rubric.meta_rubric import MetaRubric, rubric_names

_ROUTES = ("rules", "judge", "general")
_LOOKED_AT = 2_000
"""Characters of a prompt that tell its domain: its beginning."""


@cache
def shipped_rubrics() -> dict[str, MetaRubric]:
    """All rubrics that ship, by name."""
    return {name: MetaRubric.load(name) for name in rubric_names()}


@cache
def _made(pattern: str) -> Pattern:
    return Pattern(pattern)


def by_rules(prompt: str | Conversation, rubrics: Mapping[str, MetaRubric] | None = None) -> str:
    """The domain of which most patterns are found in a prompt's beginning; "general" where none is, or two are level.

    Example:
        >>> by_rules("Write a haiku about rain."), by_rules("Translate into French: good night"), by_rules("Rain?")
        ('creative', 'translation', 'general')
    """
    found, asked = {}, asked_text(prompt)[:_LOOKED_AT]
    for name, rubric in (shipped_rubrics() if rubrics is None else rubrics).items():
        if rubric.route is not None:
            found[name] = sum(_made(pattern).found(asked) or False for pattern in rubric.route.patterns)
    best = max(found.values(), default=0)
    leaders = [name for name, count in found.items() if count == best]
    return leaders[0] if best and len(leaders) == 1 else "general"


async def by_judge(client: Client, prompt: str | Conversation, rubrics: Mapping[str, MetaRubric] | None = None) -> str:
    """The domain that the model names, in one short call; by rules where it fails."""
    known = shipped_rubrics() if rubrics is None else rubrics
    domains = {name: rubric.route.about for name, rubric in known.items() if rubric.route is not None}
    listed = "\n".join(f"- {name}: {about}" for name, about in domains.items())
    schema = create_model("Route", domain=(Enum("Domain", {name: name for name in ("general", *domains)}), ...))  # type: ignore[arg-type]
    messages = [
        {"role": "system", "content": filled("route", domains=listed)},
        {"role": "user", "content": fenced({"prompt": prompt}, limit=_LOOKED_AT)},
    ]
    try:
        return str((await client.ask(messages, schema=schema, max_tokens=50)).data.domain.value)
    except LLMError:
        return by_rules(prompt, known)


def by_name(name: str, rubrics: Mapping[str, MetaRubric] | None = None) -> str:
    """A domain named by a column.

    Raises:
        InputError: where there is no such domain.

    Example:
        >>> by_name("math")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown domain 'math' (did you mean 'maths'?): use one of ...
    """
    known = shipped_rubrics() if rubrics is None else rubrics
    if name not in known:
        raise InputError(f"unknown domain {name!r}{nearest(name, known)}: use one of {', '.join(known)}")
    return name
