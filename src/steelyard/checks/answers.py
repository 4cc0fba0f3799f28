"""The final answer of a text, and whether two answers mean the same; on math-verify."""

from __future__ import annotations

import re
import threading
from fractions import Fraction
from typing import Any

from steelyard.fields import is_missing

_LONGEST_ANSWER = 200
"""Characters of an extracted answer that are looked at: an expression longer than this is no final answer, and may take for ever to parse."""
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?|[-+]?\.\d+")
_HASHES = re.compile(r"####\s*(.+)")
_HUGE_POWER = re.compile(r"\^\s*\{?\s*[-+]?\d{4,}|\^.*\^.*\^|!|\*\*")


def boxed_content(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}` of a text, nested braces included; None where there is none, or it never closes.

    Example:
        >>> boxed_content(r"so \boxed{\frac{1}{2}}.")
        '\\frac{1}{2}'
    """
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for i in range(begin, len(text)):
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            if depth == 0:
                return text[begin:i]
            depth -= 1
    return None


def has_box(text: str) -> bool:
    r"""Whether a text has a `\boxed{...}` that is not empty.

    Example:
        >>> has_box(r"so \boxed{4}"), has_box(r"so \boxed{ }")
        (True, False)
    """
    return bool((boxed_content(text) or "").strip())


def final_answer(text: str) -> str | None:
    r"""The answer a text ends on: what is boxed, else what follows the last `####`, else its last plain number.

    Example:
        >>> final_answer(r"1. 2+2=4, so \boxed{4}"), final_answer("He has 3 left.\n#### 3"), final_answer("it costs 1,250.50 dollars")
        ('4', '3', '1,250.50')
    """
    boxed = boxed_content(text)
    if boxed is not None:
        return boxed.strip() or None
    hashes = _HASHES.findall(text)
    if hashes:
        return hashes[-1].strip()
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else None


def _as_number(text: str) -> Fraction | None:
    """The exact value of a plain number, fraction or percentage-free amount; None for anything else.

    Example:
        >>> _as_number("$1,250.50"), _as_number("3/4"), _as_number("x")
        (Fraction(2501, 2), Fraction(3, 4), None)
    """
    bare = text.strip().strip("$ .").replace(",", "").replace(" ", "")
    try:
        return Fraction(bare) if bare and len(bare) <= _LONGEST_ANSWER and "e" not in bare.lower() else None
    except (ValueError, ZeroDivisionError):
        return None


def equivalent(answer: str, truth: str) -> bool:
    r"""Tell whether two mathematical answers mean the same.

    Plain numbers are compared exactly; everything else is parsed and compared by math-verify.

    Example:
        >>> equivalent("0.50", "1/2"), equivalent(r"\frac{1}{2}", "0.5"), equivalent("4", "5")
        (True, True, False)
    """
    a, b = _as_number(answer), _as_number(truth)
    if a is not None and b is not None:
        return a == b
    if max(len(answer), len(truth)) > _LONGEST_ANSWER or _HUGE_POWER.search(answer):
        return answer.strip() == truth.strip()
    import math_verify

    # math-verify bounds its time by a signal, which only the main thread may set.
    seconds = 5 if threading.current_thread() is threading.main_thread() else None
    parsed = [math_verify.parse(f"\\boxed{{{text}}}", parsing_timeout=seconds) for text in (truth, answer)]
    return bool(math_verify.verify(*parsed, timeout_seconds=seconds))


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
        return final_answer(text) or text
    return text


def is_right(answer: str, truth: Any) -> bool | None:
    r"""Whether the final answer of a text means the same as the ground truth; None where there is no truth.

    Example:
        >>> is_right(r"so \boxed{0.5}", r"\frac{1}{2}"), is_right("it is 2", r"\frac{1}{2}"), is_right("it is 2", None)
        (True, False, None)
    """
    expected = truth_of(truth)
    if expected is None:
        return None
    found = final_answer(answer)
    return found is not None and equivalent(found, expected)
