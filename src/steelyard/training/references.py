"""Answers that a rubric reward compares with and that only the policy can give: greedy ones, and those from before training.

A reward says which it needs (`answers_needed`), and finds them as columns of its rows. `PolicyTrainer` provides them by itself; a `trl.GRPOTrainer` does
after `use_references(trainer)`.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object

from steelyard.errors import InputError, RunError
from steelyard.files import write_atomically
from steelyard.messages import text_of
from steelyard.rows import read_rows
from steelyard.rubric_reward.references import GREEDY, POLICY_ANSWERS, START
from steelyard.seeds import spread_seed
from steelyard.training._validation import greedy, held_out_sets
from steelyard.training.mixing import steps_a_batch

_FILE = "start_answers.jsonl"


class _PolicyAnswers:
    """The policy's own answers as columns of a batch.

    Args:
        trainer: a `trl.GRPOTrainer`.
        needed: which kinds.
    """

    def __init__(self, trainer: Any, needed: Sequence[str]) -> None:
        self.trainer, self.needed = trainer, list(needed)
        self._start: dict[str, Any] | None = None
        self._steps: int | None = None

    def added_to(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of a batch with a column for each kind that is needed.

        Raises:
            RunError: where the start's answer to a prompt was not kept.
        """
        prompts = {text_of(row["prompt"]): row["prompt"] for row in inputs}
        found: dict[str, dict[str, Any]] = {}
        if START in self.needed:
            found[POLICY_ANSWERS[START]] = self._start_answers(inputs)
        if GREEDY in self.needed:
            with greedy(self.trainer):
                answers = _generated(self.trainer, list(prompts.values()))
            found[POLICY_ANSWERS[GREEDY]] = dict(zip(prompts, answers, strict=True))
        return [{**row, **{column: each[text_of(row["prompt"])] for column, each in found.items()}} for row in inputs]

    def _start_answers(self, inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        path = Path(self.trainer.args.output_dir) / _FILE
        if self.trainer.state.global_step == 0 and self._steps != self.trainer.state.max_steps:
            self._start, self._steps = self._answer_all(), self.trainer.state.max_steps
            if self.trainer.accelerator.is_main_process:
                lines = (json.dumps({"prompt": key, "answer": answer}) for key, answer in self._start.items())
                write_atomically(path, "".join(f"{line}\n" for line in lines))
            self.trainer.accelerator.wait_for_everyone()
        elif self._start is None:
            if not path.is_file():
                raise RunError(
                    f"the untrained policy's answers are not in {path}: a run that is resumed needs the file from its first update; put it back, or begin "
                    "a new run"
                )
            self._start = {row["prompt"]: row["answer"] for row in read_rows(str(path))}
        missing = next((row["prompt"] for row in inputs if text_of(row["prompt"]) not in self._start), None)
        if missing is not None:
            raise RunError(
                f"the untrained policy did not answer the prompt {text_of(missing)[:80]!r}, which was not among those of the run when it began: begin a new "
                "run, or take another reference"
            )
        return self._start

    def _answer_all(self) -> dict[str, Any]:
        """What the policy answers before its first update, to every prompt that the run will draw; processes share them out."""
        trainer = self.trainer
        prompts = list({text_of(prompt): prompt for prompt in _prompts_of_run(trainer)}.values())
        rank, processes = trainer.accelerator.process_index, trainer.accelerator.num_processes
        # Every process makes as many calls as the others, since with a sharded model they generate together.
        shares = [prompts[(rank + processes * i) % len(prompts)] for i in range(math.ceil(len(prompts) / processes))]
        at_a_time = max(1, trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation)
        found: dict[str, Any] = {}
        with torch.random.fork_rng():
            torch.manual_seed(spread_seed(trainer.args.seed, f"start {rank}" if rank else "start"))
            for first in range(0, len(shares), at_a_time):
                asked = shares[first : first + at_a_time]
                found |= zip(map(text_of, asked), _generated(trainer, asked), strict=True)
        return dict(gather_object(list(found.items()))) if processes > 1 else found


def use_references(trainer: Any) -> None:
    """Give the rewards of a `trl.GRPOTrainer` the policy's own answers to compare with; call it before `train()`.

    A `RubricReward` with `reference="greedy"` needs one more answer a prompt, generated greedily; one with `reference="start"` an answer of the untrained
    policy to every prompt of the run. These are generated before the first update, and kept in `start_answers.jsonl` in the output folder.

    Args:
        trainer: whose rewards need them; a `PolicyTrainer` needs no call.

    Example:
        >>> use_references(trainer)  # doctest: +SKIP
    """
    needed = answers_needed(trainer.reward_funcs)
    if not needed or hasattr(trainer, "policy_answers"):
        return
    answers = trainer.policy_answers = _PolicyAnswers(trainer, needed)
    calculate = trainer._calculate_rewards

    def with_answers(inputs: list, *given: Any, **named: Any) -> Any:
        return calculate(answers.added_to(inputs), *given, **named)

    trainer._calculate_rewards = with_answers


def policy_answers(trainer: Any, rewards: Sequence[Any]) -> _PolicyAnswers | None:
    """The policy's own answers, where any of the rewards needs them."""
    needed = answers_needed(rewards)
    return _PolicyAnswers(trainer, needed) if needed else None


def with_policy_answers(trainer: Any, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a `PolicyTrainer`'s batch, with the policy's own answers where a reward needs them; measures need none."""
    return inputs if trainer.policy_answers is None or trainer.is_measuring() else trainer.policy_answers.added_to(inputs)


def answers_needed(rewards: Sequence[Any]) -> list[str]:
    """The kinds of answers that rewards need, each once.

    Example:
        >>> answers_needed([len])
        []
    """
    return list(dict.fromkeys(kind for reward in rewards for kind in getattr(reward, "answers_needed", ())))


def _generated(trainer: Any, prompts: list) -> list:
    """The policy's answers, as texts or messages, by all that TRL does to generate; its metrics stay those of the training answers."""
    mode = "train" if trainer.model.training else "eval"
    names = [name for name in ("num_generations", "num_generations_eval", "_tool_masks") if hasattr(trainer, name)]
    kept = {name: getattr(trainer, name) for name in names}
    metrics, tokens = copy.deepcopy(trainer._metrics[mode]), trainer.state.num_input_tokens_seen
    # vLLM is asked once for all answers to a prompt, of which there is one here.
    trainer.num_generations = trainer.num_generations_eval = 1
    try:
        generated = trainer._generate(prompts)
    finally:
        trainer._metrics[mode], trainer.state.num_input_tokens_seen = metrics, tokens
        for name, value in kept.items():
            setattr(trainer, name, value)
    answers: list = generated[3]
    return answers


def _prompts_of_run(trainer: Any) -> list[Any]:
    """The prompts that the run will draw, in no particular order; and those of evaluations, where rewards are asked for them as well."""
    dataset = trainer.train_dataset
    if not hasattr(dataset, "__len__"):
        raise InputError(
            "reference 'start' answers the prompts of the run before it begins, but the training set streams: load it, or take another reference"
        )
    batches = math.ceil(trainer.state.max_steps / steps_a_batch(trainer))
    left = batches * trainer.args.generation_batch_size * trainer.num_iterations * trainer.args.steps_per_generation
    sampler, chosen = trainer._get_train_sampler(dataset), set[int]()
    for epoch in range(math.ceil(left / max(1, len(sampler)))):
        if len(chosen) == len(dataset):
            break
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        drawn = list(islice(sampler, left))
        chosen, left = chosen | set(drawn), left - len(drawn)
    found = [dataset[index]["prompt"] for index in sorted(chosen)]
    if not hasattr(trainer, "is_measuring") and trainer.eval_dataset is not None:
        found += [row["prompt"] for rows in held_out_sets(None, trainer.eval_dataset).values() for row in rows]
    return found
