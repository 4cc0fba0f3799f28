"""Checks of what an answer says: the right result, wanted and unwanted words, its language, repetition, refusal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from steelyard.checks.answers import is_right
from steelyard.checks.base import CHECKS, Function, on_answer, on_last_message
from steelyard.checks.text import distinct_share, occurrences
from steelyard.fields import is_missing
from steelyard.folding import composed, plain
from steelyard.settings import Count, Portion


@CHECKS.add("maths")
def _maths(*, column: str = "answer") -> Function:
    """The final answer (boxed, after ####, or the last number or formula) means the same as the ground truth.

    Args:
        column: of the row, with the truth; one that ends in #### or a box is read as an answer is. A row without a truth does not apply.
    """

    @on_last_message
    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        right = is_right(answer, columns.get(column))
        return None if right is None else float(right)

    return run


_Phrases = Annotated[list[str], Field(min_length=1)]


@CHECKS.add("contains")
def _contains(*, phrases: _Phrases, at_least: Count = 1) -> Function:
    """The answer has every one of some words or phrases, as whole words, whatever their case.

    Args:
        phrases: those it must have.
        at_least: how often each.
    """
    return on_answer(lambda answer: all(occurrences(phrase, answer) >= at_least for phrase in phrases))


@CHECKS.add("avoids")
def _avoids(*, phrases: _Phrases) -> Function:
    """The answer has none of some words or phrases, as whole words, whatever their case.

    Args:
        phrases: those it must not have.
    """
    return on_answer(lambda answer: not any(occurrences(phrase, answer) for phrase in phrases))


_TELLING = 8
"""Letters from which on a text's language can be recognised."""


_LOOKED_AT = 20_000
"""Characters of a text that its language is recognised from: more of it says nothing new, and takes seconds a megabyte."""


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of a text's language by py3langid; None where there are too few letters to tell.

    Example:
        >>> language_of("The quick brown fox jumps over the lazy dog."), language_of("42")
        ('en', None)
    """
    return _classified(text) if _can_be_told(text) else None


def _can_be_told(text: str) -> bool:
    return sum(char.isalpha() for char in text) >= _TELLING


def _classified(text: str) -> str:
    import py3langid

    text = plain(text[:_LOOKED_AT])[:_LOOKED_AT]
    # A language is learned from ordinary texts: shouting is taken for another one.
    shouted = 2 * sum(map(str.isupper, text)) > sum(map(str.isalpha, text))
    return str(py3langid.classify(composed(text.lower() if shouted else text))[0])


def in_language(text: str, code: str) -> bool | None:
    """Whether a text is written in a language; None where it is too short to tell, unless it is taken for that very language.

    Args:
        text: an answer; an empty one is in no language.
        code: ISO 639-1, in whatever case; of a longer code, as "zh-CN", the first part counts.

    Example:
        >>> in_language("Bonjour", "fr"), in_language("Hello", "en"), in_language("The cat sleeps.", "fr"), in_language(" ", "en")
        (True, None, False, False)
    """
    if not text.strip():
        return False
    if any(char.isalpha() for char in text) and _classified(text) == re.split("[-_]", code.strip())[0].lower():
        return True
    return False if _can_be_told(text) else None


@CHECKS.add("language")
def _language(*, language: str | None = None, column: str = "language") -> Function:
    """The answer is written in a language, by py3langid; one too short to tell does not apply, an empty one fails.

    Args:
        language: ISO 639-1 code; default: what the row's column holds.
        column: of the row; without language. A row without one does not apply.
    """

    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        wanted = language if language is not None else columns.get(column)
        found = None if is_missing(wanted) or not str(wanted).strip() else in_language(answer, str(wanted))
        return None if found is None else float(found)

    return run


_TOGETHER = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "HAN": "CJK", "BOPOMOFO": "CJK"}
_OF_ALL = ("COMMON", "INHERITED", "UNKNOWN")


def scripts(text: str) -> Counter[str]:
    """Letters by script; Chinese characters and kana count as one.

    Example:
        >>> scripts("abc \\u4f60\\u597d").most_common()
        [('LATIN', 3), ('CJK', 2)]
    """
    from fontTools import unicodedata as tables

    out: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if char.isalpha():
            name = tables.script_name(tables.script(char)).upper()
            if name not in _OF_ALL:
                out[_TOGETHER.get(name, name)] += count
    return out


@CHECKS.add("one-script")
def _one_script(*, at_most: Portion = 0.02) -> Function:
    """No mixing: outside code, letters of a script that the prompt does not use are at most a share of all.

    Args:
        at_most: the share that passes.
    """

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


@CHECKS.add("no-repetition")
def _no_repetition(*, ngram: Count = 6, at_most: Portion = 0.2) -> Function:
    """Few of the answer's runs of words come again.

    Args:
        ngram: words of a run.
        at_most: the share of runs that may be repeats.
    """
    return on_answer(lambda answer: 1 - distinct_share(answer, ngram) <= at_most)


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


@CHECKS.add("no-refusal")
def _no_refusal() -> Function:
    """The answer does not begin by refusing."""
    return on_answer(lambda answer: not refuses(answer))
