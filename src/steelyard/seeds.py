"""Seeds for one purpose each, and random numbers that are drawn again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def spread_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, with its bits spread.

    Small seeds set few bits of the Mersenne Twister, whose first numbers are then related from seed to seed: with seeds 1, 12, 23, ... the
    accuracy of one policy on 512 sums varied by .036 (standard deviation), with spread seeds by .019, as it should.

    Example:
        >>> spread_seed(0, "validation") != spread_seed(1, "validation") != spread_seed(0, "order")
        True
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:7], "big")


class RandomState:
    """The random numbers that PyTorch draws next, on the processor and on a device, to be drawn again: dropout is then the same.

    Example:
        >>> import torch
        >>> state = RandomState(torch.device("cpu"))
        >>> first = torch.rand(3)
        >>> with state.again():
        ...     torch.equal(torch.rand(3), first)
        True
    """

    def __init__(self, device: torch.device) -> None:
        import torch

        self._devices = [device] if device.type == "cuda" else []
        self._cpu = torch.get_rng_state()
        self._others = [torch.cuda.get_rng_state(one) for one in self._devices]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw them again; what is drawn afterwards is as if nothing had been drawn in here."""
        import torch

        with torch.random.fork_rng(devices=self._devices):
            torch.set_rng_state(self._cpu)
            for one, state in zip(self._devices, self._others, strict=True):
                torch.cuda.set_rng_state(state, one)
            yield
