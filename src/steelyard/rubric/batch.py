"""Many pairs: judged with a bounded number in flight, written one by one, summed up; what was judged before is not judged again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from steelyard.checks.base import identity_of
from steelyard.errors import BudgetError, InputError
from steelyard.files import locked
from steelyard.intervals import wilson
from steelyard.llm import Usage
from steelyard.rubric.judge import PairwiseJudge
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict
from steelyard.rubric.verdict_files import Line, digest_of, read_lines


@dataclass
class Summary:
    """What a run of pairs came to.

    Attributes:
        winners: how often "a", "b" and "tie" won; failed: pairs without a verdict.
        decided_by: what decided, counted.
        both, flips: pairs judged in both orders, and those whose winners differ between them.
        calls, tokens_in, tokens_out: spent, in vain as well.
        labelled, right: pairs with a label and a verdict, and those judged as it says; ties count half.
        quotes, found: quotes that the judge gave, and those that stand in the answers.
        last_error: why the last pair without a verdict has none.
        checks: by name, the pairs in which a check applied to an answer.
        gave_up: whether the run was ended since no question at all was answered, or so many in a row were not, for a reason that stands for all.
        in_a_row: how many that were; 0 where none at all was answered.
    """

    gave_up: bool = False
    in_a_row: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    winners: Counter[str] = field(default_factory=Counter)
    decided_by: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    both: int = 0
    flips: int = 0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    labelled: int = 0
    right: float = 0.0
    quotes: int = 0
    found: int = 0
    last_error: str | None = None

    def add(self, pair_label: str | None, verdict: Verdict) -> None:
        """Count a verdict."""
        self.decided_by[verdict.decided_by] += 1
        for name, results in verdict.checks.items():
            self.checks[name] += any(result is not None for result in results)
        self.calls += verdict.calls
        self.tokens_in += verdict.tokens_in
        self.tokens_out += verdict.tokens_out
        if verdict.winner is None:
            self.failed += 1
            self.last_error = verdict.error
            return
        self.winners[verdict.winner] += 1
        found = [there for one in verdict.criteria for there in one.found.values() if there is not None]
        self.quotes, self.found = self.quotes + len(found), self.found + sum(found)
        if len(verdict.orders) == 2:
            self.both += 1
            self.flips += len(set(verdict.orders)) == 2
        if pair_label is not None:
            self.labelled += 1
            self.right += 0.5 if verdict.winner == "tie" else float(verdict.winner == pair_label)

    def idle_checks(self) -> list[str]:
        """Checks that applied to no answer of all."""
        return [name for name, count in self.checks.items() if not count]

    @property
    def judged(self) -> int:
        """Pairs with a verdict."""
        return self.winners.total()

    def lines(self, *, labels: bool = True) -> list[str]:
        """The summary in words; `labels` tells how often the verdicts agree with the pairs' labels."""
        total = self.judged + self.failed
        out = [
            f"{total} pairs: A {self.winners['a']}, B {self.winners['b']}, ties {self.winners['tie']}, failed {self.failed}",
            "decided by " + ", ".join(f"{name} {count}" for name, count in self.decided_by.most_common()),
            f"{self.calls} calls ({self.calls / max(1, total):.2f} a pair), {self.tokens_in:,} tokens in, {self.tokens_out:,} out",
        ]
        if self.both:
            out.append(
                f"asked in both orders: {self.both}, of which {self.flips} ({self.flips / self.both:.0%}) gave two winners"
            )
        if self.quotes:
            out.append(f"{self.quotes} quotes, of which {self.found} ({self.found / self.quotes:.0%}) stand in the answers")
        if self.labelled and labels:
            low, high = wilson(self.right, self.labelled)
            out.append(
                f"agrees with the label in {self.right / self.labelled:.3f} of {self.labelled} ({low:.3f} to {high:.3f}), ties half"
            )
        return out


