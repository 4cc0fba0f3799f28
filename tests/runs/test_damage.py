"""Damage to a checkpoint is seen: a run goes on from the last whole one, says so, and comes to the same numbers."""

import json
import shutil

import pytest

from steelyard.errors import InputError
from steelyard.files import MANIFEST, damage_of
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs.progress import QuietProgress
from steelyard.training import train


class Told(QuietProgress):
    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def finished(tiny_policy_dir, tmp_path_factory):
    """A run with checkpoints at 2 and 4 of 6 updates, stopped after the fifth, and the same run whole."""
    from steelyard.runs._recorder import RunRecorder

    content = {
        "name": "tiny",
        "model": {"name": str(tiny_policy_dir)},
        "prompts": {"source": "sums", "size": 24, "validation": {"size": 8}, "test": {"size": 0}},
        "objectives": [{"kind": "conciseness"}, {"kind": "accuracy"}],
        "algorithm": {"steps": 6, "prompts_per_step": 4, "answers_per_prompt": 4, "max_answer_tokens": 12, "learning_rate": 1e-3},
        "weighting": {"method": "stage-aware", "momentum": 0.5},
        "validation": {"every": 2},
        "checkpoint": {"every": 2},
    }
    folder = tmp_path_factory.mktemp("runs")
    train(parse_recipe(content), out=folder / "whole")
    on_step = RunRecorder.on_step

    def dies(self, record):
        on_step(self, record)
        if record["step"] == 5:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecorder, "on_step", dies)
        with pytest.raises(KeyboardInterrupt):
            train(parse_recipe(content), out=folder / "part")
    return content, folder


def without_times(path):
    return [{k: v for k, v in step.items() if k != "seconds"} for step in RunLog(path).steps()]


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "changed": lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
}
FILES = [
    "model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "steelyard.json",
    "config.json",
]


@pytest.mark.parametrize(("name", "how"), [(name, how) for i, name in enumerate(FILES) for how in list(DAMAGE)[i % 2 :: 2]])
def test_a_run_goes_on_from_the_last_whole_checkpoint_to_the_same_numbers(finished, tmp_path, name, how):
    content, folder = finished
    shutil.copytree(folder / "part", tmp_path / "run")
    DAMAGE[how](tmp_path / "run" / "checkpoints" / "checkpoint-4" / name)
    told = Told()
    train(parse_recipe(content), out=tmp_path / "run", resume=True, progress=told)
    assert without_times(tmp_path / "run") == without_times(folder / "whole")
    said = [line for line in told.lines if "damaged" in line]
    if name == "steelyard.json" and how in ("missing", "empty"):
        assert not said  # it was never written to its end
    else:
        assert len(said) == 1
        assert said[0].startswith(f"checkpoint-4 is damaged ({name} ")
        assert said[0].endswith("going on from an earlier one")


def test_an_edited_step_is_seen(finished, tmp_path):
    content, folder = finished
    shutil.copytree(folder / "part", tmp_path / "run")
    state = tmp_path / "run" / "checkpoints" / "checkpoint-4" / "trainer_state.json"
    state.write_text(state.read_text().replace('"global_step": 4', '"global_step": 3'))
    told = Told()
    train(parse_recipe(content), out=tmp_path / "run", resume=True, progress=told)
    assert told.lines[0] == "checkpoint-4 is damaged (trainer_state.json is not what was written): going on from an earlier one"
    assert without_times(tmp_path / "run") == without_times(folder / "whole")


def test_where_no_checkpoint_is_whole_the_run_begins_anew(finished, tmp_path):
    content, folder = finished
    shutil.copytree(folder / "part", tmp_path / "run")
    for step in (2, 4):
        (tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" / "optimizer.pt").unlink()
    told = Told()
    train(parse_recipe(content), out=tmp_path / "run", resume=True, progress=told)
    assert [line.partition(" ")[0] for line in told.lines if "damaged" in line] == ["checkpoint-4", "checkpoint-2"]
    assert without_times(tmp_path / "run") == without_times(folder / "whole")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": {"a": 1}}', '{"files": [1]}'])
def test_a_damaged_list_of_files_is_damage(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    assert damage_of(tmp_path) == f"{MANIFEST} is not what was written"


def test_a_trainer_of_ones_own_refuses_a_damaged_checkpoint(finished, tmp_path):
    _, folder = finished
    shutil.copytree(folder / "part" / "checkpoints" / "checkpoint-4", tmp_path / "checkpoint-4")
    (tmp_path / "checkpoint-4" / "optimizer.pt").unlink()
    from steelyard.training._state import check_whole

    with pytest.raises(
        InputError, match=r"checkpoint-4 is damaged \(optimizer.pt is missing\): restore it, or go on from an earlier one"
    ):
        check_whole(tmp_path / "checkpoint-4")


def test_a_checkpoint_of_an_earlier_version_has_no_list_and_goes_on(finished, tmp_path):
    content, folder = finished
    shutil.copytree(folder / "part", tmp_path / "run")
    for step in (2, 4):
        (tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" / MANIFEST).unlink()
    told = Told()
    train(parse_recipe(content), out=tmp_path / "run", resume=True, progress=told)
    assert told.lines == []
    assert without_times(tmp_path / "run") == without_times(folder / "whole")
    assert json.loads((tmp_path / "run" / "checkpoints" / "checkpoint-6" / MANIFEST).read_text())["files"]
