"""What asking in both orders costs and gains: policies replayed on recorded scores, and a threshold calibrated on labelled pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from steelyard.errors import InputError
from steelyard.intervals import wilson
from steelyard.rubric.verdict import winner_of

_POLICIES = ("one", "adaptive", "both", "sum")


@dataclass(frozen=True)
class Recorded:
    """A pair that was judged in both orders.

    Attributes:
        first, second: the score in the first and in the second order, both told so that positive means A is better; None where judging failed.
        label: 1 where A is better, -1 where B is.
    """

    first: float | None
    second: float | None
    label: int


@dataclass(frozen=True)
class Outcome:
    """What a policy came to on a set of pairs.

    Attributes:
        pairs: that could be judged; failures: that could not, and count nowhere else.
        accuracy: the share right, ties counted half; low, high: its 95% interval (Wilson's).
        decided: the share that is no tie.
        precision: the share right among the decided; precision_low, precision_high: its 95% interval.
        calls: a pair, on average.
        flips: the share of pairs with both orders asked whose winners differ (a tie in one of them included).
    """

    pairs: int
    failures: int
    accuracy: float
    low: float
    high: float
    decided: float
    precision: float
    precision_low: float
    precision_high: float
    calls: float
    flips: float


def replay(pairs: Sequence[Recorded], policy: str, *, decisive: float = 1.0) -> Outcome:
    """Judge recorded pairs by a policy.

    Args:
        pairs: with the scores of both orders.
        policy: "one" (the first order), "both" (they must agree, else a tie), "adaptive" (the second only where the first is smaller than
            `decisive`, then as "both"), or "sum" (the sign of the sum of both).
        decisive: a positive score.

    Returns:
        Accuracy, coverage, cost and flips.

    Raises:
        InputError: where the policy is unknown, or no pair can be judged.

    Example:
        >>> pairs = [Recorded(2.0, 1.0, 1), Recorded(1.0, -1.0, -1), Recorded(-2.0, 1.0, -1)]
        >>> for policy in ("one", "both", "adaptive"):
        ...     found = replay(pairs, policy, decisive=2.0)
        ...     print(policy, round(found.accuracy, 2), round(found.calls, 2))
        one 0.67 1.0
        both 0.67 2.0
        adaptive 0.83 1.33
    """
    if policy not in _POLICIES:
        raise InputError(f"unknown policy {policy!r}: use one of {', '.join(_POLICIES)}")
    right = ties = calls = twice = flips = failures = 0
    for pair in pairs:
        need_second = policy in ("both", "sum") or (
            policy == "adaptive" and pair.first is not None and abs(pair.first) < decisive
        )
        scores = [pair.first, pair.second] if need_second else [pair.first]
        if None in scores:
            failures += 1
            continue
        winners = {winner_of(score) for score in scores if score is not None}
        winner = winner_of(sum(scores)) if policy == "sum" else winners.pop() if len(winners) == 1 else "tie"  # type: ignore[arg-type]
        if len(scores) == 2:
            twice += 1
            flips += winner_of(scores[0] or 0.0) != winner_of(scores[1] or 0.0)
        calls += len(scores)
        ties += winner == "tie"
        right += winner == ("a" if pair.label > 0 else "b")
    judged = len(pairs) - failures
    if not judged:
        raise InputError(f"none of {len(pairs)} pairs was judged")
    decided = judged - ties
    low, high = wilson(right + 0.5 * ties, judged)
    precision = wilson(right, decided) if decided else (0.0, 1.0)
    return Outcome(
        judged, failures, (right + 0.5 * ties) / judged, low, high, decided / judged, right / decided if decided else math.nan, *precision,
        calls / judged, flips / twice if twice else math.nan,
    )  # fmt: skip


def calibrate(pairs: Sequence[Recorded], *, calls: float = 1.5) -> float:
    """The threshold for `orders="adaptive"` with the best accuracy on labelled pairs, among those that cost at most `calls` a pair.

    Returns:
        A value for `PairwiseJudge(decisive=...)`; of equally good ones, the largest.

    Raises:
        InputError: where no threshold is cheap enough.

    Example:
        >>> pairs = [Recorded(2.0, 2.0, 1), Recorded(1.0, -1.0, -1), Recorded(1.5, 1.0, 1), Recorded(-2.0, -1.0, -1)]
        >>> calibrate(pairs)
        2.0
    """
    candidates = sorted({abs(pair.first) for pair in pairs if pair.first} | {0.01})
    found = [(replay(pairs, "adaptive", decisive=value), value) for value in candidates]
    fitting = [(outcome.accuracy, value) for outcome, value in found if outcome.calls <= calls]
    if not fitting:
        raise InputError(f"no threshold costs at most {calls} calls a pair: allow {min(o.calls for o, _ in found):.2f}")
    return max(fitting)[1]
