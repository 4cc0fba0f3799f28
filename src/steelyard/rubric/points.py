"""Criteria that carry points, for judging an answer on its own: read from a row's column or from a file, and added up in a stated way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.fields import is_missing
from steelyard.files import read_json
from steelyard.rows import read_rows
from steelyard.rubric._fence import visible
from steelyard.yaml_texts import read_yaml

_SCALES: dict[str, dict[str, float]] = {
    "binary": {"no": 0.0, "yes": 1.0},
    "ordinal": {"no": 0.0, "partly": 0.5, "yes": 1.0},
    "graded": {str(i): i / 10 for i in range(11)},
}
"""What a judge may say of a criterion, and what share of its points that is."""
NORMALIZE = ("range", "positive")
_MOST_CRITERIA = 200
_TEXTS = ("criterion", "criterion_text", "requirement", "text", "content", "rubric", "description")
_NAMES = ("name", "title", "id")
_POINTS = ("points", "weight", "score")
_LISTS = ("rubrics", "criteria", "rubric")
_POINT_LISTS = ("points_list", "points", "weights", "scores")
_LONGEST = 10_000
_LARGEST = 1e9


@dataclass(frozen=True)
class PointCriterion:
    """A criterion of an answer on its own.

    Attributes:
        text: what is asked of the answer, or with negative points, what it is blamed for.
        points: what an answer that meets it gains, or loses; not 0.
        name: unique in its rubric; default: the text's beginning.
        tags: words by which criteria of many rubrics belong together ("axis:accuracy").
        levels: by what the judge may say, the share of the points, 0 to 1; see `points_of`.

    Example:
        >>> PointCriterion("Names the capital.", 5).levels
        {'no': 0.0, 'yes': 1.0}
    """

    text: str
    points: float = 1.0
    name: str = ""
    tags: tuple[str, ...] = ()
    levels: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        where = f"criterion {self.text!r:.60}"
        points, levels = _checked(self.text, self.points, self.levels, where)
        _check_words((self.name, *self.tags), where)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "name", self.name or _beginning(self.text))
        object.__setattr__(self, "levels", levels)


def _checked(text: Any, points: Any, levels: Any, where: str) -> tuple[float, dict[str, float]]:
    """Points and levels of a criterion that can be judged.

    Raises:
        InputError: where it cannot.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST or not _is_plain(text):
        raise InputError(f"{where}: a criterion's text has 1 to {_LONGEST:,} characters, and no half of one (a lone surrogate)")
    number = _number(points)
    if not number or abs(number) > _LARGEST:
        raise InputError(f"{where}: points must be a number other than 0, at most {_LARGEST:g} either way, but are {points!r}")
    return number, _levels(_SCALES["binary"] if levels is None else levels, where)


def _check_words(words: Sequence[str], where: str) -> None:
    """Refuse a name or a tag that cannot be written."""
    wrong = next((word for word in words if not _is_plain(word)), None)
    if wrong is not None:
        raise InputError(f"{where}: {wrong!r:.60} holds half a character (a lone surrogate): fix the text")


def points_score(values: Sequence[float], points: Sequence[float], normalize: str = "range") -> float:
    """Points won, on one scale for every rubric.

        total = sum_i p_i v_i;   best = sum of the positive p_i;   worst = sum of the negative p_i

    Args:
        values: the share of each criterion that is met, 0 to 1.
        points: of each criterion, not 0.
        normalize: "range": `(total - worst) / (best - worst)`, 0 to 1, which is never clipped, so that two bad answers still differ;
            "positive": `total / best`, clipped to -1..1; of a rubric without positive points, `1 - total / worst`.

    Example:
        >>> points_score([1, 0, 1], [5, 3, -2]), points_score([1, 0, 1], [5, 3, -2], "positive")
        (0.5, 0.375)

    Reference:
        Arora et al., HealthBench, arXiv 2505.08775: "positive", clipped to 0..1 after averaging over prompts; here an answer may be worth less than nothing.
        Gunjal et al., Rubrics as Rewards, arXiv 2507.17746, equation 1: the same with positive weights.
    """
    total = sum(p * v for p, v in zip(points, values, strict=True))
    best, worst = sum(p for p in points if p > 0), sum(p for p in points if p < 0)
    if normalize == "positive" and best > 0:
        return max(-1.0, min(1.0, total / best))
    return (total - worst) / (best - worst)


