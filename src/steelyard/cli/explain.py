"""The command `steelyard explain`: why an answer of a run got its reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli.console import shown, terminal
from steelyard.errors import InputError, nearest
from steelyard.report._said import OUTCOMES, outcomes_of, principles_of, said_of

_SHOWN = 60
_ROUNDING = 1e-9


def explain(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    step: Annotated[int | None, typer.Option(help="An update; default: the last one.")] = None,
    answer: Annotated[int | None, typer.Option(help="The number of an answer in its update, from 1: show all about it.")] = None,
    objective: Annotated[str | None, typer.Option(help="List by this objective's reward, the lowest first.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only answers to prompts of this domain.")] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            help="Only answers that won, lost, tied, on which judges disagreed, that a guard decided, or that failed to be judged."
        ),
    ] = None,
    principle: Annotated[
        str | None, typer.Option(help="Only answers that were better or worse by this principle of a rubric.")
    ] = None,
    better: Annotated[
        str | None, typer.Option(help="Only answers that are better than the mean of their prompt's by this objective.")
    ] = None,
    worse: Annotated[str | None, typer.Option(help="And worse by this one.")] = None,
    limit: Annotated[int, typer.Option(help="Answers to list.", min=1)] = 20,
) -> None:
    """Say which rewards an answer got, with which weights, against which other answer, and what the judge said."""
    from steelyard.runlog import RunLog

    log = RunLog(run)
    steps = log.answer_steps()
    if not steps:
        raise InputError(f"{run} holds no answers: give the folder of a run of reinforcement learning that has made an update")
    number = steps[-1] if step is None else step
    if number not in steps:
        raise InputError(f"{run} has no answers of update {number}: it has those of {steps[0]} to {steps[-1]}")
    rows = log.answers(step=number)
    names = [key.partition("/")[2] for key in rows[0] if key.startswith("reward/")]
    principles = sorted({one for row in rows for one in principles_of(said_of(row))})
    for what, given, known in (
        ("objective", objective, names),
        ("objective", better, names),
        ("objective", worse, names),
        ("verdict", verdict, list(OUTCOMES)),
        ("principle", principle, principles),
    ):
        if given is not None and given not in known:
            raise InputError(
                f"no {what} {given!r}{nearest(given, known)}: {'use one of ' + ', '.join(known) if known else 'this update has none'}"
            )
    console = terminal()
    if answer is not None:
        if not 1 <= answer <= len(rows):
            raise InputError(f"update {number} has answers 1 to {len(rows)}, and no {answer}")
        _show(console, number, answer, rows[answer - 1], names)
        return
    chosen = _chosen(rows, objective=objective, domain=domain, verdict=verdict, principle=principle, better=better, worse=worse)
    _list(console, number, chosen, names, limit, of=len(rows))


def _chosen(
    rows: Sequence[Mapping[str, Any]],
    *,
    objective: str | None,
    domain: str | None,
    verdict: str | None,
    principle: str | None,
    better: str | None,
    worse: str | None,
) -> list[tuple[int, Mapping[str, Any]]]:
    """The rows that a command asks for, with their numbers."""
    found = []
    for number, row in enumerate(rows, start=1):
        said = said_of(row)
        if (
            (domain is None or row.get("domain") == domain)
            and (verdict is None or verdict in outcomes_of(said))
            and (principle is None or principle in principles_of(said))
            and (better is None or _beside_its_group(rows, row, better) > _ROUNDING)
            and (worse is None or _beside_its_group(rows, row, worse) < -_ROUNDING)
        ):
            found.append((number, row))
    if objective is not None:
        key = f"reward/{objective}"
        found = sorted((one for one in found if one[1][key] is not None), key=lambda one: one[1][key])
    return found


def _beside_its_group(rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any], name: str) -> float:
    """An answer's reward minus the mean of all answers to its prompt; 0 where it has none."""
    key = f"reward/{name}"
    group = [one[key] for one in rows if one["prompt"] == row["prompt"] and one[key] is not None]
    return 0.0 if row[key] is None else float(row[key] - sum(group) / len(group))


