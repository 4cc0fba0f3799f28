"""The command `steelyard judge`, and what it shares with `steelyard bench`."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from steelyard.cli.console import LateHelp, settle_hub, terminal
from steelyard.errors import InputError, UnreachableError
from steelyard.files import check_apart, is_folder, is_there

BaseUrl = Annotated[
    list[str] | None, typer.Option(help="An OpenAI-compatible server, http://host:port/v1; several share the work.")
]
Model = Annotated[str | None, typer.Option(help="The judge's name on the server.")]
Local = Annotated[bool, typer.Option("--local", help="Start a small server on this machine: to try things out.")]
Rubric = Annotated[str, typer.Option(help="Meta-rubric, a name or a file; `auto` takes each domain's.")]
Orders = Annotated[str, typer.Option(help="both, adaptive, one, other or sum.")]
Decisive = Annotated[float, typer.Option(help="With adaptive: a first score of this size needs no second order.")]
Stages = Annotated[int, typer.Option(help="Calls an order: 1, 2 or 3.")]
PerPrompt = Annotated[bool, typer.Option("--per-prompt", help="Criteria from the prompt alone, once for all its pairs.")]
Criteria = Annotated[int, typer.Option(help="Criteria to ask for, at most.")]
Longest = Annotated[int, typer.Option(help="Characters of a prompt or an answer that the judge is shown.")]
Quotes = Annotated[
    float | None,
    typer.Option(
        help="The share of a reply's quotes that must stand in the answers (default: .25, with --local 0); else it is asked again."
    ),
]
Guards = Annotated[
    list[str] | None,
    typer.Option(help="A check an answer must pass, as KIND or KIND:option=value,option=value; may be repeated. Kinds: ..."),
]
Rewards = Annotated[list[str] | None, typer.Option(help="A check whose value counts, as above.")]
Concurrency = Annotated[int, typer.Option(help="Requests in flight at a time.")]
PerMinute = Annotated[float | None, typer.Option(help="Requests a minute, at most.")]
Timeout = Annotated[float, typer.Option(help="Seconds for a reply.")]
MaxTokens = Annotated[
    int | None, typer.Option(help="Tokens of a reply (default: 2048); one that is cut off gets twice, then four times as many.")
]
Temperature = Annotated[float | None, typer.Option(help="Of the first try, 0 to 2 (default: 0).")]
Extra = Annotated[
    str | None, typer.Option(help='More of the request, as JSON: \'{"chat_template_kwargs": {"enable_thinking": false}}\'.')
]
Structure = Annotated[
    str | None, typer.Option(help="How the reply's form is kept: schema (by the server), prompt, or auto (default).")
]
ApiKeyEnv = Annotated[str | None, typer.Option(help="The environment variable that holds the key (default: OPENAI_API_KEY).")]
Retries = Annotated[int, typer.Option(help="Further tries after a request failed.")]
Cache = Annotated[Path | None, typer.Option(help="A file of replies: what was asked before is not asked again.")]
Calls = Annotated[int | None, typer.Option(help="Budget: requests, at most.")]
Tokens = Annotated[int | None, typer.Option(help="Budget: no request is begun once so many tokens, in and out, are used up.")]


def judge(
    pairs: Annotated[
        str, typer.Argument(help="Rows with prompt, a, b, or prompt, chosen, rejected (JSONL, JSON, CSV, Parquet).")
    ],
    base_url: BaseUrl = None,
    model: Model = None,
    local: Local = False,
    rubric: Rubric = "auto",
    domain: Annotated[
        str, typer.Option(help="How a prompt's domain is found: rules, judge (a short call), or a column's name.")
    ] = "rules",
    orders: Orders = "both",
    decisive: Decisive = 1.0,
    stages: Stages = 1,
    per_prompt: PerPrompt = False,
    criteria: Criteria = 6,
    longest: Longest = 12_000,
    quotes: Quotes = None,
    guard: Guards = None,
    reward: Rewards = None,
    concurrency: Concurrency = 32,
    per_minute: PerMinute = None,
    timeout: Timeout = 120.0,
    retries: Retries = 4,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    extra: Extra = None,
    structure: Structure = None,
    api_key_env: ApiKeyEnv = None,
    cache: Cache = None,
    calls: Calls = None,
    tokens: Tokens = None,
    out: Annotated[Path | None, typer.Option(help="A line a pair (JSONL); verdicts that are there already are kept.")] = None,
    html: Annotated[Path | None, typer.Option(help="A page to read the verdicts on.")] = None,
    show: Annotated[int, typer.Option(help="Verdicts to print in full.")] = 1,
) -> None:
    """Say which of two answers is better, and why: criterion by criterion, under written principles."""
    from steelyard.checks.base import left_out
    from steelyard.llm import Budget, Client
    from steelyard.rows import files_of
    from steelyard.rubric.batch import run_pairs
    from steelyard.rubric.page import print_verdict, write_verdicts
    from steelyard.rubric.pairs import Pair, read_pairs
    from steelyard.rubric.router import by_name
    from steelyard.rubric.verdict import Verdict

    rules = domain in ("rules", "judge")
    if not is_there(Path(pairs)):
        settle_hub()
    read = read_pairs(pairs, domain_column=None if rules else domain)
    if html is not None and not is_folder(html.parent):
        raise InputError(f"cannot write {html}: there is no folder {html.parent}")
    for file in (out, html):
        if file is not None and is_folder(file):
            raise InputError(f"cannot write {file}: it is a folder; give a file name")
    if out is not None and not is_folder(out.parent):
        raise InputError(f"cannot write {out}: there is no folder {out.parent}")
    check_apart(files_of(pairs), {"--out": out, "--html": html, "--cache": cache})
    if html is not None and out is None:
        raise InputError("--html reads the verdicts of --out: give it as well")
    if not rules and rubric == "auto":
        for pair in read:
            by_name(pair.domain or "general")
    checks = made_checks(guard, reward)
    request = request_of(max_tokens, temperature, extra, structure)
    console = terminal()
    with ExitStack() as stack:
        urls, name, more = find_server(stack, console, base_url, model, local)
        client = Client(
            urls, name, api_key=key_of(api_key_env), concurrency=concurrency, per_minute=per_minute, cache=cache, budget=Budget(calls, tokens),
            timeout=timeout, retries=retries, **{**more, **request},
        )  # fmt: skip
        options = {
            "orders": orders,
            "decisive": decisive,
            "stages": stages,
            "per_prompt": per_prompt,
            "criteria": criteria,
            "limit": longest,
            "quotes": share_of(quotes, local),
        }
        judging, route = make_judge(client, rubric, domain if rules else None, checks=checks, **options)
        printed: list[int] = []

        def tell(pair: Pair, verdict: Verdict) -> None:
            if len(printed) < show:
                printed.append(1)
                print_verdict(console, pair, verdict)

        summary, stopped = run_pairs(judging, read, out=out, in_flight=2 * concurrency, route=route, tell=tell)
    for line in [*summary.lines(), *usage_lines(client)]:
        console.print(line, soft_wrap=True, highlight=False)
    if html is not None and out is not None:
        console.print(f"page: {write_verdicts(read, out, html)}", soft_wrap=True, highlight=False)
    if stopped:
        console.print(
            "the budget is used up before all pairs were judged; with --out, the same command goes on",
            soft_wrap=True,
            highlight=False,
        )
    for name in summary.idle_checks():
        console.print(
            f"warning: check {name!r} applied to no answer: does every row have the column it reads?",
            soft_wrap=True,
            highlight=False,
        )
    for check in checks:
        if left := ", ".join(f"{one!r} in {count} answers" for one, count in left_out(check).most_common()):
            console.print(
                f"warning: check {check.name!r} left out what it could not check: {left}", soft_wrap=True, highlight=False
            )
    fail_if_hopeless(summary)


def _kinds() -> str:
    from steelyard.checks import check_kinds

    return ", ".join(check_kinds())


LateHelp.texts["judge", "guard"] = _kinds


def fail_if_hopeless(summary: Any) -> None:
    """End a command in which nothing could be judged.

    Raises:
        UnreachableError: with the last reason.
    """
    if summary.gave_up and summary.in_a_row:
        raise UnreachableError(
            f"stopped, since {summary.in_a_row} questions in a row failed, as all others would: {summary.last_error}; what was judged is kept, and "
            "with --out the same command goes on"
        )
    if summary.gave_up:
        raise UnreachableError(
            f"stopped after {summary.failed} pairs, since no question at all was answered: {summary.last_error}"
        )
    if summary.failed and not summary.judged:
        raise UnreachableError(f"none of {summary.failed} pairs could be judged; the last reason: {summary.last_error}")


def usage_lines(client: Any) -> list[str]:
    """What went wrong with the requests, what needed none, and what a server wanted otherwise."""
    return [
        f"{client.usage.failures} requests brought no usable reply, {client.usage.cached} questions came from the cache",
        *(f"note: {note}" for note in client.notes()),
    ]


def request_of(max_tokens: int | None, temperature: float | None, extra: str | None, structure: str | None) -> dict[str, Any]:
    """What a command says about its requests; what it leaves open is left to the client.

    Example:
        >>> request_of(None, 0.5, '{"top_p": 0.9}', None)
        {'temperature': 0.5, 'extra': {'top_p': 0.9}}
    """
    import json

    made: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "structure": structure}
    if extra is not None:
        try:
            made["extra"] = json.loads(extra)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"--extra must be a JSON object, such as '{{\"top_p\": 0.9}}', but is {extra[:80]!r} ({error})"
            ) from None
        if not isinstance(made["extra"], dict):
            raise InputError(f"--extra must be a JSON object, such as '{{\"top_p\": 0.9}}', but is {extra[:80]!r}")
    return {name: value for name, value in made.items() if value is not None}


def share_of(quotes: float | None, local: bool) -> float:
    """The share of found quotes that a command asks for: the small judge on this machine, which hardly quotes at all, is there to try things out."""
    from steelyard.rubric.judge import QUOTES

    return (0.0 if local else QUOTES) if quotes is None else quotes


def key_of(variable: str | None) -> str | None:
    """The API key in an environment variable; None where the command names none.

    Raises:
        InputError: where there is no such variable.
    """
    import os

    if variable is None:
        return None
    if not os.environ.get(variable, "").strip():
        raise InputError(f"the environment has no {variable}: set it to the key, or name another with --api-key-env")
    return os.environ[variable]


def made_checks(guard: list[str] | None, reward: list[str] | None) -> list[Any]:
    """The checks that a command names."""
    return [parse_check(text, "guard") for text in guard or []] + [parse_check(text, "reward") for text in reward or []]


def find_server(
    stack: ExitStack, console: Any, base_url: list[str] | None, model: str | None, local: bool
) -> tuple[list[str], str, dict[str, Any]]:
    """The servers that a command names, or a local one that lives as long as the stack."""
    if local:
        if base_url or model:
            raise InputError("--local brings a server and a model of its own: leave --base-url and --model out")
        from steelyard.llm.local import LOCAL_REQUESTS, MODEL, WARNING, LocalServer

        console.print(f"note: {WARNING}", soft_wrap=True, highlight=False)
        server = stack.enter_context(LocalServer())
        return [server.base_url], MODEL, dict(LOCAL_REQUESTS)
    if not base_url or not model:
        raise InputError("a judge needs a server: give --base-url and --model, or --local to try one on this machine")
    return base_url, model, {}


def make_judge(client: Any, rubric: str, domain: str | None, **options: Any) -> tuple[Any, Any]:
    """The judge of a command, and what tells a pair's domain."""
    from steelyard.rubric import MetaRubric, PairwiseJudge
    from steelyard.rubric.router import by_judge, by_rules, shipped_rubrics

    rubrics = shipped_rubrics() if rubric == "auto" else MetaRubric.load(rubric)
    made = PairwiseJudge(client, rubrics, **options)
    if rubric != "auto" or domain is None:
        return made, None

    def told_by_judge(pair: Any) -> Any:
        return by_judge(client, pair.prompt)

    def told_by_rules(pair: Any) -> str:
        return by_rules(pair.prompt)

    return made, told_by_judge if domain == "judge" else told_by_rules


