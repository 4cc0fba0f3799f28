"""A real vLLM server on this machine's processor: `make test-vllm` makes its environment and the model's folder, and runs this."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from steelyard.errors import LLMError
from steelyard.llm import Client
from steelyard.rubric import Criterion, MetaRubric, PairwiseJudge
from steelyard.rubric.batch import run_pairs
from steelyard.rubric.pairs import Pair

MODEL, CONTEXT, START = "smollm2-135m", 4096, 600
FOLDER = Path(os.environ.get("STEELYARD_VLLM", ".venv-vllm")).absolute()
PYTHON, WEIGHTS = FOLDER / "bin" / "python", FOLDER / "model"

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        not (PYTHON.exists() and (WEIGHTS / "config.json").exists()),
        reason=f"no vLLM and no model in {FOLDER} (STEELYARD_VLLM): make test-vllm makes both",
    ),
]

PAIRS = [
    Pair("1", "2+2?", "4", "5", "a"),
    Pair("2", "Name a fruit.", "An apple.", "A stone.", "a"),
    Pair("3", "What is the capital of France?", "It is Rome, I believe.", "The capital of France is Paris.", "b"),
    Pair("4", "Say hello.", "Hello there!", "No.", "a"),
]


class Town(BaseModel):
    name: str = Field(max_length=40)
    kind: Literal["village", "town", "city"]
    people: int


def last_lines(path, count=15):
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The server's address, for as long as the tests of this file run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    # `vllm serve` of this package asks for the version of a package named "vllm", which is not installed; its module does not.
    command = [
        PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", WEIGHTS, "--served-model-name", MODEL, "--host", "127.0.0.1",
        "--port", port, "--max-model-len", CONTEXT, "--dtype", "float32", "--enforce-eager",
    ]  # fmt: skip
    settings = {
        "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_CACHE_ROOT": str(log.parent / "cache"),
    }  # fmt: skip
    begun = time.monotonic()
    with log.open("w") as said:
        process = subprocess.Popen(
            list(map(str, command)), env={**os.environ, **settings}, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )  # fmt: skip
    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            if process.poll() is not None:
                pytest.fail(
                    f"vLLM ended with exit code {process.returncode} before it answered; its last words:\n{last_lines(log)}"
                )
            try:
                with direct.open(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
                    if reply.status == 200:
                        break
            except (urllib.error.URLError, OSError):
                if time.monotonic() - begun > START:
                    pytest.fail(f"vLLM did not answer within {START} s; its last words:\n{last_lines(log)}")
                time.sleep(0.5)
        print(f"\nvLLM answers after {time.monotonic() - begun:.0f} s")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        # The engine is a process of its own, in the same group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def client_of(url, **settings):
    return Client(url, MODEL, **{"retries": 1, "timeout": 600.0, "concurrency": 8, "max_tokens": 300, **settings})


def asked(text):
    return [{"role": "user", "content": text}]


def all_at_once(client, texts, **settings):
    """The replies, and how many tokens of them came in a second."""

    async def ask():
        return await asyncio.gather(*(client.ask(asked(text), **settings) for text in texts))

    before, begun = client.usage.tokens_out, time.monotonic()
    replies = asyncio.run(ask())
    return replies, (client.usage.tokens_out - before) / (time.monotonic() - begun)


def test_a_schema_is_kept_by_the_server(url):
    client = client_of(url, structure="schema", retries=0)
    replies, pace = all_at_once(client, [f"Describe {name} as JSON." for name in ("Paris", "Hull", "Oslo")], schema=Town)
    for reply in replies:
        assert isinstance(reply.data, Town)
        # By the server, and not by repair: the text itself is the object.
        assert Town.model_validate_json(reply.text) == reply.data
        print(f"by schema: {reply.text}")
    assert (client.usage.calls, client.usage.failures, client.notes()) == (3, 0, [])
    print(f"by schema: {pace:.0f} tokens a second, three at once")


def test_questions_at_once_are_answered_faster_than_one_by_one(url):
    client = client_of(url, temperature=0.5)
    things = ("lighthouse", "bridge", "mill", "harbour", "library", "station", "market", "garden")
    texts = [f"In two sentences, what is a {thing}?" for thing in things]
    _, alone = all_at_once(client, texts[:1])
    replies, together = all_at_once(client, texts)
    assert all(reply.text.strip() for reply in replies)
    print(f"plain answers: {alone:.0f} tokens a second alone, {together:.0f} with {len(texts)} at once")
    assert together > alone


@pytest.mark.parametrize("strict", [False, True], ids=["any quotes", "quotes that stand there"])
def test_every_pair_ends_as_a_verdict_or_a_counted_failure(url, strict):
    general = MetaRubric.load("general")
    small = general.model_copy(update={"principles": general.principles[:2], "never": general.never[:1]})
    client = client_of(url, longest_string=40)
    judge = PairwiseJudge(client, small, orders="both", criteria=1, **({} if strict else {"quotes": 0}))
    given = (Criterion("truth", "says what is true", "core"),) if strict else None
    pairs = [Pair(one.id, one.prompt, one.a, one.b, one.label, criteria=given) for one in PAIRS]
    verdicts, begun = [], time.monotonic()
    summary, stopped = run_pairs(judge, pairs, tell=lambda pair, verdict: verdicts.append(verdict))
    seconds = time.monotonic() - begun
    assert not stopped
    assert not summary.gave_up
    assert len(verdicts) == len(PAIRS) == summary.judged + summary.failed
    for verdict in verdicts:
        if verdict.winner is None:
            assert (verdict.score, verdict.decided_by) == (None, "failure")
            # The judge's own refusal of what the model said; the server refused nothing.
            assert "HTTP" not in verdict.error
            assert re.search(r"no usable reply in \d+ calls|the reply was cut off", verdict.error)
        else:
            assert verdict.winner in ("a", "b", "tie")
            assert len(verdict.judgements) == 2
    if not strict:
        assert summary.judged
    assert client.notes() == []
    print(*summary.lines(), *{f"failed: {one.error}" for one in verdicts if one.error}, sep="\n")
    print(
        f"{seconds:.0f} s, {client.usage.tokens_out / seconds:.0f} tokens a second with {len(pairs)} pairs in both orders at once"
    )


@pytest.fixture
def judged(url, jsonl):
    """Run `steelyard judge` on the pairs, as a user does."""

    def run(model, *more):
        rows = [{"id": one.id, "prompt": one.prompt, "a": one.a, "b": one.b, "label": one.label} for one in PAIRS]
        words = ["judge", jsonl(rows), "--base-url", url, "--model", model, "--timeout", 600, "--show", 0, *more]
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, "-m", "steelyard", *map(str, words)], capture_output=True, text=True, env=environment
        )

    return run


def test_the_command_ends_with_a_summary(judged, tmp_path):
    out, begun = tmp_path / "verdicts.jsonl", time.monotonic()
    done = judged(MODEL, "--criteria", 1, "--quotes", 0, "--max-tokens", 300, "--retries", 1, "--out", out)
    counts = re.search(r"^4 pairs: A (\d), B (\d), ties (\d), failed (\d)$", done.stdout, re.M)
    assert counts is not None, done.stdout + done.stderr
    *won, failed = map(int, counts.groups())
    assert sum(won) + failed == 4
    assert done.returncode == (1 if failed == 4 else 0), done.stderr
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["id"] for line in lines) == ["1", "2", "3", "4"]
    assert sum(line["winner"] is None for line in lines) == failed
    print(f"\n{done.stdout.strip()}\n{time.monotonic() - begun:.0f} s")


def test_the_command_says_that_the_server_has_no_such_model(judged):
    done = judged("nobody")
    assert done.returncode == 1
    assert "HTTP 404" in done.stderr
    assert "The model `nobody` does not exist" in done.stderr
    print(f"\n{done.stderr.strip()}")


@pytest.mark.parametrize("schema", [None, Town], ids=["plain", "by schema"])
@pytest.mark.parametrize(
    ("text", "limit", "message", "calls"),
    [
        (
            "Write a long story about a lighthouse.",
            2,
            r"cut off at 8 tokens \(it began with 2\): allow more with --max-tokens",
            3,
        ),
        (
            "apple " * 2 * CONTEXT,
            2,
            rf"HTTP 400: .*maximum context length is {CONTEXT} tokens.* reduce the length of the input",
            1,
        ),
        ("Say hi.", 9000, rf"HTTP 400: .*max_tokens=9000 cannot be greater than max_model_len={CONTEXT}", None),
    ],
    ids=["too few tokens", "a prompt longer than the context", "more tokens than the context"],
)
def test_what_vllm_refuses_reaches_the_user_and_teaches_nothing_wrong(url, text, limit, message, calls, schema):
    client = client_of(url, max_tokens=limit, retries=3)
    with pytest.raises(LLMError, match=message) as caught:
        client.ask_sync(asked(text), schema=schema)
    assert client.usage.calls <= 3
    if calls is not None:
        assert client.usage.calls == calls
    assert client.notes() == []
    print(f"\n{caught.value}")
