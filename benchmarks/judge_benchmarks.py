"""A table of what `steelyard bench` found: results/judge_benchmarks.md from folders that the command wrote.

steelyard bench llmbar --data LLMBAR --local --limit 100 --criteria 2 --rubric general --concurrency 1 --timeout 600 --out llmbar
steelyard bench judgebench --data gpt.jsonl --local --limit 50 --criteria 2 --rubric general --concurrency 1 --timeout 900 --longest 2500 --out judgebench
python benchmarks/judge_benchmarks.py llmbar judgebench
"""

import json
import platform
import sys
from pathlib import Path

from steelyard import __version__
from steelyard.bench import benchmark
from steelyard.rubric.stats import rubric_stats
from steelyard.rubric.verdict_files import read_verdicts


def lines_of(folder):
    result = json.loads((folder / "result.json").read_text())
    bench = benchmark(result["benchmark"])
    verdicts = read_verdicts(folder / "verdicts.jsonl", failed=True)
    measures = [key for key in result["rows"][0] if key not in ("group", "items")]
    cost, pairs = result["cost"], result["pairs"]
    yield f"## {bench.name}, judged by {result['model']}"
    yield ""
    yield f"{bench.about}."
    yield ""
    yield f"{result['date']}: {pairs} pairs, orders {result['orders']}, at most {result['criteria']} criteria, rubric {result['rubric']}, texts of at most {result['limit']:,} characters."
    yield ""
    yield f"| group | items | {' | '.join(measures)} |"
    yield "|---" * (2 + len(measures)) + "|"
    for row in result["rows"]:
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*row[measure]) for measure in measures]
        yield f"| {row['group']} | {row['items']} | {' | '.join(cells)} |"
    yield f"| chance, a coin a pair | | {bench.chance[0]:.3f} |{' |' * (len(measures) - 1)}"
    yield f"| chance, a coin in each order | | {bench.chance[1]:.3f} |{' |' * (len(measures) - 1)}"
    yield ""
    yield f"{cost['calls'] / pairs:.2f} calls, {cost['tokens_in'] / pairs:,.0f} tokens in and {cost['tokens_out'] / pairs:,.0f} out a pair; {result['left_out']} items without a verdict."
    yield from (
        f"{line[0].upper()}{line[1:]}."
        for line in rubric_stats(v for v in verdicts.values() if v["winner"] is not None).lines(names=0)[1:3]
    )
    yield ""


def main():
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        sys.exit(__doc__)
    out = [
        "# Judges on public benchmarks",
        "",
        f"Table by steelyard {__version__}; {platform.machine()}, 2 cores. Intervals of 95%.",
        "",
    ]
    for folder in folders:
        out += lines_of(folder)
    path = Path(__file__).parent / "results" / "judge_benchmarks.md"
    path.write_text("\n".join(out))
    print(path.read_text())


if __name__ == "__main__":
    main()
