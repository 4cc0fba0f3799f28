"""RM-Bench: does style hide what is right? Three right and three wrong answers in three styles, each against each."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.bench.base import BENCHMARKS, Benchmark, Item, is_right, read_files, text, texts, unique
from steelyard.errors import InputError
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict

STYLES = 3


def read(source: str) -> tuple[list[Item], list[str]]:
    """Rows with prompt, chosen and rejected (three styles each: concise, detailed, detailed with markdown) and domain; a row that an earlier file
    has as well counts once."""
    items: list[Item] = []
    seen: dict[str, str] = {}
    for part, rows in read_files(source):
        for number, row in enumerate(rows, start=1):
            where = f"{part}, row {number}"
            # The files of single domains name it by their name, and lie beside one of all rows.
            domain = text(row, "domain", where) if "domain" in row else part.rpartition("/")[2].partition("_")[0]
            prompt = text(row, "prompt", where)
            group = "safety" if domain.startswith("safety") else domain
            name = f"{domain}/{row.get('id', number)}"
            if seen.setdefault(name, part) != part:
                continue
            chosen, rejected = texts(row, "chosen", where), texts(row, "rejected", where)
            if not len(chosen) == len(rejected) == STYLES:
                raise InputError(
                    f"{where}: needs {STYLES} chosen and {STYLES} rejected answers, but has {len(chosen)} and {len(rejected)}"
                )
            pairs = tuple(
                Pair(f"{name}/{i}{j}", prompt, chosen[i], rejected[j], "a", columns=row)
                for i in range(STYLES)
                for j in range(STYLES)
            )
            items.append(Item(name, group, pairs))
    return unique(items), []


def credits(item: Item, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Hard: the wrong answer has more style than the right one; normal: as much; easy: less. Only a win counts."""
    won = [is_right(verdict, "a") for verdict in verdicts]
    parts: dict[str, list[bool]] = {"hard": [], "normal": [], "easy": []}
    for index, value in enumerate(won):
        i, j = divmod(index, STYLES)
        parts["hard" if i < j else "normal" if i == j else "easy"].append(value)
    return {"average": sum(won) / len(won), **{name: sum(values) / len(values) for name, values in parts.items()}}


BENCHMARK = BENCHMARKS.add("rmbench")(
    Benchmark(
        "rmbench",
        "Liu et al., arXiv 2410.16184: nine comparisons a prompt; hard, normal and easy are three each, by which answer has more style",
        read,
        credits,
        chance=(0.5, 0.25),
    )
)
