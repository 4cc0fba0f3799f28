"""Verdicts in files: a line a pair."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.rubric.pairs import Pair

VERDICT_KEYS = frozenset(
    ("id", "pair", "judge", "winner", "score", "decided_by", "rubric", "calls", "tokens_in", "tokens_out", "orders", "checks")
)


def read_verdicts(path: Path, *, failed: bool = False) -> dict[str, dict[str, Any]]:
    """The verdicts of a file, by id, without those of pairs that failed (with `failed`, those as well); a last line that is not whole is passed over.

    Raises:
        InputError: where a line is no verdict. The file is not changed.
    """
    if not path.is_file():
        return {}
    content = path.read_bytes()
    lines = content.split(b"\n")
    torn, found = lines.pop(), {}
    for number, line in enumerate(lines, start=1):
        try:
            verdict = json.loads(line)
            if not verdict.keys() >= VERDICT_KEYS:
                raise KeyError
            if verdict["winner"] is not None or failed:
                found[str(verdict["id"])] = verdict
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{path}:{number}: not a verdict; choose another --out, or remove the file") from None
    if torn and not found and not torn.startswith(b'{"id": '):
        raise InputError(f"{path}: holds no verdicts; choose another --out, or remove the file")
    return found


def digest_of(pair: Pair) -> str:
    """A checksum of a pair's texts and given criteria, which a verdict keeps."""
    told = [pair.prompt, pair.a, pair.b, [[one.name, one.description, one.tier] for one in pair.criteria or ()]]
    return hashlib.blake2b(json.dumps(told).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
