"""The command `steelyard sample`: answers of a run's policy, at a preference of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from steelyard.cli.console import quiet_libraries, settle_hub, shown, terminal


def sample(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts; default: some of the run's held-out ones.")] = None,
    prefer: Annotated[str | None, typer.Option(help="For a run with weighting `conditioned`: accuracy=.7,conciseness=.3")] = None,
    count: Annotated[int, typer.Option(help="Held-out prompts to answer, where none are given.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Of sampling.")] = 0,
    base: Annotated[Path, typer.Option(help="The folder that relative paths in the recipe start from.")] = Path("."),
) -> None:
    """Answer prompts with the last policy of a run."""
    console = terminal()
    settle_hub()
    quiet_libraries()
    from steelyard.runs.sampling import sample_answers

    for prompt, answer in sample_answers(run, prompts or None, prefer=prefer, count=count, seed=seed, base=base):
        console.print(shown(prompt), style="bold", highlight=False, markup=False)
        console.print(shown(answer), highlight=False, markup=False)
        console.print()
