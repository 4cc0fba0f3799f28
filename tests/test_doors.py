"""Commands that train nothing load nothing that trains: neither torch nor TRL nor transformers, to their very end."""

import json
import os
import re
import subprocess
import sys

import pytest

HEAVY = ("torch", "trl", "transformers", "accelerate", "datasets", "pandas", "peft")

SCRIPT = """
import json, sys
from steelyard.cli import main
sys.argv = ["steelyard", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as stop:
    code = stop.code
print("\\n" + json.dumps([code, [name for name in %r if name in sys.modules]]))
"""


def loaded(*words, folder, also=()):
    """Exit code of a command, and what it loaded of these."""
    script = SCRIPT % ((*HEAVY, *also),)
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(list(map(str, words)))], cwd=folder, capture_output=True, text=True
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["judge", "--help"],
        ["bench", "--help"],
        ["mix", "--help"],
        ["rubric", "--help"],
        ["train", "--help"],
        ["demo", "--help"],
        ["report", "--help"],
        ["recipes"],
        ["recipes", "sums-fixed"],
        ["rubric", "show"],
        ["rubric", "show", "maths"],
        ["rubric", "diff", "general", "maths"],
    ],
)
def test_a_command_that_only_says_something_loads_none_of_it(tmp_path, words):
    assert loaded(*words, folder=tmp_path, also=("matplotlib", "openai", "sympy", "pyarrow")) == [0, []]


def test_a_mixture_is_planned_without_it(tmp_path):
    (tmp_path / "en.txt").write_text("one\ntwo\nthree\n")
    (tmp_path / "sw.txt").write_text("moja\n")
    assert loaded("mix", "en.txt", "sw.txt", "--steps", 10, folder=tmp_path) == [0, []]
    assert (tmp_path / "mix.png").is_file()


@pytest.fixture
def served(serve):
    """A server that scores whatever criteria it is asked for."""

    def answer(number, body):
        texts = dict(re.findall(r"^=+ beginning of ([^\n]+)\n(.*?)\n=+ end of \1$", body["messages"][-1]["content"], re.S | re.M))
        one = {
            "name": "truth",
            "tier": "core",
            "reason": "r",
            "quote_1": "",
            "quote_2": "",
            "score": 2 if "right" in texts["answer 1"] else -2,
        }
        return json.dumps({"differences": [], "criteria": [one]})

    return serve(answer)


def test_a_judge_with_checks_of_every_sort_needs_none_of_it(tmp_path, served):
    row = {
        "id": "p", "prompt": "2+2?", "a": "it is right: \\boxed{\\frac{8}{2}}", "b": "wrong, \\boxed{4}", "label": "a", "answer": "4",
        "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}], "language": "en",
    }  # fmt: skip
    (tmp_path / "pairs.jsonl").write_text(
        json.dumps(row) + "\n" + json.dumps({**row, "id": "q", "b": "wrong: \\boxed{4.0}"}) + "\n"
    )
    guards = [word for kind in ("maths", "words:at_most=9", "ifeval", "json-schema") for word in ("--guard", kind)]
    words = ["judge", "pairs.jsonl", "--base-url", served.url, "--model", "m", *guards, "--out", "v.jsonl", "--html", "v.html"]
    assert loaded(*words, "--cache", "c.sqlite", folder=tmp_path, also=("matplotlib", "pyarrow")) == [0, []]
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert {verdict["id"]: (verdict["winner"], verdict["decided_by"]) for verdict in verdicts} == {
        "p": ("a", "checks"),
        "q": ("a", "criteria"),
    }
    assert loaded("rubric", "stats", "v.jsonl", folder=tmp_path, also=("matplotlib", "openai", "sympy")) == [0, []]


def test_a_benchmark_of_a_judge_needs_none_of_it(tmp_path, served):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"input": "q", "output_1": "right", "output_2": "wrong", "label": 1}) + "\n")
    words = ["bench", "llmbar", "--data", "rows.jsonl", "--base-url", served.url, "--model", "m"]
    assert loaded(*words, folder=tmp_path, also=("matplotlib", "sympy", "pyarrow")) == [0, []]
    assert json.loads((tmp_path / "bench-llmbar" / "result.json").read_text())["pairs"] == 1


def test_the_libraries_are_here_to_be_loaded():
    """Else the tests above could not fail."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    code = f"import sys, steelyard.training.trainer; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
    assert {"torch", "trl", "transformers", "accelerate", "datasets"} <= set(re.findall(r"\w+", found.splitlines()[-1]))
