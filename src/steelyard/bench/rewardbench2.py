"""RewardBench 2: one of four answers is the best."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.bench.base import BENCHMARKS, Benchmark, Item, read_files, text, texts, unique
from steelyard.errors import InputError
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict


def read(source: str) -> tuple[list[Item], list[str]]:
    """Rows with prompt, chosen (one), rejected (three) and subset; the subset Ties is left out."""
    items: list[Item] = []
    ties = 0
    for part, rows in read_files(source):
        for number, row in enumerate(rows, start=1):
            where = f"{part}, row {number}"
            group = text(row, "subset", where)
            if group.lower() == "ties":
                ties += 1
                continue
            name = f"{group}/{row.get('id', number)}"
            (chosen, *more), rejected = texts(row, "chosen", where), texts(row, "rejected", where)
            if more or len(rejected) != 3:
                raise InputError(
                    f"{where}: needs one chosen and three rejected answers, but has {1 + len(more)} and {len(rejected)}"
                )
            prompt = text(row, "prompt", where)
            pairs = tuple(
                Pair(f"{name}/{i}", prompt, chosen, other, "a", columns=row) for i, other in enumerate(rejected, start=1)
            )
            items.append(Item(name, group, pairs))
    notes = [f"{ties} rows of the subset Ties are left out: it is defined on scores of single answers"] if ties else []
    return unique(items), notes


def credits(item: Item, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The best answer has to stand at the top: nothing where it loses to another, and a part where it shares the top."""
    if any(verdict.winner not in ("tie", pair.label) for pair, verdict in zip(item.pairs, verdicts, strict=True)):
        return {"accuracy": 0.0}
    return {"accuracy": 1 / (1 + sum(verdict.winner == "tie" for verdict in verdicts))}


BENCHMARK = BENCHMARKS.add("rewardbench2")(
    Benchmark(
        "rewardbench2",
        "Malik et al., arXiv 2506.01937: one of four; the best answer is compared with each of the three others and has to win all, ties share. "
        "A judge that sees all four at once is right by chance in a quarter",
        read,
        credits,
        chance=(1 / 8, 5 / 32),
    )
)
