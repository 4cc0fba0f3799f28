"""A verdict to read: in the terminal, and as a page with quotes marked in both answers."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from steelyard.errors import InputError
from steelyard.files import write_atomically
from steelyard.rubric._fence import visible
from steelyard.rubric._quotes import as_looked_for, quote_parts, with_places
from steelyard.rubric.meta_rubric import TIERS
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Scored, Verdict
from steelyard.rubric.verdict_files import read_verdicts

_SHOWN_OF_ANSWER = 600
"""Characters of an answer that the terminal shows; the page shows all."""
_SHOWN = {False: "A shown first, as answer 1", True: "B shown first, as answer 1"}
_NAMES = {"a": "A is better", "b": "B is better", "tie": "a tie", None: "no verdict"}


def print_verdict(console: Any, pair: Pair, verdict: Verdict) -> None:
    """Print a verdict: what decided, both answers with the quotes in them marked, and for each order the criteria by tier and the differences."""
    from rich.table import Table
    from rich.text import Text

    score = "" if verdict.score is None else f", score {verdict.score:+.2f}"
    console.print(
        f"pair {visible(pair.id)}: {_NAMES[verdict.winner]}{score}, decided by {verdict.decided_by}",
        style="bold",
        highlight=False,
        soft_wrap=True,
    )
    if verdict.error:
        console.print(f"error: {visible(verdict.error)}", highlight=False, soft_wrap=True)
    for name, (first, second) in verdict.checks.items():
        console.print(f"check {visible(name)}: A {_value(first)}, B {_value(second)}", highlight=False, soft_wrap=True)
    criteria = verdict.criteria
    for side, answer in (("a", pair.a), ("b", pair.b)):
        text = visible(str(answer))
        shown = Text(f"{side.upper()}: ", "bold") + Text(
            text[:_SHOWN_OF_ANSWER] + (" ..." if len(text) > _SHOWN_OF_ANSWER else "")
        )
        for start, end in _spans(text[:_SHOWN_OF_ANSWER], (one.quotes[side] for one in criteria)):
            shown.stylize("reverse", 3 + start, 3 + end)
        console.print(shown)
    for order in verdict.judgements:
        table = Table(
            "criterion",
            "tier",
            "score",
            "why",
            "in A",
            "in B",
            title=_SHOWN[order.swapped],
            title_justify="left",
        )
        for one in _hard_first(order.criteria):
            evidence = [visible(one.quotes[side]) + (" (missing)" if one.found[side] is False else "") for side in "ab"]
            table.add_row(visible(one.name), one.tier, f"{one.score:+d}", visible(one.reason), *evidence)
        table.add_row("total", "", f"{order.score:+.2f}", _NAMES[order.winner], style="bold")
        console.print(table)
        for difference in order.differences:
            console.print(f"- {visible(difference)}", highlight=False, soft_wrap=True)


def _value(value: float | None) -> str:
    return "does not apply" if value is None else f"{value:g}"


def _hard_first(criteria: Iterable[Scored]) -> list[Scored]:
    """Criteria with the hard ones first.

    Example:
        >>> [one.tier for one in _hard_first([Scored("x", "core", "", 1), Scored("y", "hard", "", 1)])]
        ['hard', 'core']
    """
    return sorted(criteria, key=lambda one: TIERS.index(one.tier))


def _spans(answer: str, quotes: Iterable[str]) -> list[tuple[int, int]]:
    """Where quotes stand in an answer, in order.

    Example:
        >>> _spans("One two three", ["two  THREE", "four"])
        [(4, 13)]
    """
    signs, places = with_places(answer)
    found = set()
    for quote in quotes:
        for part in quote_parts(quote):
            looked_for = as_looked_for(part)
            at = signs.find(looked_for)
            if at >= 0:
                found.add((places[at], places[at + len(looked_for) - 1] + 1))
    return sorted(found)


def marked(answer: str, quotes: Iterable[str]) -> str:
    """An answer as HTML, with the quotes that stand in it marked.

    Example:
        >>> marked("1 < 2, so two is more.", ["Two is  more"])
        '1 &lt; 2, so <mark>two is more</mark>.'
    """
    out, at = [], 0
    for start, end in _spans(answer, quotes):
        start = max(start, at)
        if end > start:
            out += [html.escape(answer[at:start]), f"<mark>{html.escape(answer[start:end])}</mark>"]
            at = end
    return "".join([*out, html.escape(answer[at:])])


def write_verdicts(pairs: Iterable[Pair], verdicts: Path, out: Path, *, limit: int = 500, errors: bool = False) -> Path:
    """Write the page of a file of verdicts.

    Args:
        pairs: with the texts.
        verdicts: as `steelyard judge --out` wrote it.
        out: the page.
        limit: pairs on the page at most; those that go against a label come first, then ties, then the rest.
        errors: show those that go against a label, and ties, alone.

    Returns:
        The page's path.
    """
    if out.is_dir():
        raise InputError(f"cannot write {out}: it is a folder; give a file name")
    kept, pairs = read_verdicts(verdicts), list(pairs)
    tried = read_verdicts(verdicts, failed=True)
    failed = sum(pair.id in tried and pair.id not in kept for pair in pairs)
    shown = [(pair, kept[pair.id]) for pair in pairs if pair.id in kept]

    def rank(item: tuple[Pair, Verdict]) -> int:
        pair, verdict = item
        wrong = pair.label is not None and verdict.winner not in ("tie", pair.label)
        return 0 if wrong else 1 if verdict.winner == "tie" else 2

    judged = len(shown)
    if errors:
        shown = [item for item in shown if rank(item) < 2]
    shown.sort(key=rank)
    rows = []
    for pair, verdict in shown[:limit]:
        criteria = verdict.criteria
        answers = [
            marked(visible(str(text)), (one.quotes[side] for one in criteria)) for side, text in (("a", pair.a), ("b", pair.b))
        ]
        rows.append({"pair": pair, "verdict": verdict, "answers": answers, "rank": rank((pair, verdict))})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["hard_first"] = _hard_first
    page = environment.get_template("verdicts.html").render(
        rows=rows, total=len(shown), judged=judged, errors=errors, failed=failed, names=_NAMES, shown=_SHOWN
    )
    write_atomically(out, page.encode("utf-8", "replace"))
    return out
