"""Judge a benchmark's items into a folder, and go on there after a stop."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from steelyard.bench.base import Benchmark, Item, Table, tabulate
from steelyard.errors import InputError
from steelyard.files import make_private_folder, write_atomically
from steelyard.rubric import PairwiseJudge
from steelyard.rubric.batch import Summary, run_pairs
from steelyard.rubric.page import write_verdicts
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict
from steelyard.rubric.verdict_files import read_verdicts


def choose(items: Sequence[Item], *, limit: int | None = None, groups: Sequence[str] = (), seed: int = 0) -> list[Item]:
    """Some of the items: of these groups, and where there are more than `limit`, a random sample in the order of the data.

    Raises:
        InputError: where a group is none of the benchmark's.

    Example:
        >>> items = [Item(str(i), "odd" if i % 2 else "even", ()) for i in range(9)]
        >>> [item.id for item in choose(items, limit=2, groups=["odd"], seed=1)]
        ['3', '5']
    """
    known = dict.fromkeys(item.group for item in items)
    for group in groups:
        if not any(name == group or name.startswith(f"{group}/") for name in known):
            raise InputError(f"no group {group!r} in this data: there are {', '.join(known)}")
    kept = [
        item for item in items if not groups or any(item.group == group or item.group.startswith(f"{group}/") for group in groups)
    ]
    if limit is None or limit >= len(kept):
        return kept
    return [kept[i] for i in sorted(random.Random(seed).sample(range(len(kept)), limit))]


def run_benchmark(
    bench: Benchmark,
    items: Sequence[Item],
    judge: PairwiseJudge,
    out: Path,
    *,
    settings: Mapping[str, Any],
    about: Mapping[str, Any] | None = None,
    in_flight: int = 64,
    route: Callable[[Pair], Any] | None = None,
    tell: Callable[[Pair, Verdict], None] | None = None,
) -> tuple[Table, Summary, bool]:
    """Judge items and write what came of it: `verdicts.jsonl` as it goes, then `result.json` and `errors.html`.

    Args:
        bench: whose items these are.
        items: to be judged; see `choose`.
        judge: see `PairwiseJudge`.
        out: a folder; verdicts that are there are kept, where they came from the same settings.
        settings: what the verdicts depend on (model, rubric, orders, ...); remembered in the folder.
        about: what else the result shall tell (data, sample).
        in_flight, route, tell: as in `run_pairs`.

    Returns:
        The table, the summary of the pairs, and whether the budget ended the run before all were judged.

    Raises:
        InputError: where the folder holds verdicts of other settings.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"cannot write into {out}: it is a file; give a folder")
    make_private_folder(out)
    given, kept = {"benchmark": bench.name, **settings}, out / "settings.json"
    # Settings of a run that came to no verdict bind nobody.
    if kept.is_file() and read_verdicts(out / "verdicts.jsonl"):
        try:
            before = dict(json.loads(kept.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise InputError(f"{kept} is damaged: give another --out, or remove the folder") from None
        differ = [name for name in {**before, **given} if before.get(name) != given.get(name)]
        if differ:
            name = differ[0]
            raise InputError(
                f"{out} holds verdicts with {name} {before.get(name)!r}, but now it is {given.get(name)!r}: give another --out, or remove the folder"
            )
    else:
        write_atomically(kept, json.dumps(given, indent=1).encode())
    pairs = [pair for item in items for pair in item.pairs]
    summary, stopped = run_pairs(judge, pairs, out=out / "verdicts.jsonl", in_flight=in_flight, route=route, tell=tell)
    verdicts = read_verdicts(out / "verdicts.jsonl")
    table = tabulate(bench, items, verdicts)
    wanted = {pair.id for pair in pairs}
    # Failures cost as well.
    spent = [verdict for name, verdict in read_verdicts(out / "verdicts.jsonl", failed=True).items() if name in wanted]
    result = {
        **given,
        **(about or {}),
        "date": str(date.today()),
        "rows": [
            {
                "group": group,
                "items": count,
                **{measure: [round(value, 4) for value in figure] for measure, figure in figures.items()},
            }
            for group, count, figures in table.rows
        ],
        "chance": bench.chance,
        "left_out": table.left_out,
        "pairs": len(wanted & verdicts.keys()),
        "winners": dict(summary.winners),
        "cost": {key: sum(getattr(verdict, key) for verdict in spent) for key in ("calls", "tokens_in", "tokens_out")},
    }
    write_atomically(out / "result.json", (json.dumps(result, indent=1) + "\n").encode())
    write_verdicts(pairs, out / "verdicts.jsonl", out / "errors.html", errors=True)
    return table, summary, stopped
