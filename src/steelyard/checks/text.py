"""Words, sentences, paragraphs and other parts of a text, as the checks count them."""

from __future__ import annotations

import re
from typing import Any

_ABBREVIATIONS = r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|vs|etc|e\.g|i\.e|cf|approx|No|Inc|Ltd|Co|Fig|U\.S|a\.m|p\.m)\.$|\b[A-Z]\.$)"

_TAIL = 16
"""Characters at the end of a sentence in which an abbreviation is looked for; longer than any of them."""


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores; an apostrophe or a hyphen inside parts none.

    Example:
        >>> words("It's a well-known fact (2nd ed.).")
        ["It's", 'a', 'well-known', 'fact', '2nd', 'ed']
    """
    return re.findall(r"\w+(?:['\u2019-]\w+)*", text)


def sentences(text: str) -> list[str]:
    """Sentences by their end marks and by empty lines; abbreviations, initials and decimal points end none.

    Example:
        >>> sentences("Dr. Smith paid 3.50. Why? He had to!")
        ['Dr. Smith paid 3.50.', 'Why?', 'He had to!']
    """
    out: list[list[str]] = []
    for block in re.split(r"\n\s*\n", text):
        begun: list[str] = []
        tail = ""
        for piece in re.split(
            r"(?<=[.!?\u3002\uff01\uff1f\u0964])(?=[\s\"'\u201d\u2019)\]]|[\u3002\uff01\uff1f])|(?<=[\u3002\uff01\uff1f])", block
        ):
            begun.append(piece)
            # Only the end says whether a sentence ends: to look at all of it each time would take quadratic time.
            tail = (tail + piece)[-_TAIL:] if piece.strip() else tail
            if re.search(_ABBREVIATIONS, tail.strip()) is None:
                out.append(begun)
                begun, tail = [], ""
        out.append(begun)
    # Closing marks belong to the sentence before them.
    joined: list[list[str]] = []
    for sentence in ("".join(pieces).strip() for pieces in out):
        if joined and re.fullmatch(r"[\"'\u201d\u2019)\].!?]+", sentence):
            joined[-1].append(sentence)
        elif sentence:
            lead = re.match(r"[\"'\u201d\u2019)\]]+(?=\s)", sentence)
            if lead and joined:
                joined[-1].append(lead[0])
                sentence = sentence[lead.end() :].strip()
            joined.append([sentence])
    return [sentence for sentence in map("".join, joined) if re.search(r"\w", sentence)]


def paragraphs(text: str) -> list[str]:
    """Blocks between empty lines.

    Example:
        >>> paragraphs("one\\ntwo\\n\\n\\nthree")
        ['one\\ntwo', 'three']
    """
    return [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]


def occurrences(phrase: str, text: str) -> int:
    """How often a word or phrase stands in a text as a whole, whatever its case.

    Example:
        >>> occurrences("rock", "Rock music rocks; rock on."), occurrences("c++", "I like C++.")
        (2, 1)
    """
    return len(re.findall(rf"(?<!\w){re.escape(phrase.strip())}(?!\w)", text, re.IGNORECASE))


def distinct_share(text: str, ngram: int) -> float:
    """The share of a text's word n-grams that are different, whatever their case: 1 where nothing is repeated, or nothing could be.

    Example:
        >>> distinct_share("a b c d", 1), distinct_share("Yes, yes. YES!", 1), distinct_share("one", 3)
        (1.0, 0.3333333333333333, 1.0)
    """
    grams: list[Any] = [word.casefold() for word in words(text)]
    length = 1
    # A run is named by the names of two shorter ones, so that long runs take no more memory than short ones.
    while length < ngram and grams:
        step = min(length, ngram - length)
        names: dict[Any, int] = {}
        grams = [names.setdefault(pair, len(names)) for pair in zip(grams, grams[step:], strict=False)]
        length += step
    return len(set(grams)) / len(grams) if grams else 1.0


def without_fence(text: str) -> str:
    """A text without the code fence around all of it.

    Example:
        >>> without_fence('```json\\n{"a": 1}\\n```')
        '{"a": 1}'
    """
    text = text.strip()
    opening = re.match(r"```[\w+-]*\s*", text)
    # One expression for both ends takes minutes on a fence that many spaces follow.
    if opening and text.endswith("```") and len(text) >= opening.end() + 3:
        return text[opening.end() : -3].rstrip()
    return text
