"""Unmodified TRL trainers with moving weights: the README's change, batches, evaluations, checkpoints, refusals."""

import json
import re
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from steelyard import FixedWeights, GradientInfluence, HypervolumeGuided
from steelyard.errors import InputError
from steelyard.models.loading import load_policy
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer, WeightingCallback
from steelyard.weighting import GDPO, LagrangianConstraints, ScheduledWeights, StageAware

BOTH = [(GRPOTrainer, GRPOConfig), (RLOOTrainer, RLOOConfig)]


def letters(completions, **columns):
    return [sum(map(str.isalpha, text)) / 12 for text in completions]


def digits(completions, **columns):
    return [sum(map(str.isdigit, text)) / 12 for text in completions]


@pytest.fixture
def make(tiny_policy_dir, tmp_path):
    def build(cls=GRPOTrainer, config=GRPOConfig, reward_funcs=(letters, digits), **changes):
        settings = dict(
            output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, per_device_train_batch_size=8, gradient_accumulation_steps=2,
            num_generations=4, max_completion_length=12, max_steps=4, learning_rate=1e-3, logging_steps=1, report_to="none",
            save_strategy="no", disable_tqdm=True, gradient_checkpointing=False, beta=0.0,
        )  # fmt: skip
        model, tokenizer = load_policy(str(tiny_policy_dir))
        train, held_out = sums_rows(32, 8)
        return cls(
            model,
            list(reward_funcs),
            config(**{**settings, **changes}),
            train_dataset=Dataset.from_list(train),
            eval_dataset=Dataset.from_list(held_out),
            processing_class=tokenizer,
        )

    return build


