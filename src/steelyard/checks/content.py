"""Checks of what an answer says: the right result, wanted and unwanted words, its language, repetition, refusal."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.checks.answers import equivalent, final_answer
from steelyard.checks.base import Function, on_answer
from steelyard.checks.text import occurrences, words
from steelyard.errors import InputError


def _maths(*, column: str = "answer") -> Function:
    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        truth = columns.get(column)
        if truth is None:
            return None
        given = final_answer(answer)
        return float(given is not None and equivalent(given, final_answer(str(truth)) or str(truth)))

    return run


def _contains(*, phrases: Sequence[str], at_least: int = 1) -> Function:
    if isinstance(phrases, str) or not phrases:
        raise InputError("phrases is a list of one word or phrase at least")
    return on_answer(lambda answer: all(occurrences(phrase, answer) >= at_least for phrase in phrases))


def _avoids(*, phrases: Sequence[str]) -> Function:
    if isinstance(phrases, str) or not phrases:
        raise InputError("phrases is a list of one word or phrase at least")
    return on_answer(lambda answer: not any(occurrences(phrase, answer) for phrase in phrases))


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of a text's language by py3langid; None where there are too few letters to tell.

    Example:
        >>> language_of("The quick brown fox jumps over the lazy dog."), language_of("42")
        ('en', None)
    """
    if sum(char.isalpha() for char in text) < 8:
        return None
    import py3langid

    return str(py3langid.classify(text)[0])


def _language(*, language: str | None = None, column: str = "language") -> Function:
    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        wanted = language or columns.get(column)
        found = language_of(answer)
        return None if wanted is None or found is None else float(found == str(wanted).partition("-")[0])

    return run


_SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "THAI",
    "HANGUL",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "BENGALI",
    "TAMIL",
)
_TOGETHER = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}


def scripts(text: str) -> Counter[str]:
    """Letters by script; Chinese characters and kana count as one.

    Example:
        >>> scripts("abc \\u4f60\\u597d").most_common()
        [('LATIN', 3), ('CJK', 2)]
    """
    out: Counter[str] = Counter()
    for char in text:
        if char.isalpha():
            name = unicodedata.name(char, "").split(" ")[0].partition("-")[0]
            if name in _SCRIPTS:
                out[_TOGETHER.get(name, name)] += 1
    return out


def _one_script(*, at_most: float = 0.02) -> Function:
    """No mixing: outside code, letters of a script that the prompt does not use are at most a share of all."""

    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        # Code, formulas, addresses, and Greek letters that stand alone as symbols.
        plain = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|https?://\S+|(?<!\w)[\u0370-\u03ff](?!\w)", " ", answer, flags=re.DOTALL)
        counted = scripts(plain)
        if counted.total() < 20:
            return None
        main, allowed = counted.most_common(1)[0][0], set(scripts(prompt))
        foreign = sum(
            count for script, count in counted.items() if script != main and script not in allowed and script != "LATIN"
        )
        return float(foreign <= at_most * counted.total())

    return run


def _no_repetition(*, ngram: int = 6, at_most: float = 0.2) -> Function:
    if ngram < 1 or not 0 <= at_most <= 1:
        raise InputError(f"ngram must be at least 1 and at_most a share, but they are {ngram} and {at_most}")

    def run(answer: str) -> bool:
        tokens = [word.casefold() for word in words(answer)]
        runs = [tuple(tokens[i : i + ngram]) for i in range(len(tokens) - ngram + 1)]
        return not runs or 1 - len(set(runs)) / len(runs) <= at_most

    return on_answer(run)


_REFUSAL = re.compile(
    r"\bI(?:'m| am| was)?\s*(?:very |so |really )?(?:sorry|afraid)\b[^.!?]{0,60}\b(?:can(?:'|\u2019)?t|cannot|unable|not able|won(?:'|\u2019)t|must decline)\b"
    r"|\bI\s+(?:can(?:'|\u2019)?t|cannot|won(?:'|\u2019)t|will not|am unable to|am not able to|must decline to|have to decline to)\s+"
    r"(?:help|assist|provide|comply|fulfil|fulfill|do that|answer|support|participate|engage|create|write|generate|share|give)\b"
    r"|\bas an AI\b[^.!?]{0,80}\b(?:can(?:'|\u2019)?t|cannot|unable|not able|don(?:'|\u2019)t)\b|\bI must (?:respectfully )?decline\b",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether an answer begins by refusing.

    Example:
        >>> refuses("I'm sorry, but I can't help with that."), refuses("Sorry for the delay! Here is the recipe.")
        (True, False)
    """
    return _REFUSAL.search(text.strip()[:400]) is not None


def _no_refusal() -> Function:
    return on_answer(lambda answer: not refuses(answer))


CONTENT: dict[str, Callable[..., Function]] = {
    "maths": _maths,
    "contains": _contains,
    "avoids": _avoids,
    "language": _language,
    "one-script": _one_script,
    "no-repetition": _no_repetition,
    "no-refusal": _no_refusal,
}
"""Kinds by name."""
