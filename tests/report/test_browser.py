"""The page of a run's answers: its data, its filters in a script engine, and that ten thousand answers open at once."""

import base64
import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from steelyard.report._browser import _browser_data, write_answers
from steelyard.rubric.verdict import Judgement, Scored, Verdict
from steelyard.runlog import RunLog

IN_NODE = Path(__file__).parent / "browser_in_node.js"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node runs the page's script, and is not installed")


def said(winner, *, score=2, principle="form", decided_by="criteria", others=()):
    criteria = [Scored(f"about {principle}", "core", "it keeps the form", score, "old sea", "a sea", principle=principle)]
    verdict = Verdict(winner, 1.0, decided_by, [Judgement(False, [], criteria, 1.0)], rubric="creative@1", calls=1)
    again = [Verdict(one, 0.5, "criteria") for one in others]
    return json.dumps([{"side": "a", "other": "a sea of words", "verdicts": [one.to_dict() for one in (verdict, *again)]}])


def answers_of(step):
    return {
        "prompt": ["On the sea.", "On the sea.", "2+2?", "2+2?"],
        "answer": ["The old sea </script><b>", "Water", "4", "5"],
        "domain": ["writing", "writing", "maths", "maths"],
        "reward/right": [None, None, 1.0, 0.0],
        "reward/rubric": [0.5, -0.5, None, None],
        "reward/short": [0.0, 1.0, 1.0, float(step)],
        "weight/right": [0.5] * 4,
        "weight/rubric": [0.25] * 4,
        "weight/short": [0.25] * 4,
        "advantage": [0.7, -0.7, 1.0, -1.0],
        "said/rubric": [said("a"), said("b", principle="alive", others=["a"]), None, None],
    }


@pytest.fixture
def page(tmp_path):
    log = RunLog(tmp_path / "run").create("name: run\n")
    for step in (1, 2):
        log.write_answers(step, answers_of(step))
    return write_answers(log, tmp_path / "run" / "answers.html", label="run")


def in_node(page, *filters):
    done = subprocess.run(
        ["node", str(IN_NODE), str(page), json.dumps(filters)], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


@needs_node
def test_answers_are_found_by_what_they_won_and_what_they_lost(page):
    all_of_them, one_domain, torn, won, apart, alive, text, none = in_node(
        page,
        {},
        {"domain": "maths", "step": "2"},
        {"better": "1", "worse": "2"},
        {"outcome": "won"},
        {"outcome": "disagreed"},
        {"principle": "1"},
        {"text": "WATER", "sort": "advantage up"},
        {"text": "nowhere"},
    )["shown"]
    assert all_of_them["where"] == "1 to 8 of 8"
    assert one_domain["where"] == "1 to 2 of 2"
    # Better than its group by the rubric, worse by length: the first answer of each update.
    assert torn["where"] == "1 to 2 of 2"
    assert "The old sea" in torn["first"]
    assert won["where"] == "1 to 4 of 4"
    assert apart["where"] == alive["where"] == text["where"] == "1 to 2 of 2"
    assert none["where"] == "no answer passes these filters"


@needs_node
def test_an_answer_is_shown_with_what_it_was_compared_with_and_why(page):
    (shown,) = in_node(page, {"outcome": "won", "sort": "advantage down"})["shown"]
    for words in (
        "this answer is better, decided by criteria",
        "a  sea  of words",
        "about form",
        "+2",
        "it keeps the form",
        "1 calls",
    ):
        assert " ".join(words.split()) in " ".join(shown["one"].split())
    # A text that looks like markup is a text.
    assert shown["one"].split("answer ")[2].split("rewards")[0].split() == ["The", "old", "sea", "</script><b>"]


def test_no_answer_leaves_the_element_that_holds_it(page):
    content = page.read_text()
    assert content.count("</script>") == content.count("<script")
    assert "The old sea \\u003c/script\\u003e\\u003cb\\u003e" in content
    # Of all scripts the page lets the one run that came with it, and loads nothing.
    script = content[content.rindex("<script>") + 8 : content.rindex("</script>")]
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'" in content


def test_a_long_run_is_shown_by_updates_that_are_spread_evenly(tmp_path):
    log = RunLog(tmp_path / "run").create("name: run\n")
    for step in range(1, 11):
        log.write_answers(step, answers_of(step))
    content = write_answers(log, tmp_path / "answers.html", label="run", most=20).read_text()
    assert "20 answers of 40, from updates spread evenly over the run" in content
    data = json.loads(content.split('id="data">')[1].split("</script>")[0])
    assert sorted(set(data["step"])) == [1, 3, 5, 7, 9]


def test_a_run_without_answers_has_no_page(tmp_path):
    log = RunLog(tmp_path / "run").create("name: run\n")
    assert write_answers(log, tmp_path / "answers.html", label="run") is None


@needs_node
def test_ten_thousand_answers_open_within_two_seconds(tmp_path):
    rng = random.Random(0)
    log = RunLog(tmp_path / "run").create("name: run\n")
    for step in range(1, 101):
        columns = {key: values * 25 for key, values in answers_of(step).items()}
        columns["answer"] = [f"{text} {rng.random()} " + "words " * 60 for text in columns["answer"]]
        columns["said/rubric"] = [said("a")] * 100
        log.write_answers(step, columns)
    page = write_answers(log, tmp_path / "answers.html", label="run")
    found = in_node(page)
    assert found["where"] == "1 to 50 of 10000"
    assert found["seconds"] < 2


def test_what_decided_is_noted_for_the_filters():
    failed = json.dumps([{"side": "b", "other": "x", "verdicts": [Verdict(None, None, "failure", error="no").to_dict()]}])
    guarded = json.dumps([{"side": "b", "other": "x", "verdicts": [Verdict("b", -2.0, "checks").to_dict()]}])
    row = {"prompt": "p", "answer": "x", "reward/rubric": None, "weight/rubric": 1.0, "advantage": 0.0}
    data, _ = _browser_data([(1, i, row | {"said/rubric": one}) for i, one in enumerate((failed, guarded, None))])
    assert data["outcomes"] == [["failed"], ["guarded", "won"], []]
