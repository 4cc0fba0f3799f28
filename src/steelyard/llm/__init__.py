"""Asking a language model behind any OpenAI-compatible server: concurrently, with retries, a cache, a budget, and a local server of our own."""

from steelyard.llm.cache import ReplyCache
from steelyard.llm.client import Budget, Client, Reply, Usage
from steelyard.llm.loop import run_sync

__all__ = ["Budget", "Client", "Reply", "ReplyCache", "Usage", "run_sync"]
