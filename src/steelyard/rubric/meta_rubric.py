"""Meta-rubrics: the written principles by which a judge makes the criteria for a pair of answers; YAML files with a version and a changelog."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from steelyard.errors import InputError, nearest, repeated
from steelyard.files import is_file
from steelyard.patterns import Pattern
from steelyard.yaml_texts import read_yaml

_RUBRICS_DIR = Path(__file__).parent / "rubrics"
TIERS = ("hard", "core", "important", "highlight")
Tier = Literal["hard", "core", "important", "highlight"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Principle(_Part):
    """One principle.

    Attributes:
        id: a short name, unique in its rubric.
        tier: "hard" decides alone where it tells the answers apart; the others weigh in.
        means: what a good answer does.
        fails: what counts as a failure.
        not_counted: what must not count, where that is a temptation.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    tier: Tier
    means: str = Field(min_length=10)
    fails: str = Field(min_length=10)
    not_counted: str | None = None


class TierWeights(_Part):
    """How much a criterion of each tier weighs; hard ones decide alone."""

    core: float = Field(5.0, gt=0)
    important: float = Field(2.0, gt=0)
    highlight: float = Field(1.0, gt=0)


class Policies(_Part):
    """What to do where the prompt itself is the difficulty."""

    ambiguous: str = Field(min_length=10)
    sensitive: str = Field(min_length=10)
    language: str = Field(min_length=10)


class Change(_Part):
    """A line of the changelog."""

    version: int = Field(ge=1)
    date: date
    what: str = Field(min_length=5)


class Route(_Part):
    """How prompts of this domain are found: by its name in a column, or by patterns in the prompt."""

    about: str = Field(min_length=5)
    patterns: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _patterns_compile(self) -> Route:
        for pattern in self.patterns:
            Pattern(pattern)
        return self


class MetaRubric(_Part):
    """The principles of a domain.

    Attributes:
        name, version: together its id, "maths@1".
        extends: the rubric whose principles, weights and policies it takes over; a principle with the same id replaces that one.
        never: what must never count, whatever the domain.

    Example:
        >>> rubric = MetaRubric.load("maths")
        >>> rubric.id, rubric.principles[0].tier, "harmful-content" in [p.id for p in rubric.principles]
        ('maths@1', 'hard', True)
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: int = Field(ge=1)
    extends: str | None = None
    route: Route | None = None
    weights: TierWeights | None = None
    policies: Policies | None = None
    never: list[str] = Field(default_factory=list)
    principles: list[Principle] = Field(min_length=1)
    changelog: list[Change] = Field(min_length=1)

    @model_validator(mode="after")
    def _fields_fit(self) -> MetaRubric:
        if (twice := repeated(principle.id for principle in self.principles)) is not None:
            raise ValueError(f"two principles are named {twice!r}")
        versions = [change.version for change in self.changelog]
        if versions != sorted(versions) or len(set(versions)) != len(versions) or versions[-1] != self.version:
            raise ValueError(f"the changelog must end with version {self.version}, ascending, but has {versions}")
        if self.extends is None and (self.weights is None or self.policies is None or not self.never):
            raise ValueError("a rubric that extends none needs weights, policies and never")
        return self

    @property
    def id(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"

    @classmethod
    def load(cls, name_or_path: str | Path) -> MetaRubric:
        """Read a rubric by the name of one that ships, or from a file, with all that it extends filled in.

        Raises:
            InputError: where there is no such rubric, or its file does not check, with the place.
        """
        return _filled(cls.read(name_or_path), seen=())

    @classmethod
    def read(cls, name_or_path: str | Path) -> MetaRubric:
        """Read a rubric as its file has it."""
        path = find_rubric(name_or_path)
        content = read_yaml(path)
        if not isinstance(content, dict):
            raise InputError(f"{path}: a meta-rubric is a mapping of keys, but found {type(content).__name__}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{path}: " + "; ".join(_explain(problem) for problem in error.errors())) from None

    def only(self, ids: Sequence[str]) -> MetaRubric:
        """The rubric with these of its principles alone.

        Raises:
            InputError: where it has none by such a name.

        Example:
            >>> MetaRubric.load("creative").only(["form", "alive"]).principles[1].id
            'alive'
        """
        known = [principle.id for principle in self.principles]
        for name in ids:
            if name not in known:
                raise InputError(
                    f"meta-rubric {self.id} has no principle {name!r}{nearest(name, known)}: it has {', '.join(known)}"
                )
        return self.model_copy(update={"principles": [one for one in self.principles if one.id in ids]})

    def text(self) -> str:
        """The rubric as the judge reads it; equal rubrics give equal text, so that servers' prefix caches hit."""
        return self._text

    @cached_property
    def _text(self) -> str:
        assert self.policies is not None, "load fills it in"
        lines = [f"Principles ({self.id}):"]
        for tier in TIERS:
            for principle in (p for p in self.principles if p.tier == tier):
                lines.append(f"- [{tier}] {principle.id}: {principle.means} Failure: {principle.fails}")
                if principle.not_counted:
                    lines[-1] += f" Does not count: {principle.not_counted}"
        lines += ["Never counts, for or against:", *(f"- {item}" for item in self.never), "Where the prompt is the difficulty:"]
        lines += [f"- {name}: {getattr(self.policies, name)}" for name in ("ambiguous", "sensitive", "language")]
        return "\n".join(lines)


