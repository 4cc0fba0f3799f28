"""Words, sentences, paragraphs and other parts of a text in any script, as the checks count them."""

from __future__ import annotations

import re
from typing import Any

import regex
from icu4py.breakers import CharacterBreaker, WordBreaker

from steelyard.folding import folded

_ABBREVIATIONS = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|vs|etc|e\.g|i\.e|cf|approx|No|Inc|Ltd|Co|Fig|U\.S|a\.m|p\.m)\.$|\b[A-Z]\.$|\n[^\S\n]*\d{1,3}\.$)"
)
_TAIL = 16
"""Characters at the end of a sentence in which an abbreviation is looked for; longer than any of them."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts that write no spaces between words."""
_RUNS_ON = regex.compile(f"[{_UNSPACED}]")
_SPACED = rf"[\w--[{_UNSPACED}]]"
"""What cannot stand beside a whole word: a letter or digit of another script than these."""
_HYPHENS = "-\u2010\u2011"

_END = regex.compile(r"[\p{Sentence_Terminal}\u2026]+(?:[\"'*_\p{Pe}\p{Pf}]|[\u00a0\u202f ](?=[\u00bb\u201d]))*")
"""End marks of a sentence in any script, with the closing quotes and brackets that belong to it."""

_ITEM = re.compile(
    r"[^\S\n]*(?:[-*+\u2022\u2023\u2043\u25cf\u25cb\u25aa\u25ab\u25e6\u00b7\u2013\u2014]\s+\S|[\u30fb\uff65\u25a0\u25a1\u25c6\u25c7]\s*\S"
    r"|\d+[.)]\s+\S|\d+[\u3001\uff0e\uff09]\s*\S|[(\uff08]\d+[)\uff09]\s*\S|[\u2460-\u2473]\s*\S"
    r"|[\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341]{1,3}\u3001\s*\S)"
)


def words(text: str) -> list[str]:
    """Words by Unicode's rules and ICU's dictionaries: what holds a letter or a digit; a hyphen between two words joins them.

    Chinese, Japanese, Thai, Lao, Khmer and Burmese, which write no spaces, are parted by ICU's dictionaries. A number with its points and commas is
    one word, and so is a name of a file or of a site. Signs and emoji are none.

    Example:
        >>> words("It's a well-known fact (2nd ed.): 1,250.50 in example.com.")
        ["It's", 'a', 'well-known', 'fact', '2nd', 'ed', '1,250.50', 'in', 'example.com']
        >>> [len(words(text)) for text in ("\u092e\u0948\u0902 \u0918\u0930 \u0939\u0942\u0901\u0964", "\u6211\u4eec\u4eca\u5929\u53bb\u5b66\u6821\u4e0a\u8bfe\u3002")]
        [3, 5]
    """
    found: list[list[str]] = []
    hyphen = ""
    apart = True
    for segment in WordBreaker(_encodable(text), "root"):
        if segment in _HYPHENS and not apart and not hyphen:
            hyphen = segment
        elif any(map(str.isalnum, segment)):
            if hyphen:
                found[-1] += [hyphen, segment]
            else:
                found.append([segment])
            hyphen, apart = "", False
        else:
            hyphen, apart = "", True
    return ["".join(parts) for parts in found]


def _encodable(text: str) -> str:
    """A text without halves of characters, which ICU cannot be given."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def characters(text: str) -> int:
    """How many characters a reader sees: an accented letter is one however it is written, and so is an emoji of several parts.

    Example:
        >>> characters("cafe\\u0301"), characters("\\U0001f44d\\U0001f3fd")
        (4, 1)
    """
    return (
        len(text)
        if text.isascii() and "\r" not in text
        else sum(1 for _ in CharacterBreaker(_encodable(text), "root").segments())
    )


def sentences(text: str) -> list[str]:
    """Sentences by the end marks of any script and by empty lines; abbreviations, initials, decimal points and an item's number end none.

    Example:
        >>> sentences("Dr. Smith paid 3.50. Why? He had to!")
        ['Dr. Smith paid 3.50.', 'Why?', 'He had to!']
        >>> len(sentences("\\u4f60\\u597d\\u3002\\u518d\\u89c1\\uff01")), len(sentences("1. Add.\\n2. Carry."))
        (2, 2)
    """
    out = []
    for block in re.split(r"\n\s*\n", text):
        block, begun = "\n" + block, 0  # so that a line's beginning is known by what stands before it
        for mark in _END.finditer(block):
            # A look back of fixed length: to look at the whole sentence at each of its marks would take quadratic time.
            tail = block[max(begun, mark.start() - _TAIL) : mark.end()]
            if _ends_there(block, mark.start(), mark.end()) and not _ABBREVIATIONS.search(tail):
                out.append(block[begun : mark.end()])
                begun = mark.end()
        out.append(block[begun:])
    return [sentence.strip() for sentence in out if re.search(r"\w", sentence)]


def _ends_there(text: str, begin: int, end: int) -> bool:
    """Whether marks end a sentence: those of the Latin script where white space follows them, others but between digits."""
    after = text[end : end + 1]
    if not after or after.isspace():
        return True
    return not text[begin].isascii() and text[begin] != "\u2026" and not (after.isdigit() and text[begin - 1 : begin].isdigit())


def list_items(text: str) -> list[str]:
    """Lines of a bullet or numbered list, by the bullets and numbers of any script.

    Example:
        >>> list_items("- a\\n* b\\n1. c\\ntext\\n**bold** text\\n\\uff08\\uff11\\uff09\\u4f60\\n\\u2022 d")
        ['- a', '* b', '1. c', '\uff08\uff11\uff09\u4f60', '\u2022 d']
    """
    return [line.strip() for line in text.splitlines() if _ITEM.match(line)]


def paragraphs(text: str) -> list[str]:
    """Blocks between empty lines.

    Example:
        >>> paragraphs("one\\ntwo\\n\\n\\nthree")
        ['one\\ntwo', 'three']
    """
    return [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]


def occurrences(phrase: str, text: str) -> int:
    """How often a word or phrase stands in a text as a whole, whatever its case, accents' form, quotes, dashes and widths.

    In scripts that write no spaces, it is counted wherever it stands.

    Example:
        >>> occurrences("rock", "Rock music rocks; rock on."), occurrences("c++", "I like C++."), occurrences("don't", "DON\\u2019T")
        (2, 1, 1)
    """
    wanted = folded(phrase.strip())
    if not wanted:
        return 0
    before = "" if _RUNS_ON.match(wanted) else rf"(?<!{_SPACED})"
    after = "" if _RUNS_ON.match(wanted.rstrip(), pos=_last_letter(wanted)) else rf"(?!{_SPACED})"
    return len(regex.findall(before + regex.escape(wanted, literal_spaces=True) + after, folded(text), regex.V1))


def _last_letter(text: str) -> int:
    """Where the last letter of a text stands, with the marks that follow it."""
    return max(0, len(regex.sub(r"\p{M}+$", "", text)) - 1)


def distinct_share(text: str, ngram: int) -> float:
    """The share of a text's word n-grams that are different, whatever their case: 1 where nothing is repeated, or nothing could be.

    Example:
        >>> distinct_share("a b c d", 1), distinct_share("Yes, yes. YES!", 1), distinct_share("one", 3)
        (1.0, 0.3333333333333333, 1.0)
    """
    grams: list[Any] = [folded(word) for word in words(text)]
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
