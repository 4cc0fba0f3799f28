"""Nothing is destroyed, and nothing leaks: files that are read, terminals, permissions, pages and secrets."""

import json
import os
import re
import stat

import pytest

from steelyard.bench import benchmark_names
from steelyard.errors import InputError
from steelyard.files import check_apart, locked
from steelyard.llm import ReplyCache
from steelyard.llm._server_words import without_secrets
from steelyard.report import write_report
from steelyard.rubric.batch import _drop_torn_line
from steelyard.rubric.page import write_verdicts
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict
from steelyard.rubric.verdict_files import Line
from steelyard.runlog import RunLog

PAIR = '{"id": "1", "prompt": "p", "a": "x", "b": "y"}'
SERVER = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")
VERDICT = Line("1", "0" * 16, "1" * 16, Verdict("a", 1.0, "criteria")).text()


@pytest.mark.parametrize("option", ["--out", "--html", "--cache"])
@pytest.mark.parametrize("way", ["same", "dotted", "symbolic", "hard"])
def test_a_file_that_is_read_is_never_written(command, tmp_path, option, way):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(PAIR)
    named = {"same": pairs, "dotted": tmp_path / ".." / tmp_path.name / "pairs.jsonl"}.get(way, tmp_path / "other.jsonl")
    if way == "symbolic":
        named.symlink_to(pairs)
    elif way == "hard":
        os.link(pairs, named)
    code, _, said = command("judge", "pairs.jsonl", *SERVER, "--out", "v.jsonl", option, named)
    assert code == 2
    assert f"{option} names" in said
    assert pairs.read_text() == PAIR


def test_a_shard_that_is_read_is_never_written(command, tmp_path):
    (tmp_path / "shards").mkdir()
    for number in "12":
        (tmp_path / "shards" / f"{number}.jsonl").write_text(PAIR.replace('"1"', f'"{number}"'))
    for source in ("shards", "shards/*.jsonl"):
        code, _, said = command("judge", source, *SERVER, "--out", "shards/2.jsonl")
        assert (code, "which is read" in said) == (2, True)


def test_two_options_do_not_name_one_file(command, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(PAIR)
    code, _, said = command("judge", "pairs.jsonl", *SERVER, "--out", "v", "--html", "v")
    assert code == 2
    assert "--html and --out name the same file" in said
    with pytest.raises(InputError, match="--cache and --out name the same file"):
        check_apart([], {"--out": tmp_path / "a", "--cache": tmp_path / "." / "a", "--html": None})


def test_a_benchmark_is_not_written_into_its_own_data(command, tmp_path):
    (tmp_path / "data").mkdir()
    code, _, said = command("bench", benchmark_names()[0], "--data", "data", *SERVER, "--out", "data")
    assert (code, "which is read" in said) == (2, True)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (VERDICT, VERDICT),
        (VERDICT.rstrip("\n"), VERDICT),
        (VERDICT + VERDICT[:50], VERDICT),
        (VERDICT + "{", VERDICT),
        (VERDICT[:3], ""),
        (VERDICT[:9], ""),
        (VERDICT[:14], ""),
        (VERDICT[:100], ""),
        (PAIR, None),
        (PAIR[:20], None),
        (PAIR[:-1], None),
        (VERDICT + PAIR, None),
        ("notes", None),
        ('{"important": "my only copy"}', None),
        ("[1]", None),
    ],
)
def test_a_line_that_is_none_of_ours_is_never_removed(tmp_path, content, left):
    out = tmp_path / "v.jsonl"
    out.write_text(content)
    if left is None:
        with pytest.raises(InputError, match="its last line is no verdict"):
            _drop_torn_line(out)
    else:
        _drop_torn_line(out)
    assert out.read_text() == (content if left is None else left)


def test_a_lock_leaves_what_is_in_the_file(tmp_path):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / ".lock").symlink_to(tmp_path / "kept")
    with locked(tmp_path / ".lock") as mine:
        assert mine
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_second_judge_on_one_file_asks_nothing(command, serve, tmp_path):
    server = serve(lambda number, body: json.dumps({}))
    (tmp_path / "pairs.jsonl").write_text(PAIR)
    with locked(tmp_path / "v.jsonl"):
        code, _, said = command("judge", "pairs.jsonl", "--base-url", server.url, "--model", "m", "--out", "v.jsonl")
    assert code == 2
    assert "another process is writing to v.jsonl" in said
    assert server.bodies == []


EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202ereversed\r"
ESCAPES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_escape_codes_are_shown_and_not_obeyed(command, serve, tmp_path):
    reply = {
        "differences": [EVIL],
        "criteria": [{"name": EVIL, "tier": "core", "reason": EVIL, "quote_1": EVIL, "quote_2": "", "score": 1}],
    }
    server = serve(lambda number, body: json.dumps(reply))
    row = {"id": EVIL, "prompt": EVIL, "a": EVIL, "b": EVIL + "b", "label": "a"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row))
    words = ("judge", "pairs.jsonl", "--base-url", server.url, "--model", EVIL, "--quotes", "0", "--out", "v.jsonl")
    code, out, err = command(*words, "--reward", "words:at_least=1")
    assert code == 0
    assert "\\x1b[2J" in out or "\\u001b[2J" in out
    assert ESCAPES.search(out + err) is None
    for failing in (
        ("judge", f"none{EVIL}.jsonl", *SERVER),
        ("judge", "pairs.jsonl", *SERVER, "--guard", f"nothing{EVIL}"),
        ("rubric", "show", f"{EVIL}"),
        ("rubric", "stats", "v.jsonl"),
        ("train", f"{EVIL}"),
        ("mix", f"{EVIL}", "--steps", "1", "--batch-size", "1"),
    ):
        _, out, err = command(*failing)
        assert ESCAPES.search(out + err) is None, failing


def test_escape_codes_of_a_server_and_of_a_rubric_are_shown(command, serve, tmp_path):
    server = serve(lambda number, body: (401, {}, json.dumps({"error": {"message": EVIL}})))
    (tmp_path / "pairs.jsonl").write_text(PAIR)
    code, out, err = command("judge", "pairs.jsonl", "--base-url", server.url, "--model", "m", "--retries", "0")
    assert code == 1
    assert ESCAPES.search(out + err) is None
    (tmp_path / "mine.yaml").write_text(
        'name: mine\nversion: 1\nextends: general\nprinciples:\n- {id: a, tier: core, means: "what \\e[2J is good", fails: "what \\e[2J is not"}\n'
        'changelog:\n- {version: 1, date: 2026-01-01, what: "made \\e[2J"}\n'
    )
    code, out, err = command("rubric", "show", "mine.yaml")
    assert code == 0
    assert "\\x1b[2J" in out
    assert ESCAPES.search(out + err) is None


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("shared", [False, True])
def test_what_holds_prompts_is_its_owners_alone(tmp_path, monkeypatch, shared):
    monkeypatch.setenv("STEELYARD_SHARED", "1" if shared else "")
    before = os.umask(0o022)
    try:
        RunLog(tmp_path / "runs" / "one").create("name: one\n")
        ReplyCache(tmp_path / "cache").put("k", "m", "t", 1, 1)
        (tmp_path / "there").mkdir(mode=0o750)
        RunLog(tmp_path / "there").create("name: there\n")
    finally:
        os.umask(before)
    assert mode(tmp_path / "runs" / "one") == (0o755 if shared else 0o700)
    assert [mode(file) for file in tmp_path.glob("cache*")] == [0o644 if shared else 0o600] * 3
    assert mode(tmp_path / "there") == 0o750


def test_the_page_of_verdicts_may_load_nothing(tmp_path):
    out = tmp_path / "v.jsonl"
    out.write_text(VERDICT)
    page = write_verdicts([Pair("1", "p", "a", "b")], out, tmp_path / "page.html").read_text()
    check_policy(page)


def check_policy(page):
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert "script" not in policy[1]
    assert "http" not in policy[1]
    # Before anything that it is to hold for.
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert not re.search(r"<script|\bon\w+=|javascript:|src=\"(?!data:)|href=\"(?!#)", page)


def test_the_report_may_load_nothing():
    from pathlib import Path

    import steelyard.report

    check_policy(
        Path(steelyard.report.__file__).with_name("base.html").read_text()
        + "".join(
            Path(steelyard.report.__file__)
            .with_name(name)
            .read_text()
            .replace('src="{{', 'src="data:{{')
            .replace('href="./{{', 'href="#{{')  # a page beside it
            for name in ("page.html", "domains.html")
        )
    )
    assert callable(write_report)


@pytest.mark.parametrize(
    ("url", "echoed"),
    [
        ("http://host/v1", "Authorization: Bearer sk-1234567"),
        ("http://me:hunter22@host/v1", "http://me:hunter22@host/v1"),
        ("http://me:p%40ssword@host/v1", "the password p@ssword"),
        ("http://me:hunter22@host/v1", "Authorization: Basic bWU6aHVudGVyMjI="),
        ("http://host/v1?api-key=hunter22", "GET /v1?api-key=hunter22"),
        ("http://host/v1?sig=a%2Fb%2Bcdef", "sig a/b+cdef, a%2Fb%2Bcdef"),
    ],
)
def test_secrets_are_cut_out_of_a_servers_words(url, echoed):
    said = without_secrets(echoed, "sk-1234567", url)
    assert "[key]" in said
    for secret in ("sk-1234567", "hunter22", "p@ssword", "p%40ssword", "bWU6aHVudGVyMjI=", "a/b+cdef", "a%2Fb%2Bcdef"):
        assert secret not in said
