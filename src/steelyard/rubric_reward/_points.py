"""A batch of answers that a judge grades one by one: which criteria each has, and what came of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.fields import is_missing
from steelyard.messages import answer_of, text_of
from steelyard.rubric.conversation import conversation_of
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
        self.own: list[list[PointCriterion]] = []
        self.keys: list[str | None] = []
        self.guarded: set[int] = set()
        self.first: dict[int, int] = {}
        self.beyond: set[int] = set()
        self.criteria: dict[int, list[PointCriterion]] = {}
        self.left_out: dict[int, list[str]] = {}
        self.gradings: dict[int, list[Grading]] = {}
        self.past: list[Grading | Written] = []
        self._dropped: dict[Any, set[str]] = {}

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
        """The criteria of every row, which answers fail a guard, which of the others is the first of those that are equal, and which go beyond the budget."""
        read: dict[str, list[PointCriterion]] = {}
        for i in range(len(self.texts)):
            self.own.append(self._own(i, read))
            self.keys.append(self._key(i))
        seen: dict[str, int] = {}
        asked: set[int] = set()
        for i in range(len(self.texts)):
            self.first[i] = i
            prompt, answer = self.prompts[i], self.completions[i]
            if not all(judge.passes_guards(prompt, answer, self.rows[i]) for judge in self.of.judges):
                self.guarded.add(i)
            elif self.own[i] or self.keys[i] is not None:
                # By all that the judge would see: tool calls and what tools said are a part of an answer.
                said = [
                    conversation_of(prompt, speaker="user"),
                    conversation_of(answer, speaker="assistant"),
                    id(self.own[i]),
                    self.keys[i],
                ]
                first = self.first[i] = seen.setdefault(digest(said), i)
                if first not in asked and self.of.answers_per_step is not None and len(asked) >= self.of.answers_per_step:
                    self.beyond.add(i)
                else:
                    asked.add(first)

    def _where(self, i: int) -> str:
        return f"objective {self.of.name!r}, prompt {self.texts[i][0][:80]!r}"

    def _column(self, i: int, name: str, what: str) -> Any:
        if name not in self.rows[i]:
            known = list(self.rows[i])
            raise InputError(
                f"{self._where(i)}: there is no column {name!r}{nearest(name, known)}: give the one that holds {what}"
            )
        return self.rows[i][name]

    def _own(self, i: int, read: dict[str, list[PointCriterion]]) -> list[PointCriterion]:
        """The criteria that are given for a row; equal ones are read once."""
        if self.of.column is None:
            return self.of.fixed
        given = self._column(i, self.of.column, "the criteria")
        key = repr(given)
        if key not in read:
            read[key] = points_of(given, self._where(i))
        return read[key]

    def _reference(self, i: int) -> Any:
        """The answer from which a row's criteria can be written."""
        found = None if self.of.written_from is None else self._column(i, self.of.written_from, "a reference answer")
        if found is None or is_missing(found):
            return None
        if isinstance(found, (int, float, Decimal)) and not isinstance(found, bool):
            return str(found)
        messages = isinstance(found, list) and all(isinstance(turn, Mapping) for turn in found)
        if not isinstance(found, str) and not messages:
            raise InputError(
                f"{self._where(i)}: column {self.of.written_from!r} holds reference answers, texts or messages, but here {found!r:.60}"
            )
        return found if text_of(found).strip() else None

    def _key(self, i: int) -> str | None:
        """What the criteria that are written for a row are kept under; None where none are."""
        reference = None if self.own[i] else self._reference(i)
        return None if reference is None else digest([self.texts[i][0], text_of(reference), self.of.written])

    def _unwritten(self) -> dict[str, int]:
        """By prompt, an answer whose criteria have to be written."""
        found: dict[str, int] = {}
        for i, key in enumerate(self.keys):
            if key is not None and key not in self.of.made and i not in self.guarded and i not in self.beyond:
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
            self.of.made[str(self.keys[i])] = written.criteria

    def _known(self, i: int) -> list[PointCriterion]:
        """The criteria of a row, given or written; none where it has none yet."""
        return self.own[i] if self.keys[i] is None else self.of.made.get(str(self.keys[i]), [])

    def _give_criteria(self) -> None:
        """The criteria of every answer that is to be graded."""
        groups: dict[str, list[str]] = {}
        for prompt, answer in self.texts:
            groups.setdefault(prompt, []).append(answer)
        drawn_from = (
            {prompt: digest([self.of.seed, "dropout", prompt, *answers]) for prompt, answers in groups.items()}
            if self.of.dropout
            else {}
        )
        for i in self.first:
            if i in self.criteria or i in self.guarded or i in self.beyond:
                continue
            if found := self._known(i):
                self.criteria[i] = self._thinned(i, found, drawn_from) if self.of.dropout else found

    def _thinned(self, i: int, criteria: list[PointCriterion], drawn_from: Mapping[str, str]) -> list[PointCriterion]:
        """Without those that `dropout` drew, the same ones for all answers to a prompt; all, where it drew all."""
        key = (self.texts[i][0], id(criteria))
        if key not in self._dropped:
            group = drawn_from[key[0]]
            drawn = {one.name for one in criteria if random.Random(digest([group, one.name])).random() < self.of.dropout}
            self._dropped[key] = drawn if len(drawn) < len(criteria) else set()
        self.left_out[i] = sorted(self._dropped[key])
        return [one for one in criteria if one.name not in self._dropped[key]]

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
        unwritten = sum(key in keys and i not in self.guarded and i not in self.beyond for i, key in enumerate(self.keys))
        lost = sum(not self._has_all(i) for i in self.criteria)
        return lost + unwritten, len(self.criteria) + unwritten

    def _has_all(self, i: int) -> bool:
        """Whether every judge has graded an answer: without one, its score would be that of the others', and not be like the other answers'."""
        graded = {id(judge) for (judge, _), one in zip(self._asked(), self._said(i), strict=False) if not one.error}
        return len(graded) == len({id(judge) for judge in self.of.judges})

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
        if not self._has_all(i):
            return None
        # Samples of one judge are averaged first, so that a sample that failed does not shift the weight between judges.
        by_judge: dict[int, list[float | None]] = {}
        for (judge, _), grading in zip(self._asked(), self._said(i), strict=True):
            by_judge.setdefault(id(judge), []).append(grading.score(judge.normalize, names))
        return mean_of([mean_of(scores) for scores in by_judge.values()])

    def result(self) -> Judged:
        """The scores of all answers, and by each part."""
        by_part = {part: self._scores(part) for part in self.of.split_by}
        judged = Judged(self._scores(None), by_part, texts=self.texts)
        for i in self.criteria:
            about: dict[str, Any] = {"of": self.of.name} | ({"dropped": self.left_out[i]} if self.left_out.get(i) else {})
            said = zip(self._asked(), self._said(i), strict=True)
            judged.graded[i] = [
                one.to_dict() | {"score": one.score(judge.normalize), "judge": judge.client.model} | about
                for (judge, _), one in said
            ]
        judged.guarded = set(self.guarded)
        return judged
