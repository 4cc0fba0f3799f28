"""The command `steelyard soup`: policies between the policies of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli.console import quiet_libraries, settle_hub, terminal


def soup(
    runs: Annotated[
        list[str],
        typer.Argument(help="Folders of finished runs that began from one policy; FOLDER@STEP for one that a run kept."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("runs/soup"),
    points: Annotated[int, typer.Option(help="Values of each run's weight, from 0 to 1.", min=2)] = 5,
    base: Annotated[Path, typer.Option(help="The folder that relative paths in the recipe start from.")] = Path("."),
) -> None:
    """Interpolate the policies of several runs, measure every mixture, and keep the front."""
    console = terminal()
    settle_hub()
    quiet_libraries()
    from steelyard.runlog import RunLog
    from steelyard.runs.progress import RichProgress
    from steelyard.runs.soup import make_soup

    result = make_soup(runs, out=out, points=points, progress=RichProgress(console, out.name), base=base)
    console.print(_table(RunLog(out), result))
    console.print(f"beside the runs: steelyard report {' '.join(run.partition('@')[0] for run in runs)} {out} --out compare.html", soft_wrap=True, highlight=False)  # fmt: skip


def _table(log: Any, result: Any) -> Any:
    from rich.table import Table

    from steelyard.cli.console import shown
    from steelyard.files import read_json
    from steelyard.intervals import with_error

    found, mixed = log.pareto(), read_json(log.path / "soup.json")
    names = [objective["name"] for objective in found["objectives"]]
    arrows = {"maximize": "↑", "minimize": "↓"}
    table = Table(
        *(shown(run) for run in mixed["runs"]),
        *(f"{objective['name']} {arrows[objective['goal']]}" for objective in found["objectives"]),
        "is the",
        title=f"The mixtures on the front, on {result.measured_on} prompts (± standard error); hypervolume {result.hypervolume:.3f}",
        title_justify="left",
    )
    for point in result.front:
        weights = (f"{weight:.2f}" for weight in mixed["mixtures"][point["step"]])
        values = (with_error(point["values"][name], point["standard_errors"][name]) for name in names)
        table.add_row(*weights, *values, ", ".join(name for name in point["names"] if name != "last"))
    return table
