"""The final answer of a text, and whether it is right."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from steelyard.checks._equivalence import DIGITS, equivalent, equivalent_all, undecided
from steelyard.fields import is_missing

__all__ = [
    "are_right",
    "boxed_content",
    "equivalent",
    "equivalent_all",
    "final_answer",
    "has_box",
    "is_right",
    "said",
    "truth_of",
    "undecided",
]
_HASHES = re.compile(r"^[ \t]*####(?!#)[ \t]*(\S[^\n]*)?$", re.M)
_THOUGHTS = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.I)
_SIGNED = r"(?<![\w.,)}])(?:[-+\u2212] ?)?"
_VALUE = rf"[$€£]?(?:\d+(?:,\d+){{2,}}(?!,?\d)|{DIGITS})(?:[eE][-+]?\d{{1,3}}(?!\w))?"
_NUMBER = rf"{_SIGNED}(?:\d+ +\d+ ?/ ?\d+(?![\d/])|{_VALUE}(?:\s?/\s?{_VALUE})?)"
_LATEX = rf"{_SIGNED}\d*(?:\\[dt]?frac\s*\{{[^{{}}\n]{{1,60}}\}}\s*\{{[^{{}}\n]{{1,60}}\}}|\\sqrt(?:\[\d+\])?\s*\{{[^{{}}\n]{{1,60}}\}})"
_MATHS = r"\$\$([^$]{1,400})\$\$|\$(?![\s$])([^$\n]{1,200})(?<!\s)\$(?!\d)|\\\(([^\n]{1,200}?)\\\)|\\\[(.{1,400}?)\\\]"
_ENDINGS = re.compile(rf"{_MATHS}|({_LATEX}|{_SIGNED}\d*[½¼¾⅓⅔]|{_NUMBER})", re.S)
_SAYS_A_VALUE = re.compile(r"[\d½¼¾⅓⅔+*/^]|\\(?:[dt]?frac|sqrt|pi|infty)")


def said(text: str) -> str:
    """What an answer says beside its thoughts: nothing in `<think>...</think>` is said, nor in one that never closes.

    A text with `</think>` alone began inside its thoughts, as where a chat template opens them.

    Example:
        >>> said("<think>4 or 5?</think>It is 4."), said("4 or 5?</think>It is 4."), said("<think>It is 4.")
        ('It is 4.', 'It is 4.', '')
    """
    kept: list[str] = []
    start, inside = 0, False
    for tag in _THOUGHTS.finditer(text):
        if tag[1]:
            if not inside:
                kept.clear()
            start, inside = tag.end(), False
        elif not inside:
            kept.append(text[start : tag.start()])
            inside = True
    return "".join(kept if inside else [*kept, text[start:]])


_BOX = re.compile(r"\\f?boxed\s*\{|\\fbox\s*\{")


def boxed_content(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}` of a text that closes, nested braces included; None where there is none.

    Example:
        >>> boxed_content(r"so \boxed{\frac{1}{2}}."), boxed_content(r"so \boxed{4")
        ('\\frac{1}{2}', None)
    """
    opened: list[int | None] = []
    starts = {box.end(): True for box in _BOX.finditer(text)}
    last = None
    for found in re.finditer(r"(?<!\\)[{}]", text):
        if found[0] == "{":
            opened.append(found.end() if found.end() in starts else None)
        elif opened:
            begin = opened.pop()
            if begin is not None:
                last = text[begin : found.start()]
    return last


def has_box(text: str) -> bool:
    r"""Whether an answer says a `\boxed{...}` that closes and is not empty.

    Example:
        >>> has_box(r"so \boxed{4}"), has_box(r"so \boxed{ }"), has_box(r"<think>\boxed{4}</think>")
        (True, False, False)
    """
    return bool((boxed_content(said(text)) or "").strip())