def points_of(given: Any, where: str = "criteria") -> list[PointCriterion]:
    """Criteria in any of the forms in which datasets hold them.

    Args:
        given: a list of objects, each with a text ("criterion", "description", ...), and, where it has them, points ("points", "weight"), a name
            ("name", "title"), "tags", and a "scale" ("binary", "ordinal", "graded") or "levels" of its own, worst first; or a list of texts, which have
            a point each; or an object that holds the list as "rubrics" or "criteria", and perhaps a list of their points beside it; or JSON of any of
            these. None and an empty list are no criteria. One with 0 points is left out.
        where: what they are called in messages.

    Raises:
        InputError: where a criterion has no text or no finite points, or there are more than 200.

    Example:
        >>> [(one.points, one.tags) for one in points_of([{"criterion": "States the dose.", "points": 7, "tags": ["axis:accuracy"]}])]
        [(7.0, ('axis:accuracy',))]
        >>> [(one.name, one.points) for one in points_of('[{"title": "Dose", "description": "Pitfall: no dose.", "weight": -2}, "Is polite."]')]
        [('Dose', -2.0), ('Is polite.', 1.0)]
        >>> [one.points for one in points_of({"criteria": ["States the dose.", "Is rude."], "points_list": [5, -3]})]
        [5.0, -3.0]
    """
    given = _read(given, where)
    if isinstance(given, Mapping):
        given = _held(given, where)
    if given is None or (isinstance(given, Sequence) and not given):
        return []
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise InputError(f"{where}: criteria are a list, but found {type(given).__name__}")
    if len(given) > _MOST_CRITERIA:
        raise InputError(f"{where}: at most {_MOST_CRITERIA} criteria can be judged, but there are {len(given)}")
    names: set[str] = set()
    out = []
    for i, one in enumerate(given, start=1):
        made = _criterion(one, f"{where}, criterion {i}")
        if made is not None:
            name, again = made.name, 2
            while name in names:
                name, again = f"{made.name} ({again})", again + 1
            names.add(name)
            out.append(replace(made, name=name))
    return out


def _read(given: Any, where: str) -> Any:
    """What stands in JSON, and lists in place of arrays; nothing for a missing field."""
    for _ in range(2):  # a column of JSON may have been written as JSON once more
        if not isinstance(given, str):
            break
        if not given.strip():
            return None
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise InputError(f"{where}: criteria are a list, or JSON of one, but found the text {given[:60]!r}") from None
    given = given.tolist() if hasattr(given, "tolist") else given
    return None if is_missing(given) else given


def _held(given: Mapping[str, Any], where: str) -> Any:
    """The list that an object holds, with the points that stand in a list beside it."""
    held = [name for name in _LISTS if name in given]
    if len(held) != 1:
        raise InputError(
            f"{where}: an object with criteria holds them as one of {', '.join(_LISTS)}, but has {', '.join(map(str, given)) or 'nothing'}"
        )
    found = _read(given[held[0]], where)
    beside = next((name for name in _POINT_LISTS if name in given), None)
    if beside is None or not isinstance(found, Sequence) or isinstance(found, str):
        return found
    points = _read(given[beside], where)
    if not isinstance(points, Sequence) or len(points) != len(found):
        raise InputError(
            f"{where}: {beside!r} must hold as many numbers as there are criteria ({len(found)}), but is {given[beside]!r:.60}"
        )
    return [
        {**({"criterion": one} if isinstance(one, str) else one), "points": each} for one, each in zip(found, points, strict=True)
    ]


def read_points(path: Path) -> list[PointCriterion]:
    """Criteria for every prompt, from a file: YAML or JSON of a list, or rows (JSONL, CSV, Parquet) of one criterion each.

    Raises:
        InputError: where the file does not hold criteria.
    """
    held = (
        read_json(path)
        if path.suffix == ".json"
        else read_yaml(path)
        if path.suffix in (".yaml", ".yml")
        else read_rows(str(path))
    )
    found = points_of(held, str(path))
    if not found:
        raise InputError(f"{path}: there is no criterion with points in it")
    return found


