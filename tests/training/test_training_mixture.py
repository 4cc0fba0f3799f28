"""A mixture in the trainers: whole groups, the same rows after a resumed run, loss weights that are what they say."""

import json
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from steelyard.errors import InputError
from steelyard.mixture import AdaptiveCooldown, Cooldown, scalarization_weights
from steelyard.models.loading import load_policy
from steelyard.objectives import Objective
from steelyard.training import Mixture, MixtureSFTTrainer, PolicyTrainer, use_mixture
from steelyard.training._domain_order import DomainOrder

ROWS = [{"prompt": f"{i}+{i}=", "text": f"{i}+{i}={2 * i}", "domain": "b" if i % 10 == 9 else "a"} for i in range(40)]


def config(kind, tmp_path, **changes):
    settings = dict(
        output_dir=str(tmp_path / "out"), max_steps=4, per_device_train_batch_size=8, use_cpu=True, bf16=False, report_to="none",
        disable_tqdm=True, save_strategy="no", logging_steps=1, learning_rate=1e-3, gradient_checkpointing=False,
    )  # fmt: skip
    return kind(**{**settings, **changes})


def grpo(kind, tiny_policy_dir, tmp_path, seen=None, rows=ROWS, **keywords):
    model, tokenizer = load_policy(str(tiny_policy_dir))

    def length(prompts, completions, **columns):
        if seen is not None:
            seen.append(list(prompts))
        return [float(len(text)) for text in completions]

    def one(completions, **columns):
        return [float("1" in text) for text in completions]

    keywords.setdefault("reward_funcs", [length] if kind is GRPOTrainer else [length, one])
    return kind(
        model=model,
        args=config(GRPOConfig, tmp_path, num_generations=4, max_completion_length=4, **keywords.pop("args", {})),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        **keywords,
    )


def sft(tiny_policy_dir, tmp_path, *, args=None, kind=MixtureSFTTrainer, **keywords):
    model, tokenizer = load_policy(str(tiny_policy_dir))
    rows = [{"text": row["text"], "domain": row["domain"]} for row in ROWS]
    return kind(
        model=model,
        args=config(SFTConfig, tmp_path, **(args or {})),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows[5:15]),
        processing_class=tokenizer,
        **keywords,
    )


def test_an_unmodified_grpo_trainer_draws_whole_groups_by_the_mixture(tiny_policy_dir, tmp_path):
    seen = []
    trainer = grpo(GRPOTrainer, tiny_policy_dir, tmp_path, seen, args={"steps_per_generation": 2})
    order = use_mixture(trainer, Mixture("constant:inf"))
    trainer.train()
    # Two generations of 16 answers, 4 prompts each, of which a half belongs to the small domain.
    assert [len(batch) for batch in seen] == [16, 16]
    expected = [ROWS[i]["prompt"] for i in order]
    for number, batch in enumerate(seen):
        assert batch == [prompt for prompt in expected[number * 4 : number * 4 + 4] for _ in range(4)]
        assert order.drawn(number) == {"a": 2, "b": 2}


def test_an_unmodified_sft_trainer_draws_by_the_mixture_and_its_epochs_become_steps(tiny_policy_dir, tmp_path):
    trainer = sft(tiny_policy_dir, tmp_path, kind=SFTTrainer, args={"max_steps": -1, "num_train_epochs": 2.0})
    order = use_mixture(trainer, "constant:1")
    assert trainer.args.max_steps == 10
    trainer.train()
    assert trainer.state.global_step == 10
    assert sorted(order) == sorted([*range(40), *range(40)])


def test_a_strategy_by_epoch_becomes_one_by_as_many_steps_as_draw_all_rows_once(tiny_policy_dir, tmp_path):
    by_epoch = {"max_steps": -1, "num_train_epochs": 3.0, "eval_strategy": "epoch", "save_strategy": "epoch"}
    trainer = sft(tiny_policy_dir, tmp_path, mixture="constant:1", args=by_epoch)
    trainer.train()
    assert trainer.state.max_steps == 15
    assert [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry] == [5, 10, 15]
    assert sorted(path.name for path in (tmp_path / "out").glob("checkpoint-*")) == [
        "checkpoint-10",
        "checkpoint-15",
        "checkpoint-5",
    ]


