"""What others might write never ends in a traceback: a few seconds of each generator of `fuzz`, and what they found before."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import fuzz
from steelyard.bench import benchmark
from steelyard.errors import InputError
from steelyard.recipes import load_recipe
from steelyard.rows import read_rows
from steelyard.rubric import MetaRubric
from steelyard.rubric.page import write_verdicts
from steelyard.rubric.pairs import Pair


@pytest.mark.parametrize("name", fuzz.GENERATORS)
def test_whatever_others_write_is_read_or_refused(name):
    """In a process of its own: a damaged file must not end it either."""
    code = (
        "import json, sys, fuzz; print(json.dumps(fuzz.tried(sys.argv[1], seconds=fuzz.settings()[0], seed=fuzz.settings()[1])))"
    )
    folder = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, cwd=folder, timeout=3600 + 2 * fuzz.settings()[0]
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, refused, found = json.loads(done.stdout.splitlines()[-1])
    assert found == {}
    # A generator of which everything is refused, or nothing, tries nothing.
    assert count < 20 or 0 < refused < count


LONG = "a" * 5000


@pytest.mark.parametrize("name", [LONG, "a\0b", "a/" * 3000, "\ud800"])
def test_a_name_that_no_file_can_have_is_one_line(name):
    for read in (load_recipe, MetaRubric.load, lambda name: read_rows(f"{name}.jsonl")):
        with pytest.raises(InputError):
            read(name)


def test_a_damaged_arrow_file_does_not_end_the_process(tmp_path):
    """Offsets of a text that point outside of its bytes."""
    table = pa.table({"text": ["one", "two", "three"] * 50})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    good, path = sink.getvalue().to_pybytes(), tmp_path / "rows.arrow"
    offsets = b"".join(number.to_bytes(4, "little") for number in (0, 3, 6, 11))
    assert offsets in good
    for wrong in ((0, 3, 2**31 - 1, 11), (0, 2**30, 6, 11), (9, 3, 6, 11)):
        path.write_bytes(good.replace(offsets, b"".join(number.to_bytes(4, "little") for number in wrong)))
        with pytest.raises(InputError, match=r"rows\.arrow: cannot be read as an Arrow file"):
            read_rows(str(path))


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("judgebench", {**fuzz.BENCH_ROWS["judgebench"], "response_model": ["m"]}, None),
        ("ppe", {**fuzz.BENCH_ROWS["ppe of K"], "scores": [None, False, True]}, "scores must be numbers"),
        ("ppe", {**fuzz.BENCH_ROWS["ppe of K"], "scores": ["1", 0, 1]}, "scores must be numbers"),
        ("ppe", {**fuzz.BENCH_ROWS["ppe of K"], "scores": [{}, 0, 1]}, "scores must be numbers"),
    ],
)
def test_rows_of_a_benchmark_that_are_none(tmp_path, name, row, said):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    if said is None:
        assert len(benchmark(name).read(str(path))[0]) == 1
    else:
        with pytest.raises(InputError, match=said):
            benchmark(name).read(str(path))


def test_a_winner_without_a_score_is_shown_or_refused(tmp_path):
    line = {
        "id": "1", "pair": "0" * 16, "judge": "1" * 16, "winner": "a", "score": None, "decided_by": "criteria", "rubric": "general@1", "calls": 1, "tokens_in": 1,
        "tokens_out": 1, "orders": [], "checks": {},
    }  # fmt: skip
    (tmp_path / "v.jsonl").write_text(json.dumps(line) + "\n")
    try:
        page = write_verdicts([Pair("1", "p", "a", "b")], tmp_path / "v.jsonl", tmp_path / "page.html").read_text()
    except InputError:
        return
    assert "no score" in page
