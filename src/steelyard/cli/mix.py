"""The command `steelyard mix`: what a mixture of domains will do, before any training."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli.console import LateHelp, settle_hub, terminal
from steelyard.errors import InputError
from steelyard.files import is_disk_full


def mix(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Files (each a domain), folders (each entry a domain), or with --column any rows, datasets' names included."
        ),
    ],
    steps: Annotated[int, typer.Option(min=1, help="Steps of the run.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Samples a step, over all processes.")] = 64,
    schedule: Annotated[str, typer.Option(help="How often each domain is drawn over the run: ...")] = "cooldown",
    column: Annotated[str | None, typer.Option(help="The column that names a row's domain.")] = None,
    unit: Annotated[str, typer.Option(help="examples or bytes; a step draws --batch-size of them.")] = "examples",
    max_epochs: Annotated[float, typer.Option(help="Warn of domains that are seen more often.")] = 10.0,
    picture: Annotated[Path, typer.Option(help="Where the picture goes (.png or .svg).")] = Path("mix.png"),
    limit: Annotated[int, typer.Option(min=0, help="Rows of the table; warnings are all shown.")] = 60,
) -> None:
    """Show what a mixture of domains will do, before any training: draws, epochs, repetitions, and what would hold them back."""
    from steelyard.mixture import count_domains, parse_schedule, plan_mixture

    if picture.suffix not in (".png", ".svg"):
        raise InputError(f"the picture is a .png or .svg file, but found {str(picture)!r}")
    if not picture.parent.is_dir():
        raise InputError(f"cannot write {picture}: there is no folder {picture.parent}")
    if picture.is_dir():
        raise InputError(f"cannot write {picture}: it is a folder")
    parsed = parse_schedule(schedule)
    if column is not None and not all(Path(source).exists() for source in data):
        settle_hub()
    sizes = count_domains(data, column=column, unit=unit, leave_out=picture)
    plan = plan_mixture(
        list(sizes.values()),
        parsed,
        num_samples=steps * batch_size,
        batch_size=batch_size,
        names=list(sizes),
        max_epochs=max_epochs,
    )
    console = terminal()
    console.print(_mix_table(plan, unit, limit))
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
