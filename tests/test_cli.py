"""What a user types and sees: one line and the right exit code for every mistake, help with an example for every command."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from steelyard.cli import root as cli


def steelyard(monkeypatch, capsys, *words):
    """Run the command line in this process; returns (exit code, standard output, standard error)."""
    monkeypatch.setattr(sys, "argv", ["steelyard", *map(str, words)])
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def call(monkeypatch, capsys):
    return lambda *words: steelyard(monkeypatch, capsys, *words)


@pytest.mark.parametrize("command", ["train", "demo", "report", "mix", "recipes"])
def test_every_command_has_help_with_an_example(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Example: steelyard {command}" in out


def test_train_then_report(call, tiny_recipe, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe))
    code, out, err = call("train", recipe, "--out", tmp_path / "run", "--set", "algorithm.steps=2")
    assert code == 0, err
    assert "hypervolume" in out
    assert (tmp_path / "run" / "report.html").is_file()
    assert "Loading weights" not in err
    code, out, _ = call("report", tmp_path / "run", "--out", tmp_path / "page.html")
    assert code == 0
    assert (tmp_path / "page.html").is_file()


def test_the_demo_trains_both_ways_and_never_overwrites(call, tmp_path):
    for folder in ("demo", "demo-2"):
        code, out, err = call("demo", "--out", tmp_path / "demo", "--steps", "1")
        assert code == 0, err
        assert (tmp_path / folder / "report.html").is_file()
    for label in ("fixed", "gradient"):
        assert label in out
    first = [
        json.loads((tmp_path / "demo" / name / "validation.jsonl").read_text().splitlines()[0]) for name in ("fixed", "gradient")
    ]
    assert first[0]["point"] == first[1]["point"]


def bad_inputs(tiny_recipe, tmp_path, jsonl):
    """Name -> (words, a part of the one line that must come)."""

    def recipe(name, **changes):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**tiny_recipe, **changes}))
        return path

    lines = [json.dumps({"prompt": f"p{i}", "answer": "1"}) for i in range(30)]
    broken = jsonl([*lines[:20], "{oops", *lines[20:]], "broken.jsonl")
    nameless = jsonl([{"question": "q"}] * 30, "nameless.jsonl")
    empty = jsonl([], "empty.jsonl")
    same = jsonl(lines, "same.jsonl")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("x")
    repetition = {"kind": "repetition"}
    return {
        "malformed line": (recipe("a", prompts={"source": str(broken)}), "broken.jsonl:21: not a JSON object"),
        "missing column": (
            recipe("b", prompts={"source": str(nameless), "validation": {"size": 2}}),
            "no column 'prompt' (found: question)",
        ),
        "empty file": (recipe("c", prompts={"source": str(empty)}), "no rows"),
        "one objective": (recipe("d", objectives=[repetition]), "at least two"),
        "one name twice": (recipe("e", objectives=[repetition, repetition]), "two objectives are named 'repetition'"),
        "weights": (recipe("f", weighting={"method": "fixed", "weights": [0.5, 0.2, 0.2]}), "weights must sum to 1"),
        "overlap": (
            recipe("g", prompts={"source": str(same), "validation": {"source": str(same), "size": 8}}),
            "8 of 8 validation prompts are also",
        ),
        "folder": (recipe("h"), "exists already"),
        "model": (recipe("i", model={"name": "./no-model"}), "no model at './no-model'"),
        "unknown key": (recipe("j", algoritm={}), "did you mean 'algorithm'"),
        "no recipe": (tmp_path / "none.yaml", "no recipe file"),
        "reward file": (recipe("k", objectives=[repetition, {"function": "x.py:f"}]), "no file"),
    }


CASES = [
    "malformed line", "missing column", "empty file", "one objective", "one name twice", "weights", "overlap", "folder", "model",
    "unknown key", "no recipe", "reward file",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_users_mistake_is_one_line_and_exit_code_2(call, tiny_recipe, tmp_path, jsonl, case):
    recipe, message = bad_inputs(tiny_recipe, tmp_path, jsonl)[case]
    out = tmp_path / ("taken" if case == "folder" else "run")
    code, _, err = call("train", recipe, "--out", out)
    assert code == 2
    assert err.startswith("steelyard: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "run").exists()


def test_every_case_of_bad_input_is_tried(tiny_recipe, tmp_path, jsonl):
    assert sorted(bad_inputs(tiny_recipe, tmp_path, jsonl)) == sorted(CASES)


def test_a_failed_run_is_one_line_and_exit_code_1(call, tiny_recipe, tmp_path):
    (tmp_path / "bad.py").write_text("def bad(completions, **columns):\n    raise RuntimeError('two\\nlines')\n")
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({**tiny_recipe, "objectives": [{"kind": "repetition"}, {"function": "bad.py:bad"}]}))
    code, _, err = call("train", path, "--out", tmp_path / "run")
    assert code == 1
    assert err.count("\n") == 1
    assert "objective 'bad' raised RuntimeError: two lines" in err


def test_a_full_disk_is_one_line_and_exit_code_2(tiny_recipe, tmp_path):
    """On a disk that is really full, in a process of its own: training as a user meets it."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("making a small disk needs the right to mount")
    try:
        recipe = tmp_path / "r.yaml"
        recipe.write_text(yaml.safe_dump(tiny_recipe))
        command = [sys.executable, "-m", "steelyard.cli", "train", str(recipe), "--out", str(small / "run")]
        found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert found.returncode == 2, found.stderr
        assert "steelyard: no space left on the disk" in found.stderr
        assert "Traceback" not in found.stderr
        for name in ("steps.jsonl", "validation.jsonl"):
            path = small / "run" / name
            assert not path.exists() or path.read_text() == "" or path.read_text().endswith("\n")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_recipes_are_listed_and_printed(call):
    code, out, _ = call("recipes")
    assert code == 0
    assert "sums-gradient" in out
    assert yaml.safe_load(call("recipes", "sums-fixed")[1])["name"] == "sums-fixed"


