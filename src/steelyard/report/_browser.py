"""The page that shows every answer of a run: filters, and for each answer what it was compared with and what the judge said."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from steelyard.files import write_atomically
from steelyard.report._said import OUTCOMES, outcomes_of, principles_of, said_of
from steelyard.runlog import RunLog

_MOST = 10_000
"""Answers on a page: more would not open at once."""
_CHUNK = 100
"""Answers whose verdicts are read together, when one of them is opened."""
_Row = Mapping[str, Any]


def write_answers(log: RunLog, out: Path, *, label: str, most: int = _MOST) -> Path | None:
    """Write the page of a run's answers.

    Args:
        log: of the run.
        out: the page.
        label: the run's name.
        most: answers on it; of a run with more, updates are taken that are spread evenly.

    Returns:
        The page's path; None where the run has no answers.
    """
    steps = log.answer_steps()
    if not steps:
        return None
    first = log.answers(step=steps[0])
    fitting = max(1, most // max(1, len(first)))
    taken = steps if len(steps) <= fitting else [steps[i * len(steps) // fitting] for i in range(fitting)]
    rows = [(step, number, row) for step in taken for number, row in enumerate(log.answers(step=step), start=1)]
    data, said = _browser_data(rows)
    script = (Path(__file__).parent / "browser.js").read_text(encoding="utf-8")
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    chunks = [_as_json(said[i : i + _CHUNK]) for i in range(0, len(said), _CHUNK)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("browser.html").render(
        label=label,
        count=len(rows),
        total=len(rows) if len(taken) == len(steps) else len(first) * len(steps),
        data=_as_json(data),
        chunks=chunks,
        script=Markup(script),
        script_hash=f"sha256-{hashed}",
    )
    write_atomically(out, page.encode("utf-8", "replace"))
    return out


def _browser_data(rows: Sequence[tuple[int, int, _Row]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the page's script reads: the answers by column, and what judges said of each.

    Args:
        rows: update, number in it, and the row of `answers/*.parquet`.

    Example:
        >>> row = {"prompt": "p", "answer": "x", "reward/a": 1.0, "weight/a": 0.5, "advantage": 0.0}
        >>> data, said = _browser_data([(1, 1, row), (1, 2, {**row, "answer": "y"})])
        >>> data["names"], data["prompts"], data["prompt"], data["rewards"], said
        (['a'], ['p'], [0, 0], [[1.0, 1.0]], [{}, {}])
    """
    names = list(dict.fromkeys(key.partition("/")[2] for _, _, row in rows for key in row if key.startswith("reward/")))
    prompts: dict[str, int] = {}
    groups: dict[tuple[int, str], int] = {}
    principles: dict[str, int] = {}
    said = [said_of(row) for _, _, row in rows]
    data: dict[str, Any] = {
        "chunk": _CHUNK,
        "known_outcomes": {name: f"{name}: {what}" for name, what in OUTCOMES.items()},
        "names": names,
        "step": [step for step, _, _ in rows],
        "number": [number for _, number, _ in rows],
        "domain": [row.get("domain") for _, _, row in rows],
        "prompt": [prompts.setdefault(row["prompt"], len(prompts)) for _, _, row in rows],
        "group": [groups.setdefault((step, row["prompt"]), len(groups)) for step, _, row in rows],
        "answer": [row["answer"] for _, _, row in rows],
        "rewards": [[_short(row.get(f"reward/{name}")) for _, _, row in rows] for name in names],
        "weights": [[_short(row.get(f"weight/{name}")) for _, _, row in rows] for name in names],
        "advantage": [_short(row["advantage"]) for _, _, row in rows],
        "outcomes": [sorted(outcomes_of(one)) for one in said],
        "counted": [sorted({principles.setdefault(name, len(principles)) for name in principles_of(one)}) for one in said],
    }
    return data | {"prompts": list(prompts), "principles": list(principles)}, said


def _short(value: float | None) -> float | None:
    """A number of four digits: a page of ten thousand answers is large enough."""
    return None if value is None else float(f"{value:.4g}")


def _as_json(content: Any) -> Markup:
    """JSON that may stand in a page: no text of an answer can end the element that holds it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
