"""The command line. Heavy imports wait until a command needs them, so that `--help` is quick."""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli_bench import bench
from steelyard.cli_judge import judge, rubric_app
from steelyard.errors import InputError, SteelyardError, is_disk_full

app = typer.Typer(
    name="steelyard",
    help="Train language models against several objectives at once, with weights that slide while training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line; a user's mistake ends in one line on standard error and exit code 2, a failed run in exit code 1."""
    _quiet()
    try:
        app()
    except SteelyardError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, SystemExit) as stop:
        # typer turns an interrupt into an exit of its own, without a word.
        if isinstance(stop, SystemExit) and stop.code != 130:
            raise
        _fail("stopped; what was written is whole: train goes on with --resume, judge and bench with the same command", 130)
    except OSError as error:
        if is_disk_full(error):
            _fail(f"no space left on the disk: {error}", 2)
        if error.filename is None:
            raise
        _fail(f"cannot use {error.filename}: {error.strerror or error}", 2)


def _fail(message: str, code: int) -> None:
    print(f"steelyard: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def _quiet() -> None:
    """Keep libraries' progress bars and hints out of our output, unless the user asked for them."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _settle_hub(*, needed: bool = True) -> None:
    """Where the hub is out of reach, tell its libraries so: they look into their caches at once instead of trying again for a minute."""
    import socket

    if any(key.lower() == "https_proxy" for key in os.environ):
        return
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").partition("//")[2].partition("/")[0].partition(":")[0]
    try:
        if needed:
            socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        needed = False
    if not needed:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _hush_libraries() -> None:
    import logging
    import warnings

    # Ours are for the user: one line, without the place in the source.
    warnings.formatwarning = lambda message, *args, **kwargs: f"steelyard: warning: {message}\n"
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="(trl|transformers|torch|peft|accelerate)")
    logging.getLogger("trl").setLevel(logging.ERROR)
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    import transformers

    transformers.utils.logging.disable_progress_bar()


@app.command(epilog="Example: steelyard train sums-gradient --set algorithm.steps=20 --out runs/try")
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships: see `steelyard recipes`.")],
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change the recipe: key.key=value; may be repeated.")] = None,
) -> None:
    """Train a policy by a recipe; writes a run folder and its report."""
    from steelyard.training.config import load_recipe

    checked = load_recipe(recipe, changes=changes)
    _train(checked, out or Path("runs") / checked.name, recipe, resume, _console())


def _train(checked: Any, out: Path, recipe: str, resume: bool, console: Any) -> Any:
    _settle_hub()
    _hush_libraries()
    from steelyard.report import write_report
    from steelyard.training.config import find_recipe
    from steelyard.training.progress import RichProgress
    from steelyard.training.run import train as run

    result = run(checked, out=out, resume=resume, progress=RichProgress(console, out.name), base=find_recipe(recipe).parent)
    console.print(_losses_table(out) if checked.kind == "supervised" else _front_table([(out.name, result)], checked))
    console.print(f"report: {write_report([out])}", soft_wrap=True, highlight=False)
    return result


@app.command(epilog="Example: steelyard demo --out runs/demo")
def demo(
    out: Annotated[Path, typer.Option(help="Where to write; a number is added where the folder exists.")] = Path("runs/demo"),
    steps: Annotated[int | None, typer.Option(help="Updates of each run; by default what the recipes say.")] = None,
) -> None:
    """Train the embedded policy with fixed and with gradient-based weights, and write a report that compares them."""
    from steelyard.training.config import load_recipe

    console = _console()
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
    _settle_hub(needed=False)
    _hush_libraries()
    from steelyard.report import write_report
    from steelyard.training.progress import RichProgress
    from steelyard.training.run import train as run

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


def _console() -> Any:
    """The terminal; where output goes to a file or a pipe, wide enough that lines stay whole."""
    from rich.console import Console

    # What the terminal cannot show is replaced: a sign that it lacks must not end a run.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    width = None if sys.stdout.isatty() else 130
    return Console(markup=False, emoji=False, width=width)


def _front_table(results: list[tuple[str, Any]], recipe: Any) -> Any:
    from rich.table import Table

    from steelyard.runlog import RunLog
    from steelyard.training.progress import number

    objectives = RunLog(results[0][1].path).pareto()["objectives"]
    arrows = {"maximize": "↑", "minimize": "↓"}
    table = Table(
        "run",
        "update",
        *(f"{o['name']} {arrows[o['goal']]}" for o in objectives),
        "is the",
        title="The front: no other validation point of the run beats these",
        title_justify="left",
    )
    for label, result in results:
        for point in result.front:
            table.add_row(
                label, str(point["step"]), *(number(point["values"][o["name"]]) for o in objectives), ", ".join(point["names"])
            )
        table.add_row(label, "", *[""] * len(objectives), f"hypervolume {result.hypervolume:.3f}", style="bold", end_section=True)
    return table


def _losses_table(path: Path, limit: int = 24) -> Any:
    from rich.table import Table

    from steelyard.report.domains import domain_rows
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


@app.command(epilog="Example: steelyard report runs/demo/fixed runs/demo/gradient --out compare.html")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, finished or still going; several are compared.")],
    out: Annotated[Path | None, typer.Option(help="The page; by default report.html in the folder, or beside several.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Also write every figure into this folder, as SVG and PNG.")] = None,
) -> None:
    """Write one HTML page of one or more runs."""
    from steelyard.report import write_figures, write_report

    typer.echo(f"report: {write_report(runs, out=out)}")
    if figures is not None:
        for path in write_figures(runs, figures):
            typer.echo(f"figure: {path}")


@app.command(epilog="Example: steelyard mix data/ --steps 30000 --batch-size 64 --schedule cooldown")
def mix(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Files (each a domain), folders (each entry a domain), or with --column any rows, datasets' names included."
        ),
    ],
    steps: Annotated[int, typer.Option(min=1, help="Steps of the run.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Samples a step, over all processes.")] = 64,
    schedule: Annotated[
        str,
        typer.Option(
            help="constant:TAU, cooldown[:START,END,AT], cooldown-at-cap:EPOCHS, adaptive, piecewise:0=TAU,AT=TAU, linear:A,B, cosine:A,B, unimax:EPOCHS, late:DOMAINS@AT or shares:FILE."
        ),
    ] = "cooldown",
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
        _settle_hub()
    sizes = count_domains(data, column=column, unit=unit, leave_out=picture)
    plan = plan_mixture(
        list(sizes.values()),
        parsed,
        num_samples=steps * batch_size,
        batch_size=batch_size,
        names=list(sizes),
        max_epochs=max_epochs,
    )
    console = _console()
    console.print(_mix_table(plan, unit, limit))
    for warning in plan.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, highlight=False)
    if plan.suggestion is not None:
        console.print(f"suggestion: {plan.suggestion}", soft_wrap=True, highlight=False)
    from steelyard.report.mixture import mixture_figure

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


@app.command(epilog="Example: steelyard recipes sums-gradient > mine.yaml")
def recipes(name: Annotated[str | None, typer.Argument(help="Print this recipe, to start your own from.")] = None) -> None:
    """List the recipes that ship, or print one."""
    from steelyard.training.config import RECIPES_DIR, find_recipe

    if name is not None:
        typer.echo(find_recipe(name).read_text(encoding="utf-8"), nl=False)
        return
    for path in sorted(RECIPES_DIR.glob("*.yaml")):
        typer.echo(f"{path.stem:18} {path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")


app.command(epilog="Example: steelyard judge pairs.jsonl --base-url http://127.0.0.1:8000/v1 --model NAME --out verdicts.jsonl")(
    judge
)
app.command(epilog="Example: steelyard bench llmbar --data LLMBar/Dataset --local --limit 20")(bench)
app.add_typer(rubric_app)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from steelyard import __version__

        typer.echo(f"steelyard {__version__}")
        raise typer.Exit


if __name__ == "__main__":
    main()
