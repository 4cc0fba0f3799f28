"""Damage is seen: what goes on goes on from a whole checkpoint, and nothing outside the run's folder is touched."""

import json
import os
import shutil

import pytest
import torch
from test_run import assert_same, run, state_of

from steelyard.errors import DiskFullError, InputError, RunError
from steelyard.files import damage_of, disk_full_is_clear
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs.life import opened


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of six updates, made once, with checkpoints at four and six."""
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def whole(tiny_recipe, finished):
    tiny_recipe["algorithm"]["steps"] = 6
    if not (finished / "run").is_dir():
        run(tiny_recipe, finished / "run")
    return finished / "run"


def missing(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def changed(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def later(path):
    state = json.loads(path.read_text())
    state["global_step"] -= 1
    path.write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("optimizer.pt", missing),
        ("rng_state.pth", missing),
        ("scheduler.pt", missing),
        ("trainer_state.json", later),
        ("trainer_state.json", missing),
        ("model.safetensors", changed),
        ("optimizer.pt", cut),
        ("steelyard.json", changed),
        ("manifest.json", cut),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_gone_on_from(whole, tiny_recipe, tmp_path, name, how):
    shutil.copytree(whole, tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "checkpoint-6"
    assert damage_of(last) is None
    how(last / name)
    with pytest.warns(UserWarning, match=rf"checkpoint-6 is damaged \({name} .*the run goes on from checkpoint-4"):
        found = RunLog(tmp_path / "run").last_checkpoint()
    assert found.name == "checkpoint-4"


def test_a_run_that_goes_on_from_the_checkpoint_before_ends_bit_for_bit_the_same(whole, tiny_recipe, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    missing(tmp_path / "run" / "checkpoints" / "checkpoint-6" / "optimizer.pt")
    with pytest.warns(UserWarning, match="the run goes on from checkpoint-4"):
        run(tiny_recipe, tmp_path / "run", resume=True)
    assert_same(state_of(tmp_path / "run"), state_of(whole))


def test_where_every_checkpoint_is_damaged_nothing_is_forgotten(whole, tiny_recipe, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    for step in (4, 6):
        changed(tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" / "optimizer.pt")
    with pytest.raises(
        InputError, match=r"checkpoint-6 is damaged \(optimizer.pt has changed\).*there is no other: restore its files"
    ):
        run(tiny_recipe, tmp_path / "run", resume=True)
    assert len(RunLog(tmp_path / "run").steps()) == 6


def test_a_checkpoint_without_its_manifest_was_cut_short_and_one_of_before_is_taken(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    (folder / "checkpoint-6" / "manifest.json").unlink()
    assert RunLog(tmp_path / "run").last_checkpoint().name == "checkpoint-4"
    state = json.loads((folder / "checkpoint-6" / "steelyard.json").read_text())
    del state["sealed"]
    (folder / "checkpoint-6" / "steelyard.json").write_text(json.dumps(state))
    assert RunLog(tmp_path / "run").last_checkpoint().name == "checkpoint-6"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_disk_that_is_full_inside_torch_save_is_the_one_clear_line(tmp_path):
    with pytest.raises(DiskFullError, match="no space left on the disk"), disk_full_is_clear(tmp_path):
        torch.save({"a": torch.zeros(1_000_000)}, "/dev/full")


@pytest.mark.parametrize(
    "name",
    ["answers", "checkpoints", ".lock", "steps.jsonl", "checkpoints/front", "answers/000009.parquet", "checkpoints/checkpoint-9"],
)
def test_a_run_follows_no_link_out_of_its_folder(tiny_recipe, tmp_path, name):
    recipe, log = parse_recipe(tiny_recipe), RunLog(tmp_path / "run")
    data = {"rows": 1, "checksum": "a"}
    with opened(recipe, log, data, source="it", resume=False):
        pass
    outside = tmp_path / "outside"
    is_folder = "." not in name
    if is_folder:
        outside.mkdir()
        (outside / "000009.parquet").write_text("mine")
        (outside / "checkpoint-9").mkdir()
    else:
        outside.write_text("mine")
    place = log.path / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(outside)
    before = sorted(str(path) for path in outside.rglob("*")) if is_folder else outside.read_text()
    with (
        pytest.raises(InputError, match=r"is a link, which a run does not follow"),
        opened(recipe, log, data, source="it", resume=True),
    ):
        pass
    assert (sorted(str(path) for path in outside.rglob("*")) if is_folder else outside.read_text()) == before


@pytest.mark.parametrize("where", ["recipe.yaml", "data.json"])
def test_a_start_that_fails_while_it_writes_leaves_no_folder(tiny_recipe, tmp_path, monkeypatch, where):
    from steelyard import runlog

    write = runlog.write_atomically

    def full(path, content):
        if path.name == where:
            raise DiskFullError("no space left")
        write(path, content)

    monkeypatch.setattr(runlog, "write_atomically", full)
    with (
        pytest.raises(DiskFullError),
        opened(parse_recipe(tiny_recipe), RunLog(tmp_path / "a" / "run"), {"rows": 1}, source="it", resume=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    with (
        pytest.raises(InputError, match="exists already"),
        opened(parse_recipe(tiny_recipe), RunLog(tmp_path / "mine"), {"rows": 1}, source="it", resume=False),
    ):
        pass
    assert (tmp_path / "mine" / "notes").read_text() == "mine"


@pytest.mark.parametrize("method", ["fixed", "gradient-influence", "normalized-influence"])
@pytest.mark.parametrize("learning_rate", [1e10, 1e30])
def test_a_policy_that_diverges_ends_in_one_clear_line(tiny_recipe, tmp_path, method, learning_rate):
    tiny_recipe["weighting"] = {"method": method}
    tiny_recipe["algorithm"] |= {"learning_rate": learning_rate, "steps": 8}
    with pytest.raises(RunError, match=r"^step \d+: [^\n]*(?:not finite|norm (?:nan|inf))[^\n]*: lower the learning rate$"):
        run(tiny_recipe, tmp_path / "run")


def test_a_record_that_is_not_finite_names_what_is(tmp_path):
    log = RunLog(tmp_path / "run").create("name: run\n")
    with pytest.raises(RunError, match=r"step 3: weights.a, cosines.1 is not finite: lower the learning rate"):
        log.append_step({"step": 3, "weights": {"a": float("nan"), "b": 1.0}, "cosines": [0.0, float("inf")]})
    assert log.steps() == []
