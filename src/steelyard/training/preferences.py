"""Preferences that a policy is given in its prompt: drawn for each prompt in training, chosen by the user afterwards."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.messages import text_of
from steelyard.seeds import spread_seed

COLUMN = "preference"
"""The column of a row that holds the weights of its prompt, in the order of the objectives."""


def preference_text(names: Sequence[str], weights: Sequence[float]) -> str:
    """A preference in words.

    Example:
        >>> preference_text(["accuracy", "conciseness"], [0.7, 0.3])
        'accuracy 0.7, conciseness 0.3'
    """
    return ", ".join(f"{name} {round(weight, 2):g}" for name, weight in zip(names, weights, strict=True))


def with_preference(
    row: Mapping[str, Any], names: Sequence[str], weights: Sequence[float], template: Any = None
) -> dict[str, Any]:
    """A row whose prompt says a preference, and whose column `preference` holds it.

    Args:
        row: with a `prompt`, a text or messages.
        names: the objectives'.
        weights: not negative, summing to 1.
        template: writes a text prompt from `prompt`, `preference` (in words) and `weights`; default: the preference in brackets before it. Of messages, the
            system message says it.

    Example:
        >>> with_preference({"prompt": "2+2?"}, ["right", "short"], [0.5, 0.5])["prompt"]
        '[right 0.5, short 0.5] 2+2?'
    """
    said = preference_text(names, weights)
    prompt = row["prompt"]
    if isinstance(prompt, str):
        given = {"prompt": prompt, "preference": said, "weights": list(weights)}
        prompt = f"[{said}] {prompt}" if template is None else template.render(given, "the preference's template")
    else:
        first, rest = (prompt[0], prompt[1:]) if prompt[0]["role"] == "system" else ({"role": "system", "content": ""}, prompt)
        content = f"{text_of([first])}\nPreference: {said}".strip()
        prompt = [{"role": "system", "content": content}, *rest]
    return {**row, "prompt": prompt, COLUMN: list(map(float, weights))}


def drawn_preferences(count: int, size: int, *, concentration: float = 1.0, seed: int = 0) -> list[list[float]]:
    """Preferences from a symmetric Dirichlet distribution, by seed.

    Args:
        count: how many.
        size: objectives.
        concentration: 1 draws evenly from the simplex, less favours its corners, more its middle.
        seed: of the draws.

    Example:
        >>> [round(sum(weights), 6) for weights in drawn_preferences(2, 3)]
        [1.0, 1.0]
    """
    drawn = random.Random(spread_seed(seed, "preferences"))
    found = []
    for _ in range(count):
        raw = [max(drawn.gammavariate(concentration, 1.0), 1e-12) for _ in range(size)]
        found.append([one / sum(raw) for one in raw])
    return found


def read_preference(text: str, names: Sequence[str]) -> list[float]:
    """A preference as a user writes it, "accuracy=.7,conciseness=.3"; divided by its sum, 0 for what is not named.

    Raises:
        InputError: where a name is unknown, or a weight is none.

    Example:
        >>> read_preference("short=3,right=1", ["right", "short", "clear"])
        [0.25, 0.75, 0.0]
    """
    found = dict.fromkeys(names, 0.0)
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in found:
            raise InputError(f"unknown objective {name!r}{nearest(name, names)}: the objectives are {', '.join(names)}")
        try:
            found[name] = float(value)
        except ValueError:
            raise InputError(f"a preference is written as {next(iter(names))}=.7, but found {part!r}") from None
        if not equals or not 0 <= found[name] < float("inf"):
            raise InputError(f"a preference is a number from 0 on, but that of {name!r} is {value!r}")
    total = sum(found.values())
    if not total:
        raise InputError("a preference needs one weight above 0 at least")
    return [weight / total for weight in found.values()]
