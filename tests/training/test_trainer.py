"""The trainer against TRL's own: gradients, advantages, samplers, and the two-line change of the README."""

import json
import math
import re
import warnings
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from steelyard import FixedWeights, GradientInfluence, HypervolumeGuided, Objective, advantages, reward_matrix
from steelyard.checks import equivalent
from steelyard.errors import InputError, RewardError
from steelyard.models.loading import load_policy
from steelyard.objectives import Gate, accuracy, conciseness, repetition
from steelyard.tasks.sums import sums_rows
from steelyard.training import Mixture, PolicyTrainer, WeightingCallback
from steelyard.training._gradients import SharedForward, buffered_influence
from steelyard.training._prompt_order import GroupSampler, PromptOrder
from steelyard.training._rewards import as_reward_function
from steelyard.training._validation import measure
from steelyard.weighting import METHODS, NormalizedInfluence, ScheduledWeights, half_factors


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


def share_of(name, kind):
    """An objective that varies among the answers of a random policy."""
    return Objective(name, lambda completions: [sum(map(kind, text)) / 12 for text in completions], bounds=(0, 1))


def arguments(out, config=GRPOConfig, **changes):
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
    return config(**{**settings, **changes})


@pytest.fixture
def make(tiny_policy_dir, tmp_path):
    def build(cls=PolicyTrainer, reward_funcs=None, args=None, rows=16, model_dir=tiny_policy_dir, train_rows=None, **options):
        model, tokenizer = load_policy(str(model_dir))
        train, held_out = sums_rows(rows, 6)
        train = train_rows or train
        if cls is PolicyTrainer and "objectives" not in options and reward_funcs is None:
            options["objectives"] = [
                conciseness(max_tokens=12),
                share_of("letters", str.isalpha),
                share_of("digits", str.isdigit),
            ]
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
@pytest.mark.parametrize(
    ("estimator", "influence"),
    [("grpo", "exact"), ("grpo", "jvp"), ("rloo", "exact"), ("rloo", "finite-difference"), ("reinforce", "jvp"), ("brpo", "jvp")],
)
def test_the_gram_matrix_predicts_the_gradient_that_trl_takes(make, tmp_path, loss, estimator, influence):
    """sqrt(w' M w) = grad_norm: the per-objective gradients are those of the very update, weighted by the very weights it uses."""
    memory = Memory()
    trainer = make(
        args=arguments(tmp_path, loss_type=loss, temperature=0.8, max_steps=3),
        weighting=GradientInfluence(mu=1e-3, normalize="each", influence=influence, gram_every=1),
        estimator=estimator,
        recorder=memory,
    )
    trainer.train()
    assert len(memory.steps) == 3
    moved = set()
    for record in memory.steps:
        weights = torch.tensor(list(record["weights"].values()), dtype=torch.float64)
        gram = torch.tensor(record["gram"], dtype=torch.float64)
        assert math.sqrt(weights @ gram @ weights) == pytest.approx(
            record["grad_norm"], rel=1e-2 if influence == "finite-difference" else 1e-4
        )
        moved.add(tuple(record["weights"].values()))
    assert len(moved) == 3


@pytest.mark.parametrize("influence", ["exact", "jvp", "finite-difference"])
@pytest.mark.parametrize(
    ("settings", "mixture"),
    [
        ({"loss_type": "cispo", "epsilon_high": 0.2}, None),
        ({"loss_type": "cispo", "epsilon_high": 5.0}, None),
        ({"importance_sampling_level": "sequence"}, None),
        ({"importance_sampling_level": "sequence", "loss_type": "grpo"}, None),
        ({"mask_truncated_completions": True, "max_completion_length": 8}, None),
        ({"delta": 2.0}, None),
        ({"num_iterations": 2}, None),
        ({"steps_per_generation": 4}, None),
        ({"steps_per_generation": 4, "loss_type": "grpo"}, None),
        ({"steps_per_generation": 4, "loss_type": "cispo", "epsilon_high": 0.5}, None),
        ({"steps_per_generation": 2, "gradient_accumulation_steps": 1}, None),
        ({"num_train_epochs": 1.0, "max_steps": -1}, None),
        ({"loss_type": "dapo"}, "constant:5"),
        ({"loss_type": "grpo"}, "constant:5"),
        ({"loss_type": "bnpo"}, "constant:5"),
        ({"loss_type": "dr_grpo"}, "constant:5"),
        ({"loss_type": "cispo", "epsilon_high": 0.2, "steps_per_generation": 4}, "constant:5"),
    ],
    ids=str,
)
def test_the_gram_matrix_predicts_the_gradient_with_trls_switches(make, tmp_path, settings, mixture, influence):
    memory = Memory()
    rows = sums_rows(16, 6)[0]
    trainer = make(
        args=arguments(tmp_path, **{"max_steps": 4, **settings}),
        weighting=GradientInfluence(mu=1e-3, normalize="each", influence=influence, gram_every=1),
        estimator="rloo",
        recorder=memory,
        mixture=None if mixture is None else Mixture(mixture, by="scalarization"),
        train_rows=[row | {"domain": "rare" if i % 4 == 0 else "usual"} for i, row in enumerate(rows)],
    )
    trainer.train()
    assert memory.steps
    for record in memory.steps:
        weights = torch.tensor(list(record["weights"].values()), dtype=torch.float64)
        gram = torch.tensor(record["gram"], dtype=torch.float64)
        assert record["grad_norm"] > 0
        within = 2e-2 if influence == "finite-difference" else 1e-3
        assert math.sqrt(weights @ gram @ weights) == pytest.approx(record["grad_norm"], rel=within)