@pytest.mark.parametrize("restored", [False, True])
def test_an_unmodified_trainer_is_resumed_with_its_own_mixture_alone(tiny_policy_dir, tmp_path, restored):
    args = {"save_strategy": "steps", "save_steps": 2}
    whole = sft(tiny_policy_dir, tmp_path / "whole", kind=SFTTrainer, args={"max_steps": 4})
    use_mixture(whole, "cooldown:100,1,0.5")
    whole.train()
    first = sft(tiny_policy_dir, tmp_path, kind=SFTTrainer, args=args)
    use_mixture(first, "cooldown:100,1,0.5")
    first.train()
    checkpoint = str(tmp_path / "out" / "checkpoint-2")
    again = sft(tiny_policy_dir, tmp_path, kind=SFTTrainer, args={**args, "restore_callback_states_from_checkpoint": restored})
    use_mixture(again, "cooldown:100,1,0.5")
    again.train(resume_from_checkpoint=checkpoint)
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    other = sft(tiny_policy_dir, tmp_path, kind=SFTTrainer, args={**args, "restore_callback_states_from_checkpoint": restored})
    use_mixture(other, "constant:1")
    with pytest.raises(InputError, match=r"the mixture's segments was \[0, 2, 4\] when the run began and is \[0, 4\] now"):
        other.train(resume_from_checkpoint=checkpoint)
    without = sft(tiny_policy_dir, tmp_path / "without", kind=SFTTrainer, args=args)
    without.train()
    late = sft(tiny_policy_dir, tmp_path / "without", kind=SFTTrainer, args=args)
    use_mixture(late, "constant:1")
    with pytest.raises(InputError, match="does not say by which mixture it was made"):
        late.train(resume_from_checkpoint=str(tmp_path / "without" / "out" / "checkpoint-2"))


def test_a_checkpoint_of_an_unmodified_trainer_is_taken_up_with_its_mixture_alone(tiny_policy_dir, tmp_path):
    args = {"save_strategy": "steps", "save_steps": 2}
    for name, mixture in (("plain", None), ("mixed", "constant:1")):
        first = sft(tiny_policy_dir, tmp_path / name, kind=SFTTrainer, args=args)
        if mixture is not None:
            use_mixture(first, mixture)
        first.train()
    with pytest.raises(InputError, match="does not say by which mixture it was made"):
        sft(tiny_policy_dir, tmp_path, mixture="constant:1", args=args).train(str(tmp_path / "plain" / "out" / "checkpoint-2"))
    checkpoint = str(tmp_path / "mixed" / "out" / "checkpoint-2")
    with pytest.raises(InputError, match="the mixture's segments was"):
        sft(tiny_policy_dir, tmp_path, mixture="cooldown", args=args).train(checkpoint)
    same = sft(tiny_policy_dir, tmp_path, mixture="constant:1", args=args)
    same.train(checkpoint)
    assert same.state.global_step == 4


def test_a_policy_trainer_is_resumed_with_its_own_mixture_alone(tiny_policy_dir, tmp_path):
    args = {"save_strategy": "steps", "save_steps": 2}
    for name, mixture in (("plain", {}), ("mixed", {"mixture": "constant:1"})):
        grpo(PolicyTrainer, tiny_policy_dir, tmp_path / name, args=args, **mixture).train()
    plain, mixed = (str(tmp_path / name / "out" / "checkpoint-2") for name in ("plain", "mixed"))
    with pytest.raises(InputError, match="does not say by which mixture it was made"):
        grpo(PolicyTrainer, tiny_policy_dir, tmp_path, args=args, mixture="constant:1").train(plain)
    with pytest.raises(InputError, match="the checkpoint was made with a mixture"):
        grpo(PolicyTrainer, tiny_policy_dir, tmp_path, args=args).train(mixed)
    with pytest.raises(InputError, match="the mixture's shares was"):
        grpo(PolicyTrainer, tiny_policy_dir, tmp_path, args=args, mixture="constant:inf").train(mixed)
    with pytest.raises(InputError, match="the mixture's sizes was"):
        grpo(PolicyTrainer, tiny_policy_dir, tmp_path, args=args, mixture="constant:1", rows=ROWS[:30]).train(mixed)
    same = grpo(PolicyTrainer, tiny_policy_dir, tmp_path, args=args, mixture="constant:1")
    same.train(mixed)
    assert same.state.global_step == 4


