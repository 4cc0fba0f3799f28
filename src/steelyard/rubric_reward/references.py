"""What an answer is compared with to get its reward: which pairs of a group are judged, and what each answer gets of them.

A scheme has two halves. `play` says what is judged, and asks for it. `scores` turns the values that come of it into one score an answer, -1 to 1, and
is a pure function: it serves the verdicts' total and each principle of a rubric alike.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Pair = tuple[int, int]
"""Two members of a group, or one and `GIVEN`."""
GIVEN = -1
"""Stands for what is no member: a reference from outside, or all the others of a list."""
_Values = Mapping[Pair, float | None]
"""By pair, how much better its first member is, -1 to 1; None where judging failed, or where a principle did not come up."""


class _Judging(Protocol):
    """What a scheme asks."""

    async def compare(self, first: int, second: int) -> float | None:
        """Judge a pair, and say how much better its first member is."""

    async def rank(self, members: Sequence[int]) -> None:
        """Judge members beside each other, in one question."""


_SKEWED = 0.6
"""A group whose scores add up to more than this a member, either way, had no fair reference."""


class _Scheme(Protocol):
    """A way to choose references.

    Attributes:
        from_outside: whether answers are compared with one that is not of the group.
        skewed: whether one-sided groups are left out.
    """

    @property
    def from_outside(self) -> bool: ...

    @property
    def skewed(self) -> bool: ...

    async def play(self, order: Sequence[int], judging: _Judging) -> None:
        """Have a group judged, whose members stand in an order drawn by seed; the first may serve as the reference."""

    def scores(self, order: Sequence[int], values: _Values) -> dict[int, float | None]:
        """A score for each member, from the values of the pairs that were judged."""

    def calls(self, size: int) -> int:
        """How many pairs a group of this size needs, before checks, caches and equal answers take some away."""


@dataclass(frozen=True)
class _OneReference:
    """Everybody against one answer: a member of the group, or one from outside."""

    from_outside: bool
    skewed: bool

    async def play(self, order: Sequence[int], judging: _Judging) -> None:
        others, reference = (order, GIVEN) if self.from_outside else (order[1:], order[0])
        await asyncio.gather(*(judging.compare(member, reference) for member in others))

    def scores(self, order: Sequence[int], values: _Values) -> dict[int, float | None]:
        if self.from_outside:
            return {member: values.get((member, GIVEN)) for member in order}
        reference = order[0]
        found = {member: values.get((member, reference)) for member in order[1:]}
        # The reference is no better than itself; where nothing could be compared with it, it has no score either.
        return found | {reference: 0.0 if any(value is not None for value in found.values()) else None}

    def calls(self, size: int) -> int:
        return size if self.from_outside else size - 1


@dataclass(frozen=True)
class _RoundRobin:
    """Everybody against everybody; a score is the mean over the opponents."""

    from_outside: bool = False
    skewed: bool = False

    async def play(self, order: Sequence[int], judging: _Judging) -> None:
        pairs = [(first, second) for i, first in enumerate(order) for second in order[i + 1 :]]
        await asyncio.gather(*(judging.compare(*pair) for pair in pairs))

    def scores(self, order: Sequence[int], values: _Values) -> dict[int, float | None]:
        found: dict[int, list[float]] = {member: [] for member in order}
        for (first, second), value in values.items():
            if value is not None:
                found[first].append(value)
                found[second].append(-value)
        return {member: sum(each) / len(each) if each else None for member, each in found.items()}

    def calls(self, size: int) -> int:
        return size * (size - 1) // 2


@dataclass(frozen=True)
class _Tournament:
    """Single elimination in an order drawn by seed; a score is an answer's strength by Bradley-Terry."""

    from_outside: bool = False
    skewed: bool = False

    async def play(self, order: Sequence[int], judging: _Judging) -> None:
        left = list(order)
        while len(left) > 1:
            pairs = list(zip(left[::2], left[1::2], strict=False))
            values = await asyncio.gather(*(judging.compare(*pair) for pair in pairs))
            # Where a match ends in a tie, or was not judged, the one goes on that was drawn first.
            winners = [
                second if value is not None and value < 0 else first for (first, second), value in zip(pairs, values, strict=True)
            ]
            left = winners + left[2 * len(pairs) :]

    def scores(self, order: Sequence[int], values: _Values) -> dict[int, float | None]:
        return strengths(order, values)

    def calls(self, size: int) -> int:
        return size - 1