def parse_check(text: str, role: str) -> Any:
    """A check from a word, `words:at_most=50`; values are read as YAML, and as the text they are where a text is meant.

    Example:
        >>> parse_check("words:at_most=2", "guard")("p", "one two three")
        0.0
        >>> parse_check("starts-with:text=1.5, or", "guard")("p", "1.5, or 2")
        1.0
    """
    from steelyard.checks.base import CHECKS
    from steelyard.rubric import check
    from steelyard.settings import fits, parameters_of
    from steelyard.yaml_texts import parse_yaml

    kind, _, rest = text.partition(":")
    known = parameters_of(CHECKS.find(kind))
    options: dict[str, Any] = {}
    for name, value in _written_options(rest, text):
        if name in options:
            raise InputError(f"option {name!r} is there twice in {text!r}")
        what = f"the value of {name + '=' + value!r}"
        annotation = known[name][0] if name in known else Any
        try:
            options[name] = parse_yaml(value, what)
        except InputError:
            if not fits(value, annotation) or annotation is Any:
                raise
            options[name] = value
        if value and not fits(options[name], annotation):
            # A text that YAML takes for a number or a date, or several of them.
            options[name] = next((one for one in (value, _as_texts(value, what)) if fits(one, annotation)), options[name])
    return check(kind, role=role, name=text, **options)


