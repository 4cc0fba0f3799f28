"""Validation goes TRL's own way: the same answers, the same numbers, and all that TRL prepares for rewards."""

import math
from pathlib import Path

import pytest
import torch
import trl
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from steelyard.errors import InputError, RunError
from steelyard.models.loading import load_policy
from steelyard.models.scratch import byte_tokenizer, new_model
from steelyard.objectives import Objective, conciseness, length_window
from steelyard.seeds import spread_seed
from steelyard.tasks.sums import sums_rows
from steelyard.training import PolicyTrainer
from steelyard.training._validation import measure, measure_prompts
from steelyard.weighting import FixedWeights

HELD_OUT = sums_rows(16, 12)[1]
ANSWERS = {row["prompt"]: row["answer"] for row in HELD_OUT}


def letters(completions, **columns):
    return [sum(map(str.isalpha, text)) / 12 for text in completions]


def digits(completions, **columns):
    return [sum(map(str.isdigit, text)) / 12 for text in completions]


def arguments(out, **changes):
    settings = dict(
        output_dir=str(out), use_cpu=True, bf16=False, per_device_train_batch_size=8, num_generations=4, max_completion_length=12, max_steps=2,
        learning_rate=1e-3, logging_steps=1, report_to="none", save_strategy="no", disable_tqdm=True, gradient_checkpointing=False,
        per_device_eval_batch_size=8,
    )  # fmt: skip
    return GRPOConfig(**{**settings, **changes})


@pytest.fixture
def make(tiny_policy_dir, tmp_path):
    def build(cls=PolicyTrainer, *, held_out=HELD_OUT, rewards=(letters, digits), changes=None, **options):
        model, tokenizer = load_policy(str(tiny_policy_dir))
        held_out = Dataset.from_list(held_out) if isinstance(held_out, list) else held_out
        if "objectives" not in options:
            options["reward_funcs"] = list(rewards)
        return cls(
            model=model,
            args=arguments(tmp_path, **(changes or {})),
            train_dataset=Dataset.from_list(sums_rows(16, 12)[0]),
            eval_dataset=held_out,
            processing_class=tokenizer,
            **options,
        )

    return build


@pytest.mark.parametrize(
    "changes", [{}, {"num_generations_eval": 1}, {"num_generations_eval": 2, "reward_weights": [3.0, 1.0]}, {"beta": 0.1}]
)
def test_the_numbers_are_those_of_trls_own_evaluation_with_the_same_seed(make, changes):
    ours = make(changes=changes)
    found = ours.evaluate()
    plain = make(GRPOTrainer, changes=changes)
    torch.manual_seed(spread_seed(plain.args.seed, "validation"))
    plain.evaluate()
    theirs, logged = plain.state.log_history[-1], ours.state.log_history[-1]
    # 12 prompts in batches of 8 answers: the last one is as full as the others but with one answer a prompt, where TRL takes a mean of means.
    copies = changes.get("num_generations_eval") or 4
    if 12 * copies % 8 == 0:
        for name in ("letters", "digits"):
            assert found[f"eval_rewards/{name}/mean"] == pytest.approx(theirs[f"eval_rewards/{name}/mean"], abs=1e-6)
            assert logged[f"eval_rewards/{name}/std"] == theirs[f"eval_rewards/{name}/std"]
        share = sum(changes.get("reward_weights", [1.0, 1.0]))
        assert share * found["eval_reward"] == pytest.approx(theirs["eval_reward"], abs=1e-6)
    assert logged["eval_completions/mean_length"] == theirs["eval_completions/mean_length"]
    assert ours.state.log_history[-1].items() >= found.items()


def test_what_is_noted_in_an_evaluation_is_logged_with_it_and_not_in_training(make):
    def noting(completions, log_metric, log_extra, **columns):
        log_metric("noted", float(len(completions)))
        log_extra("length", [len(text) for text in completions])
        return [0.0] * len(completions)

    trainer = make(
        rewards=[noting, letters], changes={"num_generations_eval": 1, "eval_strategy": "steps", "eval_steps": 1, "max_steps": 1}
    )
    trainer.train()
    noted = [
        (entry["step"], key, entry[key]) for entry in trainer.state.log_history for key in ("noted", "eval_noted") if key in entry
    ]
    # Two batches of held-out prompts, of 8 and 4.
    assert noted == [(1, "noted", 8.0), (1, "eval_noted", 6.0)]


