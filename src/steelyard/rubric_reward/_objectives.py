"""A rubric reward, or one of its principles, as the function of an objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class _Asked:
    """What a trainer reads off a `RubricReward`: one process asks for all (`ask_once`), and asking may begin before other rewards are run."""

    of: Any
    ask_once = begins_early = True

    @property
    def answers_needed(self) -> tuple[str, ...]:
        return self.of.answers_needed


class _WithState(_Asked):
    """What keeps the state of a reward, and says what was said, for all of its objectives."""

    def state_dict(self) -> dict[str, Any]:
        return self.of.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.of.load_state_dict(state)

    def merge(self, state: Mapping[str, Any]) -> None:
        self.of.merge(state)

    def notes(self) -> dict[tuple[str, str], list[str]]:
        return self.of.notes()

    @property
    def judge(self) -> str:
        """What the account is listed under."""
        return self.of.name

    def account(self, *, measuring: bool = False) -> dict[str, float]:
        return self.of.account(measuring=measuring)


class Whole(_WithState):
    """A reward as an objective's function."""

    def __init__(self, reward: Any) -> None:
        self.of = reward
        self.__name__ = reward.name

    async def __call__(self, prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
        return await self.of(prompts, completions, **columns)


class Principle(_Asked):
    """One principle of a reward, or one part of its criteria."""

    def __init__(self, reward: Any, principle: str) -> None:
        self.of, self.principle = reward, principle
        self.__name__ = f"{reward.name}-{principle}"

    async def __call__(self, prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
        return (await self.of.judged(prompts, completions, columns)).by_principle[self.principle]

    async def measure(self, prompts: Sequence, completions: Sequence, **columns: Any) -> list[float | None]:
        return await self.of.measured(self.principle, prompts, completions, columns)


class FirstPrinciple(_WithState, Principle):
    """The first principle of a reward."""
