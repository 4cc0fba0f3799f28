"""A batch of answers that a judge compares: which pairs are judged, and what every answer gets of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from steelyard.messages import answer_of, text_of
from steelyard.rubric.verdict import Verdict
from steelyard.rubric_reward._asking import Batch
from steelyard.rubric_reward._group import Group
from steelyard.rubric_reward._judged import Judged
from steelyard.rubric_reward.references import GIVEN, Pair


class PairsBatch(Batch):
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
        super().__init__(reward, prompts, completions, rows, until)
        self.groups = [Group(self, members) for members in groups]
        self.pairs_asked = 0

    async def play(self) -> None:
        """Judge all groups; what has a verdict is not judged again."""
        self.in_a_row = 0
        await asyncio.to_thread(self._draw)
        await asyncio.gather(*(group.play() for group in self.groups))

    def _draw(self) -> None:
        for group in self.groups:
            if not group.order:
                group.draw()

    def failed(self) -> tuple[int, int]:
        """Pairs without any verdict, and all pairs; of lists, the answers."""
        lost, asked = zip(*(group.failed() for group in self.groups), strict=True)
        return sum(lost), sum(asked)

    def replies(self) -> Sequence[Any]:
        """All that judges said, failures included."""
        return [one for group in self.groups for one in group.replies()]

    def verdicts(self) -> dict[Pair, list[Verdict]]:
        """The verdicts of all groups, by pair."""
        return {pair: each for group in self.groups for pair, each in group.verdicts.items()}

    def counts(self) -> Counter[str]:
        """Pairs, failures, calls and tokens, and groups without a gradient."""
        found: Counter[str] = Counter(groups=len(self.groups))
        found["failed"], found["pairs"] = self.failed()
        found["cached"] = self.cached()
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
