"""A field of a row: whether it holds anything."""

from __future__ import annotations


def is_missing(value: object) -> bool:
    """Whether a field holds nothing: null, an empty text, or NaN, which JSON as Python and pandas write it has in place of null.

    Example:
        >>> [is_missing(value) for value in (None, "", float("nan"), 0, " ")]
        [True, True, True, False, False]
    """
    return value is None or value == "" or (isinstance(value, float) and value != value)
