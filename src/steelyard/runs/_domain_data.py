"""Rows of many domains for a supervised run: texts written, some of every domain held out, repeats left out, long joins cut to one length."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.fields import as_text
from steelyard.mixture.mixture import Mixture
from steelyard.mixture.schedules.shares import Shares
from steelyard.recipes.supervised import DataConfig, HeldOutConfig
from steelyard.rows import Row, read_rows
from steelyard.runs._conversations import COLUMNS, question_of, read_conversation, tokens_of, turns_in
from steelyard.runs._held_out import held_out_by_checksum
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
    sources = config.sources()
    write = _Writer(config)
    written: dict[str, list[Row]] = defaultdict(list)
    repeats: dict[str, int] = defaultdict(int)
    seen: set[tuple[str, str]] = set()
    for name, source in sources.items():
        rows = read_rows(source.source, split=source.split or config.split, subset=source.subset, base=base)
        for number, raw in enumerate(rows, start=1):
            row = write(raw, f"{source.source}, row {number}", name or None)
            if row is None:
                continue
            key = (row["domain"], _said(row))
            if not config.repeats and key in seen:
                repeats[row["domain"]] += 1
                continue
            seen.add(key)
            written[row["domain"]].append(row)
    if not written:
        raise InputError(f"data.keep lets no row of {', '.join(part.source for part in sources.values())} through")
    empty = [name for name in sources if name and name not in written]
    if empty:
        raise InputError(f"domain {empty[0]!r} ({sources[empty[0]].source}) is empty: leave it out")
    if len(written) < 2:
        raise InputError(
            f"a mixture needs two domains at least, but all rows belong to {next(iter(written))!r}: name them in data.domain"
        )
    kept = _held_out_keys(written, config.held_out)
    train = [row for name in sorted(written) for row in written[name] if _key(row) not in kept]
    distinct = {(row["domain"], _said(row)): row for name in sorted(written) for row in written[name] if _key(row) in kept}
    left = {row["domain"] for row in train}
    gone = [name for name in sorted(written) if name not in left]
    if gone:
        others = sorted({row["domain"] for row in distinct.values() if row["domain"] != gone[0]})
        raise InputError(
            f"domain {gone[0]!r}: all of its texts are held out, since {', '.join(others[:3])} holds them out as well: one text has one side; leave repeats out"
        )
    held_out = list(distinct.values())
    without = sorted(set(written) - {row["domain"] for row in held_out})
    if not held_out:
        raise InputError("every domain has a single row: none can be held out")
    return DomainData(train, held_out, dict(repeats), without)


def measured_only(data: DomainData, mixture: Mixture) -> tuple[DomainData, Mixture]:
    """Without the training rows of domains that a mixture gives the share 0, and the mixture of the others: those are measured, and not trained on.

    Raises:
        InputError: where nothing of such a domain is held out, or it is trained on under another one's name.
    """
    schedule = mixture.schedule
    known = {row["domain"] for row in (*data.train, *data.held_out)}
    if not isinstance(schedule, Shares) or not (names := schedule.unvisited & known):
        return data, mixture
    unmeasured = sorted(names - {row["domain"] for row in data.held_out})
    if unmeasured:
        raise InputError(f"domain {unmeasured[0]!r} has the share 0 and nothing that is held out: leave it out")
    kept = [row for row in data.train if row["domain"] not in names]
    return replace(data, train=kept), replace(mixture, schedule=schedule.without(names))


def _said(row: Row) -> str:
    """All that a row says, by which repeats are found."""
    return repr(row.get("text") or row.get("messages") or (row.get("prompt"), row.get("completion")))


def _key(row: Row) -> str:
    """What of a row decides whether it is held out: its text, or its prompt, so that no answer to a held-out one is learned."""
    if "text" in row:
        return str(row["text"]).strip()
    if "messages" in row:
        return question_of(row["messages"])
    prompt = row["prompt"]
    return str(prompt if isinstance(prompt, str) else prompt[0]["content"]).strip()


def _held_out_keys(written: Mapping[str, list[Row]], config: HeldOutConfig) -> set[str]:
    """The texts, or prompts, that are held out, over all domains: at most half of each."""
    keys: set[str] = set()
    for rows in written.values():
        distinct = list(dict.fromkeys(_key(row) for row in rows))
        count = min(max(round(config.share * len(distinct)), config.least), config.most, len(distinct) // 2)
        keys.update(held_out_by_checksum(distinct, count))
    return keys


class _Writer:
    """Turns raw rows into rows to learn, by the recipe's templates."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        templates = {name: getattr(config, name) for name in ("keep", "text", "prompt", "completion", "domain")}
        self.templates = {
            name: Template(text, f"data.{name}", literal=name == "keep") for name, text in templates.items() if text is not None
        }

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
        column = self._conversation(raw)
        if column is not None:
            try:
                return out | {"messages": read_conversation(raw.get(column), column)}
            except ValueError as error:
                raise InputError(f"{where}: {error}") from None
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

    def _conversation(self, raw: Mapping[str, Any]) -> str | None:
        """The column that holds the row's conversation, where one is learned."""
        if self.config.messages is not None or self.config.text is not None or self.config.prompt is not None or "text" in raw:
            return self.config.messages
        return next((name for name in COLUMNS if isinstance(turns_in(raw.get(name)), list)), None)

    def _field(self, name: str, raw: Mapping[str, Any], where: str) -> str:
        if name in self.templates:
            text = self.templates[name].render(raw, where)
        elif name in raw:
            try:
                text = as_text(raw[name], name)
            except ValueError as error:
                raise InputError(f"{where}: {error} in data.{name}") from None
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
    """Join the texts of each domain, each ended by the end-of-text token, and cut them into as few examples of at most `max_tokens` as there can be, of a like
    length: a rest of two tokens would be drawn as often as a whole example.

    Returns:
        Rows of `input_ids`, `labels` and `domain`, of two tokens at least.

    Example:
        >>> from steelyard.models.scratch import byte_tokenizer
        >>> packed = pack_domains([{"text": "abc", "domain": "en"}, {"text": "defgh", "domain": "en"}], byte_tokenizer(), 9)
        >>> [len(row["input_ids"]) for row in packed]
        [5, 5]
    """
    streams: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        streams[row["domain"]] += [*tokenizer.encode(row["text"], add_special_tokens=False), tokenizer.eos_token_id]
    out = []
    for name, ids in streams.items():
        pieces = -(-len(ids) // max_tokens)
        edges = [len(ids) * i // pieces for i in range(pieces + 1)]
        for start, end in itertools.pairwise(edges):
            if end - start > 1:
                out.append({"input_ids": ids[start:end], "labels": ids[start:end], "domain": name})
    return out


def cut_texts(rows: Sequence[Row], tokenizer: Any, max_tokens: int) -> dict[str, tuple[int, int, float]]:
    """Of every domain with texts longer than `max_tokens`: how many there are, of how many, and the share of all its tokens that is cut off.

    Example:
        >>> from steelyard.models.scratch import byte_tokenizer
        >>> cut_texts([{"text": "abcd", "domain": "en"}, {"text": "ab", "domain": "en"}], byte_tokenizer(), 3)
        {'en': (1, 2, 0.25)}
    """
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in rows:
        length = _length(row, tokenizer)
        counts = found[row["domain"]]
        counts[0] += length > max_tokens
        counts[1] += 1
        counts[2] += max(0, length - max_tokens)
        counts[3] += length
    return {name: (cut, count, lost / total) for name, (cut, count, lost, total) in found.items() if cut}


def _length(row: Row, tokenizer: Any) -> int:
    """Tokens of a row before anything is cut: a text with its end, as TRL adds it."""
    if "messages" in row:
        return len(tokens_of(row["messages"], tokenizer)[0])
    if "text" in row:
        return len(tokenizer.encode(row["text"])) + 1
    if isinstance(row["prompt"], str):
        return len(tokenizer.encode(row["prompt"] + row["completion"])) + 1
    return len(tokens_of([*row["prompt"], *row["completion"]], tokenizer)[0])
