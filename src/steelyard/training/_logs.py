"""What a policy trainer says of a batch: in TRL's log, whose numbers are those that were used, and in its own record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.checks.answers import undecided
from steelyard.messages import answer_of, text_of, transcript_of
from steelyard.training.mixing import steps_a_batch
from steelyard.training.preferences import COLUMN
from steelyard.training.record import answer_columns, batch_record, nonzero


def _log_advantages(trainer: Any, advantages_B: Tensor) -> None:
    """TRL's table of completions shows the advantages that the update uses, and not those that TRL took before the weights were known."""
    used_B = advantages_B
    if trainer._loss_weights is not None:
        used_B = used_B * trainer.accelerator.gather(trainer._loss_weights).to(used_B)
    shown = trainer._logs["advantages"]
    for _ in range(min(len(shown), len(used_B))):
        shown.pop()
    shown.extend(used_B.tolist())


def _log_reward(trainer: Any, reward_B: Tensor) -> None:
    """TRL has logged the weighted reward by the weights of the batch before, since those of this batch were not known."""
    present_B = reward_B[~reward_B.isnan()]
    logged = trainer._metrics["train"]
    if present_B.numel() and logged["reward"]:
        logged["reward"][-1] = present_B.mean().item()
    if present_B.numel() > 1 and logged["reward_std"]:
        logged["reward_std"][-1] = present_B.std().item()


def log_batch(trainer: Any, record: Mapping[str, Any], advantages_B: Tensor, reward_B: Tensor) -> None:
    """Put what was used into TRL's log of a batch.

    Args:
        trainer: a `PolicyTrainer`.
        record: of the batch, see `record_of`.
        advantages_B, reward_B: combined, of the answers of all processes.
    """
    _log_advantages(trainer, advantages_B)
    _log_reward(trainer, reward_B)
    _log_weights(trainer, record)


def failures_of(trainer: Any) -> tuple[int, list[int]]:
    """How many answers were not compared with their truth to the end, on this process so far, and the failures of each objective."""
    return undecided(), [sum(objective.failures.values()) for objective in trainer.objectives]


def log_failures(trainer: Any, *, since: tuple[int, list[int]]) -> None:
    """Log the answers of a batch whose comparison was given up, which count as wrong, and the objectives' failures, where there are any.

    Args:
        trainer: a `PolicyTrainer`.
        since: its `failures_of` before the batch.
    """
    undecided_before, failures_before = since
    undecided_now, failures = failures_of(trainer)
    here = torch.tensor([undecided_now - undecided_before], device=trainer.accelerator.device)
    trainer._undecided = int(trainer.accelerator.gather(here).sum())
    logged = trainer._metrics["eval" if trainer.is_measuring() else "train"]
    if trainer._undecided:
        logged["undecided"].append(float(trainer._undecided))
    for objective, before, now in zip(trainer.objectives, failures_before, failures, strict=True):
        if now > before:
            for what, count in objective.failures.items():
                logged[f"failures/{objective.name}/{what}"].append(float(count))


def _log_weights(trainer: Any, record: Mapping[str, Any]) -> None:
    """Weights and influences beside TRL's own metrics."""
    for kind in ("weights", "influence", "influence_se"):
        for name, value in record.get(kind, {}).items():
            trainer._metrics["train"][f"{kind}/{name}"].append(value)


def record_of(trainer: Any, scores_BK: Tensor, weights: Tensor) -> dict[str, Any]:
    """The record of a batch, which its update completes."""
    names, step = [objective.name for objective in trainer.objectives], trainer.state.global_step + 1
    record = {"step": step, "scale": trainer.weighting.scale()} | batch_record(names, scores_BK, weights, trainer._influence)
    failures = {objective.name: dict(objective.failures) for objective in trainer.objectives if objective.failures}
    if failures:  # so far, on this process
        record["failures"] = failures
    accounts = accounts_of(trainer.objectives)
    if accounts:
        record["judges"] = accounts
        record["waited"] = round(trainer.early.waited, 4)
    if trainer._undecided:
        record["undecided"] = trainer._undecided
    if trainer.order is not None:
        record["draws"] = nonzero(trainer.order.drawn(int((step - 1) // steps_a_batch(trainer))))
    return record


def accounts_of(objectives: Sequence[Any], *, measuring: bool = False) -> dict[str, dict[str, float]]:
    """What judges were asked in a batch, or in validations, by their names; without those that were not asked.

    Example:
        >>> accounts_of([])
        {}
    """
    judging = [objective.reward for objective in objectives if hasattr(objective.reward, "account")]
    found = {reward.judge: reward.account(measuring=measuring) for reward in judging}
    return {name: account for name, account in found.items() if account}


def texts_of(
    prompts: Sequence[Any], completions: Sequence[Any], rows: Sequence[Mapping[str, Any]], domain_column: str
) -> tuple[list[str], list[str], list[str | None], list[Any], list[Any]]:
    """This process's prompts, answers and, where an answer is more than a text, messages; with the prompts' domains and preferences."""
    texts, answers = [text_of(prompt) for prompt in prompts], [answer_of(completion) for completion in completions]
    transcripts = [transcript_of(completion) for completion in completions]
    return texts, answers, transcripts, [row.get(domain_column) for row in rows], [row.get(COLUMN) for row in rows]


def answers_of(trainer: Any, scores_BK: Tensor, weights: Tensor, advantages_B: Tensor) -> dict[str, Sequence[Any]]:
    """This process's answers of a batch as a table."""
    local = len(trainer._texts[0])
    mine = slice(trainer.accelerator.process_index * local, (trainer.accelerator.process_index + 1) * local)
    counted_B = advantages_B[mine]
    if trainer._loss_weights is not None:
        counted_B = counted_B * trainer._loss_weights.to(counted_B)
    names = [objective.name for objective in trainer.objectives]
    prompts, answers, messages, domains, _ = trainer._texts
    return answer_columns(
        names, prompts, answers, messages, domains, scores_BK[mine], weights if weights.ndim == 1 else weights[mine], counted_B
    )