def _as_texts(value: str, what: str) -> Any:
    from steelyard.yaml_texts import parse_yaml

    try:
        return parse_yaml(value, what, as_text=True)
    except InputError:
        return value


_NEXT = re.compile(r",(?=\s*\w+\s*=)")


def _written_options(rest: str, text: str) -> list[tuple[str, str]]:
    """Names and values of `name=value,name=value`; a comma parts them where a name follows, outside quotes and brackets that a value begins with.

    Example:
        >>> _written_options("pattern=a{1,2},whole=true", "")
        [('pattern', 'a{1,2}'), ('whole', 'true')]
        >>> _written_options("text='a,b=c'", "")
        [('text', "'a,b=c'")]
    """
    found: list[tuple[str, str]] = []
    for part in _NEXT.split(rest) if rest.strip(", ") else []:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if found and not _is_closed(found[-1][1]):
            found[-1] = (found[-1][0], f"{found[-1][1]},{part}")
        elif not equals or not name:
            raise InputError(f"a check is written KIND or KIND:option=value,..., but found {text!r}")
        else:
            found.append((name, value.rstrip(", ") if _is_closed(value.rstrip(", ")) else value))
    return found


def _is_closed(value: str) -> bool:
    """Whether the quote or bracket that a value begins with, if it does, has its partner at the end."""
    partner = {"'": "'", '"': '"', "[": "]", "{": "}"}.get(value[:1])
    return partner is None or (len(value) > 1 and value.rstrip(", ").endswith(partner))
