"""A batch of answers before a judge: which pairs are compared, and what every answer gets of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from steelyard.errors import InputError, nearest
from steelyard.messages import answer_of, text_of
from steelyard.rubric.conversation import conversation_of
from steelyard.rubric.judge import PairwiseJudge
from steelyard.rubric.listwise import Ranking, rank
from steelyard.rubric.router import by_rules
from steelyard.rubric.values import mean_of, pooled, principle_values, thinned, value_of
from steelyard.rubric.verdict import Scored, Verdict
from steelyard.rubric_reward.references import GIVEN, LISTWISE, REFERENCES, Pair, is_skewed

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
        self.groups = [_Group(self, members) for members in groups]
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
                return late(f"not asked, since {self.in_a_row} questions in a row brought no verdict")
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
        errors = [one.error for group in self.groups for one in group.replies() if one.error]
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


class _Group:
    """Answers to one prompt, as a scheme asks about them (`references._Judging`)."""

    def __init__(self, batch: JudgedBatch, members: list[int]) -> None:
        self.batch, self.of, self.members = batch, batch.of, members
        self.order: list[int] = []
        self.passing: list[int] = []
        self.verdicts: dict[Pair, list[Verdict]] = {}
        self.rankings: list[Ranking] = []
        self.beyond: set[Pair] = set()
        self.drawn_from: list[str] = []
        self.dropped: set[str] = set()

    def draw(self) -> None:
        """Put the members in an order drawn by seed, those that pass the guards first."""
        batch, drawn = self.batch, list(self.members)
        self.drawn_from = [text_of(batch.prompts[drawn[0]]), *(text_of(batch.completions[i]) for i in drawn)]
        random.Random(digest([self.of.seed, self.drawn_from])).shuffle(drawn)
        self.passing = [i for i in drawn if self._passes(i)]
        self.order = self.passing + [i for i in drawn if i not in self.passing]

    def _passes(self, i: int) -> bool:
        batch = self.batch
        return all(judge.passes_guards(batch.prompts[i], batch.completions[i], batch.rows[i]) for judge in self.of.judges)

    async def play(self) -> None:
        """Ask what the scheme asks, where anybody passes and there is somebody to compare with."""
        if self.passing and (len(self.order) > 1 or self.of.scheme.from_outside):
            await self.of.scheme.play(self.order, self)

    def _asked(self) -> list[tuple[PairwiseJudge, int]]:
        """Every judge, as often as it is asked."""
        return [(judge, sample) for judge in self.of.judges for sample in range(self.of.samples)]

    async def compare(self, first: int, second: int) -> float | None:
        """Judge a pair, unless every judge has."""
        kept = self.verdicts.get((first, second), [])
        limit = self.of.pairs_per_step
        if not kept and limit is not None and self.batch.pairs_asked >= limit:
            self.beyond.add((first, second))
            return None
        if not kept or any(verdict.winner is None for verdict in kept):
            self.batch.pairs_asked += not kept
            kept = list(await asyncio.gather(*(self._verdict(*asked, first, second) for asked in self._asked())))
            self.verdicts[first, second] = kept
        return pooled([value_of(verdict, self.of.grade) for verdict in self._counted((first, second))], self.of.pool)

    def _counted(self, pair: Pair) -> list[Verdict]:
        """A pair's verdicts by the criteria that count: with `dropout`, some are drawn that do not, the same ones in all pairs of the group."""
        each = self.verdicts[pair]
        if not self.of.dropout:
            return each
        found = []
        for verdict, (judge, _) in zip(each, self._asked(), strict=True):
            rubric = judge.rubric_of(self._domain(judge, pair[0]))
            found.append(thinned(verdict, self._is_dropped, rubric, summed=judge.orders == "sum"))
        return found

    def _is_dropped(self, criterion: Scored) -> bool:
        name = criterion.principle or criterion.name
        drawn = random.Random(digest([self.of.seed, "dropout", self.drawn_from, name])).random() < self.of.dropout
        if drawn:
            self.dropped.add(name)
        return drawn

    def _domain(self, judge: PairwiseJudge, i: int) -> str | None:
        return domain_of(judge, self.batch.rows[i].get(self.of.domain_column), self.batch.prompts[i])

    async def _verdict(self, judge: PairwiseJudge, sample: int, first: int, second: int) -> Verdict:
        batch = self.batch
        against = self.reference(first) if second == GIVEN else batch.completions[second]

        def asking() -> Awaitable[Verdict]:
            domain, columns = self._domain(judge, first), batch.rows[first]
            return judge.compare(
                batch.prompts[first], batch.completions[first], against, domain=domain, columns=columns, sample=sample
            )

        return await batch.ask(asking, lambda error: Verdict(None, None, "failure", error=error))

    async def rank(self, members: Sequence[int]) -> None:
        """Score the members that pass the guards beside each other, unless every judge has."""
        if len(self.passing) < 2 or (self.rankings and not any(ranking.error for ranking in self.rankings)):
            return
        batch = self.batch
        prompt, answers = batch.prompts[self.passing[0]], [batch.completions[i] for i in self.passing]

        async def one(judge: PairwiseJudge, sample: int) -> Ranking:
            domain = self._domain(judge, self.passing[0])
            return await batch.ask(
                lambda: rank(judge, prompt, answers, domain=domain, sample=sample), lambda error: Ranking([], [], error=error)
            )

        self.rankings = list(await asyncio.gather(*(one(*asked) for asked in self._asked())))

    def reference(self, i: int) -> Any:
        """The answer in a row that it is compared with.

        Raises:
            InputError: where there is none.
        """
        row, name = self.batch.rows[i], self.of.column
        found = row.get(name)
        # What the policy said may be empty; what somebody wrote down is then missing.
        if found is not None and (self.of.answers_needed or text_of(found).strip()):
            return found
        where = f"objective {self.of.name!r}, prompt {text_of(self.batch.prompts[i])[:80]!r}"
        if name in row:
            raise InputError(f"{where}: column {name!r} has no reference answer: fill it in, or leave such rows out")
        if self.of.answers_needed:
            raise InputError(
                f"{where}: reference {self.of.reference!r} is an answer of the policy, which the trainer provides: call "
                "steelyard.training.use_references(trainer) before training, or train with PolicyTrainer"
            )
        known = [*REFERENCES, *row]
        raise InputError(f"{where}: there is no column {name!r}: give one of {', '.join(known)}{nearest(name, known)}")

    def replies(self) -> list[Verdict | Ranking]:
        """All that judges said, failures included."""
        return [*(verdict for each in self.verdicts.values() for verdict in each), *self.rankings]

    def failed(self) -> tuple[int, int]:
        """Pairs without any verdict, and all pairs; of a list, the answers."""
        if self.rankings:
            return len(self.passing) * all(ranking.error for ranking in self.rankings), len(self.passing)
        return sum(all(verdict.winner is None for verdict in each) for each in self.verdicts.values()), len(self.verdicts)

    def scores(self, values: Mapping[Pair, float | None] | None = None) -> list[float | None]:
        """The scores in the order of the members, by all that was said or by the values given; none where all fail a guard, or no reference was fair."""
        if not self.passing:
            return [None] * len(self.order)
        found = self.of.scheme.scores(self.order, self._values() if values is None else values)
        scores = [found.get(i) for i in self.order]
        # By who won, and not by how much: a filter on a shaped spread would prefer some rewards to others.
        outcomes = [None if score is None else float((score > 0) - (score < 0)) for score in scores]
        return [None] * len(scores) if self.of.scheme.skewed and is_skewed(outcomes) else scores

    def _values(self) -> dict[Pair, float | None]:
        """How much better each first member is; of a list, than the others, with those that fail a guard below all."""
        values: dict[Pair, float | None] = {
            pair: pooled([value_of(verdict, self.of.grade) for verdict in self._counted(pair)], self.of.pool)
            for pair in self.verdicts
        }
        if self.of.reference != LISTWISE:
            return values
        values |= {(i, GIVEN): -1.0 for i in self.order[len(self.passing) :]}
        if len(self.passing) == 1 and len(self.order) > 1:
            values[self.passing[0], GIVEN] = 1.0
        useful = [ranking for ranking in self.rankings if ranking.error is None]
        for place, i in enumerate(self.passing if useful else ()):
            score = mean_of([ranking.scores[place] for ranking in useful])
            values[i, GIVEN] = None if score is None else 2 * score - 1
        return values

    def by_principle(self) -> dict[str, dict[Pair, float | None]]:
        """The values of the pairs by each principle; empty where the judges do not name principles."""
        found: dict[str, dict[Pair, float | None]] = {name: {} for name in self.of.principles}
        if not all(judge.principles for judge in self.of.judges):
            return {}
        for pair in self.verdicts:
            splits = []
            for verdict, (judge, _) in zip(self._counted(pair), self._asked(), strict=True):
                rubric = judge.rubric_of(self._domain(judge, pair[0]))
                splits.append(principle_values(verdict, rubric, self.of.form))
            for name, values in found.items():
                values[pair] = pooled([split.get(name) for split in splits], self.of.pool)
        return found

    def reasons(self) -> dict[int, list[dict[str, Any]]]:
        """What a list said of each member: score and reason, or why it failed."""
        return {
            i: [
                {"error": one.error} if one.error else {"score": one.scores[place], "reason": one.reasons[place]}
                for one in self.rankings
            ]
            for place, i in enumerate(self.passing if self.rankings else ())
        }


