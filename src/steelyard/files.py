"""Files and folders that are never half-written, a lock, and one clear error for a full disk or a damaged folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from steelyard.errors import DiskFullError, InputError, SteelyardError


def is_disk_full(error: BaseException | None) -> bool:
    """Tell whether an error, or one it was raised from, means that the disk is full.

    torch and safetensors report a full disk as errors of their own, so their texts are read as well as `errno`.

    Example:
        >>> is_disk_full(OSError(errno.ENOSPC, "No space left on device"))
        True
        >>> is_disk_full(ValueError("no"))
        False
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        text = str(error)
        if any(said in text for said in ("No space left", "os error 28", "PytorchStreamWriter failed writing")):
            return True
        if "inline_container" in text and "unexpected pos" in text:  # torch.save, by the file's name
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def disk_full_is_clear(path: Path) -> Iterator[None]:
    """Turn whatever a library raises on a full disk into one clear error.

    Example:
        >>> import errno
        >>> with disk_full_is_clear(Path("runs/a")):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        steelyard.errors.DiskFullError: no space left on the disk of runs/a: free some and go on with --resume; ...
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise DiskFullError(
                f"no space left on the disk of {path}: free some and go on with --resume; what was written is whole"
            ) from error
        raise


@contextmanager
def damage_is_clear(path: Path) -> Iterator[None]:
    """Turn what reading a damaged run folder raises into one clear error.

    Example:
        >>> with damage_is_clear(Path("runs/a")):
        ...     {}["step"]
        Traceback (most recent call last):
        steelyard.errors.InputError: the run folder runs/a is damaged (KeyError: 'step'): restore its files, or start a new run
    """
    try:
        yield
    except SteelyardError:
        raise
    except Exception as error:
        # YAML, JSON, Parquet and missing keys all have errors of their own.
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"the run folder {path} is damaged ({reason}): restore its files, or start a new run") from error


def check_apart(read: Iterable[Path], written: Mapping[str, Path | None]) -> None:
    """Refuse to write where something is read, or two things into one file.

    Args:
        read: files that are read.
        written: files that will be written, by the option that names each; None for an option that is not given.

    Raises:
        InputError: naming the options.

    Example:
        >>> check_apart([Path("pairs.jsonl")], {"--out": Path("./pairs.jsonl")})
        Traceback (most recent call last):
        steelyard.errors.InputError: --out names pairs.jsonl, which is read: give another file
    """
    given = {name: path for name, path in written.items() if path is not None}
    for name, path in given.items():
        for source in read:
            if _is_same(path, source):
                raise InputError(f"{name} names {path}, which is read: give another file")
        for other, place in given.items():
            if other < name and _is_same(path, place):
                raise InputError(f"{other} and {name} name the same file, {path}: give two")


def read_json(path: Path, *, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """What a JSON file holds.

    Args:
        path: the file.
        pairs: makes an object of its pairs, as `json.loads` takes it; default: a dictionary.

    Raises:
        InputError: where it cannot be read, or is no JSON.

    Example:
        >>> read_json(Path("none.json"))
        Traceback (most recent call last):
        steelyard.errors.InputError: none.json: cannot be read: No such file or directory
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=pairs)
    except SteelyardError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def is_file(path: Path) -> bool:
    """Whether a path leads to a file; a name that no file can have, since it is too long or holds a zero, does not.

    Example:
        >>> is_file(Path("a" * 10_000)), is_file(Path("a\\0b")), is_file(Path("."))
        (False, False, False)
    """
    return _asked(path.is_file)


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; see `is_file`."""
    return _asked(path.is_dir)


def is_there(path: Path) -> bool:
    """Whether a path leads anywhere; see `is_file`."""
    return _asked(path.exists)


def _asked(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except (OSError, ValueError):
        return False


def is_private() -> bool:
    """Whether what holds prompts is made readable by its owner alone: yes, unless the environment has STEELYARD_SHARED=1."""
    return os.environ.get("STEELYARD_SHARED", "").strip().lower() not in ("1", "true", "yes", "on")


def make_private_folder(folder: Path) -> None:
    """Make a folder that its owner alone can look into; one that is there keeps its permissions.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "run"
        >>> make_private_folder(place); oct(place.stat().st_mode & 0o077)
        '0o0'
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700 if is_private() else 0o777, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make an empty file that its owner alone can read, where there is none."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if is_private() else 0o666))


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, also by links."""
    try:
        return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
    except (OSError, RuntimeError):
        return False


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there, whole.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_atomically(place, "one"); place.read_text()
        'one'
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_full_is_clear(path.parent):
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


MANIFEST = "manifest.json"
"""What `seal` writes into a folder."""


def seal(folder: Path) -> None:
    """Write a file that says of every other file of a folder how large it is and its checksum; all of them are on the disk before it.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp())
        >>> _ = (place / "weights").write_text("1")
        >>> seal(place); damage_of(place) is None
        True
        >>> _ = (place / "weights").write_text("2"); damage_of(place)
        'weights has changed'
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        if path.is_file() and inside != MANIFEST and not path.name.startswith("."):
            files[inside] = [path.stat().st_size, _checksum(path)]
            _sync(path)
    write_atomically(folder / MANIFEST, json.dumps({"files": files}, indent=1))
    _sync(folder / MANIFEST)
    _sync(folder)


def damage_of(folder: Path) -> str | None:
    """What is wrong with a folder that `seal` closed: a file is missing or has changed; None where it is whole.

    Example:
        >>> damage_of(Path("nowhere"))
        'manifest.json is missing'
    """
    if not (folder / MANIFEST).is_file():
        return f"{MANIFEST} is missing"
    try:
        for inside, (size, kept) in json.loads((folder / MANIFEST).read_bytes())["files"].items():
            path = folder / inside
            if not path.is_file():
                return f"{inside} is missing"
            if path.stat().st_size != size or _checksum(path) != kept:
                return f"{inside} has changed"
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        return f"{MANIFEST} cannot be read: {' '.join(str(error).split())[:100]}"
    return None


def _checksum(path: Path) -> int:
    """CRC-32, which sees damage and is fast: a checkpoint may hold a hundred gigabytes."""
    found = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found = zlib.crc32(block, found)
    return found


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk; where the system cannot say that of one, it is not waited for."""
    with suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


@contextmanager
def saved_whole(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, which takes its place once all is written: what stands there is never half of one.

    What an earlier attempt left half-written beside it goes first. Where the block fails, the place stays as it was.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "model"
        >>> with saved_whole(place) as unfinished:
        ...     _ = (unfinished / "weights").write_text("1")
        ...     place.exists()
        False
        >>> (place / "weights").read_text(), unfinished.exists()
        ('1', False)
    """
    unfinished = folder.with_name(f".unfinished-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    yield unfinished
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(unfinished, folder)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock on a file for this process; a process that is killed lets go of it. What the file holds stays; where there is none, it is made.

    Yields:
        Whether it could be had: False where another process holds it.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / ".lock"
        >>> with locked(place) as mine, locked(place) as again:
        ...     mine, again
        (True, False)
    """
    with path.open("a") as file:
        try:
            _take(file.fileno())
        except OSError:
            yield False
        else:
            yield True


def _take(number: int) -> None:
    """Take the lock of an open file; OSError where another one has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
