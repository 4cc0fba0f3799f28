"""A checksum of the rows a run began with, so that it is not resumed on others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import InputError
from steelyard.rows import Row


def fingerprint(rows: Sequence[Row]) -> dict[str, Any]:
    """How many rows there are and a checksum of all they hold.

    Example:
        >>> fingerprint([{"a": 1}]) == fingerprint([{"a": 1}]), fingerprint([{"a": 1}]) == fingerprint([{"a": 2}])
        (True, False)
    """
    digest = hashlib.blake2b(digest_size=8)
    for row in rows:
        digest.update(repr(sorted(row.items())).encode("utf-8", "surrogatepass"))
    return {"rows": len(rows), "checksum": digest.hexdigest()}


def check_unchanged(kept: Mapping[str, Any], now: Mapping[str, Any], source: str) -> None:
    """Refuse to resume on other data than the run began with.

    Example:
        >>> check_unchanged({"rows": 10, "checksum": "aa"}, {"rows": 9, "checksum": "bb"}, "data.jsonl")
        Traceback (most recent call last):
        steelyard.errors.InputError: data.jsonl: the run began on 10 rows (checksum aa), and now there are 9 (bb): restore the data, ...
    """
    if dict(kept) != dict(now):
        raise InputError(
            f"{source}: the run began on {kept['rows']} rows (checksum {kept['checksum']}), and now there are {now['rows']} "
            f"({now['checksum']}): restore the data, or start a new run with --out"
        )
