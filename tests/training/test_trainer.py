"""The trainer against TRL's own: gradients, advantages, samplers, and the two-line change of the README."""

import math
import re
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from steelyard import FixedWeights, GradientInfluence, HypervolumeGuided, Objective, advantages, gradient_influence
from steelyard.errors import InputError, RewardError
from steelyard.objectives import accuracy, conciseness, repetition
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer
from steelyard.training.policy import load_policy
from steelyard.training.sampler import GroupSampler


class Memory:
    """A recorder that keeps everything."""

    def on_checkpoint(self, step):
        pass

    def __init__(self):
        self.answers, self.steps, self.points = {}, [], []

    def on_answers(self, step, columns):
        self.answers[step] = columns

    def on_step(self, record):
        self.steps.append(record)

    def on_validation(self, step, point, seconds, trainer):
        self.points.append((step, point))


def arguments(out, **changes):
    settings = dict(
        output_dir=str(out),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        num_generations=4,
        max_completion_length=12,
        max_steps=2,
        learning_rate=1e-3,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        gradient_checkpointing=False,
    )
    return GRPOConfig(**{**settings, **changes})


@pytest.fixture
def make(tiny_policy_dir, tmp_path):
    def build(cls=PolicyTrainer, reward_funcs=None, args=None, rows=16, model_dir=tiny_policy_dir, **options):
        model, tokenizer = load_policy(str(model_dir))
        train, held_out = sums_rows(rows, 6)
        if cls is PolicyTrainer and "objectives" not in options and reward_funcs is None:
            options["objectives"] = [conciseness(max_tokens=12), repetition(ngram=1), accuracy()]
        return cls(
            model,
            reward_funcs,
            args or arguments(tmp_path),
            train_dataset=Dataset.from_list(train),
            eval_dataset=Dataset.from_list(held_out),
            processing_class=tokenizer,
            **options,
        )

    return build


@pytest.mark.parametrize("loss", ["dapo", "grpo", "bnpo", "dr_grpo"])
@pytest.mark.parametrize("estimator", sorted(advantages.ESTIMATORS))
def test_the_gram_matrix_predicts_the_gradient_that_trl_takes(make, tmp_path, loss, estimator):
    """sqrt(w' M w) = grad_norm: the per-objective gradients are those of the very update, weighted by the very weights it uses."""
    memory = Memory()
    trainer = make(
        args=arguments(tmp_path, loss_type=loss, temperature=0.8, max_steps=3),
        weighting=GradientInfluence(mu=1e-3, normalize="each"),
        estimator=estimator,
        recorder=memory,
    )
    trainer.train()
    assert len(memory.steps) == 3
    moved = set()
    for record in memory.steps:
        weights = torch.tensor(list(record["weights"].values()), dtype=torch.float64)
        gram = torch.tensor(record["gram"], dtype=torch.float64)
        assert math.sqrt(weights @ gram @ weights) == pytest.approx(record["grad_norm"], rel=1e-4)
        moved.add(tuple(record["weights"].values()))
    assert len(moved) == 3


def test_new_weights_apply_to_the_batch_they_were_computed_from(make):
    memory = Memory()
    trainer = make(weighting=GradientInfluence(mu=1e-4), recorder=memory)
    trainer.train()
    for record in memory.steps:
        columns = memory.answers[record["step"]]
        rewards = torch.tensor([columns[f"reward/{name}"] for name in record["weights"]], dtype=torch.float64).T
        weights = torch.tensor(list(record["weights"].values()), dtype=torch.float64)
        expected = advantages.combine(rewards, weights, estimator="grpo", group_size=4)
        assert columns["advantage"] == pytest.approx(expected.tolist(), abs=1e-12)
        assert abs(weights[0].item() - 1 / 3) > 1e-4
        assert columns["weight/accuracy"] == [record["weights"]["accuracy"]] * 16


def test_equal_weights_train_exactly_as_trl_does(make, tmp_path):
    """Same rewards, same seed, constant weights: the gradient norms are TRL's own."""

    def brevity(completions, **columns):
        return [-len(text) / 12 for text in completions]

    def letters(completions, **columns):
        return [sum(c.isalpha() for c in text) / 12 for text in completions]

    norms = {}
    for cls, extra in ((GRPOTrainer, {}), (PolicyTrainer, {})):
        trainer = make(
            cls, [brevity, letters], arguments(tmp_path, reward_weights=[0.5, 0.5], shuffle_dataset=False, max_steps=3), **extra
        )
        trainer.train()
        norms[cls] = [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]
    assert len(norms[GRPOTrainer]) == 3
    assert norms[PolicyTrainer] == pytest.approx(norms[GRPOTrainer], rel=1e-3)


