"""The order of prompts in reinforcement learning: groups stay whole, and any epoch can be drawn again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from steelyard.errors import InputError


def spread_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, with its bits spread.

    Small seeds set few bits of the Mersenne Twister, whose first numbers are then related from seed to seed: with seeds 1, 12, 23, ... the
    accuracy of one policy on 512 sums varied by .036 (standard deviation), with spread seeds by .019, as it should.

    Example:
        >>> spread_seed(0, "validation") != spread_seed(1, "validation") != spread_seed(0, "order")
        True
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:7], "big")


class GroupSampler(Sampler[int]):
    """Prompts in a random order that depends on (seed, epoch) alone, each repeated for its group, as TRL's loader expects them.

    TRL's own sampler draws each epoch from one running generator, so a run resumed in its second epoch sees another order; this one does not.
    """

    def __init__(
        self, num_prompts: int, *, group_size: int, prompts_per_batch: int, repeats: int, shuffle: bool, seed: int
    ) -> None:
        if num_prompts < prompts_per_batch:
            raise InputError(
                f"a generation batch takes {prompts_per_batch} different prompts, but the training set has only {num_prompts}: "
                "give more prompts, or a smaller batch"
            )
        self.num_prompts, self.group_size, self.prompts_per_batch = num_prompts, group_size, prompts_per_batch
        self.repeats, self.shuffle, self.seed, self.epoch = repeats, shuffle, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(spread_seed(self.seed, f"epoch {self.epoch}"))
        order = torch.randperm(self.num_prompts, generator=generator) if self.shuffle else torch.arange(self.num_prompts)
        for start in range(0, self.num_prompts - self.prompts_per_batch + 1, self.prompts_per_batch):
            batch = order[start : start + self.prompts_per_batch].repeat_interleave(self.group_size).tolist()
            for _ in range(self.repeats):
                yield from batch

    def __len__(self) -> int:
        return self.num_prompts // self.prompts_per_batch * self.prompts_per_batch * self.group_size * self.repeats
