"""A judge of pairs in a recipe: `kind: rubric` among the objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from steelyard.errors import InputError
from steelyard.files import is_file
from steelyard.messages import text_of
from steelyard.recipes._judge import JudgedConfig, ServerConfig, client_of, with_server
from steelyard.rubric_reward.references import COLUMN, LISTWISE, REFERENCES
from steelyard.settings import Count

if TYPE_CHECKING:
    from steelyard.objectives import Objective
    from steelyard.rubric import PairwiseJudge

Orders = Literal["both", "adaptive", "one", "other", "sum"]
_ORDERS = {"both": 2, "sum": 2, "adaptive": 2, "one": 1, "other": 1}


class JudgeConfig(ServerConfig):
    """A further judge: another server or model, or another rubric; all else is as for the first."""

    rubric: str | None = Field(None, description="a rubric that ships, or a file; default: that of the first")
    orders: Orders | None = Field(None, description="orders that a pair is shown in; default: those of the first")


class RubricConfig(JudgedConfig):
    """A judge's verdicts as an objective, or each principle of its rubric as an objective of its own."""

    kind: Literal["rubric"]
    name: str = Field("rubric", description="the objective's name; with a split, what the principles' names begin with")
    rubric: str = Field("general", description="a rubric that ships, a file, or auto: one by the prompt's domain, else by rules")
    principles: list[str] | None = Field(
        None, min_length=1, description="ids of the rubric's principles that the judge goes by; default: all"
    )
    reference: str = Field(
        "bootstrap",
        description="bootstrap, greedy, listwise, round-robin, start, tournament, or a column with a reference answer",
    )
    split: Literal["none", "principles"] = Field("none", description="principles: every principle is an objective of its own")
    grade: Literal["sign", "aggregate"] | None = Field(
        None, description="who won, or by how much; default: sign with bootstrap, else aggregate"
    )
    form: Literal["mean", "share"] = Field("mean", description="how a verdict is split by principles")
    orders: Orders = Field("both", description="orders that a pair is shown in")
    criteria: int = Field(6, ge=1, le=15, description="criteria a pair, at most")
    stages: Literal[1, 2, 3] = Field(1, description="calls an order")
    per_prompt: bool = Field(False, description="make the criteria from the prompt alone, once")
    judges: list[JudgeConfig] = Field(default_factory=list, description="further judges, which judge every pair as well")
    pool: Literal["mean", "majority"] = Field("mean", description="what several judges and samples come to")
    measured_by: JudgeConfig | None = Field(
        None, description="the judge of the measure on held-out prompts; default: those of the reward"
    )
    pairs_per_step: Count | None = Field(None, description="pairs that a step may ask about; the others give no score")

    @model_validator(mode="after")
    def _has_a_judge(self) -> RubricConfig:
        self._check_judge([*self.judges, *([] if self.measured_by is None else [self.measured_by])])
        if self.principles is not None and self.rubric == "auto":
            raise ValueError("principles belong to one rubric, and rubric: auto takes one by the prompt: name a rubric")
        if self.reference == "listwise" and self.split == "principles":
            raise ValueError(
                "a listwise judge gives one score an answer, which cannot be split by principles: choose another reference"
            )
        return self

    @property
    def columns(self) -> list[str]:
        """The columns of a row that it reads."""
        return [*([] if self.reference in REFERENCES else [self.reference]), *super().columns]

    @property
    def is_split(self) -> bool:
        """Whether every principle is an objective."""
        return self.split == "principles"

    def objectives(self, *, group_size: int, seed: int, base: Path = Path(".")) -> list[Objective]:
        """The objective of the judge, or those of its principles.

        Example:
            >>> config = RubricConfig(kind="rubric", base_url="http://127.0.0.1:9/v1", model="judge", split="principles")
            >>> [objective.name for objective in config.objectives(group_size=4, seed=0)][:2]
            ['rubric-harmful-content', 'rubric-answers-the-question']
        """
        from steelyard.rubric_reward import RubricReward

        reward = RubricReward(
            [_judge_of(self, base), *(_judge_of(_with(self, other), base) for other in self.judges)],
            reference=self.reference, name=self.name, grade=self.grade, form=self.form, group_size=group_size, seed=seed, pool=self.pool,
            pairs_per_step=self.pairs_per_step, measured_by=None if self.measured_by is None else [_judge_of(_with(self, self.measured_by), base)],
            **self.waiting(),
        )  # fmt: skip
        return reward.objectives(applies_to=self.applies_to) if self.is_split else [reward.objective(applies_to=self.applies_to)]

    first_validation_is_free = True

    def questions(self, prompts: int, group_size: int, rows: Sequence[Mapping[str, Any]], base: Path) -> tuple[int, int, str]:
        """Questions an update and a held-out prompt, at most, and by which reference."""
        pairs = prompts * REFERENCES.get(self.reference, COLUMN).calls(group_size)
        if self.pairs_per_step is not None:
            pairs = min(pairs, self.pairs_per_step)
        judges, each = 1 + len(self.judges), _ORDERS[self.orders] * self.stages
        step = pairs * self.samples * judges * (1 if self.reference == LISTWISE else each)
        return step, each * (judges if self.measured_by is None else 1), self.reference

    def check_rows(self, rows: Sequence[Mapping[str, Any]], source: str) -> None:
        """Refuse prompts without the reference answer that the judge would compare with.

        Raises:
            InputError: naming the first.
        """
        for number, row in enumerate(rows if self.reference not in REFERENCES else (), start=1):
            judged = self.applies_to is None or row.get("domain") in self.applies_to
            if judged and not text_of(row.get(self.reference) or "").strip():
                raise InputError(
                    f"objective {self.name!r}, {source}, prompt {number}: column {self.reference!r} has no reference answer: fill it in, or "
                    "leave such rows out"
                )


def _with(config: RubricConfig, other: JudgeConfig) -> RubricConfig:
    """The settings of a further judge."""
    changed: dict[str, Any] = {"judges": [], "measured_by": None}
    if other.rubric is not None:
        changed["principles"] = None
    return RubricConfig.model_validate({**with_server(config, other), **changed})


def _judge_of(config: RubricConfig, base: Path) -> PairwiseJudge:
    from steelyard.rubric import MetaRubric, PairwiseJudge, shipped_rubrics

    rubrics = (
        shipped_rubrics()
        if config.rubric == "auto"
        else MetaRubric.load(base / config.rubric if is_file(base / config.rubric) else config.rubric)
    )
    if config.principles is not None and isinstance(rubrics, MetaRubric):
        rubrics = rubrics.only(config.principles)
    return PairwiseJudge(
        client_of(config), rubrics, checks=config.checks(), orders=config.orders, stages=config.stages, per_prompt=config.per_prompt,
        criteria=config.criteria, quotes=config.share_of_quotes(), principles=config.is_split,
    )  # fmt: skip