class Asks(FixedWeights):
    """Asks every batch for unbiased influences by every way, and for the Gram matrix of the two halves' own gradients."""

    needs_gradients = True

    def setup(self, objectives):
        super().setup(objectives)
        self.found, self.trainer = [], None

    def on_batch(self, batch):
        has_BK, size = ~batch.rewards_BK.isnan(), batch.rewards_BK.shape[1]
        factors_B2 = half_factors(has_BK, group_size=self.trainer.group_size)
        halves = [batch.advantages_BK * factors_B2[:, half, None] for half in (0, 1)]
        across_KK = buffered_influence(self.trainer, torch.cat(halves, 1), method="exact", gram=True).gram_KK[:size, size:]
        ways = ("exact", "jvp", "finite-difference")
        found = {way: batch.influence(method=way, unbiased=True) for way in ways}
        grams = {way: batch.influence(method=way, unbiased=True, gram=True) for way in ways}
        self.found.append((across_KK, found, grams))


@pytest.mark.parametrize(
    ("settings", "mixture"),
    [
        ({}, None),
        ({"steps_per_generation": 4}, None),
        ({"per_device_train_batch_size": 16, "gradient_accumulation_steps": 1}, None),
        ({"bf16": True, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 1}, None),
        ({"loss_type": "grpo", "steps_per_generation": 4}, "constant:5"),
    ],
    ids=str,
)
def test_unbiased_influences_are_the_products_across_the_halves_of_the_very_update(make, tmp_path, settings, mixture):
    asks, rows = Asks(), sums_rows(16, 6)[0]
    trainer = make(
        args=arguments(tmp_path, **settings),
        weighting=asks,
        mixture=None if mixture is None else Mixture(mixture, by="scalarization"),
        train_rows=[row | {"domain": "rare" if i % 4 == 0 else "usual"} for i, row in enumerate(rows)],
    )
    asks.trainer = trainer
    trainer.train()
    assert len(asks.found) >= 1
    for across_KK, found, grams in asks.found:
        expected_KK = (across_KK + across_KK.T) / 2
        # Gradients of half precision are rounded, and differences are of full precision.
        size, rounded = across_KK.abs().max().item(), settings.get("bf16", False)
        assert size > 0
        for way, within in (("exact", 1e-5), ("jvp", 1e-5), ("finite-difference", 1e-2)):
            within = 0.1 if rounded else within
            torch.testing.assert_close(found[way].influence_K, expected_KK.sum(0), rtol=0, atol=3 * within * size)
            torch.testing.assert_close(grams[way].gram_KK, expected_KK, rtol=0, atol=within * size)
            assert (found[way].error_K is None) == (way == "exact")


def test_unbiased_influences_reach_the_record_with_their_errors_and_the_log(make, tmp_path):
    memory, trainer = Memory(), None
    trainer = make(args=arguments(tmp_path), weighting=NormalizedInfluence(estimate="unbiased", gram_every=2), recorder=memory)
    trainer.train()
    first, second = memory.steps
    names = ["conciseness", "letters", "digits"]
    assert "gram" in first
    assert "influence_se" not in first
    assert list(second["influence_se"]) == names
    assert all(value >= 0 for value in second["influence_se"].values())
    assert any(f"influence_se/{names[0]}" in entry for entry in trainer.state.log_history)


def test_an_objective_of_one_domain_has_a_product_across_halves_though_its_prompts_stand_at_even_places(make, tmp_path):
    memory, rows = Memory(), sums_rows(16, 6)[0]
    trainer = make(
        args=arguments(tmp_path, shuffle_dataset=False),
        objectives=[
            share_of("letters", str.isalpha),
            Objective(
                "of-rare", lambda completions: [sum(map(str.isdigit, text)) / 12 for text in completions], applies_to=["rare"]
            ),
        ],
        weighting=GradientInfluence(mu=1.0, influence="exact", estimate="unbiased", gram_every=1),
        recorder=memory,
        train_rows=[row | {"domain": ("rare", "usual")[i % 2]} for i, row in enumerate(rows)],
    )
    trainer.train()
    for step in memory.steps:
        assert step["rewards"]["of-rare"]["answers"] == 8
    # A group of equal answers has no gradient, but not in every batch.
    assert any(step["gram"][1][1] != 0 for step in memory.steps)


