"""Prompts from anywhere: generated, from JSONL, JSON, CSV or Parquet files (verl's schema included), or from Hugging Face datasets.

Every row ends up with `prompt` (text or messages), `answer` (text or None), and `domain` where there is one; of other columns those that objectives read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from steelyard.errors import InputError, nearest
from steelyard.fields import as_text, is_missing
from steelyard.messages import text_of
from steelyard.recipes.recipe import PromptsConfig
from steelyard.rows import Row, read_rows
from steelyard.runs._held_out import held_out_by_checksum
from steelyard.runs._templates import Template
from steelyard.tasks import GENERATED


class Prompts(NamedTuple):
    """The rows of a run.

    Attributes:
        train, validation: what it learns from, and what it is measured on while it learns.
        raw: the rows behind the training rows, from which supervised completions are written.
        test: what it is measured on once, at the end; empty where there is none.
    """

    train: list[Row]
    validation: list[Row]
    raw: list[Row]
    test: list[Row]


def load_prompts(config: PromptsConfig, *, base: Path = Path("."), seed: int = 0, columns: Sequence[str] = ()) -> Prompts:
    """Load training, validation and test prompts.

    Args:
        config: the recipe's `prompts`.
        base: the folder that relative file names start from; the working directory is tried as well.
        seed: of generated prompts.
        columns: of the rows that objectives read, beside those that the recipe names; one that a row lacks is None in it.

    Raises:
        InputError: where a source is missing, empty, malformed or lacks a column, or where two sets overlap.
    """
    held_out, test = config.validation, config.test
    writer = RowWriter(config, columns)
    if config.source in GENERATED:
        return _generated(config, writer, seed)
    raw = read_rows(config.source, split=config.split, subset=config.subset, base=base)
    rows = [writer(row, i, config.source) for i, row in enumerate(raw)]
    left = list(range(len(rows)))
    if held_out.source is None:
        left, validation = _hold_out(rows, left, held_out.size, "validation", config.source)
    else:
        found = read_rows(held_out.source, split=held_out.split, subset=held_out.subset, base=base)[: held_out.size]
        validation = [writer(row, i, held_out.source) for i, row in enumerate(found)]
    tested: list[Row] = []
    if test is not None and test.size and test.source is None:
        left, tested = _hold_out(rows, left, test.size, "test", config.source)
    elif test is not None and test.size and test.source is not None:
        tested = [writer(row, i, test.source) for i, row in _test_rows(config, base)]
    left = left[: config.size] if config.size else left
    train = [rows[i] for i in left]
    check_disjoint(train, validation)
    check_disjoint(train, tested, held_out="test")
    check_disjoint(validation, tested, held_out="test", other="validation")
    return Prompts(train, validation, [raw[i] for i in left], tested)


def _generated(config: PromptsConfig, writer: RowWriter, seed: int) -> Prompts:
    """Prompts that the package makes itself, held-out ones included."""
    for part, held_out in (("validation", config.validation), ("test", config.test)):
        if held_out is not None and held_out.source not in (None, config.source):
            raise InputError(
                f"prompts.{part}.source: generated {config.source} have held-out prompts of their own, but found {held_out.source!r}: leave it out"
            )
    num_test = None if config.test is None else config.test.size
    sets = GENERATED[config.source](config.size, config.validation.size, num_test, seed=seed)
    train, validation, tested = ([writer(row, i, config.source) for i, row in enumerate(rows)] for rows in sets)
    return Prompts(train, validation, sets[0], tested)


def _hold_out(rows: list[Row], left: list[int], size: int, name: str, source: str) -> tuple[list[int], list[Row]]:
    """The places of the rows that are left, and the rows that are held out: one for each of `size` prompts, whose repeats are left out of both."""
    prompts = {i: text_of(rows[i]["prompt"]).strip() for i in left}
    kept = set(held_out_by_checksum(list(prompts.values()), size, name=name))
    remaining = [i for i in left if prompts[i] not in kept]
    if not remaining:
        raise InputError(
            f"prompts.{name}.size: {size} prompts are to be held out, but {source} has only {len(kept)} that differ"
            f"{' beside those for validation' if name == 'test' else ''}: hold out fewer, or give a {name} source"
        )
    first = {prompts[i]: i for i in reversed(left) if prompts[i] in kept}
    return remaining, [rows[i] for i in sorted(first.values())]


def _test_rows(config: PromptsConfig, base: Path) -> list[tuple[int, Row]]:
    """The test source's first rows, with their places; of the source of the validation prompts those that they leave."""
    test, held_out = config.test, config.validation
    assert test is not None
    assert test.source is not None
    rows = list(enumerate(read_rows(test.source, split=test.split, subset=test.subset, base=base)))
    if (test.source, test.split, test.subset) == (held_out.source, held_out.split, held_out.subset):
        rows = rows[held_out.size :]
    if not rows:
        raise InputError(f"prompts.test: validation takes all rows of {test.source}: take fewer for it, or give another source")
    return rows[: test.size]