def domain_of(judge: PairwiseJudge, named: Any, prompt: Any) -> str | None:
    """The domain whose rubric a judge uses: the one that is named, where it has a rubric for it; else by the rules of its rubrics.

    Example:
        >>> from steelyard.llm import Client
        >>> from steelyard.rubric import shipped_rubrics
        >>> judge = PairwiseJudge(Client("http://127.0.0.1:9/v1", "judge"), shipped_rubrics())
        >>> domain_of(judge, "maths", "2+2?"), domain_of(judge, None, "Write a haiku about rain.")
        ('maths', 'creative')
    """
    if len(judge.rubrics) == 1 or named in judge.rubrics:
        return None if named is None else str(named)
    return by_rules(conversation_of(prompt, speaker="user"), judge.rubrics)


def rows_of(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The row of every answer, of the columns that have a value for each; TRL passes other things as well.

    Example:
        >>> rows_of({"gold": ["x", "y"], "trainer_state": None}, 2)
        [{'gold': 'x'}, {'gold': 'y'}]
    """
    lists = {key: value for key, value in columns.items() if isinstance(value, list) and len(value) == count}
    return [{key: value[i] for key, value in lists.items()} for i in range(count)]


def digest(what: Any) -> str:
    """A checksum of plain data."""
    return hashlib.blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