def test_the_halves_are_dealt_out_by_what_applies_and_not_by_which_gates_an_answer_opened(make, tmp_path, monkeypatch):
    """Which gates are open is the answers' doing: halves that depend on it would let their noise in again."""
    asked = []

    def spy(trainer, advantages_BK, *, has_BK=None, **options):
        asked.append(has_BK)
        return buffered_influence(trainer, advantages_BK, has_BK=has_BK, **options)

    monkeypatch.setattr("steelyard.training._batch.buffered_influence", spy)
    letters, gate = share_of("letters", str.isalpha), Gate("letters", at_least=0.6)
    some = Objective("some", lambda completions: [float(len(text)) for text in completions], applies_to=["rare"], gate=gate)
    trainer = make(
        args=arguments(tmp_path, shuffle_dataset=False),
        objectives=[letters, some],
        weighting=GradientInfluence(mu=1.0, influence="exact", estimate="unbiased"),
        train_rows=[row | {"domain": ("rare", "usual")[i % 2]} for i, row in enumerate(sums_rows(16, 6)[0])],
    )
    trainer.train()
    assert len(asked) == 2
    for has_BK in asked:
        assert has_BK[:, 0].all()
        assert has_BK[:, 1].tolist() == ([True] * 4 + [False] * 4) * 2


def test_an_unbiased_influence_needs_two_prompts_a_batch_and_says_so_before_anything_is_done(make, tmp_path):
    with pytest.raises(InputError, match="at least 2 prompts, but found 1: take more prompts a batch, or estimate='published'"):
        make(args=arguments(tmp_path, num_generations=16), weighting=GradientInfluence(estimate="unbiased"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_entropy_quantile": 0.5}, "needs top_entropy_quantile=1.0, but it is 0.5"),
        ({"steps_per_generation": 1}, r"steps_per_generation \(1\) must be a multiple of gradient_accumulation_steps \(2\)"),
        ({"steps_per_generation": 3, "per_device_train_batch_size": 16}, r"steps_per_generation \(3\) must be a multiple"),
        ({"delta": 0.5}, "needs delta of at least 1, but it is 0.5"),
        ({"loss_type": "sapo"}, "needs loss_type dapo, grpo, bnpo, dr_grpo, cispo, but is 'sapo'"),
    ],
)
def test_what_no_influence_can_follow_is_refused_at_the_start(make, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        make(args=arguments(tmp_path, **settings), weighting="normalized-influence")
    make(args=arguments(tmp_path, **settings), weighting="stage-aware")


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
        assert columns["weight/digits"] == [record["weights"]["digits"]] * 16


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
    diff = re.findall(r"```diff\n(.*?)```", readme, re.S)[0].splitlines()
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
    assert set(every_step.points[0][1]) == {"conciseness", "letters", "digits"}
    assert 0 < every_step.points[0][1]["conciseness"] <= 12
    assert [r["grad_norm"] for r in without.steps] == [r["grad_norm"] for r in every_step.steps]
    again = measure(trainer, trainer.eval_dataset)
    assert again == measure(trainer, trainer.eval_dataset)
    assert again.values == every_step.points[-1][1]


def test_greedy_validation_is_greedy_and_leaves_training_sampled(make, tmp_path):
    trainer = make(weighting=FixedWeights(), validation_sampling="greedy")
    rows = list(trainer.eval_dataset)
    first = measure(trainer, rows)
    trainer.args.seed += 100
    assert measure(trainer, rows) == first
    assert trainer.generation_config.do_sample is True
    sampled = make(weighting=FixedWeights())
    one = measure(sampled, rows)
    sampled.args.seed += 100
    assert measure(sampled, rows) != one


def test_hypervolume_guidance_scales_the_update_after_a_validation(make, tmp_path):
    memory = Memory()
    trainer = make(
        weighting=HypervolumeGuided(), recorder=memory, args=arguments(tmp_path, max_steps=3, eval_strategy="steps", eval_steps=1)
    )
    trainer.train()
    assert [step for step, _ in memory.points] == [0, 1, 2, 3]
    assert trainer.weighting.archive.reference == pytest.approx(list(memory.points[0][1].values()))
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


def test_the_update_takes_over_the_forward_pass_of_its_influences_and_is_the_same_update(make, tmp_path, monkeypatch):
    """One micro-batch: the graph is shared, so an update costs one forward pass less; several: nothing is shared."""

    def run(accumulation, shared):
        if not shared:
            monkeypatch.setattr(SharedForward, "take", lambda self, input_ids: None)
        memory, calls = Memory(), []
        trainer = make(
            weighting=GradientInfluence(mu=1e-3, influence="exact"),
            recorder=memory,
            args=arguments(tmp_path, per_device_train_batch_size=16 // accumulation, gradient_accumulation_steps=accumulation),
        )
        plain = GRPOTrainer._get_per_token_logps_and_entropies
        monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", lambda *a, **k: calls.append(1) or plain(*a, **k))
        trainer.train()
        monkeypatch.undo()
        return [(r["grad_norm"], r["weights"]) for r in memory.steps], len(calls)

    (shared, few), (apart, more) = run(1, True), run(1, False)
    assert shared == apart
    assert (few, more) == (2, 4)
    assert run(2, True)[1] == 2 * (2 + 2 + 2)


@pytest.mark.parametrize("method", ["exact", "finite-difference", "jvp"])
def test_what_trls_loss_passes_beside_tokens_reaches_the_shared_forward_pass(make, tmp_path, monkeypatch, method):
    """Images or token types that an influence computation left out would be left out of the update that shares its forward pass."""
    generate, plain, seen = (
        GRPOTrainer._generate_and_score_completions,
        GRPOTrainer._get_per_token_logps_and_entropies,
        [],
    )

    def with_types(self, inputs):
        output = generate(self, inputs)
        width = output["prompt_ids"].size(1) + output["completion_ids"].size(1)
        return {**output, "token_type_ids": torch.ones(len(output["prompt_ids"]), width, dtype=torch.long)}

    def watched(self, *args, token_type_ids=None, **kwargs):
        seen.append(token_type_ids is not None)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", with_types)
    monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", watched)
    args = arguments(tmp_path, per_device_train_batch_size=16, gradient_accumulation_steps=1)
    make(weighting=GradientInfluence(mu=1e-3, influence=method), args=args).train()
    assert seen
    assert all(seen)


def test_a_resumed_run_is_told_no_validation_that_the_whole_one_was_not(make, tmp_path):
    told = []

    class Watching(HypervolumeGuided):
        def on_validation(self, point):
            told.append(trainer.state.global_step)
            super().on_validation(point)

    changes = dict(max_steps=4, eval_strategy="steps", eval_steps=2, eval_on_start=True, save_strategy="steps", save_steps=3)
    trainer = make(weighting=Watching(), args=arguments(tmp_path, **changes))
    trainer.evaluate()
    assert trainer.weighting.archive is not None
    trainer.train()
    assert told == [0, 2, 4]
    told.clear()
    trainer = make(weighting=Watching(), args=arguments(tmp_path, **changes))
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert told == [4]


def test_an_objective_that_varied_before_a_checkpoint_is_not_called_constant_after_it(make, tmp_path):
    changes = dict(max_steps=2, save_strategy="steps", save_steps=1)
    trainer = make(args=arguments(tmp_path, **changes))
    trainer.train()
    trainer = make(args=arguments(tmp_path, **changes))
    trainer.objectives = [Objective(o.name, lambda completions: [1.0] * len(completions)) for o in trainer.objectives]
    trainer.reward_funcs = [as_reward_function(objective, trainer.is_measuring) for objective in trainer.objectives]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="objective .* gave every answer the same reward")
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))


