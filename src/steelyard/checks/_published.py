"""Sentences and words as the published checkers of IFEval and IFBench count them: by the rules of Punkt and of NLTK's word tokenizer.

`checks.text` follows a text's language; these rules are for English, and look at ASCII marks alone. A sentence ends at `?` or `!`, and at a full stop, but
not after some abbreviations, and after a number, an initial or an ellipsis by what follows. Empty lines end none. Punkt knows of 20,000 words how they
are written; the few words below cut more than 99 of 100 answers as those do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_TITLES = "mr mrs ms dr prof messrs sen rep reps gen lt col maj sr jr st co corp inc ltd bros vs ave ft"
_DATES = "jan feb aug sept sep oct nov dec tues wed fri a.m p.m a.d"
_PLACES = "u.s u.k u.n u.s.a u.s.s.r d.c n.y n.j n.c s.c l.a conn fla minn pa va"
_LETTERS = "c d e f g h j k l m n p r s t v w j.b j.c j.j j.k j.p j.r ph.d m.b.a s.a"
_ABBREVIATIONS = frozenset(f"{_TITLES} {_DATES} {_PLACES} {_LETTERS}".split())
_OPENERS = "the this these it he they i in if when while since however there some most many so but both despite although even"
_OPENINGS = frozenset(_OPENERS.split())
"""Words with a capital before which an abbreviation or an ellipsis ends a sentence."""
_HEADLINES = "who business review letters credit insider international"
_AFTER_NUMBERS = frozenset(_HEADLINES.split())
"""Words before which the full stop of a number ends none: headlines of that newspaper."""

_PARTING = r")(}{\]\[\"';:@*?!"
"""Signs that end a word."""
_CHUNK = re.compile(r"(?<![^ \t\n\r\f\v])[^ \t\n\r\f\v.?!]*[.?!][^ \t\n\r\f\v]*")
"""What stands between two blanks, with a mark in it."""
_NEXT = re.compile(r"\s*\S*")
_MARK = re.compile(rf"[.?!](?=([{_PARTING}])|\s+(\S+))")
_CLOSING = re.compile(r"[\"')}\]]+(?:\s+|(?=--)|\Z)")
_PART = re.compile(rf"\.\.+|--+|[^\s,`&#{{}}()\[\]\"*@:;-](?:(?!\.\.|--|[{_PARTING}]|,(?:\s|\.\.|--|[{_PARTING}]|\Z))\S)*|\S")
_NUMBER = re.compile(r"-?[.,]?\d[\d,.-]*")


def sentences(text: str) -> list[str]:
    """The sentences of a text; one that is cut from another keeps the white space inside it.

    Example:
        >>> sentences("Dr. Smith paid 3.50. Why?\\n\\nHe had to (yes!) ... and so on")
        ['Dr. Smith paid 3.50.', 'Why?', 'He had to (yes!)', '... and so on']
        >>> sentences("1. Add\\n\\n2. Carry")
        ['1.', 'Add\\n\\n2.', 'Carry']
    """
    out, begin = [], 0
    for end, following in [*_cuts(text), (len(text.rstrip()), 0)]:
        closing = _CLOSING.match(text, following) if following else None
        if closing:
            end, following = following + len(closing[0].rstrip()), closing.end()
        if text[begin:end]:
            out.append(text[begin:end])
        begin = following
    return out


def _cuts(text: str) -> Iterator[tuple[int, int]]:
    """Where sentences end, and where the next one begins."""
    for chunk in _CHUNK.finditer(text):
        # Of its marks the last one counts, and the first where nothing stands before it.
        piece = text[chunk.start() : _NEXT.match(text, chunk.end()).end()]  # type: ignore[union-attr]
        marks = [mark for mark in _MARK.finditer(piece) if mark.end() <= len(chunk[0])]
        for mark in [mark for i, mark in enumerate(marks) if i == len(marks) - 1 or mark.start() == 0]:
            parts = _PART.findall(piece[: mark.end(mark.lastindex or 0)]) if mark[0] == "." else []
            if not parts or any(_ends(part, after) for part, after in pairwise(parts)):
                yield chunk.start() + mark.end(), chunk.start() + (mark.start(2) if mark[2] else mark.end())


def _ends(part: str, after: str) -> bool:
    """Whether a sentence ends between two parts of a text."""
    if part in ("?", "!"):
        return True
    if not part.endswith("."):
        return False
    word, goes_on = part[:-1].lower(), after[0].islower() or after in ";:,.!?"
    known = word in _ABBREVIATIONS or word.rpartition("-")[2] in _ABBREVIATIONS
    if len(word) == 1 and word.isalpha():
        return not known and not goes_on and after[1:] != "."
    if _NUMBER.fullmatch(word):
        return not goes_on and after.rstrip(".").lower() not in _AFTER_NUMBERS
    if known or part.endswith(".."):
        return after[0].isupper() and after.rstrip(".").lower() in _OPENINGS
    return True


_TOKEN = re.compile(
    r"\.\.+|--|''|``|[`;@#$%&?!*(){}\[\]<>\"\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e]|[:,](?!\d)"
    r"|(?:(?!\.\.|--|'')[^\s:,;@#$%&?!*(){}\[\]<>\"`\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e]|[:,](?=\d))+"
)
_AFTER_STOP = "])}>\"'\u00bb\u201d\u2019"
_QUOTED_LETTER = re.compile(r"'(?![mtsdnMTSDN])(?=\w\b)")
_JOINED = {"cannot": 3, "gimme": 3, "lemme": 3, "gonna": 3, "wanna": 3, "gotta": 3, "'tis": 2, "'twas": 2}
_ENDINGS = (("'",), ("'s", "'S", "'m", "'M", "'d", "'D"), ("'ll", "'LL", "'re", "'RE", "'ve", "'VE", "n't", "N'T"))


def tokens(text: str) -> list[str]:
    """The words and marks of a text: endings as `'s` and `n't` and most marks are words of their own, the last full stop of a sentence too.

    Example:
        >>> tokens("I can't say it's A/B in the U.S. (2.5%), O'Neil.")
        ['I', 'ca', "n't", 'say', 'it', "'s", 'A/B', 'in', 'the', 'U.S.', '(', '2.5', '%', ')', ',', "O'Neil", '.']
    """
    return [token for sentence in sentences(text) for token in _tokens_of(sentence)]


def _tokens_of(sentence: str) -> Iterator[str]:
    said = sentence.rstrip(_AFTER_STOP + " ")
    stop = len(said) - 1 if said.endswith(".") and said[-2:-1] not in ("", ".") else len(sentence)
    for piece in (sentence[:stop], sentence[stop : stop + 1], sentence[stop + 1 :]):
        for token in _TOKEN.findall(piece):
            if token.lower() in _JOINED:
                cut = _JOINED[token.lower()]
                yield from (token[:cut], token[cut:])
            elif "'" in token and token != "''":
                yield from _words(token)
            else:
                yield "''" if token == '"' else token


def _words(token: str) -> Iterator[str]:
    """A token without blanks, cut at apostrophes and endings."""
    for word in _QUOTED_LETTER.sub(" ' ", token).split():
        endings: list[str] = []
        for group in _ENDINGS:
            found = next((ending for ending in group if word.endswith(ending)), "")
            # What is left may be neither nothing nor another apostrophe.
            if found and word[: -len(found)] and word[-len(found) - 1] != "'":
                word, endings = word[: -len(found)], [found, *endings]
        yield from [word, *endings]
