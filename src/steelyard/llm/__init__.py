"""Asking a language model behind any OpenAI-compatible server: concurrently, with retries, a cache, a budget, and a local server of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.llm.cache import ReplyCache as ReplyCache
    from steelyard.llm.client import Budget as Budget
    from steelyard.llm.client import Client as Client
    from steelyard.llm.client import Reply as Reply
    from steelyard.llm.client import Usage as Usage
    from steelyard.llm.local import LocalServer as LocalServer
    from steelyard.llm.loop import run_sync as run_sync

__getattr__, __dir__, __all__ = lazy(__name__)
