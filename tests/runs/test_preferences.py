"""One policy for every trade-off: preferences in prompts, in training and afterwards."""

import json

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from steelyard.errors import InputError
from steelyard.models.loading import load_policy
from steelyard.objectives import Objective
from steelyard.recipes.loading import parse_recipe
from steelyard.report import write_report
from steelyard.report._figures import front_figure
from steelyard.report.page import read_runs
from steelyard.runlog import RunLog
from steelyard.runs.progress import QuietProgress
from steelyard.tasks.sums import sums_rows
from steelyard.training import WeightingCallback, drawn_preferences, read_preference, train, with_preference
from steelyard.weighting import Conditioned


def test_preferences_are_drawn_evenly_by_seed():
    drawn = torch.tensor(drawn_preferences(4000, 3, seed=1))
    assert torch.allclose(drawn.sum(1), torch.ones(4000))
    assert torch.allclose(drawn.mean(0), torch.full((3,), 1 / 3), atol=0.02)
    assert drawn_preferences(5, 3, seed=1) == drawn_preferences(5, 3, seed=1) != drawn_preferences(5, 3, seed=2)
    corners = torch.tensor(drawn_preferences(2000, 3, concentration=0.1, seed=1)).amax(1)
    middle = torch.tensor(drawn_preferences(2000, 3, concentration=20.0, seed=1)).amax(1)
    assert corners.mean() > drawn.amax(1).mean() > middle.mean()


def test_a_prompt_says_the_preference_in_its_words_or_its_system_message():
    row = {"prompt": [{"role": "user", "content": "2+2?"}], "answer": "4"}
    said = with_preference(row, ["right", "short"], [0.75, 0.25])
    assert said["prompt"] == [{"role": "system", "content": "Preference: right 0.75, short 0.25"}, *row["prompt"]]
    assert said["preference"] == [0.75, 0.25]
    spoken = [{"role": "system", "content": "Be kind."}, *row["prompt"]]
    assert with_preference({"prompt": spoken}, ["right"], [1.0])["prompt"][0]["content"] == "Be kind.\nPreference: right 1"
    assert row["prompt"][0]["role"] == "user"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accurate=1", "unknown objective 'accurate' (did you mean 'accuracy'"),
        ("accuracy", "a preference is written as accuracy=.7, but found 'accuracy'"),
        ("accuracy=-1", "a number from 0 on, but that of 'accuracy' is '-1'"),
        ("accuracy=0", "needs one weight above 0"),
        ("accuracy=inf", "a number from 0 on"),
    ],
)
def test_a_preference_that_is_none_is_refused(text, said):
    with pytest.raises(InputError) as refused:
        read_preference(text, ["accuracy", "short"])
    assert said in str(refused.value)


def conditioned(recipe, **options):
    return parse_recipe({**recipe, "weighting": {"method": "conditioned", "points": 3, **options}})


def test_a_run_says_preferences_weighs_by_them_and_ends_with_a_front_of_one_policy(tiny_recipe, tmp_path, command):
    recipe = conditioned(tiny_recipe, template="{{ (9 * weights[0]) | round | int }}:{{ prompt }}")
    result = train(recipe, out=tmp_path / "run", progress=QuietProgress())
    log = RunLog(result.path)
    names = [objective["name"] for objective in log.pareto()["objectives"]]
    rows = log.answers(step=1)
    for row in rows:
        assert row["prompt"][1] == ":"
        assert int(row["prompt"][0]) == round(9 * row[f"weight/{names[0]}"])
        assert sum(row[f"weight/{name}"] for name in names) == pytest.approx(1)
    assert len({row[f"weight/{names[0]}"] for row in rows}) == len({row["prompt"] for row in rows})
    points = json.loads((result.path / "pareto.json").read_text())["preferences"]
    assert len(points) == 6  # three objectives at three points
    assert dict.fromkeys(names[:1], 1.0) | dict.fromkeys(names[1:], 0.0) in [point["preference"] for point in points]
    write_report([result.path])
    legend = front_figure(read_runs([result.path])).legends[0]
    assert "run, by preference" in [text.get_text() for text in legend.get_texts()]
    code, out, _ = command("sample", str(result.path), "--prefer", f"{names[0]}=1", "--count", 2)
    assert code == 0
    assert out.count("9:") == 2
    code, _, err = command("sample", str(result.path))
    assert code == 2
    assert "give one, as in --prefer" in err


def test_a_run_with_preferences_goes_on_as_if_it_had_not_stopped(tiny_recipe, tmp_path):
    whole = train(conditioned(tiny_recipe), out=tmp_path / "whole", progress=QuietProgress())
    cut = {**tiny_recipe, "algorithm": {**tiny_recipe["algorithm"], "steps": 2}}
    train(conditioned(cut), out=tmp_path / "cut", progress=QuietProgress())
    train(conditioned(tiny_recipe), out=tmp_path / "cut", resume=True, progress=QuietProgress())
    assert [s["weights"] for s in RunLog(whole.path).steps()] == [s["weights"] for s in RunLog(tmp_path / "cut").steps()]
    assert RunLog(whole.path).pareto()["preferences"] == RunLog(tmp_path / "cut").pareto()["preferences"]


def test_a_run_without_preferences_is_sampled_as_it_is(tiny_recipe, tmp_path, command):
    result = train(parse_recipe(tiny_recipe), out=tmp_path / "run", progress=QuietProgress())
    code, out, _ = command("sample", str(result.path), "17+25+38=")
    assert code == 0
    assert out.startswith("17+25+38=")
    code, _, err = command("sample", str(result.path), "--prefer", "accuracy=1")
    assert code == 2
    assert "trained without preferences" in err


def test_a_plain_trainer_takes_the_preferences_of_its_rows(tmp_path):
    def ones(completions, **columns):
        return [float(answer.count("1")) for answer in completions]

    def short(completions, **columns):
        return [-float(len(answer)) for answer in completions]

    rows = [with_preference(row, ["ones", "short"], [i % 2, 1 - i % 2], None) for i, row in enumerate(sums_rows(16, 4)[0])]
    model, tokenizer = load_policy("sums")
    args = GRPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, scale_rewards="none",
        per_device_train_batch_size=8, num_generations=4, max_completion_length=8, max_steps=1, learning_rate=1e-3, seed=3,
    )  # fmt: skip
    trainer = GRPOTrainer(model, [ones, short], args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    weighting = Conditioned()
    trainer.add_callback(WeightingCallback(trainer, weighting))
    trainer.train()
    assert sorted(map(tuple, weighting.weights().tolist())) in (
        [(0.0, 1.0)] * 8,
        [(0.0, 1.0)] * 4 + [(1.0, 0.0)] * 4,
        [(1.0, 0.0)] * 8,
    )
    bare = GRPOTrainer(
        load_policy("sums")[0],
        [ones, short],
        args=args,
        train_dataset=Dataset.from_list(sums_rows(16, 4)[0]),
        processing_class=tokenizer,
    )
    bare.add_callback(WeightingCallback(bare, Conditioned()))
    with pytest.raises(InputError, match="needs a column 'preference' with 2 weights in every row"):
        bare.train()


def test_many_objectives_take_few_points():
    objectives = [Objective(name, len) for name in "abcdef"]
    Conditioned(points=3).setup(objectives)
    with pytest.raises(InputError, match="6 objectives at 5 points are 126 preferences to measure, and 100 are the most"):
        Conditioned(points=5).setup(objectives)
