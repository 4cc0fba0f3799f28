"""Rows from files (JSONL, JSON, CSV, TSV, Parquet, Arrow; compressed or not), from shards in folders and by patterns, and from Hugging Face datasets.

What does not parse is named by file and line.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from steelyard.errors import InputError, repeated
from steelyard.files import is_file, is_folder

Row = dict[str, Any]
SUFFIXES = (
    ".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet",
    ".arrow",
)  # fmt: skip
"""What the names of files that can be read end in."""


_EXPANDED = 200
"""Bytes out of one of a compressed file, at most: texts give 3 to 20, a file that is made to fill a disk 1,000 and more."""
_FREE = 64 * 2**20
"""Bytes that may come out of a compressed file in any case."""
_LONGEST_LINE = 256 * 2**20
"""Characters of a line."""


def read_rows(source: str, *, split: str = "train", subset: str | None = None, base: Path = Path(".")) -> list[Row]:
    """Read the raw rows of a file or a Hugging Face dataset.

    Raises:
        InputError: where there is no such source, a line does not parse (with file and line number), or there are no rows.
    """
    rows = list(iterate_rows(source, split=split, subset=subset, base=base))
    if not rows:
        raise InputError(f"{source}: no rows: at least one is needed")
    return rows


def files_of(source: str, *, base: Path = Path(".")) -> list[Path]:
    """The files that `read_rows` reads for a source; none for a dataset's name.

    Example:
        >>> files_of("some-dataset")
        []
    """
    path = next((place for place in (base / source, Path(source)) if is_file(place)), None)
    return [path] if path is not None else shards_of(source, base=base)


def iterate_rows(source: str, *, split: str = "train", subset: str | None = None, base: Path = Path(".")) -> Iterator[Row]:
    """The raw rows of a file or a Hugging Face dataset, one after the other; there may be none.

    Raises:
        InputError: where there is no such source; in iteration, where a line does not parse.
    """
    if found := files_of(source, base=base):
        return itertools.chain.from_iterable([_reader_of(path) for path in found])
    near = [f"{source}{suffix}" for suffix in SUFFIXES if is_file(base / f"{source}{suffix}")]
    if is_folder(base / source) or near:
        what = f"{source!r} is a folder without such files" if not near else f"no file {source!r} (did you mean {near[0]!r}?)"
        raise InputError(f"{what}: give a file that ends in {', '.join(SUFFIXES)}, or a dataset's name")
    if source.endswith(SUFFIXES) or any(sign in source for sign in "*?["):
        raise InputError(f"no file {source!r} (looked in {base.resolve()} and {Path.cwd()})")
    return _from_datasets(source, split, subset)


def shards_of(source: str, *, base: Path = Path(".")) -> list[Path]:
    """The files behind a folder or a pattern (`en/*.jsonl.zst`), by name: the shards of one set of rows; empty where it is neither.

    Raises:
        InputError: where a folder or a pattern takes a data set's splits together, or files of several kinds.
    """
    for place in dict.fromkeys((base, Path("."))):
        folder = place / source
        if is_folder(folder):
            found = [path for path in sorted(folder.rglob("*")) if path.name.endswith(SUFFIXES) and not _hidden(path, folder)]
        elif any(sign in source for sign in "*?["):
            pattern = Path(source)
            root = Path(pattern.anchor) if pattern.is_absolute() else place
            found = [
                path for path in sorted(root.glob(str(pattern.relative_to(pattern.anchor)))) if not path.name.startswith(".")
            ]
        else:
            continue
        found = [path for path in found if path.is_file()]
        if found:
            check_splits(source, found)
            return found
    return []


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts) or describes_data(path.name)


_SPLIT = re.compile(r"(?i)(train(?:ing)?|valid(?:ation)?|val|dev|test|eval|held[-_]?out)(?:[-_.]?\d+)?(?:[-_.]of[-_.]\d+)?")


_NO_DATA = re.compile(
    r"(?i)(readme|license|licence|notice|source|citation|changelog|dataset_infos?|state)(\..*)?|.*\.(md|rst|lock|sha256|md5)"
)


def describes_data(name: str) -> bool:
    """Whether a file lies beside data and is none: a README, a licence, what a library notes of a set.

    Example:
        >>> [describes_data(name) for name in ("README.md", "dataset_info.json", "LICENSE", "en.json")]
        [True, True, True, False]
    """
    return _NO_DATA.fullmatch(name) is not None


def check_splits(source: str | Path, places: Iterable[Path]) -> None:
    """Refuse files or folders that are a data set's splits: held-out rows are not added to those that are trained on.

    Raises:
        InputError: naming the splits.
    """
    names = {place.name.partition(".")[0] for place in places}
    splits = sorted(name for name in names if _SPLIT.fullmatch(name))
    if len({name.lower()[:2] for name in splits}) > 1:
        raise InputError(
            f"{source}: {' and '.join(splits[:3])} look like a data set's splits, which are no domains and are not added up: give the file or folder to train on"
        )


def _reader_of(path: Path) -> Iterator[Row]:
    """The rows of a file."""
    if not path.name.endswith(SUFFIXES):
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without suffix'}: use one of {', '.join(SUFFIXES)}")
    kind = path.name.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    readers = {
        "jsonl": _from_jsonl, "ndjson": _from_jsonl, "json": _from_json, "csv": _from_csv, "tsv": _from_csv, "parquet": _from_parquet, "arrow": _from_arrow,
    }  # fmt: skip
    return readers[kind](path)


class _Counted(io.RawIOBase):
    """A stream of bytes that ends where far more comes out of a compressed file than was put into one."""

    def __init__(self, inside: Any, path: Path, most: float) -> None:
        self._inside, self._path, self._most, self._read = inside, path, most, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._inside.read(len(buffer))
        buffer[: len(content)] = content
        self._read += len(content)
        if self._read > self._most:
            raise InputError(
                f"{self._path}: more than {_EXPANDED} times its size comes out of it: if that is no mistake, decompress it first"
            )
        return len(content)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes, decompressed by what its name ends in.

    Raises:
        InputError: where it cannot be opened or read to its end, or expands beyond measure.
    """
    most = float("inf") if path.suffix not in (".gz", ".zst") else max(_FREE, _EXPANDED * path.stat().st_size)
    try:
        with _decompressed(path) as inside, io.BufferedReader(_Counted(inside, path, most), 1 << 16) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        # Arrow's errors of a damaged stream are OSErrors.
        raise InputError(f"{path}: cannot be read to its end: {error}") from None


