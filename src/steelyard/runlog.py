"""What happened in a run, on disk: readable while the run goes on, whole after a crash.

    runs/NAME/
        recipe.yaml          resolved, with versions and seed
        steps.jsonl          one line an update
        validation.jsonl     one line a validation
        answers/000012.parquet   every answer of update 12
        pareto.json          the front so far and its checkpoints
        checkpoints/         what to resume from, and the policies on the front
        report.html

Lines are appended in one write each; every other file is written beside its place and then moved there. A line that a crash cut short is
ignored when reading and removed when a run is resumed.
"""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, RunError
from steelyard.files import MANIFEST, damage_of, disk_full_is_clear, is_disk_full, locked, make_private_folder, write_atomically


class RunLog:
    """A run's folder.

    Args:
        path: the folder; it need not exist yet.

    Example:
        >>> import tempfile
        >>> log = RunLog(Path(tempfile.mkdtemp()) / "run").create("name: run\\n")
        >>> log.append_step({"step": 1, "weights": {"a": 1.0}})
        >>> [line["step"] for line in log.steps()]
        [1]
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.front = self.checkpoints / "front"
        self.answers_dir = self.path / "answers"
        self._made: list[Path] = []
        self.is_made = False

    def create(self, recipe_text: str) -> RunLog:
        """Make the folder and write the resolved recipe into it.

        Raises:
            InputError: where the folder exists already and is not empty.
        """
        self.check_new()
        self.is_made = True
        # Folders above that do not exist yet, from the run's upwards: where the run cannot begin, they go as well.
        self._made = [parent for parent in self.path.absolute().parents if not parent.exists()]
        with disk_full_is_clear(self.path):
            try:
                make_private_folder(self.path)
                for folder in (self.checkpoints, self.front, self.answers_dir):
                    folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                if is_disk_full(error):
                    raise
                raise InputError(f"cannot make the run folder {self.path}: {error.strerror}") from None
        write_atomically(self.path / "recipe.yaml", recipe_text)
        return self

    def discard(self) -> None:
        """Remove what `create` made, where a run could not begin; a folder that is linked to stays, empty."""
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        if not self.path.is_symlink():
            for folder in (self.path, *self._made):
                if folder.is_dir():
                    folder.rmdir()
        self._made = []

    def is_untouched(self) -> bool:
        """Whether nothing but what `create` wrote is there: no update, no validation, no answers, and nothing under checkpoints."""
        folders = (self.front, self.answers_dir)
        if not all(folder.is_dir() for folder in (self.front, self.answers_dir)):
            return not any(self.path.rglob("*.parquet"))
        kept = [entry for entry in self.checkpoints.iterdir() if entry != self.front and not entry.name.startswith(".")]
        return not kept and not any(any(folder.iterdir()) for folder in folders) and not (self.steps() or self.validations())

    def check_new(self) -> None:
        """Refuse a folder that holds something already."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise InputError(
                f"the run folder {self.path} exists already: go on with --resume, choose another with --out, or remove it"
            )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep the folder for this process; a killed process lets go by itself.

        Raises:
            InputError: where another process is writing into the folder.
        """
        with locked(self.path / ".lock") as mine:
            if not mine:
                raise InputError(f"another process is training in {self.path}: wait for it, or choose another folder with --out")
            yield

    def append_step(self, record: Mapping[str, Any]) -> None:
        """Add a line to steps.jsonl."""
        self._append("steps.jsonl", record)

    def append_validation(self, record: Mapping[str, Any]) -> None:
        """Add a line to validation.jsonl."""
        self._append("validation.jsonl", record)

    def write_answers(self, step: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write every answer of an update as a Parquet file of its own."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table(dict(columns)), buffer, compression="zstd")
        write_atomically(self.answers_dir / f"{step:06d}.parquet", buffer.getvalue().to_pybytes())

    def write_json(self, name: str, content: Any) -> None:
        """Replace a JSON file of the run."""
        write_atomically(self.path / name, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def steps(self) -> list[dict[str, Any]]:
        """The updates so far."""
        return self._read("steps.jsonl")

    def validations(self) -> list[dict[str, Any]]:
        """The validations so far; the first is the start."""
        return self._read("validation.jsonl")

    def answers(self, *, step: int | None = None) -> list[dict[str, Any]]:
        """The answers of one update, or of all."""
        import pyarrow.parquet as pq

        names = (
            [f"{step:06d}.parquet"] if step is not None else sorted(entry.name for entry in self.answers_dir.glob("*.parquet"))
        )
        return [row for name in names for row in pq.read_table(self.answers_dir / name).to_pylist()]

    def answer_steps(self) -> list[int]:
        """The updates whose answers are there."""
        return sorted(int(entry.stem) for entry in self.answers_dir.glob("*.parquet"))

    def pareto(self) -> dict[str, Any]:
        """The front as last written; empty before the first validation."""
        path = self.path / "pareto.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole; None where there is none. One that is damaged is named in a warning.

        Raises:
            InputError: where all that there are are damaged.
        """
        damaged: list[str] = []
        for entry in sorted(self._checkpoints(), key=_step_of, reverse=True):
            if not _is_complete(entry):
                continue  # a crash cut it short
            said = _damage_of(entry)
            if said is None:
                if damaged:
                    warnings.warn(f"{'; '.join(damaged)}: the run goes on from {entry.name}", stacklevel=2)
                return entry
            damaged.append(f"{entry} is damaged ({said})")
        if damaged:
            raise InputError(f"{'; '.join(damaged)}, and there is no other: restore its files, or start a new run")
        return None

    def _checkpoints(self) -> list[Path]:
        return [entry for entry in self.checkpoints.glob("checkpoint-*") if entry.name.partition("-")[2].isdigit()]

    def check_links(self) -> None:
        """Refuse a folder in which something is a link: what is written and removed there would be so elsewhere.

        Raises:
            InputError: naming the link.
        """
        for folder in (self.path, self.checkpoints, self.front, self.answers_dir):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if entry.is_symlink():
                    raise InputError(
                        f"{entry} is a link, which a run does not follow out of its folder: put there what it links to, or link the whole run folder"
                    )

    def rewind(self, step: int) -> None:
        """Forget everything after an update, and half-written checkpoints, so that the run can go on from there."""
        for entry in self._checkpoints():
            if not (entry / _STATE).is_file() or _step_of(entry) > step:
                shutil.rmtree(entry)
        for entry in [found for found in self.front.glob("*") if found.is_dir()]:
            number = entry.name.rpartition("-")[2]
            if not number.isdigit() or int(number) > step:
                shutil.rmtree(entry)
        for entry in [found for found in self.answers_dir.glob("*") if found.is_file()]:
            if not entry.stem.isdigit() or int(entry.stem) > step:
                entry.unlink()
        for name in ("steps.jsonl", "validation.jsonl"):
            kept = [record for record in self._read(name) if record["step"] <= step]
            write_atomically(self.path / name, "".join(_line(record) for record in kept))

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        line = _line(record).encode()
        with disk_full_is_clear(self.path), (self.path / name).open("ab", buffering=0) as file:
            start = file.tell()
            try:
                written = file.write(line)
            except OSError:
                written = 0
                raise
            finally:
                if written != len(line):
                    file.truncate(start)
            if written != len(line):
                raise OSError(28, "No space left on device")

    def _read(self, name: str) -> list[dict[str, Any]]:
        path = self.path / name
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")
        # What follows the last newline is empty, or a line that a crash cut short.
        records = []
        for number, line in enumerate(lines[:-1], start=1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                raise InputError(f"{path}:{number}: not a JSON object; restore the file or remove the line") from None
        return records


_STATE = "steelyard.json"
"""What is written into a checkpoint when all else is there."""


def _is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: its state is there, and what says so of all its files where the state promises that."""
    state = checkpoint / _STATE
    return state.is_file() and state.stat().st_size > 0 and ((checkpoint / MANIFEST).is_file() or not _is_sealed(checkpoint))


def _is_sealed(checkpoint: Path) -> bool:
    """Checkpoints of before there were manifests are taken as they are."""
    try:
        state = json.loads((checkpoint / _STATE).read_bytes())
    except (ValueError, RecursionError):
        return True
    return isinstance(state, dict) and bool(state.get("sealed"))


def _damage_of(checkpoint: Path) -> str | None:
    return damage_of(checkpoint) if _is_sealed(checkpoint) or (checkpoint / MANIFEST).is_file() else None


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def _line(record: Mapping[str, Any]) -> str:
    """A record as its file has it.

    Raises:
        RunError: naming what in it is not finite: the policy is lost.
    """
    try:
        return json.dumps(record, allow_nan=False) + "\n"
    except ValueError:
        lost = ", ".join(_not_finite(record)) or "a number"
        raise RunError(f"step {record.get('step')}: {lost[:200]} is not finite: lower the learning rate") from None


def _not_finite(value: Any, name: str = "") -> Iterator[str]:
    """The names of numbers that are not finite.

    Example:
        >>> list(_not_finite({"weights": {"a": 1.0, "b": float("nan")}, "losses": [float("inf")]}))
        ['weights.b', 'losses.0']
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _not_finite(item, f"{name}.{number}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield name
