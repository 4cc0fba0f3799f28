"""Policies between the policies of several runs: what is interpolated, measured, kept and refused."""

import json

import pytest
import torch

from steelyard.errors import InputError
from steelyard.models.loading import load_policy
from steelyard.pareto import simplex_lattice
from steelyard.recipes.loading import parse_recipe
from steelyard.report import write_report
from steelyard.runlog import RunLog
from steelyard.runs.progress import QuietProgress
from steelyard.runs.soup import make_soup
from steelyard.training import train


def trained(recipe, folder, **changes):
    recipe = {**recipe, **changes, "algorithm": {**recipe["algorithm"], "learning_rate": 0.05}}
    return train(parse_recipe(recipe), out=folder, progress=QuietProgress()).path


def test_mixtures_lie_on_a_lattice():
    for size, points in ((2, 5), (3, 3), (4, 4)):
        mixtures = list(simplex_lattice(size, points))
        assert len(set(mixtures)) == len(mixtures)
        assert all(sum(weights) == pytest.approx(1) for weights in mixtures)
        for i in range(size):
            assert tuple(float(j == i) for j in range(size)) in mixtures


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_policies_are_interpolated_measured_kept_and_drawn(tiny_recipe, tmp_path, command, lora):
    tiny_recipe["model"] = {"name": "sums", "lora": lora}
    one = trained(tiny_recipe, tmp_path / "one", weighting={"method": "fixed", "weights": [0.8, 0.1, 0.1]})
    other = trained(tiny_recipe, tmp_path / "other", weighting={"method": "fixed", "weights": [0.1, 0.1, 0.8]}, seed=5)
    code, out, _ = command("soup", str(one), str(other), "--points", 3, "--out", str(tmp_path / "soup"))
    assert code == 0
    assert "hypervolume" in out
    log = RunLog(tmp_path / "soup")
    points = log.validations()
    assert json.loads((log.path / "soup.json").read_text())["mixtures"] == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    # The ends are the runs' own last policies, measured on the same prompts with the same random numbers.
    assert points[0]["point"] == RunLog(one).validations()[-1]["point"]
    assert points[2]["point"] == RunLog(other).validations()[-1]["point"]
    kept = {int(entry.name.partition("-")[2]) for entry in log.front.glob("step-*")}
    assert 2 in kept
    assert {policy["step"] for policy in log.pareto()["test"]["policies"]} == kept
    page = write_report([one, other, log.path], out=tmp_path / "compare.html").read_text()
    assert "soup" in page


def test_half_and_half_is_half_of_each_parameter(tiny_recipe, tmp_path):
    one = trained(tiny_recipe, tmp_path / "one")
    other = trained(tiny_recipe, tmp_path / "other", seed=5)
    tiny_recipe["checkpoint"] = {"every": 1, "front": True}
    make_soup([one, other], out=tmp_path / "soup", points=2)
    half = make_soup([one, other, one, other], out=tmp_path / "more", points=2)
    assert len(RunLog(half.path).validations()) == 4
    mixed = make_soup([one, other], out=tmp_path / "three", points=3)
    kept = RunLog(mixed.path).front / "step-000001"
    if kept.is_dir():
        found, _ = load_policy(str(kept))
        parts = [load_policy(str(RunLog(run).last_checkpoint()))[0].state_dict() for run in (one, other)]
        for name, value in found.state_dict().items():
            assert torch.allclose(value, (parts[0][name] + parts[1][name]) / 2, atol=1e-6)


def test_what_cannot_be_mixed_is_refused(tiny_recipe, tmp_path):
    one = trained(tiny_recipe, tmp_path / "one")
    other = trained({**tiny_recipe, "prompts": {**tiny_recipe["prompts"], "validation": {"size": 4}}}, tmp_path / "other")

    def refused(said, *runs, **options):
        with pytest.raises(InputError, match=said):
            make_soup([str(run) for run in runs], out=tmp_path / "soup", **options)
        assert not (tmp_path / "soup").exists()

    refused("two runs at least", one)
    refused("two points at least", one, one, points=1)
    refused("make 1001 mixtures, and 200 are the most", *[one] * 5, points=11)
    refused("is no run folder", one, tmp_path / "nowhere")
    refused("have different prompts", one, other)
    refused("has kept no policy of update 99", one, f"{one}@99")
    refused("after the @ stands the number", one, f"{one}@last")