def test_a_minimised_reward_has_one_sign_in_training_and_evaluation(make):
    cost = Objective("cost", lambda completions: [float(len(text)) for text in completions], goal="minimize")
    trainer = make(
        objectives=[cost, Objective("letters", letters)],
        changes={"eval_strategy": "steps", "eval_steps": 1, "max_steps": 1, "reward_weights": [1.0, 1.0]},
    )
    trainer.train()
    found = {key: value for entry in trainer.state.log_history for key, value in entry.items()}
    assert found["rewards/cost/mean"] < 0 < found["eval_cost"]
    assert found["eval_rewards/cost/mean"] == -found["eval_cost"]
    assert found["eval_reward"] == pytest.approx(0.5 * (found["eval_letters"] - found["eval_cost"]))


def test_the_measure_of_an_objective_is_not_logged_as_its_reward(make):
    tokens = Objective(
        "brevity", lambda completions: [0.0] * len(completions), measure=lambda completion_ids: list(map(len, completion_ids))
    )
    trainer = make(objectives=[tokens, Objective("letters", letters)], changes={"num_generations_eval": 1})
    trainer.evaluate()
    logged = trainer.state.log_history[-1]
    assert logged["eval_brevity"] > 1
    assert not {"eval_reward", "eval_reward_std", "eval_rewards/brevity/mean", "eval_rewards/brevity/std"} & set(logged)
    assert {"eval_rewards/letters/mean", "eval_rewards/letters/std"} <= set(logged)


def test_every_prompt_is_measured_once_and_its_copies_are_one_value(make):
    trainer = make(
        objectives=[Objective("first", lambda prompts: [float(p[:2]) for p in prompts]), Objective("letters", letters)],
        held_out=HELD_OUT[:11],
        changes={"num_generations_eval": 4},
    )
    values_NK = measure_prompts(trainer, trainer.eval_dataset)
    assert values_NK.shape == (11, 2)
    assert sorted(values_NK[:, 0].tolist()) == sorted(float(row["prompt"][:2]) for row in HELD_OUT[:11])
    found = measure(trainer, trainer.eval_dataset)
    assert found.prompts == 11
    # The standard error is of prompts, not of answers: an answer's copies are not independent of it.
    assert found.standard_errors["letters"] == pytest.approx(values_NK[:, 1].std().item() / math.sqrt(11))
    assert trainer.evaluate()["eval_se/letters"] == found.standard_errors["letters"]


def test_rewards_with_a_state_are_not_moved_by_a_validation(make):
    class Counting:
        __name__ = "counting"

        def __init__(self):
            self.seen = 0

        def __call__(self, completions, **columns):
            self.seen += len(completions)
            return [float(self.seen)] * len(completions)

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    counting = Counting()
    trainer = make(rewards=[counting, letters])
    trainer.evaluate()
    assert counting.seen == 0


def test_fields_that_a_rollout_adds_reach_the_rewards(make):
    def rollout(prompts, trainer):
        ids = [trainer.processing_class(text=prompt)["input_ids"] for prompt in prompts]
        return {
            "prompt_ids": ids,
            "completion_ids": [[5, 6] for _ in prompts],
            "logprobs": [[0.0, 0.0]] * len(prompts),
            "bonus": [7.0] * len(prompts),
        }

    trainer = make(rewards=[lambda completions, bonus, **columns: bonus, letters], rollout_func=rollout)
    assert trainer.evaluate()["eval_<lambda>"] == 7.0
    with pytest.raises(InputError, match="does not reach a rollout_func"):
        make(rewards=[letters], rollout_func=rollout, validation_sampling="greedy").evaluate()


class Counter:
    """An environment: every episode has a number, which its reward gives back."""

    made = 0

    def reset(self, number=None, **columns):
        self.number = number
        return f" number {number}"

    def look(self) -> int:
        """Look at the number.

        Returns:
            The number.
        """
        return self.number

    def get_reward(self):
        return float(self.number)


