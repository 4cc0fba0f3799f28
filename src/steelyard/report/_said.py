"""What judges said of an answer of a run, read from its row in `answers/*.parquet`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

OUTCOMES = {
    "won": "better than another",
    "lost": "worse than another",
    "tied": "neither",
    "disagreed": "judges, or samples, prefer different answers",
    "guarded": "a check decided",
    "failed": "no verdict",
}
"""How an answer may have done against those that it was compared with."""
_Said = Mapping[str, list[dict[str, Any]]]


def said_of(row: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The comparisons of an answer, by objective.

    Example:
        >>> said_of({"answer": "x", "said/rubric": '[{"side": "a"}]', "said/other": None})
        {'rubric': [{'side': 'a'}]}
    """
    return {key.partition("/")[2]: json.loads(value) for key, value in row.items() if key.startswith("said/") and value}


def outcomes_of(said: _Said) -> set[str]:
    """How an answer did: of `OUTCOMES`, all that happened.

    Example:
        >>> sorted(outcomes_of({"rubric": [{"side": "a", "verdicts": [{"winner": "a", "decided_by": "checks"}, {"winner": "b", "decided_by": "veto"}]}]}))
        ['disagreed', 'guarded', 'lost', 'won']
    """
    found = set()
    for one in (one for comparisons in said.values() for one in comparisons):
        verdicts = one.get("verdicts", ())
        for verdict in verdicts:
            winner = verdict["winner"]
            found.add("failed" if winner is None else "tied" if winner == "tie" else "won" if winner == one["side"] else "lost")
            if verdict["decided_by"] == "checks":
                found.add("guarded")
        graded = one.get("graded", ())
        words = [tuple(criterion["said"] for criterion in grading["criteria"]) for grading in graded if not grading["error"]]
        if len({verdict["winner"] for verdict in verdicts} - {None}) > 1 or len(set(words)) > 1:
            found.add("disagreed")
        if any(grading["error"] for grading in graded):
            found.add("failed")
        if one.get("guarded"):
            found.add("guarded")
    return found


def principles_of(said: _Said) -> set[str]:
    """The principles by which an answer was better or worse than another, and the criteria that it met, wholly or in part.

    Example:
        >>> met = {"name": "States the dose.", "value": 1.0}
        >>> principles_of({"points": [{"graded": [{"criteria": [met, {"name": "Is rude.", "value": 0.0}]}]}]})
        {'States the dose.'}
    """
    found = set()
    for one in (one for comparisons in said.values() for one in comparisons):
        orders = (order for verdict in one.get("verdicts", ()) for order in verdict["orders"])
        criteria = (criterion for order in orders for criterion in order["criteria"])
        found |= {criterion["principle"] for criterion in criteria if criterion.get("principle") and criterion["score"]}
        graded = (criterion for grading in one.get("graded", ()) for criterion in grading["criteria"])
        found |= {criterion["name"] for criterion in graded if criterion["value"]}
    return found
