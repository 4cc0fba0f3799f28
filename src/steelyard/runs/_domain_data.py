"""Rows of many domains for a supervised run: texts written, some of every domain held out, repeats left out, long joins cut to one length."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.fields import is_missing
from steelyard.recipes.supervised import DataConfig, HeldOutConfig
from steelyard.rows import Row, read_rows
from steelyard.runs._templates import Template


@dataclass(frozen=True)
class DomainData:
    """What is trained on and what is held out.

    Attributes:
        train, held_out: rows with `domain`, and `text` or `prompt` and `completion`.
        repeats: rows left out since another one of their domain says the same, by domain.
        without: domains of a single row, of which nothing is held out.
    """

    train: list[Row]
    held_out: list[Row]
    repeats: dict[str, int]
    without: list[str]


def load_domains(config: DataConfig, *, base: Path = Path(".")) -> DomainData:
    """Read, write and split the rows of a recipe.

    Raises:
        InputError: where a source is missing, empty or malformed, a template fails, a text is empty, or there is only one domain.
    """
    sources = config.source if isinstance(config.source, dict) else {"": config.source}
    write = _Writer(config)
    written: dict[str, list[Row]] = defaultdict(list)
    repeats: dict[str, int] = defaultdict(int)
    seen: set[tuple[str, str]] = set()
    for name, source in sources.items():
        for number, raw in enumerate(read_rows(source, split=config.split, subset=config.subset, base=base), start=1):
            row = write(raw, f"{source}, row {number}", name or None)
            if row is None:
                continue
            key = (row["domain"], _said(row))
            if not config.repeats and key in seen:
                repeats[row["domain"]] += 1
                continue
            seen.add(key)
            written[row["domain"]].append(row)
    if not written:
        raise InputError(f"data.keep lets no row of {', '.join(sources.values())} through")
    empty = [name for name in sources if name and name not in written]
    if empty:
        raise InputError(f"domain {empty[0]!r} ({sources[empty[0]]}) is empty: leave it out")
    if len(written) < 2:
        raise InputError(
            f"a mixture needs two domains at least, but all rows belong to {next(iter(written))!r}: name them in data.domain"
        )
    train: list[Row] = []
    held_out: list[Row] = []
    for name in sorted(written):
        # Where repeats are kept, all that say the same go to one side.
        distinct = list({_said(row): row for row in written[name]}.values())
        kept = {_said(distinct[number]) for number in held_out_rows(len(distinct), config.held_out, name)}
        held_out += [row for row in distinct if _said(row) in kept]
        train += [row for row in written[name] if _said(row) not in kept]
    without = sorted(set(written) - {row["domain"] for row in held_out})
    if not held_out:
        raise InputError("every domain has a single row: none can be held out")
    return DomainData(train, held_out, dict(repeats), without)


def _said(row: Row) -> str:
    return repr(row.get("text") or (row.get("prompt"), row.get("completion")))


def held_out_rows(size: int, config: HeldOutConfig, name: str) -> set[int]:
    """Which rows of a domain are held out: the same for every run, at most half.

    Example:
        >>> config = HeldOutConfig(share=0.1, least=2, most=5)
        >>> [len(held_out_rows(size, config, "en")) for size in (1, 2, 3, 10, 30, 1000)]
        [0, 1, 1, 2, 3, 5]
    """
    count = min(max(round(config.share * size), config.least), config.most, size // 2)
    seed = hashlib.sha256(f"held out {name}".encode()).digest()
    return set(random.Random(seed).sample(range(size), count))


class _Writer:
    """Turns raw rows into rows to learn, by the recipe's templates."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        templates = {name: getattr(config, name) for name in ("keep", "text", "prompt", "completion", "domain")}
        self.templates = {name: Template(text, f"data.{name}") for name, text in templates.items() if text is not None}

    def __call__(self, raw: Mapping[str, Any], where: str, domain: str | None) -> Row | None:
        if "keep" in self.templates:
            answer = self.templates["keep"].render(raw, where).strip().lower()
            if answer not in ("true", "false"):
                raise InputError(f"{where}: data.keep must give True or False, but gave {answer!r}")
            if answer == "false":
                return None
        if domain is None:
            domain = self._field("domain", raw, where)
        out: Row = {"domain": domain}
        if self.config.prompt is None:
            out["text"] = self._field("text", raw, where)
            return out
        prompt, completion = self._field("prompt", raw, where), self._field("completion", raw, where)
        if self.config.chat:
            return out | {
                "prompt": [{"role": "user", "content": prompt}],
                "completion": [{"role": "assistant", "content": completion}],
            }
        return out | {"prompt": prompt, "completion": completion}

    def _field(self, name: str, raw: Mapping[str, Any], where: str) -> str:
        if name in self.templates:
            text = self.templates[name].render(raw, where)
        elif name in raw:
            text = "" if is_missing(raw[name]) else str(raw[name])
        else:
            found = ", ".join(map(str, raw))
            raise InputError(
                f"{where}: no column {name!r} (found: {found}{nearest(name, map(str, raw))}): name the right one in data.{name}, "
                "as in '{{ content }}'"
            )
        if not text.strip():
            raise InputError(f"{where}: the {name} is empty: fix the row, or leave such rows out with data.keep")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(f"{where}: the {name} holds half a character (a lone surrogate): fix the text") from None
        return text


def pack_domains(rows: Iterable[Row], tokenizer: Any, max_tokens: int) -> list[Row]:
    """Join the texts of each domain, each ended by the end-of-text token, and cut them into examples of `max_tokens`.

    Returns:
        Rows of `input_ids`, `labels` and `domain`; only a domain's last may be shorter, of two tokens at least.

    Example:
        >>> from steelyard.models.scratch import byte_tokenizer
        >>> packed = pack_domains([{"text": "abc", "domain": "en"}, {"text": "de", "domain": "en"}], byte_tokenizer(), 4)
        >>> [len(row["input_ids"]) for row in packed]
        [4, 3]
    """
    streams: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        streams[row["domain"]] += [*tokenizer.encode(row["text"], add_special_tokens=False), tokenizer.eos_token_id]
    out = []
    for name, ids in streams.items():
        for start in range(0, len(ids), max_tokens):
            piece = ids[start : start + max_tokens]
            if len(piece) > 1:
                out.append({"input_ids": piece, "labels": piece, "domain": name})
    return out
