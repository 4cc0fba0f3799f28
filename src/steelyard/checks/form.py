"""Checks of an answer's form: counts, format, beginning and end, case, structure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from steelyard.checks._schema import keeps_schema
from steelyard.checks.answers import has_box
from steelyard.checks.base import CHECKS, Answer, Factory, Function, graded, on_answer
from steelyard.checks.text import characters, list_items, paragraphs, sentences, without_fence, words
from steelyard.errors import InputError
from steelyard.fields import is_missing
from steelyard.folding import canonical, folded, plain
from steelyard.patterns import Pattern
from steelyard.settings import CountFromZero


def _between(what: str, count: Callable[[str], int]) -> Factory:
    """A kind that counts."""

    def make(*, at_least: CountFromZero | None = None, at_most: CountFromZero | None = None) -> Function:
        return on_answer(_within(count, at_least, at_most))

    make.__doc__ = f"""{what}: at least so many, at most so many, or both.

    Args:
        at_least: the fewest that pass; default: no lower bound.
        at_most: the most that pass; default: no upper bound.
    """
    return make


def _within(count: Callable[[str], int], at_least: int | None, at_most: int | None) -> Answer:
    if at_least is None and at_most is None:
        raise InputError("give at_least, at_most or both")
    low, high = at_least or 0, float("inf") if at_most is None else at_most
    if low > high:
        raise InputError(f"at_least = {low} is more than at_most = {high}")
    return lambda answer: low <= count(answer) <= high


def sections(text: str, marker: str = "#") -> int:
    """How many sections a text has: lines that begin with the marker; for "#", any Markdown heading.

    Example:
        >>> sections("# One\\ntext\\n## Two"), sections("SECTION 1\\nx\\nSECTION 2", "SECTION")
        (2, 2)
    """
    sign = r"#{1,6}\s" if marker == "#" else rf"{re.escape(marker)}\s*\d*\b"
    return len(re.findall(rf"^[^\S\n]*[*_]*{sign}", text, re.MULTILINE))


def is_json(text: str, *, fenced: bool = True) -> bool:
    """Whether a text, or what its one code fence holds where it may have one, is JSON.

    Example:
        >>> is_json('```json\\n{"a": [1]}\\n```'), is_json("{'a': 1}")
        (True, False)
    """
    try:
        json.loads(without_fence(text) if fenced else text)
    except (ValueError, RecursionError):
        return False
    return True


@CHECKS.add("exact")
def _exact(*, text: str | None = None, column: str = "answer", ignore_case: bool = False) -> Function:
    """The whole answer is a given text, white space around it aside.

    Args:
        text: what the answer must be; default: what the row's column holds.
        column: of the row; without text. A row without one does not apply.
        ignore_case: whether "Yes" is "yes".
    """

    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        wanted = text if text is not None else columns.get(column)
        if is_missing(wanted):
            return None
        given, expected = canonical(answer.strip()), canonical(str(wanted).strip())
        return float(given.casefold() == expected.casefold() if ignore_case else given == expected)

    return run


def _compiled(pattern: str, *, whole: bool = False) -> Answer:
    """Whether a text has a match of a regular expression, or is one as a whole, white space around it aside.

    In a search `^` and `$` stand for the beginning and end of every line. In a whole match `.` stands for a new line as well.

    Raises:
        InputError: where the pattern is no regular expression.

    Example:
        >>> _compiled("^b$")("a\\nb"), _compiled("a.b", whole=True)(" a\\nb "), _compiled("a", whole=True)("ab")
        (True, True, False)
    """
    made = Pattern(pattern, re.MULTILINE | re.DOTALL if whole else re.MULTILINE)
    return (lambda text: made.found_whole(text.strip())) if whole else made.found


@CHECKS.add("regex")
def _regex(*, pattern: str, whole: bool = False) -> Function:
    """The answer has a match of a regular expression; where that takes longer than a second, the check does not apply.

    Args:
        pattern: in Python's syntax; `^` and `$` match at every line.
        whole: whether the whole answer must match, white space around it aside; `.` matches new lines then.
    """
    return on_answer(_compiled(pattern, whole=whole))


@CHECKS.add("json")
def _json() -> Function:
    """The answer, or what its one code fence holds, is JSON."""
    return on_answer(is_json)


@CHECKS.add("json-schema")
def _json_schema(*, schema: dict[str, Any] | None = None, column: str = "schema") -> Function:
    """The answer is JSON that keeps a JSON schema; nothing is fetched, and where it takes longer than a second, the check does not apply.

    Args:
        schema: the schema; default: what the row's column holds.
        column: of the row; without schema. A row without one does not apply.
    """
    given = None if schema is None else keeps_schema(schema)

    def run(prompt: str, answer: str, columns: Mapping[str, Any]) -> float | None:
        if given is not None:
            return graded(given(answer))
        wanted = columns.get(column)
        if is_missing(wanted):
            return None
        try:
            return graded(keeps_schema(wanted)(answer))
        except InputError as error:
            raise InputError(f"column {column!r}: {error}") from None

    return run


@CHECKS.add("starts-with")
def _starts(*, text: str) -> Function:
    """The answer starts with a text, white space before it aside.

    Args:
        text: word for word, case included; curly and straight quotes, dashes, and full and half width are the same.
    """
    wanted = plain(text)
    return on_answer(lambda answer: plain(answer.lstrip()).startswith(wanted))


@CHECKS.add("ends-with")
def _ends(*, text: str) -> Function:
    """The answer ends with a text, white space after it aside.

    Args:
        text: word for word, case included; curly and straight quotes, dashes, and full and half width are the same.
    """
    wanted = plain(text)
    return on_answer(lambda answer: plain(answer.rstrip()).endswith(wanted))


def _in_title_case(text: str) -> bool:
    """Whether every word begins with a capital, and the text is no shout.

    Example:
        >>> _in_title_case("It's A Well-known Fact, 2nd Edition"), _in_title_case("IT IS"), _in_title_case("A B"), _in_title_case("The cat")
        (True, False, True, False)
    """
    found = words(text)
    begins = any(map(str.isupper, text)) and not any(word[0].islower() for word in found)
    return begins and not (text.isupper() and any(sum(map(str.isalpha, word)) > 1 for word in found))


@CHECKS.add("case")
def _case(*, case: Literal["lower", "upper", "title"]) -> Function:
    """All letters of the answer have one case; scripts without capitals do not matter, and an answer of nothing else fails.

    Args:
        case: lower, upper, or title (Every Word Begins With A Capital, and has small letters).
    """
    tests: dict[str, Answer] = {"lower": str.islower, "upper": str.isupper, "title": _in_title_case}
    return on_answer(tests[case])


@CHECKS.add("boxed")
def _boxed() -> Function:
    r"""The answer has a `\boxed{...}` that is not empty."""
    return on_answer(has_box)


def _parses_as_python(text: str) -> bool:
    """Whether the code in a text parses as Python: what its fences hold, or all of it. It is never run.

    Example:
        >>> _parses_as_python("Here:\\n```python\\nprint(1)\\n```"), _parses_as_python("print(1"), _parses_as_python("")
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


