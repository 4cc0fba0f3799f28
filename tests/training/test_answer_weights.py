"""Weights of each answer, in both trainers: used, logged, recorded and explained."""

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from steelyard.models.loading import load_policy
from steelyard.objectives import Objective
from steelyard.recipes.loading import parse_recipe
from steelyard.runlog import RunLog
from steelyard.runs.progress import QuietProgress
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer, WeightingCallback, train
from steelyard.weighting import FixedWeights, Weighting


class Alternating(Weighting):
    """The first objective for even prompts, the second for odd ones."""

    def on_batch(self, batch):
        prompts = torch.arange(len(batch.rewards_BK)) // batch.group_size
        self._weights_K = torch.stack([(prompts % 2 == 0).double(), (prompts % 2 == 1).double()], 1)

    def on_validation(self, point):
        pass


def ones(completions, **columns):
    return [float(answer.count("1")) for answer in completions]


def short(completions, **columns):
    return [-float(len(answer)) for answer in completions]


def arguments(folder, **options):
    return GRPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1,
        per_device_train_batch_size=8, num_generations=4, num_generations_eval=1, max_completion_length=8, max_steps=2, learning_rate=1e-3, seed=3, **options
    )  # fmt: skip


def test_a_plain_trainer_weighs_each_answer_by_its_own_weights(tmp_path):
    model, tokenizer = load_policy("sums")
    trainer = GRPOTrainer(
        model, [ones, short], args=arguments(tmp_path, eval_strategy="steps", eval_steps=1), train_dataset=Dataset.from_list(sums_rows(16, 4)[0]),
        eval_dataset=Dataset.from_list(sums_rows(16, 4)[1]), processing_class=tokenizer,
    )  # fmt: skip
    weighed = []
    generate = trainer._generate_and_score_completions

    def watched(inputs):
        output = generate(inputs)
        if trainer.model.training:
            weighed.append((output["advantages"].clone(), trainer._latest))
        return output

    trainer._generate_and_score_completions = watched
    callback = WeightingCallback(trainer, Alternating(normalize="sum"))
    score = trainer._calculate_rewards

    def noted(*args, **kwargs):
        trainer._latest = score(*args, **kwargs)
        return trainer._latest

    trainer._calculate_rewards = noted
    trainer.add_callback(callback)
    trainer.train()
    assert len(weighed) == 2
    for advantages, rewards in weighed:
        own = torch.cat([rewards[:4, 0], rewards[4:, 1]]).reshape(2, 4)
        expected = (own - own.mean(1, keepdim=True)) / (own.std(1, keepdim=True) + 1e-4)
        assert torch.allclose(advantages, expected.reshape(-1), atol=1e-3)
    logged = [entry for entry in trainer.state.log_history if "weights/ones" in entry]
    assert {entry["weights/ones"] for entry in logged} == {0.5}


def test_a_policy_trainer_does_the_same_and_equal_rows_are_plain_weights(tmp_path):
    class Rows(FixedWeights):
        def weights(self):
            weights = super().weights()
            return weights.expand(8, -1) if self.rows else weights

        rows = True

    def trained(rows):
        model, tokenizer = load_policy("sums")
        weighting = Rows([0.3, 0.7])
        weighting.rows = rows
        trainer = PolicyTrainer(
            model, objectives=[Objective("ones", ones), Objective("short", short)], args=arguments(tmp_path), weighting=weighting,
            train_dataset=Dataset.from_list(sums_rows(16, 4)[0]), processing_class=tokenizer,
        )  # fmt: skip
        trainer.train()
        return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])

    assert torch.allclose(trained(True), trained(False), atol=1e-7)


@pytest.mark.parametrize("method", ["dvao", "gd2po", "pama", "ctwa", "famo", "mo-grpo"])
def test_each_method_trains_resumes_and_is_recorded(tiny_recipe, tmp_path, method, command):
    recipe = {**tiny_recipe, "weighting": {"method": method}}
    whole = train(parse_recipe(recipe), out=tmp_path / "whole", progress=QuietProgress())
    short_recipe = {**recipe, "algorithm": {**recipe["algorithm"], "steps": 2}}
    train(parse_recipe(short_recipe), out=tmp_path / "cut", progress=QuietProgress())
    train(parse_recipe(recipe), out=tmp_path / "cut", resume=True, progress=QuietProgress())
    log, cut = RunLog(whole.path), RunLog(tmp_path / "cut")
    assert [step["weights"] for step in log.steps()] == [step["weights"] for step in cut.steps()]
    assert [point["point"] for point in log.validations()] == [point["point"] for point in cut.validations()]
    step = log.steps()[-1]
    rows = log.answers(step=step["step"])
    for name, weight in step["weights"].items():
        assert sum(row[f"weight/{name}"] for row in rows) / len(rows) == pytest.approx(weight)
    code, out, _ = command("explain", str(whole.path), "--answer", 1)
    assert code == 0
    assert "weight" in out
