"""All answers to a prompt in one question: a score for each, beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from pydantic import Field, create_model

from steelyard.errors import BudgetError, InputError, LLMError
from steelyard.rubric._fence import fenced
from steelyard.rubric._schemas import Schema
from steelyard.rubric._templates import filled
from steelyard.rubric.conversation import Given, conversation_of
from steelyard.rubric.judge import PairwiseJudge

_BEST = 10
_MOST_ANSWERS = 32


@dataclass(frozen=True)
class Ranking:
    """What a judge said of the answers to a prompt.

    Attributes:
        scores: one an answer, 0 to 1, in their order; None for all where judging failed.
        reasons: one an answer.
        calls, tokens_in, tokens_out: spent.
        error: why judging failed.
    """

    scores: list[float | None]
    reasons: list[str]
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None


@lru_cache(maxsize=64)
def _ranking_schema(count: int) -> type[Schema]:
    named = Enum("Answer", {f"answer{i}": f"answer {i}" for i in range(1, count + 1)})  # type: ignore[misc]
    one = create_model("Ranked", __base__=Schema, answer=(named, ...), reason=(str, ...), score=(int, Field(ge=0, le=_BEST)))
    return create_model("Ranking", __base__=Schema, answers=(list[one], Field(min_length=count, max_length=count)))


async def rank(
    judge: PairwiseJudge, prompt: Given, answers: Sequence[Given], *, domain: str | None = None, sample: int = 0
) -> Ranking:
    """Score several answers to a prompt in one question, in the order in which they are given: shuffle them, since judges favour places.

    Args:
        judge: whose client and rubric are used; its checks, orders and stages are for pairs and do not matter here.
        prompt, answers: texts or lists of messages; 2 to 32 answers.
        domain: which of the judge's rubrics.
        sample: equal questions with another number are asked anew.

    Raises:
        InputError: where there are too few or too many answers.
        BudgetError: where the client's budget is used up.

    Reference:
        The form of a listwise judge follows ART's RULER: scores of a group's answers beside each other, from one question.
    """
    if not 2 <= len(answers) <= _MOST_ANSWERS:
        raise InputError(f"a listwise judge takes 2 to {_MOST_ANSWERS} answers, but was given {len(answers)}")
    rubric = judge.rubric_of(domain)
    shown = {"prompt": conversation_of(prompt, speaker="user")}
    shown |= {f"answer {i}": conversation_of(answer, speaker="assistant") for i, answer in enumerate(answers, start=1)}
    wanted = [f"answer {i}" for i in range(1, len(answers) + 1)]

    def complete(found: Any) -> None:
        names = [one.answer.value for one in found.answers]
        if sorted(names) != sorted(wanted):
            raise ValueError(f"scored {names}, but the answers are {wanted}")

    # Together they get as much room as two answers do.
    limit = max(200, 2 * judge.limit // len(answers))
    messages = [
        {"role": "system", "content": filled("list", principles=rubric.text())},
        {"role": "user", "content": fenced(shown, limit=limit)},
    ]
    try:
        reply = await judge.client.ask(messages, schema=_ranking_schema(len(answers)), check=complete, sample=sample)
    except BudgetError:
        raise
    except LLMError as error:
        nothing: list[float | None] = [None] * len(answers)
        return Ranking(nothing, [""] * len(answers), error.calls, error.tokens_in, error.tokens_out, str(error))
    by_name: Mapping[str, Any] = {one.answer.value: one for one in reply.data.answers}
    return Ranking(
        [by_name[name].score / _BEST for name in wanted],
        [by_name[name].reason for name in wanted],
        reply.calls,
        reply.tokens_in,
        reply.tokens_out,
    )
