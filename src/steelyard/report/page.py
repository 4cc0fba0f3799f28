"""A report: one HTML page that needs nothing beside itself, for one run or for several side by side."""

from __future__ import annotations

import base64
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from matplotlib.figure import Figure

from steelyard.errors import InputError
from steelyard.files import damage_is_clear, write_atomically
from steelyard.intervals import number, with_error
from steelyard.report import _domains as domains
from steelyard.report import _figures as figures
from steelyard.report._browser import write_answers
from steelyard.report._domains import DomainRun, read_domain_run
from steelyard.report._drawing import RUN_COLOURS, RunData
from steelyard.report._time import judging_of, phase_seconds
from steelyard.runlog import RunLog
from steelyard.yaml_texts import read_yaml


def write_report(runs: Sequence[Path | str], *, out: Path | str | None = None) -> Path:
    """Write the report of one or more runs.

    Args:
        runs: run folders, finished or still going; their objectives must be the same.
        out: where to write; default: `report.html` in the run's folder, or beside the folders of several.

    Returns:
        The path of the page.

    Raises:
        InputError: where a folder is no run, has no validation yet, or objectives differ.
    """
    paths = [Path(run) for run in runs]
    if not paths:
        raise InputError("a report needs at least one run folder")
    data = read_runs(paths)
    out = Path(out) if out is not None else (paths[0] if len(paths) == 1 else paths[0].parent) / "report.html"
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: there is no folder {out.parent}")
    if out.is_dir():
        raise InputError(f"cannot write {out}: it is a folder; give a file name")
    with damage_is_clear(paths[0].parent if len(paths) > 1 else paths[0]):
        if isinstance(data[0], DomainRun):
            page = _render_domains(data)
        else:
            page = render(data, [RunLog(path) for path in paths], browsers=_write_browsers(data, paths, out))
    write_atomically(out, page)
    return out


def _write_browsers(runs: Sequence[RunData], paths: Sequence[Path], out: Path) -> list[str | None]:
    """A page of all answers for each run, beside the report; their addresses as seen from there, None where a run has no answers."""
    found = []
    for at, (run, path) in enumerate(zip(runs, paths, strict=True), start=1):
        name = "answers" if out.name == "report.html" else f"{out.stem}-answers"
        place = out.with_name(f"{name}{f'-{at}' if len(runs) > 1 else ''}.html")
        found.append(None if write_answers(RunLog(path), place, label=run.label) is None else quote(place.name))
    return found


def read_runs(paths: Sequence[Path]) -> Any:
    """Read runs that are shown side by side: `RunData`, or `DomainRun` of supervised ones.

    Raises:
        InputError: where a folder is no run or has no validation yet, or where what was measured differs.
    """
    data: list[Any] = []
    for path in paths:
        with damage_is_clear(path):
            data.append(_read_run(path))
    for path, run in zip(paths, data, strict=True):
        if type(run) is not type(data[0]):
            raise InputError(
                f"{path} is a run of another kind than {paths[0]}: compare supervised runs, or others, with their like"
            )
        if isinstance(run, DomainRun):
            if set(run.validations[-1]["losses"]) != set(data[0].validations[-1]["losses"]):
                raise InputError(
                    f"{path} has other domains than {paths[0]}: runs that are compared need the same held-out domains"
                )
        elif run.objectives != data[0].objectives:
            raise InputError(
                f"{path} has other objectives than {paths[0]}: runs that are compared need the same objectives, goals and bounds"
            )
    return data


def _read_run(path: Path) -> RunData | DomainRun:
    """Read what the figures need from a run folder."""
    log = RunLog(path)
    if not (path / "recipe.yaml").is_file():
        raise InputError(f"{path} is no run folder: it has no recipe.yaml")
    recipe = read_yaml(path / "recipe.yaml")
    if recipe.get("kind") == "supervised":
        return read_domain_run(path, recipe)
    front, validations = log.pareto(), log.validations()
    if not front or not validations:
        raise InputError(f"{path} has no validation yet: wait for the first, then ask again")
    return RunData(
        label=path.name,
        objectives=front["objectives"],
        reference=front["reference"],
        steps=log.steps(),
        validations=validations,
        front_steps=[point["step"] for point in front["front"]],
        method=recipe["weighting"]["method"],
        settings=recipe,
        tested=front.get("test"),
        preferences=front.get("preferences") or [],
    )


def render(runs: Sequence[RunData], logs: Sequence[RunLog], *, browsers: Sequence[str | None] = ()) -> str:
    """The page as text.

    Args:
        runs, logs: one a run.
        browsers: the addresses of their pages of answers.
    """
    return (
        _environment()
        .get_template("page.html")
        .render(
            runs=runs,
            fronts=[log.pareto()["front"] for log in logs],
            tests=[run.tested for run in runs],
            scales=logs[0].pareto()["scale"],
            summary=[_summarise(run) for run in runs],
            samples=[_sample_answers(run, log) for run, log in zip(runs, logs, strict=True)],
            domains=[_domain_table(run, log) for run, log in zip(runs, logs, strict=True)],
            browsers=list(browsers) or [None] * len(runs),
            judging=[judging_of(run) for run in runs],
            phases=[phase_seconds(run) for run in runs],
            figure={name: _embed(figure) for name, figure in figures.all_figures(runs).items()},
            colours=RUN_COLOURS,
        )
    )


