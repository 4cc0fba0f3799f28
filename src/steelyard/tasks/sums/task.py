"""Three-number sums that can be answered at once, in steps, or at length.

A prompt is ``"17+25+38="``. The longer ways of answering are easier to get right and clearer to read, the shorter ones cost
fewer tokens, so accuracy, conciseness and clarity pull apart, and they do so in grades: `STYLES` is a ladder with eight rungs.

Left out on purpose: any mark of the style in the prompt. The policy alone decides how to answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from steelyard.errors import InputError

Terms = tuple[int, int, int]


def _bare(x: int, y: int, z: int) -> str:
    return f"{x + y + z}"


def _boxed(x: int, y: int, z: int) -> str:
    return f"\\boxed{{{x + y + z}}}"


def _partial(x: int, y: int, z: int) -> str:
    return f"{x + y}, {x + y + z}"


def _partial_boxed(x: int, y: int, z: int) -> str:
    return f"{x + y}, \\boxed{{{x + y + z}}}"


def _one_step(x: int, y: int, z: int) -> str:
    return f"1. {x}+{y}={x + y}\n\\boxed{{{x + y + z}}}"


def _two_steps(x: int, y: int, z: int) -> str:
    return f"1. {x}+{y}={x + y}\n2. {x + y}+{z}={x + y + z}\n\\boxed{{{x + y + z}}}"


def _columns(x: int, y: int, z: int) -> str:
    units, tens = x % 10 + y % 10 + z % 10, x // 10 + y // 10 + z // 10
    return (
        f"1. {x % 10}+{y % 10}+{z % 10}={units}\n2. {x // 10}+{y // 10}+{z // 10}={tens}\n"
        f"3. {tens}0+{units}={x + y + z}\n\\boxed{{{x + y + z}}}"
    )


def _explained(x: int, y: int, z: int) -> str:
    units, tens = x % 10 + y % 10 + z % 10, x // 10 + y // 10 + z // 10
    return (
        f"1. units: {x % 10}+{y % 10}+{z % 10}={units}\n2. tens: {x // 10}+{y // 10}+{z // 10}={tens}\n"
        f"3. both: {tens}0+{units}={x + y + z}\nso \\boxed{{{x + y + z}}}"
    )


STYLES: dict[str, Callable[[int, int, int], str]] = {
    "bare": _bare,
    "boxed": _boxed,
    "partial": _partial,
    "partial-boxed": _partial_boxed,
    "one-step": _one_step,
    "two-steps": _two_steps,
    "columns": _columns,
    "explained": _explained,
}
"""Ways of answering, from the shortest to the longest; each maps the three terms to the text of a right answer."""


SMALLEST, LARGEST = 10, 49
"""The range of the terms: two digits, so that every prompt has the same shape."""


def is_held_out(terms: Terms) -> bool:
    """Tell whether a sum belongs to the eighth that is kept for validation: neither pretraining nor a run's training ever draws it.

    Example:
        >>> share = sum(is_held_out((x, y, 20)) for x in range(10, 50) for y in range(10, 50)) / 1600
        >>> 0.1 < share < 0.15
        True
    """
    x, y, z = terms
    return (7 * x + 11 * y + 13 * z) % 8 == 0


def draw_terms(seed: int, *, held_out: bool = False) -> Iterator[Terms]:
    """Yield three-term sums for ever, with repetition, in an order fixed by ``seed``, from the training part or the held-out one.

    Example:
        >>> is_held_out(next(draw_terms(0, held_out=True)))
        True
    """
    rng = random.Random(seed)
    while True:
        terms = (rng.randint(SMALLEST, LARGEST), rng.randint(SMALLEST, LARGEST), rng.randint(SMALLEST, LARGEST))
        if is_held_out(terms) == held_out:
            yield terms


def prompt_text(terms: Terms) -> str:
    """Write three terms as a prompt.

    Example:
        >>> prompt_text((17, 25, 38))
        '17+25+38='
    """
    return "+".join(str(term) for term in terms) + "="


def sums_rows(num_train: int, num_validation: int, *, seed: int = 0) -> tuple[list[dict], list[dict]]:
    """Generate training and validation prompts with their answers.

    Args:
        num_train: training prompts, 1 to 50,000.
        num_validation: held-out prompts, 1 to 7,000.
        seed: of the training prompts. The validation prompts are the same for every seed, so that runs can be compared.

    Returns:
        Two lists of ``{"prompt": str, "answer": str}``, each without repetition; no sum is in both, and pretraining has seen no held-out one.

    Raises:
        InputError: where more prompts are asked for than there are.

    Example:
        >>> train, held_out = sums_rows(3, 2, seed=1)
        >>> len(train), len(held_out), sorted(train[0])
        (3, 2, ['answer', 'prompt'])
    """
    if not (1 <= num_train <= 50_000 and 1 <= num_validation <= _HELD_OUT):
        raise InputError(
            f"sums: 1 to 50,000 training and 1 to 7,000 validation prompts can be made, but {num_train} and {num_validation} are asked for"
        )

    return _rows(draw_terms(seed), num_train), _rows(draw_terms(0, held_out=True), num_validation)


def sums_test_rows(num_test: int, num_validation: int) -> list[dict]:
    """A third set of sums, in neither of the two that `sums_rows` makes: from the other end of the held-out ones, the same for every seed.

    Args:
        num_test: at least 0.
        num_validation: how many `sums_rows` was asked for; both together at most 7,000.

    Raises:
        InputError: where more prompts are asked for than there are.

    Example:
        >>> validation = sums_rows(1, 512)[1]
        >>> test = sums_test_rows(512, 512)
        >>> len(test), [row for row in test if row in validation], test[:2] == sums_test_rows(2, 3)
        (512, [], True)
    """
    if not (num_test >= 0 and num_test + num_validation <= _HELD_OUT):
        raise InputError(
            f"sums: {_HELD_OUT:,} prompts can be held out, but {num_validation} for validation and {num_test} for the test are asked for"
        )
    return _rows(draw_terms(0, held_out=True), _HELD_OUT)[::-1][:num_test]


def sums_split(
    num_train: int | None, num_validation: int, num_test: int | None = None, *, seed: int = 0
) -> tuple[list[dict], list[dict], list[dict]]:
    """Generate training, validation and test prompts.

    Args:
        num_train: default: 4096.
        num_validation: see `sums_rows`.
        num_test: see `sums_test_rows`; default: as many as for validation, as far as there are.
        seed: of the training prompts.

    Example:
        >>> [len(rows) for rows in sums_split(3, 2)]
        [3, 2, 2]
    """
    train, validation = sums_rows(num_train or 4096, num_validation, seed=seed)
    return (
        train,
        validation,
        sums_test_rows(min(num_validation, _HELD_OUT - num_validation) if num_test is None else num_test, num_validation),
    )


_HELD_OUT = 7_000


def _rows(terms: Iterator[Terms], size: int) -> list[dict]:
    distinct: dict[Terms, None] = {}
    while len(distinct) < size:
        distinct[next(terms)] = None
    return [{"prompt": prompt_text(now), "answer": str(sum(now))} for now in distinct]
