"""What every reward does that asks a judge: a batch is judged once, failures are waited for, and what was asked is counted."""

from __future__ import annotations

import asyncio
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from steelyard.errors import InputError, RunError, nearest
from steelyard.rubric_reward._group import digest
from steelyard.rubric_reward._judged import COUNTED, Judged, rows_of

T = TypeVar("T")
_ON_FAILURE = ("stop", "missing")
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
NOT_ASKED = "not asked"


class Batch(ABC):
    """The answers of a batch before a judge.

    Args:
        reward: whose judges and settings are used.
        prompts, completions, rows: one an answer; a row holds the columns.
        until: when judging must end, on the monotonic clock; None for no such time.
    """

    def __init__(self, reward: Any, prompts: list, completions: list, rows: list[dict[str, Any]], until: float | None) -> None:
        self.of, self.prompts, self.completions, self.rows, self.until = reward, prompts, completions, rows, until
        self.in_a_row = 0
        self.slots = asyncio.Semaphore(max(client.concurrency for client in reward.clients))
        self._cached = self._cached_so_far()

    def _cached_so_far(self) -> int:
        return sum(client.usage.cached for client in self.of.clients)

    def cached(self) -> int:
        """Replies that were taken from a cache."""
        return self._cached_so_far() - self._cached

    @abstractmethod
    async def play(self) -> None:
        """Ask all that has no answer yet."""

    @abstractmethod
    def failed(self) -> tuple[int, int]:
        """How much has no verdict, and how much there is."""

    @abstractmethod
    def counts(self) -> Counter[str]:
        """What was asked and what it cost; see `COUNTED`."""

    @abstractmethod
    def result(self) -> Judged:
        """The scores of all answers."""

    @abstractmethod
    def replies(self) -> Sequence[Any]:
        """All that judges said, failures included."""

    async def ask(self, asking: Callable[[], Awaitable[T]], late: Callable[[str], T]) -> T:
        """What a judge says when its turn comes; a failure where the deadline is before it, or nearly all that was asked before failed."""
        async with self.slots:
            if self.in_a_row >= self.of.in_a_row:
                return late(f"{NOT_ASKED}, since {self.in_a_row} questions in a row brought no verdict")
            found = await self._in_time(asking(), late)
        self.in_a_row = self.in_a_row + 1 if getattr(found, "error", None) else 0
        return found

    async def _in_time(self, asking: Awaitable[T], late: Callable[[str], T]) -> T:
        """What is asked, or a failure where the deadline is before it."""
        if self.until is None:
            return await asking
        try:
            return await asyncio.wait_for(asking, max(0.0, self.until - time.monotonic()))
        except TimeoutError:
            return late(f"no verdict within the deadline of {self.of.deadline:g} s")

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.until is not None and time.monotonic() >= self.until

    def last_error(self) -> str:
        """Why the last that has no verdict has none."""
        errors = [one.error for one in self.replies() if one.error and not one.error.startswith(NOT_ASKED)]
        return errors[-1] if errors else "no reason given"