@pytest.fixture
def with_environment(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
    rows = [{"prompt": [{"role": "user", "content": "Say"}], "number": float(number)} for number in range(8)]

    def build(cls=PolicyTrainer, **changes):
        return cls(
            model=new_model(tokenizer, width=16, layers=1, heads=2, context=2048, seed=0),
            args=arguments(tmp_path, max_completion_length=4, max_steps=1, **changes),
            train_dataset=Dataset.from_list(rows),
            eval_dataset=Dataset.from_list([row | {"number": row["number"] + 100} for row in rows]),
            processing_class=tokenizer,
            environment_factory=Counter,
        )

    return build


def test_environments_are_reset_for_every_held_out_prompt_and_own_their_rewards(with_environment):
    trainer = with_environment(eval_strategy="steps", eval_steps=1, eval_on_start=True, num_generations_eval=1)
    assert [objective.name for objective in trainer.objectives] == ["Counter"]
    trainer.train()
    found = [entry["eval_Counter"] for entry in trainer.state.log_history if "eval_Counter" in entry]
    assert found == [103.5, 103.5]
    plain = with_environment(GRPOTrainer, num_generations_eval=1)
    plain.evaluate()
    assert plain.state.log_history[-1]["eval_rewards/Counter/mean"] == 103.5


class Server:
    """What TRL's vLLM server gives: n answers to each prompt that it is sent once, the right one where the sampling is greedy."""

    def __init__(self, trainer):
        self.trainer, self.asked = trainer, []

    def generate(self, prompts, n, temperature, generation_kwargs, **others):
        self.asked.append((len(prompts), n, temperature, generation_kwargs))
        tokenizer = self.trainer.processing_class
        answers = []
        for ids in prompts:
            answers += [tokenizer(text=ANSWERS[tokenizer.decode(ids, skip_special_tokens=True)])["input_ids"]] * n
        return {"prompt_ids": prompts, "completion_ids": answers, "logprobs": [[[0.0]] * len(ids) for ids in answers]}


def on_a_server(trainer):
    """The trainer with TRL's own client code for a vLLM server, in front of one that is played here."""
    from trl.generation.vllm_generation import VLLMGeneration

    generation = VLLMGeneration.__new__(VLLMGeneration)
    settings = dict(
        mode="server", accelerator=trainer.accelerator, temperature=1.0, top_p=1.0, top_k=0, min_p=None, repetition_penalty=1.0, max_completion_length=12,
        logprobs=0, structured_outputs_regex=None, generation_kwargs={"temperature": 0.7, "stop": ["x"]}, vllm_client=Server(trainer),
        sync_weights=lambda: None,
    )  # fmt: skip
    for key, value in settings.items():
        setattr(generation, key, value)
    trainer.use_vllm, trainer.vllm_generation, trainer._last_loaded_step = True, generation, 0
    trainer.vllm_importance_sampling_correction = False
    return trainer


def right(prompts, completions, **columns):
    return [float(text == ANSWERS[prompt]) for prompt, text in zip(prompts, completions, strict=True)]


@pytest.mark.parametrize("copies", [None, 1, 2])
def test_a_perfect_policy_behind_a_vllm_server_measures_1(make, copies):
    trainer = on_a_server(make(rewards=[right, letters], validation_sampling="greedy", changes={"num_generations_eval": copies}))
    assert trainer.evaluate()["eval_right"] == 1.0
    asked = trainer.vllm_generation.vllm_client.asked
    assert sum(prompts for prompts, *_ in asked) == 12
    # Greedy reaches the server, whatever generation_kwargs say, and is gone afterwards.
    assert {(n, temperature) for _, n, temperature, _ in asked} == {(copies or 4, 0.0)}
    assert all(kwargs == {"stop": ["x"]} for *_, kwargs in asked)
    assert (trainer.vllm_generation.temperature, trainer.vllm_generation.generation_kwargs) == (
        1.0,
        {"temperature": 0.7, "stop": ["x"]},
    )


def test_sampled_validation_with_vllm_is_refused_since_its_seed_would_be_one_for_all_prompts(make):
    with pytest.raises(InputError, match=r"sampled validation with vLLM .*: give validation_sampling='greedy'"):
        on_a_server(make(rewards=[right])).evaluate()


def test_several_sets_are_measured_by_name_and_together(make):
    sets = {"few": Dataset.from_list(HELD_OUT[:4]), "many": Dataset.from_list(HELD_OUT[4:])}
    trainer = make(held_out=sets, weighting=FixedWeights(), changes={"eval_strategy": "steps", "eval_steps": 1, "max_steps": 1})
    found = trainer.evaluate()
    assert found["eval_letters"] == pytest.approx((4 * found["eval_few_letters"] + 8 * found["eval_many_letters"]) / 12)
    assert trainer.evaluate("few")["eval_letters"] == found["eval_few_letters"]
    given = trainer.evaluate({"other": sets["many"]})
    assert given["eval_other_letters"] == given["eval_letters"] == found["eval_many_letters"]
    with pytest.raises(
        InputError, match=r"no held-out prompts of the name 'fwe': eval_dataset has few, many \(did you mean 'few'\?\)"
    ):
        trainer.evaluate("fwe")
    with pytest.raises(InputError, match="no held-out prompts of the name 'few': eval_dataset has one set without a name"):
        make().evaluate("few")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "must be a dataset, or sets by name, but found a number"),
        ({"few": None}, "must be a dataset, or sets by name, but found nothing"),
        ({"few": "many"}, "must be a dataset, or sets by name, but found a text"),
        ({"few": {"inner": HELD_OUT}}, "must be a dataset, or sets by name, but found a dictionary"),
        ({}, "the dictionary of sets is empty"),
        ([], "the held-out prompts are empty"),
        (Dataset.from_list(HELD_OUT).to_iterable_dataset().filter(lambda row: False), "fill no evaluation batch"),
        ((row for row in HELD_OUT), "must be a dataset, or sets by name, but found a generator"),
    ],
)
def test_what_holds_no_prompts_is_refused(make, given, message):
    with pytest.raises(InputError, match=message):
        make().evaluate(given)