def _list(
    console: Any, step: int, rows: Sequence[tuple[int, Mapping[str, Any]]], names: Sequence[str], limit: int, *, of: int
) -> None:
    from rich.table import Table

    table = Table(
        "answer", "prompt", "said", *names, "advantage", title=f"update {step}: {len(rows)} of {of} answers", title_justify="left"
    )
    for number, row in rows[:limit]:
        texts = [shown(" ".join(str(row[key]).split())[:_SHOWN]) for key in ("prompt", "answer")]
        table.add_row(str(number), *texts, *(_number(row[f"reward/{name}"]) for name in names), _number(row["advantage"]))
    console.print(table)
    if len(rows) > limit:
        console.print(f"{len(rows) - limit} more: --limit shows them", highlight=False)
    console.print("--answer NUMBER shows one in full", highlight=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _show(console: Any, step: int, number: int, row: Mapping[str, Any], names: Sequence[str]) -> None:
    from rich.table import Table

    from steelyard.rubric.page import print_verdict
    from steelyard.rubric.pairs import Pair
    from steelyard.rubric.verdict import Verdict

    console.print(
        f"update {step}, answer {number}" + (f", domain {shown(str(row['domain']))}" if row.get("domain") else ""), style="bold"
    )
    console.print(f"prompt: {shown(str(row['prompt']))}", highlight=False, markup=False)
    console.print(f"answer: {shown(str(row['answer']))}", highlight=False, markup=False)
    table = Table("objective", "reward", "weight")
    for name in names:
        table.add_row(name, _number(row[f"reward/{name}"]) or "does not apply", _number(row.get(f"weight/{name}")))
    console.print(table)
    console.print(f"advantage: {_number(row['advantage'])}", highlight=False)
    for name, comparisons in said_of(row).items():
        for at, one in enumerate(comparisons, start=1):
            for said in one.get("listed", ()):
                line = f"failed: {said['error']}" if "error" in said else f"{said['score']:.1f} of 1: {said['reason']}"
                console.print(f"{name}, beside the others of its group: {shown(line)}", highlight=False, markup=False)
            if one.get("guarded"):
                console.print(f"{name}: a check failed, so the answer was not graded", highlight=False)
            for said in one.get("graded", ()):
                _show_grading(console, name, said)
            if "verdicts" not in one:
                continue
            texts = (row["answer"], one["other"]) if one["side"] == "a" else (one["other"], row["answer"])
            for said in one["verdicts"]:
                console.print(
                    f"\n{name}, comparison {at} of {len(comparisons)}: this answer is {one['side'].upper()}", highlight=False
                )
                print_verdict(console, Pair(f"{step}.{number}", row["prompt"], *texts), Verdict.from_dict(said))
                console.print(
                    f"{said['calls']} calls, {said['tokens_in']:,} tokens in, {said['tokens_out']:,} out", highlight=False
                )


def _show_grading(console: Any, name: str, said: Mapping[str, Any]) -> None:
    from rich.table import Table

    if said["error"]:
        console.print(f"\n{name}, failed: {shown(said['error'])}", highlight=False, markup=False)
        return
    table = Table(
        "criterion",
        "points",
        "judge",
        "won",
        "why",
        "quote",
        title_justify="left",
        title=f"{shown(said['of'])}, all criteria, by {shown(said['judge'])}: {_number(said['score'])}",
    )
    for one in said["criteria"]:
        quote = shown(one["quote"]) + ("" if one["found"] in (None, True) else " (not in the answer)")
        won = f"{one['points'] * one['value'] + 0.0:g}"  # a fault that was not found is 0, not -0
        table.add_row(shown(one["name"]), f"{one['points']:g}", shown(one["said"]), won, shown(one["reason"]), quote)
    console.print(table)
    if dropped := said.get("dropped"):
        console.print(f"not asked, by dropout: {shown(', '.join(dropped))}", highlight=False, markup=False)
    console.print(f"{said['calls']} calls, {said['tokens_in']:,} tokens in, {said['tokens_out']:,} out", highlight=False)