def _decompressed(path: Path) -> Any:
    if path.suffix == ".zst":
        import pyarrow as pa

        return pa.input_stream(str(path), compression="zstd")
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _lines(file: Any, path: Path) -> Iterator[Any]:
    """The lines of a file of bytes or text, none of which fills the memory."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise InputError(f"{path}:{number}: a line of {_LONGEST_LINE:,} characters or more: a row is shorter than that")
        yield line


def _from_jsonl(path: Path) -> Iterator[Row]:
    with _opened(path) as file:
        for number, line in enumerate(_lines(file, path), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}:{number}: not a JSON object: {error}; fix or remove the line") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number}: every line must be a JSON object, but found {type(row).__name__}")
            yield row


def _from_json(path: Path) -> Iterator[Row]:
    try:
        with _opened(path) as file:
            rows = json.loads(file.read() or b"[]")
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: must hold a list of objects; for one object a line, name the file .jsonl")
    yield from rows


def _from_csv(path: Path) -> Iterator[Row]:
    # Of the whole process, and 131,072 at first: a field may hold a document.
    csv.field_size_limit(_LONGEST_LINE)
    tabs = {"delimiter": "\t"} if ".tsv" in path.suffixes else {}
    with _opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(_lines(lines, path), strict=True, **tabs)  # type: ignore[call-overload]
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
    with _opened(path) as file:
        for number, line in enumerate(_lines(file, path), start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _from_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if (twice := repeated(file.schema_arrow.names)) is not None:
                raise InputError(f"{path}: two columns are named {twice!r}: rename one")
            for batch in file.iter_batches():
                yield from _rows_of(batch, path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a Parquet file of UTF-8 text: {_first_line(error)}") from None


def _rows_of(batch: Any, path: Path) -> list[Row]:
    """The rows of a batch; a value that Python has none for, as a date before the year 1, names its column."""
    # A damaged file may say that a text begins outside of its bytes: to follow that would end the process.
    batch.validate(full=True)
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        raise
    except (ValueError, ArithmeticError, NotImplementedError, ImportError, LookupError, TypeError) as error:
        raise InputError(
            f"{path}: column {_unreadable(batch)!r} holds what has no value in Python ({' '.join(str(error).split())[:150]}): change it, or leave the column out"
        ) from None


def _unreadable(batch: Any) -> str:
    for name in batch.schema.names:
        try:
            batch.column(name).to_pylist()
        except Exception:
            return str(name)
    return "?"


def _from_arrow(path: Path) -> Iterator[Row]:
    """As Hugging Face datasets and Arrow write it: a stream of record batches, or a file of them."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            try:
                batches: Any = pa.ipc.open_stream(source)
            except pa.ArrowInvalid:
                opened = pa.ipc.open_file(source)
                batches = (opened.get_batch(i) for i in range(opened.num_record_batches))
            for batch in batches:
                if (twice := repeated(batch.schema.names)) is not None:
                    raise InputError(f"{path}: two columns are named {twice!r}: rename one")
                yield from _rows_of(batch, path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as an Arrow file of UTF-8 text: {_first_line(error)}") from None


def _from_datasets(name: str, split: str, subset: str | None) -> Iterator[Row]:
    import datasets

    try:
        return iter(datasets.load_dataset(name, subset, split=split))
    except Exception as error:
        raise InputError(
            f"prompts source {name!r} is neither a file nor a dataset that can be loaded (split {split!r}): {type(error).__name__}: {_first_line(error)}"
        ) from None
