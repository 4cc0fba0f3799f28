"""What a decision of the judge costs in characters, and whether memory stays flat over 10,000 pairs.

    python benchmarks/judge_cost.py JUDGEBENCH.jsonl

Characters: the first 200 pairs of JudgeBench, both orders, every message that is sent. Memory: 10,000 pairs of answers of 2,000 characters each through
`run_pairs` with a cache and a file of verdicts, against a server that answers at once; the pairs themselves are in memory from the start.
Writes results/judge_cost.md.
"""

import gc
import multiprocessing
import platform
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import mean

from judge_throughput import serve

from steelyard import __version__
from steelyard.bench import benchmark
from steelyard.llm import Client
from steelyard.rubric import MetaRubric, PairwiseJudge
from steelyard.rubric.batch import run_pairs
from steelyard.rubric.pairs import Pair
from steelyard.rubric.router import by_rules, shipped_rubrics

PORT = 18731
REFERENCE = 28_600


class Counting(Client):
    """A client that notes the size of what it sends."""

    sizes: list[int]

    async def ask(self, messages, **keywords):
        self.sizes.append(sum(len(message["content"]) for message in messages))
        return await super().ask(messages, **keywords)


def characters(source):
    """Characters a decision, both orders, with one rubric and with each domain's."""
    items, _ = benchmark("judgebench").read(source)
    pairs = [item.pairs[0] for item in items[:200]]
    found = {}
    for name, rubrics, route in (
        ("general rubric", MetaRubric.load("general"), None),
        ("each domain's rubric", shipped_rubrics(), lambda pair: by_rules(pair.prompt)),
    ):
        for orders in ("both", "one"):
            client = Counting(f"http://127.0.0.1:{PORT}/v1", "m")
            client.sizes = []
            run_pairs(PairwiseJudge(client, rubrics, orders=orders), pairs, route=route)
            found[name, orders] = sum(client.sizes) / len(pairs), mean(client.sizes)
    texts = mean(len(pair.prompt) + len(pair.a) + len(pair.b) for pair in pairs)
    return found, texts


def resident():
    """Megabytes that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def memory():
    """Megabytes after so many pairs."""
    filler = "words and words and words " * 77
    pairs = [Pair(str(i), f"question {i}", f"{i} {filler}", f"{filler} {i}") for i in range(10_000)]
    points, done = [], 0
    with tempfile.TemporaryDirectory() as folder:
        client = Client(f"http://127.0.0.1:{PORT}/v1", "m", cache=Path(folder) / "replies.sqlite")
        judge = PairwiseJudge(client, MetaRubric.load("general"), orders="one")

        def tell(pair, verdict):
            nonlocal done
            done += 1
            if done in (500, 1000, 2000, 4000, 6000, 8000, 10_000):
                gc.collect()
                points.append((done, resident()))

        began = time.perf_counter()
        summary, _ = run_pairs(judge, pairs, out=Path(folder) / "v.jsonl", tell=tell)
        first = time.perf_counter() - began
        assert (summary.judged, summary.calls) == (10_000, 10_000), summary
        again, _ = run_pairs(judge, pairs, out=Path(folder) / "second.jsonl")
    return points, first, again.calls


def main():
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(PORT, 0), daemon=True)
    server.start()
    time.sleep(2)
    try:
        found, texts = characters(sys.argv[1])
        points, seconds, again = memory()
    finally:
        server.terminate()
    lines = [
        "# What a decision costs",
        "",
        f"The first 200 pairs of JudgeBench ({texts:,.0f} characters of prompt and answers a pair on average). The reference implementation sends two calls of",
        f"14,300 characters a pair, {REFERENCE:,} in all.",
        "",
        "| rubric | orders | characters a decision | a call | of the reference |",
        "|---|---|---|---|---|",
    ]
    for (name, orders), (whole, call) in found.items():
        lines.append(f"| {name} | {orders} | {whole:,.0f} | {call:,.0f} | {whole / REFERENCE:.2f} |")
    lines += [
        "",
        "Memory of the process over 10,000 pairs, each answer 2,000 characters, with a cache and a file of verdicts:",
        "",
        "| pairs judged | " + " | ".join(f"{count:,}" for count, _ in points) + " |",
        "|---" * (len(points) + 1) + "|",
        "| MB resident | " + " | ".join(f"{size:.0f}" for _, size in points) + " |",
        "",
        f"They took {seconds:.0f} s. Asked again with the same cache, they made {again} calls.",
        "",
        f"`python benchmarks/judge_cost.py`, {date.today()}, steelyard {__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{multiprocessing.cpu_count()} cores, beside other work.",
    ]
    path = Path(__file__).parent / "results" / "judge_cost.md"
    path.write_text("\n".join(lines) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
