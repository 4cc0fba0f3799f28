"""JSON schemas that others wrote: nothing is fetched, and neither a schema nor its patterns take longer than a second."""

from __future__ import annotations

import functools
import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

from steelyard.checks.base import Answer
from steelyard.checks.text import without_fence
from steelyard.errors import InputError
from steelyard.patterns import Pattern

_SECONDS = 1.0
"""Of processor time for one answer: some schemas ask for more parts than there are atoms."""


class _LateError(Exception):
    pass


def keeps_schema(schema: Any) -> Answer:
    """Whether a text is JSON that keeps a schema; a reference out of the schema is an error, since nothing is fetched.

    Args:
        schema: an object, true or false, or one of them as JSON text.

    Returns:
        From a text to an answer: None, with a warning, where the time was up before it was known.

    Raises:
        InputError: where it is no JSON schema, and when a text is tested, where it refers to what is not in it.

    Example:
        >>> keeps_schema({"type": "array"})("[1]"), keeps_schema('{"type": "array"}')("1")
        (True, False)
    """
    import jsonschema
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            raise InputError(f"not a JSON schema: {schema[:60]!r} is not JSON") from None
    if not isinstance(schema, (dict, bool)):
        raise InputError(f"not a JSON schema: it must be an object, but is {str(schema)[:60]!r}")
    made: Any = jsonschema.validators.validator_for(schema)
    try:
        problem = _first_problem(_limited(made)(made.META_SCHEMA), schema)
    except (_LateError, RecursionError, ArithmeticError):
        problem = "it takes too long to read"
    if problem is not None:
        raise InputError(f"not a JSON schema: {problem}")
    validator = _limited(made)(schema, registry=Registry())

    def keeps(text: str) -> bool | None:
        try:
            return _first_problem(validator, json.loads(without_fence(text))) is None
        except Unresolvable as error:
            raise InputError(f"the JSON schema refers to {error.ref!r}, which is not in it; nothing is fetched") from None
        except _LateError:
            warnings.warn(f"a JSON schema takes more than {_SECONDS:g} s on an answer, and is undecided there", stacklevel=2)
            return None
        except InputError:  # of a pattern
            raise
        except (ValueError, RecursionError, ArithmeticError):
            return False

    return keeps


def _first_problem(validator: Any, value: Any) -> str | None:
    validator.until[0] = time.process_time() + _SECONDS
    error = next(validator.iter_errors(value), None)
    return None if error is None else str(error.message)[:200]


@functools.cache
def _limited(made: Any) -> Any:
    """A class of validators that looks at the clock at every keyword, and whose patterns and lists take no longer than that."""
    import jsonschema

    until = [0.0]

    def timed(keyword: Any) -> Any:
        def check(*args: Any) -> Iterator[Any]:
            if time.process_time() > until[0]:
                raise _LateError
            yield from keyword(*args) or ()

        return check

    def pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(instance, "string") and not _found(wanted, instance):
            yield jsonschema.ValidationError(f"{instance!r} does not match {wanted!r}")

    def pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(instance, "object"):
            for each, subschema in wanted.items():
                for key, value in instance.items():
                    if _found(each, key):
                        yield from validator.descend(value, subschema, path=key, schema_path=each)

    def unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if wanted and validator.is_type(instance, "array") and len({_canonical(item) for item in instance}) < len(instance):
            yield jsonschema.ValidationError(f"{str(instance)[:60]} has equal items")

    ours = {"pattern": pattern, "patternProperties": pattern_properties, "uniqueItems": unique_items}
    keywords = {name: timed(ours.get(name, function)) for name, function in made.VALIDATORS.items()}
    limited = jsonschema.validators.extend(made, keywords)
    limited.until = until
    return limited


@functools.lru_cache(maxsize=256)
def _pattern(text: str) -> Pattern:
    return Pattern(text)


def _found(wanted: str, text: str) -> bool:
    found = _pattern(wanted).found(text)
    if found is None:
        raise _LateError
    return found


def _canonical(value: Any) -> Any:
    """Equal for what JSON schema takes for equal: 1 and 1.0 are, 1 and true are not.

    Example:
        >>> _canonical([1, {"a": 1.0}]) == _canonical([1.0, {"a": 1}]), _canonical(1) == _canonical(True)
        (True, False)
    """
    if isinstance(value, bool) or value is None:
        return str(value), None
    if isinstance(value, list):
        return "list", tuple(map(_canonical, value))
    if isinstance(value, dict):
        return "dict", frozenset((key, _canonical(item)) for key, item in value.items())
    return type(value) is str, value
