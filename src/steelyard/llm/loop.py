"""One event loop in a thread of its own, so that code without one can ask as well, and connections outlive a single question."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def _background_loop() -> asyncio.AbstractEventLoop:
    """The loop, started when first asked for."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="steelyard-llm", daemon=True).start()
    return _loop


def _after_fork() -> None:
    """In the new process there is no thread that would run the loop: the next question starts one."""
    global _lock, _loop
    _lock, _loop = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from code that has no event loop, or from another thread's.

    Example:
        >>> async def answer():
        ...     return 42
        >>> run_sync(answer())
        42
    """
    stopped: list[BaseException] = []

    async def guarded() -> T | None:
        try:
            return await work
        except (SystemExit, KeyboardInterrupt) as error:
            # Raised in the loop, it would end the loop, and this thread would wait for ever (rich does so on a closed pipe).
            stopped.append(error)
            return None

    future = asyncio.run_coroutine_threadsafe(guarded(), _background_loop())
    try:
        result = future.result()
    except BaseException:
        future.cancel()
        raise
    if stopped:
        raise stopped[0]
    return result  # type: ignore[return-value]