@dataclass(frozen=True)
class _List:
    """No pairs: all answers of a group stand in one question, and are scored beside each other."""

    from_outside: bool = False
    skewed: bool = False

    async def play(self, order: Sequence[int], judging: _Judging) -> None:
        await judging.rank(order)

    def scores(self, order: Sequence[int], values: _Values) -> dict[int, float | None]:
        return {member: values.get((member, GIVEN)) for member in order}

    def calls(self, size: int) -> int:
        return 1


LISTWISE, GREEDY, START = "listwise", "greedy", "start"
POLICY_ANSWERS = {GREEDY: "greedy_answer", START: "start_answer"}
"""Of references that only the policy can give, the columns in which the trainer provides them."""
COLUMN: _Scheme = _OneReference(from_outside=True, skewed=False)
"""Answers are compared with one that stands in the row."""
REFERENCES: dict[str, _Scheme] = {
    "bootstrap": _OneReference(from_outside=False, skewed=True),
    GREEDY: COLUMN,
    LISTWISE: _List(),
    "round-robin": _RoundRobin(),
    START: COLUMN,
    "tournament": _Tournament(),
}
"""The schemes by name."""


def strengths(members: Sequence[int], values: _Values, *, prior: float = 0.5, steps: int = 200) -> dict[int, float | None]:
    """Bradley-Terry strengths from the matches of a group, as the chance to beat an average member, on a scale of -1 to 1.

        p(i beats j) = s_i / (s_i + s_j),   score_i = (s_i - 1) / (s_i + 1),   with the strengths' geometric mean at 1

    Args:
        members: of the group.
        values: by pair, -1 to 1: the share of a win that its first member gets is (value + 1) / 2. Values beyond that count as 1 and -1: with
            `form="share"` a principle of weight 1 can have up to 2.
        prior: ties against an average opponent that every member is given, so that strengths stay finite.
        steps: of the minorisation-maximisation algorithm (Hunter 2004), which never overshoots.

    Returns:
        A score a member; None for one that took part in no match.

    Example:
        >>> {member: round(score, 2) for member, score in strengths([0, 1, 2], {(0, 1): 1.0, (0, 2): 1.0, (1, 2): None}).items()}
        {0: 0.66, 1: -0.38, 2: -0.38}
    """
    matches = [(pair, (max(-1.0, min(1.0, value)) + 1) / 2) for pair, value in values.items() if value is not None]
    played = {member for pair, _ in matches for member in pair}
    if not played:
        return dict.fromkeys(members)
    won = dict.fromkeys(played, prior / 2)
    for (first, second), share in matches:
        won[first] += share
        won[second] += 1 - share
    strength = dict.fromkeys(played, 1.0)
    for _ in range(steps):
        met = {member: prior / (strength[member] + 1) for member in played}
        for (first, second), _share in matches:
            each = 1 / (strength[first] + strength[second])
            met[first] += each
            met[second] += each
        strength = {member: won[member] / met[member] for member in played}
    middle = math.exp(sum(map(math.log, strength.values())) / len(strength))
    scaled = {member: one / middle for member, one in strength.items()}
    return {member: (scaled[member] - 1) / (scaled[member] + 1) if member in played else None for member in members}


def is_skewed(scores: Sequence[float | None]) -> bool:
    """Whether nearly all of a group are better than their reference, or worse: `|sum_i s_i| / n > 0.6` over those with a score.

    Example:
        >>> is_skewed([0.0, 1.0, 1.0, 1.0]), is_skewed([0.0, 1.0, 1.0, -1.0]), is_skewed([None, None])
        (True, False, False)

    Reference:
        Jia et al., Writing-Zero, arXiv 2506.00103, section 3.3.
    """
    found = [score for score in scores if score is not None]
    return bool(found) and abs(sum(found)) / len(found) > _SKEWED
