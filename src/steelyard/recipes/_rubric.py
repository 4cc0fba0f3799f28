"""A judge in a recipe: `kind: rubric` among the objectives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from steelyard.checks.kinds import check
from steelyard.errors import InputError
from steelyard.files import is_file
from steelyard.settings import Count, Part, Portion, Positive

if TYPE_CHECKING:
    from steelyard.objectives import Objective
    from steelyard.rubric import PairwiseJudge

HARMLESS = (
    "base_url", "api_key_env", "concurrency", "timeout", "retries", "cache", "calls", "tokens", "patience", "deadline", "price", "in_a_row",
)  # fmt: skip
"""Settings that a run may be resumed with other values of: they decide where and how long the judge is asked, and not what it is asked."""


Orders = Literal["both", "adaptive", "one", "other", "sum"]


class GuardConfig(Part):
    """A programmatic check that an answer must pass before the judge is asked."""

    check: str = Field(description="the check's kind, as `words` or `ifeval`")
    options: dict[str, Any] = Field(default_factory=dict, description="of the check")


class JudgeConfig(Part):
    """A further judge: another server or model, or another rubric; all else is as for the first."""

    base_url: str | list[str] | None = Field(None, description="address of its server; default: that of the first")
    model: str | None = Field(None, description="the model's name there; default: that of the first")
    api_key_env: str | None = Field(
        None,
        description="the environment variable that holds the key; default: that of the first at the same address, else OPENAI_API_KEY",
    )
    rubric: str | None = Field(None, description="a rubric that ships, or a file; default: that of the first")
    orders: Orders | None = Field(None, description="orders that a pair is shown in; default: those of the first")


class PriceConfig(Part):
    """What a million tokens cost, in any currency."""

    tokens_in: float = Field(0.0, ge=0, description="of questions")
    tokens_out: float = Field(0.0, ge=0, description="of replies")


class RubricConfig(Part):
    """A judge's verdicts as an objective, or each principle of its rubric as an objective of its own."""

    kind: Literal["rubric"]
    name: str = Field("rubric", description="the objective's name; with a split, what the principles' names begin with")
    base_url: str | list[str] | None = Field(
        None, description="address of the judge's server, as http://127.0.0.1:8000/v1, or several of one model"
    )
    model: str | None = Field(None, description="the model's name there")
    local: bool = Field(False, description="a small judge on this machine, to try things out (`make local`)")
    api_key_env: str | None = Field(None, description="the environment variable that holds the key; default: OPENAI_API_KEY")
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
    guards: list[GuardConfig] = Field(
        default_factory=list, description="checks; an answer that fails one loses to every answer that passes"
    )
    orders: Orders = Field("both", description="orders that a pair is shown in")
    criteria: int = Field(6, ge=1, le=15, description="criteria a pair, at most")
    stages: Literal[1, 2, 3] = Field(1, description="calls an order")
    per_prompt: bool = Field(False, description="make the criteria from the prompt alone, once")
    quotes: Portion | None = Field(
        None, description="the share of quotes that must stand in the answers; default: 0.25, and 0 with local"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="the share of criteria that do not count, drawn anew for each group")
    samples: Count = Field(1, description="how often each pair is judged, by each judge")
    judges: list[JudgeConfig] = Field(default_factory=list, description="further judges, which judge every pair as well")
    pool: Literal["mean", "majority"] = Field("mean", description="what several judges and samples come to")
    measured_by: JudgeConfig | None = Field(
        None, description="the judge of the measure on held-out prompts; default: those of the reward"
    )
    temperature: float | None = Field(None, ge=0, le=2, description="of the judge; default: 0")
    max_tokens: Count | None = Field(None, description="of a reply; default: 2048")
    extra: dict[str, Any] = Field(default_factory=dict, description="further fields of every request")
    concurrency: Count = Field(32, description="requests in flight")
    timeout: Positive = Field(120.0, description="seconds for a reply")
    retries: int = Field(4, ge=0, description="further tries of a request")
    cache: str | None = Field(None, description="file that keeps replies, so that an equal question is asked once")
    calls: Count | None = Field(
        None, description="requests that the run may make of each judge; then it stops, and can be resumed with more"
    )
    tokens: Count | None = Field(None, description="tokens that the run may spend on each judge")
    price: PriceConfig = Field(default_factory=PriceConfig, description="shown in the log and the report")
    pairs_per_step: Count | None = Field(None, description="pairs that a step may ask about; the others give no score")
    deadline: Positive | None = Field(
        None, description="seconds a step may wait for verdicts; pairs without one by then have failed"
    )
    most_failed: Portion = Field(0.5, description="the share of a step's pairs that may fail")
    in_a_row: Count = Field(50, description="failures one after the other after which the rest of a step is not asked")
    patience: float = Field(300.0, ge=0, description="seconds to wait for a judge with which more than that fails")
    on_failure: Literal["stop", "missing"] = Field(
        "stop", description="then: stop, to be resumed, or go on without the objective in that step"
    )
    applies_to: list[str] | None = Field(None, description="domains the objective applies to; default: all")

    @model_validator(mode="after")
    def _has_a_judge(self) -> RubricConfig:
        if self.local == bool(self.base_url or self.model) or (bool(self.base_url) != bool(self.model)):
            raise ValueError("a rubric objective needs a judge: give base_url and model, or local: true, and not both")
        others = [*self.judges, *([] if self.measured_by is None else [self.measured_by])]
        if self.local and any(bool(one.base_url) != bool(one.model) for one in others):
            raise ValueError("beside local: true, a further judge needs both base_url and model, or neither of them")
        if self.principles is not None and self.rubric == "auto":
            raise ValueError("principles belong to one rubric, and rubric: auto takes one by the prompt: name a rubric")
        if self.reference == "listwise" and self.split == "principles":
            raise ValueError(
                "a listwise judge gives one score an answer, which cannot be split by principles: choose another reference"
            )
        return self


