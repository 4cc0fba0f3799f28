"""How busy the client keeps a judge's server: calls a second against one that answers at once, and the share of the ideal at a latency of 2 s.

    python benchmarks/judge_throughput.py

The server is a process of its own on the same machine and answers a whole comparison; every question is a pair of answers of 2,000 characters. The last
row is the work of `steelyard judge`: replies of six criteria with quotes that are looked up, each verdict written to a file.
Writes results/judge_throughput.md.
"""

import asyncio
import json
import multiprocessing
import platform
import tempfile
import time
from datetime import date
from pathlib import Path

from steelyard import __version__
from steelyard.llm import Client
from steelyard.rubric import MetaRubric, PairwiseJudge, run_pairs
from steelyard.rubric.pairs import Pair

REPLY = json.dumps(
    {
        "differences": ["answer 1 is longer"],
        "criteria": [{"name": "c", "tier": "core", "reason": "r", "quote_1": "", "quote_2": "", "score": 1}],
    }
)

ANSWER = " ".join(f"word{i} lorem, ipsum" for i in range(110))
FULL_REPLY = json.dumps(
    {
        "differences": [f"answer 1 does the thing {i}, and answer 2 does not do it at all" for i in range(5)],
        "criteria": [
            {
                "name": f"criterion {i}", "tier": "core", "reason": f"answer 1 says that {i} is so, which is right; answer 2 says otherwise, and is wrong",
                "quote_1": f"word{i} lorem, ipsum word{i + 1} lorem", "quote_2": f"word{i + 9} lorem, ipsum", "score": 1,
            }
            for i in range(6)
        ],
    }
)  # fmt: skip


def serve(port, delay, reply=REPLY):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
    body = json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()

    async def handle(reader, writer):
        try:
            while True:
                lines = await reader.readuntil(b"\r\n\r\n")
                length = next(int(x.split(b":")[1]) for x in lines.lower().split(b"\r\n") if x.startswith(b"content-length:"))
                await reader.readexactly(length)
                await asyncio.sleep(delay)
                writer.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def forever():
        server = await asyncio.start_server(handle, "127.0.0.1", port, backlog=1024, limit=2**20)
        await server.serve_forever()

    asyncio.run(forever())


def measure(port, delay, in_flight, calls):
    """Calls a second of `PairwiseJudge` in one order, with so many in flight."""
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port, delay), daemon=True)
    server.start()
    time.sleep(2)
    judge = PairwiseJudge(
        Client(f"http://127.0.0.1:{port}/v1", "m", concurrency=in_flight), MetaRubric.load("general"), orders="one"
    )

    async def all_of_them():
        await judge.compare("warm", "a", "b")
        began = time.perf_counter()
        verdicts = await asyncio.gather(*(judge.compare(f"prompt {i}", "x" * 2000, "y" * 2000 + str(i)) for i in range(calls)))
        assert all(verdict.calls == 1 for verdict in verdicts)
        return calls / (time.perf_counter() - began)

    rate = asyncio.run(all_of_them())
    server.terminate()
    return rate


def measure_run(port, in_flight, calls):
    """Calls a second of `run_pairs`, which is the work of the command, with so many in flight."""
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port, 0.0, FULL_REPLY), daemon=True)
    server.start()
    time.sleep(2)
    client = Client(f"http://127.0.0.1:{port}/v1", "m", concurrency=in_flight)
    judge = PairwiseJudge(client, MetaRubric.load("general"), orders="one")
    judge.compare_sync("warm", ANSWER, "b")
    pairs = [Pair(str(i), f"prompt {i}", ANSWER, f"B {ANSWER} {i}") for i in range(calls)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        summary, _ = run_pairs(judge, pairs, out=Path(folder) / "verdicts.jsonl", in_flight=2 * in_flight)
        rate = calls / (time.perf_counter() - began)
    assert summary.judged == summary.calls == calls
    server.terminate()
    return rate


def main():
    lines = [
        "# How busy the client keeps a judge", "",
        f"`python benchmarks/judge_throughput.py`, {date.today()}; {platform.machine()}, 2 cores, client and server on the same machine, steelyard {__version__}.", "",
        "| server | in flight | calls | calls a second | share of the ideal |", "|---|---|---|---|---|",
    ]  # fmt: skip
    port = 18400
    for delay, in_flight, calls in (
        (0.0, 1, 400),
        (0.0, 8, 1500),
        (0.0, 64, 1500),
        (2.0, 1, 3),
        (2.0, 8, 32),
        (2.0, 64, 512),
        (2.0, 256, 2048),
        (2.0, 256, 6144),
    ):
        port += 1
        rate = measure(port, delay, in_flight, calls)
        share = "" if not delay else f"{rate / (in_flight / delay):.3f}"
        lines.append(f"| {'at once' if not delay else f'after {delay:g} s'} | {in_flight} | {calls} | {rate:.1f} | {share} |")
        print(lines[-1], flush=True)
    lines.append(f"| at once, six criteria, written to a file | 64 | 3000 | {measure_run(port + 1, 64, 3000):.1f} | |")
    print(lines[-1], flush=True)
    (Path(__file__).parent / "results" / "judge_throughput.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