def test_arguments_that_two_trainers_share_are_laid_out_for_each(tiny_policy_dir, tmp_path):
    shared = config(SFTConfig, tmp_path, max_steps=-1, num_train_epochs=2, eval_strategy="epoch")
    model, tokenizer = load_policy(str(tiny_policy_dir))
    steps = []
    for rows in (ROWS, ROWS * 3):
        dataset = Dataset.from_list([{"text": row["text"], "domain": row["domain"]} for row in rows])
        trainer = SFTTrainer(model, shared, train_dataset=dataset, eval_dataset=dataset, processing_class=tokenizer)
        use_mixture(trainer, "constant:1")
        steps.append((trainer.args.max_steps, trainer.args.eval_steps))
    assert steps == [(10, 5), (30, 15)]
    assert (shared.max_steps, shared.eval_strategy) == (-1, "epoch")


def test_the_last_mixture_given_is_the_one_and_a_changed_length_is_refused(tiny_policy_dir, tmp_path):
    trainer = sft(tiny_policy_dir, tmp_path, kind=SFTTrainer)
    use_mixture(trainer, "cooldown")
    order = use_mixture(trainer, "constant:inf")
    trainer.train()
    assert trainer.state.stateful_callbacks["MixtureState"]["order"] == order.state_dict()
    trainer.args.max_steps = 12
    with pytest.raises(InputError, match="laid out over 4 batches of 8, but the arguments ask for 12 of 8 now"):
        trainer.train()
    trainer.args.max_steps, trainer.args.gradient_accumulation_steps = 4, 3
    with pytest.raises(InputError, match="laid out over 4 batches of 8, but the arguments ask for 4 of 24 now"):
        trainer.train()


def test_another_run_of_the_same_trainer_starts_over(tiny_policy_dir, tmp_path):
    args = {"max_steps": 12, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
    trainer = sft(tiny_policy_dir, tmp_path, mixture=TurnsAtTheThird(), args=args)
    trainer.train()
    first = trainer.order.cooled_at
    assert first is not None
    state = json.loads((tmp_path / "out" / "checkpoint-2" / "trainer_state.json").read_text())
    trainer.order.load_state_dict(state["stateful_callbacks"]["MixtureState"]["order"])
    assert (trainer.order.cooled_at, len(trainer.order.history)) == (None, 1)
    assert trainer.order.drawn(10) == sft(tiny_policy_dir, tmp_path, mixture=TurnsAtTheThird(), args=args).order.drawn(10)
    trainer.train()
    assert trainer.order.cooled_at == first


def test_a_domain_without_a_target_has_no_loss(tiny_policy_dir, tmp_path):
    trainer = sft(tiny_policy_dir, tmp_path, mixture="constant:1")
    rows = [*trainer.eval_dataset, {"input_ids": [3], "labels": [3], "domain": "short"}]
    kept = [{name: row[name] for name in ("input_ids", "domain")} for row in rows]
    assert set(trainer.evaluate(Dataset.from_list(kept))) == {"eval_loss", "eval_loss/a", "eval_loss/b"}


def test_a_validation_measures_the_weights_there_are_and_tells_of_each_update_once(tiny_policy_dir, tmp_path):
    class Recorder:
        def __init__(self):
            self.told = []

        def on_step(self, record):
            pass

        def on_validation(self, step, losses, tokens, seconds):
            self.told.append(step)

        def on_message(self, text):
            pass

    recorder = Recorder()
    trainer = sft(tiny_policy_dir, tmp_path, args={"eval_strategy": "steps", "eval_steps": 2}, recorder=recorder)
    trainer.train()
    assert recorder.told == [2, 4]
    before = trainer.evaluate()
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.mul_(1.5)
    after = trainer.evaluate(metric_key_prefix="test")
    assert set(after) == {"test_loss", "test_loss/a", "test_loss/b"}
    assert abs(after["test_loss"] - before["eval_loss"]) > 0.01
    named = trainer.evaluate({"one": trainer.eval_dataset})
    assert named == {f"eval_one_{name.partition('_')[2]}": value for name, value in after.items()}
    assert recorder.told == [2, 4]
    trainer.args.eval_steps = 4
    trainer.train()
    assert recorder.told == [2, 4, 4]


def test_a_run_that_is_resumed_at_its_end_is_not_told_of_its_last_validation_again(tiny_policy_dir, tmp_path):
    made = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 4}
    sft(tiny_policy_dir, tmp_path, args=made).train()
    resumed = sft(tiny_policy_dir, tmp_path, args=made)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    assert (resumed.state.global_step, resumed.validated_at) == (4, 4)


