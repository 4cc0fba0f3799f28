"""A field of a row: whether it holds anything."""

from __future__ import annotations


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
