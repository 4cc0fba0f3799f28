"""Criteria that carry points, for judging an answer on its own: read from a row's column or from a file, and added up in a stated way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steelyard.errors import InputError, nearest
from steelyard.fields import is_missing
from steelyard.rows import read_rows
from steelyard.yaml_texts import read_yaml

_SCALES: dict[str, dict[str, float]] = {
    "binary": {"no": 0.0, "yes": 1.0},
    "ordinal": {"no": 0.0, "partly": 0.5, "yes": 1.0},
    "graded": {str(i): i / 10 for i in range(11)},
}
"""What a judge may say of a criterion, and what share of its points that is."""
NORMALIZE = ("range", "positive")
_MOST_CRITERIA = 200
_TEXTS = ("criterion", "description", "requirement", "text", "content", "rubric")
_NAMES = ("name", "title", "id")
_POINTS = ("points", "weight", "score")
_LISTS = ("rubrics", "criteria", "rubric")
_LONGEST = 2000


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
        object.__setattr__(self, "name", self.name or _beginning(self.text))
        object.__setattr__(self, "levels", dict(_SCALES["binary"] if self.levels is None else self.levels))


def points_score(values: Sequence[float], points: Sequence[float], normalize: str = "range") -> float:
    """Points won, on one scale for every rubric.

        total = sum_i p_i v_i;   best = sum of the positive p_i;   worst = sum of the negative p_i

    Args:
        values: the share of each criterion that is met, 0 to 1.
        points: of each criterion, not 0.
        normalize: "range": `(total - worst) / (best - worst)`, 0 to 1, which never needs to be clipped, so that bad answers are told apart as well;
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
            a point each; or an object that holds the list as "rubrics" or "criteria"; or either of them as JSON. None and an empty list are no criteria.
        where: what they are called in messages.

    Raises:
        InputError: where a criterion has no text or no finite points, or there are more than 200.

    Example:
        >>> [(one.points, one.tags) for one in points_of([{"criterion": "States the dose.", "points": 7, "tags": ["axis:accuracy"]}])]
        [(7.0, ('axis:accuracy',))]
        >>> [(one.name, one.points) for one in points_of('[{"title": "Dose", "description": "Pitfall: no dose.", "weight": -2}, "Is polite."]')]
        [('Dose', -2.0), ('Is polite.', 1.0)]
    """
    if isinstance(given, str) and given.strip():
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise InputError(f"{where}: criteria are a list, or JSON of one, but found the text {given[:60]!r}") from None
    if isinstance(given, Mapping):
        held = [given[name] for name in _LISTS if name in given]
        if len(held) != 1:
            raise InputError(
                f"{where}: an object with criteria holds them as one of {', '.join(_LISTS)}, but has {', '.join(map(str, given)) or 'nothing'}"
            )
        given = held[0]
    if hasattr(given, "tolist"):
        given = given.tolist()
    if given is None or is_missing(given) or (isinstance(given, (str, Sequence)) and not given):
        return []
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InputError(f"{where}: criteria are a list, but found {type(given).__name__}")
    if len(given) > _MOST_CRITERIA:
        raise InputError(f"{where}: at most {_MOST_CRITERIA} criteria can be judged, but there are {len(given)}")
    made = [_criterion(one, f"{where}, criterion {i}") for i, one in enumerate(given, start=1)]
    names: dict[str, int] = {}
    out = []
    for one in made:
        names[one.name] = names.get(one.name, 0) + 1
        name = one.name if names[one.name] == 1 else f"{one.name} ({names[one.name]})"
        out.append(PointCriterion(one.text, one.points, name, one.tags, one.levels))
    return [one for one in out if one.points]


def read_points(path: Path) -> list[PointCriterion]:
    """Criteria for every prompt, from a file: YAML or JSON of a list, or rows (JSONL, CSV, Parquet) of one criterion each.

    Raises:
        InputError: where the file does not hold criteria.
    """
    rows = read_yaml(path) if path.suffix in (".yaml", ".yml", ".json") else read_rows(str(path))
    found = points_of(rows, str(path))
    if not found:
        raise InputError(f"{path}: there is no criterion with points in it")
    return found


def _criterion(given: Any, where: str) -> PointCriterion:
    if isinstance(given, PointCriterion):
        return given
    content: Mapping[str, Any] = {"criterion": given} if isinstance(given, str) else given
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: a criterion is a text or an object, but found {type(given).__name__}")
    text = next((content[key] for key in _TEXTS if isinstance(content.get(key), str) and content[key].strip()), None)
    if text is None:
        raise InputError(
            f"{where}: a criterion needs a text in one of {', '.join(_TEXTS)}, but has {', '.join(map(str, content)) or 'nothing'}"
        )
    key = next((key for key in _POINTS if not is_missing(content.get(key))), None)
    points = _number(1.0 if key is None else content[key])
    if points is None:
        raise InputError(f"{where}: {key} must be a finite number, but is {content[key or '']!r}")  # fmt: skip
    name = next((str(content[key]) for key in _NAMES if not is_missing(content.get(key)) and str(content[key]).strip()), "")
    given_tags: Any = content.get("tags")
    tags = [given_tags] if isinstance(given_tags, str) else [] if is_missing(given_tags) else list(given_tags)
    return PointCriterion(
        " ".join(text.split())[:_LONGEST], points, " ".join(name.split()), tuple(map(str, tags)), _levels(content, where)
    )


def _levels(content: Mapping[str, Any], where: str) -> dict[str, float]:
    levels, scale = content.get("levels"), content.get("scale")
    if is_missing(levels):
        scale = "binary" if is_missing(scale) else str(scale)
        if scale not in _SCALES:
            raise InputError(f"{where}: scale must be one of {', '.join(_SCALES)}, but is {scale!r}{nearest(scale, _SCALES)}")
        return _SCALES[scale]
    if isinstance(levels, Mapping):
        found = {str(name): _number(value) for name, value in levels.items()}
    elif isinstance(levels, Sequence) and not isinstance(levels, str):
        found = {str(name): i / max(1, len(levels) - 1) for i, name in enumerate(levels)}
        found = found if len(found) == len(levels) else {}
    else:
        found = {}
    if (
        not 2 <= len(found) <= 20
        or any(value is None or not 0 <= value <= 1 for value in found.values())
        or not all(name.strip() for name in found)
    ):
        raise InputError(
            f"{where}: levels are 2 to 20 different names, worst first, or names with shares from 0 to 1, but are {levels!r}"
        )
    return {name: float(value) for name, value in found.items() if value is not None}


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and not isinstance(value, bool) else None


def _beginning(text: str, most: int = 60) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else words[: words.rfind(" ", 0, most) if " " in words[:most] else most] + " ..."
