"""Replies kept on disk: what was asked once, in the very same words and settings, is not asked again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
import time
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from steelyard.errors import InputError
from steelyard.files import make_private_file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, created REAL NOT NULL
) WITHOUT ROWID
"""
_OF_THE_DISK = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PERM")
"""Errors of a disk that is full or cannot be written to."""
_made: weakref.WeakSet[ReplyCache] = weakref.WeakSet()
_left_behind: list[sqlite3.Connection] = []
"""Connections of the process that this one was forked from: closing them here would take the other's locks away."""


class ReplyCache:
    """A SQLite file of replies, safe to share between threads and processes, forked ones included.

    A cache is there to save calls: where its disk is full or cannot be written to, that is a warning, what is there still serves, and no more is kept.

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
        self._warned = False
        self._connection: sqlite3.Connection | None = self._opened()
        _made.add(self)

    def _open(self) -> sqlite3.Connection:
        """The connection; a forked process opens its own when it first needs one."""
        if self._connection is None:
            self._connection = self._opened()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        if self.path != ":memory:":
            with contextlib.suppress(OSError):  # what follows says it better
                make_private_file(Path(self.path))
        try:
            connection = _connected(self.path)
            # Readers and a writer do not wait for each other; a crash loses at most the last replies, never the file.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_SCHEMA)
            return connection
        except sqlite3.Error as error:
            path = Path(self.path)
            if not _of_the_disk(error) or path.is_dir() or not path.parent.is_dir():
                raise InputError(f"cannot use {self.path} as a cache ({error}): give another file, or remove it") from None
            self._warn(error)
        # Beside a file that is written ahead, even a reader writes; what cannot be written to cannot change either.
        for how in ("mode=ro", "mode=ro&immutable=1"):
            try:
                connection = _connected(f"file:{quote(str(path.absolute()))}?{how}", uri=True)
                connection.execute("SELECT COUNT(*) FROM replies").fetchone()
                return connection
            except sqlite3.Error:
                continue
        connection = _connected(":memory:")
        connection.execute(_SCHEMA)
        return connection

    def _warn(self, error: sqlite3.Error) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"no more replies are kept in {self.path} ({error}): free some space, or give another file", stacklevel=2
            )

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
                return self._open().execute("SELECT text, tokens_in, tokens_out FROM replies WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            if _of_the_disk(error):
                self._warn(error)
                return None
            raise InputError(f"cannot read the cache {self.path} ({error}): give another file, or remove it") from None

    def put(self, key: str, model: str, text: str, tokens_in: int, tokens_out: int) -> None:
        """Keep a reply; the first one that was given stays.

        Raises:
            InputError: where the file is damaged.
        """
        try:
            with self._lock:
                self._open().execute(
                    "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?)",
                    (key, model, text.encode("utf-8", "replace").decode(), tokens_in, tokens_out, time.time()),
                )
        except sqlite3.Error as error:
            if not _of_the_disk(error):
                raise InputError(f"cannot write to the cache {self.path} ({error}): give another file, or remove it") from None
            self._warn(error)

    def __len__(self) -> int:
        with self._lock:
            return int(self._open().execute("SELECT COUNT(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._open().close()


def _connected(path: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False, uri=uri)


def _of_the_disk(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(_OF_THE_DISK)


def _after_fork() -> None:
    """In the new process, give every cache a connection and a lock of its own: the old ones are the parent's."""
    for cache in list(_made):
        if cache._connection is not None:
            _left_behind.append(cache._connection)
        cache._lock, cache._connection = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
