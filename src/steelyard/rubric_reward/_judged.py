"""A batch of answers before a judge: which pairs are compared, and what every answer gets of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from steelyard.messages import answer_of, text_of
from steelyard.rubric.verdict import Verdict
from steelyard.rubric_reward._group import Group
from steelyard.rubric_reward.references import GIVEN, Pair

T = TypeVar("T")
COUNTED = (
    "groups",
    "pairs",
    "failed",
    "beyond",
    "guarded",
    "no_gradient",
    "disagreed",
    "calls",
    "cached",
    "tokens_in",
    "tokens_out",
)
"""What is counted of a batch."""
_NOT_ASKED = "not asked"


@dataclass
class Judged:
    """What came of a batch.

    Attributes:
        scores: one an answer, -1 to 1; None where it has none.
        by_principle: the same by each principle's id.
        verdicts: by pair of rows (the second `GIVEN` where it was a reference from outside), one a judge and sample.
        seconds: that judging took.
        counts: of pairs, failed ones, calls, tokens and so on, for the log.
        texts: prompt and answer of every row.
        against: by pair of a row and `GIVEN`, the text of the reference.
        listed: by row, what a listwise judge said of it.
        dropped: by row, the criteria that did not count in its group.
    """

    scores: list[float | None]
    by_principle: dict[str, list[float | None]]
    verdicts: dict[Pair, list[Verdict]] = field(default_factory=dict)
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    texts: list[tuple[str, str]] = field(default_factory=list)
    against: dict[Pair, str] = field(default_factory=dict)
    listed: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    dropped: dict[int, list[str]] = field(default_factory=dict)

    def notes(self) -> dict[tuple[str, str], list[str]]:
        """By prompt and answer, what each such answer was compared with and what was said, as JSON: for the record of a run.

        Example:
            >>> judged = Judged([1.0, 0.0], {}, {(0, 1): [Verdict("a", 2.0, "checks")]}, texts=[("p", "x"), ("p", "y")])
            >>> [(note["side"], note["other"]) for note in json.loads(judged.notes()["p", "y"][0])]
            [('b', 'x')]
        """
        of_row: list[list[dict[str, Any]]] = [[] for _ in self.texts]
        for (first, second), verdicts in self.verdicts.items():
            said = [verdict.to_dict() for verdict in verdicts]
            other = self.against[first, second] if second == GIVEN else self.texts[second][1]
            left_out = {"dropped": self.dropped[first]} if self.dropped.get(first) else {}
            of_row[first].append({"side": "a", "other": other, "verdicts": said, **left_out})
            if second != GIVEN:
                of_row[second].append({"side": "b", "other": self.texts[first][1], "verdicts": said, **left_out})
        for row, scores in self.listed.items():
            of_row[row].append({"listed": scores})
        found: dict[tuple[str, str], list[str]] = {}
        for texts, noted in zip(self.texts, of_row, strict=True):
            found.setdefault(texts, []).append(json.dumps(noted, ensure_ascii=False))
        return found


class JudgedBatch:
    """The groups of a batch, and what came of them.

    Args:
        reward: whose judges, scheme and settings are used.
        prompts, completions, rows: one an answer; a row holds the columns.
        groups: the places of answers to one prompt that stand together.
        until: when judging must end, on the monotonic clock; None for no such time.
    """

    def __init__(
        self,
        reward: Any,
        prompts: list,
        completions: list,
        rows: list[dict[str, Any]],
        groups: list[list[int]],
        until: float | None,
    ) -> None:
        self.of, self.prompts, self.completions, self.rows, self.until = reward, prompts, completions, rows, until
        self.groups = [Group(self, members) for members in groups]
        self.pairs_asked = self.in_a_row = 0
        self.slots = asyncio.Semaphore(max(judge.client.concurrency for judge in reward.judges))
        self._cached = self._cached_so_far()

    def _cached_so_far(self) -> int:
        return sum(judge.client.usage.cached for judge in self.of.judges)

    async def play(self) -> None:
        """Judge all groups; what has a verdict is not judged again."""
        self.in_a_row = 0
        await asyncio.to_thread(self._draw)
        await asyncio.gather(*(group.play() for group in self.groups))

    def _draw(self) -> None:
        for group in self.groups:
            if not group.order:
                group.draw()

    async def ask(self, asking: Callable[[], Awaitable[T]], late: Callable[[str], T]) -> T:
        """What a judge says when its turn comes; a failure where the deadline is before it, or nearly all that was asked before failed."""
        async with self.slots:
            if self.in_a_row >= self.of.in_a_row:
                return late(f"{_NOT_ASKED}, since {self.in_a_row} questions in a row brought no verdict")
            found = await self._in_time(asking(), late)
        self.in_a_row = self.in_a_row + 1 if getattr(found, "error", None) else 0
        return found

    async def _in_time(self, asking: Awaitable[T], late: Callable[[str], T]) -> T:
        """What is asked, or a failure where the deadline is before it."""
        if self.until is None:
            return await asking
        try:
            return await asyncio.wait_for(asking, max(0.0, self.until - time.monotonic()))
        except TimeoutError:
            return late(f"no verdict within the deadline of {self.of.deadline:g} s")

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.until is not None and time.monotonic() >= self.until

    def failed(self) -> tuple[int, int]:
        """Pairs without any verdict, and all pairs; of lists, the answers."""
        lost, asked = zip(*(group.failed() for group in self.groups), strict=True)
        return sum(lost), sum(asked)

    def last_error(self) -> str:
        """Why the last pair without a verdict has none."""
        errors = [
            one.error for group in self.groups for one in group.replies() if one.error and not one.error.startswith(_NOT_ASKED)
        ]
        return errors[-1] if errors else "no reason given"

    def verdicts(self) -> dict[Pair, list[Verdict]]:
        """The verdicts of all groups, by pair."""
        return {pair: each for group in self.groups for pair, each in group.verdicts.items()}

    def counts(self) -> Counter[str]:
        """Pairs, failures, calls and tokens, and groups without a gradient."""
        found: Counter[str] = Counter(groups=len(self.groups))
        found["failed"], found["pairs"] = self.failed()
        found["cached"] = self._cached_so_far() - self._cached
        for group in self.groups:
            for reply in group.replies():
                found["calls"] += reply.calls
                found["tokens_in"] += reply.tokens_in
                found["tokens_out"] += reply.tokens_out
            found["guarded"] += not group.passing
            found["beyond"] += len(group.beyond)
            found["disagreed"] += sum(len({one.winner for one in each} - {None}) > 1 for each in group.verdicts.values())
            found["no_gradient"] += len(set(group.scores()) - {None}) < 2
        return found

    def result(self) -> Judged:
        """The scores of all answers."""
        judged = Judged([None] * len(self.prompts), {name: [None] * len(self.prompts) for name in self.of.principles})
        judged.verdicts = self.verdicts()
        judged.texts = [
            (text_of(prompt), answer_of(answer)) for prompt, answer in zip(self.prompts, self.completions, strict=True)
        ]
        for group in self.groups:
            for i, score in zip(group.order, group.scores(), strict=True):
                judged.scores[i] = score
            for name, values in group.by_principle().items():
                for i, score in zip(group.order, group.scores(values), strict=True):
                    judged.by_principle[name][i] = score
            judged.against |= {pair: text_of(group.reference(pair[0])) for pair in group.verdicts if pair[1] == GIVEN}
            judged.listed |= group.reasons()
            judged.dropped |= {i: sorted(group.dropped) for i in group.order if group.dropped}
        return judged


def rows_of(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The row of every answer, of the columns that have a value for each; TRL passes other things as well.

    Example:
        >>> rows_of({"gold": ["x", "y"], "trainer_state": None}, 2)
        [{'gold': 'x'}, {'gold': 'y'}]
    """
    lists = {key: value for key, value in columns.items() if isinstance(value, list) and len(value) == count}
    return [{key: value[i] for key, value in lists.items()} for i in range(count)]
