"""A judge of single answers in a recipe: `kind: points` among the objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from steelyard.errors import InputError, nearest
from steelyard.files import is_file
from steelyard.recipes._judge import JudgedConfig, ServerConfig, client_of, with_server
from steelyard.settings import Count

if TYPE_CHECKING:
    from steelyard.objectives import Objective
    from steelyard.rubric import PointwiseJudge


_FILES = (".yaml", ".yml", ".json", ".jsonl", ".csv", ".parquet")


class PointsConfig(JudgedConfig):
    """Criteria that carry points, graded for each answer on its own, as an objective, or by parts as several."""

    kind: Literal["points"]
    name: str = Field("points", description="the objective's name; with a split, what the parts' names begin with")
    criteria: str | None = Field(
        None,
        description="the column that holds a prompt's criteria, or a file of criteria for all prompts; default: all are written",
    )
    written_from: str | None = Field(
        None, description="the column with a reference answer, from which the judge writes criteria where a prompt has none"
    )
    written: Count = Field(8, description="criteria that it writes, at most")
    split: list[str] = Field(
        default_factory=list,
        description="names or tags of criteria, each of which is an objective of its own; default: one objective",
    )
    normalize: Literal["range", "positive"] = Field(
        "range", description="how points become a score: from worst to best, or of the best"
    )
    per_call: int = Field(8, ge=1, le=50, description="criteria in one question, at most")
    answers_per_step: Count | None = Field(None, description="answers that a step may ask about; the others have no score")
    judges: list[ServerConfig] = Field(default_factory=list, description="further judges, which grade every answer as well")
    measured_by: ServerConfig | None = Field(
        None, description="the judge of the measure on held-out prompts; default: those of the reward"
    )

    @model_validator(mode="after")
    def _fields_fit(self) -> PointsConfig:
        self._check_judge([*self.judges, *([] if self.measured_by is None else [self.measured_by])])
        if self.criteria is None and self.written_from is None:
            raise ValueError(
                "a points objective needs criteria, a column or a file, or written_from, a column with reference answers"
            )
        return self

    @property
    def columns(self) -> list[str]:
        """The columns of a row that it reads."""
        named = (None if self._is_file else self.criteria, self.written_from)
        return [*(name for name in named if name is not None), *super().columns]

    @property
    def _is_file(self) -> bool:
        return self.criteria is not None and Path(self.criteria).suffix in _FILES

    @property
    def is_split(self) -> bool:
        """Whether it makes several objectives."""
        return len(self.split) > 1

    def objectives(self, *, group_size: int, seed: int, base: Path = Path(".")) -> list[Objective]:
        """The objective, or those of its parts.

        Example:
            >>> config = PointsConfig(kind="points", base_url="http://127.0.0.1:9/v1", model="judge", criteria="rubrics")
            >>> [objective.name for objective in config.objectives(group_size=4, seed=0)]
            ['points']
        """
        from steelyard.rubric.points import read_points
        from steelyard.rubric_reward import PointsReward

        given: Any = self.criteria
        if self._is_file:
            if not is_file(base / given):
                raise InputError(
                    f"objective {self.name!r}: there is no file {base / given}: give one with criteria, or the column that holds them"
                )
            given = read_points(base / given)
        reward = PointsReward(
            [_judge_of(self), *(_judge_of(_with(self, other)) for other in self.judges)],
            given, written_from=self.written_from, written=self.written, name=self.name, seed=seed, answers_per_step=self.answers_per_step,
            measured_by=None if self.measured_by is None else [_judge_of(_with(self, self.measured_by))], **self.waiting(),
        )  # fmt: skip
        return (
            reward.objectives(self.split, applies_to=self.applies_to)
            if self.split
            else [reward.objective(applies_to=self.applies_to)]
        )

    def questions(self, prompts: int, group_size: int, rows: Sequence[Mapping[str, Any]], base: Path) -> tuple[int, int, str]:
        """Questions an update and a held-out prompt, at most, by the longest criteria of a row."""
        from steelyard.rubric.points import points_of, read_points

        if self._is_file:
            most = len(read_points(base / str(self.criteria)))
        else:
            most = max((len(points_of(row.get(str(self.criteria)))) for row in rows), default=0)
        if self.written_from is not None:
            most = max(most, self.written)
        calls = -(-most // self.per_call)
        answers = prompts * group_size if self.answers_per_step is None else min(self.answers_per_step, prompts * group_size)
        judges, writing = 1 + len(self.judges), self.written_from is not None
        step = answers * calls * self.samples * judges + writing * prompts
        measured = calls * (judges if self.measured_by is None else 1) + writing
        return step, measured, f"answer by answer, {most} criteria at most, {self.per_call} a question"

    def check_rows(self, rows: Sequence[Mapping[str, Any]], source: str) -> None:
        """Refuse prompts whose criteria cannot be read, and prompts of which none has any.

        Raises:
            InputError: naming the first.
        """
        from steelyard.rubric.points import points_of

        if self.criteria is None or self._is_file or not rows or self.criteria not in rows[0]:
            return
        judged = [
            (i, row) for i, row in enumerate(rows, start=1) if self.applies_to is None or row.get("domain") in self.applies_to
        ]
        found = [
            one
            for i, row in judged
            for one in points_of(row.get(self.criteria), f"objective {self.name!r}, {source}, prompt {i}")
        ]
        known = list(dict.fromkeys(word for one in found for word in (*one.tags, one.name)))
        if self.written_from is None and found and (strange := [part for part in self.split if part not in known]):
            raise InputError(
                f"objective {self.name!r}: no criterion of {source} has the name or the tag {strange[0]!r}{nearest(strange[0], known)}: split by some of "
                f"{', '.join(map(repr, known[:20]))}"
            )
        if judged and not found and self.written_from is None:
            raise InputError(
                f"objective {self.name!r}: no prompt of {source} has criteria in column {self.criteria!r}: fill it in, or give written_from"
            )


def _with(config: PointsConfig, other: ServerConfig) -> PointsConfig:
    """The settings of a further judge."""
    return PointsConfig.model_validate({**with_server(config, other), "judges": [], "measured_by": None})


def _judge_of(config: PointsConfig) -> PointwiseJudge:
    from steelyard.rubric import PointwiseJudge

    return PointwiseJudge(
        client_of(config),
        checks=config.checks(),
        per_call=config.per_call,
        quotes=config.share_of_quotes(),
        normalize=config.normalize,
    )