def final_answer(text: str) -> str | None:
    r"""The answer that a text ends on: what is boxed, else what follows the last `####`, else its last number or formula.

    Thoughts (see `said`) are not looked at. A box that never closes was cut off, and so was the answer: there is none. Words beside a number after
    `####` are left out; a formula is what stands between dollar signs, and of an equation the side after the last `=`.

    Example:
        >>> final_answer(r"1. 2+2=4, so \boxed{4}"), final_answer("He has 3 left.\n#### 3 pens"), final_answer("it costs 1,250.50 dollars")
        ('4', '3', '1,250.50')
        >>> final_answer(r"that is $x = \frac{3}{4}$."), final_answer(r"so \boxed{4"), final_answer("<think>maybe 4")
        ('\\frac{3}{4}', None, None)
    """
    text = said(text)
    if _BOX.search(text):
        return (boxed_content(text) or "").strip() or None
    marked = list(_HASHES.finditer(text))
    if marked:
        answer = _marked((marked[-1][1] or "").strip(), is_last=not text[marked[-1].end() :].strip())
        if answer:
            return answer
    last = None
    for found in _ENDINGS.finditer(text):
        *formulas, number = found.groups()
        formula = next((formula for formula in formulas if formula), None)
        if number or (formula and _SAYS_A_VALUE.search(formula)):
            last = number or str(formula).rsplit("=", 1)[-1] or formula
    return last.strip() if last else None


def _marked(line: str, *, is_last: bool) -> str | None:
    """The answer in what follows `####`, or None where that is a heading: words, and the text goes on."""
    found = [match for match in _ENDINGS.finditer(line) if match[5] or _SAYS_A_VALUE.search(match[0])]
    begins_with_a_word = re.match(r"[^\W\d_]{2,}", line) is not None
    if begins_with_a_word and (not is_last or len(found) > 1):
        return line if len(line.split()) == 1 else None
    if len(found) == 1 and not re.search(r"[\\=+*^(){}\[\]]", line[: found[0].start()] + line[found[0].end() :]):
        beside = line[found[0].end() :].strip()
        return found[0][0].strip() if begins_with_a_word or re.match(r"$|[^\W\d_]{2,}|[.,;°]", beside) else line
    return line


def truth_of(value: Any) -> str | None:
    r"""The ground truth that a row gives, as it is compared with an answer.

    A truth that itself ends in `#### n` or holds a box, as solutions do, is read as an answer is. Any other is taken as it stands: of
    `\frac{1}{2}` or `(1, 2)` the last number is not the truth.

    Args:
        value: of the column with the truth: a text or a number.

    Returns:
        The truth; None where there is none: null, NaN, or nothing but white space.

    Example:
        >>> truth_of("She has 3 left.\n#### 3"), truth_of(r"\frac{1}{2}"), truth_of(42), truth_of(" ")
        ('3', '\\frac{1}{2}', '42', None)
    """
    if is_missing(value) or not str(value).strip():
        return None
    text = str(value).strip()
    if "####" in text or "\\boxed" in text:
        return final_answer(text)
    return text


def is_right(answer: str, truth: Any) -> bool | None:
    r"""Whether the final answer of a text means the same as the ground truth; None where there is no truth.

    Example:
        >>> is_right(r"so \boxed{0.5}", r"\frac{1}{2}"), is_right("it is 2", r"\frac{1}{2}"), is_right("it is 2", None)
        (True, False, None)
    """
    return are_right([answer], [truth])[0]


def are_right(answers: Iterable[str], truths: Iterable[Any]) -> list[bool | None]:
    r"""`is_right` of many answers, each with its truth; the same two are compared once, several at a time.

    Example:
        >>> are_right(["it is 4", r"so \boxed{x+1}", "it is 5"], [4, "1+x", float("nan")])
        [True, True, None]
    """
    rows = [(final_answer(answer), truth_of(truth)) for answer, truth in zip(answers, truths, strict=True)]
    compared = iter(equivalent_all((found, truth) for found, truth in rows if found is not None and truth is not None))
    return [None if truth is None else found is not None and next(compared) for found, truth in rows]
