"""LLMBar: does the judge see which answer follows the instruction, where the other one looks better?"""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.bench.base import BENCHMARKS, Benchmark, Item, read_files, text, unique
from steelyard.errors import InputError
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict

LABELS = {"1": "a", "2": "b"}


def read(source: str) -> tuple[list[Item], list[str]]:
    """Rows with input, output_1, output_2 and label; of a folder with more than LLMBar proper (its five subsets), that."""
    items: list[Item] = []
    for part, rows in read_files(source):
        for number, row in enumerate(rows, start=1):
            where = f"{part}, row {number}"
            label = LABELS.get(str(row.get("label")))
            if label is None:
                raise InputError(f"{where}: label must be 1 or 2, but is {row.get('label')!r}")
            answers = text(row, "output_1", where), text(row, "output_2", where)
            pair = Pair(f"{part}/{number}", text(row, "input", where), *answers, label, columns=row)
            items.append(Item(pair.id, part, (pair,)))
    proper = [item for item in items if item.group.startswith("LLMBar/")]
    notes = [f"{len(items) - len(proper)} rows beside LLMBar proper are left out"] if 0 < len(proper) < len(items) else []
    return unique(proper or items), notes


def credits(item: Item, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The mean of the two orders, each right or wrong; a tie in one counts half."""
    label, (verdict,) = item.pairs[0].label, verdicts
    winners: list[str | None] = [*verdict.orders] or [verdict.winner]
    right = [0.5 if winner == "tie" else float(winner == label) for winner in winners]
    agree = {"orders agree": float(len(set(winners)) == 1)} if len(winners) > 1 else {}
    return {"accuracy": sum(right) / len(right), **agree}


BENCHMARK = BENCHMARKS.add("llmbar")(
    Benchmark(
        "llmbar",
        "Zeng et al., arXiv 2310.07641: the mean accuracy over both orders, and how often they agree; a tie, which the benchmark does not have, counts half",
        read,
        credits,
        chance=(0.5, 0.5),
    )
)
