"""What recipes say of judges, whatever they are asked: the server, its limits, and what happens where it fails."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from steelyard.checks.kinds import check, columns_of
from steelyard.errors import InputError
from steelyard.settings import Count, Part, Portion, Positive

if TYPE_CHECKING:
    from steelyard.checks import Check
    from steelyard.llm import Client
    from steelyard.objectives import Objective

HARMLESS = (
    "base_url", "api_key_env", "concurrency", "timeout", "retries", "cache", "calls", "tokens", "patience", "deadline", "price", "in_a_row",
)  # fmt: skip
"""Settings that a run may be resumed with other values of: they decide where and how long the judge is asked, and not what it is asked."""


class GuardConfig(Part):
    """A programmatic check that an answer must pass before the judge is asked."""

    check: str = Field(description="the check's kind, as `words` or `ifeval`")
    options: dict[str, Any] = Field(default_factory=dict, description="of the check")


class ServerConfig(Part):
    """A further judge: another server or model; all else is as for the first."""

    base_url: str | list[str] | None = Field(None, description="address of its server; default: that of the first")
    model: str | None = Field(None, description="the model's name there; default: that of the first")
    api_key_env: str | None = Field(
        None,
        description="the environment variable that holds the key; default: that of the first at the same address, else OPENAI_API_KEY",
    )


class PriceConfig(Part):
    """What a million tokens cost, in any currency."""

    tokens_in: float = Field(0.0, ge=0, description="of questions")
    tokens_out: float = Field(0.0, ge=0, description="of replies")


class JudgedConfig(Part):
    """An objective that asks a judge."""

    name: str
    base_url: str | list[str] | None = Field(
        None, description="address of the judge's server, as http://127.0.0.1:8000/v1, or several of one model"
    )
    model: str | None = Field(None, description="the model's name there")
    local: bool = Field(False, description="a small judge on this machine, to try things out (`make local`)")
    api_key_env: str | None = Field(None, description="the environment variable that holds the key; default: OPENAI_API_KEY")
    guards: list[GuardConfig] = Field(
        default_factory=list, description="checks; an answer that fails one loses to every answer that passes"
    )
    quotes: Portion | None = Field(
        None, description="the share of quotes that must stand in the answers; default: 0.25, and 0 with local"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="the share of criteria that do not count, drawn anew for each group")
    samples: Count = Field(1, description="how often each judgement is asked for, by each judge")
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
    deadline: Positive | None = Field(None, description="seconds a step may wait for verdicts; what has none by then has failed")
    most_failed: Portion = Field(0.5, description="the share of a step's judgements that may fail")
    in_a_row: Count = Field(50, description="failures one after the other after which the rest of a step is not asked")
    patience: float = Field(300.0, ge=0, description="seconds to wait for a judge with which more than that fails")
    on_failure: Literal["stop", "missing"] = Field(
        "stop", description="then: stop, to be resumed, or go on without the objective in that step"
    )
    applies_to: list[str] | None = Field(None, description="domains the objective applies to; default: all")

    @property
    def columns(self) -> list[str]:
        """The columns of a row that it reads."""
        return [column for guard in self.guards for column in columns_of(guard.check, guard.options)]

    @property
    @abstractmethod
    def is_split(self) -> bool:
        """Whether it makes several objectives."""

    @abstractmethod
    def objectives(self, *, group_size: int, seed: int, base: Path = Path(".")) -> list[Objective]:
        """The objectives that it makes.

        Args:
            group_size: answers to a prompt.
            seed: of what is drawn.
            base: the recipe's folder, from which files are found.

        Raises:
            InputError: where a file, a check or the key is missing.
        """

    first_validation_is_free: ClassVar[bool] = False
    """Whether the first validation asks nothing."""

    @abstractmethod
    def questions(self, prompts: int, group_size: int, rows: Sequence[Mapping[str, Any]], base: Path) -> tuple[int, int, str]:
        """Questions an update and a held-out prompt, at most, and in what way they are asked.

        Args:
            prompts: of an update.
            group_size: answers to a prompt.
            rows: of the run.
            base: the recipe's folder.
        """

    def check_rows(self, rows: Sequence[Mapping[str, Any]], source: str) -> None:
        """Refuse prompts that lack what the judge needs.

        Raises:
            InputError: naming the first.
        """

    def _check_judge(self, others: Sequence[ServerConfig]) -> None:
        """Refuse settings without a judge."""
        if self.local == bool(self.base_url or self.model) or (bool(self.base_url) != bool(self.model)):
            raise ValueError(
                f"a {getattr(self, 'kind', 'judged')} objective needs a judge: give base_url and model, or local: true, and not both"
            )
        if self.local and any(bool(one.base_url) != bool(one.model) for one in others):
            raise ValueError("beside local: true, a further judge needs both base_url and model, or neither of them")

    def waiting(self) -> dict[str, Any]:
        """How the reward waits, fails and counts."""
        return {
            "deadline": self.deadline, "most_failed": self.most_failed, "in_a_row": self.in_a_row, "patience": self.patience,
            "on_failure": self.on_failure, "price": (self.price.tokens_in, self.price.tokens_out), "samples": self.samples, "dropout": self.dropout,
        }  # fmt: skip

    def share_of_quotes(self) -> float:
        """The share of quotes that must stand in the answers."""
        from steelyard.rubric.judge import QUOTES

        return self.quotes if self.quotes is not None else 0.0 if self.local else QUOTES

    def checks(self) -> list[Check]:
        """The guards."""
        return [check(one.check, role="guard", **one.options) for one in self.guards]


def with_server(config: JudgedConfig, other: ServerConfig) -> dict[str, Any]:
    """The settings of a judge with those of a further one in their place."""
    changed = {name: value for name, value in other.model_dump().items() if value is not None}
    if other.base_url or other.model:
        changed["local"] = False
    if other.base_url not in (None, config.base_url):
        # A key is for one provider, and goes to no other.
        changed.setdefault("api_key_env", None)
    return {**config.model_dump(), **changed}


def client_of(config: JudgedConfig) -> Client:
    """The client that asks a judge.

    Raises:
        InputError: where the key is missing.
    """
    from steelyard.llm import Budget, Client

    asked: dict[str, Any] = {"temperature": config.temperature, "max_tokens": config.max_tokens, "extra": config.extra or None}
    urls, model, more = _server_of(config)
    return Client(
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


def _server_of(config: JudgedConfig) -> tuple[str | list[str], str, Mapping[str, Any]]:
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
