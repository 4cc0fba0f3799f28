"""What a judge does over many verdicts: which tiers speak and decide, whether it favours a place, whether its quotes are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from steelyard.rubric.meta_rubric import TIERS
from steelyard.rubric.verdict import Verdict


@dataclass
class Stats:
    """Counts over verdicts.

    Attributes:
        verdicts: counted; rubrics: by id; decided_by: by what decided.
        criteria, zero, strong: by tier, all criteria, those scored 0, and those scored 2 or -2.
        with_veto: orders in which hard criteria decided; orders: judged.
        first_wins, second_wins: orders won by the answer shown first, and second.
        quotes, missing: quotes given, and those that do not stand in the answer.
        names: of criteria, with how often they told the answers apart.
    """

    verdicts: int = 0
    orders: int = 0
    with_veto: int = 0
    first_wins: int = 0
    second_wins: int = 0
    quotes: int = 0
    missing: int = 0
    rubrics: Counter[str] = field(default_factory=Counter)
    decided_by: Counter[str] = field(default_factory=Counter)
    criteria: Counter[str] = field(default_factory=Counter)
    zero: Counter[str] = field(default_factory=Counter)
    strong: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)

    def lines(self, names: int = 10) -> list[str]:
        """The counts in words."""
        rubrics = ", ".join(f"{name} {count}" for name, count in self.rubrics.most_common())
        decided = ", ".join(f"{name} {count}" for name, count in self.decided_by.most_common())
        out = [f"{self.verdicts} verdicts under {rubrics}", f"decided by {decided}"]
        if not self.orders:
            return out
        won = self.first_wins + self.second_wins
        shown = f"the answer shown first won {self.first_wins} of {won}" if won else "none has a winner"
        out.append(f"{self.orders} orders: {shown}; hard criteria decided {self.with_veto}")
        out += [
            f"{tier}: {self.criteria[tier]} criteria ({self.criteria[tier] / self.orders:.1f} an order), "
            f"{self.zero[tier] / self.criteria[tier]:.0%} scored 0, {self.strong[tier] / self.criteria[tier]:.0%} scored 2 or -2"
            for tier in TIERS
            if self.criteria[tier]
        ]
        if self.quotes:
            out.append(
                f"{self.quotes} quotes, of which {self.missing} ({self.missing / self.quotes:.0%}) do not stand in the answer"
            )
        if self.names:
            often = ", ".join(f"{name} {count}" for name, count in self.names.most_common(names))
            out.append(f"criteria that told answers apart most often: {often}")
        return out


def rubric_stats(verdicts: Iterable[Verdict]) -> Stats:
    """Count verdicts.

    Example:
        >>> from steelyard.rubric.verdict import Judgement, Scored
        >>> one = Scored("truth", "core", "4 is right", 2, quote_a="4", quote_b="5", found_a=True, found_b=False)
        >>> made = rubric_stats([Verdict("a", 2.0, "criteria", [Judgement(False, [], [one], 2.0)], rubric="maths@1")])
        >>> made.first_wins, made.missing, made.names["truth"]
        (1, 1, 1)
    """
    made = Stats()
    for verdict in verdicts:
        made.verdicts += 1
        made.rubrics[verdict.rubric] += 1
        made.decided_by[verdict.decided_by] += 1
        for order in verdict.judgements:
            made.orders += 1
            if order.winner != "tie":
                if (order.winner == "a") != order.swapped:
                    made.first_wins += 1
                else:
                    made.second_wins += 1
            made.with_veto += order.vetoed
            for one in order.criteria:
                made.criteria[one.tier] += 1
                made.zero[one.tier] += one.score == 0
                made.strong[one.tier] += abs(one.score) == 2
                made.names[one.name.casefold()] += one.score != 0
                made.quotes += sum(found is not None for found in one.found.values())
                made.missing += sum(found is False for found in one.found.values())
    made.names += Counter()  # without those that never did
    return made
