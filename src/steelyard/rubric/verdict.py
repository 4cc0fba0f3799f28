"""From scores to a verdict: the total is computed here and never asked of the judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from steelyard.errors import InputError, nearest
from steelyard.rubric.meta_rubric import TIERS, Tier, TierWeights

Winner = Literal["a", "b", "tie"]
_HIGHEST = 2.0
"""Scores lie in -2..2; positive: A is better."""
_VERSION = 1
"""Of verdicts, as files keep them. A line that names none is of the first."""
_CHECKED = ConfigDict(allow_inf_nan=False)


def aggregate(scores: Sequence[float], tiers: Sequence[str], weights: Mapping[str, float] | None = None) -> float:
    """One score from the criteria's: hard ones decide alone where any of them tells the answers apart, else a weighted mean.

        any hard s_i != 0:  clip(sum of hard s_i, -2, 2)
        else:               sum_i w_i s_i / sum_i w_i  over the criteria with s_i != 0;  0 where there are none

    Args:
        scores: one a criterion, in -2..2.
        tiers: of each, "hard", "core", "important" or "highlight".
        weights: of the three that weigh in; default: 5, 2 and 1.

    Returns:
        A score in -2..2.

    Raises:
        InputError: where lengths differ, or a score, tier or weight is none.

    Example:
        >>> aggregate([1, -1, 2], ["core", "important", "highlight"])
        0.625
        >>> aggregate([2, 2, -1], ["core", "core", "hard"])
        -1.0

    Reference:
        Jia et al., Open Rubric System, arXiv 2602.14069 (veto, then the weighted mean of non-zero criteria).
    """
    weights = TierWeights().model_dump() if weights is None else weights
    for tier in TIERS[1:]:
        if not (isinstance(weights.get(tier), (int, float)) and 0 < weights[tier] < math.inf):
            raise InputError(f"weights must be positive numbers for {', '.join(TIERS[1:])}, but are {dict(weights)}")
    if len(scores) != len(tiers):
        raise InputError(f"there are {len(scores)} scores, but {len(tiers)} tiers")
    for score, tier in zip(scores, tiers, strict=True):
        if tier not in TIERS:
            raise InputError(f"unknown tier {tier!r}{nearest(str(tier), TIERS)}: use one of {', '.join(TIERS)}")
        if not -_HIGHEST <= score <= _HIGHEST:
            raise InputError(f"scores lie between -2 and 2, but one is {score}")
    hard = [score for score, tier in zip(scores, tiers, strict=True) if tier == "hard" and score != 0]
    if hard:
        return float(min(max(sum(hard), -_HIGHEST), _HIGHEST))
    counted = [(weights[tier], score) for score, tier in zip(scores, tiers, strict=True) if tier != "hard" and score != 0]
    if not counted:
        return 0.0
    return float(sum(weight * score for weight, score in counted) / sum(weight for weight, _ in counted))


def winner_of(score: float) -> Winner:
    """Who is ahead.

    Example:
        >>> winner_of(0.5), winner_of(-1), winner_of(0)
        ('a', 'b', 'tie')
    """
    return "a" if score > 0 else "b" if score < 0 else "tie"


@dataclass(frozen=True, config=_CHECKED)
class Scored:
    """A criterion with its score.

    Attributes:
        name, tier: of the criterion.
        reason: the judge's comparison.
        score: -2..2, positive: A is better.
        quote_a, quote_b: the evidence in each answer, as the judge quoted it.
        found_a, found_b: whether the quote stands in the answer; None where nothing was quoted.
        principle: the id of the principle that the criterion comes from, where the judge was asked to name it; None where it comes from none.
    """

    name: str
    tier: Tier
    reason: str
    score: int
    quote_a: str = ""
    quote_b: str = ""
    found_a: bool | None = None
    found_b: bool | None = None
    principle: str | None = None

    @property
    def quotes(self) -> dict[str, str]:
        """The evidence by answer, "a" and "b"."""
        return {"a": self.quote_a, "b": self.quote_b}

    @property
    def found(self) -> dict[str, bool | None]:
        """Whether it stands there, by answer."""
        return {"a": self.found_a, "b": self.found_b}


@dataclass(frozen=True, config=_CHECKED)
class Judgement:
    """What the judge said of a pair in one order; scores and quotes refer to A and B as they were given.

    Attributes:
        swapped: whether B was shown first: then "answer 1" in the judge's words is B.
        differences: what tells the answers apart.
        criteria: with scores.
        score: their aggregate.
    """

    swapped: bool
    differences: list[str]
    criteria: list[Scored]
    score: float

    @property
    def winner(self) -> Winner:
        """Who is ahead in this order."""
        return winner_of(self.score)

    @property
    def vetoed(self) -> bool:
        """Whether hard criteria decided."""
        return any(criterion.tier == "hard" and criterion.score for criterion in self.criteria)


def _whole(text: Any) -> Any:
    """A text that can be written: halves of characters become question marks, as they would in a file."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


