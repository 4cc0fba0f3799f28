"""What a trainer tells of a batch: one record an update, one table of answers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from steelyard.weighting import Influence, mean_weights


class Recorder(Protocol):
    """Where a trainer tells what happened; `RunRecorder` writes it into a run folder."""

    def on_answers(self, step: int, columns: dict[str, Sequence[Any]]) -> None:
        """Every answer of an update, with raw rewards, before the update is made."""

    def on_step(self, record: dict[str, Any]) -> None:
        """An update that was made."""

    def on_checkpoint(self, step: int) -> None:
        """A checkpoint to resume from that is whole."""

    def on_validation(self, step: int, point: dict[str, float], seconds: float, trainer: Any) -> None:
        """A validation point."""


def batch_record(names: Sequence[str], scores_BK: Tensor, weights: Tensor, influence: Influence | None) -> dict[str, Any]:
    """Weights (where each answer has its own, their means), influences, and mean and spread of every objective's raw reward, as plain JSON values.

    Example:
        >>> import torch
        >>> record = batch_record(["a"], torch.tensor([[1.0], [3.0], [float("nan")]]), torch.tensor([1.0]), None)
        >>> record["rewards"]["a"]["mean"], record["rewards"]["a"]["answers"], record["weights"]
        (2.0, 2, {'a': 1.0})
    """
    record: dict[str, Any] = {"weights": dict(zip(names, mean_weights(weights).tolist(), strict=True)), "rewards": {}}
    for name, column in zip(names, scores_BK.double().T, strict=True):
        present = column[~column.isnan()]
        record["rewards"][name] = {
            "mean": present.mean().item() if present.numel() else None,
            "std": present.std().item() if present.numel() > 1 else None,
            "answers": present.numel(),
        }
    if influence is not None:
        record["influence"] = dict(zip(names, influence.influence_K.tolist(), strict=True))
        if influence.error_K is not None:
            record["influence_se"] = dict(zip(names, influence.error_K.tolist(), strict=True))
        if influence.tries:
            record["influence_tries"] = influence.tries
        if influence.gram_KK is not None:
            record["gram"] = influence.gram_KK.tolist()
    return record


def nonzero(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts without zeros: of a hundred thousand domains a batch draws from a few.

    Example:
        >>> nonzero({"en": 3, "sw": 0})
        {'en': 3}
    """
    return {name: count for name, count in counts.items() if count}


def update_record(logs: dict[str, float], seconds: dict[str, float], total: float, lengths: Sequence[float]) -> dict[str, Any]:
    """What an update's log adds to its record; the seconds that no phase took are the update's own.

    Example:
        >>> logs = {"loss": 0.5, "grad_norm": 1.0, "learning_rate": 1e-3}
        >>> record = update_record(logs, {"rewards": 1.0}, 3.0, [10.0, 20.0])
        >>> record["seconds"], record["tokens"]
        ({'rewards': 1.0, 'update': 2.0}, 15.0)
    """
    phases = {phase: round(value, 4) for phase, value in seconds.items()}
    phases["update"] = round(max(0.0, total - sum(seconds.values())), 4)
    record: dict[str, Any] = {name: float(logs[name]) for name in ("loss", "grad_norm", "learning_rate")}
    return record | {"seconds": phases} | ({"tokens": float(sum(lengths) / len(lengths))} if lengths else {})


def answer_columns(
    names: Sequence[str],
    prompts: Sequence[str],
    answers: Sequence[str],
    messages: Sequence[str | None],
    domains: Sequence[Any],
    scores_BK: Tensor,
    weights: Tensor,
    advantages_B: Tensor,
) -> dict[str, Sequence[Any]]:
    """A table with a row an answer: texts, messages where there are several, raw rewards (None where it does not apply), weights, advantage.

    Example:
        >>> import torch
        >>> table = answer_columns(["a"], ["p"], ["x"], [None], [None], torch.tensor([[float("nan")]]), torch.tensor([1.0]), torch.tensor([0.5]))
        >>> table
        {'prompt': ['p'], 'answer': ['x'], 'reward/a': [None], 'weight/a': [1.0], 'advantage': [0.5]}
    """
    columns: dict[str, Sequence[Any]] = {"prompt": prompts, "answer": answers}
    if any(transcript is not None for transcript in messages):
        columns["messages"] = messages
    if any(domain is not None for domain in domains):
        columns["domain"] = domains
    for name, column in zip(names, scores_BK.double().T.tolist(), strict=True):
        columns[f"reward/{name}"] = [None if value != value else value for value in column]
    for name, column in zip(names, weights.expand(len(prompts), -1).T.tolist(), strict=True):
        columns[f"weight/{name}"] = column
    columns["advantage"] = advantages_B.tolist()
    return columns


class ConstantRewards:
    """Warns of objectives that have given every answer the same reward since the run began: they pull nowhere.

    Args:
        names: the objectives'.
        patience: updates after which a constant one is named.
    """

    def __init__(self, names: Sequence[str], *, patience: int = 20) -> None:
        self.patience, self._updates = patience, 0
        self._seen: dict[str, set[float]] = {name: set() for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Updates, and what was seen of every objective: two values at most."""
        return {"updates": self._updates, "seen": {name: sorted(seen) for name, seen in self._seen.items()}}

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Take over the state of an earlier run; None: of a run that kept none, whose rewards then count as seen to vary."""
        self._updates = 0 if state is None else state["updates"]
        self._seen = {name: {0.0, 1.0} if state is None else set(state["seen"].get(name, ())) for name in self._seen}

    def see(self, rewards_BK: Tensor) -> None:
        """Look at a batch."""
        self._updates += 1
        for seen, column_B in zip(self._seen.values(), rewards_BK.T, strict=True):
            if len(seen) < 2:
                seen.update(torch.unique(column_B[~column_B.isnan()])[:2].tolist())
        if self._updates == self.patience:
            self.finish()

    def finish(self) -> None:
        """Name what is still constant, once."""
        for name, seen in self._seen.items():
            if len(seen) < 2 and self._updates:
                found = f"gave every answer the same reward ({next(iter(seen)):g})" if seen else "applied to no answer"
                warnings.warn(
                    f"objective {name!r} {found} in the first {self._updates} updates: it has no pull, whatever its weight; check it, or drop it",
                    stacklevel=2,
                )
                seen.update((0.0, 1.0))