def test_trls_words_for_a_validation_are_there_where_rewards_are_measures(make, tmp_path):
    def letters(completions, **columns):
        return [sum(map(str.isalpha, text)) / 12 for text in completions]

    def shortness(completions, **columns):
        return [-float(len(text)) for text in completions]

    found = make(reward_funcs=[shortness, letters], weighting=FixedWeights([0.75, 0.25])).evaluate()
    assert found["eval_rewards/letters/mean"] == found["eval_letters"]
    assert found["eval_reward"] == pytest.approx(0.75 * found["eval_shortness"] + 0.25 * found["eval_letters"])
    found = make().evaluate()
    assert "eval_rewards/letters/mean" in found
    # Conciseness is measured in tokens, which is not its reward.
    assert "eval_rewards/conciseness/mean" not in found
    assert "eval_reward" not in found


def test_under_autocast_as_trl_has_it_finite_differences_are_made_in_full_precision(make, tmp_path, monkeypatch):
    """TRL enters autocast once more inside the pass, so it is the passes that are looked at, and not what surrounds them."""
    found, dtypes = [], {True: set(), False: set()}

    class Watching(GradientInfluence):
        def on_batch(self, batch):
            forward, handler = trainer.model.forward, trainer.accelerator.autocast_handler
            by_differences = batch.influence(method="finite-difference")
            assert by_differences.tries == 1
            found.append([by_differences.influence_K, batch.influence(method="exact").influence_K])
            assert trainer.model.forward is forward  # as accelerate wrapped it
            assert trainer.accelerator.autocast_handler is handler
            super().on_batch(batch)

    def look(module, inputs, output):
        dtypes[torch.is_grad_enabled()].add(output.dtype)

    trainer = make(weighting=Watching(mu=1e9), args=arguments(tmp_path, bf16=True, max_steps=3))
    assert trainer.accelerator.native_amp
    for layer in trainer.model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(look)
    generate = trainer._generate_and_score_completions
    monkeypatch.setattr(trainer, "_generate_and_score_completions", lambda inputs: (generate(inputs), dtypes[False].clear())[0])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="finite differences miss")
        trainer.train()
    assert len(found) == 3
    assert dtypes == {True: {torch.bfloat16}, False: {torch.float32}}
    for by_differences, exact in found:
        torch.testing.assert_close(by_differences, exact, rtol=0, atol=0.05 * exact.abs().max().item())


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("micro_batch", [8, 16])
def test_checkpoints_hide_no_gradient_of_lora(make, tmp_path, reentrant, micro_batch):
    """With reentrant checkpoints a LoRA model's gradients are found by `backward()` alone: every influence was exactly 0, in silence."""
    found = {}

    class Watching(FixedWeights):
        def on_batch(self, batch):
            found[method] = batch.influence(method=method).influence_K

    for checkpointing in (False, True):
        for method in ("finite-difference", "exact", "jvp"):
            args = arguments(
                tmp_path,
                max_steps=1,
                gradient_checkpointing=checkpointing,
                gradient_checkpointing_kwargs={"use_reentrant": reentrant},
                per_device_train_batch_size=micro_batch,
                gradient_accumulation_steps=16 // micro_batch,
            )
            torch.manual_seed(0)
            lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
            trainer = make(weighting=Watching(), args=args, peft_config=lora)
            trainer.train()
            key = "with checkpoints" if checkpointing else "without"
            found[method, key] = found.pop(method)
            functions = {module.__dict__.get("_gradient_checkpointing_func") for module in trainer.model.modules()} - {None}
            assert all(function.keywords.get("use_reentrant", reentrant) == reentrant for function in functions)
    plain = found["exact", "without"]
    assert plain.abs().min() > 0
    for influence_K in found.values():
        torch.testing.assert_close(influence_K, plain, rtol=0.02, atol=0.02 * plain.abs().max().item())


