"""A batch of answers that a judge grades one by one: which criteria each has, and what came of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.fields import is_missing
from steelyard.messages import answer_of, text_of
from steelyard.rubric.points import PointCriterion, points_of
from steelyard.rubric.pointwise import Grading, PointwiseJudge, Written
from steelyard.rubric.values import mean_of
from steelyard.rubric_reward._asking import Batch
from steelyard.rubric_reward._group import digest
from steelyard.rubric_reward._judged import Judged


class PointsBatch(Batch):
    """The answers of a batch, and what was said of each.

    Args:
        reward: the `PointsReward` whose judges, criteria and settings are used.
        prompts, completions, rows: one an answer; a row holds the columns.
        until: when judging must end, on the monotonic clock; None for no such time.
    """

    def __init__(self, reward: Any, prompts: list, completions: list, rows: list[dict[str, Any]], until: float | None) -> None:
        super().__init__(reward, prompts, completions, rows, until)
        self.texts = [(text_of(prompt), answer_of(answer)) for prompt, answer in zip(prompts, completions, strict=True)]
        self.guarded: set[int] = set()
        self.first: dict[int, int] = {}
        self.criteria: dict[int, list[PointCriterion]] = {}
        self.left_out: dict[int, list[str]] = {}
        self.beyond: set[int] = set()
        self.gradings: dict[int, list[Grading]] = {}
        self.past: list[Grading | Written] = []

    async def play(self) -> None:
        """Have criteria written where they are missing, and grade every answer that has some; equal answers to a prompt once."""
        self.in_a_row = 0
        if not self.first:
            await asyncio.to_thread(self._look_at_answers)
        await asyncio.gather(*(self._write(i) for i in self._unwritten().values()))
        self._give_criteria()
        todo = [i for i in self.criteria if self.first[i] == i and not self._is_graded(i)]
        await asyncio.gather(*(self._grade(i) for i in todo))

    def _look_at_answers(self) -> None:
        """Which answers fail a guard, and which of the others is the first of those that are equal."""
        seen: dict[Any, int] = {}
        for i, texts in enumerate(self.texts):
            self.first[i] = i
            prompt, answer = self.prompts[i], self.completions[i]
            if not all(judge.passes_guards(prompt, answer, self.rows[i]) for judge in self.of.judges):
                self.guarded.add(i)
            else:
                self.first[i] = seen.setdefault((texts, repr(self._own(i))), i)

    def _where(self, i: int) -> str:
        return f"objective {self.of.name!r}, prompt {self.texts[i][0][:80]!r}"

    def _column(self, i: int, name: str, what: str) -> Any:
        if name not in self.rows[i]:
            known = list(self.rows[i])
            raise InputError(
                f"{self._where(i)}: there is no column {name!r}{nearest(name, known)}: give the one that holds {what}"
            )
        return self.rows[i][name]

    def _own(self, i: int) -> list[PointCriterion]:
        """The criteria that are given for a row."""
        if self.of.column is None:
            return list(self.of.fixed)
        return points_of(self._column(i, self.of.column, "the criteria"), self._where(i))

    def _reference(self, i: int) -> Any:
        """The answer from which a row's criteria can be written."""
        found = None if self.of.written_from is None else self._column(i, self.of.written_from, "a reference answer")
        return None if found is None or is_missing(found) or not text_of(found).strip() else found

    def _key(self, i: int) -> str:
        return digest([self.texts[i][0], text_of(self._reference(i)), self.of.written])

    def _unwritten(self) -> dict[str, int]:
        """By prompt, an answer whose criteria have to be written."""
        found: dict[str, int] = {}
        for i in range(len(self.texts)):
            asked_for = i not in self.criteria and i not in self.guarded and not self._own(i) and self._reference(i) is not None
            if asked_for and (key := self._key(i)) not in self.of.made:
                found.setdefault(key, i)
        return found

    async def _write(self, i: int) -> None:
        judge: PointwiseJudge = self.of.judges[0]
        written = await self.ask(
            lambda: judge.write(self.prompts[i], self._reference(i), number=self.of.written),
            lambda error: Written([], error=error),
        )
        self.past.append(written)
        if written.criteria:
            self.of.made[self._key(i)] = written.criteria

    def _known(self, i: int) -> list[PointCriterion]:
        """The criteria of a row, given or written; none where it has none yet."""
        own = self._own(i)
        return own if own or self._reference(i) is None else self.of.made.get(self._key(i), [])

    def _give_criteria(self) -> None:
        """The criteria of every answer that is to be graded."""
        for i, first in self.first.items():
            if i in self.criteria or i in self.guarded or i in self.beyond:
                continue
            found = self._known(i)
            asked = sum(self.first[other] == other for other in self.criteria)
            if (
                found and first == i and self.of.answers_per_step is not None and asked >= self.of.answers_per_step
            ) or first in self.beyond:
                self.beyond.add(i)
            elif found:
                self.criteria[i] = self._thinned(i, found)

    def _thinned(self, i: int, criteria: list[PointCriterion]) -> list[PointCriterion]:
        """Without those that `dropout` drew, the same ones for all answers to a prompt; all, where it drew all."""
        if not self.of.dropout:
            return criteria
        prompt = self.texts[i][0]
        drawn_from = [self.of.seed, "dropout", prompt, *(answer for other, answer in self.texts if other == prompt)]
        kept = [one for one in criteria if random.Random(digest([*drawn_from, one.name])).random() >= self.of.dropout]
        self.left_out[i] = sorted({one.name for one in criteria} - {one.name for one in kept}) if kept else []
        return kept or criteria

    def _is_graded(self, i: int) -> bool:
        return bool(self._said(i)) and not any(one.error for one in self._said(i))

    async def _grade(self, i: int) -> None:
        async def one(judge: PointwiseJudge, sample: int) -> Grading:
            return await self.ask(
                lambda: judge.grade(self.prompts[i], self.completions[i], self.criteria[i], sample=sample),
                lambda error: Grading(error=error),
            )

        self.past += self.gradings.get(i, [])
        self.gradings[i] = list(await asyncio.gather(*(one(*each) for each in self._asked())))

    def _asked(self) -> list[tuple[PointwiseJudge, int]]:
        """Every judge, as often as it is asked."""
        return [(judge, sample) for judge in self.of.judges for sample in range(self.of.samples)]

    def _said(self, i: int) -> list[Grading]:
        return self.gradings.get(self.first[i], [])

    def replies(self) -> Sequence[Any]:
        """All that judges said, failures included."""
        return [*self.past, *(one for each in self.gradings.values() for one in each)]

    def failed(self) -> tuple[int, int]:
        """Answers without any grading, or without criteria since these could not be written, and all that were to be graded."""
        keys = self._unwritten()
        unwritten = sum(
            i not in self.criteria and i not in self.guarded and i not in self.beyond and self._reference(i) is not None and self._key(i) in keys
            for i in range(len(self.texts) if keys else 0)
        )  # fmt: skip
        lost = sum(all(one.error for one in self._said(i)) for i in self.criteria)
        return lost + unwritten, len(self.criteria) + unwritten

    def counts(self) -> Counter[str]:
        """Answers, failures, calls and tokens, and groups without a gradient."""
        groups: dict[str, list[float | None]] = {}
        for (prompt, _), score in zip(self.texts, self._scores(None), strict=True):
            groups.setdefault(prompt, []).append(score)
        passing = {prompt for i, (prompt, _) in enumerate(self.texts) if i not in self.guarded}
        found: Counter[str] = Counter(groups=len(groups), guarded=len(groups.keys() - passing), beyond=len(self.beyond))
        found["cached"] = self.cached()
        found["failed"], found["pairs"] = self.failed()
        for reply in self.replies():
            found["calls"] += reply.calls
            found["tokens_in"] += reply.tokens_in
            found["tokens_out"] += reply.tokens_out
        for each in self.gradings.values():
            found["disagreed"] += len({tuple(one.said for one in grading.criteria) for grading in each if grading.criteria}) > 1
        found["no_gradient"] = sum(len(set(each) - {None}) < 2 for each in groups.values())
        return found

    def _scores(self, part: str | None) -> list[float | None]:
        """One score an answer, of all its criteria or of those with a name or a tag; none where its prompt has no such criteria."""
        found: list[float | None] = []
        for i in range(len(self.texts)):
            applies = any(part is None or part in (one.name, *one.tags) for one in self._known(i)) if i in self.guarded else True
            score = self._guarded_score if i in self.guarded else self._score(i, part) if i in self.criteria else None
            found.append(score if applies else None)
        return found

    @property
    def _guarded_score(self) -> float:
        """One less than the worst answer that passes can have."""
        return -2.0 if any(judge.normalize == "positive" for judge in self.of.judges) else -1.0

    def _score(self, i: int, part: str | None) -> float | None:
        names = None if part is None else [one.name for one in self.criteria[i] if part in (one.name, *one.tags)]
        said = zip(self._asked(), self._said(i), strict=True)
        return mean_of([grading.score(judge.normalize, names) for (judge, _), grading in said])

    def result(self) -> Judged:
        """The scores of all answers, and by each part."""
        by_part = {part: self._scores(part) for part in self.of.split_by}
        judged = Judged(self._scores(None), by_part, texts=self.texts)
        for i in self.criteria:
            left_out: dict[str, Any] = {"dropped": self.left_out[i]} if self.left_out.get(i) else {}
            said = zip(self._asked(), self._said(i), strict=True)
            judged.graded[i] = [one.to_dict() | {"score": one.score(judge.normalize)} | left_out for (judge, _), one in said]
        judged.guarded = set(self.guarded)
        return judged
