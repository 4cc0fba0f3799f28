"""The prompts' texts, from the files in `prompts/`."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PROMPTS_DIR = Path(__file__).parent / "prompts"


def filled(name: str, **values: str) -> str:
    """A prompt's text with its placeholders filled in, in one pass: what is put in is not looked at again.

    Example:
        >>> filled("route", domains="- {{number}}").splitlines()[3]
        '- {{number}}'
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], prompt_text(name)).strip()


@cache
def prompt_text(name: str) -> str:
    """A prompt's text as its file has it."""
    return (PROMPTS_DIR / f"{name}.txt").read_text(encoding="utf-8")