@pytest.mark.parametrize("micro_batch", [4, 16])
@pytest.mark.parametrize("method", ["finite-difference", "jvp"])
def test_dropout_is_the_same_in_every_pass_of_an_influence(make, tmp_path, micro_batch, method):
    class Watching(FixedWeights):
        def on_batch(self, batch):
            for layer in trainer.model.modules():
                if isinstance(layer, torch.nn.Dropout):
                    assert layer.training
            grams.append(batch.influence(method="exact", gram=True).gram_KK)
            found.append(batch.influence(method=method))

    found, grams = [], []
    steps = 16 // micro_batch
    args = arguments(tmp_path, max_steps=1, per_device_train_batch_size=micro_batch, gradient_accumulation_steps=steps)
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.3, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    trainer = make(weighting=Watching(), args=args, peft_config=lora)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="finite differences miss")
        trainer.train()
    assert found[0].method == method
    assert found[0].tries <= 1
    if steps > 1:  # with one micro-batch each computation has a dropout of its own, which the update takes over
        torch.testing.assert_close(found[0].influence_K, grams[0].sum(0), rtol=0.02, atol=0.02 * grams[0].abs().max().item())


def test_what_the_optimiser_moved_is_not_what_dropout_changed(make, tmp_path):
    """At a learning rate of next to nothing the step is one along the gradient; with other dropout the difference would be dropout's."""
    found = []

    class Watching(FixedWeights):
        def on_batch(self, batch):
            found.append((batch.influence(method="exact", gram=True), batch.influence(method="optimizer-step")))

    args = arguments(tmp_path, max_steps=2, optim="sgd", lr_scheduler_type="constant", learning_rate=1e-2, max_grad_norm=0.0)
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.3, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    trainer = make(weighting=Watching(), args=args, peft_config=lora)
    trainer.train()
    along = found[1][1].influence_K
    assert along.abs().max() < 3 * found[0][0].gram_KK.sum(0).abs().max()


def test_nothing_that_is_trained_is_an_error_and_no_influence_of_zero(make, tmp_path):
    """A layer that takes no part in the answers' probabilities has no gradient, which is not one of zero."""

    class Asking(FixedWeights):
        def on_batch(self, batch):
            batch.influence(layers=["extra"])

    trainer = make(weighting=Asking(), args=arguments(tmp_path, max_steps=1))
    trainer.model.register_parameter("extra", torch.nn.Parameter(torch.zeros(3)))
    with pytest.raises(InputError, match="no gradient reaches the 1 parameters"):
        trainer.train()


def test_influence_along_the_optimisers_step_is_how_far_it_moved_every_objective(make, tmp_path):
    """With plain SGD and no clipping the step is lr x gradient, so influences are those of the gradient to first order."""
    memory = Memory()

    class Watching(GradientInfluence):
        def on_batch(self, batch):
            self.exact = [*getattr(self, "exact", []), batch.influence(method="exact", gram=True).gram_KK]
            super().on_batch(batch)

    weighting = Watching(mu=1e9, normalize="each", influence="optimizer-step")
    args = arguments(tmp_path, max_steps=4, learning_rate=1e-2, optim="sgd", max_grad_norm=1e9, lr_scheduler_type="constant")
    trainer = make(weighting=weighting, recorder=memory, args=args)
    trainer.train()
    equal = torch.full((3,), 1 / 3, dtype=torch.float64)
    for before, record in zip(weighting.exact, memory.steps[1:], strict=False):
        found = torch.tensor(list(record["influence"].values()), dtype=torch.float64)
        torch.testing.assert_close(found, before @ equal, rtol=0.05, atol=0.02 * (before @ equal).abs().max().item())


