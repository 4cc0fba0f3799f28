"""Regular expressions that users write, matched within a time limit: some patterns take longer than the universe on some texts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

from steelyard.errors import InputError

SECONDS = 1.0
"""Of processor time for one match of a user's pattern."""


class Pattern:
    """A user's regular expression, in Python's syntax, with a limit on the time of a match.

    Args:
        pattern: the expression.
        flags: of `re`.

    Raises:
        InputError: where it is no regular expression.

    Example:
        >>> Pattern("b+$").found("abb"), Pattern("b", re.I).found_whole("B"), Pattern("a_{i}").found("a_{i}")
        (True, True, True)
        >>> Pattern("(")
        Traceback (most recent call last):
        steelyard.errors.InputError: pattern '(' is not a regular expression: missing ), unterminated subpattern at position 0
    """

    def __init__(self, pattern: str, flags: int = 0) -> None:
        import regex

        self.pattern = pattern
        try:
            with warnings.catch_warnings():
                # A set inside a set: `re` warns of a future that is not this one.
                warnings.simplefilter("ignore", FutureWarning)
                re.compile(pattern, flags)
            # Names and values of the flags that both have are the same; the rest of its syntax is closed by `_plain`.
            self._compiled = regex.compile(_plain(pattern), flags)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise InputError(f"pattern {pattern!r} is not a regular expression: {error}") from None

    def found(self, text: str) -> bool | None:
        """Whether a text has a match; None, with a warning, where the time was up before that was known."""
        return self._within_time(self._compiled.search, text)

    def found_whole(self, text: str) -> bool | None:
        """Whether a text is a match as a whole; None, with a warning, where the time was up before that was known."""
        return self._within_time(self._compiled.fullmatch, text)

    def replaced(self, text: str, replacement: str) -> str:
        r"""A text with every match replaced, groups written as `\1`.

        Raises:
            InputError: where the replacement is none, or the time is up.

        Example:
            >>> Pattern(r"(\d) ").replaced("1 2 ", r"\1,")
            '1,2,'
        """
        try:
            return str(self._compiled.sub(replacement, text, timeout=SECONDS))
        except TimeoutError:
            raise InputError(f"{self._late(text)}: write one that backtracks less") from None
        except (ValueError, IndexError, re.error) as error:
            raise InputError(f"replacement {replacement!r} of pattern {self.pattern!r} is none: {error}") from None

    def _within_time(self, match: Callable[..., Any], text: str) -> bool | None:
        try:
            return match(text, timeout=SECONDS) is not None
        except TimeoutError:
            warnings.warn(f"{self._late(text)}, and is undecided there: write one that backtracks less", stacklevel=3)
            return None

    def _late(self, text: str) -> str:
        return f"pattern {self.pattern!r} takes more than {SECONDS:g} s on a text of {len(text):,} characters"


_QUANTIFIER = re.compile(r"\{(?:\d+(?:,\d*)?|,\d*)\}")


def _plain(pattern: str) -> str:
    r"""A pattern in which `{` and `[` mean what they mean to `re`: in `regex`, `{i}` asks for a fuzzy match and `[[:alpha:]]` is a class.

    Example:
        >>> print(_plain(r"x_{i}{2,3}[[:a]\{\N{DASH}"))
        x_\{i}{2,3}[\[:a]\{\N{DASH}
    """
    out, at, inside = [], 0, False
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            end = pattern.find("}", at) + 1 if pattern.startswith("\\N{", at) else at + 2
            out.append(pattern[at : end or at + 2])
            at = end or at + 2
            continue
        if inside:
            out.append("\\[" if sign == "[" else sign)
            inside = sign != "]"
        elif sign == "[":
            # A bracket that comes first is one of the class.
            first = re.compile(r"\[\^?\]?").match(pattern, at)
            assert first is not None
            out.append(first[0].replace("]", "\\]"))
            at, inside = first.end(), True
            continue
        elif sign == "{" and (quantifier := _QUANTIFIER.match(pattern, at)):
            out.append(quantifier[0])
            at = quantifier.end()
            continue
        else:
            out.append("\\{" if sign == "{" else sign)
        at += 1
    return "".join(out)
