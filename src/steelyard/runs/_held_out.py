"""Which texts are held out: by their checksums, so that each stays on its side when a file grows or is reordered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def held_out_by_checksum(texts: Sequence[str], count: int, *, name: str = "held out") -> list[str]:
    """The `count` different texts with the smallest checksums; all of them where there are no more.

    Args:
        texts: in whatever order, with or without repeats.
        count: how many to hold out.
        name: of the set: another name draws other texts.

    Example:
        >>> texts = [f"text {i}" for i in range(100)]
        >>> before, after = (set(held_out_by_checksum(some, 5)) for some in (texts, ["a new one", *reversed(texts), "text 3"]))
        >>> len(before), len(before - after) <= 1
        (5, True)
    """

    def checksum(text: str) -> bytes:
        return hashlib.blake2b(f"{name} {text}".encode("utf-8", "surrogatepass")).digest()

    return sorted(dict.fromkeys(texts), key=checksum)[:count]