def _render_domains(runs: Sequence[DomainRun]) -> str:
    """The page of supervised runs as text."""
    return (
        _environment()
        .get_template("domains.html")
        .render(
            runs=runs,
            groups=runs[0].groups(),
            summary=[domains.summarise_domains(run) for run in runs],
            rows=[domains.domain_rows(run) for run in runs],
            figure={name: _embed(draw(runs)) for name, draw in domains.FIGURES.items()},
            colours=RUN_COLOURS,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda value: "" if value is None else number(value)
    environment.filters["with_error"] = _with_error
    return environment


def _with_error(point: dict[str, Any], name: str) -> str:
    """A point's measure of an objective with its standard error, which runs of earlier versions lack."""
    return with_error(point["values"][name], point.get("standard_errors", {}).get(name))


def write_figures(runs: Sequence[Path | str], folder: Path) -> list[Path]:
    """Write every figure of a report as SVG and PNG.

    Returns:
        The files written.
    """
    data = read_runs([Path(run) for run in runs])
    drawn = (
        {name: draw(data) for name, draw in domains.FIGURES.items()}
        if isinstance(data[0], DomainRun)
        else figures.all_figures(data)
    )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"cannot write figures into {folder}: it is a file")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in drawn.items():
        for suffix in ("svg", "png"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, dpi=150)
            write_atomically(folder / f"{name}.{suffix}", buffer.getvalue())
            written.append(folder / f"{name}.{suffix}")
    return written


def _embed(figure: Figure) -> str:
    """A figure as the address of an SVG image that is part of the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _summarise(run: RunData) -> dict[str, Any]:
    """A run in one row: start, end, hypervolume, and when half of the hypervolume gained was reached."""
    first, last = run.validations[0], run.validations[-1]
    half = first["hypervolume"] + 0.5 * (last["hypervolume"] - first["hypervolume"])
    return {
        "label": run.label,
        "method": run.method,
        "updates": len(run.steps),
        "start": first["point"],
        "end": last["point"],
        "hypervolume": last["hypervolume"],
        "tested": None if run.tested is None else run.tested["hypervolume"],
        "half_at": next(v["step"] for v in run.validations if v["hypervolume"] >= half),
        "weights": run.steps[-1]["weights"] if run.steps else {},
        "seconds": sum(phase_seconds(run).values()),
    }


def _domain_table(run: RunData, log: RunLog) -> list[dict[str, Any]]:
    """By domain, where a mixture drew them: prompts drawn, and the mean raw rewards of the first and the last fifth of the updates."""
    if not run.steps or "draws" not in run.steps[0]:
        return []
    drawn: Counter[str] = Counter()
    for step in run.steps:
        drawn.update(step["draws"])
    steps = log.answer_steps()
    fifth = max(1, len(steps) // 5)
    ends = [_mean_rewards(log, part, run.names) for part in (steps[:fifth], steps[-fifth:])]
    return [
        {
            "name": name,
            "drawn": count,
            "share": count / drawn.total(),
            "start": ends[0].get(name, {}),
            "end": ends[1].get(name, {}),
        }
        for name, count in drawn.most_common()
    ]


def _mean_rewards(log: RunLog, steps: Sequence[int], names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The mean raw reward by domain and objective over some updates, where an objective applied."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(list)
    for step in steps:
        for row in log.answers(step=step):
            for name in names:
                if row[f"reward/{name}"] is not None:
                    sums[str(row["domain"]), name].append(row[f"reward/{name}"])
    out: dict[str, dict[str, float]] = defaultdict(dict)
    for (domain, name), values in sums.items():
        out[domain][name] = sum(values) / len(values)
    return out


def _sample_answers(run: RunData, log: RunLog, *, a_step: int = 2) -> list[dict[str, Any]]:
    """A few answers from the first, the middle and the last update: of one group, the one of highest and the one of lowest advantage."""
    steps = log.answer_steps()
    if not steps:
        return []
    chosen = []
    for step in sorted({steps[0], steps[len(steps) // 2], steps[-1]}):
        rows = log.answers(step=step)
        group = [row for row in rows if row["prompt"] == rows[0]["prompt"]]
        group.sort(key=lambda row: row["advantage"], reverse=True)
        picked = group[:1] + (group[-1:] if len(group) > 1 else [])
        for row in picked[:a_step]:
            chosen.append(
                {
                    "step": step,
                    "prompt": row["prompt"],
                    "answer": row["answer"],
                    "rewards": {name: row.get(f"reward/{name}") for name in run.names},
                    "weights": {name: row.get(f"weight/{name}") for name in run.names},
                    "advantage": row["advantage"],
                }
            )
    return chosen
