"""The command `steelyard mix`: what a mixture of domains will do, before any training."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steelyard.cli.console import LateHelp, settle_hub, shown, terminal
from steelyard.errors import InputError
from steelyard.files import is_disk_full, is_folder, is_there

if TYPE_CHECKING:
    from steelyard.mixture import MixturePlan


def mix(
    data: Annotated[
        list[str] | None,
        typer.Argument(
            help="A recipe (what its run will draw), or files (each a domain), folders (each entry a domain), or with --column any rows, datasets' names "
            "included."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the run; a recipe says its own.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples a step, over all processes; by default 64.")] = None,
    schedule: Annotated[str | None, typer.Option(help="How often each domain is drawn over the run: ...")] = None,
    column: Annotated[str | None, typer.Option(help="The column that names a row's domain.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="examples, bytes or, with --sizes, anything; a step draws --batch-size of them.")
    ] = None,
    sizes: Annotated[
        Path | None, typer.Option(help="A JSON file with every domain's size, instead of data that would be counted.")
    ] = None,
    max_epochs: Annotated[float, typer.Option(help="Warn of domains that are seen more often.")] = 10.0,
    picture: Annotated[Path, typer.Option(help="Where the picture goes (.png or .svg).")] = Path("mix.png"),
    limit: Annotated[int, typer.Option(min=0, help="Rows of the table.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON, and draw no picture.")] = False,
    export: Annotated[
        str | None, typer.Option(help="Print the blends phase by phase, for megatron, nemo, llama-factory, datasets or mosaic.")
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: key.key=value; may be repeated.")] = None,
) -> None:
    """Show what a mixture of domains will do, before any training: draws, epochs, repetitions, and what would hold them back."""
    if picture.suffix not in (".png", ".svg"):
        raise InputError(f"the picture is a .png or .svg file, but found {str(picture)!r}")
    if not is_folder(picture.parent):
        raise InputError(f"cannot write {picture}: there is no folder {picture.parent}")
    if is_folder(picture):
        raise InputError(f"cannot write {picture}: it is a folder")
    given = {
        "--steps": steps,
        "--batch-size": batch_size,
        "--schedule": schedule,
        "--column": column,
        "--unit": unit,
        "--sizes": sizes,
    }
    if _is_recipe(data):
        twice = [name for name, value in given.items() if value is not None]
        if twice:
            raise InputError(f"{', '.join(twice)}: a recipe says its own; change it with --set, as in --set training.steps=100")
        plan = _recipe_plan(data[0], changes, max_epochs)  # type: ignore[index]
    else:
        if changes:
            raise InputError("--set changes a recipe, but no recipe is given")
        if steps is None:
            raise InputError("--steps is missing: how long is the run? (a recipe would say it)")
        plan = _data_plan(
            data or [], sizes, column, unit or "examples", picture, schedule or "cooldown", steps, batch_size or 64, max_epochs
        )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(plan), indent=1, ensure_ascii=False))
        return
    if export is not None:
        from steelyard.mixture.export import export_plan

        typer.echo(shown(export_plan(plan, export)))
        return
    console = terminal()
    console.print(_mix_table(plan, unit or "examples", limit))
    for warning in plan.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, highlight=False)
    if plan.suggestion is not None:
        console.print(f"suggestion: {plan.suggestion}", soft_wrap=True, highlight=False)
    from steelyard.report._plan_figure import mixture_figure

    try:
        with warnings.catch_warnings():
            # Names in scripts that no font at hand has are boxes in the picture; the table has them.
            warnings.filterwarnings("ignore", message="Glyph")
            mixture_figure(plan, max_epochs=max_epochs).savefig(picture, dpi=130)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise InputError(f"cannot write {picture}: {error.strerror}") from None
    console.print(f"picture: {picture}", soft_wrap=True, highlight=False)


def _is_recipe(data: list[str] | None) -> bool:
    """Whether the one thing that is given is a recipe: a YAML file, or the name of a shipped one that is no file."""
    from steelyard.recipes.shipped import recipe_names

    return (
        data is not None
        and len(data) == 1
        and (data[0].endswith((".yaml", ".yml")) or (data[0] in recipe_names() and not is_there(Path(data[0]))))
    )


def _recipe_plan(recipe: str, changes: list[str] | None, max_epochs: float) -> MixturePlan:
    from steelyard.cli.console import quiet_libraries
    from steelyard.recipes.loading import load_recipe
    from steelyard.recipes.shipped import find_recipe

    checked = load_recipe(recipe, changes=changes)
    settle_hub(needed=False)
    quiet_libraries()
    from steelyard.runs._plan import plan_of_recipe

    return plan_of_recipe(checked, base=find_recipe(recipe).parent, max_epochs=max_epochs)


def _data_plan(
    data: list[str],
    sizes: Path | None,
    column: str | None,
    unit: str,
    picture: Path,
    schedule: str,
    steps: int,
    batch_size: int,
    max_epochs: float,
) -> MixturePlan:
    from steelyard.mixture import count_domains, parse_schedule, plan_mixture
    from steelyard.mixture.count import read_sizes

    parsed = parse_schedule(schedule)
    if sizes is not None:
        if data or column is not None:
            raise InputError("--sizes stands for data that would be counted: leave the data and --column out")
        counted: dict[str, float] = read_sizes(sizes)
    else:
        if column is not None and not all(is_there(Path(source)) for source in data):
            settle_hub()
        counted = {name: float(size) for name, size in count_domains(data, column=column, unit=unit, leave_out=picture).items()}
    num_samples = steps * batch_size
    return plan_mixture(
        list(counted.values()), parsed, num_samples=num_samples, batch_size=batch_size, names=list(counted), max_epochs=max_epochs
    )


def _schedules() -> str:
    from steelyard.mixture import schedule_forms

    return "; ".join(schedule_forms().values())


LateHelp.texts["mix", "schedule"] = _schedules


def _mix_table(plan: Any, unit: str, limit: int) -> Any:
    from rich.table import Table

    phases = ["share"] if len(plan.phases) == 1 else [f"share from {start:.0%}" for start in plan.phases]
    table = Table("domain", unit, *phases, "draws", "epochs", "repeats at step")
    for column in table.columns[1:]:
        column.justify = "right"
    ordered = sorted(plan.domains, key=lambda domain: -domain.size)
    for domain in ordered[:limit]:
        shares = [f"{share:.2%}" for share in domain.shares]
        again = "" if domain.repeats_at is None else f"{domain.repeats_at:,}"
        table.add_row(domain.name, f"{domain.size:,.0f}", *shares, f"{domain.draws:,.0f}", f"{domain.epochs:.3g}", again)
    if len(ordered) > limit:
        table.caption = f"and {len(ordered) - limit} smaller domains"
    return table
