"""The objectives' measures on held-out prompts."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from steelyard.errors import RunError
from steelyard.seeds import spread_seed


def measure(trainer: Any, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Answer held-out prompts and average every objective's measure over those it applies to.

    Every validation of a run uses the same random numbers, which are not those of training; the trainer is left as it was.

    Args:
        trainer: a `PolicyTrainer`.
        rows: with `prompt` and the columns that objectives ask for.

    Raises:
        RunError: where an objective applies to none of the rows.
    """
    was_training, kept_seconds = trainer.model.training, dict(trainer._seconds)
    kept_config = trainer.generation_config
    trainer.model.eval()
    trainer._measuring = True
    if trainer.validation_sampling == "greedy":
        trainer.generation_config = copy.deepcopy(kept_config)
        trainer.generation_config.do_sample = False
        trainer.generation_config.temperature = trainer.generation_config.top_p = trainer.generation_config.top_k = None
    columns: list[Tensor] = []
    try:
        with torch.random.fork_rng():
            torch.manual_seed(spread_seed(trainer.args.seed, "validation"))
            for start in range(0, len(rows), trainer.args.per_device_eval_batch_size):
                chunk = rows[start : start + trainer.args.per_device_eval_batch_size]
                prompts = [row["prompt"] for row in chunk]
                generated = trainer._generate(prompts)
                completion_ids, completions = generated[1], generated[3]
                # Every process measures every prompt; the first copy is kept.
                columns.append(trainer._calculate_rewards(chunk, prompts, completions, completion_ids)[: len(chunk)].double())
    finally:
        trainer._measuring, trainer._seconds = False, kept_seconds
        trainer.generation_config = kept_config
        trainer._metrics["eval"].clear()
        trainer.model.train(was_training)
    means_K = torch.cat(columns).nanmean(0).tolist()
    names = [objective.name for objective in trainer.objectives]
    for name, value in zip(names, means_K, strict=True):
        if value != value:
            raise RunError(f"objective {name!r} applies to no validation prompt: it cannot be measured; add some, or drop it")
    return dict(zip(names, means_K, strict=True))


def point_metrics(trainer: Any, point: dict[str, float], prefix: str) -> dict[str, float]:
    """A validation point in TRL's words, as far as they fit: `eval_NAME`, `eval_rewards/NAME/mean` and `eval_reward`."""
    rewards = {o.name: point[o.name] for o in trainer.objectives if o.measure is o.reward}
    metrics = {f"{prefix}_{name}": value for name, value in point.items()}
    metrics |= {f"{prefix}_rewards/{name}/mean": value for name, value in rewards.items()}
    if len(rewards) == len(point):
        signs_K = torch.tensor([objective.reward_sign for objective in trainer.objectives])
        signed_K = torch.tensor(list(rewards.values()), dtype=torch.float64) * signs_K
        metrics[f"{prefix}_reward"] = float(trainer.weighting.weights() @ signed_K)
    return metrics
