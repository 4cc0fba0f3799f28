"""What a server says beside a reply: its words in whatever body they come, and how long it wants us to wait."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

LONGEST_WAIT = 60.0
"""Seconds that are waited at most between two tries, whatever the server says."""
_LONGEST = 400
"""Characters of a server's words that are shown."""
_SECRET = re.compile(r"(?i)key|token|secret|sig|pass|auth|cred")
"""Names of what an address should not show."""
_READ = 100_000
"""Characters of a body that are looked at."""
_SAYING = (
    "loc", "param", "error", "errors", "message", "msg", "detail", "details", "title", "reason", "description", "error_description", "metadata",
    "raw",
)  # fmt: skip
_CODES = ("code", "type", "status", "param")


def words_of(body: str) -> str:
    """What a server says in the body of a refusal: JSON of any form, a page, or plain text.

    Example:
        >>> words_of('{"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 1}]}')
        'body.seed: Extra inputs are not permitted'
        >>> words_of('{"error": "no such model"}'), words_of("<html><title>502</title><p>Bad gateway</p></html>")
        ('no such model', '502 Bad gateway')
    """
    body = body[:_READ]
    try:
        found = list(dict.fromkeys(text for text in _said(json.loads(body), _SAYING) if text.strip()))
        # What says nothing under a name that we know is shown as it is.
        words = ": ".join(found) if found else "" if body.strip() in ("{}", "null", '""', "[]") else body
    except (ValueError, RecursionError):
        words = re.sub(r"<[^<>]*>", " ", re.sub(r"(?is)<(script|style)\b[^<>]*>[^<]*", " ", body)) if "<" in body else body
    words = " ".join(words.split())
    return words if len(words) <= _LONGEST else words[:_LONGEST] + " ..."


def codes_of(body: str) -> set[str]:
    """The codes, types and parameters that a refusal names beside its words, in lower case.

    Example:
        >>> sorted(codes_of('{"error": {"message": "...", "code": "insufficient_quota", "param": null}}'))
        ['insufficient_quota']
    """
    try:
        return {text.lower() for text in _said(json.loads(body[:_READ]), ("error", "errors", "detail", *_CODES), inside=_CODES)}
    except (ValueError, RecursionError):
        return set()


def _said(value: Any, names: tuple[str, ...], *, inside: tuple[str, ...] | None = None, named: bool = False) -> Iterator[str]:
    """The texts under some names, however deep, in the order of the names; with `inside`, those directly under one of these alone."""
    if isinstance(value, str):
        if inside is None or named:
            yield from _unpacked(value, names) if inside is None else [value]
    elif isinstance(value, list):
        for item in value:
            yield from _said(item, names, inside=inside, named=named)
    elif isinstance(value, dict):
        lower = {str(key).lower(): item for key, item in value.items()}
        place = lower.get("loc")
        if isinstance(place, list) and inside is None:
            where = ".".join(map(str, place))
            yield where
            lower.pop("loc")
        for name in names:
            yield from _said(lower.get(name), names, inside=inside, named=inside is not None and name in inside)


def _unpacked(text: str, names: tuple[str, ...]) -> Iterator[str]:
    """A text, or what is said in it where it is JSON itself: a gateway passes on what the server behind it said."""
    if text.lstrip().startswith("{"):
        try:
            yield from _said(json.loads(text), names)
            return
        except (ValueError, RecursionError):
            pass
    yield text


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms`, or by `retry-after` in seconds or as a date; None where neither says.

    Example:
        >>> wait_of({"retry-after": "2"}), wait_of({"retry-after-ms": "250"}), wait_of({"retry-after": "soon"})
        (2.0, 0.25, None)
        >>> wait_of({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}), wait_of({"retry-after": "1e9"})
        (0.0, 60.0)
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            wait = float(text) / unit
        except ValueError:
            try:
                wait = parsedate_to_datetime(text).timestamp() - time.time()
            except (ValueError, TypeError, OverflowError):
                continue
        if wait == wait:  # not NaN
            return min(max(wait, 0.0), LONGEST_WAIT)
    return None


def without_secrets(text: str, api_key: str, url: str) -> str:
    """A server's words without the key and the password that we sent: some echo what they get.

    Example:
        >>> without_secrets("invalid header: Bearer sk-123", "sk-123", "http://host/v1")
        'invalid header: Bearer [key]'
    """
    parts = urlsplit(url)
    found = [api_key if api_key != "none" else "", parts.password or "", unquote(parts.password or "")]
    if parts.password:
        found.append(base64.b64encode(f"{unquote(parts.username or '')}:{unquote(parts.password)}".encode()).decode())
    found += [value for name, value in parse_qsl(parts.query) if _SECRET.search(name)]
    for secret in sorted(found, key=len, reverse=True):
        # A short one is a placeholder, and a word that messages need.
        if len(secret) > 5:
            for written in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                text = text.replace(written, "[key]")
    return text


def shown_address(url: str) -> str:
    """An address as messages show it: without a password, and without what follows a question mark.

    Example:
        >>> shown_address("http://me:secret@host:8000/v1?api-version=1")
        'http://host:8000/v1'
        >>> shown_address("htp:/me:secret@host:80x/v1?key=1")
        'host:80x/v1'
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.netloc:
            return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        pass
    # No address: what may be a password stands before the last "@", or after the first question mark.
    return url.partition("?")[0].rpartition("@")[2]