def rubric_objectives(config: RubricConfig, *, group_size: int, seed: int, base: Path = Path(".")) -> list[Objective]:
    """The objective of a judge, or those of its principles.

    Args:
        config: of the recipe.
        group_size: answers to a prompt.
        seed: of references.
        base: the recipe's folder, from which a rubric's file is found.

    Raises:
        InputError: where the rubric, a check or the key is missing.

    Example:
        >>> config = RubricConfig(kind="rubric", base_url="http://127.0.0.1:9/v1", model="judge", split="principles")
        >>> [objective.name for objective in rubric_objectives(config, group_size=4, seed=0)][:2]
        ['rubric-harmful-content', 'rubric-answers-the-question']
    """
    from steelyard.rubric_reward import RubricReward

    judges = [_judge_of(config, base), *(_judge_of(_with(config, other), base) for other in config.judges)]
    reward = RubricReward(
        judges,
        reference=config.reference,
        name=config.name,
        grade=config.grade,
        form=config.form,
        group_size=group_size,
        samples=config.samples,
        seed=seed,
        dropout=config.dropout,
        deadline=config.deadline,
        most_failed=config.most_failed,
        patience=config.patience,
        on_failure=config.on_failure,
        pool=config.pool,
        pairs_per_step=config.pairs_per_step,
        in_a_row=config.in_a_row,
        price=(config.price.tokens_in, config.price.tokens_out),
        measured_by=None if config.measured_by is None else [_judge_of(_with(config, config.measured_by), base)],
    )
    if config.split == "principles":
        return reward.objectives(applies_to=config.applies_to)
    return [reward.objective(applies_to=config.applies_to)]


def _with(config: RubricConfig, other: JudgeConfig) -> RubricConfig:
    """The settings of a further judge."""
    changed = {name: value for name, value in other.model_dump().items() if value is not None} | {
        "judges": [],
        "measured_by": None,
    }
    if other.base_url or other.model:
        changed["local"] = False
    if other.base_url not in (None, config.base_url):
        # A key is for one provider, and goes to no other.
        changed.setdefault("api_key_env", None)
    if other.rubric is not None:
        changed["principles"] = None
    return RubricConfig.model_validate({**config.model_dump(), **changed})


def _judge_of(config: RubricConfig, base: Path) -> PairwiseJudge:
    from steelyard.llm import Budget, Client
    from steelyard.rubric import MetaRubric, PairwiseJudge, shipped_rubrics
    from steelyard.rubric.judge import QUOTES

    rubrics = (
        shipped_rubrics()
        if config.rubric == "auto"
        else MetaRubric.load(base / config.rubric if is_file(base / config.rubric) else config.rubric)
    )
    if config.principles is not None and isinstance(rubrics, MetaRubric):
        rubrics = rubrics.only(config.principles)
    guards = [check(one.check, role="guard", **one.options) for one in config.guards]
    asked: dict[str, Any] = {"temperature": config.temperature, "max_tokens": config.max_tokens, "extra": config.extra or None}
    urls, model, more = _server_of(config)
    client = Client(
        urls,
        model,
        api_key=_key_of(config.api_key_env),
        concurrency=config.concurrency,
        timeout=config.timeout,
        retries=config.retries,
        cache=config.cache,
        budget=Budget(config.calls, config.tokens),
        **{**more, **{name: value for name, value in asked.items() if value is not None}},
    )
    quotes = config.quotes if config.quotes is not None else 0.0 if config.local else QUOTES
    return PairwiseJudge(
        client,
        rubrics,
        checks=guards,
        orders=config.orders,
        stages=config.stages,
        per_prompt=config.per_prompt,
        criteria=config.criteria,
        quotes=quotes,
        principles=config.split == "principles",
    )


def _server_of(config: RubricConfig) -> tuple[str | list[str], str, Mapping[str, Any]]:
    if not config.local:
        assert config.base_url is not None
        assert config.model is not None
        return config.base_url, config.model, {}
    from steelyard.llm.local import LOCAL_REQUESTS, MODEL, shared_server

    return shared_server().base_url, MODEL, LOCAL_REQUESTS


def _key_of(variable: str | None) -> str | None:
    if variable is None:
        return None
    if not os.environ.get(variable, "").strip():
        raise InputError(f"the environment has no {variable}: set it to the judge's key, or name another in api_key_env")
    return os.environ[variable]