def test_the_scale_of_a_weighting_reaches_the_update(make, tmp_path):
    class Doubled(FixedWeights):
        def scale(self):
            return 2.0

    norms = []
    for weighting in (FixedWeights(), Doubled()):
        memory = Memory()
        make(weighting=weighting, recorder=memory, args=arguments(tmp_path, max_steps=1, max_grad_norm=1e9)).train()
        norms.append(memory.steps[0]["grad_norm"])
    assert norms[1] == pytest.approx(2 * norms[0], rel=1e-5)


def test_the_two_line_change_of_the_readme(make, tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    diff = re.search(r"```diff\n(.*?)```", readme, re.S).group(1).splitlines()
    removed = [line[1:].strip() for line in diff if line.startswith("-")]
    added = [line[1:].strip() for line in diff if line.startswith("+")]
    assert (len(removed), len(added)) == (2, 2)
    model, tokenizer = load_policy("sums")
    train, _ = sums_rows(16, 6)
    names = {
        "model": model,
        "reward_funcs": [
            lambda completions, **c: [float(len(t)) for t in completions],
            lambda completions, **c: [float("1" in t) for t in completions],
        ],
        "args": arguments(tmp_path),
        "train_dataset": Dataset.from_list(train),
        "tokenizer": tokenizer,
    }
    names["reward_funcs"][0].__name__, names["reward_funcs"][1].__name__ = "long", "ones"
    exec("\n".join(added), names)
    trainer = names["trainer"]
    assert isinstance(trainer, PolicyTrainer)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "weights/long" in entry]
    assert len(logged) == 2
    assert all(entry["weights/long"] + entry["weights/ones"] == pytest.approx(1) for entry in logged)
    assert {"influence/long", "influence/ones"} <= set(logged[0])


def test_validation_measures_every_prompt_reaches_the_weighting_and_disturbs_nothing(make, tmp_path):
    def run(every):
        memory = Memory()
        changes = dict(eval_strategy="steps", eval_steps=every) if every else {}
        trainer = make(weighting=FixedWeights(), recorder=memory, args=arguments(tmp_path, max_steps=3, **changes))
        trainer.train()
        return trainer, memory

    (_, without), (trainer, every_step) = run(0), run(1)
    assert [step for step, _ in every_step.points] == [1, 2, 3]
    assert set(every_step.points[0][1]) == {"conciseness", "repetition", "accuracy"}
    assert 0 < every_step.points[0][1]["conciseness"] <= 12
    assert [r["grad_norm"] for r in without.steps] == [r["grad_norm"] for r in every_step.steps]
    again = trainer._measure(list(trainer.eval_dataset))
    assert again == trainer._measure(list(trainer.eval_dataset))
    assert again == every_step.points[-1][1]


def test_greedy_validation_is_greedy_and_leaves_training_sampled(make, tmp_path):
    trainer = make(weighting=FixedWeights(), validation_sampling="greedy")
    rows = list(trainer.eval_dataset)
    first = trainer._measure(rows)
    trainer.args.seed += 100
    assert trainer._measure(rows) == first
    assert trainer.generation_config.do_sample is True
    sampled = make(weighting=FixedWeights())
    one = sampled._measure(rows)
    sampled.args.seed += 100
    assert sampled._measure(rows) != one


def test_hypervolume_guidance_scales_the_update_after_a_validation(make, tmp_path):
    memory = Memory()
    trainer = make(
        weighting=HypervolumeGuided(), recorder=memory, args=arguments(tmp_path, max_steps=3, eval_strategy="steps", eval_steps=1)
    )
    trainer.evaluate()
    trainer.train()
    scales = [record["scale"] for record in memory.steps]
    assert scales[0] == 1.0
    assert all(0.5 <= scale <= 2.0 for scale in scales)
    assert scales[1] != 1.0
    model, tokenizer = load_policy("sums")
    with pytest.raises(InputError, match="HypervolumeGuided follows validation points"):
        PolicyTrainer(
            model,
            None,
            arguments(tmp_path),
            train_dataset=Dataset.from_list(sums_rows(16, 1)[0]),
            processing_class=tokenizer,
            objectives=[conciseness(), accuracy()],
            weighting="hypervolume",
        )


def test_reinforce_needs_no_group(make, tmp_path):
    memory = Memory()
    trainer = make(
        args=arguments(tmp_path, num_generations=16),
        estimator="reinforce",
        group_size=1,
        weighting=GradientInfluence(mu=1e-3),
        recorder=memory,
    )
    trainer.train()
    assert len(set(memory.answers[1]["prompt"])) == 16
    assert any(value != 0 for value in memory.answers[1]["advantage"])


