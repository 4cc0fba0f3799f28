"""Replies kept on disk: what was asked once, in the very same words and settings, is not asked again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.files import is_disk_full

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, created REAL NOT NULL
) WITHOUT ROWID
"""


class ReplyCache:
    """A SQLite file of replies, safe to share between threads and processes.

    Args:
        path: the file; made where it does not exist. ":memory:" keeps nothing on disk.

    Raises:
        InputError: where the file cannot be used, or is no such cache.

    Example:
        >>> cache = ReplyCache(":memory:")
        >>> key = cache.key(model="m", messages=[{"role": "user", "content": "hi"}])
        >>> cache.get(key) is None, cache.put(key, "m", "hello", 3, 1), cache.get(key)
        (True, None, ('hello', 3, 1))
    """

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            # Readers and a writer do not wait for each other; a crash loses at most the last replies, never the file.
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise InputError(f"cannot use {self.path} as a cache ({error}): give another file, or remove it") from None

    @staticmethod
    def key(**asked: Any) -> str:
        """The key of a request: everything that the reply depends on, whatever the order of its parts."""
        return hashlib.sha256(
            json.dumps(_plain(asked), sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
        ).hexdigest()

    def get(self, key: str) -> tuple[str, int, int] | None:
        """The text of a reply and its tokens in and out; None where it was never given."""
        try:
            with self._lock:
                return self._connection.execute(
                    "SELECT text, tokens_in, tokens_out FROM replies WHERE key = ?", (key,)
                ).fetchone()
        except sqlite3.Error as error:
            raise InputError(f"cannot read the cache {self.path} ({error}): give another file, or remove it") from None

    def put(self, key: str, model: str, text: str, tokens_in: int, tokens_out: int) -> None:
        """Keep a reply; the first one that was given stays.

        Raises:
            InputError: where the disk is full.
        """
        try:
            with self._lock:
                self._connection.execute(
                    "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?)",
                    (key, model, text.encode("utf-8", "replace").decode(), tokens_in, tokens_out, time.time()),
                )
        except sqlite3.Error as error:
            full = is_disk_full(error) or "full" in str(error)
            raise InputError(
                f"cannot write to the cache {self.path} ({error})"
                + (": free some space; what was written is whole" if full else "")
            ) from None

    def __len__(self) -> int:
        with self._lock:
            return int(self._connection.execute("SELECT COUNT(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