def weights_logged(trainer):
    return [
        [entry["weights/letters"], entry["weights/digits"]] for entry in trainer.state.log_history if "weights/letters" in entry
    ]


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_new_weights_apply_to_the_batch_they_were_computed_from(make, cls, config):
    trainer = make(cls, config)
    seen = []
    score, generate = trainer._calculate_rewards, trainer._generate_and_score_completions
    trainer._calculate_rewards = lambda *a: seen.append([score(*a)]) or seen[-1][0]
    trainer._generate_and_score_completions = lambda inputs: generate(inputs)
    trainer.add_callback(WeightingCallback(trainer, "stage-aware"))
    outputs, inner = [], trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: outputs.append(inner(inputs)) or outputs[-1]
    trainer.train()
    assert len(seen) == len(outputs) == 4
    for (rewards,), output, logged in zip(seen, outputs, weights_logged(trainer), strict=True):
        variation = rewards.std(0) / rewards.mean(0)
        weights = variation / variation.sum()
        assert logged == pytest.approx(weights.tolist(), rel=1e-4)
        total = (2 * rewards * weights).sum(1).view(-1, 4)  # TRL's own weights, of 1 each, sum to 2
        centred = total - total.mean(1, keepdim=True)
        expected = centred / (total.std(1, keepdim=True) + 1e-4) if cls is GRPOTrainer else centred * 4 / 3
        torch.testing.assert_close(output["advantages"], expected.flatten(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_constant_weights_change_nothing(make, cls, config):
    norms = []
    for attach in (False, True):
        trainer = make(cls, config, reward_weights=[0.3, 0.7], max_steps=2)
        if attach:
            trainer.add_callback(WeightingCallback(trainer, "fixed"))
        trainer.train()
        norms.append([entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry])
    assert norms[0] == norms[1]


def test_a_schedule_follows_the_runs_progress(make):
    trainer = make()
    trainer.add_callback(
        WeightingCallback(trainer, ScheduledWeights([(0.0, [1.0, 0.0]), (1.0, {"letters": 0.0, "digits": 1.0})]))
    )
    trainer.train()
    assert [first for first, _ in weights_logged(trainer)] == pytest.approx([1.0, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
    ("cls", "config", "changes"), [(RLOOTrainer, RLOOConfig, {}), (GRPOTrainer, GRPOConfig, {"scale_rewards": "none"})]
)
def test_where_nothing_divides_by_a_spread_the_objectives_own_advantages_are_weighed(make, cls, config, changes):
    """There the advantage of the weighted sum is the weighted sum of the advantages, which is what "each" asks for."""

    def run(normalize):
        trainer = make(cls, config, **changes)
        constraints = LagrangianConstraints(maximize="letters", at_least={"digits": 0.5}, rate=50.0, normalize=normalize)
        trainer.add_callback(WeightingCallback(trainer, constraints))
        trainer.train()
        return [(entry["weights/digits"], entry["grad_norm"]) for entry in trainer.state.log_history if "grad_norm" in entry]

    found = run("each")
    assert found == run("sum")
    assert len({weight for weight, _ in found}) == 4


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_hypervolume_guidance_scales_the_advantages_after_evaluations(make, cls, config):
    trainer = make(cls, config, eval_strategy="steps", eval_steps=1, eval_on_start=True, per_device_eval_batch_size=8)
    callback = WeightingCallback(trainer, "hypervolume", bounds={"letters": (0, 1), "digits": (0, 1)})
    plain, scaled, scales = [], [], []
    inner = callback._generate
    callback._generate = lambda inputs: plain.append(inner(inputs)) or dict(plain[-1])
    outer = trainer._generate_and_score_completions

    def watched(inputs):
        output = outer(inputs)
        if trainer.model.training:
            scaled.append((plain[-1]["advantages"], output["advantages"]))
            scales.append(callback.weighting.scale())
        return output

    trainer._generate_and_score_completions = watched
    trainer.add_callback(callback)
    trainer.train()
    assert scales[0] == 1.0
    assert any(scale != 1.0 for scale in scales)
    for (before, after), scale in zip(scaled, scales, strict=True):
        torch.testing.assert_close(after, before * scale)
    points = [
        [e[f"eval_rewards/{name}/mean"] for name in ("letters", "digits")]
        for e in trainer.state.log_history
        if "eval_rewards/letters/mean" in e
    ]
    assert callback.weighting.archive.reference == pytest.approx(points[0])


def test_gdpo_goes_with_trls_own_aggregation(make):
    trainer = make(multi_objective_aggregation="normalize_then_sum")
    trainer.add_callback(WeightingCallback(trainer, GDPO([0.5, 0.5])))
    trainer.train()
    assert weights_logged(trainer) == [[0.5, 0.5]] * 4
    with pytest.raises(
        InputError, match="needs multi_objective_aggregation='normalize_then_sum', but it is 'sum_then_normalize'"
    ):
        WeightingCallback(make(), GDPO([0.5, 0.5]))
    with pytest.raises(InputError, match="which RLOOTrainer cannot change"):
        WeightingCallback(make(RLOOTrainer, RLOOConfig), GDPO([0.5, 0.5]))


@pytest.mark.parametrize(("cls", "config"), BOTH)
def test_a_resumed_run_takes_up_the_weights_where_they_were(make, cls, config, tmp_path):
    def run(resume=None, **changes):
        trainer = make(cls, config, save_strategy="steps", save_steps=2, **changes)
        trainer.add_callback(WeightingCallback(trainer, StageAware(momentum=0.5)))
        trainer.train(resume_from_checkpoint=resume)
        return weights_logged(trainer)

    whole = run()
    state = json.loads((tmp_path / "out" / "checkpoint-2" / "steelyard.json").read_text())
    assert state["weights"] == pytest.approx(whole[1], abs=1e-6)
    resumed = run(str(tmp_path / "out" / "checkpoint-2"))
    assert len(resumed) == len(whole) == 4
    torch.testing.assert_close(torch.tensor(resumed), torch.tensor(whole))
    (tmp_path / "out" / "checkpoint-2" / "steelyard.json").unlink()
    with pytest.warns(UserWarning, match="no weighting state at .*checkpoint-2/steelyard.json: the weights start anew at step 2"):
        assert run(str(tmp_path / "out" / "checkpoint-2"))[2] != pytest.approx(whole[2])


def test_a_resumed_run_keeps_its_meta_reward_though_the_trainer_evaluates_again(make, tmp_path):
    """With the same points as the uninterrupted run, m is the same in every step."""

    class Scripted(HypervolumeGuided):
        """Sees the points of a script in place of the measured ones, one a call."""

        def on_validation(self, point):
            super().on_validation(script[min(len(script) - 1, self.calls)])
            self.calls += 1

        calls = 0

        def on_batch(self, batch):
            scales.append(self.scale())

        def state_dict(self):
            return {**super().state_dict(), "calls": self.calls}

        def load_state_dict(self, state):
            super().load_state_dict(state)
            self.calls = state["calls"]

    script = [[0.1, 0.1], [0.2, 0.2], [0.2, 0.2], [0.5, 0.5], [0.5, 0.5]]

    def run(resume=None):
        trainer = make(
            eval_strategy="steps",
            eval_steps=1,
            eval_on_start=True,
            per_device_eval_batch_size=8,
            save_strategy="steps",
            save_steps=3,
        )
        bounds = {"letters": (0, 1), "digits": (0, 1)}
        trainer.add_callback(WeightingCallback(trainer, Scripted(), bounds=bounds))
        scales.clear()
        trainer.train(resume_from_checkpoint=resume)
        return list(scales)

    scales = []
    whole = run()
    assert whole[3] > 1.5 > whole[2]
    assert run(str(tmp_path / "out" / "checkpoint-3")) == whole[3:]


def test_what_a_plain_trainer_cannot_do_is_refused(make):
    with pytest.raises(
        InputError, match=r"GradientInfluence follows the objectives' gradients.*use steelyard.training.PolicyTrainer"
    ):
        WeightingCallback(make(), GradientInfluence())
    with pytest.raises(InputError, match="HypervolumeGuided follows validation points: give eval_dataset="):
        WeightingCallback(make(), HypervolumeGuided())
    for trainer in (make(), make(RLOOTrainer, RLOOConfig, normalize_advantages=True)):
        with pytest.raises(
            InputError, match=r"normalize='each' weighs .* use .*PolicyTrainer, an RLOOTrainer, .*normalize='sum'\)"
        ):
            WeightingCallback(trainer, FixedWeights(normalize="each"))
    with pytest.raises(InputError, match="weights are given twice"):
        WeightingCallback(make(reward_weights=[0.5, 0.5]), StageAware())
    with pytest.raises(InputError, match="bounds are given for 'leters', but the reward functions are letters, digits"):
        WeightingCallback(make(), "fixed", bounds={"leters": (0, 1)})
    with pytest.raises(InputError, match="must be a Weighting or a method's name, but is <class"):
        WeightingCallback(make(), StageAware)
    with pytest.raises(InputError, match="a PolicyTrainer moves its weights itself: give it weighting="):
        WeightingCallback(make(PolicyTrainer), "fixed")
    with pytest.raises(InputError, match=r"needs a trl.GRPOTrainer or trl.RLOOTrainer, but object has no reward_func_names"):
        WeightingCallback(object(), "fixed")


def test_a_negative_reward_below_its_floor_stops_stage_aware_weights_with_its_name(make):
    def fine(completions, **columns):
        return [-float(len(text)) for text in completions]

    trainer = make(reward_funcs=(letters, fine))
    trainer.add_callback(WeightingCallback(trainer, "stage-aware"))
    with pytest.raises(InputError, match=r"'fine' gave -\d+, below its floor of 0: give floors=\{'fine': ...\}"):
        trainer.train()


def test_the_two_added_lines_of_the_readme(tiny_policy_dir, tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    diff = re.findall(r"```diff\n(.*?)```", readme, re.S)[1].splitlines()
    added = [line[1:].strip() for line in diff if line.startswith("+")]
    assert len(added) == 2
    assert not any(line.startswith("-") for line in diff)
    model, tokenizer = load_policy(str(tiny_policy_dir))
    names = {
        "model": model, "reward_funcs": [letters, digits], "tokenizer": tokenizer,
        "args": GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, per_device_train_batch_size=8, num_generations=4,
                           max_completion_length=12, max_steps=2, logging_steps=1, report_to="none", save_strategy="no",
                           disable_tqdm=True, gradient_checkpointing=False),
        "train_dataset": Dataset.from_list(sums_rows(16, 1)[0]),
    }  # fmt: skip
    exec("\n".join(line[1:].strip() for line in diff), names)
    names["trainer"].train()
    logged = weights_logged(names["trainer"])
    assert len(logged) == 2
    assert logged[0] != [0.5, 0.5]


@pytest.mark.parametrize("given", [None, [2.0, 6.0]])
@pytest.mark.parametrize(
    ("cls", "config", "settings"), [(GRPOTrainer, GRPOConfig, {"scale_rewards": "none"}), (RLOOTrainer, RLOOConfig, {})]
)
def test_fixed_weights_train_as_the_trainer_does_alone_also_with_a_kl_term(make, cls, config, settings, given):
    """Rewards at a K-th of their size would make RLOO's KL term, which is a part of its reward, count K times."""
    ends = []
    for called in (False, True):
        torch.manual_seed(0)
        trainer = make(cls, config, reward_weights=given, beta=0.5, max_steps=2, learning_rate=1e-2, **settings)
        if called:
            trainer.add_callback(WeightingCallback(trainer, "fixed"))
            assert trainer.reward_weights.tolist() == (given or [1.0, 1.0])
        trainer.train()
        ends.append(torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]))
    assert torch.equal(*ends)
