"""A batch of answers before a judge: which pairs are compared, and what every answer gets of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.messages import text_of
from steelyard.rubric.judge import PairwiseJudge
from steelyard.rubric.listwise import Ranking, rank
from steelyard.rubric.meta_rubric import MetaRubric
from steelyard.rubric.values import mean_of, principle_values, value_of
from steelyard.rubric.verdict import Verdict
from steelyard.rubric_reward.references import GIVEN, LISTWISE, REFERENCES, Pair, is_skewed


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
    """

    scores: list[float | None]
    by_principle: dict[str, list[float | None]]
    verdicts: dict[Pair, list[Verdict]] = field(default_factory=dict)
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    texts: list[tuple[str, str]] = field(default_factory=list)
    against: dict[Pair, str] = field(default_factory=dict)

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
            of_row[first].append({"side": "a", "other": other, "verdicts": said})
            if second != GIVEN:
                of_row[second].append({"side": "b", "other": self.texts[first][1], "verdicts": said})
        found: dict[tuple[str, str], list[str]] = {}
        for texts, noted in zip(self.texts, of_row, strict=True):
            found.setdefault(texts, []).append(json.dumps(noted, ensure_ascii=False))
        return found


class JudgedBatch:
    """The pairs of a batch, and what came of them."""

    def __init__(
        self,
        reward: Any,
        prompts: list,
        completions: list,
        rows: list[dict[str, Any]],
        groups: list[list[int]],
        until: float | None,
    ) -> None:
        self.of, self.prompts, self.completions, self.rows, self.groups, self.until = (
            reward,
            prompts,
            completions,
            rows,
            groups,
            until,
        )
        self.verdicts: dict[Pair, list[Verdict]] = {}
        self.ranked: dict[tuple[int, ...], list[Ranking]] = {}
        self.orders: list[list[int]] = []
        self.passing: list[int] = []

    async def play(self) -> None:
        """Judge all pairs; those that have a verdict are not judged again."""
        if not self.orders:
            drawn = await asyncio.to_thread(lambda: [self._order(group) for group in self.groups])
            self.orders, self.passing = [order for order, _ in drawn], [passing for _, passing in drawn]
        playing = [
            self._rank(order[:passing]) if self.of.reference == LISTWISE else self.of.scheme.play(order, self._compare)
            for order, passing in zip(self.orders, self.passing, strict=True)
            if passing and (len(order) > 1 or self.of.scheme.from_outside)
        ]
        await asyncio.gather(*playing)

    async def _rank(self, members: list[int]) -> None:
        """Score the members of a group that pass the guards, in one question a judge and sample."""
        kept = self.ranked.get(tuple(members), [])
        if len(members) < 2 or (kept and all(ranking.error is None for ranking in kept)):
            return
        row = self.rows[members[0]]
        domain = row.get(self.of.domain_column)
        answers = [self.completions[i] for i in members]
        asked = [(judge, sample) for judge in self.of.judges for sample in range(self.of.samples)]
        ranking = [rank(judge, self.prompts[members[0]], answers, domain=domain, sample=sample) for judge, sample in asked]
        self.ranked[tuple(members)] = list(await asyncio.gather(*(self._in_time(one) for one in ranking)))

    async def _in_time(self, asking: Awaitable[Ranking]) -> Ranking:
        if self.until is None:
            return await asking
        try:
            return await asyncio.wait_for(asking, max(0.0, self.until - time.monotonic()))
        except TimeoutError:
            return Ranking([], [], error=f"no scores within the deadline of {self.of.deadline:g} s")

    def _order(self, group: list[int]) -> tuple[list[int], int]:
        """The members of a group in an order drawn by seed, those that pass the guards first, and how many these are."""
        said = [text_of(self.prompts[group[0]]), *(text_of(self.completions[i]) for i in group)]
        drawn = list(group)
        random.Random(digest([self.of.seed, said])).shuffle(drawn)
        passing = [i for i in drawn if self._passes(i)]
        return passing + [i for i in drawn if i not in set(passing)], len(passing)

    def _passes(self, i: int) -> bool:
        return all(judge.passes_guards(self.prompts[i], self.completions[i], self.rows[i]) for judge in self.of.judges)

    async def _compare(self, first: int, second: int) -> float | None:
        kept = self.verdicts.get((first, second), [])
        if not kept or any(verdict.winner is None for verdict in kept):
            asked = [(judge, sample) for judge in self.of.judges for sample in range(self.of.samples)]
            kept = list(await asyncio.gather(*(self._verdict(judge, first, second, sample) for judge, sample in asked)))
            self.verdicts[first, second] = kept
        return mean_of([value_of(verdict, self.of.grade) for verdict in kept])

    async def _verdict(self, judge: PairwiseJudge, first: int, second: int, sample: int) -> Verdict:
        row = self.rows[first]
        against = self.reference(first) if second == GIVEN else self.completions[second]
        comparing = judge.compare(
            self.prompts[first],
            self.completions[first],
            against,
            domain=row.get(self.of.domain_column),
            columns=row,
            sample=sample,
        )
        if self.until is None:
            return await comparing
        try:
            return await asyncio.wait_for(comparing, max(0.0, self.until - time.monotonic()))
        except TimeoutError:
            return Verdict(None, None, "failure", error=f"no verdict within the deadline of {self.of.deadline:g} s")

    def reference(self, i: int) -> Any:
        """The answer in a row that it is compared with."""
        found = self.rows[i].get(self.of.reference)
        if found is None or not text_of(found).strip():
            known = [*REFERENCES, *self.rows[i]]
            there = self.of.reference in self.rows[i]
            raise InputError(
                f"objective {self.of.name!r}: "
                + (
                    f"column {self.of.reference!r} has no reference answer"
                    if there
                    else f"the rows have no column {self.of.reference!r}"
                )
                + f" for the prompt {text_of(self.prompts[i])[:80]!r}: "
                + (
                    "fill it in, or leave such rows out"
                    if there
                    else f"give one of {', '.join(known)}{nearest(self.of.reference, known)}"
                )
            )
        return found

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.until is not None and time.monotonic() >= self.until

    def failed(self) -> tuple[int, int]:
        """Pairs without any verdict, and all pairs; of lists, the answers."""
        if self.of.reference == LISTWISE:
            lost = [len(members) for members, each in self.ranked.items() if all(ranking.error for ranking in each)]
            return sum(lost), sum(map(len, self.ranked))
        without = sum(all(verdict.winner is None for verdict in each) for each in self.verdicts.values())
        return without, len(self.verdicts)

    def last_error(self) -> str:
        """Why the last pair without a verdict has none."""
        errors = [verdict.error for each in self.verdicts.values() for verdict in each if verdict.error]
        errors += [ranking.error for ranked in self.ranked.values() for ranking in ranked if ranking.error]
        return errors[-1] if errors else "no reason given"

    def fresh(self) -> list[Verdict]:
        """The verdicts of this batch."""
        return [verdict for each in self.verdicts.values() for verdict in each]

    def counts(self) -> Counter[str]:
        """Pairs, failures, calls and tokens, and groups without a gradient."""
        found: Counter[str] = Counter()
        found["failed"], found["pairs"] = self.failed()
        for verdict in self.fresh():
            found["calls"] += verdict.calls
            found["tokens_in"] += verdict.tokens_in
            found["tokens_out"] += verdict.tokens_out
            found["flips"] += len(set(verdict.orders)) == 2
            found["both"] += len(verdict.orders) == 2
        rankings = [ranking for each in self.ranked.values() for ranking in each]
        for ranking in rankings:
            found["calls"] += ranking.calls
            found["tokens_in"] += ranking.tokens_in
            found["tokens_out"] += ranking.tokens_out
        found["groups"] = len(self.groups)
        found["guarded"] = sum(not passing for passing in self.passing)
        found["no_gradient"] = sum(
            len({score for score in self._of_group(order, passing) if score is not None}) < 2 for order, passing in self._drawn()
        )
        return found

    def result(self) -> Judged:
        """The scores of all answers."""
        scores: list[float | None] = [None] * len(self.prompts)
        by_principle: dict[str, list[float | None]] = {name: list(scores) for name in self.of.principles}
        for order, passing in self._drawn():
            for i, score in zip(order, self._of_group(order, passing), strict=True):
                scores[i] = score
            split = self._split(order)
            for name, found in by_principle.items():
                for i, score in zip(
                    order, self._of_group(order, passing, {pair: each.get(name) for pair, each in split.items()}), strict=True
                ):
                    found[i] = score
        return Judged(scores, by_principle)

    def _drawn(self) -> list[tuple[list[int], int]]:
        return list(zip(self.orders, self.passing, strict=True))

    def _of_group(self, order: list[int], passing: int, values: Mapping[Pair, float | None] | None = None) -> list[float | None]:
        """The scores of a group in the order of its members; none where all fail a guard, or no reference was fair."""
        members = set(order)
        if values is None:
            values = {
                pair: mean_of([value_of(verdict, self.of.grade) for verdict in each])
                for pair, each in self.verdicts.items()
                if pair[0] in members
            }
        if not passing:
            return [None] * len(order)
        found = self._of_list(order, passing) if self.of.reference == LISTWISE else self.of.scheme.scores(order, values)
        scores = [found.get(i) for i in order]
        # By who won, and not by how much: a filter on a shaped spread would prefer some rewards to others.
        outcomes = [None if score is None else float((score > 0) - (score < 0)) for score in scores]
        return [None] * len(order) if self.of.scheme.skewed and is_skewed(outcomes) else scores

    def _of_list(self, order: list[int], passing: int) -> dict[int, float | None]:
        """Scores from a list, -1 to 1; answers that fail a guard are below all others."""
        failing: dict[int, float | None] = dict.fromkeys(order[passing:], -1.0)
        members = tuple(order[:passing])
        if len(members) == 1:
            return failing | {members[0]: 1.0 if failing else None}
        rankings = [ranking for ranking in self.ranked.get(members, []) if ranking.error is None]
        for place, member in enumerate(members):
            score = mean_of([ranking.scores[place] for ranking in rankings])
            failing[member] = None if score is None else 2 * score - 1
        return failing

    def _split(self, order: list[int]) -> dict[Pair, dict[str, float | None]]:
        """The values of a group's pairs by principle."""
        members, out = set(order), {}
        if not all(judge.principles for judge in self.of.judges):
            return {}
        for pair, each in self.verdicts.items():
            if pair[0] in members:
                splits = []
                for verdict, judge in zip(each, (judge for judge in self.of.judges for _ in range(self.of.samples)), strict=True):
                    splits.append(principle_values(verdict, self._rubric(judge, pair[0]), self.of.form))
                out[pair] = {name: mean_of([split.get(name) for split in splits]) for name in self.of.principles}
        return out

    def _rubric(self, judge: PairwiseJudge, i: int) -> MetaRubric:
        return judge.rubric_of(self.rows[i].get(self.of.domain_column))


def digest(what: Any) -> str:
    """A checksum of plain data."""
    return hashlib.blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
