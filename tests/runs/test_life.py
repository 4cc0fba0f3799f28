"""One life for runs of every kind: what a mistake leaves, what may be gone on with, and what is written whole."""

import json

import pytest

from steelyard.errors import InputError, RunError
from steelyard.files import saved_whole
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs.life import Run, carry_through, opened
from steelyard.runs.progress import QuietProgress

DATA = {"rows": 3, "checksum": "aa"}


@pytest.fixture
def recipe(tiny_recipe):
    return parse_recipe(tiny_recipe)


def begin(recipe, path, *, data=DATA, resume=False):
    return opened(recipe, RunLog(path), data, source="rows.jsonl", resume=resume)


def test_a_mistake_before_anything_is_learned_leaves_nothing_at_all(recipe, tmp_path):
    with pytest.raises(InputError, match="no such model"), begin(recipe, tmp_path / "runs" / "deep" / "run"):
        raise InputError("no such model")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "other").mkdir()
    with pytest.raises(InputError), begin(recipe, tmp_path / "runs" / "run"):
        raise InputError("no such model")
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["other"]


def learn(log, what):
    if what == "validation":
        log.append_validation({"step": 0, "point": {}})
    elif what == "step":
        log.append_step({"step": 1})
    elif what == "answers":
        log.write_answers(1, {"prompt": ["p"]})
    else:
        with saved_whole(log.checkpoints / what) as unfinished:
            (unfinished / "model").write_text("1")


@pytest.mark.parametrize("what", ["validation", "step", "answers", "supervised", "front/step-000000"])
def test_a_mistake_after_something_was_learned_keeps_it(recipe, tmp_path, what):
    def fail():
        with begin(recipe, tmp_path / "run") as start:
            learn(start.log, what)
            raise InputError("below its floor")

    with pytest.raises(InputError, match="below its floor"):
        fail()
    assert (tmp_path / "run" / "recipe.yaml").is_file()


def test_a_run_that_fails_or_is_stopped_keeps_its_folder_and_goes_on(recipe, tmp_path):
    for stop in (RunError("a reward failed"), KeyboardInterrupt()):
        path = tmp_path / type(stop).__name__
        with pytest.raises(type(stop)), begin(recipe, path):
            raise stop
        with begin(recipe, path, resume=True) as start:
            assert (start.step, start.checkpoint) == (0, None)


def test_a_run_goes_on_with_its_own_data_and_recipe_alone(tiny_recipe, recipe, tmp_path):
    with begin(recipe, tmp_path / "run"):
        pass
    with pytest.raises(InputError, match=r"rows.jsonl: the run began on 3 rows \(checksum aa\), and now there are 4 \(bb\)"):
        begin(recipe, tmp_path / "run", data={"rows": 4, "checksum": "bb"}, resume=True).__enter__()
    other = parse_recipe({**tiny_recipe, "seed": 1})
    with pytest.raises(InputError, match=r"was started with another recipe \(seed was"):
        begin(other, tmp_path / "run", resume=True).__enter__()
    with pytest.raises(InputError, match="exists already"):
        begin(recipe, tmp_path / "run").__enter__()


def test_a_run_starts_after_its_last_whole_checkpoint_and_forgets_the_rest(recipe, tmp_path):
    with begin(recipe, tmp_path / "run") as start:
        for step in range(1, 6):
            start.log.append_step({"step": step})
        for step, whole in ((2, True), (4, False)):
            folder = start.log.checkpoints / f"checkpoint-{step}"
            folder.mkdir()
            if whole:
                (folder / "steelyard.json").write_text("{}")
    with begin(recipe, tmp_path / "run", resume=True) as start:
        assert (start.step, start.checkpoint.name) == (2, "checkpoint-2")
        assert [step["step"] for step in start.log.steps()] == [1, 2]
        assert not (start.log.checkpoints / "checkpoint-4").exists()


def test_nobody_else_writes_into_the_folder_meanwhile(recipe, tmp_path):
    with begin(recipe, tmp_path / "run"), pytest.raises(InputError, match="another process is training in"):
        begin(recipe, tmp_path / "run", resume=True).__enter__()


def test_what_is_saved_is_never_half_there(tmp_path):
    place = tmp_path / "model"
    with saved_whole(place) as unfinished:
        (unfinished / "weights").write_text("old")

    def fail():
        with saved_whole(place) as unfinished:
            (unfinished / "weights").write_text("ne")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert (place / "weights").read_text() == "old"
    # What a killed process left is no part of the next one.
    (tmp_path / ".unfinished-model" / "more").write_text("?")
    with saved_whole(place) as unfinished:
        (unfinished / "weights").write_text("new")
    assert {entry.name: entry.read_text() for entry in place.iterdir()} == {"weights": "new"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


class Counter:
    """A third kind of trainer: it counts."""

    def __init__(self, start):
        self.log, self.at, self.validated_at = start.log, 0, None

    def evaluate(self):
        self.validated_at = self.at
        self.log.append_validation({"step": self.at})

    def restore(self, checkpoint):
        self.at = self.validated_at = json.loads((self.log.path / checkpoint / "steelyard.json").read_text())

    def train(self, resume_from_checkpoint=None):
        if resume_from_checkpoint:
            self.restore(resume_from_checkpoint)
        while self.at < 4:
            self.at += 1
            self.log.append_step({"step": self.at})
            if self.at == 2 and not resume_from_checkpoint:
                folder = self.log.checkpoints / "checkpoint-2"
                folder.mkdir()
                (folder / "steelyard.json").write_text("2")
                raise KeyboardInterrupt


class CountingRun(Run):
    """All that a third kind of run needs."""

    data, source, steps = DATA, "numbers", 4

    def __init__(self, recipe):
        self.recipe = recipe

    def trainer(self, start, progress):
        return Counter(start)

    def shown(self, trainer):
        return ["number"]

    def finish(self, start, trainer):
        (start.log.path / "done").write_text("yes")

    def result(self, log, seconds):
        return [step["step"] for step in log.steps()], [point["step"] for point in log.validations()]


def test_a_third_kind_of_run_costs_its_trainer_alone(recipe, tmp_path):
    log = RunLog(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        carry_through(CountingRun(recipe), log, resume=False, progress=QuietProgress())
    assert not (log.path / "done").exists()
    for _ in range(2):
        found = carry_through(CountingRun(recipe), log, resume=True, progress=QuietProgress())
        assert found == ([1, 2, 3, 4], [0, 4])
    assert (log.path / "done").is_file()