def test_async_rewards_and_minimised_rewards_reach_the_advantage(make):
    async def shouting(completions, **columns):
        return [float(sum(c.isupper() for c in text)) for text in completions]

    memory = Memory()
    trainer = make(
        objectives=[Objective("shouting", shouting, goal="minimize"), repetition(ngram=1)],
        weighting=FixedWeights([1.0, 0.0]),
        recorder=memory,
    )
    trainer.train()
    columns = memory.answers[1]
    assert columns["reward/shouting"] == [float(sum(c.isupper() for c in text)) for text in columns["answer"]]
    expected = advantages.grpo(-torch.tensor(columns["reward/shouting"], dtype=torch.float64), group_size=4)
    assert columns["advantage"] == pytest.approx(expected.tolist())


def test_a_failing_reward_stops_the_run_with_its_name(make):
    objective = Objective("broken", lambda completions: [float("nan")] * len(completions))
    trainer = make(objectives=[objective, repetition()], weighting=FixedWeights())
    with pytest.raises(RewardError, match="objective 'broken' returned nan for prompt"):
        trainer.train()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(estimator="gropo"), "did you mean 'grpo'"),
        (dict(weighting="fixd"), "did you mean 'fixed'"),
        (dict(validation_sampling="some"), "'sampled' or 'greedy'"),
        (dict(reward_funcs=[len], objectives=[accuracy()]), "and not both"),
        (dict(objectives=[accuracy(), accuracy()]), "two objectives are named 'accuracy'"),
        (dict(rows=3), "takes 4 different prompts, but the training set has only 3"),
    ],
)
def test_arguments_that_do_not_fit_are_named(make, options, message):
    with pytest.raises(InputError, match=message):
        make(**options).train()


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = GroupSampler(10, group_size=2, prompts_per_batch=3, repeats=2, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 0) != order(1, 0)
    found = order(0, 0)
    assert (
        len(found) == 3 * 3 * 2 * 2 == len(GroupSampler(10, group_size=2, prompts_per_batch=3, repeats=2, shuffle=True, seed=0))
    )
    assert found[:6] == found[6:12]
    assert found[0] == found[1]
    assert len(set(found)) == 9


def test_influence_of_the_public_function_is_that_of_separate_gradients(tiny_policy_dir):
    model, _ = load_policy(str(tiny_policy_dir))
    model = model.double()
    ids = torch.randint(3, 90, (6, 10), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    completion = mask.clone()
    completion[:, :4] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "completion_mask": completion}
    values = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradients = []
    for k in range(3):
        model.zero_grad()
        logprobs = torch.log_softmax(model(input_ids=ids).logits[:, :-1], -1).gather(-1, ids[:, 1:, None]).squeeze(-1)
        ((logprobs[:, 3:].sum(1) * values[:, k]).sum() / completion.sum()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    model.zero_grad(set_to_none=True)
    expected = torch.stack([gradient @ sum(gradients) for gradient in gradients])
    torch.testing.assert_close(gradient_influence(model, batch, values), expected, rtol=1e-9, atol=0)
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(InputError, match="must be finite"):
        gradient_influence(model, batch, values * float("nan"))
    with pytest.raises(InputError, match=r"shape \[6, K\]"):
        gradient_influence(model, batch, values[:3])


@pytest.mark.parametrize(
    ("changes", "weighting", "message"),
    [
        ({"scale_rewards": "none"}, None, "scale_rewards='none' has no effect here: choose by estimator="),
        ({"multi_objective_aggregation": "normalize_then_sum"}, None, r"FixedWeights\(normalize='each'\)"),
        ({"reward_weights": [1.0, 1.0, 1.0]}, FixedWeights(), "weights are given twice"),
        ({"reward_weights": [1.0, -1.0, 1.0]}, None, "must not be negative"),
    ],
)
def test_settings_of_trl_that_would_have_no_effect_are_refused(make, tmp_path, changes, weighting, message):
    with pytest.raises(InputError, match=message):
        make(args=arguments(tmp_path, **changes), weighting=weighting)


def test_trls_reward_weights_are_where_a_named_weighting_starts(make, tmp_path):
    trainer = make(args=arguments(tmp_path, reward_weights=[3.0, 1.0, 1.0]), weighting="gradient-influence")
    assert trainer.weighting.weights().tolist() == pytest.approx([0.6, 0.2, 0.2])


def test_measuring_another_dataset_is_no_point_of_the_run(make, tmp_path):
    memory = Memory()
    trainer = make(
        objectives=[Objective("first", lambda prompts: [float(p[:2]) for p in prompts], bounds=(10, 49)), repetition(ngram=1)],
        weighting=HypervolumeGuided(),
        recorder=memory,
        args=arguments(tmp_path, max_steps=1, eval_strategy="steps", eval_steps=1),
    )
    trainer.evaluate()
    trainer.train()
    state, points = trainer.weighting.state_dict(), list(memory.points)
    other = trainer.evaluate(Dataset.from_list(sums_rows(16, 40)[1][30:]))
    assert other != {f"eval_{name}": value for name, value in points[-1][1].items()}
    assert (trainer.weighting.state_dict(), memory.points) == (state, points)
