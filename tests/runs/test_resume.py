"""A run goes on with other settings where they give the same numbers, and with no others."""

import copy
import json

import pytest

from steelyard.errors import InputError
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs._resume import read_resolved
from steelyard.training import train


def changed(content, **changes):
    content = copy.deepcopy(content)
    for key, value in changes.items():
        part, _, name = key.partition("__")
        content.setdefault(part, {})
        if name:
            content[part][name] = value
        else:
            content[part] = value
    return content


def numbers(path):
    """What a run came to, times and the pace of validation aside."""
    log = RunLog(path)
    keys = ("step", "weights", "rewards", "loss", "grad_norm")
    steps = [{key: step[key] for key in keys} for step in log.steps()]
    return steps, {record["step"]: record["point"] for record in log.validations()}


@pytest.fixture
def fixed(tiny_recipe):
    return {**tiny_recipe, "weighting": {"method": "fixed"}}


def interrupted(content, out, *, after=3):
    """A run that was stopped after the record of an update."""
    from steelyard.runs._recorder import RunRecorder
    from steelyard.runs.supervised import SupervisedRecorder

    recorder = SupervisedRecorder if content.get("kind") == "supervised" else RunRecorder
    on_step = recorder.on_step

    def dies(self, record):
        on_step(self, record)
        if record["step"] == after:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "on_step", dies)
        with pytest.raises(KeyboardInterrupt):
            train(parse_recipe(content), out=out)


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm__micro_batch": 16},
        {"algorithm__micro_batch": 4},
        {"validation__every": 1},
        {"checkpoint__every": 3},
        {"checkpoint__front": False},
    ],
)
def test_what_changes_no_number_is_no_other_run(fixed, tmp_path, changes):
    train(parse_recipe(fixed), out=tmp_path / "whole")
    interrupted(fixed, tmp_path / "run")
    train(parse_recipe(changed(fixed, **changes)), out=tmp_path / "run", resume=True)
    (steps, points), (expected, expected_points) = numbers(tmp_path / "run"), numbers(tmp_path / "whole")
    for found, step in zip(steps, expected, strict=True):
        assert found["rewards"] == step["rewards"]
        assert found["grad_norm"] == pytest.approx(step["grad_norm"], rel=1e-4)
    if "validation__every" in changes:
        assert sorted(points) == [0, 2, 3, 4]
    for step in expected_points.keys() & points.keys():
        assert points[step] == expected_points[step]
    # The folder's recipe is the one that it went on with, and goes on with again.
    assert read_resolved(tmp_path / "run") == parse_recipe(changed(fixed, **changes))
    train(parse_recipe(changed(fixed, **changes)), out=tmp_path / "run", resume=True)


def test_more_steps_go_on_as_the_longer_run_would_have_gone(fixed, tmp_path):
    longer = changed(fixed, algorithm__steps=6)
    train(parse_recipe(longer), out=tmp_path / "whole")
    train(parse_recipe(fixed), out=tmp_path / "run")
    result = train(parse_recipe(longer), out=tmp_path / "run", resume=True)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")
    assert [point["step"] for point in result.front if "last" in point["names"]] == [6]
    with pytest.raises(InputError, match=r"algorithm.steps was 6 and is 4"):
        train(parse_recipe(fixed), out=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ({}, {"seed": 1}, "seed was 0 and is 1"),
        ({}, {"algorithm__learning_rate": 1e-2}, "algorithm.learning_rate was 0.001 and is 0.01"),
        ({}, {"algorithm__prompts_per_step": 2}, "algorithm.prompts_per_step was 4 and is 2"),
        ({"algorithm__schedule": "linear"}, {"algorithm__steps": 6}, "algorithm.steps was 4 and is 6"),
        ({"weighting": {"method": "normalized-influence"}}, {"algorithm__steps": 6}, "algorithm.steps was 4 and is 6"),
        ({"weighting": {"method": "hypervolume"}}, {"validation__every": 1}, "validation.every was 2 and is 1"),
        ({"weighting": {"method": "fixed"}}, {"weighting": {"method": "gdpo"}}, "weighting.method was 'fixed' and is 'gdpo'"),
        ({}, {"validation__batch": 4}, "validation.batch was 256 and is 4"),
    ],
)
def test_what_changes_numbers_is_refused_with_both_values(fixed, tmp_path, content, changes, message):
    first = changed(fixed, **content)
    interrupted(first, tmp_path / "run")
    with pytest.raises(InputError) as error:
        train(parse_recipe(changed(first, **changes)), out=tmp_path / "run", resume=True)
    assert message in str(error.value)
    assert read_resolved(tmp_path / "run") == parse_recipe(first)


def test_a_supervised_run_takes_more_or_less_into_memory_and_measures_more_often(jsonl, tmp_path):
    rows = [{"text": f"word {i % 7} of page {i}", "domain": "en" if i < 60 else "sw"} for i in range(80)]
    content = {
        "name": "tiny",
        "kind": "supervised",
        "model": {"scratch": {"width": 16, "layers": 1, "heads": 2, "context": 32}},
        "data": {"source": str(jsonl(rows)), "held_out": {"share": 0.1, "least": 2}},
        "training": {"steps": 6, "batch_size": 6, "max_tokens": 16},
        "validation": {"every": 3},
        "checkpoint": {"every": 3},
    }
    train(parse_recipe(content), out=tmp_path / "whole")
    interrupted(content, tmp_path / "run", after=4)
    other = changed(content, training__micro_batch=2, validation__every=1, validation__batch=4)
    train(parse_recipe(other), out=tmp_path / "run", resume=True)
    whole, run = RunLog(tmp_path / "whole"), RunLog(tmp_path / "run")
    assert [step["draws"] for step in run.steps()] == [step["draws"] for step in whole.steps()]
    assert [v["step"] for v in run.validations()] == [0, 3, 4, 5, 6]
    assert run.validations()[-1]["loss"] == pytest.approx(whole.validations()[-1]["loss"], rel=1e-4)
    assert json.loads((tmp_path / "run" / "data.json").read_text()) == json.loads((tmp_path / "whole" / "data.json").read_text())