def test_a_stream_of_prompts_is_measured_as_a_set_of_them(make):
    # TRL shuffles a stream in another order than a set, so that their answers are the same only without chance.
    held_out, greedy = Dataset.from_list(HELD_OUT), {"validation_sampling": "greedy"}
    measured = make(**greedy).evaluate(held_out)
    streamed = make(**greedy).evaluate(held_out.to_iterable_dataset())
    assert streamed == pytest.approx(measured)
    own = make(held_out={"stream": held_out.to_iterable_dataset()}, **greedy).evaluate()
    assert own["eval_stream_letters"] == pytest.approx(measured["eval_letters"])


def test_a_batch_that_is_not_full_is_left_out_where_the_loader_leaves_it_out(make):
    eight, ten = Dataset.from_list(HELD_OUT[:8]), Dataset.from_list(HELD_OUT[:10])
    dropping = {"dataloader_drop_last": True, "num_generations_eval": 1}
    assert make(changes=dropping).evaluate(ten) == make(changes=dropping).evaluate(eight)
    with pytest.raises(InputError, match=r"fill no evaluation batch: .* or dataloader_drop_last=False"):
        make(changes=dropping).evaluate(Dataset.from_list(HELD_OUT[:7]))


def test_the_best_model_can_be_chosen_by_one_of_several_sets(make):
    sets = {"few": Dataset.from_list(HELD_OUT[:4]), "many": Dataset.from_list(HELD_OUT[4:])}
    every = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True}
    trainer = make(held_out=sets, changes=every | {"metric_for_best_model": "eval_many_letters", "greater_is_better": True})
    trainer.train()
    points = [entry["eval_many_letters"] for entry in trainer.state.log_history if "eval_many_letters" in entry]
    assert len(points) == 2
    assert trainer.state.best_metric == max(points)


def test_an_objective_that_applies_to_one_of_several_sets_is_measured_there(make):
    rows = [row | {"domain": "a" if i < 4 else "b"} for i, row in enumerate(HELD_OUT)]
    sets = {"a": Dataset.from_list(rows[:4]), "b": Dataset.from_list(rows[4:])}
    trainer = make(held_out=sets, objectives=[Objective("letters", letters, applies_to=["a"]), Objective("digits", digits)])
    found = trainer.evaluate()
    assert found["eval_letters"] == found["eval_a_letters"]
    assert not {"eval_b_letters", "eval_b_reward"} & set(found)
    with pytest.raises(RunError, match="objective 'letters' applies to no validation prompt"):
        trainer.evaluate("b")


