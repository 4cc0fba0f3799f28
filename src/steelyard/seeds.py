"""Seeds for one purpose each."""

from __future__ import annotations

import hashlib


def spread_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, with its bits spread.

    Small seeds set few bits of the Mersenne Twister, whose first numbers are then related from seed to seed: with seeds 1, 12, 23, ... the
    accuracy of one policy on 512 sums varied by .036 (standard deviation), with spread seeds by .019, as it should.

    Example:
        >>> spread_seed(0, "validation") != spread_seed(1, "validation") != spread_seed(0, "order")
        True
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:7], "big")
