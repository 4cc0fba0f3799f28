"""The errors a user can meet. Every message says what was expected, what was found and what to do.

`InputError` is the user's to fix (the command line exits with 2), `RunError` is a run that failed on its way (exit code 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SteelyardError(Exception):
    """Root of the tree: everything Steelyard raises on purpose.

    Example:
        >>> issubclass(RewardError, SteelyardError)
        True
    """

    exit_code = 1


class InputError(SteelyardError, ValueError):
    """Something the user gave is not usable: a file, a recipe, an argument. It is a `ValueError` as well, so that callers can catch it as one.

    Example:
        >>> InputError.exit_code
        2
    """

    exit_code = 2


class RunError(SteelyardError):
    """A run failed on its way; what was written before stays.

    Example:
        >>> RunError.exit_code
        1
    """


class RewardError(RunError):
    """A reward function raised, or returned something that is not one finite number or None an answer.

    Example:
        >>> issubclass(RewardError, RunError)
        True
    """


class DiskFullError(InputError):
    """No space is left where the run writes. Files already written are whole.

    Example:
        >>> issubclass(DiskFullError, InputError)
        True
    """


class LLMError(RunError):
    """A language model was asked and gave no usable answer, after all retries. It is never a score.

    Attributes:
        calls, tokens_in, tokens_out: spent in vain.
        reply: the last raw reply, where there was one.

    Example:
        >>> LLMError("no answer", calls=3).calls
        3
    """

    def __init__(self, message: str, *, calls: int = 0, reply: str | None = None) -> None:
        super().__init__(message)
        self.calls, self.reply = calls, reply
        self.tokens_in = self.tokens_out = 0


class UnreachableError(LLMError):
    """No server answered: none is there, or none lets us in.

    Example:
        >>> issubclass(UnreachableError, LLMError)
        True
    """


class BudgetError(LLMError):
    """The budget of calls or tokens is used up; no further request was made.

    Example:
        >>> issubclass(BudgetError, LLMError)
        True
    """


def repeated(names: Iterable[str]) -> str | None:
    """The first name that comes a second time, or None.

    Example:
        >>> repeated(["en", "sw", "en"]), repeated(["en", "sw"])
        ('en', None)
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name closest to a misspelt one, as the end of a message; empty where none is close.

    Example:
        >>> nearest("wieghting", ["weighting", "model"])
        " (did you mean 'weighting'?)"
        >>> nearest("zzz", ["weighting", "model"])
        ''
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
