"""Probes: measured at every validation, never rewarded, and named where they fall while objectives rise."""

import re
import warnings

import pytest

from steelyard.errors import InputError
from steelyard.objectives import Objective
from steelyard.recipes.loading import parse_recipe
from steelyard.report import write_report
from steelyard.rubric import ProgrammaticJudge
from steelyard.runlog import RunLog
from steelyard.runs.progress import QuietProgress
from steelyard.training import train
from steelyard.training._probes import Probes


def right(prompt, answer):
    numbers = re.findall(r"[0-9]+", answer)
    return float(bool(numbers) and int(numbers[-1]) == sum(map(int, re.findall(r"[0-9]+", prompt)[:3])))


def probed(recipe, *probes):
    return parse_recipe({**recipe, "probes": list(probes)})


def test_a_probe_is_measured_at_every_validation_and_never_rewarded(tiny_recipe, tmp_path):
    plain = train(parse_recipe(tiny_recipe), out=tmp_path / "plain", progress=QuietProgress())
    recipe = probed(tiny_recipe, {"kind": "conciseness", "name": "tokens"}, {"kind": "markup"})
    result = train(recipe, out=tmp_path / "run", progress=QuietProgress())
    before, after = (RunLog(run.path).validations() for run in (plain, result))
    for one, other in zip(before, after, strict=True):
        assert one["point"] == other["point"]
        assert other["probes"]["tokens"] == other["point"]["conciseness"]
        assert other["probe_errors"]["tokens"] == other["standard_errors"]["conciseness"]
        assert set(other["probes"]) == {"tokens", "markup"}
    assert "probes" not in before[0]
    rows = RunLog(result.path).answers(step=1)
    assert not any("tokens" in key or "markup" in key for key in rows[0])
    assert "Probes over updates" in write_report([result.path]).read_text()
    assert "Probes over updates" not in write_report([plain.path]).read_text()


def test_a_run_with_probes_goes_on_with_them(tiny_recipe, tmp_path):
    recipe = probed(tiny_recipe, {"kind": "conciseness", "name": "tokens"})
    whole = train(recipe, out=tmp_path / "whole", progress=QuietProgress())
    short = probed(
        {**tiny_recipe, "algorithm": {**tiny_recipe["algorithm"], "steps": 2}}, {"kind": "conciseness", "name": "tokens"}
    )
    train(short, out=tmp_path / "cut", progress=QuietProgress())
    train(recipe, out=tmp_path / "cut", resume=True, progress=QuietProgress())
    assert [v["probes"] for v in RunLog(whole.path).validations()] == [
        v["probes"] for v in RunLog(tmp_path / "cut").validations()
    ]
    with pytest.raises(InputError, match="probes"):
        train(parse_recipe(tiny_recipe), out=tmp_path / "cut", resume=True, progress=QuietProgress())


def test_a_probe_may_not_be_a_reward(tiny_recipe, tmp_path):
    recipe = probed(tiny_recipe, {"kind": "accuracy"})
    with pytest.raises(InputError, match="probe 'accuracy' has the name of an objective, but a probe is never a reward"):
        train(recipe, out=tmp_path / "run", progress=QuietProgress())


@pytest.mark.parametrize(
    ("objective", "probe", "named"),
    [
        ((0.9, 0.02), (0.5, 0.02), 1),  # up and down
        ((0.9, 0.02), (0.59, 0.02), 0),  # down, within the noise
        ((0.51, 0.02), (0.3, 0.02), 0),  # no objective is better: both fall
        ((0.9, 0.02), (0.8, 0.02), 0),  # both rise
    ],
)
def test_a_probe_is_named_where_it_falls_and_an_objective_rises(objective, probe, named):
    probes = Probes([Objective("right", len)], [Objective("pleasing", len)])
    probes.watch(0, {"pleasing": (0.5, 0.02)}, {"right": (0.6, 0.02)})
    again = Probes([Objective("right", len)], [Objective("pleasing", len)])
    again.load_state_dict(probes.state_dict())
    assert len(again.alarms(10, {"pleasing": objective}, {"right": probe})) == named
    # Once is enough.
    assert again.alarms(20, {"pleasing": objective}, {"right": probe}) == []


def test_a_probe_that_should_be_small_falls_when_it_grows():
    probes = Probes([Objective("tokens", len, goal="minimize")], [Objective("pleasing", len)])
    probes.watch(0, {"pleasing": (0.5, 0.02)}, {"tokens": (30.0, 1.0)})
    assert probes.alarms(5, {"pleasing": (0.9, 0.02)}, {"tokens": (20.0, 1.0)}) == []
    (line,) = probes.alarms(10, {"pleasing": (0.9, 0.02)}, {"tokens": (44.0, 1.0)})
    assert line == "update 10: probe 'tokens' got worse, from 30 to 44, while objective 'pleasing' got better, from 0.5 to 0.9"


