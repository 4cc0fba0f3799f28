"""`Mixture`: a schedule, how it is applied, how it draws, and the column that names the domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from steelyard.errors import InputError
from steelyard.mixture.base import Schedule
from steelyard.mixture.words import parse_schedule
from steelyard.settings import check_value

By = Literal["sampling", "scalarization"]
"""Ways in which a mixture reaches the loss."""
Draw = Literal["stratified", "independent"]


@dataclass(frozen=True)
class Mixture:
    """How a trainer treats its domains.

    Attributes:
        schedule: a `Schedule`, or one in a word, as `parse_schedule` reads it.
        by: "sampling" draws the domains by the schedule; "scalarization" draws them in proportion and multiplies the loss of an example of
            domain i (in reinforcement learning its advantage) by `p(i) / p(i; 1)`: the same in expectation, mostly of larger variance.
        draw: "stratified" or "independent", as for `MixtureSampler`.
        column: of the dataset, with every row's domain.

    Example:
        >>> Mixture("cooldown:5,1,0.5").schedule
        Cooldown(start=5.0, end=1.0, at=0.5)
        >>> Mixture("cooldown", by="weighting")
        Traceback (most recent call last):
        steelyard.errors.InputError: by must be one of sampling, scalarization, but is 'weighting'

    Reference:
        Li et al., arXiv 2410.04579, sections 3 and 5.
    """

    schedule: Schedule | str = "cooldown"
    by: str = "sampling"
    draw: str = "stratified"
    column: str = "domain"

    def __post_init__(self) -> None:
        if isinstance(self.schedule, str):
            object.__setattr__(self, "schedule", parse_schedule(self.schedule))
        if not isinstance(self.schedule, Schedule):
            raise InputError(f"a mixture's schedule must be a Schedule or its name, but is {self.schedule!r}")
        check_value("by", self.by, By)
        check_value("draw", self.draw, Draw)
        if self.follows_losses and (self.by, self.draw) != ("sampling", "stratified"):
            raise InputError("an adaptive cooldown works by sampling with stratified draws: only they can change on the way")

    @property
    def follows_losses(self) -> bool:
        """Whether the schedule needs the held-out losses of the run."""
        return isinstance(self.schedule, Schedule) and self.schedule.follows_losses


def as_mixture(mixture: Mixture | Schedule | str) -> Mixture:
    """A mixture given as one, as a schedule, or as a schedule's name."""
    return mixture if isinstance(mixture, Mixture) else Mixture(mixture)


def as_mixture_and_column(mixture: Mixture | Schedule | str | None, column: str | None) -> tuple[Mixture | None, str]:
    """A mixture, where there is one, and the column with the domains, said by either.

    Example:
        >>> as_mixture_and_column("constant:1", "lang")[0].column, as_mixture_and_column(None, None)
        ('lang', (None, 'domain'))
        >>> as_mixture_and_column(Mixture("cooldown", column="lang"), "topic")
        Traceback (most recent call last):
        steelyard.errors.InputError: the mixture reads domains from the column 'lang', and domain_column is 'topic': give one of them
    """
    if mixture is None:
        return None, column or "domain"
    if not isinstance(mixture, Mixture):
        mixture = Mixture(mixture, column=column or "domain")
    if column not in (None, mixture.column):
        raise InputError(
            f"the mixture reads domains from the column {mixture.column!r}, and domain_column is {column!r}: give one of them"
        )
    return mixture, mixture.column