def test_the_best_model_by_a_domains_loss_is_the_one_with_the_lowest(tiny_policy_dir, tmp_path):
    args = {
        "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss/b", "learning_rate": 0.5,
    }  # fmt: skip
    trainer = sft(tiny_policy_dir, tmp_path, args=args)
    trainer.train()
    losses = [entry["eval_loss/b"] for entry in trainer.state.log_history if "eval_loss/b" in entry]
    assert max(losses) - min(losses) > 0.1
    assert trainer.evaluate()["eval_loss/b"] == pytest.approx(min(losses), abs=1e-4)


def test_the_policy_trainer_records_draws_and_counts_advantages_by_scalarization(tiny_policy_dir, tmp_path):
    class Recorder:
        answers, steps = [], []

        def on_answers(self, step, columns):
            self.answers.append(columns)

        def on_step(self, record):
            self.steps.append(record)

    made = {}
    for by in ("sampling", "scalarization"):
        recorder = Recorder()
        recorder.answers, recorder.steps = [], []
        trainer = grpo(
            PolicyTrainer, tiny_policy_dir, tmp_path, recorder=recorder, args={"max_steps": 1, "per_device_train_batch_size": 40},
            mixture=Mixture("constant:1" if by == "sampling" else "constant:5", by=by),
        )  # fmt: skip
        trainer.train()
        made[by] = recorder
        assert sum(recorder.steps[0]["draws"].values()) == 10
    plain, weighted = made["sampling"].answers[0], made["scalarization"].answers[0]
    assert plain["prompt"] == weighted["prompt"]
    assert plain["answer"] == weighted["answer"]
    weights = dict(zip("ab", scalarization_weights([36, 4], 5.0), strict=True))
    expected = [a * weights[d] for a, d in zip(plain["advantage"], plain["domain"], strict=True)]
    assert any(abs(a) > 0.1 for a in expected)
    assert list(weighted["advantage"]) == pytest.approx(expected, abs=1e-6)


def test_scalarization_multiplies_every_tokens_loss_by_its_domains_weight(tiny_policy_dir, tmp_path):
    trainer = sft(tiny_policy_dir, tmp_path, mixture=Mixture("constant:5", by="scalarization"))
    rows = [trainer.train_dataset[i] for i in (0, 9, 3)]
    batch = trainer.data_collator(rows)
    labels = batch.pop("domain_label")
    assert labels == ["a", "b", "a"]
    weights = torch.tensor(scalarization_weights([36, 4], 5.0))[trainer.order.index_of(labels)].float()
    trainer.model.train()
    count = (batch["labels"][:, 1:] != -100).sum()
    loss = trainer.compute_loss(trainer.model, {**batch, "loss_weight": weights}, num_items_in_batch=count)
    found = torch.autograd.grad(loss, list(trainer.model.parameters()))
    logits = trainer.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    token_loss = F.cross_entropy(logits.transpose(1, 2), batch["labels"][:, 1:], reduction="none", ignore_index=-100)
    expected = torch.autograd.grad((token_loss * weights[:, None]).sum() / count, list(trainer.model.parameters()))
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_step_takes_those_weights_from_the_schedule(tiny_policy_dir, tmp_path):
    ends = {}
    for schedule in ("constant:1", "constant:5"):
        trainer = sft(tiny_policy_dir, tmp_path, mixture=Mixture(schedule, by="scalarization"), args={"max_steps": 2})
        trainer.train()
        ends[schedule] = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    plain = sft(tiny_policy_dir, tmp_path, mixture="constant:1", args={"max_steps": 2})
    plain.train()
    same = torch.cat([p.detach().flatten() for p in plain.model.parameters()])
    assert torch.equal(ends["constant:1"], same)
    assert not torch.equal(ends["constant:5"], same)


