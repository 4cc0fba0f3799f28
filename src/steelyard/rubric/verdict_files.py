"""Verdicts in files: a line a pair."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError
from steelyard.files import is_file
from steelyard.rubric.conversation import plain_of
from steelyard.rubric.pairs import Pair
from steelyard.rubric.verdict import Verdict

_KEYS = frozenset(
    ("id", "pair", "judge", "winner", "score", "decided_by", "rubric", "calls", "tokens_in", "tokens_out", "orders", "checks")
)


@dataclass(frozen=True)
class Line:
    """A line of a file of verdicts.

    Attributes:
        id: of the pair.
        pair: a checksum of its texts, see `digest_of`.
        judge: a checksum of what the verdict depends on beside them, see `PairwiseJudge.fingerprint`.
        verdict: what was found.
    """

    id: str
    pair: str
    judge: str
    verdict: Verdict

    def text(self) -> str:
        """As the file has it."""
        return (
            json.dumps({"id": self.id, "pair": self.pair, "judge": self.judge, **self.verdict.to_dict()}, ensure_ascii=False)
            + "\n"
        )


def read_verdicts(path: Path, *, failed: bool = False) -> dict[str, Verdict]:
    """The verdicts of a file, by the pair's id, without those of pairs that failed (with `failed`, those as well).

    A last line that is not whole is passed over.

    Raises:
        InputError: where a line is no verdict. The file is not changed.
    """
    return {name: line.verdict for name, line in read_lines(path, failed=failed).items()}


def read_lines(path: Path, *, failed: bool = False) -> dict[str, Line]:
    """As `read_verdicts`, with what stands beside each verdict."""
    if not is_file(path):
        return {}
    lines = path.read_bytes().split(b"\n")
    torn, found = lines.pop(), {}
    for number, text in enumerate(lines, start=1):
        try:
            plain = json.loads(text)
            if not plain.keys() >= _KEYS:
                raise KeyError
            line = Line(str(plain["id"]), plain["pair"], plain["judge"], Verdict.from_dict(plain))
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{path}:{number}: not a verdict; choose another --out, or remove the file") from None
        if line.verdict.winner is not None or failed:
            found[line.id] = line
        else:
            # What is judged again holds no more: checks decided it that do not decide now.
            found.pop(line.id, None)
    if torn and not found and not torn.startswith(b'{"id": '):
        raise InputError(f"{path}: holds no verdicts; choose another --out, or remove the file")
    return found


def digest_of(pair: Pair) -> str:
    """A checksum of a pair's texts, given criteria and domain, which a verdict keeps."""
    content: list[Any] = [plain_of(pair.prompt), plain_of(pair.a), plain_of(pair.b)]
    content.append([[one.name, one.description, one.tier] for one in pair.criteria or ()])
    content += [] if pair.domain is None else [pair.domain]
    return hashlib.blake2b(json.dumps(content).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