async def judge_pairs(
    judge: PairwiseJudge, pairs: Iterable[Pair], *, in_flight: int = 64, route: Callable[[Pair], Any] | None = None
) -> AsyncGenerator[tuple[Pair, Verdict]]:
    """Judge pairs, at most `in_flight` at a time, and give each with its verdict as soon as it is there.

    Args:
        judge: see `PairwiseJudge`.
        pairs: read as needed, so that there may be any number of them.
        in_flight: pairs under way; their calls wait for the client's own limit.
        route: from a pair to its domain, or to an awaitable of it; default: the pair's own.

    Raises:
        BudgetError: once what was under way is through.
    """

    async def one(pair: Pair) -> tuple[Pair, Verdict]:
        domain = pair.domain if route is None else route(pair)
        if asyncio.iscoroutine(domain):
            domain = await domain
        try:
            verdict = await judge.compare(
                pair.prompt, pair.a, pair.b, domain=domain, criteria=pair.criteria, columns=pair.columns
            )
        except InputError as error:
            raise InputError(f"pair {pair.id}: {error}") from None
        return pair, verdict

    waiting, ended = iter(pairs), False
    under_way: set[asyncio.Task[tuple[Pair, Verdict]]] = set()
    stopped: BaseException | None = None
    try:
        while not ended or under_way:
            while not ended and stopped is None and len(under_way) < in_flight:
                pair = next(waiting, None)
                if pair is None:
                    ended = True
                else:
                    under_way.add(asyncio.ensure_future(one(pair)))
            if stopped is not None:
                ended = True
            if not under_way:
                break
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    yield task.result()
                else:
                    stopped = error
    finally:
        # Where nobody waits for the rest, nothing more is asked.
        for task in under_way:
            task.cancel()
    if stopped is not None:
        raise stopped


def run_pairs(
    judge: PairwiseJudge,
    pairs: list[Pair],
    *,
    out: Path | None = None,
    in_flight: int = 64,
    route: Callable[[Pair], Any] | None = None,
    tell: Callable[[Pair, Verdict], None] | None = None,
) -> tuple[Summary, bool]:
    """Judge pairs from code without an event loop, and write a line a pair.

    Args:
        out: a JSONL file; pairs that have a verdict there already are not judged again, those that failed are. Checks are run again, and what
            they change is written anew. A verdict of other texts, or of a judge with other settings, is refused.
        tell: called with every pair and its verdict.

    Returns:
        The summary of all, those of before included, and whether the budget ended the run before all were judged.

    Raises:
        InputError: where the file holds something else, or another process is writing to it.
    """
    if out is None:
        return _run(judge, pairs, None, in_flight, route, tell)
    with locked(out) as mine:
        if not mine:
            raise InputError(f"another process is writing to {out}: wait for it, or give another --out")
        return _run(judge, pairs, out, in_flight, route, tell)


def _run(
    judge: PairwiseJudge,
    pairs: list[Pair],
    out: Path | None,
    in_flight: int,
    route: Callable[[Pair], Any] | None,
    tell: Callable[[Pair, Verdict], None] | None,
) -> tuple[Summary, bool]:
    from steelyard.llm import run_sync

    kept: dict[str, Line] = {}
    made_by = _made_by(judge, route)
    if out is not None:
        kept = read_lines(out)
        _check_kept(kept, pairs, made_by, out)
        _drop_torn_line(out)
    summary, labels, usage = Summary(), {pair.id: pair.label for pair in pairs}, judge.client.usage
    before = replace(usage)
    usage.barred = 0
    todo, other = [], []
    for pair in pairs:
        line = kept.get(pair.id)
        now = None if line is None else _rechecked(judge, pair, line.verdict)
        if now is None:
            todo.append(pair)
            continue
        summary.add(labels[pair.id], replace(now, calls=0, tokens_in=0, tokens_out=0))
        if line is not None and now is not line.verdict:
            other.append(Line(pair.id, digest_of(pair), made_by, now))

    async def work() -> bool:
        lines = out.open("a", encoding="utf-8", errors="replace") if out is not None else None
        try:
            if lines is not None:
                lines.writelines(line.text() for line in other)
                lines.flush()
            async with aclosing(judge_pairs(judge, todo, in_flight=in_flight, route=route)) as judged:
                async for pair, verdict in judged:
                    summary.add(pair.label, verdict)
                    if lines is not None:
                        lines.write(Line(pair.id, digest_of(pair), made_by, verdict).text())
                        lines.flush()
                    if tell is not None:
                        tell(pair, verdict)
                    if verdict.winner is None and _is_vain(summary, usage, before):
                        return False
        except BudgetError:
            return True
        finally:
            if lines is not None:
                lines.close()
        return False

    stopped = run_sync(work())
    # What was really sent, questions about domains and tries in vain included.
    summary.calls, summary.tokens_in = usage.calls - before.calls, usage.tokens_in - before.tokens_in
    summary.tokens_out = usage.tokens_out - before.tokens_out
    return summary, stopped


