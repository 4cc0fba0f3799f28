"""The rows of a dataset in the order of a mixture of its domains, and the weight of each domain's loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from steelyard.errors import InputError
from steelyard.fields import is_missing
from steelyard.mixture import AdaptiveCooldown, ConstantTemperature, MixtureSampler, Schedule
from steelyard.mixture.mixture import Mixture
from steelyard.mixture.sampler import check_same_stream
from steelyard.mixture.temperature import Floats


class DomainOrder(Sampler[int]):
    """The rows of a dataset in the order of a mixture, from the beginning of the run whenever it is iterated.

    Args:
        mixture: how to draw.
        labels: every row's domain.
        num_samples, batch_size: of the whole run and of a global batch, as for `MixtureSampler`.
        seed: of the order.

    Example:
        >>> order = DomainOrder(Mixture("constant:1"), ["en", "sw", "en", "en"], num_samples=8, batch_size=4, seed=0)
        >>> order.names, sorted(list(order)[:4]), order.drawn(0)
        (['en', 'sw'], [0, 1, 2, 3], {'en': 3, 'sw': 1})
    """

    def __init__(self, mixture: Mixture, labels: Sequence[Any], *, num_samples: int, batch_size: int, seed: int) -> None:
        missing = next((row for row, label in enumerate(labels) if is_missing(label)), None)
        if missing is not None:
            raise InputError(f"row {missing + 1} has no {mixture.column}: with a mixture, every row belongs to one")
        names, ids = np.unique(np.asarray([str(label) for label in labels]), return_inverse=True)
        self.mixture, self.names, self.ids = mixture, names.tolist(), ids
        self._numbers = {name: number for number, name in enumerate(self.names)}
        self.sizes = np.bincount(ids)
        self.rows = np.argsort(ids, kind="stable")
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        assert isinstance(mixture.schedule, Schedule)
        self.schedule = mixture.schedule.for_run(num_samples, self.names, self.sizes)
        self.cooled_at: int | None = None
        self.history: list[float] = []
        self.reset()

    def _sampler(self, schedule: Schedule, mixture: Mixture | None = None) -> MixtureSampler:
        drawn_by = schedule if (mixture or self.mixture).by == "sampling" else ConstantTemperature(1.0)
        return MixtureSampler(
            self.sizes,
            drawn_by,
            num_samples=self.num_samples,
            batch_size=self.batch_size,
            seed=self.seed,
            draw=self.mixture.draw,
            names=self.names,
        )

    @property
    def batches(self) -> int:
        """Global batches of the run."""
        return -(-self.num_samples // self.batch_size)

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        self.begun = 0
        ahead = max(1, 8192 // self.batch_size) if self.cooled_at is None and self._adaptive() is None else 1
        for first in range(0, self.batches, ahead):
            last = min(first + ahead, self.batches)
            self.begun = last
            indices = self.sampler.stream(first, last)[: self.num_samples - first * self.batch_size]
            yield from self.rows[indices].tolist()

    def index_of(self, labels: Iterable[Any]) -> Tensor:
        """The number of each label's domain, int64."""
        return torch.tensor([self._numbers[str(label)] for label in labels])

    def drawn(self, batch: int) -> dict[str, int]:
        """How many rows of each domain a global batch holds."""
        domains, _ = self.sampler.draws(batch, batch + 1)
        counts = np.bincount(domains, minlength=len(self.names))
        return dict(zip(self.names, counts.tolist(), strict=True))

    def loss_weights(self, progress: float) -> Floats:
        """What the loss of each domain is multiplied by at a share of the run, float64 `[D]`: ones, unless by scalarization."""
        if self.mixture.by == "sampling":
            return np.ones(len(self.names))
        return self.schedule.probabilities(self.sizes, min(progress, 1.0)) * self.sizes.sum() / self.sizes

    def weights_of(self, labels: Iterable[Any], progress: float) -> Floats:
        """The `loss_weights` of rows with these labels, float64 `[rows]`."""
        return self.loss_weights(progress)[self.index_of(labels).numpy()]

    # Adaptive cooling --------------------------------------------------------------------------------------------------------------------

    def _adaptive(self) -> AdaptiveCooldown | None:
        return self.schedule if isinstance(self.schedule, AdaptiveCooldown) else None

    def on_validation(self, losses: dict[str, float]) -> str | None:
        """Let an adaptive cooldown see the domains' held-out losses; returns what it decided, in words, or None."""
        adaptive = self._adaptive()
        if adaptive is None or self.cooled_at is not None or not self.begun or self.begun / self.batches >= adaptive.latest:
            return None
        watched = [losses[name] for name in self.watched(losses)]
        self.history.append(sum(watched) / len(watched))
        if not adaptive.turned(self.history):
            return None
        self._cool(self.begun)
        if self.cooled_at is None:
            return None
        return f"the mean held-out loss of {len(watched)} upsampled domains turned: cooled down at step {self.begun}"

    def watched(self, held_out: Iterable[str]) -> list[str]:
        """The upsampled domains that have held-out rows, which an adaptive cooldown follows; empty without one.

        Raises:
            InputError: where there are none.
        """
        adaptive, known = self._adaptive(), set(held_out)
        if adaptive is None:
            return []
        upsampled = adaptive.upsampled(self.sizes)
        found = [name for name, up in zip(self.names, upsampled, strict=True) if up and name in known]
        if not found:
            raise InputError(
                "an adaptive cooldown follows the held-out losses of the upsampled domains, but none has held-out rows with a target"
            )
        return found

    def _cool(self, batch: int) -> None:
        adaptive = self._adaptive()
        assert adaptive is not None
        if 0 < batch < self.batches and batch / self.batches < adaptive.latest:
            self.cooled_at = batch
            # Half a batch before, so that rounding up always ends at this one.
            self.sampler = self._sampler(adaptive.cooled((batch - 0.5) / self.batches))

    def reset(self) -> None:
        """Back to the beginning of a run, before any cooldown."""
        self.begun, self.cooled_at, self.history = 0, None, []
        self.sampler = self._sampler(self.schedule)

    def state_dict(self) -> dict[str, Any]:
        """What the order depends on, and what an adaptive cooldown has seen."""
        sampled = replace(self.mixture, by="sampling")
        identity = self._sampler(self.schedule, sampled)._identity()
        return {"by": self.mixture.by, "cooled_at": self.cooled_at, "history": self.history, **identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the order of an earlier run.

        Raises:
            InputError: where domains, their sizes, the schedule or the length of the run are others.
        """
        now = {key: value for key, value in self.state_dict().items() if key not in ("cooled_at", "history", "world_size")}
        check_same_stream(state, now, names=self.names)
        self.reset()
        self.history = list(state["history"])
        if state["cooled_at"] is not None:
            self._cool(state["cooled_at"])