def test_held_out_losses_are_means_over_a_domains_tokens(tiny_policy_dir, tmp_path):
    trainer = sft(tiny_policy_dir, tmp_path, mixture="constant:1", args={"per_device_eval_batch_size": 3})
    metrics = trainer.evaluate()
    sums, counts = {"a": 0.0, "b": 0.0}, {"a": 0, "b": 0}
    for row in trainer.eval_dataset:
        ids = torch.tensor([row["input_ids"]])
        loss = F.cross_entropy(trainer.model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="sum").item()
        sums[row["domain"]] += loss
        counts[row["domain"]] += ids.shape[1] - 1
    for name in "ab":
        assert metrics[f"eval_loss/{name}"] == pytest.approx(sums[name] / counts[name], rel=1e-5)
    assert metrics["eval_loss"] == pytest.approx(sum(sums.values()) / sum(counts.values()), rel=1e-5)


class TurnsAtTheThird(AdaptiveCooldown):
    """Whatever the losses, so that the test does not hang on them."""

    def turned(self, losses):
        return len(losses) == 3


@pytest.mark.parametrize("mixture", ["cooldown", Mixture("cooldown", by="scalarization"), TurnsAtTheThird()])
def test_a_supervised_run_resumed_twice_ends_where_the_unbroken_one_does(tiny_policy_dir, tmp_path, mixture):
    def trainer(steps_to_stop):
        made = sft(
            tiny_policy_dir, tmp_path, mixture=mixture,
            args={
                "max_steps": 12, "save_strategy": "steps", "save_steps": 4, "eval_strategy": "steps", "eval_steps": 2,
                "gradient_accumulation_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 3e-2,
            },
        )  # fmt: skip
        if steps_to_stop:
            from transformers import TrainerCallback

            class Stop(TrainerCallback):
                def on_step_end(self, args, state, control, **kwargs):
                    control.should_training_stop = state.global_step >= steps_to_stop

            made.add_callback(Stop())
        return made

    whole = trainer(None)
    whole.train()
    expected = [p.detach().clone() for p in whole.model.parameters()]
    if isinstance(mixture, TurnsAtTheThird):
        assert whole.order.cooled_at == 7
    for stop, checkpoint in ((4, None), (8, "checkpoint-4"), (None, "checkpoint-8")):
        part = trainer(stop)
        part.train(resume_from_checkpoint=None if checkpoint is None else str(tmp_path / "out" / checkpoint))
    assert all(torch.equal(a, b) for a, b in zip(expected, part.model.parameters(), strict=True))


def test_an_adaptive_cooldown_changes_the_order_from_where_it_cools_and_not_before():
    labels = ["a"] * 90 + ["b"] * 10

    def order():
        return DomainOrder(Mixture(AdaptiveCooldown(patience=1)), labels, num_samples=200, batch_size=10, seed=1)

    untouched, cooled = list(order()), order()
    drawn = []
    for number, row in enumerate(cooled):
        drawn.append(row)
        if number == 59:
            assert cooled.on_validation({"a": 1.0, "b": 2.0}) is None
        if number == 79:
            assert "cooled down at step 8" in cooled.on_validation({"a": 0.5, "b": 2.1})
    assert drawn[:80] == untouched[:80]
    assert drawn[80:] != untouched[80:]
    assert [cooled.drawn(batch)["b"] for batch in range(8, 20)] == [1] * 12
    # The latest moment holds where the loss never turns.
    assert order().drawn(15)["b"] > 1
    assert order().drawn(17)["b"] == 1


