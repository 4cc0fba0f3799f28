"""Jinja templates over a row's columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
import jinja2.sandbox

from steelyard.errors import InputError
from steelyard.fields import as_text, is_missing, kind_of
from steelyard.patterns import Pattern


class Template:
    """A Jinja template over a row's columns, where an unknown column is an error that names the known ones, and null gives nothing.

    Texts and numbers are written; a list, a dictionary, bytes, or true and false are refused, since what would be written is Python's own way to write them.
    A column whose name is no identifier is `row['its name']`.

    Args:
        text: the template.
        name: of the setting, for messages.
        literal: write whatever comes, as a condition needs it.

    Example:
        >>> Template("{{ Body }} {{ Question }}", "prompt").render({"Body": "Two.", "Question": "How many?"}, "row 1")
        'Two. How many?'
        >>> Template("{{ body }}", "prompt").render({"Body": "Two."}, "row 1")
        Traceback (most recent call last):
        steelyard.errors.InputError: row 1: template prompt: 'body' is undefined (columns found: Body)
    """

    def __init__(self, text: str, name: str, *, literal: bool = False) -> None:
        environment = jinja2.sandbox.SandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            finalize=(lambda value: "" if is_missing(value) else value) if literal else _written,
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
            return self._template.render({"row": row} | {str(key): value for key, value in row.items()})
        except _NotText as error:
            raise InputError(f"{where}: template {self.name} {error}") from None
        except jinja2.UndefinedError as error:
            raise InputError(
                f"{where}: template {self.name}: {error.message} (columns found: {', '.join(map(str, row))})"
            ) from None
        except InputError as error:
            raise InputError(f"{where}: template {self.name}: {error}") from None
        except Exception as error:
            raise InputError(f"{where}: template {self.name}: {type(error).__name__}: {error}") from None


class _NotText(Exception):
    pass


def _written(value: Any) -> Any:
    """A value of a template, if it is a text, a number, or nothing."""
    if isinstance(value, jinja2.Undefined):
        return value
    try:
        return as_text(value, "it")
    except ValueError:
        part = str(value) if len(str(value)) <= 60 else f"{str(value)[:57]}..."
        hint = {bool: "{{ 'yes' if column else 'no' }}", bytes: "{{ column.decode() }}", dict: "{{ column['key'] }}"}
        example = hint.get(type(value), "{{ column[0] }} or {{ column | join(' ') }}")
        raise _NotText(f"gives {kind_of(value)} and no text: {part}: take the part that is meant, as in {example}") from None


def _regex_replace(text: str, pattern: str, replacement: str) -> str:
    return Pattern(pattern).replaced(text, replacement)


def _number(value: Any) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() else f"{number:g}"


def _boxed(value: Any) -> str:
    return f"\\boxed{{{value}}}"
