"""What came of a batch of answers before a judge."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steelyard.rubric.verdict import Verdict
from steelyard.rubric_reward.references import GIVEN, Pair

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
        graded: by row, what a pointwise judge said of each criterion, one list a sample.
        guarded: rows that a check kept from being graded.
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
    graded: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    guarded: set[int] = field(default_factory=set)
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
        for row, gradings in self.graded.items():
            of_row[row].append({"graded": gradings})
        for row in self.guarded:
            of_row[row].append({"guarded": True})
        found: dict[tuple[str, str], list[str]] = {}
        for texts, noted in zip(self.texts, of_row, strict=True):
            found.setdefault(texts, []).append(_as_json(noted))
        return found


def _as_json(noted: Any) -> str:
    """JSON that can be written to a file: where a judge said half a pair of signs, with escapes."""
    text = json.dumps(noted, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(noted)
    return text


def rows_of(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The row of every answer, of the columns that have a value for each; TRL passes other things as well.

    Example:
        >>> rows_of({"gold": ["x", "y"], "trainer_state": None}, 2)
        [{'gold': 'x'}, {'gold': 'y'}]
    """
    lists = {key: value for key, value in columns.items() if isinstance(value, list) and len(value) == count}
    return [{key: value[i] for key, value in lists.items()} for i in range(count)]