def test_report_on_something_that_is_no_run(call, tmp_path):
    code, _, err = call("report", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "is no run folder" in err


def test_the_version_is_printed(call):
    from steelyard import __version__

    assert call("--version")[1] == f"steelyard {__version__}\n"


def test_names_with_brackets_reach_the_screen(call, tiny_recipe, tmp_path):
    (tmp_path / "mine.py").write_text("def f(completions, **columns):\n    return [1.0] * len(completions)\n")
    tiny_recipe["objectives"] = [{"kind": "repetition", "name": "[red]x"}, {"function": "mine.py:f", "name": "[/b]"}]
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe))
    code, out, err = call("train", path, "--out", tmp_path / "[/q]", "--set", "algorithm.steps=1")
    assert code == 0, err
    assert "[red]x" in out
    assert "[/b]" in out


def test_a_run_folder_that_cannot_be_made_is_one_line(call, tiny_recipe, tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(tiny_recipe))
    code, _, err = call("train", path, "--out", tmp_path / "file" / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot make the run folder" in err


def test_an_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupted():
        raise SystemExit(130)

    monkeypatch.setattr(cli, "app", interrupted)
    code, said, error = steelyard(monkeypatch, capsys)
    assert (code, said) == (130, "")
    assert (
        error
        == "steelyard: stopped; what was written is whole: train goes on with --resume, judge and bench with the same command\n"
    )


def test_mix_foresees_draws_warns_suggests_and_draws_a_picture(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "en.txt").write_text("a line\n" * 9000)
    (tmp_path / "data" / "sw.txt").write_text("mstari\n" * 10)
    code, out, err = call("mix", "data", "--steps", "100", "--batch-size", "10", "--max-epochs", "4")
    assert (code, err) == (0, "")
    assert "sw (10) would be seen 10.3 times by step 100, first again at step 5: lower the start temperature" in out
    assert "suggestion: cooldown:2.76,1,0.5 keeps every domain within 4 epochs" in out
    assert (tmp_path / "mix.png").stat().st_size > 5000
    code, out, err = call("mix", "data", "--steps", "100", "--batch-size", "10", "--schedule", "unimax:4")
    assert "warning" not in out
    for arguments, message in (
        (["nothing"], "no file or folder 'nothing'"),
        (["data", "--schedule", "coldown"], "did you mean 'cooldown'"),
        (["data", "--picture", "mix.pdf"], "a .png or .svg file"),
        (["data", "--picture", "no/mix.png"], "there is no folder no"),
    ):
        code, out, err = call("mix", *arguments, "--steps", "10")
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1
