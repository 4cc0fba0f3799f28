"""What every schedule is: `probabilities(sizes, progress)`, and a temperature where it is one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from steelyard.errors import InputError
from steelyard.mixture.temperature import Floats, temperature_probabilities


@dataclass(frozen=True)
class Knob:
    """A number of a schedule that may be lowered.

    Attributes:
        form: the schedule in a word, with `{}` for the number.
        least, most: between which it may lie; most is what it is now.
    """

    form: str
    least: float
    most: float


class Schedule(ABC):
    """Says how often each domain is drawn at every share of a run.

    Example:
        >>> class FromHalfOn(Schedule):
        ...     def probabilities(self, sizes, progress):
        ...         return temperature_probabilities(sizes, 0.5 + progress)
        >>> FromHalfOn().probabilities([3, 1], 0.0).round(3).tolist(), FromHalfOn().probabilities([3, 1], 0.5).round(3).tolist()
        ([0.9, 0.1], [0.75, 0.25])
    """

    form: ClassVar[str] = ""
    """How it is written in a word, where that is not its word and its numbers in order."""
    follows_losses: ClassVar[bool] = False
    """Whether it needs the held-out losses of the run, which only supervised training has."""
    reads_a_file: ClassVar[bool] = False
    """Whether what follows its word is the name of a file."""

    @abstractmethod
    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """Probabilities of the domains, float64 `[D]`, summing to 1, at a share of the run, 0..1."""

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """From what follows its word: numbers with commas between them, in the order of its fields.

        Raises:
            ValueError, TypeError: where it cannot be read so.
        """
        return cls(*(float(number) for number in text.split(",")) if text else ())

    def remedy(self, max_epochs: float) -> str:
        """What to do where it shows a domain more often than so many times."""
        return "lower the temperature"

    def rare_remedy(self) -> str:
        """What to do where it shows a domain less than once."""
        return "raise the temperature, or leave out"

    @property
    def cap(self) -> float | None:
        """How often it lets an example be seen, where it is about that."""
        return None

    def knobs(self) -> list[Knob]:
        """Its numbers that may be lowered to show small domains less often; none where there is no such."""
        return []

    def changes(self) -> list[float]:
        """Where in the run the mixture jumps; between these it is constant or, for a dense schedule, moves smoothly."""
        return []

    def for_run(self, num_samples: int, names: Sequence[str] | None = None, sizes: ArrayLike | None = None) -> Schedule:
        """The same schedule, told how many samples the run draws, what the domains are called and how large they are."""
        return self


def check_progress(progress: float) -> float:
    """A share of the run.

    Example:
        >>> check_progress(1.5)
        Traceback (most recent call last):
        steelyard.errors.InputError: progress is a share of the run, 0 to 1, but is 1.5
    """
    if not 0 <= progress <= 1:
        raise InputError(f"progress is a share of the run, 0 to 1, but is {progress}")
    return float(progress)


class TemperatureSchedule(Schedule):
    """A schedule that is a temperature at every share of the run."""

    @abstractmethod
    def temperature(self, progress: float) -> float:
        """The temperature at a share of the run."""

    def probabilities(self, sizes: ArrayLike, progress: float) -> Floats:
        """`p(i; tau)` at the temperature of that share of the run."""
        return temperature_probabilities(sizes, self.temperature(check_progress(progress)))