_OURS = ("prompt", "answer", "domain")


class RowWriter:
    """Turns raw rows into prompts, by the recipe's templates.

    Templates run in Jinja's sandbox, with three filters of ours: `regex_replace(pattern, replacement)`, `number` (51.0 becomes 51) and
    `boxed` (51 becomes \\boxed{51}).
    """

    def __init__(self, config: PromptsConfig, columns: Sequence[str] = ()) -> None:
        self.config = config
        self.columns = [name for name in dict.fromkeys((*config.columns, *columns)) if name not in _OURS]
        self.prompt = None if config.prompt is None else Template(config.prompt, "prompts.prompt")
        self.answer = None if config.answer is None else Template(config.answer, "prompts.answer")
        self.domain = None if config.domain is None else Template(config.domain, "prompts.domain")

    def __call__(self, row: Mapping[str, Any], index: int, source: str) -> Row:
        """Write one row."""
        where = f"{source}, row {index + 1}"
        prompt: Any = self.prompt.render(row, where) if self.prompt else row.get("prompt")
        if hasattr(prompt, "tolist"):
            prompt = prompt.tolist()
        if prompt is None or prompt == "" or prompt == []:
            if "prompt" not in row and not self.prompt:
                raise InputError(
                    f"{where}: no column 'prompt' (found: {', '.join(map(str, row))}{nearest('prompt', map(str, row))}): "
                    "name the right one in prompts.prompt, as in '{{ question }}'"
                )
            raise InputError(f"{where}: the prompt is empty")
        if isinstance(prompt, str) and self.config.chat:
            system = [{"role": "system", "content": self.config.system}] if self.config.system else []
            prompt = [*system, {"role": "user", "content": prompt}]
        elif not isinstance(prompt, (str, list)):
            raise InputError(f"{where}: a prompt must be text or a list of messages, but is {prompt!r}")
        elif not isinstance(prompt, str) and not all(
            isinstance(part, dict) and {"role", "content"} <= set(part) for part in prompt
        ):
            raise InputError(
                f"{where}: a prompt must be text or a list of messages with role and content, but is {str(prompt)[:80]!r}"
            )
        out: Row = {"prompt": prompt, "answer": self._answer(row, where)}
        domain = self.domain.render(row, where) if self.domain else row.get("domain")
        if self.domain or "domain" in row:
            out["domain"] = _text_of(domain, "domain", where) or None
        out |= {name: _kept(row.get(name)) for name in self.columns}
        for name, value in out.items():
            _check_whole(name, value, where)
        return out

    def _answer(self, row: Mapping[str, Any], where: str) -> str | None:
        if self.answer:
            return self.answer.render(row, where) or None
        if not is_missing(row.get("answer")):
            return _text_of(row["answer"], "answer", where)
        verl = row.get("reward_model")
        if isinstance(verl, dict) and verl.get("ground_truth") is not None:
            return _text_of(verl["ground_truth"], "reward_model.ground_truth", where)
        return None


def _kept(value: Any) -> Any:
    """A further column's value: plain as it is, nested as JSON, since the objects of different rows have different keys."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    nested = isinstance(value, dict) or (isinstance(value, list) and not all(isinstance(one, str) for one in value))
    if nested:
        return json.dumps(value, ensure_ascii=False, default=str)
    return None if is_missing(value) else value


def _check_whole(name: str, value: Any, where: str) -> None:
    """Refuse half a character, which datasets and Parquet files cannot hold."""
    try:
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)).encode()
    except UnicodeEncodeError:
        what = f"the {name}" if name in _OURS else f"column {name!r}"
        raise InputError(f"{where}: {what} holds half a character (a lone surrogate): fix the text") from None


def _text_of(value: Any, column: str, where: str) -> str:
    try:
        return as_text(value, column)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def check_disjoint(
    train: Sequence[Row], validation: Sequence[Row], *, held_out: str = "validation", other: str = "training"
) -> None:
    """Refuse prompts that are in two sets, such as trained on and validated on.

    Example:
        >>> check_disjoint([{"prompt": "a"}], [{"prompt": "a"}])
        Traceback (most recent call last):
        steelyard.errors.InputError: 1 of 1 validation prompts are also training prompts, the first: 'a'; remove them from one of the two
    """
    seen = {text_of(row["prompt"]).strip() for row in train}
    both = [text_of(row["prompt"]) for row in validation if text_of(row["prompt"]).strip() in seen]
    if both:
        first = both[0] if len(both[0]) <= 80 else both[0][:77] + "..."
        raise InputError(
            f"{len(both)} of {len(validation)} {held_out} prompts are also {other} prompts, the first: {first!r}; remove them from one of the two"
        )
