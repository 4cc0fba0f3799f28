"""A question on its way: what is asked, what it has cost, and the limit of tokens it has reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from steelyard.llm._dialects import LIMITS, Dialect
from steelyard.llm._replies import Answered, Messages

_LARGEST = 4
"""How many times the limit of tokens a reply may have in the end, where smaller limits cut it off."""


class Question:
    """What is asked, and how far it has come.

    Args:
        messages, schema, check: as of `Client.ask`.
        settings: of the request.

    A reply that the limit of tokens cut off is asked for with twice as many, and then four times, never with the same.
    """

    def __init__(
        self,
        messages: Messages,
        schema: type[BaseModel] | None,
        check: Callable[[Any], None] | None,
        settings: Mapping[str, Any],
    ) -> None:
        self.messages, self.schema, self.check, self.settings = messages, schema, check, dict(settings)
        self.tokens_in = self.tokens_out = 0
        if all(name in self.settings for name in LIMITS):
            del self.settings[LIMITS[1]]
        self._name = next((name for name in LIMITS if isinstance(self.settings.get(name), int)), None)
        self._first: int = self.settings[self._name] if self._name else 0
        self._now = self._first

    def spend(self, answered: Answered) -> None:
        """Count the tokens of a reply: they are paid for, whether it is of use or not."""
        self.tokens_in += answered.tokens_in
        self.tokens_out += answered.tokens_out

    def limited(self, dialect: Dialect) -> dict[str, Any]:
        """The settings with the limit of tokens that is tried now: the one that was enough before, where the first was not."""
        if self._name is None:
            return dict(self.settings)
        if self._now == self._first:
            self._now = dialect.longer.get(self._first, self._first)
        return {**self.settings, self._name: self._now}

    def longer(self) -> bool:
        """Double the limit; False where it is as large as it may become, or there is none."""
        if self._now * 2 > self._first * _LARGEST or not self._now:
            return False
        self._now *= 2
        return True

    def enough(self, dialect: Dialect) -> None:
        """The limit that is tried now was enough: the next questions begin with it."""
        if self._now != self._first:
            dialect.longer[self._first] = max(self._now, dialect.longer.get(self._first, 0))

    def cut_off(self) -> str:
        """What happened, and what to do."""
        where = f"at {self._now} tokens" if self._now else "by the server"
        begun = f" (it began with {self._first})" if self._now != self._first else ""
        return (
            f"the reply was cut off {where}{begun}: allow more with --max-tokens (max_tokens), or take a judge that thinks less"
        )
