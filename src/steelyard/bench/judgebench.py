"""JudgeBench: pairs of answers of which one is right, from hard questions of four kinds."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.bench.base import BENCHMARKS, Benchmark, Item, read_files, text, unique
from steelyard.errors import InputError
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict

KINDS = {"mmlu-pro": "knowledge", "livebench-reasoning": "reasoning", "livebench-math": "maths", "livecodebench": "coding"}
LABELS = {"A>B": "a", "B>A": "b"}


def read(source: str) -> tuple[list[Item], list[str]]:
    """Rows with question, response_A, response_B, label and source."""
    items, answered_by = [], set()
    for part, rows in read_files(source):
        for number, row in enumerate(rows, start=1):
            if "response_A" not in row and "ground_truth" in row:
                continue  # the file of ground truths, which lies beside the pairs
            where = f"{part}, row {number}"
            label = LABELS.get(str(row.get("label")))
            if label is None:
                raise InputError(f"{where}: label must be one of {', '.join(LABELS)}, but is {row.get('label')!r}")
            kind = text(row, "source", where)
            answered_by.add(str(row.get("response_model")))
            group = next((name for start, name in KINDS.items() if kind.startswith(start)), kind)
            pair = Pair(
                f"{group}/{number if row.get('pair_id') is None else row['pair_id']}",
                text(row, "question", where),
                text(row, "response_A", where),
                text(row, "response_B", where),
                label,
                columns=row,
            )
            items.append(Item(pair.id, group, (pair,)))
    if len(answered_by) > 1:
        models = ", ".join(sorted(answered_by))
        raise InputError(
            f"{source} holds pairs of answers of several models ({models}), which the benchmark reports apart: give one file"
        )
    return unique(items), []


def credits(item: Item, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Each order counts +1 where it is right and -1 where it is wrong; the pair is right where the sum is above zero."""
    label, (verdict,) = item.pairs[0].label, verdicts
    winners: list[str | None] = [*verdict.orders] or [verdict.winner]
    total = sum((winner == label) - (winner not in (label, "tie")) for winner in winners)
    agree = {"orders agree": float(len(set(winners)) == 1)} if len(winners) > 1 else {}
    return {"accuracy": float(total > 0), **agree}


BENCHMARK = BENCHMARKS.add("judgebench")(
    Benchmark(
        "judgebench",
        "Tan et al., arXiv 2410.12784: both orders; a pair is right where more orders are right than wrong, and two ties or one of each are wrong",
        read,
        credits,
        chance=(0.5, 0.25),
        mean_of="items",
    )
)
