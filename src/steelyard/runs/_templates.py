"""Jinja templates over a row's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jinja2
import jinja2.sandbox

from steelyard.errors import InputError
from steelyard.fields import is_missing


class Template:
    """A Jinja template over a row's columns, where an unknown column is an error that names the known ones, and null gives nothing.

    Example:
        >>> Template("{{ Body }} {{ Question }}", "prompt").render({"Body": "Two.", "Question": "How many?"}, "row 1")
        'Two. How many?'
        >>> Template("{{ body }}", "prompt").render({"Body": "Two."}, "row 1")
        Traceback (most recent call last):
        steelyard.errors.InputError: row 1: template prompt: 'body' is undefined (columns found: Body)
    """

    def __init__(self, text: str, name: str) -> None:
        environment = jinja2.sandbox.SandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            finalize=lambda value: "" if is_missing(value) else value,
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
