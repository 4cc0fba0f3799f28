"""What a benchmark of judges is, and how its verdicts become a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steelyard.errors import InputError
from steelyard.files import is_folder
from steelyard.intervals import wilson
from steelyard.registry import Registry
from steelyard.rows import SUFFIXES, Row, read_rows
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict


@dataclass(frozen=True)
class Item:
    """What a benchmark counts as one: a prompt with one pair of answers to judge, or several.

    Attributes:
        id: unique in the benchmark.
        group: subset, source or domain, as the benchmark reports it.
        pairs: to be judged; their labels tell the better answer.
    """

    id: str
    group: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its protocol.

    Attributes:
        name: as the command takes it.
        about: the protocol in words, with its source.
        read: from a file, a folder or a dataset's name to items and notes on what was left out.
        credits: from an item and the verdicts of its pairs to what it earns, 0 to 1 for each measure; the first measure is the benchmark's own.
        chance: the first measure of a judge that throws a coin for each pair, and of one that throws a coin in each order.
        mean_of: what the overall figure is a mean of, "items" or "groups".
    """

    name: str
    about: str
    read: Callable[[str], tuple[list[Item], list[str]]]
    credits: Callable[[Item, Sequence[Verdict]], dict[str, float]]
    chance: tuple[float, float]
    mean_of: str = "groups"


@dataclass(frozen=True)
class Table:
    """Figures by group and overall.

    Attributes:
        measures: in the benchmark's order.
        rows: (group, items, {measure: (mean, low, high)}); the last is the overall one. Intervals are Wilson's of 95% over items, wider than need
            be where items earn parts; of a mean of groups, the groups' half-widths added in squares.
        left_out: items without all of their verdicts.
    """

    measures: tuple[str, ...]
    rows: list[tuple[str, int, dict[str, tuple[float, float, float]]]] = field(default_factory=list)
    left_out: int = 0


def tabulate(bench: Benchmark, items: Sequence[Item], verdicts: Mapping[str, Verdict]) -> Table:
    """Count the verdicts by the benchmark's protocol.

    Args:
        bench: whose items these are.
        items: all that were to be judged.
        verdicts: by the pair's id; an item of which one is missing is left out and counted, never scored.
    """
    earned: dict[str, dict[str, list[float]]] = {}
    left_out = 0
    for item in items:
        found = [verdicts[pair.id] for pair in item.pairs if pair.id in verdicts]
        if len(found) < len(item.pairs):
            left_out += 1
            continue
        for measure, value in bench.credits(item, found).items():
            earned.setdefault(item.group, {}).setdefault(measure, []).append(value)
    measures = tuple(dict.fromkeys(measure for group in earned.values() for measure in group))
    rows = []
    for group in sorted(earned):
        figures = {measure: _figure(earned[group][measure]) for measure in measures if measure in earned[group]}
        rows.append((group, len(earned[group][measures[0]]), figures))
    if rows:
        total = sum(count for _, count, _ in rows)
        overall = {}
        for measure in measures:
            if bench.mean_of == "items" or len(rows) == 1:
                overall[measure] = _figure([value for group in earned.values() for value in group.get(measure, ())])
            else:
                each = [figures[measure] for _, _, figures in rows if measure in figures]
                half = math.sqrt(sum(((high - low) / 2) ** 2 for _, low, high in each)) / len(each)
                mean = sum(value for value, _, _ in each) / len(each)
                overall[measure] = (mean, max(0.0, mean - half), min(1.0, mean + half))
        rows.append((f"mean of {bench.mean_of}", total, overall))
    return Table(measures, rows, left_out)


def _figure(values: Sequence[float]) -> tuple[float, float, float]:
    low, high = wilson(sum(values), len(values))
    return sum(values) / len(values), low, high


BENCHMARKS: Registry[Benchmark] = Registry("benchmark", __package__)
"""Benchmarks by name; each file of this room adds its own."""


def benchmark_names() -> tuple[str, ...]:
    """The benchmarks there are."""
    return tuple(BENCHMARKS)


def benchmark(name: str) -> Benchmark:
    """A benchmark by its name.

    Raises:
        InputError: where there is none of that name.

    Example:
        >>> benchmark("rmbench").mean_of
        'groups'
    """
    return BENCHMARKS.find(name)


def read_files(source: str) -> list[tuple[str, list[Row]]]:
    """The rows of a file, of every file in a folder, or of a dataset, with the name of each part.

    A part is named by its path in the folder, without the words that every download has (`data`, `dataset`, `train-00000-of-00001`).
    """
    folder = Path(source)
    if not is_folder(folder):
        return [(folder.name.partition(".")[0], read_rows(source))]
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name.endswith(SUFFIXES)]
    if not paths:
        raise InputError(f"{source}: no files in this folder that end in {', '.join(SUFFIXES)}")
    return [(_part(path.relative_to(folder)), read_rows(str(path))) for path in paths]


def _part(path: Path) -> str:
    words = [*path.parts[:-1], *path.name.partition(".")[0].split("__")]
    kept = [word for word in words if word not in ("data", "dataset", "Dataset") and "-of-" not in word]
    return "/".join(kept) or path.name


def text(row: Row, key: str, where: str) -> str:
    """A row's text, which must be there."""
    value = row.get(key)
    if not isinstance(value, str):
        raise InputError(
            f"{where}: needs a text in {key!r} (found: {', '.join(map(str, row))}); is this the benchmark's own file?"
        )
    return value


def texts(row: Row, key: str, where: str) -> list[str]:
    """A row's list of texts, which must be there."""
    value = row.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise InputError(
            f"{where}: needs a list of texts in {key!r} (found: {', '.join(map(str, row))}); is this the benchmark's own file?"
        )
    return value


def unique(items: Iterable[Item]) -> list[Item]:
    """The items, whose ids must differ."""
    out, seen = [], set()
    for item in items:
        if item.id in seen:
            raise InputError(f"two items have the id {item.id!r}: is a file there twice?")
        seen.add(item.id)
        out.append(item)
    return out


def is_right(verdict: Verdict, label: str | None) -> bool:
    """Whether a verdict names the better answer; a tie does not."""
    return verdict.winner == label
