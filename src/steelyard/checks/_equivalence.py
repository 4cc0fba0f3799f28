"""Whether two final answers mean the same: numbers exactly and here, words as text, everything else by math-verify in another process."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

from steelyard.checks._comparing import WORKERS, compared

LONGEST = 200
"""Characters of a final answer that are read: what is longer than this is no final answer, and may take for ever to parse."""
DIGITS = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+,\d+(?![,\d])|\d+(?:\.\d+)?|\.\d+)"
"""A number as people write it: grouped by commas, with a decimal comma or point, or with nothing before the point."""

_GROUPED = r"[1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+)(?:\.\d*)?"
_DECIMAL = rf"(?:{_GROUPED}|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{{1,3}})?"
_NUMBER = re.compile(rf"([-+]?) ?(?:(\d+) +(\d+) ?/ ?(\d+)|({_DECIMAL})(?: ?/ ?({_DECIMAL}))?)")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
_COMMA = re.compile(r"([-+]?) ?(\d+),(\d+)")
_EUROPEAN = re.compile(r"([-+]?) ?([1-9]\d{0,2}(?:\.\d{3})+),(\d+)")
_POWER_OF_TEN = re.compile(r"\s*(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{([-+]?\d{1,3})\}|([-+]?\d{1,3}))$")
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))")
_SPACES = re.compile(r"(?:\\[,;:! ]|~|\s)+")
_THOUSANDS = re.compile(r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_MIXED = re.compile(r"(?<![\d.,])(\d+) (\d+) ?/ ?(\d+)")
_TWO_NUMBERS = re.compile(r"\d \.?\d")
"""What math-verify would add up, as the parts of a mixed number."""
_UNIT = re.compile(rf"([^A-Za-z]*{DIGITS})\s*((?:[^\W\d_]{{2,}}\.?(?:\s+|$))+)")
_WORDS = re.compile(r"no|[^\W\d_]{3,}|[^\W\d_]+(?:[\s'-]+[^\W\d_]+)*[\s'-]+[^\W\d_]{2,}")
_COUNTING = frozenset(
    [
        "hundred",
        "thousand",
        "million",
        "billion",
        "trillion",
        "dozen",
        "percent",
        "pi",
        "tau",
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "log",
        "ln",
        "exp",
        "sqrt",
        "mod",
        "squared",
        "cubed",
        "half",
        "halves",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "or",
        "and",
        "to",
    ]
)
"""Words after a number that are a part of it."""
_SIGNS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{MULTIPLICATION SIGN}": "\\times ",
        "\N{MIDDLE DOT}": "\\cdot ",
        "\N{DIVISION SIGN}": "/",
        "\N{GREEK SMALL LETTER PI}": "\\pi ",
        "\N{INFINITY}": "\\infty ",
        "\N{SUPERSCRIPT TWO}": "^2",
        "\N{SUPERSCRIPT THREE}": "^3",
        "\N{SQUARE ROOT}": "\\sqrt ",
    }
)


def _tidy(text: str) -> str:
    """The same answer in the signs that are read here; a sign that means something stays."""
    text = text.strip().strip("$").strip()
    text = text.replace("{,}", ",").removeprefix("\\$").removeprefix("\\(").removesuffix("\\)")
    for sign in {sign for sign in text if not sign.isascii()}:
        parts = unicodedata.normalize("NFKC", sign).split("\N{FRACTION SLASH}")
        if len(parts) == 2:  # a half as one sign
            text = text.replace(sign, f" {parts[0]}/{parts[1] or 1}")
    text = _SPACES.sub(" ", text.translate(_SIGNS)).replace("**", "^").lstrip("$€£ ")
    return text.rstrip(".,;: ")


def _as_number(tidy: str) -> Fraction | None:
    """The exact value of a number: plain, grouped, a fraction, a mixed number, or with a power of ten.

    Example:
        >>> [str(_as_number(text)) for text in ("1,250.5", ".5", "1 1/2", "2.5 \\\\times 10^{3}", "3,14", "2 3")]
        ['2501/2', '1/2', '3/2', '2500', 'None', 'None']
    """
    if len(tidy) > LONGEST:
        return None
    power = _POWER_OF_TEN.search(tidy)
    bare = _FRACTION.sub(
        lambda found: " {}/{}".format(*(part for part in found.groups() if part)), tidy[: power.start()] if power else tidy
    )
    found = _NUMBER.fullmatch(" ".join(bare.split()))
    if not found:
        return None
    sign, whole, top, bottom, over, under = found.groups()
    try:
        if whole:
            size = int(whole) + Fraction(int(top), int(bottom))
        else:
            size = _decimal(over) / (_decimal(under) if under else 1)
    except ZeroDivisionError:
        return None
    return (-size if sign == "-" else size) * (Fraction(10) ** int(power[1] or power[2]) if power else 1)


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").removesuffix("."))


def _value(tidy: str) -> Fraction | None:
    """The value of a number, also of one whose comma is the decimal sign; None for anything else."""
    plain = _as_number(tidy)
    if plain is not None:
        return plain
    found = _COMMA.fullmatch(tidy) or _EUROPEAN.fullmatch(tidy)
    return Fraction(f"{found[1]}{found[2].replace('.', '')}.{found[3]}") if found else None


def _without_unit(tidy: str) -> tuple[str, str]:
    """A number and the words after it, where they are no part of the number.

    Example:
        >>> _without_unit("42 dollars"), _without_unit("2 pi"), _without_unit("2x")
        (('42', 'dollars'), ('2 pi', ''), ('2x', ''))
    """
    found = _UNIT.fullmatch(tidy)
    if not found or _COUNTING & set(found[2].lower().replace(".", " ").split()):
        return tidy, ""
    return found[1].strip(), " ".join(found[2].lower().rstrip(".").split())


def _read(answer: str, truth: str) -> bool | tuple[str, str]:
    """Whether two answers mean the same, where that can be said here; else the two expressions that have to be compared."""
    if answer.strip() == truth.strip():
        return True
    if max(len(answer), len(truth)) > LONGEST:
        return False
    if _PLAIN.fullmatch(answer) and _PLAIN.fullmatch(truth):  # the most frequent, and in no need of what follows
        return Fraction(answer) == Fraction(truth)
    (a, unit_of_a), (b, unit_of_b) = _without_unit(_tidy(answer)), _without_unit(_tidy(truth))
    if unit_of_a and unit_of_b and unit_of_a.rstrip("s") != unit_of_b.rstrip("s"):
        return False
    x, y = _value(a), _value(b)
    if a == b or (x is not None and x == y):
        return True
    if x is not None and y is not None:
        return False
    if _WORDS.fullmatch(a) or _WORDS.fullmatch(b):  # letters are factors to math-verify: "Paris" would be "pairs"
        return a.casefold() == b.casefold()
    a, b = _expression(a), _expression(b)
    return False if _TWO_NUMBERS.search(a) or _TWO_NUMBERS.search(b) else (a, b)


def _expression(tidy: str) -> str:
    """An expression as math-verify reads it right: it takes 1 1/2 for 1, and the comma of 1,250x for the end of a list's first part.

    Example:
        >>> _expression("1,250x + 1 1/2"), _expression("(1,250)")
        ('1250x + (1+1/2)', '(1,250)')
    """
    if not re.search(r"[(\[]|\\\{", tidy):  # inside these it is a list
        tidy = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), tidy)
    return _MIXED.sub(r"(\1+\2/\3)", tidy)


_undecided = 0


def undecided() -> int:
    """How many comparisons of this process reached a limit, and were taken for not equal."""
    return _undecided


def equivalent_all(pairs: Iterable[tuple[str, str]]) -> list[bool]:
    """`equivalent` of many pairs (answer, truth), as many at a time as there are processes that compare.

    Example:
        >>> equivalent_all([("4", "4.0"), ("x+1", "1+x"), ("4", "5")])
        [True, True, False]
    """
    global _undecided
    read = [_read(answer, truth) for answer, truth in pairs]
    asked = list(dict.fromkeys(one for one in read if not isinstance(one, bool)))
    if len(asked) > 1:
        with ThreadPoolExecutor(WORKERS) as several:
            results = dict(zip(asked, several.map(lambda one: compared(*one), asked), strict=True))
    else:
        results = {one: compared(*one) for one in asked}
    _undecided += sum(not isinstance(one, bool) and results[one] is None for one in read)
    return [one if isinstance(one, bool) else bool(results[one]) for one in read]


def equivalent(answer: str, truth: str) -> bool:
    r"""Tell whether two final answers mean the same.

    Numbers are compared exactly: `.5` is 1/2, `1 1/2` is 3/2, `1,250` is 1250, and the comma of `3,14` is a decimal sign or divides a list; its digits
    are never joined. Words are compared as text, whatever their case. Everything else is compared by math-verify, in a process with a limit on its
    time and memory; a comparison that reaches one is undecided, and so not equal. Any thread may ask, also inside a running event loop.

    Example:
        >>> equivalent("0.50", "1/2"), equivalent("1 1/2", r"\frac{3}{2}"), equivalent("3,14", "314"), equivalent("x+1", "1+x")
        (True, True, False, True)
    """
    return equivalent_all([(answer, truth)])[0]
