"""The commands that train and show what came of it: `train`, `demo`, `report`, `recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli.console import quiet_libraries, settle_hub, shown, terminal
from steelyard.errors import InputError


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships: see `steelyard recipes`.")],
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: key.key=value; may be repeated.")] = None,
) -> None:
    """Train a policy by a recipe; writes a run folder and its report."""
    from steelyard.recipes.loading import load_recipe

    checked = load_recipe(recipe, changes=changes)
    _train(checked, out or Path("runs") / checked.name, recipe, resume, terminal())


def _train(checked: Any, out: Path, recipe: str, resume: bool, console: Any) -> Any:
    settle_hub()
    quiet_libraries()
    from steelyard.recipes.shipped import find_recipe
    from steelyard.report import write_report
    from steelyard.runs.progress import RichProgress
    from steelyard.runs.run import train as run

    result = run(checked, out=out, resume=resume, progress=RichProgress(console, out.name), base=find_recipe(recipe).parent)
    console.print(_losses_table(out) if checked.kind == "supervised" else _front_table([(out.name, result)], checked))
    console.print(f"report: {write_report([out])}", soft_wrap=True, highlight=False)
    return result


def demo(
    out: Annotated[Path, typer.Option(help="Where to write; a number is added where the folder exists.")] = Path("runs/demo"),
    steps: Annotated[int | None, typer.Option(help="Updates of each run; by default what the recipes say.")] = None,
) -> None:
    """Train the embedded policy with fixed and with gradient-based weights, and write a report that compares them."""
    from steelyard.recipes.loading import load_recipe

    console = terminal()
    changes = [] if steps is None else [f"algorithm.steps={steps}"]
    recipes = {name: load_recipe(name, changes=changes) for name in ("sums-fixed", "sums-normalized")}
    place, number = out, 1
    while place.exists():
        number += 1
        place = out.with_name(f"{out.name}-{number}")
    console.print(
        "Three-number sums: the shorter the answer, the harder to get right. One policy, one seed, trained twice:\n"
        "with fixed equal weights, then with weights that follow the objectives' gradients.",
        highlight=False,
    )
    settle_hub(needed=False)
    quiet_libraries()
    from steelyard.report import write_report
    from steelyard.runs.progress import RichProgress
    from steelyard.runs.run import train as run

    folders = {"sums-fixed": place / "fixed", "sums-normalized": place / "gradient"}
    results = [
        (folder.name, run(recipes[name], out=folder, progress=RichProgress(console, folder.name)))
        for name, folder in folders.items()
    ]
    console.print(_front_table(results, recipes["sums-fixed"]))
    console.print(
        "One seed each, so the difference between them may be chance. The report shows how they got there.", highlight=False
    )
    console.print(f"report: {write_report(list(folders.values()))}", soft_wrap=True, highlight=False)


def _front_table(results: list[tuple[str, Any]], recipe: Any) -> Any:
    from rich.table import Table

    from steelyard.intervals import with_error
    from steelyard.runlog import RunLog

    found = RunLog(results[0][1].path).pareto()
    objectives, tested = found["objectives"], found.get("test")
    arrows = {"maximize": "↑", "minimize": "↓"}
    table = Table(
        "run",
        "update",
        *(f"{o['name']} {arrows[o['goal']]}" for o in objectives),
        "is the",
        title="The front, on the validation prompts that chose it, which flatters it: name prompts.test to measure it on others"
        if tested is None
        else f"The policies that were kept, measured once on {tested['prompts']:,} test prompts (± standard error)",
        title_justify="left",
    )
    for label, result in results:
        for point in result.front:
            values = (with_error(point["values"][o["name"]], point["standard_errors"][o["name"]]) for o in objectives)
            table.add_row(label, str(point["step"]), *values, ", ".join(point["names"]))
        table.add_row(label, "", *[""] * len(objectives), f"hypervolume {result.hypervolume:.3f}", style="bold", end_section=True)
    return table


def _losses_table(path: Path, limit: int = 24) -> Any:
    from rich.table import Table

    from steelyard.report._domains import domain_rows
    from steelyard.report.page import read_runs

    rows = domain_rows(read_runs([path])[0])
    table = Table(
        "domain",
        "examples",
        "drawn",
        "times seen",
        "loss, start",
        "end",
        "lowest",
        title="Held-out loss, nats a token",
        title_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows if len(rows) <= limit else [*rows[: limit // 2], *rows[-limit // 2 :]]:
        losses = ["nothing held out", "", ""] if row["end"] is None else [f"{row[key]:.3f}" for key in ("start", "end", "lowest")]
        table.add_row(row["name"], f"{row['examples']:,}", f"{row['drawn']:,}", f"{row['epochs']:.3g}", *losses)
    if len(rows) > limit:
        table.caption = f"and {len(rows) - limit} domains between: see the report"
    return table


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, finished or still going; several are compared.")],
    out: Annotated[Path | None, typer.Option(help="The page; by default report.html in the folder, or beside several.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Also write every figure into this folder, as SVG and PNG.")] = None,
) -> None:
    """Write one HTML page of one or more runs."""
    from steelyard.report import write_figures, write_report

    typer.echo(shown(f"report: {write_report(runs, out=out)}"))
    if figures is not None:
        for path in write_figures(runs, figures):
            typer.echo(shown(f"figure: {path}"))


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe, to start your own from.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a recipe, for editors.")] = False,
) -> None:
    """List the recipes that ship, or print one, or the JSON schema of all."""
    from steelyard.recipes.shipped import find_recipe, recipe_names

    if schema:
        import json

        from steelyard.recipes.schema import recipe_schema

        if name is not None:
            raise InputError("--schema is of all recipes: leave the name out")
        typer.echo(json.dumps(recipe_schema(), indent=1, ensure_ascii=False))
        return
    if name is not None:
        typer.echo(shown(find_recipe(name).read_text(encoding="utf-8")), nl=False)
        return
    for shipped in recipe_names():
        typer.echo(f"{shipped:18} {find_recipe(shipped).read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
