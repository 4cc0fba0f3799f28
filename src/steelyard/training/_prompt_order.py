"""The order of prompts in reinforcement learning: groups stay whole, and any epoch can be drawn again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Sampler

from steelyard.errors import InputError
from steelyard.seeds import spread_seed


class PromptOrder(Sampler[int]):
    """Every prompt once, in a random order that depends on (seed, epoch) alone.

    TRL's own sampler draws each epoch from one running generator, so a run resumed in its second epoch sees another order; this one does not.
    """

    def __init__(self, num_prompts: int, *, shuffle: bool, seed: int) -> None:
        self.num_prompts, self.shuffle, self.seed, self.epoch = num_prompts, shuffle, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(spread_seed(self.seed, f"epoch {self.epoch}"))
        order = torch.randperm(self.num_prompts, generator=generator) if self.shuffle else torch.arange(self.num_prompts)
        yield from order.tolist()

    def __len__(self) -> int:
        return self.num_prompts


class GroupSampler(Sampler[int]):
    """An order of prompts, each repeated for its group and each batch for its updates, as TRL's loader expects them."""

    def __init__(self, order: Sampler[int], *, group_size: int, prompts_per_batch: int, repeats: int) -> None:
        self.order, self.group_size, self.prompts_per_batch, self.repeats = order, group_size, prompts_per_batch, repeats
        self.num_prompts: int = len(order)  # type: ignore[arg-type]
        if self.num_prompts < prompts_per_batch:
            raise InputError(
                f"a generation batch takes {prompts_per_batch} different prompts, but the training set has only {self.num_prompts}: "
                "give more prompts, or a smaller batch"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order, where it has one."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        batch: list[int] = []
        for prompt in self.order:
            batch += [prompt] * self.group_size
            if len(batch) == self.prompts_per_batch * self.group_size:
                for _ in range(self.repeats):
                    yield from batch
                batch = []

    def __len__(self) -> int:
        return self.num_prompts // self.prompts_per_batch * self.prompts_per_batch * self.group_size * self.repeats


def prompt_sampler(trainer: Any, dataset: Any) -> GroupSampler:
    """What a trainer's loader draws from without a mixture: every prompt once an epoch, in whole groups."""
    group_size = trainer._given_group_size or trainer.num_generations
    return GroupSampler(
        PromptOrder(len(dataset), shuffle=bool(trainer.shuffle_dataset), seed=trainer.args.seed),
        group_size=group_size,
        prompts_per_batch=trainer.args.generation_batch_size // group_size,
        repeats=trainer.num_iterations * trainer.args.steps_per_generation,
    )
