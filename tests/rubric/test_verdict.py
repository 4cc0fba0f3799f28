"""A verdict read back from a file is the verdict that was written, whatever it holds; files stay as they were."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.errors import InputError
from steelyard.rubric import Judgement, Pair, Scored, Verdict, read_verdicts
from steelyard.rubric.verdict_files import Line, digest_of, read_lines

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCORE = st.floats(-2, 2, allow_nan=False)
CRITERION = st.builds(
    Scored, TEXT, st.sampled_from(["hard", "core", "important", "highlight"]), TEXT, st.integers(-2, 2), TEXT, TEXT,
    st.sampled_from([None, True, False]), st.sampled_from([None, True, False]),
)  # fmt: skip
VERDICT = st.builds(
    Verdict,
    st.sampled_from(["a", "b", "tie", None]),
    st.none() | SCORE,
    TEXT,
    st.lists(st.builds(Judgement, st.booleans(), st.lists(TEXT, max_size=3), st.lists(CRITERION, max_size=3), SCORE), max_size=2),
    st.dictionaries(TEXT, st.tuples(st.none() | SCORE, st.none() | SCORE), max_size=2),
    TEXT,
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.none() | TEXT,
)

LINE = (
    '{"id": "p0", "pair": "93cd", "judge": "73da", "winner": "a", "score": 1.5, "decided_by": "veto", "rubric": "creative@1", "calls": 2, '
    '"tokens_in": 748, "tokens_out": 410, "checks": {"words:at_least=6": [1.0, null]}, "orders": [{"swapped": true, "score": 1.5, "winner": "a", '
    '"differences": ["one"], "criteria": [{"name": "truth", "tier": "hard", "reason": "né", "score": 1, "quote_a": "x", "quote_b": "", '
    '"found_a": false, "found_b": null}]}], "error": null}\n'
)
"""As the first version wrote it."""


@given(VERDICT)
def test_plain_data_and_verdicts_are_each_others_inverse(verdict):
    plain = verdict.to_dict()
    assert Verdict.from_dict(plain) == verdict
    again = Verdict.from_dict(json.loads(json.dumps(plain)))
    assert again == verdict
    assert again.to_dict() == plain
    assert isinstance(again.judgements, list)
    assert all(isinstance(one, Scored) for one in again.criteria)


def test_a_line_of_the_first_version_is_read_and_written_byte_for_byte(tmp_path):
    path = tmp_path / "v.jsonl"
    path.write_text(LINE, encoding="utf-8")
    verdict = read_verdicts(path)["p0"]
    assert isinstance(verdict, Verdict)
    assert (verdict.winner, verdict.version, verdict.orders, verdict.checks) == ("a", 1, ["a"], {"words:at_least=6": (1.0, None)})
    assert verdict.judgements[0].vetoed
    assert verdict.criteria[0].found == {"a": False, "b": None}
    assert read_lines(path)["p0"] == Line("p0", "93cd", "73da", verdict)
    assert read_lines(path)["p0"].text() == LINE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, r"v.jsonl:2: a verdict of version 2, but this Steelyard reads up to version 1: install a newer one"),
        ({"winner": "c"}, r"v.jsonl:2: not a verdict"),
        ({"score": "high"}, "not a verdict"),
        ({"score": float("nan")}, "not a verdict"),
        ({"version": "one"}, "not a verdict"),
        ({"orders": None}, "not a verdict"),
        ({"orders": [{"swapped": False}]}, "not a verdict"),
        ({"orders": [[]]}, "not a verdict"),
        ({"checks": {"a": [1.0]}}, "not a verdict"),
        ({"calls": None}, "not a verdict"),
        ({"error": "\ud800 half a character"}, None),
    ],
)
def test_a_line_that_is_no_verdict_is_named_and_the_file_left_alone(tmp_path, change, message):
    path = tmp_path / "v.jsonl"
    path.write_text(LINE + json.dumps({**json.loads(LINE), "id": "p1", **change}) + "\n", encoding="utf-8")
    before = path.read_bytes()
    if message is None:
        assert read_verdicts(path)["p1"].error == "? half a character"
    else:
        with pytest.raises(InputError, match=message):
            read_verdicts(path)
    assert path.read_bytes() == before


def test_a_verdict_cannot_be_what_none_is():
    for wrong in ({"winner": "c"}, {"score": float("inf")}, {"version": None}):
        with pytest.raises(ValueError, match="validation error"):
            Verdict(**{"winner": "a", "score": 1.0, "decided_by": "criteria", **wrong})
    with pytest.raises(ValueError, match="validation error"):
        Scored("x", "soft", "", 1)


def test_many_verdicts_are_read_quickly(tmp_path):
    """Twenty thousand of six criteria in both orders; a machine that is busy may take ten times as long as a free one."""
    criterion = Scored("truth", "core", "answer 1 is right and says why", 1, "a quote", "another", True, False)
    verdict = Verdict("a", 1.0, "criteria", [Judgement(swapped, ["one"] * 3, [criterion] * 6, 1.0) for swapped in (False, True)])
    pair = Pair("0", "p", "a", "b")
    text = Line("ID", digest_of(pair), "judge", verdict).text()
    path = tmp_path / "v.jsonl"
    path.write_text("".join(text.replace('"ID"', f'"{i}"', 1) for i in range(20_000)))
    began = time.perf_counter()
    assert len(read_verdicts(path)) == 20_000
    assert time.perf_counter() - began < 20
