"""Prompts such as an assistant gets, in three domains of very different size, each with another way to tell a good answer.

    maths          word problems with a number as their answer
    instructions   a request with a constraint, by the names and arguments of IFEval, whose checks say whether it was followed
    writing        open requests, which only a reader can judge

Left out on purpose: difficulty. A model of a hundred million parameters should get some of each right.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from steelyard.errors import InputError

Row = dict[str, Any]

DOMAINS = {"maths": 1200, "instructions": 240, "writing": 60}
"""How many prompts there are to train on in each domain: twentyfold, from the largest to the smallest."""
_HELD_OUT = 60
"""Prompts of each domain that are held out, for validation and test together."""

_NAMES = (
    "Ana",
    "Ben",
    "Chen",
    "Dora",
    "Emil",
    "Farah",
    "Goran",
    "Hana",
    "Ivo",
    "Jana",
    "Kofi",
    "Lea",
    "Mia",
    "Nils",
    "Omar",
    "Pia",
)
_THINGS = ("apples", "books", "coins", "eggs", "marbles", "pencils", "shells", "stamps", "stickers", "tickets")
_TOPICS = (
    "a bicycle",
    "a bridge",
    "a candle",
    "a garden",
    "a lighthouse",
    "a market",
    "a mountain",
    "a river",
    "a snowstorm",
    "a train",
    "an old clock",
    "an orchestra",
    "autumn",
    "bread",
    "chess",
    "fishing",
    "friendship",
    "honey",
    "kites",
    "libraries",
    "maps",
    "the desert",
    "the moon",
    "the sea",
)
_REQUESTS = ("Describe {}.", "Say what people like about {}.", "Explain {} to a child.")
_CONSTRAINTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("Do not use any commas.", "punctuation:no_comma", {}),
    ("Write in lowercase letters only.", "change_case:english_lowercase", {}),
    ("Use at most 20 words.", "length_constraints:number_words", {"relation": "less than", "num_words": 21}),
    ("Use at least 30 words.", "length_constraints:number_words", {"relation": "at least", "num_words": 30}),
    ("Put the whole answer in double quotation marks.", "startend:quotation", {}),
    ("Mention the word 'slowly'.", "keywords:existence", {"keywords": ["slowly"]}),
    ("Do not use the word 'and'.", "keywords:forbidden_words", {"forbidden_words": ["and"]}),
    ("Answer in exactly two bullet points that begin with *.", "detectable_format:number_bullet_lists", {"num_bullets": 2}),
)
_FORMS = (
    "Write two sentences of a story about {}.",
    "Write a short poem about {}.",
    "Write the first lines of a letter about {}.",
    "Write a few lines in which two friends talk about {}.",
    "Write a riddle whose answer is {}.",
)


def _problem(rng: random.Random) -> Row:
    name, things, a, b = rng.choice(_NAMES), rng.choice(_THINGS), rng.randint(3, 30), rng.randint(2, 9)
    text, answer = rng.choice(
        (
            (f"{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?", a + b),
            (f"{name} had {a + b} {things} and gave away {b}. How many {things} are left?", a),
            (f"{name} has {b} boxes with {a} {things} in each. How many {things} are there?", a * b),
        )
    )
    return {"prompt": f"{text} Answer with the number.", "answer": str(answer)}


def _instruction(rng: random.Random) -> Row:
    said, name, arguments = rng.choice(_CONSTRAINTS)
    request = rng.choice(_REQUESTS).format(rng.choice(_TOPICS))
    return {"prompt": f"{request} {said}", "instruction_id_list": [name], "kwargs": json.dumps([arguments])}


def _request(rng: random.Random) -> Row:
    return {"prompt": rng.choice(_FORMS).format(rng.choice(_TOPICS))}


_MAKERS: dict[str, Callable[[random.Random], Row]] = {"maths": _problem, "instructions": _instruction, "writing": _request}


def everyday_rows(
    num_train: int | None, num_validation: int, num_test: int | None = None, *, seed: int = 0
) -> tuple[list[Row], list[Row], list[Row]]:
    """Generate training, validation and test prompts; no prompt is in two of them.

    Args:
        num_train: training prompts, of each domain in proportion to its size; default: all, 1,500.
        num_validation, num_test: held-out prompts, the same number of each domain as far as it goes; 3 at least for validation, 180 together. Default for
            the test: as many as for validation, as far as there are.
        seed: of the order of the training prompts. The prompts themselves are the same for every seed, so that runs can be compared.

    Returns:
        Three lists of rows: `prompt`, `domain`, and `answer` or `instruction_id_list` and `kwargs` (IFEval's columns).

    Raises:
        InputError: where more prompts are asked for than there are.

    Example:
        >>> train, held_out, test = everyday_rows(150, 6, 3)
        >>> [sum(row["domain"] == name for row in train) for name in DOMAINS], [row["domain"] for row in test]
        ([120, 24, 6], ['maths', 'instructions', 'writing'])
        >>> train[0]["prompt"] in [row["prompt"] for row in held_out + test]
        False
    """
    largest = sum(DOMAINS.values())
    if not 3 <= (num_train or largest) <= largest:
        raise InputError(f"everyday: 3 to {largest:,} training prompts can be made, but {num_train} are asked for")
    most = len(DOMAINS) * _HELD_OUT
    num_test = min(num_validation, most - num_validation) if num_test is None else num_test
    if not (num_validation >= len(DOMAINS) and num_test >= 0 and num_validation + num_test <= most):
        raise InputError(
            f"everyday: {len(DOMAINS)} to {most} prompts can be held out, one of each domain at least for validation, but {num_validation} for "
            f"validation and {num_test} for the test are asked for"
        )
    pools = {name: _distinct(name, size + _HELD_OUT) for name, size in DOMAINS.items()}
    held_out = [row for rows in zip(*(pool[:_HELD_OUT] for pool in pools.values()), strict=True) for row in rows]
    train: list[Row] = []
    for name, size in DOMAINS.items():
        share = size if num_train is None else max(1, size * num_train // largest)
        train += pools[name][_HELD_OUT : _HELD_OUT + share]
    random.Random(seed).shuffle(train)
    # From the two ends, so that the test prompts stay the same however many validate.
    return train, held_out[:num_validation], held_out[len(held_out) - num_test :]


def _distinct(name: str, size: int) -> list[Row]:
    rng, found = random.Random(f"everyday {name}"), dict[str, Row]()
    while len(found) < size:
        row = _MAKERS[name](rng)
        found.setdefault(row["prompt"], row | {"domain": name})
    return list(found.values())