def test_what_the_step_moved_survives_a_checkpoint(make, tmp_path):
    trainer = make(weighting=GradientInfluence(mu=1.0, influence="optimizer-step"))
    trainer.train()
    state = json.loads(json.dumps(trainer.state_dict()))
    again = make(weighting=GradientInfluence(mu=1.0, influence="optimizer-step"))
    again.load_state_dict(state)
    assert again.step_influence.latest.influence_K.tolist() == trainer.step_influence.latest.influence_K.tolist()


@pytest.mark.parametrize("estimator", ["rloo", "grpo", "reinforce"])
def test_normalized_influence_does_not_depend_on_the_units_of_a_reward(make, tmp_path, estimator):
    weights = []
    for unit in (1.0, 1000.0):
        digits = Objective("digits", lambda completions, unit=unit: [unit * sum(map(str.isdigit, text)) for text in completions])
        memory = Memory()
        trainer = make(
            objectives=[share_of("letters", str.isalpha), digits],
            weighting=NormalizedInfluence(influence="exact"),
            estimator=estimator,
            recorder=memory,
            args=arguments(tmp_path, max_steps=3),
        )
        trainer.train()
        weights.append([list(record["weights"].values()) for record in memory.steps])
    torch.testing.assert_close(torch.tensor(weights[0]), torch.tensor(weights[1]), rtol=0.02, atol=0.02)
    assert weights[0][-1] != [0.5, 0.5]


METHOD_ARGUMENTS = {
    "lagrangian": dict(maximize="conciseness", at_least={"digits": 0.5}),
    "constrained-grpo": dict(maximize="conciseness", at_least={"digits": 0.5}),
    "scheduled": dict(points=[(0.0, [0.6, 0.2, 0.2]), (1.0, [0.2, 0.6, 0.2])]),
}


@pytest.mark.parametrize("estimator", sorted(advantages.ESTIMATORS))
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_estimator_trains_with_every_weighting(make, tmp_path, method, estimator):
    memory = Memory()
    validated = dict(eval_strategy="steps", eval_steps=1) if method == "hypervolume" else {}
    alone = dict(num_generations=16, num_generations_eval=1) if estimator == "reinforce" else {}
    asked = [{**row, "preference": [0.2, 0.3, 0.5]} for row in sums_rows(16, 6)[0]] if method == "conditioned" else None
    trainer = make(
        train_rows=asked,
        weighting=METHODS[method](**METHOD_ARGUMENTS.get(method, {})),
        estimator=estimator,
        group_size=1 if alone else None,
        recorder=memory,
        args=arguments(tmp_path, per_device_train_batch_size=16, gradient_accumulation_steps=1, **validated, **alone),
    )
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    assert len(memory.steps) == 2
    for record in memory.steps:
        # These two leave answers out, or let them count less.
        whole = pytest.approx(1) if method not in ("gd2po", "pama") else pytest.approx(0.5, abs=0.5 + 1e-9)
        assert sum(record["weights"].values()) == whole
        assert all(math.isfinite(value) for value in record["weights"].values())


def test_an_objective_that_never_varies_is_named_and_breaks_nothing(make):
    constant = Objective("always", lambda completions: [1.0] * len(completions))
    for weighting in ("gradient-influence", "normalized-influence", "stage-aware", "tchebycheff", "mgda", "upgrad", "cagrad"):
        trainer = make(objectives=[constant, share_of("letters", str.isalpha)], weighting=weighting)
        with pytest.warns(
            UserWarning, match=r"objective 'always' gave every answer the same reward \(1\) in the first 2 updates"
        ):
            trainer.train()
        assert trainer.weighting.weights().isfinite().all()


def test_a_gate_lets_an_objective_count_only_where_another_passed(make):
    first = Objective("first", lambda completions: [float(i % 2) for i in range(len(completions))])
    second = Objective("second", lambda completions: [float(len(set(text))) for text in completions], gate=Gate("first"))
    memory = Memory()
    make(objectives=[first, second], weighting=FixedWeights([0.0, 1.0]), recorder=memory).train()
    columns = memory.answers[1]
    assert None not in columns["reward/second"]
    gated = [
        score if passed else math.nan for score, passed in zip(columns["reward/second"], columns["reward/first"], strict=True)
    ]
    both = torch.tensor([columns["reward/first"], gated], dtype=torch.float64).T
    expected = advantages.combine(both, torch.tensor([0.0, 1.0]), estimator="grpo", group_size=4)
    assert columns["advantage"] == pytest.approx(expected.tolist(), abs=1e-12)
    assert any(columns["advantage"][1::2])
    assert not any(columns["advantage"][::2])


