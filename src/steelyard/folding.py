"""One form of texts that say the same: composed or not, in full width or not, with curly or straight quotes.

Characters are folded one at a time, since `unicodedata.normalize` takes quadratic time on long runs of accents (a minute for 100,000). The one
difference: several accents on one letter keep the order in which they were written.
"""

from __future__ import annotations

import unicodedata

import regex

_QUOTES = {
    "'": "\u2018\u2019\u201a\u201b\u02bc\u2032\u2039\u203a`\u00b4",
    '"': "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u300c\u300d\u300e\u300f",
}
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_SIGNS = {ord(other): sign for sign, others in (*_QUOTES.items(), ("-", _DASHES)) for other in others}
_SIGNS |= {0x3002: ".", 0xFF61: ".", 0x3001: ",", 0xFF64: ",", 0x2026: "..."}


class _Folding(dict[int, str]):
    """A table for `str.translate` that works each character out when it is first met.

    Args:
        form: of Unicode's decompositions: "NFD" keeps what looks different, "NFKD" does not.
        signs: whether quotes, dashes and full stops of all scripts are one, and signs that are not seen are dropped.
        case: whether case is dropped.
    """

    def __init__(self, form: str, *, signs: bool = False, case: bool = False) -> None:
        self._form, self._signs, self._case = form, signs, case

    def __missing__(self, code: int) -> str:
        text = unicodedata.normalize(self._form, chr(code))  # type: ignore[arg-type]
        if self._signs:
            text = "".join(_SIGNS.get(ord(char), char) for char in _SIGNS.get(code, text) if unicodedata.category(char) != "Cf")
        # Some accents that stand alone are written with a blank.
        text = text if chr(code).isspace() else text.strip()
        self[code] = text.casefold() if self._case else text
        return self[code]


_CANONICAL, _COMPATIBLE = _Folding("NFD"), _Folding("NFKD")
_PLAIN, _FOLDED = _Folding("NFKD", signs=True), _Folding("NFKD", signs=True, case=True)


def canonical(text: str) -> str:
    """A text in one form of what Unicode calls the same characters: letters and their accents apart.

    Example:
        >>> canonical("caf\\u00e9") == canonical("cafe\\u0301"), canonical("x\\u00b2") == canonical("x2")
        (True, False)
    """
    return text if text.isascii() else text.translate(_CANONICAL)


def plain(text: str) -> str:
    """A text in one form of characters, widths, quotes, dashes and full stops, without signs that are not seen; its case is kept.

    Example:
        >>> plain("\\u201cDon\\u2019t\\u201d \\u2013 \\uff21\\uff22\\u3002"), plain("soft\\u00adhyphen")
        ('"Don\\'t" - AB.', 'softhyphen')
    """
    return text.translate(_PLAIN)


def folded(text: str) -> str:
    """A text as `plain` writes it, and without case.

    Example:
        >>> folded("DON\\u2019T Stra\\u00dfe")
        "don't strasse"
    """
    return text.translate(_FOLDED)


def without_accents(text: str) -> str:
    """The ASCII letters and signs of a text, accents and whatever else left out.

    Example:
        >>> without_accents("Chi\\u0219in\\u0103u\\u2019s")
        'Chisinaus'
    """
    return text.translate(_COMPATIBLE).encode("ascii", "ignore").decode()


def composed(text: str) -> str:
    """A text with its accents on their letters, in linear time: of more than seven in a row the first seven are kept.

    Example:
        >>> composed("cafe\\u0301") == "caf\\u00e9"
        True
    """
    return unicodedata.normalize("NFC", regex.sub(r"(\p{M}{7})\p{M}+", r"\1", text))
