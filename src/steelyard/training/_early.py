"""Rewards that begin before the others, so that what a judge takes passes beside what else there is to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

_Scores = list[float | None]


class EarlyRewards:
    """The rewards of a batch that have begun, and how long TRL waited for those that it awaits.

    TRL runs plain rewards and reward models first, and only then awaits what is async. A judge's answers could be on their way by then.

    Attributes:
        waited: seconds, of the batch.
    """

    def __init__(self) -> None:
        self._begun: dict[str, Future[_Scores]] = {}
        self.waited = 0.0

    @contextmanager
    def begun(self, trainer: Any, rows: list, prompts: list, completions: list, completion_ids: list) -> Iterator[None]:
        """Ask for the rewards, and stop asking where TRL does not get to await them. With several processes the main one asks for all, when TRL does."""
        self._begin(trainer, rows, prompts, completions, completion_ids)
        try:
            yield
        finally:
            for left in self._begun.values():
                left.cancel()
            self._begun = {}

    def _begin(self, trainer: Any, rows: list, prompts: list, completions: list, completion_ids: list) -> None:
        self._begun, self.waited = {}, 0.0
        if trainer.is_measuring() or trainer.accelerator.num_processes > 1:
            return
        columns = {key: [row[key] for row in rows] for key in rows[0] if key not in ("prompt", "completion", "completion_ids")}
        others = {"trainer_state": trainer.state, "log_metric": trainer._log_metric, "log_extra": trainer._log_completion_extra}
        for objective in trainer.objectives:
            if getattr(objective.reward, "begins_early", False):
                given = {"prompts": prompts, "completions": completions, "completion_ids": completion_ids, **columns, **others}
                asking = objective.scores_async(domain_column=trainer.domain_column, **given)
                self._begun[objective.name] = asyncio.run_coroutine_threadsafe(asking, trainer.async_loop)

    def take(self, name: str) -> Awaitable[_Scores] | None:
        """What a reward that has begun will say; None where it has not."""
        begun = self._begun.pop(name, None)
        return None if begun is None else asyncio.wrap_future(begun)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Note how long the slowest of the rewards was waited for: they are awaited together."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.waited = max(self.waited, time.perf_counter() - began)
