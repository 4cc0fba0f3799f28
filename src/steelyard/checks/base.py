"""What a check is, and how two answers are told apart by checks alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from steelyard.checks._identity import identity_of
from steelyard.errors import InputError, nearest
from steelyard.registry import Registry

Function = Callable[[str, str, Mapping[str, Any]], "float | None"]
_Decided = tuple[Literal["a", "b", "tie"], float]
Answer = Callable[[str], "bool | None"]
Factory = Callable[..., Function]
CHECKS: Registry[Factory] = Registry("kind of check", __package__)
"""What makes the function of a check, by the name of its kind; each adds itself where it stands."""
_ROLES = ("guard", "reward")


@dataclass(frozen=True)
class Check:
    """A pointwise verifiable rubric.

    Attributes:
        name: unique among the checks of a judge.
        run: from prompt, answer and the row's columns to a value from 0 (failed) to 1 (passed), or None where it does not apply.
        role: "guard" (an answer that does not pass loses, whatever the judge would say) or "reward" (a part of the reward).
        made_from: kind and options, where it was made from such.

    Example:
        >>> short = Check("short", lambda prompt, answer, columns: float(len(answer) < 10), role="reward")
        >>> short("2+2?", "4")
        1.0
    """

    name: str
    run: Function
    role: str = "guard"
    made_from: str = ""

    @property
    def identity(self) -> str:
        """What its values depend on beside prompt, answer and row: kind and options, or the function that it is."""
        return self.made_from or identity_of(self.run)

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise InputError(
                f"check {self.name!r}: role must be 'guard' or 'reward', but is {self.role!r}{nearest(str(self.role), _ROLES)}"
            )

    def __call__(self, prompt: str, answer: str, columns: Mapping[str, Any] | None = None) -> float | None:
        """Check an answer.

        Raises:
            InputError: where the row lacks a column that the check needs, or the check gives no value from 0 to 1.
        """
        value = self.run(prompt, answer, columns or {})
        if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= 1):
            raise InputError(f"check {self.name!r} must give a number from 0 to 1, or None, but gave {value!r}")
        return None if value is None else float(value)


def compare_checks(
    checks: Sequence[Check], prompt: str, a: str, b: str, columns: Mapping[str, Any]
) -> tuple[dict[str, tuple[float | None, float | None]], _Decided | None]:
    """Check both answers, and decide between them where the checks can.

    Guards come first: where one answer passes all and the other does not, it wins by 2; where neither does, it is a tie, and no judge is asked to
    choose between two that both lose. Else the mean of the reward checks decides, where it differs.

    Returns:
        Results by name, for A and for B; and winner and score, or None where the judge has to say.

    Example:
        >>> guard = Check("digits", lambda prompt, answer, columns: float(answer.isdigit()))
        >>> compare_checks([guard], "2+2?", "4", "four", {})
        ({'digits': (1.0, 0.0)}, ('a', 2.0))
    """
    results = {one.name: (one(prompt, a, columns), one(prompt, b, columns)) for one in checks}
    if len(results) != len(checks):
        raise InputError(f"checks must have names that differ, but are {[one.name for one in checks]}")
    guards = [results[one.name] for one in checks if one.role == "guard"]
    lost = [any(result[side] is not None and result[side] < 1.0 for result in guards) for side in (0, 1)]  # type: ignore[operator]
    if all(lost):
        return results, ("tie", 0.0)
    if any(lost):
        return results, ("b", -2.0) if lost[0] else ("a", 2.0)
    rewards = [
        (first, second)
        for one in checks
        if one.role == "reward"
        for first, second in [results[one.name]]
        if first is not None and second is not None
    ]
    if rewards:
        gap = sum(first - second for first, second in rewards) / len(rewards)
        if gap:
            return results, ("a" if gap > 0 else "b", 2.0 * gap)
    return results, None


def on_last_message(function: Function) -> Function:
    """Marks a function that looks for the final answer: of an answer of several messages it is shown the last one.

    Example:
        >>> reads_last_message(Check("right", on_last_message(lambda prompt, answer, columns: float(answer == "4"))))
        True
    """
    function.on_last_message = True  # type: ignore[attr-defined]
    return function


def reads_last_message(check: Check) -> bool:
    """Whether a check is shown the last of several messages, and not all that the model said."""
    return getattr(check.run, "on_last_message", False)


def that_leaves_out(function: Function, left: Counter[str]) -> Function:
    """Marks a function that may leave something out: it counts the name each time that it does.

    Example:
        >>> left_out(Check("some", that_leaves_out(lambda prompt, answer, columns: 1.0, Counter("aba"))))
        Counter({'a': 2, 'b': 1})
    """
    function.left_out = left  # type: ignore[attr-defined]
    return function


def left_out(check: Check) -> Counter[str]:
    """How often a check left out what it could not check, as an instruction that it does not know, by name."""
    return Counter(getattr(check.run, "left_out", {}))


def on_answer(test: Answer) -> Function:
    """A check that looks at the answer alone.

    Example:
        >>> on_answer(str.isdigit)("2+2?", "4", {})
        1.0
    """
    return lambda prompt, answer, columns: graded(test(answer))


def graded(passed: bool | None) -> float | None:
    """What a check says where it is passed, failed, or undecided.

    Example:
        >>> graded(True), graded(False), graded(None)
        (1.0, 0.0, None)
    """
    return None if passed is None else float(passed)
