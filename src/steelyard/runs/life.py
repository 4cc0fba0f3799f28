"""The life of a run, the same for every kind: opened, begun or gone on with, carried to its end, summed up."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, SteelyardError
from steelyard.files import damage_is_clear, disk_full_is_clear, write_atomically
from steelyard.runlog import RunLog
from steelyard.runs._fingerprint import check_unchanged
from steelyard.runs._resume import check_same, resolved
from steelyard.runs.progress import Progress


@dataclass(frozen=True)
class Start:
    """Where a run begins, or goes on.

    Attributes:
        log: its folder, held for this process.
        checkpoint: what it goes on from; None where it begins.
        step: updates that are made already.
    """

    log: RunLog
    checkpoint: Path | None
    step: int


class Run(ABC):
    """A kind of run: what is read from its recipe, its trainer, and what it came to. `train` carries it through.

    Attributes:
        recipe: what it is made by.
        data: how many rows it trains on and their checksum, see `fingerprint`.
        source: where they come from, for messages.
        steps: updates from beginning to end.

    The constructor reads and checks everything that does not take long, and writes nothing.
    """

    recipe: Any
    data: Mapping[str, Any]
    source: str
    steps: int

    @abstractmethod
    def trainer(self, start: Start, progress: Progress) -> Any:
        """Load the model and make the trainer. Settings that do not fit are InputErrors, ValueErrors or TypeErrors here."""

    @abstractmethod
    def shown(self, trainer: Any) -> list[str]:
        """The names that progress is shown for: objectives, or domains."""

    @abstractmethod
    def finish(self, start: Start, trainer: Any) -> None:
        """After the last update and its validation."""

    @abstractmethod
    def result(self, log: RunLog, seconds: float) -> Any:
        """What the run came to."""


def carry_through(run: Run, log: RunLog, *, resume: bool, progress: Progress) -> Any:
    """Begin a run or go on with it, train it to its end, and give its result.

    Raises:
        InputError: where recipe, data, model or folder do not fit; of a new run nothing is left then.
        RewardError: where a reward fails; what was written stays.
    """
    began = time.perf_counter()
    with opened(run.recipe, log, run.data, source=run.source, resume=resume) as start:
        try:
            trainer = run.trainer(start, progress)
        except SteelyardError:
            raise
        except (ValueError, TypeError) as error:
            raise InputError(f"the recipe's settings do not fit together for TRL: {error}") from error
        progress.begin(run.steps, done=start.step, names=run.shown(trainer))
        try:
            _train_to_the_end(trainer, start, run.steps)
            run.finish(start, trainer)
        finally:
            progress.end()
    return run.result(log, time.perf_counter() - began)


@contextmanager
def opened(recipe: Any, log: RunLog, data: Mapping[str, Any], *, source: str, resume: bool) -> Iterator[Start]:
    """Open a run's folder: a new one, or one to go on in, with the same recipe and the same data; nobody else writes into it meanwhile.

    A run that goes on forgets what came after its last whole checkpoint. Where a mistake ends the block of a new run before anything was learned, its
    folder goes; a full disk is one clear error.

    Args:
        recipe: of the run; its resolved form is written, or must be the one that is there.
        log: the folder.
        data: how many rows and their checksum; the same of test prompts, where there are some.
        source: where the rows come from, for messages.
        resume: whether to go on.

    Raises:
        InputError: where the folder holds something else, or another process trains in it.
    """
    changed = False
    if resume:
        log.check_links()
        with damage_is_clear(log.path):
            changed = check_same(log, recipe)
            # A run that was killed before anything else was written has no data.json, and nothing to be resumed differently.
            if (log.path / "data.json").is_file():
                kept = json.loads((log.path / "data.json").read_text(encoding="utf-8"))
                of_rows = ("rows", "checksum")
                check_unchanged({key: kept[key] for key in of_rows}, {key: data[key] for key in of_rows}, source)
                if "test" in kept and "test" in data:
                    check_unchanged(kept["test"], data["test"], f"{source}, the test prompts")
    try:
        if not resume:
            log.create(resolved(recipe))
            log.write_json("data.json", dict(data))
        with disk_full_is_clear(log.path), log.lock():
            if changed:
                write_atomically(log.path / "recipe.yaml", resolved(recipe))
            checkpoint = log.last_checkpoint() if resume else None
            step = 0 if checkpoint is None else int(checkpoint.name.partition("-")[2])
            if resume:
                with damage_is_clear(log.path):
                    log.rewind(step if checkpoint is not None else -1)
            yield Start(log, checkpoint, step)
    except (InputError, OSError):
        if log.is_made and log.is_untouched():
            log.discard()
        raise


def _train_to_the_end(trainer: Any, start: Start, steps: int) -> None:
    """Train from where a run starts to its last update; the start and the end are validated, each once."""
    if start.checkpoint is not None and start.step >= steps:
        # All updates are made; only the last validation may be missing.
        trainer.restore(str(start.checkpoint))
    else:
        if start.checkpoint is None:
            trainer.evaluate()
        trainer.train(resume_from_checkpoint=None if start.checkpoint is None else str(start.checkpoint))
    if trainer.validated_at != steps:
        trainer.evaluate()
