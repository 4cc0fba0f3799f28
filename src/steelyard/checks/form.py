"""Checks of an answer's form: counts, format, beginning and end, case, structure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.checks.answers import boxed_content
from steelyard.checks.base import Answer, Function, on_answer
from steelyard.checks.text import paragraphs, sentences, without_fence, words
from steelyard.errors import InputError


def _between(count: Callable[[str], int]) -> Callable[..., Function]:
    def make(*, at_least: int | None = None, at_most: int | None = None) -> Function:
        if at_least is None and at_most is None:
            raise InputError("give at_least, at_most or both")
        low, high = at_least or 0, float("inf") if at_most is None else at_most
        if low > high:
            raise InputError(f"at_least = {low} is more than at_most = {high}")
        return on_answer(lambda answer: low <= count(answer) <= high)

    return make


def bullets(text: str) -> list[str]:
    """Lines of a bullet or numbered list.

    Example:
        >>> bullets("- a\\n* b\\n1. c\\ntext\\n**bold** text")
        ['- a', '* b', '1. c']
    """
    return [line.strip() for line in text.splitlines() if re.match(r"\s*(?:[-*+\u2022]\s+\S|\d+[.)]\s+\S)", line)]


def sections(text: str, marker: str = "#") -> int:
    """How many sections a text has: lines that begin with the marker; for "#", any Markdown heading.

    Example:
        >>> sections("# One\\ntext\\n## Two"), sections("SECTION 1\\nx\\nSECTION 2", "SECTION")
        (2, 2)
    """
    sign = r"#{1,6}\s" if marker == "#" else rf"{re.escape(marker)}\s*\d*\b"
    return len(re.findall(rf"^\s*[*_]*{sign}", text, re.MULTILINE))


def is_json(text: str) -> bool:
    """Whether a text, or what its one code fence holds, is JSON.

    Example:
        >>> is_json('```json\\n{"a": [1]}\\n```'), is_json("{'a': 1}")
        (True, False)
    """
    try:
        json.loads(without_fence(text))
    except (ValueError, RecursionError):
        return False
    return True


def _exact(*, text: str | None = None, column: str = "answer", ignore_case: bool = False) -> Function:
    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        wanted = text if text is not None else columns.get(column)
        if wanted is None:
            return None
        given, expected = answer.strip(), str(wanted).strip()
        return float(given.casefold() == expected.casefold() if ignore_case else given == expected)

    return run


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise InputError(f"pattern {pattern!r} does not compile: {error}") from None


def _regex(*, pattern: str, whole: bool = False) -> Function:
    found = _compiled(pattern)
    return on_answer(lambda answer: (found.fullmatch(answer.strip()) if whole else found.search(answer)) is not None)


def _json_schema(*, schema: Mapping[str, Any] | None = None, column: str = "schema") -> Function:
    import jsonschema

    if schema is not None:
        try:
            jsonschema.validators.validator_for(schema).check_schema(dict(schema))
        except jsonschema.SchemaError as error:
            raise InputError(f"not a JSON schema: {error.message}") from None

    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        wanted = schema if schema is not None else columns.get(column)
        if wanted is None:
            return None
        try:
            value = json.loads(without_fence(answer))
        except (ValueError, RecursionError):
            return 0.0
        validator = jsonschema.validators.validator_for(wanted)(wanted)
        return float(validator.is_valid(value))

    return run


def _starts(*, text: str) -> Function:
    return on_answer(lambda answer: answer.lstrip().startswith(text))


def _ends(*, text: str) -> Function:
    return on_answer(lambda answer: answer.rstrip().endswith(text))


def _case(*, case: str) -> Function:
    tests: dict[str, Answer] = {"lower": str.islower, "upper": str.isupper, "title": str.istitle}
    if case not in tests:
        raise InputError(f"case must be one of {', '.join(tests)}, but is {case!r}")
    return on_answer(tests[case])


def _boxed() -> Function:
    return on_answer(lambda answer: bool((boxed_content(answer) or "").strip()))


def parses_as_python(text: str) -> bool:
    """Whether the code in a text parses as Python: what its fences hold, or all of it. It is never run.

    Example:
        >>> parses_as_python("Here:\\n```python\\nprint(1)\\n```"), parses_as_python("print(1"), parses_as_python("")
        (True, False, False)
    """
    blocks = re.findall(r"```(?:python|py)?[ \t]*\n(.*?)```", text, re.DOTALL) or [text]
    if not any(block.strip() for block in blocks):
        return False
    try:
        for block in blocks:
            ast.parse(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _code(*, language: str = "python") -> Function:
    readers: dict[str, Answer] = {"python": parses_as_python, "json": is_json}
    if language not in readers:
        raise InputError(f"code of {language!r} cannot be read here: use one of {', '.join(readers)}")
    return on_answer(readers[language])


def _sections(*, marker: str = "#", at_least: int | None = None, at_most: int | None = None) -> Function:
    return _between(lambda answer: sections(answer, marker))(at_least=at_least, at_most=at_most)


def _one_of(*, texts: Sequence[str]) -> Function:
    wanted = {text.strip().casefold() for text in texts}
    return on_answer(lambda answer: answer.strip().casefold().rstrip(".") in wanted)


FORM: dict[str, Callable[..., Function]] = {
    "words": _between(lambda answer: len(words(answer))),
    "sentences": _between(lambda answer: len(sentences(answer))),
    "paragraphs": _between(lambda answer: len(paragraphs(answer))),
    "characters": _between(lambda answer: len(answer.strip())),
    "list-items": _between(lambda answer: len(bullets(answer))),
    "sections": _sections,
    "exact": _exact,
    "one-of": _one_of,
    "regex": _regex,
    "json": lambda: on_answer(is_json),
    "json-schema": _json_schema,
    "starts-with": _starts,
    "ends-with": _ends,
    "case": _case,
    "boxed": _boxed,
    "code": _code,
}
"""Kinds by name."""
