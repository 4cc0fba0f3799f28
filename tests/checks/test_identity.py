"""What tells one function from another: its code and what it captured, and never where it lies in memory."""

import functools
import re

import pytest

from steelyard.checks import Check, check
from steelyard.checks.base import identity_of


def limit(most, **more):
    return lambda prompt, answer, columns: float(len(answer) < most and not more)


def inner(most):
    def measure(answer):
        return len(answer) - most

    return lambda prompt, answer, columns: float(measure(answer) < 0)


def itself():
    def run(prompt, answer, columns):
        return run(prompt, answer[1:], columns) if answer else 1.0

    return run


class Longer:
    def run(self, prompt, answer, columns):
        return 1.0


CASES = {
    "captured numbers": (lambda: limit(50), lambda: limit(100)),
    "captured mappings": (lambda: limit(1, a=[1]), lambda: limit(1, a=[2])),
    "functions inside": (lambda: inner(1), lambda: inner(2)),
    "code": (lambda: lambda p, a, c: float(len(a) < 3), lambda: lambda p, a, c: float(len(a) > 3)),
    "constants": (lambda: lambda p, a, c: float("x" in a), lambda: lambda p, a, c: float("y" in a)),
    "defaults": (lambda: lambda p, a, c, most=1: float(most), lambda: lambda p, a, c, most=2: float(most)),
    "partial": (lambda: functools.partial(max, 1), lambda: functools.partial(max, 2)),
    "sets": (lambda: limit({"a", "b", "c"}), lambda: limit({"a", "b", "d"})),
    "pieces inside": (lambda: lambda p, a, c: float(any(x == 1 for x in a)), lambda: lambda p, a, c: float(any(x == 2 for x in a))),
    "itself": (itself, lambda: limit(1)),
    "methods": (lambda: Longer().run, lambda: limit(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_identity_tells_functions_apart_and_is_the_same_for_the_same(name):
    one, other = CASES[name]
    assert identity_of(one()) == identity_of(one())
    assert identity_of(one()) != identity_of(other())
    assert not re.search(r"0x[0-9a-f]{6,}", identity_of(one()))


def test_checks_are_told_apart_by_kind_and_options():
    made = [
        check("words", at_most=50), check("words", at_most=100), check("words", at_least=50), check("words", at_most=50, at_least=1),
        check("characters", at_most=50), Check("words", limit(50)),
    ]  # fmt: skip
    assert len({one.identity for one in made}) == len(made)
    assert check("words", at_most=50, at_least=1).identity == check("words", at_least=1, at_most=50, name="another").identity