@dataclass(frozen=True, config=_CHECKED)
class Verdict:
    """Which of two answers is better, and why. What is read back from a file is a `Verdict` again.

    Attributes:
        winner: "a", "b" or "tie"; None where judging failed: that is no verdict, and no score.
        score: -2..2, positive: A is better; None where judging failed.
        decided_by: "checks", "veto", "criteria", "disagreement" (the orders contradict each other), "no difference", or "failure".
        judgements: one an order that was asked.
        checks: results of the programmatic checks by name, for A and for B.
        rubric: id of the meta-rubric; calls, tokens: spent, those in vain included.
        error: why judging failed.
        version: of this form.

    Example:
        >>> verdict = Verdict("a", 2.0, "checks", checks={"digits": (1.0, 0.0)}, rubric="general@1")
        >>> Verdict.from_dict(verdict.to_dict()) == verdict
        True
    """

    winner: Winner | None
    score: float | None
    decided_by: str
    judgements: list[Judgement] = field(default_factory=list)
    checks: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    rubric: str = ""
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    error: Annotated[str | None, BeforeValidator(_whole)] = None
    version: int = _VERSION

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, as `steelyard judge --out` writes it; the first version goes without saying."""
        return {
            "winner": self.winner,
            "score": self.score,
            "decided_by": self.decided_by,
            "rubric": self.rubric,
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "checks": {name: list(results) for name, results in self.checks.items()},
            "orders": [
                {
                    "swapped": one.swapped,
                    "score": one.score,
                    "winner": one.winner,
                    "differences": one.differences,
                    "criteria": [_plain(criterion) for criterion in one.criteria],
                }
                for one in self.judgements
            ],
            "error": self.error,
            **({} if self.version == 1 else {"version": self.version}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """A verdict from plain data, as `to_dict` gives it.

        Raises:
            InputError: where it is of a later version.
            ValueError, TypeError, KeyError: where it is no verdict.
        """
        version = data.get("version", 1)
        if isinstance(version, int) and version > _VERSION:
            raise InputError(
                f"a verdict of version {version}, but this Steelyard reads up to version {_VERSION}: install a newer one"
            )
        orders = [{key: value for key, value in order.items() if key != "winner"} for order in data["orders"]]
        known = {key: data[key] for key in _FIELDS if key in data}
        return _adapter().validate_python({**known, "judgements": orders})

    @property
    def criteria(self) -> list[Scored]:
        """The criteria of all orders, one order after the other."""
        return [criterion for order in self.judgements for criterion in order.criteria]

    @property
    def orders(self) -> list[Winner]:
        """Who is ahead in each order that was asked."""
        return [order.winner for order in self.judgements]


_FIELDS = ("winner", "score", "decided_by", "rubric", "calls", "tokens_in", "tokens_out", "checks", "error", "version")


@cache
def _adapter() -> TypeAdapter[Verdict]:
    return TypeAdapter(Verdict)


_CRITERION = ("name", "tier", "reason", "score", "quote_a", "quote_b", "found_a", "found_b")


def _plain(criterion: Scored) -> dict[str, Any]:
    named = {} if criterion.principle is None else {"principle": criterion.principle}
    return {name: getattr(criterion, name) for name in _CRITERION} | named


def joined(judgements: Sequence[Judgement], *, summed: bool = False) -> tuple[Winner, float, str]:
    """Winner, score and what decided, from one order or from both: two orders that do not agree are a tie, unless their scores are to be summed.

    Example:
        >>> good, bad = (Judgement(False, [], [Scored("x", "core", "", s)], float(s)) for s in (2, -1))
        >>> joined([good]), joined([good, bad]), joined([good, good])
        (('a', 2.0, 'criteria'), ('tie', 0.0, 'disagreement'), ('a', 2.0, 'criteria'))
    """
    winners = {one.winner for one in judgements}
    score = sum(one.score for one in judgements) / len(judgements)
    if len(winners) > 1 and not (summed and score):
        return "tie", 0.0, "disagreement"
    winner = winner_of(score)
    if winner == "tie":
        return "tie", 0.0, "no difference"
    return winner, score, "veto" if all(one.vetoed for one in judgements) else "criteria"