class Watching(FixedWeights):
    """Keeps what it is shown of every batch."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def on_batch(self, batch):
        self.batches.append(batch)


def test_the_rewards_that_a_weighting_sees_are_the_public_reward_matrix(make):
    """Gates, signs and missing values, of the very answers that the record keeps."""
    objectives = [
        Objective("first", lambda completions: [float(len(text) % 2) for text in completions]),
        Objective("gated", lambda completions: [float(len(text)) for text in completions], gate=Gate("first", otherwise=-1.0)),
        Objective("less", lambda completions: [float(len(set(text))) for text in completions], goal="minimize"),
        Objective("some", lambda completions: [None if len(text) % 3 else 1.0 for text in completions]),
    ]
    memory, weighting = Memory(), Watching()
    make(objectives=objectives, weighting=weighting, recorder=memory).train()
    for batch, columns in zip(weighting.batches, memory.answers.values(), strict=True):
        expected = reward_matrix(objectives, prompts=columns["prompt"], completions=columns["answer"])
        torch.testing.assert_close(batch.rewards_BK, expected.double(), equal_nan=True, rtol=0, atol=0)
        assert batch.rewards_BK[:, 2].max() < 0
        assert {-1.0} < set(batch.rewards_BK[:, 1].tolist())


def test_our_trainer_and_the_callback_show_a_weighting_the_same_batch(make, tmp_path):
    def length(completions, **columns):
        return [float(len(text)) for text in completions]

    ours, theirs = Watching(), Watching()
    arrange = dict(lr_scheduler_type="linear", max_steps=3, beta=0.0)
    make(reward_funcs=[length, length_of_words], args=arguments(tmp_path / "a", **arrange), weighting=ours).train()
    trainer = make(GRPOTrainer, [length, length_of_words], arguments(tmp_path / "b", **arrange))
    trainer.add_callback(WeightingCallback(trainer, theirs))
    trainer.train()
    said = [[(batch.learning_rate, batch.progress, batch.share) for batch in each.batches] for each in (ours, theirs)]
    assert said[0] == said[1]
    assert said[0] == [(pytest.approx(1e-3 * (1 - i / 3)), pytest.approx(i / 3), pytest.approx(1 / 3)) for i in range(3)]


def length_of_words(completions, **columns):
    return [float(len(text.split())) for text in completions]


@pytest.mark.parametrize(("cls", "config", "estimator"), [(GRPOTrainer, GRPOConfig, "grpo"), (RLOOTrainer, RLOOConfig, "rloo")])
def test_our_advantages_are_trls_own_on_the_same_rewards(make, tmp_path, cls, config, estimator):
    def brevity(completions, **columns):
        return [-len(text) / 12 for text in completions]

    def letters(completions, **columns):
        return [sum(c.isalpha() for c in text) / 12 for text in completions]

    seen = []
    trainer = make(cls, [brevity, letters], arguments(tmp_path, config, reward_weights=[0.3, 0.7], max_steps=1, beta=0.0))
    score, generate = trainer._calculate_rewards, trainer._generate_and_score_completions
    trainer._calculate_rewards = lambda *a: seen.append(score(*a)) or seen[-1]
    trainer._generate_and_score_completions = lambda inputs: seen.append(generate(inputs)["advantages"]) or generate(inputs)
    trainer.train()
    rewards, trls = seen[0], seen[1]
    ours = advantages.combine(rewards, torch.tensor([0.3, 0.7]), estimator=estimator, group_size=4)
    assert trls.abs().max() > 0.01
    torch.testing.assert_close(ours.float(), trls.float(), rtol=1e-4, atol=1e-5)


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
        (dict(weighting=FixedWeights), "must be a Weighting or a method's name"),
        (dict(weighting={"method": "fixed"}), "must be a Weighting or a method's name"),
        (dict(group_size=0), "group_size must be a number of answers, at least 1, but is 0"),
        (dict(group_size=-2, estimator="reinforce"), "group_size must be a number of answers"),
        (dict(weighting=GradientInfluence(layers=["*.layers.9.*"])), "fit no trained parameter; names are like 'model.embed"),
        (dict(group_size=1), "grpo compares answers to one prompt: group_size must be at least 2"),
        (dict(estimator="brpo", group_size=1), "brpo compares answers to one prompt"),
        (dict(weighting="lagrangian"), "has no defaults .missing: maximize, at_least.: give weighting=LagrangianConstraints"),
        (dict(objectives=[Objective("a", len, gate=Gate("b")), accuracy()]), "gated by 'b', but the others are accuracy"),
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
        sampler = GroupSampler(PromptOrder(10, shuffle=True, seed=seed), group_size=2, prompts_per_batch=3, repeats=2)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 0) != order(1, 0)
    found = order(0, 0)
    assert (
        len(found)
        == 3 * 3 * 2 * 2
        == len(GroupSampler(PromptOrder(10, shuffle=True, seed=0), group_size=2, prompts_per_batch=3, repeats=2))
    )
    assert found[:6] == found[6:12]
    assert found[0] == found[1]
    assert len(set(found)) == 9


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
        objectives=[
            Objective("first", lambda prompts: [float(p[:2]) for p in prompts], bounds=(10, 49)),
            Objective("letters", lambda completions: [float(sum(map(ord, text))) for text in completions], bounds=(0, 10_000)),
        ],
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
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.zero_()
    changed = trainer.evaluate(metric_key_prefix="test")
    assert changed["test_letters"] != points[-1][1]["letters"]
    assert (trainer.weighting.state_dict(), memory.points) == (state, points)


def test_comparisons_that_were_given_up_are_in_the_record_and_the_log(make):
    endless = Objective("endless", lambda completions: [float(equivalent("9^{9^{9^{9^8}}}", "7")) for _ in completions])
    memory = Memory()
    trainer = make(objectives=[endless, share_of("letters", str.isalpha)], recorder=memory)
    trainer.train()
    assert [record["undecided"] for record in memory.steps] == [16, 16]
    assert [entry["undecided"] for entry in trainer.state.log_history if "undecided" in entry] == [16.0, 16.0]


def test_a_run_without_such_comparisons_says_nothing_of_them(make):
    memory = Memory()
    make(recorder=memory).train()
    assert not any("undecided" in record for record in memory.steps)


def test_turns_are_kept_beside_what_the_rewards_read(make, monkeypatch):
    """As with tools: the trainer is handed messages, of which the model's own words are the answer."""
    turns = [{"role": "tool", "content": "80"}, {"role": "assistant", "content": "I do not know."}]
    memory = Memory()
    trainer = make(objectives=[accuracy(), conciseness(max_tokens=12)], recorder=memory)
    ours = trainer._calculate_rewards
    monkeypatch.setattr(
        trainer,
        "_calculate_rewards",
        lambda inputs, prompts, completions, ids: ours(inputs, prompts, [turns] * len(prompts), ids),
    )
    trainer.train()
    assert set(memory.answers[1]["answer"]) == {"I do not know."}
    assert [json.loads(kept) for kept in memory.answers[1]["messages"]] == [turns] * 16
    assert set(memory.answers[1]["reward/accuracy"]) == {0.0}


