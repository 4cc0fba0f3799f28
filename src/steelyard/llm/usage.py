"""What asking a model may cost, what it has cost, and what a question brought: `Budget`, `Usage` and `Reply`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Budget:
    """What may be spent; None is no limit.

    Attributes:
        calls: requests, retries included.
        tokens: in and out together; requests in flight when they are used up still come in.
    """

    calls: int | None = None
    tokens: int | None = None


@dataclass
class Usage:
    """What was spent so far.

    Attributes:
        calls: requests made, retries included.
        failures: those that brought no usable reply.
        cached: questions answered from the cache, or by an equal question under way.
        answered: questions that a server answered.
        tokens_in, tokens_out: as the servers count them.
        barred: questions in a row that failed for a reason that stands for all: the key, the account or the model is refused, or no server is there.
    """

    calls: int = 0
    failures: int = 0
    cached: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    barred: int = 0

    @property
    def tokens(self) -> int:
        """In and out together."""
        return self.tokens_in + self.tokens_out


@dataclass(frozen=True)
class Reply:
    """A usable reply.

    Attributes:
        text: as the model wrote it.
        data: the checked object, where a schema was asked for.
        calls: requests it took; 0 from the cache.
        tokens_in, tokens_out: of all of them; from the cache, what it cost when it was given.
    """

    text: str
    data: Any
    calls: int
    tokens_in: int
    tokens_out: int
