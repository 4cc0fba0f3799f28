"""From a recipe to a finished run folder, of either kind; and how a run goes on after a stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steelyard._lazy import lazy

if TYPE_CHECKING:
    from steelyard.runs.life import Run as Run
    from steelyard.runs.life import Start as Start
    from steelyard.runs.life import carry_through as carry_through
    from steelyard.runs.life import opened as opened
    from steelyard.runs.policy import RunResult as RunResult
    from steelyard.runs.progress import Progress as Progress
    from steelyard.runs.progress import RichProgress as RichProgress
    from steelyard.runs.run import train as train
    from steelyard.runs.sampling import sample_answers as sample_answers
    from steelyard.runs.soup import make_soup as make_soup
    from steelyard.runs.supervised import SupervisedResult as SupervisedResult

__getattr__, __dir__, __all__ = lazy(__name__)
