"""Shuffles that are computed and not stored: a keyed permutation of `0..n-1`, any element of it on its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
ROUNDS = 6


def mix(words: Words) -> Words:
    """Scramble 64-bit words, each on its own and invertibly (the finaliser of splitmix64).

    Example:
        >>> len(set(mix(np.arange(1000, dtype=np.uint64)).tolist()))
        1000
    """
    with np.errstate(over="ignore"):
        words = words + np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def permute(positions: NDArray[np.int64], sizes: NDArray[np.int64], keys: Words) -> NDArray[np.int64]:
    """Where a keyed permutation of `0..size-1` sends each position; every element may have a size and a key of its own.

    A balanced Feistel network over the next even number of bits, walked until it lands inside the size.

    Args:
        positions: int64, each at least 0 and below its size.
        sizes: int64, positive, to 2^62.
        keys: uint64; equal keys and sizes belong to one permutation.

    Returns:
        int64, each at least 0 and below its size.

    Example:
        >>> sizes, keys = np.full(10, 10), np.full(10, 7, dtype=np.uint64)
        >>> sorted(permute(np.arange(10), sizes, keys).tolist()) == list(range(10))
        True

    Reference:
        Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002 (cycle walking).
    """
    # Half of the bits that hold size - 1, rounded up: at least one.
    bits = np.frexp(np.maximum(sizes - 1, 1).astype(np.float64))[1]
    half = np.maximum(1, (bits + 1) // 2).astype(np.uint64)
    out = positions.astype(np.uint64)
    limits = sizes.astype(np.uint64)
    inside = np.zeros(len(out), dtype=bool)
    rows = np.arange(len(out))
    while rows.size:
        out[rows] = _feistel(out[rows], half[rows], keys[rows])
        inside[rows] = out[rows] < limits[rows]
        rows = rows[~inside[rows]]
    return out.astype(np.int64)


def _feistel(words: Words, half: Words, keys: Words) -> Words:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = words >> half, words & mask
    with np.errstate(over="ignore"):
        for number in range(ROUNDS):
            scrambled = mix(right ^ mix(keys + np.uint64(number)))
            left, right = right, left ^ (scrambled & mask)
    return (left << half) | right
