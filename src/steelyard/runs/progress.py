"""How a run goes, shown while it goes: a live table in a terminal, a line every few updates elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from steelyard.intervals import number


class Progress:
    """What a run tells of itself; this one says nothing."""

    def begin(self, steps: int, *, done: int, names: list[str]) -> None:
        """The run begins, or goes on after `done` updates."""

    def message(self, text: str) -> None:
        """Something worth a line."""

    def step(self, record: dict[str, Any]) -> None:
        """An update, as in steps.jsonl."""

    def validation(self, step: int, point: dict[str, float], hypervolume: float) -> None:
        """A validation point."""

    def update(self, record: dict[str, Any]) -> None:
        """An update of a supervised run."""

    def losses(self, step: int, mean: float, losses: dict[str, float]) -> None:
        """A validation of a supervised run: held-out losses by domain."""

    def end(self) -> None:
        """The run is over, or failed."""


class QuietProgress(Progress):
    """Shows nothing."""


class RichProgress(Progress):
    """Step, weights, every objective and the time left.

    Args:
        console: where to draw; in a terminal a live table, elsewhere a line at every validation.
        title: what the run is called.
    """

    def __init__(self, console: Console, title: str) -> None:
        self.console, self.title = console, title
        self.live: Live | None = None
        self.steps = self.done = self.first = 0
        self.names: list[str] = []
        self.record: dict[str, Any] | None = None
        self.points: list[tuple[int, dict[str, float], float]] = []
        self.held_out: list[tuple[int, float, dict[str, float]]] = []
        self.began = time.perf_counter()

    def begin(self, steps: int, *, done: int, names: list[str]) -> None:
        """Start drawing."""
        self.steps, self.done, self.first, self.names, self.began = steps, done, done, names, time.perf_counter()
        if self.console.is_terminal:
            self.live = Live(self._draw(), console=self.console, refresh_per_second=4, transient=True)
            self.live.start()

    def message(self, text: str) -> None:
        """Print a line."""
        self.console.print(f"{self.title}: {text}", highlight=False, soft_wrap=True)

    def step(self, record: dict[str, Any]) -> None:
        """Redraw."""
        self.record, self.done = record, record["step"]
        if self.live is not None:
            self.live.update(self._draw())

    def validation(self, step: int, point: dict[str, float], hypervolume: float) -> None:
        """Redraw, or print a line."""
        self.points.append((step, point, hypervolume))
        if self.live is not None:
            self.live.update(self._draw())
            return
        weights = (
            "" if self.record is None else "  weights " + " ".join(f"{self.record['weights'][name]:.2f}" for name in self.names)
        )
        values = "  ".join(f"{name} {number(value)}" for name, value in point.items())
        self.console.print(
            f"{self.title}: step {step:4d}/{self.steps}  {values}{weights}  hypervolume {hypervolume:.3f}  {self._left()}",
            highlight=False,
            soft_wrap=True,
        )

    def update(self, record: dict[str, Any]) -> None:
        """Redraw."""
        self.record, self.done = record, record["step"]
        if self.live is not None:
            self.live.update(self._draw_losses())

    def losses(self, step: int, mean: float, losses: dict[str, float]) -> None:
        """Redraw, or print a line."""
        self.held_out.append((step, mean, losses))
        if self.live is not None:
            self.live.update(self._draw_losses())
            return
        worst = max(losses, key=losses.__getitem__)
        self.console.print(
            f"{self.title}: step {step:4d}/{self.steps}  held-out loss {mean:.3f}, mean of {len(losses)} domains "
            f"{sum(losses.values()) / len(losses):.3f}, highest {worst} {losses[worst]:.3f}  {self._left()}",
            highlight=False,
            soft_wrap=True,
        )

    def end(self) -> None:
        """Stop drawing."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _left(self) -> str:
        made = self.done - self.first
        if made <= 0:
            return ""
        seconds = (time.perf_counter() - self.began) / made * (self.steps - self.done)
        return f"{int(seconds // 60)}:{int(seconds % 60):02d} left" if self.done < self.steps else "done"

    def _head(self) -> Table:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self.title, style="bold"),
            f"step {self.done}/{self.steps}",
            ProgressBar(self.steps, self.done, width=30),
            self._left(),
        )
        return head

    def _draw_losses(self) -> Group:
        table = Table("", "held-out loss", "mean of domains", "highest", box=None, padding=(0, 2))
        for label, index in (("start", 0), ("last", -1)):
            if self.held_out and (index == 0 or len(self.held_out) > 1):
                _, mean, losses = self.held_out[index]
                worst = max(losses, key=losses.__getitem__)
                table.add_row(label, f"{mean:.3f}", f"{sum(losses.values()) / len(losses):.3f}", f"{worst} {losses[worst]:.3f}")
        if self.record is not None:
            table.add_row("training loss, this step", f"{self.record['loss']:.3f}", "", "")
        return Group(self._head(), table)

    def _draw(self) -> Group:
        if not self.points:
            return self._draw_losses() if self.held_out else Group(self._head())
        table = Table("", *self.names, "hypervolume", box=None, padding=(0, 2))
        if self.record is not None:
            table.add_row("weight", *(f"{self.record['weights'][name]:.3f}" for name in self.names), "")
            means = (self.record["rewards"][name]["mean"] for name in self.names)
            table.add_row("reward, this step", *("-" if mean is None else number(mean) for mean in means), "")
        for label, index in (("validation, start", 0), ("validation, last", -1)):
            if self.points and (index == 0 or len(self.points) > 1):
                _, point, volume = self.points[index]
                table.add_row(label, *(number(point[name]) for name in self.names), f"{volume:.3f}")
        return Group(self._head(), table)
