import errno
import os
import subprocess

import pytest

from steelyard import files
from steelyard.errors import DiskFullError, InputError, RunError
from steelyard.files import is_disk_full, write_atomically
from steelyard.runlog import RunLog


@pytest.fixture
def log(tmp_path):
    return RunLog(tmp_path / "run").create("name: run\n")


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    RunLog(tmp_path / "empty").create("")
    with pytest.raises(InputError, match="exists already: go on with --resume"):
        RunLog(tmp_path / "empty").create("")


def test_a_line_cut_short_by_a_crash_is_ignored_and_removed_on_rewind(log):
    log.append_step({"step": 1})
    log.append_step({"step": 2})
    with (log.path / "steps.jsonl").open("ab") as file:
        file.write(b'{"step": 3, "wei')
    assert [record["step"] for record in log.steps()] == [1, 2]
    log.rewind(1)
    assert (log.path / "steps.jsonl").read_text() == '{"step": 1}\n'


def test_rewind_forgets_what_came_later(log):
    for step in (1, 2, 3):
        log.write_answers(step, {"prompt": ["p"], "advantage": [0.5]})
        log.append_validation({"step": step})
        (log.front / f"step-{step:06d}").mkdir()
        folder = log.checkpoints / f"checkpoint-{step}"
        folder.mkdir()
        if step != 3:
            (folder / "steelyard.json").write_text("{}")
    (log.front / ".unfinished-000003").mkdir()
    assert log.last_checkpoint().name == "checkpoint-2"
    log.rewind(2)
    assert log.answer_steps() == [1, 2]
    assert [record["step"] for record in log.validations()] == [1, 2]
    assert sorted(entry.name for entry in log.front.iterdir()) == ["step-000001", "step-000002"]
    assert sorted(entry.name for entry in log.checkpoints.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-2"]


def test_answers_come_back_as_written(log):
    log.write_answers(7, {"prompt": ["p", "q"], "reward/a": [1.0, None], "advantage": [0.1 + 0.2, -1.0]})
    assert log.answers(step=7)[1] == {"prompt": "q", "reward/a": None, "advantage": -1.0}
    assert log.answers()[0]["advantage"] == 0.1 + 0.2


def test_a_value_that_is_not_finite_never_reaches_the_log(log):
    with pytest.raises(RunError, match="step 1: loss is not finite: lower the learning rate"):
        log.append_step({"step": 1, "loss": float("nan")})
    assert log.steps() == []


def test_a_full_disk_is_one_clear_error_and_leaves_the_old_file(tmp_path, monkeypatch):
    place = tmp_path / "pareto.json"
    write_atomically(place, "old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(DiskFullError, match=r"no space left on the disk of .*: free some and go on with --resume"):
        write_atomically(place, "new")
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_full_disk_is_known_by_whatever_name_a_library_gives_it():
    for error in (
        OSError(errno.ENOSPC, "x"),
        RuntimeError("[enforce fail] PytorchStreamWriter failed writing file data/0"),
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ):
        outer = RuntimeError("while saving")
        outer.__cause__ = error
        assert is_disk_full(error)
        assert is_disk_full(outer)
    assert not is_disk_full(OSError(errno.EACCES, "x"))


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("making a small disk needs the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_on_a_disk_that_is_really_full_lines_stay_whole(small_disk):
    log = RunLog(small_disk / "run").create("name: run\n")
    log.append_step({"step": 1})

    def fill():
        for step in range(2, 100):
            log.append_step({"step": step, "filler": "x" * 2000})

    with pytest.raises(DiskFullError):
        fill()
    steps = [record["step"] for record in log.steps()]
    assert steps == list(range(1, len(steps) + 1))
    assert (log.path / "steps.jsonl").read_bytes().endswith(b"\n")
    with pytest.raises(DiskFullError):
        log.write_json("pareto.json", ["x" * 100_000])
    assert not os.path.exists(log.path / "pareto.json")
