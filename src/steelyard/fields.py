"""A field of a row: whether it holds anything, and its text."""

from __future__ import annotations

from decimal import Decimal


def is_missing(value: object) -> bool:
    """Whether a field holds nothing: null, an empty text, or NaN of any kind, which JSON as Python and pandas write it has in place of null.

    Example:
        >>> [is_missing(value) for value in (None, "", float("nan"), 0, " ")]
        [True, True, True, False, False]
    """
    if value is None or isinstance(value, str):
        return not value
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas' NA is neither equal to itself nor not; an array has no single answer
        return type(value).__name__ == "NAType"


def as_text(value: object, column: str) -> str:
    """A field as a text to learn or a name: texts as they are, numbers as they are written, nothing as an empty text.

    Raises:
        ValueError: for anything else, whose text would be Python's own way to write it; it says which template takes a part of it.

    Example:
        >>> as_text("a", "text"), as_text(3, "text"), as_text(None, "text")
        ('a', '3', '')
        >>> as_text(["a", "b"], "text")
        Traceback (most recent call last):
        ValueError: column 'text' holds a list, and not a text: take the part that is meant, as in '{{ text | join("\\n") }}'
    """
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a number of numpy's
        value = value.item()
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(
        f"column {column!r} holds {kind_of(value)}, and not a text: take the part that is meant, as in '{_part_of(value, column)}'"
    )


def kind_of(value: object) -> str:
    """What a value is, in a message.

    Example:
        >>> kind_of([1]), kind_of({}), kind_of(True), kind_of(b""), kind_of(3), kind_of("a"), kind_of(None)
        ('a list', 'a dictionary', 'true or false', 'bytes', 'a number', 'a text', 'nothing')
    """
    names: dict[type, str] = {
        list: "a list",
        tuple: "a list",
        set: "a set",
        dict: "a dictionary",
        bool: "true or false",
        bytes: "bytes",
    }
    names |= {str: "a text", int: "a number", float: "a number", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")


def _part_of(value: object, column: str) -> str:
    """A template that takes a text out of a value."""
    name = column if column.isidentifier() else f"row[{column!r}]"
    if isinstance(value, bool):
        return f"{{{{ 'yes' if {name} else 'no' }}}}"
    if isinstance(value, bytes):
        return f"{{{{ {name}.decode() }}}}"
    if isinstance(value, dict) and value:
        return f"{{{{ {name}[{next(iter(value))!r}] }}}}"
    if isinstance(value, (list, tuple)):
        first = value[0] if value else ""
        if isinstance(first, dict):
            key = next((k for k in ("content", "value", "text") if k in first), next(iter(first), "text"))
            return f"{{{{ {name}[0][{key!r}] }}}}"
        return f'{{{{ {name} | join("\\n") }}}}'
    return f"{{{{ {name}.isoformat() }}}}" if hasattr(value, "isoformat") else f"{{{{ {name} | string }}}}"
