"""PPE (Preference Proxy Evaluations): real users' preferences, and answers known to be right against answers known to be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from steelyard.bench.base import BENCHMARKS, Benchmark, Item, is_right, read_files, text, unique
from steelyard.errors import InputError
from steelyard.rows import Row
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict

LABELS = {"model_a": "a", "model_b": "b"}


def read(source: str) -> tuple[list[Item], list[str]]:
    """Rows of the human preferences (response_1, response_2, winner) or of a best-of-K part (response_1 to response_K, scores, sampled_conflict_pairs)."""
    items: list[Item] = []
    ties = 0
    for part, rows in read_files(source):
        for number, row in enumerate(rows, start=1):
            where = f"{part}, row {number}"
            if "sampled_conflict_pairs" in row:
                items += _conflicts(row, part, number, where)
            elif str(row.get("winner", "")).startswith("tie"):
                ties += 1
            else:
                label = LABELS.get(str(row.get("winner")))
                if label is None:
                    raise InputError(f"{where}: winner must be model_a, model_b or tie, but is {row.get('winner')!r}")
                answers = text(row, "response_1", where), text(row, "response_2", where)
                pair = Pair(f"{part}/{row.get('question_id', number)}", text(row, "prompt", where), *answers, label, columns=row)
                items.append(Item(pair.id, part, (pair,)))
    notes = [f"{ties} pairs that people called a tie are left out, as the benchmark does"] if ties else []
    return unique(items), notes


def _conflicts(row: Row, part: str, number: int, where: str) -> Iterator[Item]:
    """The sampled pairs of a right and a wrong answer; each counts as one."""
    scores, sampled, seen = row.get("scores"), row["sampled_conflict_pairs"], set()
    if not isinstance(scores, list) or not isinstance(sampled, list):
        raise InputError(f"{where}: needs lists in 'scores' and 'sampled_conflict_pairs'; is this the benchmark's own file?")
    if not all(isinstance(score, (int, float)) and score == score for score in scores):
        raise InputError(f"{where}: scores must be numbers, or true and false, but are {str(scores)[:60]}")
    for pair in sampled:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, int) and one >= 0 for one in pair)):
            raise InputError(f"{where}: sampled_conflict_pairs must hold pairs of numbers of answers, but found {str(pair)[:60]}")
        first, second = pair
        key = (min(first, second), max(first, second))
        if key in seen:
            continue
        seen.add(key)
        if not key[1] < len(scores) or scores[first] == scores[second]:
            raise InputError(f"{where}: the pair {first}, {second} is not one of a right and a wrong answer")
        # The order of the file stays; the label tells which is right.
        label = "a" if scores[first] > scores[second] else "b"
        name = f"{part}/{row.get('question_id', number)}/{row.get('model_name', number)}/{first}-{second}"
        answers = text(row, f"response_{first + 1}", where), text(row, f"response_{second + 1}", where)
        yield Item(name, part, (Pair(name, text(row, "prompt", where), *answers, label),))


def credits(item: Item, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Right where the verdict names the better answer; a tie is not right."""
    return {"accuracy": float(is_right(verdicts[0], item.pairs[0].label))}


BENCHMARK = BENCHMARKS.add("ppe")(
    Benchmark(
        "ppe",
        "Frick et al., arXiv 2410.14872: accuracy on pairs that people did not call a tie, and on sampled pairs of a right and a wrong answer",
        read,
        credits,
        chance=(0.5, 0.25),
    )
)