@pytest.mark.parametrize("empty", [[], {"some": Dataset.from_list(HELD_OUT), "none": Dataset.from_list([])}, {}])
def test_empty_sets_are_refused_at_the_start(make, empty):
    empty = Dataset.from_list(empty) if empty == [] else empty
    with pytest.raises(InputError, match=r"held-out prompts.* empty"):
        make(held_out=empty, changes={"eval_strategy": "steps", "eval_steps": 1})
    with pytest.raises(InputError, match=r"held-out prompts.* empty"):
        make().evaluate(empty)
    with pytest.raises(InputError, match="validation needs held-out prompts: give eval_dataset="):
        make(held_out=None).evaluate()


def test_copies_that_do_not_divide_a_batch_are_refused(make):
    with pytest.raises(InputError, match=r"num_generations_eval must divide the 6 answers of an evaluation batch .*, but is 4"):
        make(changes={"per_device_eval_batch_size": 6}).evaluate()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "must be one of eval_cost, eval_letters, .*, but is 'loss', TRL's default"),
        ({"metric_for_best_model": "eval_leters"}, r"but is 'eval_leters' \(did you mean 'eval_letters'\?\)"),
        (
            {"metric_for_best_model": "cost"},
            "would keep the worst model by eval_cost, which is better when smaller: set greater_is_better=False",
        ),
        ({"metric_for_best_model": "letters", "greater_is_better": False}, "better when larger: set greater_is_better=True"),
    ],
)
def test_a_best_model_by_what_is_not_measured_or_by_the_worst_is_refused_at_the_start(make, changes, message):
    objectives = [Objective("cost", digits, goal="minimize"), Objective("letters", letters)]
    best = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True}
    with pytest.raises(InputError, match=message):
        make(objectives=objectives, changes=best | changes)


def test_the_best_model_is_loaded_at_the_end(make):
    objectives = [Objective("cost", digits, goal="minimize"), Objective("letters", letters)]
    best = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "load_best_model_at_end": True,
        "learning_rate": 0.3,
    }
    trainer = make(
        objectives=objectives, changes=best | {"metric_for_best_model": "eval_cost", "greater_is_better": False, "max_steps": 3}
    )
    trainer.train()
    costs = [entry["eval_cost"] for entry in trainer.state.log_history if "eval_cost" in entry]
    assert len(set(costs)) > 1
    trainer.validated_at = None
    assert trainer.evaluate()["eval_cost"] == min(costs)


def test_plain_lists_of_rows_can_be_measured(make):
    trainer = make()
    assert trainer.evaluate(HELD_OUT) == trainer.evaluate(Dataset.from_list(HELD_OUT))


def test_a_model_that_generation_leaves_in_training_mode_is_still_being_evaluated(make, monkeypatch):
    """As transformers' continuous batching does."""
    trainer = make()
    generate = GRPOTrainer._generate_single_turn

    def and_train(self, *args, **kwargs):
        try:
            return generate(self, *args, **kwargs)
        finally:
            self.model.train()

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", and_train)
    batches = []
    monkeypatch.setattr(trainer.weighting, "on_batch", batches.append)
    trainer.evaluate()
    assert not batches
    assert trainer._buffered_inputs is None


@pytest.mark.parametrize("kind", [conciseness, lambda: length_window(low=1, high=2)])
def test_a_length_leaves_out_what_tools_said(make, kind):
    """`completion_ids` has the tokens of tools' results as well; here the last three of five are a tool's."""

    def rollout(prompts, trainer):
        ids = [trainer.processing_class(text=prompt)["input_ids"] for prompt in prompts]
        said = {"completion_ids": [[5, 6, 7, 8, 9]] * len(prompts), "env_mask": [[1, 1, 0, 0, 0]] * len(prompts)}
        return {"prompt_ids": ids, "logprobs": [[0.0] * 5] * len(prompts), **said}

    objective = kind()
    trainer = make(objectives=[objective, Objective("letters", letters)], rollout_func=rollout)
    assert trainer.evaluate()[f"eval_{objective.name}"] == {"conciseness": 2.0, "length": 1.0}[objective.name]
