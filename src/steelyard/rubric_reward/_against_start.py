"""The measure of a rubric: how often answers to held-out prompts are better than those that the untrained policy gave."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from steelyard.messages import text_of
from steelyard.rubric.judge import PairwiseJudge
from steelyard.rubric.values import mean_of, principle_values, value_of
from steelyard.rubric.verdict import Verdict
from steelyard.rubric_reward._group import digest, domain_of
from steelyard.rubric_reward._judged import rows_of


class AgainstStart:
    """Compares answers with the first ones that were given to the same prompts.

    Args:
        judges: whose verdicts are averaged.
        domain_column: of the row, which names the rubric.

    Attributes:
        counts: pairs, failures, calls and tokens so far.
        start: by a checksum of the prompt, its first answers, one a copy.
    """

    def __init__(self, judges: Sequence[PairwiseJudge], domain_column: str) -> None:
        self.judges, self.domain_column = list(judges), domain_column
        self.start: dict[str, list[Any]] = {}
        self.counts: Counter[str] = Counter()
        self._latest: tuple[str, list[list[Verdict] | None]] | None = None
        self._under_way: dict[str, asyncio.Task[list[list[Verdict] | None]]] = {}

    async def wins(self, prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
        """1 for an answer that is better than the start's, 0 for one that is worse, half for a tie; None where judging failed."""
        found = []
        for each in await self._verdicts(prompts, completions, columns):
            value = 0.0 if each is None else mean_of([value_of(verdict, "sign") for verdict in each])
            found.append(None if value is None else (value + 1) / 2)
        return found

    async def by_principle(
        self, name: str, prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]
    ) -> list[float | None]:
        """How much better each answer is than the start's by a principle, -1 to 1; 0 where the principle made no difference."""
        found: list[float | None] = []
        rows = rows_of(columns, len(prompts))
        for prompt, row, each in zip(prompts, rows, await self._verdicts(prompts, completions, columns), strict=True):
            if each is None:
                found.append(0.0)
                continue
            values = []
            for verdict, judge in zip(each, self.judges, strict=True):
                if verdict.winner is not None:
                    rubric = judge.rubric_of(domain_of(judge, row.get(self.domain_column), prompt))
                    values.append(principle_values(verdict, rubric).get(name) or 0.0)
            found.append(mean_of(values))
        return found

    async def _verdicts(self, prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]) -> list[list[Verdict] | None]:
        """The verdicts on every answer, one a judge; None for a prompt that is answered for the first time. Judged once, however many ask."""
        key = digest([list(prompts), list(completions)])
        if self._latest is not None and self._latest[0] == key:
            return self._latest[1]
        if key not in self._under_way:
            self._under_way[key] = asyncio.ensure_future(self._judge(prompts, completions, rows_of(columns, len(prompts))))
            self._under_way[key].add_done_callback(lambda _: self._under_way.pop(key, None))
        found = await asyncio.shield(self._under_way[key])
        self._latest = key, found
        return found

    async def _judge(
        self, prompts: Sequence, completions: Sequence, rows: Sequence[Mapping[str, Any]]
    ) -> list[list[Verdict] | None]:
        copies: Counter[str] = Counter()
        asked: list[Any] = []
        for prompt, completion, row in zip(prompts, completions, rows, strict=True):
            key = digest(text_of(prompt))
            copy, first = copies[key], self.start.setdefault(key, [])
            copies[key] += 1
            if copy >= len(first):
                first.append(completion)
                asked.append(None)
            else:
                asked.append((prompt, completion, first[copy], row))
        found = await asyncio.gather(*(self._compare(one) for one in asked))
        for verdict in (verdict for each in found if each is not None for verdict in each):
            self.counts["pairs"] += 1
            self.counts["failed"] += verdict.winner is None
            for what in ("calls", "tokens_in", "tokens_out"):
                self.counts[what] += getattr(verdict, what)
        return list(found)

    async def _compare(self, asked: Any) -> list[Verdict] | None:
        if asked is None:
            return None
        prompt, completion, start, row = asked
        domains = [domain_of(judge, row.get(self.domain_column), prompt) for judge in self.judges]
        asking = (
            judge.compare(prompt, completion, start, domain=domain, columns=row)
            for judge, domain in zip(self.judges, domains, strict=True)
        )
        return list(await asyncio.gather(*asking))
