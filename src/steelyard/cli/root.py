"""The command line: every command by its name, and how a run of it ends. Heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from steelyard.cli.bench import bench
from steelyard.cli.console import LateHelp, quiet_environment, short_warnings, shown
from steelyard.cli.explain import explain
from steelyard.cli.judge import judge
from steelyard.cli.mix import mix
from steelyard.cli.rubric import rubric_app
from steelyard.cli.sample import sample
from steelyard.cli.soup import soup
from steelyard.cli.train import demo, recipes, report, train
from steelyard.errors import SteelyardError
from steelyard.files import is_disk_full

app = typer.Typer(
    name="steelyard",
    help="Train language models on several objectives at once, with weights that adjust during training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
EXAMPLES: dict[Callable[..., None], str] = {
    train: "steelyard train sums-gradient --set algorithm.steps=20 --out runs/try",
    demo: "steelyard demo --out runs/demo",
    report: "steelyard report runs/demo/fixed runs/demo/gradient --out compare.html",
    mix: "steelyard mix data/ --steps 30000 --batch-size 64 --schedule cooldown",
    recipes: "steelyard recipes sums-gradient > mine.yaml",
    judge: "steelyard judge pairs.jsonl --base-url http://127.0.0.1:8000/v1 --model NAME --out verdicts.jsonl",
    sample: "steelyard sample runs/mine --prefer accuracy=.7,conciseness=.3",
    soup: "steelyard soup runs/accurate runs/short --points 5 --out runs/soup",
    explain: "steelyard explain runs/demo/gradient --step 20 --answer 3",
    bench: "steelyard bench llmbar --data LLMBar/Dataset --local --limit 20",
}
for command, example in EXAMPLES.items():
    app.command(cls=LateHelp, epilog=f"Example: {example}")(command)
app.add_typer(rubric_app)


def main() -> None:
    """Run the command line; a user's mistake ends in one line on standard error and exit code 2, a failed run in exit code 1."""
    quiet_environment()
    short_warnings()
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
    print(f"steelyard: {shown(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(code)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from steelyard import __version__

        typer.echo(f"steelyard {__version__}")
        raise typer.Exit