def test_trls_table_of_completions_shows_the_advantages_that_were_used(make, tmp_path):
    memory = Memory()
    trainer = make(args=arguments(tmp_path, log_completions=True), estimator="rloo", recorder=memory)
    trainer.train()
    assert list(trainer._logs["advantages"]) == memory.answers[2]["advantage"]
    assert any(memory.answers[2]["advantage"])


def test_the_logged_reward_is_by_the_weights_of_its_own_batch(make, tmp_path):
    memory = Memory()
    weights = ScheduledWeights([(0.0, [0.8, 0.1, 0.1]), (1.0, [0.1, 0.1, 0.8])])
    trainer = make(args=arguments(tmp_path, max_steps=4), weighting=weights, recorder=memory)
    trainer.train()
    logged = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    for reward, record in zip(logged, memory.steps, strict=True):
        means = {name: found["mean"] for name, found in record["rewards"].items()}
        assert reward == pytest.approx(sum(record["weights"][name] * mean for name, mean in means.items()))
    assert len({tuple(record["weights"].values()) for record in memory.steps}) == 4


@pytest.mark.parametrize(
    "settings", [{"num_iterations": 2}, {"steps_per_generation": 4}, {"num_iterations": 2, "steps_per_generation": 4}]
)
def test_a_checkpoint_waits_for_the_last_update_of_its_generation(make, tmp_path, settings):
    """Inside a generation it lacks the answers, and the resumed run would draw others."""
    updates = settings.get("num_iterations", 1) * settings.get("steps_per_generation", 2) // 2
    args = dict(settings, save_strategy="steps", save_steps=1, max_steps=2 * updates + 1, learning_rate=1e-2)
    trainer = make(args=arguments(tmp_path, **args))
    trainer.train()
    saved = sorted(int(entry.name.partition("-")[2]) for entry in tmp_path.glob("checkpoint-*"))
    assert saved == [updates, 2 * updates, 2 * updates + 1]
    whole = torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])
    resumed = make(args=arguments(tmp_path, **args))
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{updates}"))
    assert torch.equal(torch.cat([parameter.detach().flatten() for parameter in resumed.model.parameters()]), whole)


def test_reward_functions_of_one_name_are_told_apart_as_trl_takes_them(make):
    memory = Memory()
    functions = [lambda completions, **columns: [float(len(text)) for text in completions] for _ in range(2)]
    trainer = make(reward_funcs=functions, recorder=memory)
    trainer.train()
    assert [objective.name for objective in trainer.objectives] == ["<lambda>", "<lambda>-2"]
    assert list(memory.steps[0]["weights"]) == ["<lambda>", "<lambda>-2"]
    assert any("rewards/<lambda>-2/mean" in entry for entry in trainer.state.log_history)


def test_a_streamed_set_has_groups_of_trls_size_alone(tiny_policy_dir, tmp_path):
    model, tokenizer = load_policy(str(tiny_policy_dir))
    rows = Dataset.from_list(sums_rows(16, 6)[0]).to_iterable_dataset()

    def build(**options):
        objectives = [conciseness(max_tokens=12), share_of("letters", str.isalpha)]
        return PolicyTrainer(
            model, None, arguments(tmp_path), train_dataset=rows, processing_class=tokenizer, objectives=objectives, **options
        )

    with pytest.raises(InputError, match=r"group_size must be the same, but is 2: leave it out, or load the set"):
        build(group_size=2)
    build().train()
