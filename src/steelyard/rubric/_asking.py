"""What one comparison costs, and several questions asked at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from steelyard.errors import LLMError
from steelyard.llm import Reply


class Spent:
    """What one comparison has cost so far, and which sample of it this is."""

    def __init__(self, sample: int = 0) -> None:
        self.sample = sample
        self.calls = self.tokens_in = self.tokens_out = 0

    def add(self, reply: Reply | LLMError) -> None:
        self.calls += reply.calls
        if reply.calls:
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out


T = TypeVar("T")


async def gather_or_fail(*work: Awaitable[T]) -> tuple[T, ...]:
    """The results of all, or the first error once all have ended: what was under way is not thrown away, since it is paid for and cached."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return tuple(results)  # type: ignore[arg-type]
