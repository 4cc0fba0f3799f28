"""What the instructions of IFBench share: words without punctuation, marks, rising counts."""

from __future__ import annotations

import string
from itertools import pairwise

MARKS = string.punctuation + " "
NO_MARKS = str.maketrans("", "", string.punctuation)


def bare(text: str) -> list[str]:
    """The words of a text without any ASCII punctuation, in lower case."""
    return text.lower().translate(NO_MARKS).split()


def rising(counts: list[int]) -> bool:
    """Whether every count is larger than the one before."""
    return all(first < second for first, second in pairwise(counts))