class JudgeReward(ABC):
    """A reward that asks judges.

    Args:
        clients: of the judges.
        name: of the objective, and of the metrics in the log.
        unit: what is judged, for messages.
        deadline, most_failed, in_a_row, patience, on_failure, price: see `RubricReward`.

    Attributes:
        answers_needed: references that only the policy can give.
    """

    answers_needed: tuple[str, ...] = ()

    def __init__(
        self,
        clients: Sequence[Any],
        *,
        name: str,
        unit: str,
        deadline: float | None,
        most_failed: float,
        in_a_row: int,
        patience: float,
        on_failure: str,
        price: tuple[float, float],
    ) -> None:
        check_choice("on_failure", on_failure, _ON_FAILURE)
        check_counts(in_a_row=in_a_row)
        if not 0 <= most_failed <= 1 or not patience >= 0 or (deadline is not None and not deadline > 0):
            raise InputError(
                f"most_failed must lie between 0 and 1, patience be 0 or more, and deadline positive, but they are {most_failed}, {patience} and {deadline}"
            )
        self.clients, self.unit, self.in_a_row, self.price = list(clients), unit, in_a_row, price
        self.deadline, self.most_failed, self.patience, self.on_failure = deadline, most_failed, patience, on_failure
        self.__name__ = self.name = name
        self.totals: Counter[str] = Counter()
        self.latest: Judged | None = None
        self._latest_key = ""
        self._account: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[Judged]] = {}
        self._waiting: Counter[str] = Counter()

    # What a kind of reward says of itself ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _batch(self, prompts: list, completions: list, rows: list[dict[str, Any]], until: float | None) -> Batch:
        """The answers of a batch before the judge."""

    @abstractmethod
    def _parts(self) -> Sequence[str]:
        """What the reward may be split by."""

    @abstractmethod
    def _watch(self, found: Judged) -> None:
        """See what a judge is like."""

    @abstractmethod
    def _measuring_counts(self) -> Counter[str]:
        """What validations have asked since this was last cleared."""

    @abstractmethod
    async def measured(
        self, part: str, prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]
    ) -> list[float | None]:
        """The measure of one part on held-out prompts."""

    # What all have in common ------------------------------------------------------------------------------------------------------------------

    async def __call__(self, prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
        """One score an answer; None where it has none."""
        return (await self.judged(prompts, completions, columns)).scores

    async def judged(self, prompts: Sequence, completions: Sequence, columns: Mapping[str, Any]) -> Judged:
        """Judge a batch; the same batch is judged once, however many objectives ask for it.

        Raises:
            InputError: where groups, references or criteria are missing.
            RunError: where too much fails, with `on_failure="stop"`.
            BudgetError: where a judge's budget is used up.
        """
        rows = rows_of(columns, len(prompts))
        # As they are, tool calls included, and by the parts that are asked for.
        key = digest([list(prompts), list(completions), rows, list(self._parts())])
        if self.latest is not None and key == self._latest_key:
            return self.latest
        if key not in self._under_way:
            task = asyncio.ensure_future(self._judge(list(prompts), list(completions), rows, columns.get("log_metric")))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        task = self._under_way[key]
        self._waiting[key] += 1
        try:
            # One asker that gives up leaves the others theirs; without any, nobody needs the verdicts.
            found = await asyncio.shield(task)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                task.cancel()
        self.latest, self._latest_key = found, key
        return found

    async def _judge(self, prompts: list, completions: list, rows: list[dict[str, Any]], log: Any) -> Judged:
        began = time.monotonic()
        batch = self._batch(prompts, completions, rows, began + self.deadline if self.deadline else None)
        wait = _FIRST_WAIT
        while True:
            await batch.play()
            failed, asked = batch.failed()
            if failed <= self.most_failed * asked:
                break
            if time.monotonic() - began + wait > self.patience or batch.is_late():
                return self._given_up(batch, failed, asked, began)
            if wait == _FIRST_WAIT:
                warnings.warn(
                    f"objective {self.name!r}: {failed} of {asked} {self.unit} have no verdict ({batch.last_error()}); the run waits for the judge "
                    f"for up to {self.patience:g} s",
                    stacklevel=2,
                )
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        return self._noted(batch.result(), batch, began, log)

    def _given_up(self, batch: Batch, failed: int, asked: int, began: float) -> Judged:
        said = f"objective {self.name!r}: {failed} of {asked} {self.unit} have no verdict ({batch.last_error()})"
        if self.on_failure == "stop":
            raise RunError(f"{said}; check the judge, and resume")
        warnings.warn(f"{said}; this batch goes on without it", stacklevel=2)
        nothing: list[float | None] = [None] * len(batch.prompts)
        found = Judged(list(nothing), {name: list(nothing) for name in self._parts()})
        return self._noted(found, batch, began, None)

    def _noted(self, found: Judged, batch: Batch, began: float, log: Any) -> Judged:
        found.seconds, found.counts = time.monotonic() - began, batch.counts()
        self.totals.update(found.counts)
        self._watch(found)
        self._account = self._priced(found.counts) | {"seconds": round(found.seconds, 4)}
        if callable(log):
            for what in ("seconds", "calls", "no_gradient", *(["price"] if any(self.price) else [])):
                log(f"{self.name}/{what}", float(self._account[what]))
            log(f"{self.name}/failed", found.counts["failed"] / max(1, found.counts["pairs"]))
            if len(self.clients) > 1:
                log(f"{self.name}/disagreed", found.counts["disagreed"] / max(1, found.counts["pairs"]))
        return found

    def account(self, *, measuring: bool = False) -> dict[str, float]:
        """What a batch came to, or the validations, since this was last asked: pairs, failures, calls, tokens, price; of a batch, seconds as well.

        Empty where nothing was judged since then.
        """
        if not measuring:
            found, self._account = self._account, {}
            return found
        counts = self._measuring_counts()
        found = self._priced(counts) if counts else {}
        counts.clear()
        return found

    def _priced(self, counts: Mapping[str, int]) -> dict[str, float]:
        spent = (counts.get("tokens_in", 0) * self.price[0] + counts.get("tokens_out", 0) * self.price[1]) / 1e6
        return {name: counts.get(name, 0) for name in COUNTED} | {"price": spent}

    def notes(self) -> dict[tuple[str, str], list[str]]:
        """What was said of the answers of the last batch, by prompt and answer, as JSON."""
        return {} if self.latest is None else self.latest.notes()


def check_choice(what: str, value: Any, known: Sequence[str]) -> None:
    """Refuse a setting that is none of its choices."""
    if value not in known:
        raise InputError(f"{what} must be one of {', '.join(known)}, but is {value!r}{nearest(str(value), known)}")


def check_counts(**counts: int | None) -> None:
    """Refuse settings that are no counts; None is no limit."""
    for what, count in counts.items():
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise InputError(f"{what} must be a whole number, at least 1, but is {count!r}")
