"""The command `steelyard bench`: a judge on public benchmarks, by their published protocols."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli import judge as options
from steelyard.cli.console import LateHelp, settle_hub, terminal
from steelyard.files import check_apart, is_there


def bench(
    name: Annotated[str, typer.Argument(help="One of ...")],
    data: Annotated[str, typer.Option(help="The benchmark's file or folder as it is published, or a dataset's name.")],
    out: Annotated[Path | None, typer.Option(help="A folder for verdicts, table and errors (default: bench-NAME).")] = None,
    limit: Annotated[int | None, typer.Option(help="A random sample of so many items.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    group: Annotated[list[str] | None, typer.Option(help="Only this subset, source or domain; may be repeated.")] = None,
    base_url: options.BaseUrl = None,
    model: options.Model = None,
    local: options.Local = False,
    rubric: options.Rubric = "auto",
    domain: Annotated[str, typer.Option(help="How a prompt's domain is found: rules, or judge (a short call).")] = "rules",
    orders: options.Orders = "both",
    decisive: options.Decisive = 1.0,
    stages: options.Stages = 1,
    per_prompt: options.PerPrompt = False,
    criteria: options.Criteria = 6,
    longest: options.Longest = 12_000,
    quotes: options.Quotes = None,
    concurrency: options.Concurrency = 32,
    per_minute: options.PerMinute = None,
    timeout: options.Timeout = 120.0,
    retries: options.Retries = 4,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    extra: options.Extra = None,
    structure: options.Structure = None,
    api_key_env: options.ApiKeyEnv = None,
    cache: options.Cache = None,
    calls: options.Calls = None,
    tokens: options.Tokens = None,
) -> None:
    """Measure a judge on a public benchmark: accuracy beside chance, what it cost, and a page of its errors."""
    from steelyard.bench import benchmark, run_benchmark
    from steelyard.bench.judging import choose
    from steelyard.errors import InputError
    from steelyard.llm import Budget, Client

    chosen = benchmark(name)
    if domain not in ("rules", "judge"):
        raise InputError(f"domain must be rules or judge, but is {domain!r}")
    request = options.request_of(max_tokens, temperature, extra, structure)
    folder = out or Path(f"bench-{name}")
    # What is written there would be read as the benchmark's own next time.
    check_apart([Path(data)], {"--out": folder, "--cache": cache})
    if not is_there(Path(data)):
        settle_hub()
    read, notes = chosen.read(data)
    items = choose(read, limit=limit, groups=group or (), seed=seed)
    console = terminal()

    def say(*lines: str) -> None:
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False)

    pairs = sum(len(item.pairs) for item in items)
    say(f"{name}: {len(items):,} of {len(read):,} items, {pairs:,} pairs to judge", *notes)
    judging = {
        "orders": orders,
        "decisive": decisive,
        "stages": stages,
        "per_prompt": per_prompt,
        "criteria": criteria,
        "limit": longest,
        "quotes": options.share_of(quotes, local),
    }
    with ExitStack() as stack:
        urls, served, more = options.find_server(stack, console, base_url, model, local)
        client = Client(
            urls, served, api_key=options.key_of(api_key_env), concurrency=concurrency, per_minute=per_minute, cache=cache,
            budget=Budget(calls, tokens), timeout=timeout, retries=retries, **{**more, **request},
        )  # fmt: skip
        judge, route = options.make_judge(client, rubric, domain, **judging)
        settings = {"model": served, "rubric": rubric, "domain": domain, **judging}
        if request:
            settings["request"] = request
        about = {"data": Path(data).name, "items_in_data": len(read), "sample": [limit, seed], "groups": list(group or ())}
        with _progress(console, pairs) as step:
            table, summary, stopped = run_benchmark(
                chosen, items, judge, folder, settings=settings, about=about, in_flight=2 * concurrency, route=route, tell=step
            )
    console.print(_table(chosen, table))
    say(f"protocol: {chosen.about}")
    if table.left_out:
        say(f"{table.left_out} items lack a verdict and count nowhere")
    say(*summary.lines(labels=False), *options.usage_lines(client))
    say(f"written: {folder}/result.json, verdicts.jsonl, errors.html")
    if stopped:
        say("the budget is used up before all pairs were judged; the same command goes on")
    options.fail_if_hopeless(summary)


def _names() -> str:
    from steelyard.bench import benchmark_names

    return ", ".join(benchmark_names())


LateHelp.texts["bench", "name"] = _names


def _progress(console: Any, total: int) -> Any:
    from contextlib import contextmanager

    from rich.progress import Progress, TimeRemainingColumn

    @contextmanager
    def shown() -> Any:
        with Progress(*Progress.get_default_columns()[:3], TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task("judging", total=total)
            yield lambda pair, verdict: bar.advance(task)

    return shown()


def _table(chosen: Any, table: Any) -> Any:
    from rich.table import Table

    shown = Table("group", "items", *table.measures, title=f"{chosen.name} (95% intervals)", title_justify="left")
    for group, count, figures in table.rows:
        cells = ["{:.3f} ({:.3f} to {:.3f})".format(*figures[name]) if name in figures else "" for name in table.measures]
        shown.add_row(group, f"{count:,}", *cells, style="bold" if group.startswith("mean of") else "")
    coin = " / ".join(f"{value:.3f}" for value in chosen.chance)
    shown.add_row("chance (a coin a pair / in each order)", "", coin, *[""] * (len(table.measures) - 1), style="dim")
    return shown
