"""`MixtureSampler`: indices into concatenated domains by a schedule, any of them computed on its own.

A run is cut into segments of constant probabilities `p` (one a phase of a sparse schedule, up to 256 for a dense one), a segment into batches.

"stratified": a batch of B has `floor(B p_d)` or one more of every domain. Which domains get the one more is a systematic sample whose offset walks
over a lattice, so that the count of a domain up to any batch is a sum of floors, known in closed form. "independent" is the paper's: the counts of
a segment are multinomial, and are split by halves down to blocks, hypergeometrically, which is what independent draws do.

Knowing how often a domain was drawn before, its next example is the next place of a keyed permutation (`permutation.py`): no example comes twice
within a pass over its domain. Nothing is stored but counts at the segments' starts.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch.utils.data
from numpy.typing import ArrayLike, NDArray

from steelyard.errors import InputError
from steelyard.mixture._permutation import mix, permute
from steelyard.mixture._segments import check_visits, segment_shares, segment_starts
from steelyard.mixture.base import Schedule
from steelyard.mixture.temperature import check_sizes

Counts = NDArray[np.int64]
_LATTICE = 2**30
"""Steps of the offset of a systematic sample; expectations are exact to one in as many."""
BLOCK = 4096
"""Independent draws whose order is a shuffle of their counts."""
_CHUNK = 65_536
"""Indices that are computed at a time."""


class MixtureSampler(torch.utils.data.Sampler[int]):
    """Draws from domains of different size by a schedule, without repetition within a pass over a domain.

    Args:
        sizes: examples of each domain, whole numbers; index `i` of domain d is `sum(sizes[:d]) + i`.
        schedule: a `Schedule`.
        num_samples: of the whole run, over all processes.
        batch_size: of a global batch, over all processes; must divide by `world_size`.
        seed: everything follows from (seed, position).
        draw: "stratified" or "independent".
        rank, world_size: this process takes its part of every batch; the parts of all make the stream of one process.
        names: of the domains, for messages and schedules that know them by name.

    `sampler[i]` is the i-th index that this process draws, without drawing those before it. `state_dict` holds how far it is.

    Raises:
        InputError: where an argument is out of range, or the schedule never visits a domain (give it a share, or leave the domain out).

    Example:
        >>> from steelyard.mixture import ConstantTemperature
        >>> sampler = MixtureSampler([90, 10], ConstantTemperature(1.0), num_samples=100, batch_size=10)
        >>> drawn = list(sampler)
        >>> sorted(drawn) == list(range(100)), sum(i >= 90 for i in drawn[:10]), sampler[57] == drawn[57]
        (True, 1, True)

    Reference:
        Li et al., arXiv 2410.04579, for "independent". Stratified batches: systematic sampling (Madow, 1949).
    """

    def __init__(
        self,
        sizes: ArrayLike,
        schedule: Schedule,
        *,
        num_samples: int,
        batch_size: int,
        seed: int = 0,
        draw: str = "stratified",
        rank: int = 0,
        world_size: int = 1,
        names: Sequence[str] | None = None,
    ) -> None:
        checked = check_sizes(sizes, names)
        if (checked != np.floor(checked)).any() or checked.sum() >= 2**62:
            raise InputError("sizes of a sampler's domains are numbers of examples: whole, and below 2^62 together")
        if not isinstance(seed, (int, np.integer)):
            raise InputError(f"seed must be a whole number, but is {seed!r}")
        for label, value in (("num_samples", num_samples), ("batch_size", batch_size), ("world_size", world_size)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(f"{label} must be a whole number, at least 1, but is {value!r}")
        if draw not in ("stratified", "independent"):
            raise InputError(f"draw must be 'stratified' or 'independent', but is {draw!r}")
        if batch_size % world_size or not 0 <= rank < world_size:
            raise InputError(
                f"rank {rank} of {world_size} processes cannot share batches of {batch_size}: world_size must divide it, rank be below"
            )
        if draw == "independent" and num_samples >= 10**9:
            raise InputError(f"independent draws are limited to 1e9 samples, but num_samples is {num_samples}: use 'stratified'")
        self.sizes = checked.astype(np.int64)
        self.schedule = schedule.for_run(num_samples, names, checked)
        self.num_samples, self.batch_size, self.seed, self.draw = int(num_samples), int(batch_size), int(seed), draw
        self.rank, self.world_size, self.position = rank, world_size, 0
        self.names = None if names is None else list(names)
        self._offsets = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        self._key = int.from_bytes(hashlib.blake2b(f"steelyard mixture {seed}".encode(), digest_size=8).digest(), "big")
        if self.num_samples / self.batch_size >= 2**31:
            raise InputError(
                f"a run is limited to 2^31 batches, but has {self.num_samples / self.batch_size:.3g}: raise batch_size"
            )
        self._starts = segment_starts(self.schedule, self.sizes, -(-self.num_samples // self.batch_size))
        self._shares = segment_shares(self.schedule, self.sizes, self._starts)
        if names is not None and len(names) != len(self.sizes):
            raise InputError(f"there are {len(self.sizes)} domains, but {len(names)} names")
        check_visits(self._shares, names)
        before = [np.zeros(len(self.sizes), dtype=np.int64)]
        for segment in range(len(self._starts) - 2):
            batches = self._starts[segment + 1] - self._starts[segment]
            before.append(before[-1] + self._segment_counts(segment, batches))
        self._before = before

    def __len__(self) -> int:
        """How many indices this process draws in the whole run."""
        part = self.batch_size // self.world_size
        whole, rest = divmod(self.num_samples, self.batch_size)
        return whole * part + min(part, max(0, rest - self.rank * part))

    def __iter__(self) -> Iterator[int]:
        """Go on from `position` to the end of the run; then start over."""
        while self.position < len(self):
            part = self.batch_size // self.world_size
            stop = min(len(self), self.position + max(part, _CHUNK // self.world_size))
            for index in self.indices(self.position, stop).tolist():
                self.position += 1
                yield index
        self.position = 0

    def __getitem__(self, i: int) -> int:
        """The i-th index that this process draws."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"this process draws {len(self)} indices, but number {i} is asked for")
        i %= len(self)
        return int(self.indices(i, i + 1)[0])

    def indices(self, start: int, stop: int) -> Counts:
        """The indices that this process draws from number `start` to `stop`, int64."""
        part = self.batch_size // self.world_size
        first, last = start // part, -(-stop // part)
        own = self.stream(first, last).reshape(-1, self.batch_size)[:, self.rank * part : (self.rank + 1) * part]
        return own.reshape(-1)[start - first * part : stop - first * part]

    def stream(self, first: int, last: int) -> Counts:
        """The global stream from batch `first` to batch `last`, int64 `[(last - first) * batch_size]`."""
        return self._examples(*self.draws(first, last))

    def draws(self, first: int, last: int) -> tuple[Counts, Counts]:
        """The same stream as pairs: which domain, and how often it was drawn before in the run."""
        domains, numbers = [], []
        for segment, (begin, end) in enumerate(itertools.pairwise(self._starts)):
            a, b = max(first, begin), min(last, end)
            if a < b:
                draw = self._stratified if self.draw == "stratified" else self._independent
                found, before = draw(segment, a - begin, b - begin)
                domains.append(found)
                numbers.append(before + self._before[segment][found])
        return np.concatenate(domains), np.concatenate(numbers)

    def domain_of(self, index: int | ArrayLike) -> Counts:
        """Which domain an index belongs to."""
        return np.searchsorted(self._offsets, np.asarray(index), side="right") - 1

    def state_dict(self, *, consumed: int | None = None) -> dict[str, Any]:
        """How far this process is, and what the stream depends on.

        Args:
            consumed: how many indices of this process were used in the run; None for how many were drawn. A DataLoader with workers draws ahead, so
                there the two differ, and what was drawn and not used would be left out.

        Raises:
            InputError: where it is not 0 to the length of the run.
        """
        position = self.position if consumed is None else consumed
        if not 0 <= position <= len(self):
            raise InputError(f"consumed is a number of this process's {len(self)} indices, but is {position}")
        return {"position": position, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another sampler of the same stream stopped.

        Raises:
            InputError: where domains, schedule, seed or sizes of the run are others.
        """
        now = {key: value for key, value in self._identity().items() if key != "world_size"}
        check_same_stream(state, now, names=self.names)
        kept, world_size = int(state["position"]), int(state.get("world_size", self.world_size))
        position = self._position_here(kept, world_size)
        if not (0 <= kept <= -(-self.num_samples // self.batch_size) * self.batch_size // world_size and position <= len(self)):
            raise InputError(f"position is a number of this process's {len(self)} indices, but is {kept}")
        self.position = position

    def _position_here(self, position: int, world_size: int) -> int:
        """A position among the indices of one of another number of processes, in those of this one."""
        part = self.batch_size // world_size
        whole, inside = divmod(position, part)
        # In the last batch, which may be short, processes have different numbers of indices.
        over = whole * self.batch_size + inside >= self.num_samples
        if world_size == self.world_size:
            return min(position, len(self)) if over else position
        if inside and not over:
            raise InputError(
                f"the state of one of {world_size} processes is inside a batch ({inside} of its {part} indices were used), and cannot be shared out among "
                f"{self.world_size}: save states between batches, or go on with as many processes"
            )
        return len(self) if over else whole * (self.batch_size // self.world_size)

    def _identity(self) -> dict[str, Any]:
        shares = hashlib.blake2b(np.concatenate(self._shares).round(12).tobytes(), digest_size=8).hexdigest()
        settings = {"num_samples": self.num_samples, "batch_size": self.batch_size, "seed": self.seed, "draw": self.draw}
        return {
            **settings,
            "domains": self.names,
            "sizes": self.sizes.tolist(),
            "segments": self._starts,
            "shares": shares,
            "world_size": self.world_size,
        }

    def _examples(self, domains: Counts, numbers: Counts) -> Counts:
        """The global index of the `numbers`-th draw from each of `domains`."""
        sizes = self.sizes[domains]
        passes, places = np.divmod(numbers, sizes)
        with np.errstate(over="ignore"):
            keys = mix(mix(np.uint64(self._key) + domains.astype(np.uint64)) + passes.astype(np.uint64))
        return self._offsets[domains] + permute(places, sizes, keys)

    # Stratified --------------------------------------------------------------------------------------------------------------------------

    def _lattice(self, segment: int) -> tuple[Counts, Counts, int, int]:
        """Whole draws a batch, cumulative steps of the rest, and start and stride of the offset."""
        expected = self._shares[segment] * self.batch_size
        whole = np.floor(expected + 1e-9).astype(np.int64)
        rest = np.clip(expected - whole, 0.0, None)
        extra = self.batch_size - int(whole.sum())
        edges = np.cumsum(rest)
        scale = extra / edges[-1] if extra and edges[-1] > 0 else 0.0
        steps = np.rint(edges * scale * _LATTICE).astype(np.int64)
        steps[-1] = extra * _LATTICE
        words = mix(np.array([self._key, self._key ^ 1], dtype=np.uint64))
        # An odd stride near the golden ratio's visits every offset, and spreads any few of them. One lattice goes through all segments, so that
        # a dense schedule's counts do not stray either.
        stride = (int(_LATTICE * (math.sqrt(5) - 1) / 2) + 2 * int(words[1] % np.uint64(1024))) | 1
        start = (int(words[0] % np.uint64(_LATTICE)) + self._starts[segment] * stride) % _LATTICE
        return whole, steps, start, stride

    def _segment_counts(self, segment: int, batches: int) -> Counts:
        """Draws from every domain in the first batches of a segment."""
        if self.draw == "independent":
            return self._totals(segment)
        whole, steps, start, stride = self._lattice(segment)
        below = _floor_sums(batches, _LATTICE, stride, np.concatenate([[0], steps]) + _LATTICE - 1 - start)
        return whole * batches + np.diff(below)

    def _stratified(self, segment: int, first: int, last: int) -> tuple[Counts, Counts]:
        whole, steps, start, stride = self._lattice(segment)
        offsets = (start + np.arange(first, last, dtype=np.int64) * stride) % _LATTICE
        places = offsets[:, None] + _LATTICE * np.arange(self.batch_size - int(whole.sum()), dtype=np.int64)
        extras = np.searchsorted(steps, places, side="right")
        wholes = np.repeat(np.arange(len(whole)), whole)
        labels = np.sort(np.hstack([np.tile(wholes, (last - first, 1)), extras]), axis=1)
        return self._lay_out(labels, self._segment_counts(segment, first), (segment << 40) + first)

    def _lay_out(self, labels: Counts, before: Counts, number: int) -> tuple[Counts, Counts]:
        """Rows of sorted domains as rows of draws, each row in an order of its own."""
        rows, width = labels.shape
        with np.errstate(over="ignore"):
            keys = mix(np.uint64(self._key) + np.arange(number, number + rows, dtype=np.uint64))
            order = permute(
                np.tile(np.arange(width), rows), np.full(rows * width, width), np.repeat(mix(keys ^ np.uint64(0xA5A5)), width)
            )
        shuffled = np.take_along_axis(labels, order.reshape(rows, width), axis=1).reshape(-1)
        # In the order in which a domain turns up its examples go on: no pass begins before the last has ended.
        by_domain = np.argsort(shuffled, kind="stable")
        counts = np.bincount(shuffled, minlength=len(before))
        numbers = np.empty_like(shuffled)
        numbers[by_domain] = np.arange(len(shuffled)) - np.repeat(np.cumsum(counts) - counts, counts)
        return shuffled, numbers + before[shuffled]

    # Independent -------------------------------------------------------------------------------------------------------------------------

    def _generator(self, *numbers: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self._key, *numbers])))

    def _totals(self, segment: int) -> Counts:
        draws = (self._starts[segment + 1] - self._starts[segment]) * self.batch_size
        return self._generator(segment).multinomial(draws, self._shares[segment]).astype(np.int64)

    def _blocks(self, segment: int, first: int, last: int) -> Iterator[tuple[int, int, Counts, Counts]]:
        """Blocks of a segment that reach into draws `first..last`: begin, end, counts, counts before."""
        draws = (self._starts[segment + 1] - self._starts[segment]) * self.batch_size
        waiting = [(0, draws, self._totals(segment), np.zeros(len(self.sizes), dtype=np.int64))]
        while waiting:
            begin, end, counts, before = waiting.pop()
            if end <= first or begin >= last:
                continue
            if end - begin <= BLOCK:
                yield begin, end, counts, before
                continue
            # Halves at a multiple of the block, so that the blocks are the same from wherever one looks.
            middle = begin + max(1, (end - begin) // (2 * BLOCK)) * BLOCK
            left = self._generator(segment, begin, end).multivariate_hypergeometric(counts, middle - begin, method="marginals")
            waiting.append((middle, end, counts - left, before + left))
            waiting.append((begin, middle, left, before))

    def _independent(self, segment: int, first: int, last: int) -> tuple[Counts, Counts]:
        a, b = first * self.batch_size, last * self.batch_size
        domains, numbers = [], []
        for begin, end, counts, before in self._blocks(segment, a, b):
            labels = np.repeat(np.arange(len(counts)), counts)[None]
            found, places = self._lay_out(labels, before, (1 << 62) + (segment << 40) + begin // BLOCK)
            kept = slice(max(a, begin) - begin, min(b, end) - begin)
            domains.append(found[kept])
            numbers.append(places[kept])
        return np.concatenate(domains), np.concatenate(numbers)


def check_same_stream(kept: Mapping[str, Any], now: Mapping[str, Any], *, names: Sequence[str] | None = None) -> None:
    """Refuse to go on with another stream than the run began with; of long lists the first difference is named.

    Args:
        kept, now: what the streams depend on.
        names: of the domains, which lists of numbers go with.

    Example:
        >>> check_same_stream({"seed": 1}, {"seed": 2})
        Traceback (most recent call last):
        steelyard.errors.InputError: the mixture's seed was 1 when the run began and is 2 now: a run is resumed with the same settings
    """
    what = {"domains": "on the same data", "sizes": "on the same data"}
    for name, value in now.items():
        before = kept.get(name)
        if before != value:
            how = what.get(name, "with the same settings")
            if isinstance(before, list) and isinstance(value, list) and max(len(before), len(value)) > 8:
                raise InputError(f"the mixture's {_first_difference(name, before, value, names)}: a run is resumed {how}")
            raise InputError(
                f"the mixture's {name} was {before!r} when the run began and is {value!r} now: a run is resumed {how}"
            )


def _first_difference(what: str, before: Sequence[Any], now: Sequence[Any], names: Sequence[str] | None) -> str:
    """Where two lists, of which there may be a hundred thousand items, differ first.

    Example:
        >>> _first_difference("sizes", [3, 1], [3, 2], ["en", "sw"])
        "sizes differ, first that of 'sw', which was 1 when the run began and is 2 now"
        >>> _first_difference("domains", ["en"], ["en", "sw"], None)
        "domains differ: there were 1 when the run began and there are 2 now, the first new one 'sw'"
    """
    if len(before) != len(now):
        old, present, which = set(before), set(now), ""
        if what == "domains" and present - old:
            which = f", the first new one {next(item for item in now if item not in old)!r}"
        elif what == "domains" and old - present:
            which = f", the first that is gone {next(item for item in before if item not in present)!r}"
        return f"{what} differ: there were {len(before):,} when the run began and there are {len(now):,} now{which}"
    at = next(i for i, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)
    of = f"that of {names[at]!r}" if names is not None and what == "sizes" else f"number {at + 1}"
    return f"{what} differ, first {of}, which was {before[at]!r} when the run began and is {now[at]!r} now"


def _floor_sums(count: int, modulus: int, slope: int, starts: Counts) -> Counts:
    """`sum over i < count of floor((start - slope i) / modulus) + floor((slope i + c) / modulus)` for every start, up to a term common to all.

    The common term cancels in the differences that are taken of the result.

    Example:
        >>> starts = np.array([5, 12])
        >>> found = _floor_sums(4, 7, 3, starts)
        >>> expected = [sum((start - 3 * i) // 7 for i in range(4)) for start in starts]
        >>> bool(found[1] - found[0] == expected[1] - expected[0])
        True

    Reference:
        The Euclid-like sum of floors, as in the AtCoder library's `floor_sum`.
    """
    if count == 0:
        return np.zeros_like(starts)
    # floor((s - a i) / m) with i counted from the other end: floor((s - a (n - 1) + a i) / m).
    begin = starts - slope * (count - 1)
    total = np.zeros_like(starts)
    n, b, m, a = np.full_like(starts, count), begin, modulus, slope
    while True:
        quotient, a = divmod(a, m)
        total = total + n * (n - 1) // 2 * quotient
        total = total + n * (b // m)
        b = b % m
        top = a * n + b
        n = np.where(top < m, 0, top // m)
        if not n.any():
            return total
        b = np.where(n > 0, top % m, 0)
        m, a = a, m
