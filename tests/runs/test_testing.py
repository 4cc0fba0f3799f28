"""The end of a run: what was kept is measured once on prompts that have chosen nothing."""

import json
import math
import statistics

import numpy as np
import pytest
from safetensors.torch import load_file

from steelyard.errors import InputError
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs._prompts import load_prompts
from steelyard.training import train


def run(content, out, **options):
    return train(parse_recipe(content), out=out, **options)


def test_the_result_quotes_the_kept_policies_as_measured_on_the_test_prompts(tiny_recipe, tmp_path):
    tiny_recipe["prompts"]["test"] = {"size": 40}
    result = run(tiny_recipe, tmp_path / "run")
    found = RunLog(result.path).pareto()
    assert result.measured_on == "test"
    assert (result.front, result.hypervolume) == (found["test"]["policies"], found["test"]["hypervolume"])
    assert found["test"]["prompts"] == 40
    kept = {int(entry.name.partition("-")[2]) for entry in RunLog(result.path).front.iterdir()}
    assert {point["step"] for point in result.front} == kept | {4}
    for point in (*result.front, *found["front"]):
        assert set(point["values"]) == set(point["standard_errors"]) == {"conciseness", "repetition", "accuracy"}
        assert (result.path / point["checkpoint"] / "model.safetensors").is_file()
    assert ["last" in point["names"] for point in result.front] == [point["step"] == 4 for point in result.front]
    for record in RunLog(result.path).validations():
        assert record["standard_errors"]["conciseness"] > 0
    assert json.loads((result.path / "data.json").read_text())["test"]["rows"] == 40


@pytest.fixture
def trade_off(tiny_recipe, tmp_path):
    """A recipe whose two objectives are at odds, with steps so large that its policies differ; all its points are kept."""
    (tmp_path / "mine.py").write_text(
        "def digits(completions, **columns):\n    return [sum(map(str.isdigit, text)) / 12 for text in completions]\n"
        "def others(completions, **columns):\n    return [sum(not c.isdigit() for c in text) / 12 for text in completions]\n"
    )
    tiny_recipe["objectives"] = [{"function": f"mine.py:{name}", "bounds": [0, 1]} for name in ("digits", "others")]
    tiny_recipe["weighting"] = {"method": "fixed", "weights": [1.0, 0.0]}
    tiny_recipe["algorithm"]["learning_rate"] = 0.05
    tiny_recipe["prompts"] |= {"test": {"size": 32}, "validation": {"size": 64}}
    return tiny_recipe


@pytest.mark.parametrize("adapters", [False, True])
def test_a_kept_policy_is_measured_with_its_own_weights(trade_off, tmp_path, adapters):
    """Each is what a run that starts from it measures first."""
    if adapters:
        trade_off["model"]["lora"] = {"rank": 2}
    result = run(trade_off, tmp_path / "run", base=tmp_path)
    assert len({tuple(point["values"].values()) for point in result.front}) == len(result.front) > 1
    if adapters:
        assert (result.path / result.front[0]["checkpoint"] / "adapter_model.safetensors").is_file()
        return
    for number, point in enumerate(result.front):
        again = {**trade_off, "model": {"name": str(result.path / point["checkpoint"])}}
        again["algorithm"] = {**trade_off["algorithm"], "steps": 1, "learning_rate": 1e-12}
        other = run(again, tmp_path / f"again-{number}", base=tmp_path)
        assert other.front[-1]["values"] == point["values"]


def test_a_test_is_made_once_and_made_up_for_where_a_run_was_killed_before_it(tiny_recipe, tmp_path, monkeypatch):
    from steelyard.runs._recorder import RunRecorder

    whole = run(tiny_recipe, tmp_path / "whole")
    test = RunRecorder.test

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunRecorder, "test", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_recipe, tmp_path / "run")
    assert RunLog(tmp_path / "run").pareto()["test"] is None
    monkeypatch.setattr(RunRecorder, "test", test)
    resumed = run(tiny_recipe, tmp_path / "run", resume=True)
    assert resumed.front == whole.front
    monkeypatch.setattr(RunRecorder, "test", killed)
    assert run(tiny_recipe, tmp_path / "run", resume=True).front == whole.front


def test_without_kept_policies_the_last_one_is_tested(tiny_recipe, tmp_path):
    result = run({**tiny_recipe, "checkpoint": {"every": 4, "front": False}}, tmp_path / "run")
    assert [point["step"] for point in result.front] == [4]
    weights = load_file(result.path / result.front[0]["checkpoint"] / "model.safetensors")
    assert weights


def test_without_test_prompts_the_result_says_what_it_quotes(tiny_recipe, tmp_path):
    tiny_recipe["prompts"]["test"] = {"size": 0}
    result = run(tiny_recipe, tmp_path / "run")
    found = RunLog(result.path).pareto()
    assert (result.measured_on, result.front, result.hypervolume) == ("validation", found["front"], found["hypervolume"])
    assert found["test"] is None


