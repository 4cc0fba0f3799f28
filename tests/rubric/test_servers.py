"""The command and its server: what can be set, runs that end where further questions are in vain, and two on one file."""

import json
import subprocess
import sys

import pytest
from test_pairs import answer

from misbehaving_server import Dialect, completion
from steelyard.rubric.verdict_files import read_verdicts

ROWS = [{"id": f"p{i}", "prompt": f"question {i}", "a": f"right {i}", "b": f"wrong {i}", "label": "a"} for i in range(100)]
REVOKED = (401, {}, '{"error": {"message": "the key was revoked"}}')


def words_for(server, path, *more):
    return ["judge", path, "--base-url", server.url, "--model", "m", "--orders", "one", "--show", 0, *more]


def test_all_that_the_library_can_set_the_commands_can(command, serve, jsonl, monkeypatch):
    monkeypatch.setenv("MY_KEY", "k-9876")
    server = serve(answer)
    request = [
        "--max-tokens", 77, "--temperature", 0.3, "--extra", '{"top_p": 0.5, "chat_template_kwargs": {"enable_thinking": false}}',
        "--structure", "prompt", "--api-key-env", "MY_KEY",
    ]  # fmt: skip
    assert command(*words_for(server, jsonl(ROWS[:1]), *request))[0] == 0
    sent = server.bodies[0]
    assert (sent["max_tokens"], sent["temperature"], sent["top_p"]) == (77, 0.3, 0.5)
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert "response_format" not in sent
    assert "authorization: bearer k-9876" in server.heads[0].lower()
    _, said, _ = command("judge", "--help")
    _, bench, _ = command("bench", "--help")
    for option in ("--max-tokens", "--temperature", "--extra", "--structure", "--api-key-env"):
        assert option in said
        assert option in bench


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-tokens", "0"], "max_tokens must be a whole number, at least 1, but is 0"),
        (["--temperature", "9"], "temperature must be a number from 0 to 2, but is 9"),
        (["--temperature", "nan"], "temperature must be a number from 0 to 2"),
        (["--extra", "{top_p: 1}"], "--extra must be a JSON object"),
        (["--extra", "[1]"], "--extra must be a JSON object"),
        (["--extra", '{"messages": []}'], "extra cannot hold messages: the client sets that itself"),
        (["--extra", '{"stream": true}'], "extra cannot hold stream"),
        (["--structure", "xml"], "structure must be one of auto, schema, prompt, but is 'xml'"),
        (["--api-key-env", "NO_SUCH_KEY"], "the environment has no NO_SUCH_KEY"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(command, jsonl, words, message):
    code, _, error = command("judge", jsonl(ROWS[:1]), "--base-url", "http://127.0.0.1:9/v1", "--model", "m", *words)
    assert (code, message in error, error.count("\n")) == (2, True, 1)


@pytest.mark.parametrize(
    "refusal",
    [
        REVOKED,
        (403, {}, '{"detail": "this key is blocked"}'),
        (402, {}, '{"error": {"message": "Insufficient Balance"}}'),
        (429, {}, '{"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}'),
        (429, {}, '{"error": "You exceeded your current quota, please check your plan"}'),
        (400, {}, '{"error": {"message": "Your credit balance is too low to access the API"}}'),
        (404, {}, '{"error": {"message": "The model m does not exist", "code": "model_not_found"}}'),
    ],
    ids=lambda refusal: str(refusal[0]),
)  # fmt: skip
def test_a_run_whose_server_lets_nobody_in_any_more_ends_and_goes_on_later(command, serve, jsonl, tmp_path, refusal):
    server, path, out = (
        serve(lambda number, body: answer(number, body) if number <= 20 else refusal),
        jsonl(ROWS),
        tmp_path / "v.jsonl",
    )
    words = words_for(server, path, "--out", out, "--concurrency", 4)
    code, _, error = command(*words)
    assert code == 1
    assert "stopped, since" in error
    assert "questions in a row failed, as all others would: m: the server at http" in error
    assert "what was judged is kept, and with --out the same command goes on" in error
    assert error.count("\n") == 1
    assert len(server.bodies) <= 20 + 5 + 2 * 4
    assert 15 < len(read_verdicts(out)) <= 20
    kept = len(read_verdicts(out))
    server.answer, asked = answer, len(server.bodies)
    assert command(*words)[0] == 0
    assert len(read_verdicts(out)) == 100
    # What was under way when the run ended may still arrive.
    assert 100 - kept <= len(server.bodies) - asked <= 100 - kept + 8


def test_a_server_that_is_gone_half_way_ends_the_run_as_well(command, serve, jsonl, tmp_path):
    server = serve(lambda number, body: answer(number, body) if number <= 20 else "close")
    code, _, error = command(*words_for(server, jsonl(ROWS), "--out", tmp_path / "v.jsonl", "--concurrency", 2, "--retries", 1))
    assert code == 1
    assert "no server of 'm' answers at" in error
    assert len(server.bodies) < 60


@pytest.mark.parametrize(
    "refusal",
    [
        (403, {}, '{"error": {"message": "your input was flagged by moderation"}}'),
        (400, {}, '{"error": {"message": "the prompt is too long"}}'),
        (500, {}, "oops"),
        (429, {}, '{"error": {"message": "rate limit reached"}}'),
        (429, {"retry-after": "0"}, '{"error": {"message": "You exceeded your current quota"}}'),
        (429, {}, '{"error": {"message": "You exceeded your current quota. Please retry in 0.1 s"}}'),
        "no JSON",
    ],
)
def test_failures_of_single_questions_end_no_run(command, serve, jsonl, refusal):
    """Twenty in a row: each may be the pair's own fault, or passes."""
    server = serve(lambda number, body: refusal if number > 3 and "question 1" in str(body) else answer(number, body))
    code, said, _ = command(*words_for(server, jsonl(ROWS[:3] + ROWS[10:20] + ROWS[20:23]), "--concurrency", 1, "--retries", 0))
    assert code == 0
    assert "failed 10" in said or "failed 11" in said


def test_another_server_that_lets_us_in_takes_over(command, serve, jsonl):
    shut, open_ = serve(lambda number, body: REVOKED), serve(answer)
    code, said, _ = command(*words_for(shut, jsonl(ROWS), "--base-url", open_.url, "--concurrency", 2))
    assert code == 0
    assert "100 pairs: A 100, B 0, ties 0, failed 0" in said
    assert len(shut.bodies) <= 8


def test_a_thinking_judge_that_never_comes_to_an_end_is_not_asked_for_ever(command, serve, jsonl):
    server = serve(lambda number, body: (200, {}, completion("", finish="length", tokens=(10, body["max_tokens"]))))
    code, _, error = command(*words_for(server, jsonl(ROWS[:1]), "--max-tokens", 100))
    assert code == 1
    assert "allow more with --max-tokens" in error
    assert [body["max_tokens"] for body in server.bodies] == [100, 200, 400]


def test_what_a_server_wants_otherwise_is_told_at_the_end(command, serve, jsonl):
    dialect = Dialect({"response_format": (400, {"detail": "no grammar"})})

    def judged(number, body):
        refused = dialect(number, body)
        return refused if isinstance(refused, tuple) else answer(number, body)

    code, said, _ = command(*words_for(serve(judged), jsonl(ROWS[:1])))
    assert code == 0
    assert "JSON is asked for in the prompt (response_format is refused or ignored)" in said


HOLD = """
import sys, time
from pathlib import Path
from steelyard.files import locked
with locked(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_two_processes_on_one_file_are_refused(command, serve, jsonl, tmp_path):
    server, out = serve(answer), tmp_path / "v.jsonl"
    words = words_for(server, jsonl(ROWS[:4]), "--out", out)
    assert command(*words, "--calls", 2)[0] == 0
    before = out.read_bytes()
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "True\n"
        code, _, error = command(*words)
        assert (code, error.count("\n")) == (2, 1)
        assert "another process is writing to" in error
        assert out.read_bytes() == before
    finally:
        other.kill()
        other.wait()
    # A process that was killed holds nothing.
    assert command(*words)[0] == 0
    assert len(read_verdicts(out)) == 4
    assert [path.name for path in tmp_path.iterdir() if "lock" in path.name] == []
    assert all(json.loads(line) for line in out.read_text().splitlines())