def _filled(rubric: MetaRubric, seen: tuple[str, ...]) -> MetaRubric:
    if rubric.extends is None:
        return rubric
    base_file = "" if rubric.extends == rubric.name else str(find_rubric(rubric.extends).resolve())
    if not base_file or base_file in seen:
        raise InputError(f"meta-rubric {rubric.name!r} extends itself, by way of {rubric.extends}")
    base = _filled(MetaRubric.read(rubric.extends), (*seen, base_file))
    own = {principle.id: principle for principle in rubric.principles}
    # The domain's own come first within a tier: a reader, and a model, gives the first most weight.
    kept = [principle for principle in base.principles if principle.id not in own]
    return rubric.model_copy(
        update={
            "weights": rubric.weights or base.weights,
            "policies": rubric.policies or base.policies,
            "never": [*base.never, *(item for item in rubric.never if item not in base.never)],
            "principles": sorted([*rubric.principles, *kept], key=lambda principle: TIERS.index(principle.tier)),
        }
    )


def find_rubric(name_or_path: str | Path) -> Path:
    """The file of a rubric given as a path, or as the name of one that ships.

    Example:
        >>> find_rubric("mathss")
        Traceback (most recent call last):
        steelyard.errors.InputError: no meta-rubric 'mathss' (did you mean 'maths'?): give a file, or one of ...
    """
    path = Path(name_or_path)
    if is_file(path):
        return path
    shipped = _RUBRICS_DIR / f"{name_or_path}.yaml"
    if is_file(shipped):
        return shipped
    names = rubric_names()
    raise InputError(
        f"no meta-rubric {str(name_or_path)!r}{nearest(str(name_or_path), names)}: give a file, or one of {', '.join(names)}"
    )


def rubric_names() -> list[str]:
    """The rubrics that ship.

    Example:
        >>> "general" in rubric_names()
        True
    """
    return sorted(path.stem for path in _RUBRICS_DIR.glob("*.yaml"))


def diff_rubrics(old: MetaRubric, new: MetaRubric) -> list[str]:
    """What changed between two rubrics, a line each.

    Example:
        >>> diff_rubrics(MetaRubric.load("general"), MetaRubric.load("general"))
        []
    """
    before, after = ({p.id: p for p in rubric.principles} for rubric in (old, new))
    lines = [f"- principle {name} ({before[name].tier}) is gone" for name in before if name not in after]
    lines += [f"+ principle {name} ({after[name].tier}): {after[name].means}" for name in after if name not in before]
    for name in (name for name in before if name in after):
        for part in ("tier", "means", "fails", "not_counted"):
            a, b = getattr(before[name], part), getattr(after[name], part)
            if a != b:
                lines.append(f"~ principle {name}, {part}: {a!r} -> {b!r}")
    for part in ("weights", "policies"):
        a, b = ((getattr(rubric, part) and getattr(rubric, part).model_dump()) or {} for rubric in (old, new))
        lines += [f"~ {part}.{key}: {a.get(key)!r} -> {b.get(key)!r}" for key in {**a, **b} if a.get(key) != b.get(key)]
    lines += [f"- never counts: {item}" for item in old.never if item not in new.never]
    return lines + [f"+ never counts: {item}" for item in new.never if item not in old.never]


def _explain(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    message = re.sub(r"^(Value error|Assertion failed), ", "", problem["msg"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {str(problem['loc'][-1])!r}" + (f" in {path.rpartition('.')[0]}" if "." in path else "")
    if problem["type"] == "missing":
        return f"missing key {path!r}"
    return f"{path}: {message[0].lower()}{message[1:]}" if path else message