# Where test prompts come from ----------------------------------------------------------------------------------------------------------


ROWS = [{"prompt": f"{i}+1=", "answer": str(i + 1)} for i in range(20)]


def config(source, **settings):
    prompts = {"source": str(source), "validation": {"size": 4}, **settings}
    base = {"name": "x", "model": {"name": "sums"}, "algorithm": {"steps": 1}, "weighting": {"method": "fixed"}}
    return parse_recipe({**base, "objectives": [{"kind": "accuracy"}, {"kind": "repetition"}], "prompts": prompts}).prompts


def texts(rows):
    return [row["prompt"] for row in rows]


def test_prompts_for_validation_and_for_the_test_are_held_out_of_one_file(jsonl):
    found = load_prompts(config(jsonl(ROWS), test={"size": 3}))
    assert [len(side) for side in (found.train, found.validation, found.test)] == [13, 4, 3]
    assert texts(found.train) == texts(found.raw)
    assert sorted(texts([*found.train, *found.validation, *found.test])) == sorted(texts(ROWS))
    without = load_prompts(config(jsonl(ROWS)))
    assert without.test == []
    # The test takes its prompts from those that would be trained on, and leaves validation as it is.
    assert without.validation == found.validation


def test_one_source_for_validation_and_test_gives_each_rows_of_its_own(jsonl):
    train, other = jsonl(ROWS[:10], "train.jsonl"), jsonl(ROWS[10:], "test.jsonl")
    found = load_prompts(config(train, validation={"source": str(other), "size": 4}, test={"source": str(other), "size": 100}))
    assert (texts(found.validation), texts(found.test)) == (texts(ROWS[10:14]), texts(ROWS[14:]))


def test_generated_sums_have_as_many_for_the_test_as_for_validation_and_share_none():
    found = load_prompts(config("sums", validation={"size": 300}))
    assert len(found.test) == 300
    sets = [set(texts(rows)) for rows in (found.train, found.validation, found.test)]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert len(load_prompts(config("sums", validation={"size": 6_500})).test) == 500


def test_too_many_test_prompts_are_refused(jsonl):
    with pytest.raises(
        InputError, match=r"prompts.test.size: 16 prompts are to be held out, but .* has only 16 that differ beside those"
    ):
        load_prompts(config(jsonl(ROWS), test={"size": 16}))
    with pytest.raises(InputError, match=r"sums: 7,000 prompts can be held out, but 4 for validation and 7000 for the test"):
        load_prompts(config("sums", test={"size": 7000}))
    with pytest.raises(
        InputError, match=r"prompts.test.source: generated sums have held-out prompts of their own, but found 'x.jsonl'"
    ):
        load_prompts(config("sums", test={"source": "x.jsonl"}))


def test_test_prompts_that_were_trained_on_or_validated_on_are_refused(jsonl):
    train, held_out = jsonl(ROWS[:10], "train.jsonl"), jsonl(ROWS[10:14], "held.jsonl")
    for repeated, other in ((ROWS[3], "training"), (ROWS[11], "validation")):
        test = jsonl([*ROWS[14:], repeated], "test.jsonl")
        with pytest.raises(InputError, match=f"1 of 7 test prompts are also {other} prompts"):
            load_prompts(config(train, validation={"source": str(held_out), "size": 4}, test={"source": str(test)}))


# Why ------------------------------------------------------------------------------------------------------------------------------------


def test_what_is_quoted_of_an_unchanging_policy_does_not_grow_with_the_number_of_validations():
    """The winner's curse, in arithmetic: 512 prompts, one policy, many validations."""
    from steelyard.pareto import ParetoArchive, hypervolume

    truth, spread = np.array([0.55, 0.5, 0.5]), np.array([0.5, 0.35, 0.35])
    scale = dict(reference=[0.0] * 3, maximize=[True] * 3)
    on_validation, on_test = {6: [], 60: []}, {6: [], 60: []}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        points = truth + spread / math.sqrt(512) * rng.standard_normal((60, 3))
        for count in (6, 60):
            archive = ParetoArchive(**scale)
            for point in points[:count]:
                archive.add(point.tolist(), (spread / math.sqrt(512)).tolist())
            on_validation[count].append(archive.hypervolume)
            kept = len(archive.front_beyond_noise())
            fresh = truth + spread / math.sqrt(512) * rng.standard_normal((kept, 3))
            on_test[count].append(hypervolume(fresh.tolist(), **scale))
    true = float(truth.prod())
    validation_6, validation_60 = (statistics.mean(on_validation[n]) / true - 1 for n in (6, 60))
    test_6, test_60 = (statistics.mean(on_test[n]) / true - 1 for n in (6, 60))
    assert 0.05 < validation_6 < validation_60 > 0.15
    # A little is left: the best of one or two.
    assert abs(test_6) < 0.02
    assert abs(test_60) < 0.03
