"""Quotes of answers: what of them is looked for, and whether it is there."""

from __future__ import annotations

import re

from steelyard.rubric._fence import visible


def quote_parts(quote: str) -> list[str]:
    """The parts of a quote between its dots, without the quotation marks around it and without white space at the ends.

    Example:
        >>> quote_parts('"Two plus ... is four"')
        ['Two plus', 'is four']
    """
    parts = re.split(r"\.{3}|\u2026", quote.strip().strip("\"'\u201c\u201d\u2018\u2019"))
    return [part.strip() for part in parts if part.strip()]


def quote_found(quote: str, answer: str) -> bool | None:
    """Whether a quote stands in an answer, white space, case and the quotation marks around it aside; None for no quote.

    Example:
        >>> quote_found("Two  plus two", "So two plus two is 4."), quote_found("five", "4"), quote_found("", "4")
        (True, False, None)
    """
    parts = [_folded(part) for part in quote_parts(quote)]
    if not parts:
        return None
    # The judge quotes what it was shown, where hidden signs are written out.
    texts = [_folded(text) for text in (answer, visible(answer))]
    return any(all(part in text for part in parts) for text in texts)


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