@CHECKS.add("code")
def _code(*, language: Literal["python", "json"] = "python") -> Function:
    """The code in the answer's fences, or all of it, parses. It is never run.

    Args:
        language: of the code.
    """
    readers: dict[str, Answer] = {"python": _parses_as_python, "json": is_json}
    return on_answer(readers[language])


@CHECKS.add("sections")
def _sections(*, marker: str = "#", at_least: CountFromZero | None = None, at_most: CountFromZero | None = None) -> Function:
    """Sections of the answer: at least so many, at most so many, or both.

    Args:
        marker: what a section's first line begins with; "#" for any Markdown heading.
        at_least: the fewest that pass; default: no lower bound.
        at_most: the most that pass; default: no upper bound.
    """
    return on_answer(_within(lambda answer: sections(answer, marker), at_least, at_most))


@CHECKS.add("one-of")
def _one_of(*, texts: Annotated[list[str], Field(min_length=1)]) -> Function:
    """The whole answer is one of some texts, case, a full stop at its end, white space around it and forms of quotes and widths aside.

    Args:
        texts: those that pass.
    """
    wanted = {folded(text.strip()).rstrip(".") for text in texts}
    return on_answer(lambda answer: folded(answer.strip()).rstrip(".") in wanted)


CHECKS.add("words")(_between("Words of the answer, in any script (ICU's; a hyphen joins)", lambda answer: len(words(answer))))
CHECKS.add("sentences")(_between("Sentences of the answer", lambda answer: len(sentences(answer))))
CHECKS.add("paragraphs")(_between("Paragraphs of the answer", lambda answer: len(paragraphs(answer))))
CHECKS.add("characters")(_between("Characters of the answer, as a reader counts them", lambda answer: characters(answer.strip())))
CHECKS.add("list-items")(_between("Items of bullet and numbered lists", lambda answer: len(list_items(answer))))