_UNANSWERED = 8
"""Pairs without a verdict after which a run ends, where no question was answered at all."""
_BARRED = 5
"""Questions in a row after which it ends, where each failed for a reason that stands for all."""


def _is_vain(summary: Summary, usage: Usage, before: Usage) -> bool:
    """Whether further questions would be asked in vain; the summary notes it."""
    none = usage.answered == before.answered and usage.cached == before.cached
    summary.gave_up = usage.barred >= _BARRED or (none and summary.failed >= _UNANSWERED)
    summary.in_a_row = usage.barred if summary.gave_up and not none else 0
    return summary.gave_up


def _made_by(judge: PairwiseJudge, route: Callable[[Pair], Any] | None) -> str:
    """A checksum of all that verdicts depend on beside the pairs: the judge, and how a pair's domain is found."""
    if route is None:
        return judge.fingerprint
    return hashlib.blake2b(
        f"{judge.fingerprint} {identity_of(route)}".encode("utf-8", "surrogatepass"), digest_size=8
    ).hexdigest()


def _rechecked(judge: PairwiseJudge, pair: Pair, verdict: Verdict) -> Verdict | None:
    try:
        return judge.rechecked(verdict, pair.prompt, pair.a, pair.b, pair.columns)
    except InputError as error:
        raise InputError(f"pair {pair.id}: {error}") from None


def _drop_torn_line(path: Path) -> None:
    """Remove a last line that a crash cut short, and end one that lacks its end alone. What is none of ours stays.

    Raises:
        InputError: where the last line is no verdict, whole or cut short: the file holds something else.
    """
    if not path.is_file() or not (content := path.read_bytes()) or content.endswith(b"\n"):
        return
    at = content.rfind(b"\n") + 1
    try:
        whole = json.loads(content[at:])
    except (ValueError, RecursionError):
        whole = None
    with path.open("r+b") as file:
        if isinstance(whole, dict) and {"id", "pair", "judge", "winner", "orders"} <= whole.keys():
            file.seek(0, 2)
            file.write(b"\n")
        elif whole is None and (at or _is_begun(content)):
            file.truncate(at)
        else:
            raise InputError(f"{path}: its last line is no verdict; choose another --out, or remove the file")


def _is_begun(line: bytes) -> bool:
    """Whether a line that was cut short is the beginning of one of ours: the pair's checksum follows its id.

    Example:
        >>> _is_begun(b'{"id": "1", "pai'), _is_begun(b'{"id": "1", "prompt": "2+2?", "a')
        (True, False)
    """
    start = b'{"id": "'
    if not line.startswith(start):
        return start.startswith(line)
    between, at = b'", "pair": "', line.find(b'", "', len(start))
    if at < 0:  # inside the id, or a row of another form
        return b'":' not in line[len(start) :]
    return between.startswith(line[at:]) or line.startswith(between, at)


def _check_kept(kept: Mapping[str, Line], pairs: Iterable[Pair], made_by: str, out: Path) -> None:
    for pair in pairs:
        if pair.id not in kept:
            continue
        if kept[pair.id].pair != digest_of(pair):
            raise InputError(
                f"{out} holds a verdict on other texts for pair {pair.id!r}: give another --out, or remove the file (its prompt, answers, given "
                "criteria and domain count)"
            )
        if kept[pair.id].judge != made_by:
            raise InputError(
                f"{out} holds verdicts of another judge (its model, rubric, checks, their options, orders, --domain or another setting is not this one's): "
                "give another --out, or remove the file"
            )