def _criterion(given: Any, where: str) -> PointCriterion | None:
    """A criterion as a dataset holds it; None for one that counts for nothing."""
    if isinstance(given, PointCriterion):
        return given
    if isinstance(given, str) and given.lstrip()[:1] == "{":
        given = _read(given, where)
    content: Mapping[str, Any] = {"criterion": given} if isinstance(given, str) else given
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: a criterion is a text or an object, but found {type(given).__name__}")
    texts = {key: " ".join(content[key].split()) for key in _TEXTS if isinstance(content.get(key), str) and content[key].strip()}
    if not texts:
        raise InputError(
            f"{where}: a criterion needs a text in one of {', '.join(_TEXTS)}, but has {', '.join(map(str, content)) or 'nothing'}"
        )
    key, text = next(iter(texts.items()))
    name = next((str(content[key]) for key in _NAMES if not is_missing(content.get(key)) and str(content[key]).strip()), "")
    if key != "description" and "description" in texts:
        # The one is a word for it, and the other says what it is.
        name, text = name or text, f"{text}: {texts['description']}"
    counted = next((key for key in _POINTS if not is_missing(content.get(key))), None)
    points = 1.0 if counted is None else _number(content[counted])
    if points is None:
        raise InputError(f"{where}: {counted} must be a finite number, but is {content[counted or '']!r}")
    if points == 0:
        return None
    points, levels = _checked(text, points, _scale(content, where), where)
    name, tags = " ".join(name.split()), _tags(content.get("tags"), where)
    _check_words((name, *tags), where)
    return PointCriterion(text, points, name, tags, levels)


def _tags(given: Any, where: str) -> tuple[str, ...]:
    if isinstance(given, str) and given.strip()[:1] in ("[", "{"):
        given = _read(given, where)
    given = given.tolist() if hasattr(given, "tolist") else given
    if is_missing(given):
        return ()
    if isinstance(given, Mapping):
        return tuple(f"{key}:{value}" for key, value in given.items() if not is_missing(value))
    if isinstance(given, str) or not isinstance(given, Sequence):
        given = [given]
    if not all(isinstance(tag, (str, int)) or is_missing(tag) for tag in given):
        raise InputError(f"{where}: tags are words, but are {given!r:.60}")
    return tuple(str(tag) for tag in given if not is_missing(tag))


def _scale(content: Mapping[str, Any], where: str) -> Any:
    """The levels of a criterion's own, or those of its scale."""
    levels: Any = content.get("levels")
    if isinstance(levels, str):
        levels = _read(levels, where)
    if hasattr(levels, "tolist"):
        levels = levels.tolist()
    if not is_missing(levels):
        return levels
    scale = "binary" if is_missing(content.get("scale")) else str(content["scale"])
    if scale not in _SCALES:
        raise InputError(f"{where}: scale must be one of {', '.join(_SCALES)}, but is {scale!r}{nearest(scale, _SCALES)}")
    return _SCALES[scale]


def _levels(levels: Any, where: str) -> dict[str, float]:
    """Shares of the points by what the judge may say, which is written as the judge will see it."""
    if isinstance(levels, Mapping):
        # Arrow gives every row of a column the keys of all of them.
        pairs = [(name, _number(value)) for name, value in levels.items() if not is_missing(value)]
    elif isinstance(levels, Sequence) and not isinstance(levels, str):
        pairs = [(name, i / max(1, len(levels) - 1)) for i, name in enumerate(levels)]
    else:
        pairs = []
    found = {_level_name(name): value for name, value in pairs}
    wrong = any(value is None or not 0 <= value <= 1 for value in found.values()) or not all(
        name.strip() and _is_plain(name) for name in found
    )
    if not 2 <= len(found) <= 20 or len(found) != len(pairs) or wrong:
        raise InputError(
            f"{where}: levels are 2 to 20 different names, worst first, or names with shares from 0 to 1, but are {levels!r}"
        )
    return {name: float(value) for name, value in found.items() if value is not None}


def _level_name(name: Any) -> str:
    """YAML reads yes and no as true and false."""
    return (
        {True: "yes", False: "no"}[name] if isinstance(name, bool) else visible(str(name)) if _is_plain(str(name)) else str(name)
    )


def _is_plain(text: str) -> bool:
    """Whether a text can be written, which one with half a pair of signs cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(value: Any) -> float | None:
    if type(value).__name__ in ("bool", "bool_"):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _beginning(text: str, most: int = 60) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else words[: words.rfind(" ", 0, most) if " " in words[:most] else most] + " ..."