WORDY = """
name: wordy
version: 1
extends: general
principles:
  - {id: brevity, tier: core, means: Says what it says in forty signs., fails: "Goes on and on, past forty signs."}
changelog: [{version: 1, date: 2026-11-27, what: First version.}]
"""


def against_a_judge_that_likes_length(folder, name, **options):
    """The embedded policy under a judge that scores right answers, and likes longer ones: tokens and rewards at the start and the end, and alarms."""
    (folder / "wordy.yaml").write_text(WORDY)
    measures = {"correctness": right, "brevity": lambda prompt, answer: -max(0, len(answer) - 40) / 8}
    with ProgrammaticJudge(measures, length=3.0) as server:
        recipe = {
            "name": name,
            "seed": 1,
            "model": {"name": "sums"},
            "prompts": {"source": "sums", "size": 256, "validation": {"size": 192}, "test": {"size": 0}},
            "objectives": [
                {"kind": "repetition"},
                {
                    **{
                        "kind": "rubric",
                        "base_url": server.url,
                        "model": "m",
                        "orders": "one",
                        "rubric": str(folder / "wordy.yaml"),
                    },
                    **{"principles": ["correctness"], "grade": "aggregate", **options},
                },
            ],
            "probes": [{"kind": "accuracy"}, {"kind": "conciseness", "name": "tokens"}],
            "algorithm": {
                "steps": 20,
                "prompts_per_step": 8,
                "answers_per_prompt": 6,
                "max_answer_tokens": 80,
                "learning_rate": 2e-4,
            },
            "weighting": {"method": "fixed", "weights": [0.01, 0.99]},
            "validation": {"every": 20, "batch": 192},
            "checkpoint": {"every": 20, "front": False},
        }
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            result = train(parse_recipe(recipe), out=folder / name, progress=QuietProgress())
    points = RunLog(result.path).validations()
    alarms = [str(one.message) for one in warned if "probe" in str(one.message)]
    return [point["probes"]["tokens"] for point in points], [point["point"]["rubric"] for point in points], alarms


@pytest.mark.slow
def test_a_policy_learns_to_please_a_judge_that_likes_length_and_a_guard_or_a_principle_stops_it(tmp_path):
    tokens, wins, alarms = against_a_judge_that_likes_length(tmp_path, "drift")
    assert tokens[-1] > tokens[0] + 8
    assert wins[-1] > 0.53
    assert any("probe 'tokens' got worse" in line and "objective 'rubric' got better" in line for line in alarms)
    grown = tokens[-1] - tokens[0]
    guarded, _, alarms = against_a_judge_that_likes_length(
        tmp_path, "guard", guards=[{"check": "characters", "options": {"at_most": 45}}]
    )
    assert guarded[-1] - guarded[0] < grown / 2
    assert not any("probe 'tokens'" in line for line in alarms)
    ruled, _, alarms = against_a_judge_that_likes_length(tmp_path, "principle", principles=["correctness", "brevity"])
    assert ruled[-1] - ruled[0] < grown / 2
    assert not any("probe 'tokens'" in line for line in alarms)


def test_a_second_judge_can_be_a_probe(tiny_recipe, tmp_path):
    measures = {"correctness": lambda prompt, answer: answer.count("1"), "economy": lambda prompt, answer: -len(answer)}
    with ProgrammaticJudge(measures, steps=(0.5, 3.0)) as server:
        judge = {"kind": "rubric", "base_url": server.url, "model": "m", "orders": "one"}
        recipe = probed(
            {
                **tiny_recipe,
                "objectives": [{"kind": "conciseness"}, judge],
                "algorithm": {**tiny_recipe["algorithm"], "learning_rate": 0.1},  # so that other answers come to be judged
            },
            {**judge, "name": "other-order", "orders": "other"},
            {**judge, "name": "maths", "rubric": "maths"},
        )
        result = train(recipe, out=tmp_path / "run", progress=QuietProgress())
        points = RunLog(result.path).validations()
        assert points[0]["probes"] == {"other-order": 0.5, "maths": 0.5}
        assert {"rubric", "other-order", "maths"} == set(points[-1]["judges"])
        again = train(recipe, out=tmp_path / "run", resume=True, progress=QuietProgress())
        assert RunLog(again.path).validations() == points
    page = write_report([result.path]).read_text()
    assert "<h2>Judging</h2>" in page
    assert '<a href="./answers.html">' in page
