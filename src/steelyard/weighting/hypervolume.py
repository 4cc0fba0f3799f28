"""A fixed preference, followed harder while the front advances and more gently while it does not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

from steelyard.objectives import Objective
from steelyard.pareto import ParetoArchive
from steelyard.settings import Positive, checked
from steelyard.weighting.archives import run_archive, start_archive
from steelyard.weighting.base import METHODS, Batch, Normalize, Preference, Weighting


def meta_reward(hypervolume_gain: float, *, gain: float = 20.0) -> float:
    """The factor on the next advantages, `m = 0.5 + 1.5 tanh(gain * dHV)`: 0.5 where the front stood still, towards 2 where it leapt.

    Args:
        hypervolume_gain: `dHV`, at least 0, as a share of the volume between the start point and the best possible one.
        gain: how fast m rises; at 20, a step that covers 1% of that volume gives 0.8, one that covers 5% gives 1.64.

    Example:
        >>> [round(meta_reward(x), 2) for x in (0.0, 0.01, 0.05, 1.0)]
        [0.5, 0.8, 1.64, 2.0]

    Reference:
        Lu et al., arXiv 2509.11452, section 3.1, where gain is 1 and the volume is in raw units.
    """
    return 0.5 + 1.5 * math.tanh(gain * max(0.0, hypervolume_gain))


@METHODS.add("hypervolume")
class HypervolumeGuided(Weighting):
    """The preference stays; a meta-reward scales the advantage by how much the last validation point enlarged the front.

    `A = m * estimator(w . R)`, `m = 0.5 + 1.5 tanh(gain * dHV)`, `dHV = HV(archive + point) - HV(archive)`; m is 1 until the second
    validation. A point enters the archive when it enlarges the volume. In the paper a validation follows every update; with fewer, m holds from
    one to the next.

    Args:
        weights: the preference, `[K]` or by name; None for equal weights.
        gain: see `meta_reward`; positive.
        reference: from where the volume is counted: "start" (the first validation, as in the paper) or "worst" (every objective's worst
            bound, see `run_archive`). From the start a point counts only if it is better in every objective at once: a run that trades one away
            for others has m = 0.5 throughout, of which it warns.

    Raises:
        InputError: where an argument is out of range.

    Example:
        >>> method = HypervolumeGuided()
        >>> method.setup([Objective("right", len, bounds=(0, 1)), Objective("short", len, goal="minimize", measure=len, bounds=(0, 100))])
        >>> method.on_validation([0.5, 80.0]); method.scale()
        1.0
        >>> method.on_validation([0.6, 60.0]); round(method.scale(), 2)
        1.64

    Reference:
        Lu et al., arXiv 2509.11452, section 3.1, algorithm 1. Deviations: (a) m acts on the advantage, after normalisation, since on the
        rewards it cancels under GRPO and whitened REINFORCE; (b) every objective is scaled so that the way from the start point to its best
        bound counts as 1 (without bounds: the start value itself), where the reference enters tokens raw and saturates tanh; (c) `gain`; (d)
        `reference="worst"`, where a better trade-off counts as well.
    """

    needs_validation = True

    @checked
    def __init__(
        self,
        weights: Preference | None = None,
        *,
        gain: Positive = 20.0,
        reference: Literal["start", "worst"] = "start",
        normalize: Normalize = "sum",
    ) -> None:
        super().__init__(weights, normalize=normalize)
        self.gain = gain
        self.reference, self.archive, self._meta, self._seen = reference, None, 1.0, 0
        self._objectives: list[Objective] = []

    archive: ParetoArchive | None

    def setup(self, objectives: Sequence[Objective]) -> None:
        """Learn the objectives, their directions and bounds."""
        super().setup(objectives)
        self._objectives, self.archive, self._meta, self._seen = list(objectives), None, 1.0, 0

    def scale(self) -> float:
        """The meta-reward m, 0.5..2; 1 before there is anything to compare."""
        return self._meta

    def on_batch(self, batch: Batch) -> None:
        """Batches play no part here."""

    def on_validation(self, point: Sequence[float]) -> None:
        """The first point becomes the reference, or the first of the archive; every later one sets m."""
        if self.archive is None and self.reference == "start":
            self.archive = start_archive(self._objectives, point)
            return
        if self.archive is None:
            self.archive = run_archive(self._objectives, point)
            self.archive.add(point)
            return
        self._seen += 1
        if self._seen == PATIENCE and self.reference == "start" and not self.archive.points:
            warnings.warn(
                f"none of {PATIENCE} validation points was better than the start in every objective at once, so the meta-reward is still 0.5: "
                "reference='worst' counts trade-offs as well",
                stacklevel=2,
            )
        gained = self.archive.contribution(point)
        self._meta = meta_reward(gained, gain=self.gain)
        if gained > 0:
            self.archive.add(point)

    def state_dict(self) -> dict[str, Any]:
        """Preference, meta-reward and archive."""
        return {
            **super().state_dict(),
            "meta": self._meta,
            "seen": self._seen,
            "archive": None if self.archive is None else self.archive.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state)
        self._meta, self._seen = state["meta"], state.get("seen", 0)
        if state["archive"] is not None:
            self.archive = ParetoArchive([0.0] * len(state["weights"]), maximize=[True] * len(state["weights"]))
            self.archive.load_state_dict(state["archive"])


PATIENCE = 10
"""Validations without a point better than the start that are worth a word."""
