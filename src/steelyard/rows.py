"""Rows from files (JSONL, gzipped or not, JSON, CSV, Parquet) and from Hugging Face datasets; what does not parse is named by file and line."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, repeated

Row = dict[str, Any]
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet")


def read_rows(source: str, *, split: str = "train", subset: str | None = None, base: Path = Path(".")) -> list[Row]:
    """Read the raw rows of a file or a Hugging Face dataset.

    Raises:
        InputError: where there is no such source, a line does not parse (with file and line number), or there are no rows.
    """
    rows = list(iterate_rows(source, split=split, subset=subset, base=base))
    if not rows:
        raise InputError(f"{source}: no rows: at least one is needed")
    return rows


def iterate_rows(source: str, *, split: str = "train", subset: str | None = None, base: Path = Path(".")) -> Iterator[Row]:
    """The raw rows of a file or a Hugging Face dataset, one after the other; there may be none.

    Raises:
        InputError: where there is no such source; in iteration, where a line does not parse.
    """
    path = next((place for place in (base / source, Path(source)) if place.is_file()), None)
    if path is None:
        near = [f"{source}{suffix}" for suffix in SUFFIXES if (base / f"{source}{suffix}").is_file()]
        if (base / source).is_dir() or near:
            what = f"{source!r} is a folder" if not near else f"no file {source!r} (did you mean {near[0]!r}?)"
            raise InputError(f"{what}: give a file that ends in {', '.join(SUFFIXES)}, or a dataset's name")
        if source.endswith(SUFFIXES):
            raise InputError(f"no file {source!r} (looked in {base.resolve()} and {Path.cwd()})")
        return _from_datasets(source, split, subset)
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without suffix'}: use one of {', '.join(SUFFIXES)}")
    readers = {".jsonl": _from_jsonl, ".gz": _from_jsonl, ".json": _from_json, ".csv": _from_csv, ".parquet": _from_parquet}
    return readers[path.suffix](path)


def _from_jsonl(path: Path) -> Iterator[Row]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(_whole(lines, path), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}:{number}: not a JSON object: {error}; fix or remove the line") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number}: every line must be a JSON object, but found {type(row).__name__}")
            yield row


def _whole(lines: Iterable[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from lines
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read to its end: {error}") from None


def _from_json(path: Path) -> Iterator[Row]:
    try:
        rows = json.loads(path.read_bytes() or b"[]")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: must hold a list of objects; for one object a line, name the file .jsonl")
    yield from rows


def _from_csv(path: Path) -> Iterator[Row]:
    # Of the whole process, and 131,072 at first: a field may hold a document.
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            if (twice := repeated(reader.fieldnames or [])) is not None:
                raise InputError(f"{path}:1: two columns are named {twice!r}: rename one")
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}:{reader.line_num}: expected {len(reader.fieldnames or [])} fields, found another number"
                    )
                yield dict(row)
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num + 1}: not valid CSV: {error}") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{_line_not_utf8(path)}: not UTF-8 text: {error.reason}") from None


def _line_not_utf8(path: Path) -> int:
    """Found from the bytes, since text is decoded in blocks, ahead of its reader."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return 1 + content[: error.start].count(b"\n")
    return 1


def _from_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if (twice := repeated(file.schema_arrow.names)) is not None:
                raise InputError(f"{path}: two columns are named {twice!r}: rename one")
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a Parquet file of UTF-8 text: {str(error).splitlines()[0]}") from None


def _from_datasets(name: str, split: str, subset: str | None) -> Iterator[Row]:
    import datasets

    try:
        return iter(datasets.load_dataset(name, subset, split=split))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"prompts source {name!r} is neither a file nor a dataset that can be loaded (split {split!r}): {type(error).__name__}: {reason}"
        ) from None
