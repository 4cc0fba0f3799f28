"""`MixtureStream`: examples of sources that can only be read from their beginning, mixed as `MixtureSampler` mixes indices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.utils.data
from numpy.typing import ArrayLike

from steelyard.errors import InputError
from steelyard.mixture.base import Schedule
from steelyard.mixture.sampler import MixtureSampler, check_same_stream
from steelyard.mixture.temperature import Floats, check_sizes

_Source = Iterable[Any] | Callable[[], Iterable[Any]]


class MixtureStream(torch.utils.data.IterableDataset[Any]):
    """Examples from streaming sources by a schedule; each source is read in its own order, and again from its beginning when it ends.

    Args:
        sources: by domain name, each an iterable that can be iterated anew for every pass (a list, a `datasets.IterableDataset`), or a function
            that returns one. Where a source has `set_epoch`, it is told the number of every pass, so that it can shuffle anew.
        schedule: a `Schedule`.
        sizes: of the domains, by name or in order, in any one unit: what the schedule's probabilities follow. Sources need not know theirs. `UniMax`
            and `CooldownAtCap` count passes, and so need numbers of examples.
        num_samples, batch_size, seed, draw, rank, world_size: as for `MixtureSampler`. All processes together give the stream of one; each
            reads past what falls to the others. Workers of a DataLoader share this process's batches out among them, in turn, and every one reads the
            sources itself; a `datasets.IterableDataset` gives each worker another part, and is refused there. With workers the loader's batches must be this
            process's part of a batch, `batch_size / world_size`: with others the same examples come in another order, and a run that goes on would miss some.

    `state_dict` holds how far the iteration in this process is, see `MixtureSampler.state_dict`; going on reads past what was seen already (of a
    source that has ended once, only what its current pass has given). With workers it goes on between two batches only.

    Raises:
        InputError: where an argument is out of range; in iteration, where a source gives nothing.

    Example:
        >>> from steelyard.mixture import ConstantTemperature
        >>> stream = MixtureStream(
        ...     {"en": ["a", "b", "c"], "sw": ["x"]}, ConstantTemperature(1.0), sizes=[3, 1], num_samples=8, batch_size=4
        ... )
        >>> drawn = list(stream)
        >>> [sorted(drawn[:4]), sorted(drawn[4:])]
        [['a', 'b', 'c', 'x'], ['a', 'b', 'c', 'x']]
    """

    def __init__(
        self,
        sources: Mapping[str, _Source],
        schedule: Schedule,
        *,
        sizes: Mapping[str, float] | ArrayLike,
        num_samples: int,
        batch_size: int,
        seed: int = 0,
        draw: str = "stratified",
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.names = list(sources)
        if isinstance(sizes, Mapping):
            missing = [name for name in self.names if name not in sizes]
            if missing:
                raise InputError(f"no size is given for {', '.join(missing)}: the schedule needs every domain's")
            sizes = [sizes[name] for name in self.names]
        self.sources = dict(sources)
        given = self.sizes = check_sizes(sizes, self.names)
        if len(given) != len(self.names):
            raise InputError(f"there are {len(self.names)} sources, but {len(given)} sizes")
        self.sampler = MixtureSampler(
            np.ones(len(given)), _OfSizes(schedule, tuple(given.tolist())), num_samples=num_samples, batch_size=batch_size, seed=seed, draw=draw,
            rank=rank, world_size=world_size, names=self.names,
        )  # fmt: skip
        self.position = 0

    def __len__(self) -> int:
        """How many examples this process gives in the whole run."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        """Go on from `position` to the end of the run; then start over."""
        readers = {name: _Reader(name, source) for name, source in self.sources.items()}
        worker = torch.utils.data.get_worker_info()
        workers, mine = (1, 0) if worker is None else (worker.num_workers, worker.id)
        part = self.sampler.batch_size // self.sampler.world_size
        first = self.sampler.rank * part
        begin, inside = divmod(self.position, part)
        if workers > 1 and inside and self.position < len(self):
            raise InputError(
                f"the stream goes on inside a batch ({inside} of {part} examples were used), and a loader's workers begin with whole ones: finish the batch "
                "with num_workers=0, or save states between batches"
            )
        for batch in range(begin, -(-len(self) // part)):
            # A loader asks its workers in turn, and begins with the first one, wherever the stream goes on.
            if (batch - begin) % workers != mine:
                continue
            domains, numbers = self.sampler.draws(batch, batch + 1)
            kept = slice(first, first + min(part, len(self) - batch * part))
            for place, (domain, number) in enumerate(zip(domains[kept].tolist(), numbers[kept].tolist(), strict=True)):
                if batch * part + place < self.position:
                    continue
                example = readers[self.names[domain]].read(number)
                self.position = batch * part + place + 1
                yield example
        self.position = 0

    def state_dict(self, *, consumed: int | None = None) -> dict[str, Any]:
        """As `MixtureSampler.state_dict`; where workers iterate, their copies move and this one does not, so `consumed` must be given."""
        state = self.sampler.state_dict(consumed=self.position if consumed is None else consumed)
        return {**state, "sizes": self.sizes.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another stream stopped.

        Raises:
            InputError: where domains, schedule, seed or sizes of the run are others.
        """
        check_same_stream({"sizes": state.get("sizes")}, {"sizes": self.sizes.tolist()}, names=self.names)
        self.sampler.load_state_dict({**state, "sizes": self.sampler.sizes.tolist()})
        self.position, self.sampler.position = self.sampler.position, 0


@dataclass(frozen=True)
class _OfSizes(Schedule):
    """A schedule on sizes of its own, in whatever unit; those of the sampler, which counts examples, are not asked."""

    schedule: Schedule
    sizes: tuple[float, ...]

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        return self.schedule.probabilities(self.sizes, progress)

    def changes(self) -> list[float]:
        return self.schedule.changes()

    def for_run(self, num_samples: int, names: Sequence[str] | None = None, sizes: ArrayLike | None = None) -> _OfSizes:
        return _OfSizes(self.schedule.for_run(num_samples, names, self.sizes), self.sizes)


class _Reader:
    """Examples of one source by number, ascending, over as many passes as it takes."""

    def __init__(self, name: str, source: _Source) -> None:
        self.name, self.source = name, source
        self.passes, self.at, self.length = 0, 0, 0
        self.iterator = self._begin()

    def _begin(self) -> Iterator[Any]:
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(self.passes)
        found = self.source() if callable(self.source) else self.source
        library = sys.modules.get("datasets")
        if library is not None and isinstance(found, library.IterableDataset) and torch.utils.data.get_worker_info() is not None:
            raise InputError(
                f"source {self.name!r} is a datasets.IterableDataset, which gives every worker another part: set num_workers=0 or "
                "dataloader_num_workers=0"
            )
        return iter(found)

    def read(self, number: int) -> Any:
        """The `number`-th example, counted over all passes."""
        while True:
            if self.length and number - self.at >= self.length:
                # Whole passes need not be read: how long one is, is known.
                self.passes, whole = number // self.length, number // self.length * self.length
                self.at, self.iterator = whole, self._begin()
            try:
                example = next(self.iterator)
            except StopIteration:
                read = self.at - self.passes * self.length
                if not read:
                    raise InputError(
                        f"source {self.name!r} gives no examples: leave it out, or give one that can be read more than once"
                    ) from None
                self.length = self.length or self.at
                self.passes += 1
                self.iterator = self._begin()
                continue
            self.at += 1
            if self.at > number:
                return example
