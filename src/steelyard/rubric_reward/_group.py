"""The answers to one prompt before a judge: who is compared with whom, and what each answer gets of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.messages import text_of
from steelyard.rubric.conversation import conversation_of
from steelyard.rubric.judge import PairwiseJudge
from steelyard.rubric.listwise import Ranking, rank
from steelyard.rubric.router import by_rules
from steelyard.rubric.values import mean_of, pooled, principle_values, thinned, value_of
from steelyard.rubric.verdict import Scored, Verdict
from steelyard.rubric_reward.references import GIVEN, LISTWISE, REFERENCES, Pair, is_skewed


class Group:
    """Answers to one prompt, as a scheme asks about them (`references._Judging`).

    Args:
        batch: the `PairsBatch` that it belongs to.
        members: their places in it.
    """

    def __init__(self, batch: Any, members: list[int]) -> None:
        self.batch, self.of, self.members = batch, batch.of, members
        self.order: list[int] = []
        self.passing: list[int] = []
        self.verdicts: dict[Pair, list[Verdict]] = {}
        self.rankings: list[Ranking] = []
        self.past: list[Verdict | Ranking] = []
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
            self.past += self.verdicts.get((first, second), [])
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

        self.past += self.rankings
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
        """All that judges said, failures included, and first those that were asked again."""
        return [*self.past, *(verdict for each in self.verdicts.values() for verdict in each), *self.rankings]

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


def digest(what: Any) -> str:
    """A checksum of plain data."""
    return hashlib.blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
