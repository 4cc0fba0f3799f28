"""What the figures of a report have in common: the runs' data, colours, style and panels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

RUN_COLOURS = ("#1f6feb", "#d1495b", "#2a9d5c", "#8e5bd6", "#c77d0a", "#128a9b", "#6b7280", "#b0307d")
OBJECTIVE_COLOURS = (
    "#0b7285", "#e07a1f", "#6741d9", "#c2255c", "#2b8a3e", "#5c6770", "#4dabf7", "#a61e4d", "#94a71b", "#b08968", "#2f4b9b", "#f06595"
)  # fmt: skip


@dataclass(frozen=True)
class RunData:
    """What the figures need of a run.

    Attributes:
        label: its name in legends.
        objectives: `name`, `goal` and `bounds` of each.
        reference: the reference point, by objective.
        steps, validations: as in the run folder.
        front_steps: the steps of the validation points that no other beats by more than the noise.
        method, settings: the weighting's name, and the recipe.
        tested: what the test prompts said of the kept policies; None where there were none.
        preferences: what the policy is worth at each preference that its prompt may say.
    """

    label: str
    objectives: list[dict[str, Any]]
    reference: dict[str, float]
    steps: list[dict[str, Any]]
    validations: list[dict[str, Any]]
    front_steps: list[int]
    method: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    tested: dict[str, Any] | None = None
    preferences: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The objectives' names."""
        return [objective["name"] for objective in self.objectives]


Points = list[tuple[int, float]]

STYLE: Any = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "axes.edgecolor": "#8a929c",
    "axes.labelcolor": "#2b3137",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "text.parse_math": False,  # names are the user's, dollar signs and all
    "svg.hashsalt": "steelyard",
}


def panels(count: int, *, columns: int = 3, width: float = 3.9, height: float = 3.1) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, three in a row; sizes are those of one, in inches.

    Example:
        >>> len(panels(4)[1])
        4
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]
