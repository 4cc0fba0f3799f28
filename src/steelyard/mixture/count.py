"""Domains and their sizes, counted from files, folders, a column, or a Hugging Face dataset."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from steelyard.errors import InputError
from steelyard.fields import as_text, is_missing
from steelyard.files import is_file, is_folder, is_there, read_json
from steelyard.rows import SUFFIXES, check_splits, describes_data, iterate_rows

_UNITS = ("examples", "bytes")
_TEXTS = (".txt", ".text")
BLOCK = 2**23
"""Bytes of a text file that are read at a time."""


def count_domains(
    sources: Sequence[str], *, column: str | None = None, unit: str = "examples", leave_out: Path | None = None
) -> dict[str, int]:
    """Count what each domain holds.

    Args:
        sources: files, each a domain by its name without suffix; folders, each of whose entries is a domain (a folder in it counts all files below);
            or, with a column, any sources that `iterate_rows` reads, names of Hugging Face datasets included.
        column: names each row's domain.
        unit: "examples" (rows, or lines of a text file) or "bytes" (of the files).
        leave_out: a file in a folder that is no data.

    Returns:
        Size by name, in the order found.

    Raises:
        InputError: where a source is missing or unreadable, a domain is empty, or two have one name.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "en.txt").write_text("one\\ntwo\\n"), (folder / "sw.txt").write_text("moja\\n")
        >>> count_domains([str(folder)]), count_domains([str(folder)], unit="bytes")
        ({'en': 2, 'sw': 1}, {'en': 8, 'sw': 5})
    """
    if unit not in _UNITS:
        raise InputError(f"unit must be one of {', '.join(_UNITS)}, but is {unit!r}")
    if not sources:
        raise InputError("no data is given: give files, folders, or a dataset with a column")
    if column is not None:
        if unit != "examples":
            raise InputError("domains by column are counted in examples: leave unit out")
        return _by_column(sources, column)
    sizes: dict[str, int] = {}
    given = [Path(source) for source in sources]
    for source in sources:
        path = Path(source)
        if is_folder(path):
            entries = [entry for entry in sorted(path.iterdir()) if not _hidden(entry.name) and not _same(entry, leave_out)]
            if not entries:
                raise InputError(f"{path}: an empty folder: each entry of a folder is a domain")
            if not _moses(entries):
                check_splits(path, entries)
        elif is_file(path):
            entries = [path]
        else:
            raise InputError(f"no file or folder {source!r}; rows of a dataset need --column to tell their domains")
        moses = _moses(entries if is_folder(path) else given)
        for place in entries:
            name = place.suffix[1:] if place in moses else _domain_name(place)
            if place.is_file() and place not in moses:
                _check_suffix(place)
            if not is_there(place):
                raise InputError(f"{place}: a link to what is not there")
            if name in sizes:
                raise InputError(f"two domains are named {name!r} (the second is {place}): rename one")
            files = list(_files(place))
            if place.is_dir():
                check_splits(place, files)
                for file in files:
                    _check_suffix(file)
            sizes[name] = sum(_size(file, unit) for file in files)
            if not sizes[name]:
                raise InputError(f"domain {name!r} ({place}) is empty: leave it out")
    return sizes


def read_sizes(path: Path) -> dict[str, float]:
    """Domains' sizes from a JSON file, an object from names to positive numbers, for data that nobody counts again.

    Raises:
        InputError: where it cannot be read, or is no such object.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "sizes.json"
        >>> _ = path.write_text('{"en": 2.5e12, "sw": 3e9}')
        >>> read_sizes(path)
        {'en': 2500000000000.0, 'sw': 3000000000.0}
    """
    found = read_json(path)
    if not isinstance(found, dict) or not found:
        raise InputError(f"{path}: sizes are a JSON object from domain names to numbers")
    for name, size in found.items():
        if isinstance(size, bool) or not isinstance(size, (int, float)) or not 0 < size <= sys.float_info.max:
            raise InputError(f"{path}: the size of {name!r} must be a positive number, but is {str(size)[:60]}")
    return {name: float(size) for name, size in found.items()}


def _check_suffix(place: Path) -> None:
    """Refuse a file of which nobody knows how to read it: counted as lines of text it would be any number."""
    if not place.name.endswith((*SUFFIXES, *_TEXTS)):
        raise InputError(
            f"{place}: cannot count {place.suffix or 'a file without suffix'}: data end in {', '.join((*SUFFIXES, *_TEXTS))}; convert it, or move it away"
        )


def _moses(entries: Sequence[Path]) -> set[Path]:
    """Files of parallel text, `train.en` beside `train.sw`: each is a domain by its suffix."""
    stems = Counter(
        place.with_suffix("") for place in entries if place.is_file() and re.fullmatch(r"\.[a-z]{2,3}([-_][A-Za-z]{2,4})?", place.suffix)
        and not place.name.endswith((*SUFFIXES, *_TEXTS))
    )  # fmt: skip
    return {
        place
        for place in entries
        if place.is_file() and stems[place.with_suffix("")] > 1 and not place.name.endswith((*SUFFIXES, *_TEXTS))
    }


def _domain_name(place: Path) -> str:
    """What a file is called without what says how it is written."""
    if place.is_dir():
        return place.name
    known = max((suffix for suffix in (*SUFFIXES, *_TEXTS) if place.name.endswith(suffix)), key=len, default=place.suffix)
    return place.name.removesuffix(known)


def _files(place: Path) -> Iterator[Path]:
    """A file, or all files below a folder, linked folders included, each folder once."""
    if place.is_file():
        yield place
        return

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}): fix its permissions, or move it away")

    seen = set()
    for root, folders, files in os.walk(place, onerror=refuse, followlinks=True):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(files):
            file = Path(root, name)
            if not _hidden(name) and not file.exists():
                raise InputError(f"{file}: a link to what is not there")
            if not _hidden(name) and file.is_file():
                yield file


def _hidden(name: str) -> bool:
    """What is no data: hidden files, what describes data, and the marker that Spark and its like leave beside theirs."""
    return name.startswith(".") or name == "_SUCCESS" or describes_data(name)


def _same(place: Path, other: Path | None) -> bool:
    return other is not None and other.exists() and place.resolve() == other.resolve()


def _by_column(sources: Sequence[str], column: str) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for source in sources:
        before = counted.total()
        for number, row in enumerate(iterate_rows(source), start=1):
            if is_missing(row.get(column)):
                found = ", ".join(map(str, row))
                raise InputError(f"{source}, row {number}: no value in column {column!r} (columns found: {found})")
            try:
                name = as_text(row[column], column)
            except ValueError as error:
                raise InputError(f"{source}, row {number}: {error}") from None
            if any(0xD800 <= ord(char) < 0xE000 for char in name):
                raise InputError(
                    f"{source}, row {number}: column {column!r} holds half a character (a lone surrogate): fix the text"
                )
            counted[name] += 1
        if counted.total() == before:
            raise InputError(f"{source}: no rows: at least one is needed")
    return dict(counted)


def _size(path: Path, unit: str) -> int:
    if unit == "bytes":
        return path.stat().st_size
    if path.name.endswith(SUFFIXES):
        # Parsed, and not only counted, so that a broken line is found before the training finds it.
        return sum(1 for _ in iterate_rows(str(path))) if path.stat().st_size else 0
    found = passed = 0
    with path.open("rb") as file:
        while lines := file.readlines(BLOCK):
            try:
                b"".join(lines).decode("utf-8")
            except UnicodeDecodeError as error:
                number = passed + 1 + error.object[: error.start].count(b"\n")
                raise InputError(f"{path}:{number}: not UTF-8 text ({error.reason}); fix the line, or count bytes") from None
            found += sum(map(bool, map(bytes.strip, lines)))
            passed += len(lines)
    return found