def test_an_adaptive_cooldown_that_is_resumed_between_its_lowest_loss_and_its_turn_turns_as_well():
    def order():
        mixture = Mixture(AdaptiveCooldown(5.0, 1.0, 0.9, patience=2))
        return DomainOrder(mixture, ["a"] * 90 + ["b"] * 10, num_samples=200, batch_size=10, seed=0)

    def go_on(made, losses):
        """What it draws with these losses, one after every two batches, from where it is."""
        found = []
        for number, row in enumerate(made):
            found.append(row)
            if number % 20 == 19 and (number // 20) in losses:
                made.on_validation({"a": 1.0, "b": losses[number // 20]})
        return found

    losses = {0: 3.0, 1: 2.0, 2: 2.1, 3: 2.2, 4: 2.3}
    whole = order()
    rows = go_on(whole, losses)
    assert whole.cooled_at == 8
    broken = order()
    go_on(broken, {number: loss for number, loss in losses.items() if number < 3})
    assert broken.cooled_at is None
    resumed = order()
    resumed.load_state_dict(json.loads(json.dumps(broken.state_dict())))
    assert go_on(resumed, {number: loss for number, loss in losses.items() if number >= 3}) == rows
    assert resumed.cooled_at == 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda *a: sft(*a, mixture="constnt:1"), "did you mean 'constant'"),
        (lambda *a: sft(*a, mixture=3), "must be a Schedule or its name, but is 3"),
        (lambda *a: sft(*a, mixture=Mixture(column="lang")), r"needs the column 'lang' in the training set \(columns found:"),
        (lambda *a: sft(*a, args={"packing": True, "max_length": 32}, mixture="cooldown"), "joins examples of several domains"),
        (lambda *a: use_mixture(sft(*a, args={"packing": True, "max_length": 32}, kind=SFTTrainer)), "packing mixes domains"),
        (lambda *a: sft(*a, args={"eval_packing": True, "max_length": 32}, mixture="cooldown"), "packing mixes domains"),
        (lambda *a: sft(*a, args={"padding_free": True, "max_length": None}, mixture="cooldown"), "padding_free joins examples"),
        (lambda *a: sft(*a, args={"label_smoothing_factor": 0.1}, mixture=Mixture(by="scalarization")), "weights a plain loss"),
        (lambda *a: use_mixture(sft(*a, kind=SFTTrainer), "adaptive"), "needs steelyard.training.MixtureSFTTrainer"),
        (lambda *a: sft(*a, args={"ignore_data_skip": True}), "ignore_data_skip begins the mixture anew"),
        (
            lambda *a: sft(*a, args={"train_sampling_strategy": "sequential"}),
            "train_sampling_strategy='sequential' orders the rows",
        ),
        (lambda *a: sft(*a, compute_metrics=len), "compute_metrics is never called"),
        (
            lambda *a: sft(*a, args={"metric_for_best_model": "eval_mean_token_accuracy"}),
            "must be eval_loss, or eval_loss/DOMAIN",
        ),
        (
            lambda *a: sft(*a, args={"metric_for_best_model": "eval_loss/c"}),
            "of which something is held out, but is 'eval_loss/c'",
        ),
        (lambda *a: use_mixture(sft(*a)), "a MixtureSFTTrainer takes mixture= itself"),
        (lambda *a: use_mixture(grpo(PolicyTrainer, *a)), "a PolicyTrainer takes mixture= itself"),
        (lambda *a: DomainOrder(Mixture(), ["a", float("nan")], num_samples=4, batch_size=2, seed=0), "row 2 has no domain"),
        (lambda *a: sft(*a, args={"auto_find_batch_size": True}), "auto_find_batch_size changes the batches"),
        (lambda *a: sft(*a).evaluate(Dataset.from_list(ROWS[:3])), "held-out rows need the column 'input_ids'"),
        (lambda *a: sft(*a).evaluate(Dataset.from_list([{"input_ids": [1]}])), "held-out rows need the column 'domain'"),
        (lambda *a: sft(*a).evaluate(Dataset.from_list([{"input_ids": [1], "domain": "a"}])), "no held-out token has a loss"),
        (
            lambda *a: sft(*a).evaluate(Dataset.from_dict({"input_ids": [[1, 2]], "domain": [None]})),
            "held-out row 1 has no domain",
        ),
        (lambda *a: sft(*a).evaluate(iter([])), "held-out rows that stream"),
        (lambda *a: sft(*a, mixture="late:c@0.5"), "late names 'c', which is no domain"),
        (lambda *a: use_mixture(sft(*a, kind=SFTTrainer), Mixture(by="scalarization")), "needs steelyard.training.PolicyTrainer"),
        (lambda *a: grpo(PolicyTrainer, *a, mixture="adaptive"), "follows held-out losses"),
        (lambda *a: Mixture(AdaptiveCooldown(), draw="independent"), "works by sampling with stratified draws"),
        (lambda *a: DomainOrder(Mixture(), ["a", None], num_samples=4, batch_size=2, seed=0), "row 2 has no domain"),
    ],
)
def test_a_mixture_that_does_not_fit_is_refused(tiny_policy_dir, tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        make(tiny_policy_dir, tmp_path)


def test_another_mixture_cannot_take_over_a_state():
    first = DomainOrder(Mixture(Cooldown()), ["a", "a", "b"], num_samples=8, batch_size=2, seed=0)
    state = json.loads(json.dumps(first.state_dict()))
    DomainOrder(Mixture(Cooldown()), ["a", "a", "b"], num_samples=8, batch_size=2, seed=0).load_state_dict(state)
    with pytest.raises(InputError, match=r"sizes was \[2, 1\] when the run began and is \[1, 1\] now"):
        DomainOrder(Mixture(Cooldown()), ["a", "b"], num_samples=8, batch_size=2, seed=0).load_state_dict(state)


def test_the_readmes_two_lines_work(tiny_policy_dir, tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (diff,) = [block for block in re.findall(r"```diff\n(.*?)```", readme, re.S) if "use_mixture" in block]
    lines = [line[1:].strip() for line in diff.splitlines()]
    assert sum(line.startswith("+") for line in diff.splitlines()) == 2
    model, tokenizer = load_policy(str(tiny_policy_dir))
    names = {
        "model": model,
        "args": config(SFTConfig, tmp_path),
        "train_dataset": Dataset.from_list(ROWS).remove_columns("prompt"),
    }
    exec(
        "\n".join(line.replace("args, ", "args, processing_class=tokenizer, ") for line in lines),
        {"tokenizer": tokenizer, **names},
        names,
    )
    names["trainer"].train()
    assert names["trainer"].state.global_step == 4


def test_where_domains_differ_in_length_scalarization_still_has_the_mean_of_sampling(tiny_policy_dir, tmp_path):
    """One batch of all the data: its weighted mean is the mixture's own, as sampling would have it on average."""
    rows = [{"text": "1+1=2" * 8, "domain": "long"}] * 12 + [{"text": "9-2", "domain": "short"}] * 4
    model, tokenizer = load_policy(str(tiny_policy_dir))
    trainer = MixtureSFTTrainer(
        model=model, args=config(SFTConfig, tmp_path, max_steps=1, per_device_train_batch_size=8, gradient_accumulation_steps=2),
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer, mixture=Mixture("constant:inf", by="scalarization"),
    )  # fmt: skip
    losses = []
    for text in ("1+1=2" * 8, "9-2"):
        ids = torch.tensor([[*tokenizer.encode(text), tokenizer.eos_token_id]])
        losses.append(
            (F.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="sum").item(), ids.shape[1] - 1)
        )
    trainer.train()
    # Half of the examples are short ones.
    expected = sum(loss for loss, _ in losses) / sum(tokens for _, tokens in losses)
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("draw", ["independent", "stratified"])
def test_over_many_small_batches_every_domain_has_its_share_of_the_loss(tiny_policy_dir, tmp_path, draw):
    """Most batches hold no row of the small domain: their weights must stay below 1 all the same."""
    rows = [{"text": "1+1=2", "domain": "large"}] * 46 + [{"text": "9-2=7", "domain": "small"}] * 2
    model, tokenizer = load_policy(str(tiny_policy_dir))
    trainer = MixtureSFTTrainer(
        model=model, args=config(SFTConfig, tmp_path, max_steps=480, per_device_train_batch_size=4),
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer, mixture=Mixture("constant:inf", by="scalarization", draw=draw),
    )  # fmt: skip
    batches, shares = iter(trainer.get_train_dataloader()), {"large": 0.0, "small": 0.0}
    for _ in range(480):
        (batch,), count = trainer.get_batch_samples(batches, 1, torch.device("cpu"))
        for row, weight in zip(batch["labels"], batch["loss_weight"].tolist(), strict=True):
            name = "small" if tokenizer.encode("9")[0] in row.tolist() else "large"
            shares[name] += weight * (row[1:] != -100).sum().item() / float(count) / 480
    assert shares == {"large": pytest.approx(0.5, rel=0.15), "small": pytest.approx(0.5, rel=0.15)}


def test_an_adaptive_cooldown_says_so_once_and_not_after_its_latest_moment():
    order = DomainOrder(
        Mixture(AdaptiveCooldown(at=0.5, patience=1)), ["a"] * 90 + ["b"] * 10, num_samples=100, batch_size=10, seed=1
    )
    said = []
    for number, _ in enumerate(order):
        if number % 10 == 9:
            said.append(order.on_validation({"a": 1.0, "b": 1.0 if number < 60 else 2.0}))
    assert said == [None] * 10
    assert order.cooled_at is None


def test_another_way_or_schedule_of_scalarization_cannot_take_over_a_state():
    def order(schedule, by):
        return DomainOrder(Mixture(schedule, by=by), ["a", "a", "b"], num_samples=8, batch_size=2, seed=0)

    state = order("constant:5", "scalarization").state_dict()
    for other, message in ((("constant:50", "scalarization"), "shares was"), (("constant:1", "sampling"), "by was")):
        with pytest.raises(InputError, match=message):
            order(*other).load_state_dict(state)


LANGUAGES = [{**row, "lang": "ab"[i % 2], "domain": "not this"} for i, row in enumerate(ROWS)]


class Answers:
    """A recorder that keeps answers and updates."""

    def __init__(self):
        self.columns, self.steps = [], []

    def on_answers(self, step, columns):
        self.columns.append(columns)

    def on_step(self, record):
        self.steps.append(record)

    def on_checkpoint(self, step):
        pass

    def on_validation(self, step, point, seconds, trainer):
        pass


@pytest.mark.parametrize(
    "options",
    [
        {"mixture": Mixture("constant:1", column="lang")},
        {"mixture": "constant:1", "domain_column": "lang"},
        {"mixture": Mixture("constant:5", by="scalarization", column="lang")},
        {"domain_column": "lang"},
    ],
)
def test_the_column_of_the_domains_is_a_setting_everywhere(tiny_policy_dir, tmp_path, options):
    """In the order, the answers' table, and in what objectives apply to: another column that happens to be called domain is none of them."""
    name = "a"
    objectives = [
        Objective("length", lambda completions: [float(len(text)) for text in completions]),
        Objective("some", lambda completions: [1.0] * len(completions), applies_to=[name]),
    ]
    recorder = Answers()
    trainer = grpo(
        PolicyTrainer,
        tiny_policy_dir,
        tmp_path,
        rows=LANGUAGES,
        reward_funcs=None,
        objectives=objectives,
        recorder=recorder,
        **options,
    )
    trainer.train()
    found = {domain for columns in recorder.columns for domain in columns["domain"]}
    assert found == {row["lang"] for row in LANGUAGES}
    for columns in recorder.columns:
        assert [score is not None for score in columns["reward/some"]] == [domain == name for domain in columns["domain"]]
    if "mixture" in options:
        assert all(set(step["draws"]) == found for step in recorder.steps)


def test_a_mixture_and_the_column_cannot_disagree(tiny_policy_dir, tmp_path):
    with pytest.raises(InputError, match=r"reads domains from the column 'lang', and domain_column is 'topic': give one of them"):
        grpo(
            PolicyTrainer,
            tiny_policy_dir,
            tmp_path,
            rows=LANGUAGES,
            mixture=Mixture("cooldown", column="lang"),
            domain_column="topic",
        )
