"""Numbers from verdicts: how much better one answer is, as a whole and by each principle of the rubric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from steelyard.rubric.meta_rubric import MetaRubric, TierWeights
from steelyard.rubric.verdict import Judgement, Scored, Verdict, aggregate, joined

_LARGEST = 2.0
_SIGNS = {"a": 1.0, "tie": 0.0, "b": -1.0}
GRADES = ("sign", "aggregate")
FORMS = ("mean", "share")
POOLS = ("mean", "majority")


def value_of(verdict: Verdict, grade: str = "aggregate") -> float | None:
    """How much better answer A is, -1 to 1; None where judging failed.

    Args:
        verdict: of A and B.
        grade: "sign" (1 for the winner, 0 for a tie) or "aggregate" (half the verdict's score).

    Example:
        >>> value_of(Verdict("a", 0.5, "criteria")), value_of(Verdict("a", 0.5, "criteria"), "sign"), value_of(Verdict(None, None, "failure"))
        (0.25, 1.0, None)
    """
    if verdict.winner is None or verdict.score is None:
        return None
    return _SIGNS[verdict.winner] if grade == "sign" else verdict.score / _LARGEST


def thinned(verdict: Verdict, is_left_out: Callable[[Scored], bool], rubric: MetaRubric, *, summed: bool = False) -> Verdict:
    """A verdict with some of its criteria left out; the total is computed again.

    Args:
        verdict: with its criteria.
        is_left_out: whether a criterion is; hard ones never are, and an order that would lose all keeps all.
        rubric: whose weights count.
        summed: as the judge's `orders="sum"`.

    Example:
        >>> said = [Scored("true", "core", "", 2), Scored("short", "important", "", -1)]
        >>> verdict = Verdict("a", 8 / 7, "criteria", [Judgement(False, [], said, 8 / 7)])
        >>> thinned(verdict, lambda one: one.name == "true", MetaRubric.load("general")).winner
        'b'
    """
    if verdict.winner is None or not verdict.judgements:
        return verdict
    weights, orders = (rubric.weights or TierWeights()).model_dump(), []
    for order in verdict.judgements:
        kept = [one for one in order.criteria if one.tier == "hard" or not is_left_out(one)] or order.criteria
        score = aggregate([one.score for one in kept], [one.tier for one in kept], weights)
        orders.append(replace(order, criteria=kept, score=score))
    winner, score, decided_by = joined(orders, summed=summed)
    return replace(verdict, winner=winner, score=score, decided_by=decided_by, judgements=orders)


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of those that are there; None where none is.

    Example:
        >>> mean_of([1.0, None, 0.0]), mean_of([None])
        (0.5, None)
    """
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None


def pooled(values: Sequence[float | None], pool: str = "mean") -> float | None:
    """One value of several judges: their mean, or which answer most of them prefer (1, 0 or -1); None where none has one.

    Example:
        >>> pooled([1.0, 0.5, -0.5, None], "majority"), pooled([1.0, -1.0], "majority"), pooled([None], "majority")
        (1.0, 0.0, None)
    """
    found = [value for value in values if value is not None]
    if pool == "mean" or not found:
        return mean_of(found)
    balance = sum((value > 0) - (value < 0) for value in found)
    return float((balance > 0) - (balance < 0))


def principle_values(verdict: Verdict, rubric: MetaRubric, form: str = "mean") -> dict[str, float | None]:
    """How much better answer A is by each principle; None where a principle did not come up, or judging failed.

    Args:
        verdict: by a judge with `principles=True`.
        rubric: whose principles they are.
        form: "mean" or "share".

            "mean", -1 to 1: the mean of the principle's criteria, divided by 2, in each order that was asked; where the orders contradict each other, 0, and
            else their mean. Every principle has the same scale, whatever else the pair's criteria were about: for methods that weigh objectives.

            "share", at most 2 divided by the tier's weight, either way: `v_p = sum_{i in p} w_i s_i / (W_p N)` with `N = sum of w_i over the criteria with s_i != 0` and `W_p` the weight of the
            principle's tier (5, 2, 1; 1 for a hard one). Then `sum_p W_p v_p` is the verdict's score, where every criterion names a principle: for
            weights that are to begin as the paper's aggregate. `N` differs from pair to pair, so that a principle's values do as well.

    A pair that checks decide counts as a victory by every principle: an answer that fails a guard loses, whatever it is judged by. In answers that do not
    differ, every principle is a tie. Where a hard criterion tells the answers apart, criteria of other tiers do not count: they are None, or 0 as shares.

    Example:
        >>> rubric = MetaRubric.load("general")
        >>> said = [Scored("true", "core", "", 2, principle="correctness"), Scored("short", "important", "", -1, principle="economy")]
        >>> verdict = Verdict("a", 8 / 7, "criteria", [Judgement(False, [], said, 8 / 7)])
        >>> {name: value for name, value in principle_values(verdict, rubric).items() if value is not None}
        {'correctness': 1.0, 'economy': -0.5}
        >>> shares = principle_values(verdict, rubric, "share")
        >>> round(5 * shares["correctness"] + 2 * shares["economy"], 6) == round(8 / 7, 6)
        True
    """
    ids = [principle.id for principle in rubric.principles]
    if verdict.winner is None or verdict.score is None:
        return dict.fromkeys(ids)
    if not verdict.judgements:
        return dict.fromkeys(
            ids, verdict.score / _LARGEST if form == "mean" else verdict.score / sum(tier_weights(rubric).values())
        )
    if form == "mean":
        each = [_means(order) for order in verdict.judgements]
        return {name: _agreed([order.get(name) for order in each]) for name in ids}
    if verdict.decided_by == "disagreement":
        return dict.fromkeys(ids, 0.0)
    weights = (rubric.weights or TierWeights()).model_dump()
    shares = [_shares(order, weights, tier_weights(rubric)) for order in verdict.judgements]
    return {name: sum(order.get(name, 0.0) for order in shares) / len(shares) for name in ids}


def tier_weights(rubric: MetaRubric) -> dict[str, float]:
    """The weight of each principle's tier; 1 for a hard one, which decides alone.

    Example:
        >>> weights = tier_weights(MetaRubric.load("general"))
        >>> weights["correctness"], weights["economy"], weights["grave-falsehood"]
        (5.0, 2.0, 1.0)
    """
    weights = (rubric.weights or TierWeights()).model_dump()
    return {principle.id: weights.get(principle.tier, 1.0) for principle in rubric.principles}


def _counted(order: Judgement) -> list[Scored]:
    """The criteria that count: hard ones alone, where any of them tells the answers apart."""
    return [one for one in order.criteria if one.tier == "hard"] if order.vetoed else order.criteria


def _means(order: Judgement) -> dict[str, float]:
    found: dict[str, list[int]] = {}
    for one in _counted(order):
        if one.principle is not None:
            found.setdefault(one.principle, []).append(one.score)
    return {name: sum(scores) / len(scores) / _LARGEST for name, scores in found.items()}


def _agreed(values: Sequence[float | None]) -> float | None:
    """The mean of both orders; 0 where they contradict each other."""
    found = [value for value in values if value is not None]
    if any(value > 0 for value in found) and any(value < 0 for value in found):
        return 0.0
    return mean_of(found)


def _shares(order: Judgement, weights: Mapping[str, float], of_principle: Mapping[str, float]) -> dict[str, float]:
    counted = [one for one in _counted(order) if one.score]
    # Hard scores are added up and not averaged, and their sum is cut off at the scale's end.
    total = (
        abs(sum(one.score for one in counted)) / max(abs(order.score), 1e-9)
        if order.vetoed
        else sum(weights[one.tier] for one in counted)
    )
    found: dict[str, float] = {}
    for one in counted:
        if one.principle is not None:
            share = (1.0 if order.vetoed else weights[one.tier]) * one.score / max(total, 1e-9)
            found[one.principle] = found.get(one.principle, 0.0) + share / of_principle.get(one.principle, 1.0)
    return found
