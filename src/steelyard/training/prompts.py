"""Prompts from anywhere: generated, from JSONL, JSON, CSV or Parquet files (verl's schema included), or from Hugging Face datasets.

Every row ends up with `prompt` (text or messages), `answer` (text or None), and `domain` where there is one; nothing else is kept.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox

from steelyard.errors import InputError, nearest
from steelyard.objectives import text_of
from steelyard.training.config import PromptsConfig

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def load_prompts(config: PromptsConfig, *, base: Path = Path("."), seed: int = 0) -> tuple[list[Row], list[Row], list[Row]]:
    """Load training and validation prompts.

    Args:
        config: the recipe's `prompts`.
        base: the folder that relative file names start from; the working directory is tried as well.
        seed: of generated prompts.

    Returns:
        Training rows, validation rows, and the raw rows behind the training rows, from which supervised completions are written.

    Raises:
        InputError: where a source is missing, empty, malformed or lacks a column, or where the two sets overlap.
    """
    held_out = config.validation
    if config.source == "sums":
        from steelyard.tasks.sums import sums_rows

        if held_out.source not in (None, "sums"):
            raise InputError(
                f"prompts.validation.source: generated sums are validated on generated sums, but found {held_out.source!r}"
            )
        train, validation = sums_rows(config.size or 4096, held_out.size, seed=seed)
        return train, validation, train
    raw = read_rows(config.source, split=config.split, subset=config.subset, base=base)
    if held_out.source is None:
        if held_out.size >= len(raw):
            raise InputError(
                f"prompts.validation.size: {held_out.size} prompts are to be held out, but {config.source} has only {len(raw)} rows: "
                "hold out fewer, or give a validation source"
            )
        raw, raw_validation = raw[: -held_out.size], raw[-held_out.size :]
    else:
        raw_validation = read_rows(held_out.source, split=held_out.split, subset=held_out.subset, base=base)[: held_out.size]
    raw = raw[: config.size] if config.size else raw
    writer = RowWriter(config)
    train = [writer(row, i, config.source) for i, row in enumerate(raw)]
    validation = [writer(row, i, held_out.source or config.source) for i, row in enumerate(raw_validation)]
    check_disjoint(train, validation)
    return train, validation, raw


def read_rows(source: str, *, split: str = "train", subset: str | None = None, base: Path = Path(".")) -> list[Row]:
    """Read the raw rows of a file or a Hugging Face dataset.

    Raises:
        InputError: where there is no such source, a line does not parse (with file and line number), or there are no rows.
    """
    path = next((place for place in (base / source, Path(source)) if place.is_file()), None)
    if path is None:
        if source.endswith(SUFFIXES):
            raise InputError(f"no file {source!r} (looked in {base.resolve()} and {Path.cwd()})")
        rows = _from_datasets(source, split, subset)
    elif path.suffix not in SUFFIXES:
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without suffix'}: use one of {', '.join(SUFFIXES)}")
    else:
        rows = list({".jsonl": _from_jsonl, ".json": _from_json, ".csv": _from_csv, ".parquet": _from_parquet}[path.suffix](path))
    if not rows:
        raise InputError(f"{path or source}: no rows: at least one prompt is needed")
    return rows


def _from_jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise InputError(f"{path}:{number}: not a JSON object: {error}; mend or remove the line") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number}: every line must be a JSON object, but found {type(row).__name__}")
            yield row


def _from_json(path: Path) -> Iterator[Row]:
    try:
        rows = json.loads(path.read_bytes() or b"[]")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: must hold a list of objects; for one object a line, name the file .jsonl")
    yield from rows


def _from_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}:{reader.line_num}: expected {len(reader.fieldnames or [])} fields, found another number"
                    )
                yield dict(row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path}:{reader.line_num + 1}: not valid CSV: {error}") from None


def _from_parquet(path: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file: {str(error).splitlines()[0]}") from None


def _from_datasets(name: str, split: str, subset: str | None) -> list[Row]:
    import datasets

    try:
        return list(datasets.load_dataset(name, subset, split=split))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"prompts source {name!r} is neither a file nor a dataset that can be loaded (split {split!r}): {type(error).__name__}: {reason}"
        ) from None


class RowWriter:
    """Turns raw rows into prompts, by the recipe's templates.

    Templates run in Jinja's sandbox, with three filters of ours: `regex_replace(pattern, replacement)`, `number` (51.0 becomes 51) and
    `boxed` (51 becomes \\boxed{51}).
    """

    def __init__(self, config: PromptsConfig) -> None:
        self.config = config
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
        try:
            text_of(prompt).encode()
        except UnicodeEncodeError:
            raise InputError(f"{where}: the prompt holds half a character (a lone surrogate): mend the text") from None
        out: Row = {"prompt": prompt, "answer": self._answer(row, where)}
        domain = self.domain.render(row, where) if self.domain else row.get("domain")
        if domain is not None:
            out["domain"] = str(domain)
        return out

    def _answer(self, row: Mapping[str, Any], where: str) -> str | None:
        if self.answer:
            return self.answer.render(row, where)
        if row.get("answer") is not None:
            return str(row["answer"])
        verl = row.get("reward_model")
        if isinstance(verl, dict) and verl.get("ground_truth") is not None:
            return str(verl["ground_truth"])
        return None


class Template:
    """A Jinja template over a row's columns, where an unknown column is an error that names the known ones.

    Example:
        >>> Template("{{ Body }} {{ Question }}", "prompt").render({"Body": "Two.", "Question": "How many?"}, "row 1")
        'Two. How many?'
        >>> Template("{{ body }}", "prompt").render({"Body": "Two."}, "row 1")
        Traceback (most recent call last):
        steelyard.errors.InputError: row 1: template prompt: 'body' is undefined (columns found: Body)
    """

    def __init__(self, text: str, name: str) -> None:
        environment = jinja2.sandbox.SandboxedEnvironment(
            undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
        )
        environment.filters.update(regex_replace=_regex_replace, number=_number, boxed=_boxed)
        self.name = name
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateSyntaxError as error:
            raise InputError(f"template {name} does not parse: {error.message} in {text!r}") from None

    def render(self, row: Mapping[str, Any], where: str) -> str:
        """Fill the template in from a row."""
        try:
            return self._template.render({str(key): value for key, value in row.items()})
        except jinja2.UndefinedError as error:
            raise InputError(
                f"{where}: template {self.name}: {error.message} (columns found: {', '.join(map(str, row))})"
            ) from None
        except Exception as error:
            raise InputError(f"{where}: template {self.name}: {type(error).__name__}: {error}") from None


def _regex_replace(text: str, pattern: str, replacement: str) -> str:
    return re.sub(pattern, replacement, text)


def _number(value: Any) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() else f"{number:g}"


def _boxed(value: Any) -> str:
    return f"\\boxed{{{value}}}"


def check_disjoint(train: Sequence[Row], validation: Sequence[Row]) -> None:
    """Refuse prompts that are both trained on and validated on.

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
            f"{len(both)} of {len(validation)} validation prompts are also training prompts, the first: {first!r}; remove them from one of the two"
        )
