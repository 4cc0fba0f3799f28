"""The commands `steelyard rubric show|check|diff|stats`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from steelyard.cli.console import shown
from steelyard.errors import InputError
from steelyard.files import is_file

rubric_app = typer.Typer(name="rubric", help="Look at meta-rubrics, check one of your own, compare two.", no_args_is_help=True)


@rubric_app.command(epilog="Example: steelyard rubric show maths")
def show(name: Annotated[str | None, typer.Argument(help="A rubric that ships, or a file; default: list them.")] = None) -> None:
    """Print a meta-rubric as the judge reads it."""
    from steelyard.rubric import MetaRubric, rubric_names

    if name is not None:
        loaded = MetaRubric.load(name)
        typer.echo(shown(loaded.text()))
        for change in loaded.changelog:
            typer.echo(shown(f"version {change.version}, {change.date}: {change.what}"))
        return
    for each in rubric_names():
        loaded = MetaRubric.load(each)
        about = "the principles of every domain" if loaded.route is None else loaded.route.about
        typer.echo(shown(f"{loaded.id:16} {len(loaded.principles):3} principles  {about}"))


@rubric_app.command(epilog="Example: steelyard rubric check mine.yaml")
def check(path: Annotated[str, typer.Argument(help="A meta-rubric's file.")]) -> None:
    """Check a meta-rubric of your own."""
    from steelyard.rubric import MetaRubric

    loaded = MetaRubric.load(path)
    typer.echo(shown(f"{loaded.id}: {len(loaded.principles)} principles, {len(loaded.text()):,} characters"))


@rubric_app.command(epilog="Example: steelyard rubric diff general mine.yaml")
def diff(
    old: Annotated[str, typer.Argument(help="A name or a file.")], new: Annotated[str, typer.Argument(help="A name or a file.")]
) -> None:
    """Say what changed between two meta-rubrics."""
    from steelyard.rubric import MetaRubric, diff_rubrics

    for line in diff_rubrics(MetaRubric.load(old), MetaRubric.load(new)) or ["no difference"]:
        typer.echo(shown(line))


@rubric_app.command(epilog="Example: steelyard rubric stats verdicts.jsonl")
def stats(
    verdicts: Annotated[Path, typer.Argument(help="Verdicts, as `steelyard judge --out` or `steelyard bench` wrote them.")],
) -> None:
    """Say what a judge does over many verdicts: which tiers decide, whether it favours a place, whether its quotes are there."""
    from steelyard.rubric.stats import rubric_stats
    from steelyard.rubric.verdict_files import read_verdicts

    if not is_file(verdicts):
        raise InputError(f"no file {str(verdicts)!r}: give the --out of `steelyard judge`")
    found = read_verdicts(verdicts)
    if not found:
        raise InputError(f"{verdicts} holds no verdicts")
    for line in rubric_stats(found.values()).lines():
        typer.echo(shown(line))
