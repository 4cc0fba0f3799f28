"""A schedule in one word, as in recipes and on the command line."""

from __future__ import annotations

import dataclasses

from steelyard.errors import InputError, nearest
from steelyard.mixture.base import Schedule
from steelyard.mixture.schedules._registry import SCHEDULES


def schedule_forms() -> dict[str, str]:
    """How every schedule is written, by the word that it begins with.

    Example:
        >>> schedule_forms()["constant"], schedule_forms()["cooldown"]
        ('constant:TAU', 'cooldown, or cooldown:START,END,AT')
    """
    return {word: _form(word, schedule) for word, schedule in SCHEDULES.items()}


def _form(word: str, schedule: type[Schedule]) -> str:
    """As the class says, or its word and its fields."""
    if schedule.form:
        return schedule.form
    fields: tuple[dataclasses.Field[object], ...] = dataclasses.fields(schedule) if dataclasses.is_dataclass(schedule) else ()
    needed = [field.name.upper() for field in fields if field.default is dataclasses.MISSING]
    every = [field.name.upper() for field in fields]
    forms = [f"{word}:{','.join(names)}" if names else word for names in (needed, every)]
    return ", or ".join(dict.fromkeys(forms))


def schedule_class(text: str) -> type[Schedule]:
    """The class of a schedule in a word.

    Raises:
        InputError: naming the forms there are.
    """
    word = text.partition(":")[0]
    if word not in SCHEDULES:
        raise InputError(f"unknown schedule {word!r}{nearest(word, SCHEDULES)}: use {'; '.join(schedule_forms().values())}")
    return SCHEDULES[word]


def parse_schedule(text: str) -> Schedule:
    """A schedule from one word, as on the command line.

    Args:
        text: one of `schedule_forms()`, numbers filled in.

    Returns:
        The schedule.

    Raises:
        InputError: naming the forms there are.

    Example:
        >>> parse_schedule("cooldown"), parse_schedule("piecewise:0=100,0.2=5,0.6=1").changes()
        (Cooldown(start=5.0, end=1.0, at=0.5), [0.2, 0.6])
        >>> parse_schedule("cooldwn")
        Traceback (most recent call last):
        steelyard.errors.InputError: unknown schedule 'cooldwn' (did you mean 'cooldown'?): use adaptive, or adaptive:START,...
    """
    made, (word, _, rest) = schedule_class(text), text.partition(":")
    try:
        return made.parse(rest)
    except InputError:
        raise
    except (ValueError, TypeError):
        raise InputError(f"cannot read schedule {text!r}: write {_form(word, made)}") from None
