"""`PointwiseJudge`: one answer, criterion by criterion, several criteria a call; and criteria written from a reference answer."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import lru_cache, partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, create_model

from steelyard.checks import Check
from steelyard.errors import BudgetError, InputError, LLMError
from steelyard.llm import Client, run_sync
from steelyard.rubric._asking import Spent, gather_or_fail
from steelyard.rubric._fence import LIMIT, fenced, visible
from steelyard.rubric._quotes import quote_found
from steelyard.rubric._schemas import Schema
from steelyard.rubric._templates import filled, prompt_text
from steelyard.rubric.conversation import Given, conversation_of, for_messages
from steelyard.rubric.judge import QUOTES
from steelyard.rubric.points import NORMALIZE, PointCriterion, points_score

_LONGEST_WRITTEN = 1000
_IMPORTANCE = {"essential": 5.0, "important": 2.0, "optional": 1.0, "pitfall": -5.0}
"""Points of a criterion that the judge writes."""


@dataclass(frozen=True)
class Graded:
    """What a judge said of a criterion.

    Attributes:
        name, points: of the criterion.
        said: the judge's word, one of the criterion's levels.
        value: the share of the points that it stands for, 0 to 1.
        reason, quote: the judge's.
        found: whether the quote stands in the answer; None where there is none.
    """

    name: str
    points: float
    said: str
    value: float
    reason: str = ""
    quote: str = ""
    found: bool | None = None


@dataclass(frozen=True)
class Grading:
    """What a judge said of an answer.

    Attributes:
        criteria: one each; empty where judging failed.
        calls, tokens_in, tokens_out: spent.
        error: why judging failed.
    """

    criteria: list[Graded] = field(default_factory=list)
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None

    def score(self, normalize: str = "range", names: Sequence[str] | None = None) -> float | None:
        """The points as `points_score` counts them, of all criteria or those with these names; None where judging failed, or there are none.

        Example:
            >>> Grading([Graded("dose", 5, "yes", 1.0), Graded("polite", 5, "no", 0.0)]).score()
            0.5
        """
        counted = [one for one in self.criteria if names is None or one.name in names]
        return points_score([one.value for one in counted], [one.points for one in counted], normalize) if counted else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Written:
    """Criteria that a judge wrote for a prompt, what that took, and why it failed where it did."""

    criteria: list[PointCriterion]
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None


class PointwiseJudge:
    """Grades an answer by criteria that carry points, without another to compare it with.

    Args:
        client: asks the model; its cache, budget and limits hold here as well.
        checks: programmatic guards; an answer that fails one is not graded.
        per_call: criteria in one question, at most; those of a longer rubric are parted evenly.
        limit: characters of a prompt or an answer that the model is shown.
        quotes: the share of the quotes in a reply that must stand in the answer, 0 to 1; a reply with fewer is asked again, and in the end a failure.
        normalize: how points become a score; see `points_score`.

    Raises:
        InputError: where an argument is out of range.

    Reference:
        Arora et al., HealthBench, arXiv 2505.08775, and Gunjal et al., Rubrics as Rewards, arXiv 2507.17746 (its explicit form), which ask one criterion a
        call, by yes or no, and read a missing word as no; several a call, scales, quotes and failures that are none of the answer's are ours.
    """

    def __init__(
        self,
        client: Client,
        *,
        checks: Sequence[Check] = (),
        per_call: int = 8,
        limit: int = LIMIT,
        quotes: float = QUOTES,
        normalize: str = "range",
    ) -> None:
        if not isinstance(per_call, int) or not 1 <= per_call <= 50:
            raise InputError(f"per_call must be a number of criteria from 1 to 50, but is {per_call!r}")
        if not isinstance(limit, int) or limit < 200:
            raise InputError(f"limit must be a number of characters, at least 200, but is {limit!r}")
        if not isinstance(quotes, (int, float)) or not 0 <= quotes <= 1:
            raise InputError(f"quotes must be a share from 0 to 1, but is {quotes!r}")
        if normalize not in NORMALIZE:
            raise InputError(f"normalize must be one of {', '.join(NORMALIZE)}, but is {normalize!r}")
        if rewards := [check.name for check in checks if check.role != "guard"]:
            raise InputError(
                f"a pointwise judge takes guards, but check {rewards[0]!r} is a reward: make it an objective of its own"
            )
        self.client, self.checks, self.per_call, self.limit = client, list(checks), per_call, limit
        self.quotes, self.normalize = float(quotes), normalize

    @property
    def fingerprint(self) -> str:
        """A checksum of all that a grading depends on beside the answer and its criteria: model, settings, prompts, checks."""
        client = self.client
        depends_on = {
            "model": [client.model, sorted(map(str, client.settings.items())), client.structure, client.longest_string],
            "prompts": [prompt_text("points"), prompt_text("write_points")],
            "checks": [[check.name, check.role, check.identity] for check in self.checks],
            "asked": [self.per_call, self.limit, self.quotes, self.normalize],
        }
        return hashlib.blake2b(json.dumps(depends_on, sort_keys=True).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def passes_guards(self, prompt: Given, answer: Given, columns: Mapping[str, Any] | None = None) -> bool:
        """Whether an answer passes every guard that applies to it; asks nobody.

        Raises:
            InputError: where a guard lacks its column.
        """
        shown = conversation_of(prompt, speaker="user"), conversation_of(answer, speaker="assistant")
        guards = self.checks if all(isinstance(text, str) for text in shown) else list(map(for_messages, self.checks))
        results = [check(*shown, columns or {}) for check in guards]  # type: ignore[arg-type]
        return all(result is None or result >= 1.0 for result in results)

    async def grade(self, prompt: Given, answer: Given, criteria: Sequence[PointCriterion], *, sample: int = 0) -> Grading:
        """Grade an answer.

        Args:
            prompt, answer: texts, or lists of messages.
            criteria: one at least.
            sample: the same question with another number is asked anew; of use where the model's temperature is above 0.

        Returns:
            What was said of each criterion; where a question failed, none and the error, never a score.

        Raises:
            InputError: where there is no criterion.
            BudgetError: where the client's budget is used up.
        """
        if not criteria:
            raise InputError("an answer cannot be graded without criteria")
        texts = {"prompt": conversation_of(prompt, speaker="user"), "answer": conversation_of(answer, speaker="assistant")}
        calls = -(-len(criteria) // self.per_call)
        parts = [criteria[i * len(criteria) // calls : (i + 1) * len(criteria) // calls] for i in range(calls)]
        spent = Spent(sample)
        try:
            found = await gather_or_fail(*(self._part(texts, part, spent) for part in parts))
        except BudgetError:
            raise
        except LLMError as error:
            return Grading([], spent.calls, spent.tokens_in, spent.tokens_out, str(error))
        return Grading([one for part in found for one in part], spent.calls, spent.tokens_in, spent.tokens_out)

    def grade_sync(self, prompt: Given, answer: Given, criteria: Sequence[PointCriterion], **keywords: Any) -> Grading:
        """As `grade`, from code without an event loop."""
        return run_sync(self.grade(prompt, answer, criteria, **keywords))

    async def _part(self, texts: Mapping[str, Any], criteria: Sequence[PointCriterion], spent: Spent) -> list[Graded]:
        answer = str(texts["answer"])
        listed = "\n".join(f"- criterion_{i} {_words(one)}: {visible(one.text)}" for i, one in enumerate(criteria, start=1))
        schema = _points_schema(tuple(tuple(one.levels or ()) for one in criteria))

        def rests_on_quotes(found: Any) -> None:
            there = [one for one in (quote_found(part.quote, answer) for part in _parts(found)) if one is not None]
            if sum(there) < self.quotes * len(there):
                raise ValueError(f"only {sum(there)} of {len(there)} quotes stand in the answer, where {self.quotes:.0%} must")

        shown = {"prompt": texts["prompt"], "criteria": listed, "answer": texts["answer"]}
        messages = [
            {"role": "system", "content": filled("points")},
            {"role": "user", "content": fenced(shown, limit=self.limit, whole=("criteria",))},
        ]
        reply = await _spending(self.client, messages, schema, rests_on_quotes, spent)
        return [
            Graded(one.name, one.points, said.verdict.value, (one.levels or {})[said.verdict.value], said.reason, said.quote, quote_found(said.quote, answer))
            for one, said in zip(criteria, _parts(reply.data), strict=True)
        ]  # fmt: skip

    async def write(self, prompt: Given, reference: Given, *, number: int = 8) -> Written:
        """Criteria from a prompt and a reference answer, with points by importance: 5, 2, 1, and -5 for a pitfall.

        Raises:
            BudgetError: where the client's budget is used up.
        """
        shown = {
            "prompt": conversation_of(prompt, speaker="user"),
            "reference answer": conversation_of(reference, speaker="assistant"),
        }
        messages = [
            {"role": "system", "content": filled("write_points", number=str(number))},
            {"role": "user", "content": fenced(shown, limit=self.limit)},
        ]
        spent = Spent()
        try:
            reply = await _spending(self.client, messages, _written_schema(number), None, spent)
        except BudgetError:
            raise
        except LLMError as error:
            return Written([], spent.calls, spent.tokens_in, spent.tokens_out, str(error))
        made: dict[str, PointCriterion] = {}
        for one in reply.data.criteria:
            text, name = visible(" ".join(one.text.split()))[:_LONGEST_WRITTEN], visible(" ".join(one.name.split()))
            if text:
                # One that is there again in the same words is left out.
                made.setdefault(
                    text.casefold(), PointCriterion(text, _IMPORTANCE[one.importance.value], name, (one.importance.value,))
                )
        criteria = [replace(one, name=f"{i}. {one.name}") for i, one in enumerate(made.values(), start=1)]
        if not criteria:
            return Written([], spent.calls, spent.tokens_in, spent.tokens_out, "the judge wrote no criteria")
        return Written(criteria, spent.calls, spent.tokens_in, spent.tokens_out)


async def _spending(client: Client, messages: list, schema: Any, check: Any, spent: Spent) -> Any:
    try:
        reply = await client.ask(messages, schema=schema, check=check, sample=spent.sample)
    except LLMError as error:
        spent.add(error)
        raise
    spent.add(reply)
    return reply


def _words(criterion: PointCriterion) -> str:
    """What the judge may say of a criterion, worst first."""
    levels = list(criterion.levels or ())
    if levels == [str(i) for i in range(len(levels))]:
        return f"(0 to {len(levels) - 1})"
    return json.dumps(levels, ensure_ascii=False)


def _parts(found: Any) -> list[Any]:
    return [getattr(found, name) for name in type(found).model_fields]


_Words = Annotated[str, BeforeValidator(lambda said: "" if said is None else said)]


@lru_cache(maxsize=256)
def _points_schema(levels: tuple[tuple[str, ...], ...]) -> type[Schema]:
    """A field for every criterion, in order, so that a server can hold a weak model to say each once, and in the criterion's own words."""
    kinds: dict[tuple[str, ...], Any] = {}
    for names in levels:
        if names not in kinds:
            said = Enum(f"Said{len(kinds)}", {f"level{i}": name for i, name in enumerate(names)})  # type: ignore[misc]
            kinds[names] = create_model(
                f"Graded{len(kinds)}", __base__=Schema, reason=(_Words, ...), quote=(_Words, ...),
                verdict=(Annotated[said, BeforeValidator(partial(_as_level, names))], ...),
            )  # fmt: skip
    fields = {f"criterion_{i}": (kinds[names], ...) for i, names in enumerate(levels, start=1)}
    return create_model("Points", __base__=Schema, **fields)  # type: ignore[call-overload]


def _as_level(names: tuple[str, ...], said: Any) -> Any:
    """A judge's word in the criterion's own spelling: models write 7 for "7", true for "yes", and "Yes." where nothing holds them to the schema."""
    words = {str(said).casefold().strip(" .")} | (
        {"yes", "true"} if said is True else {"no", "false"} if said is False else set()
    )
    alike = [
        name
        for name in names
        if name.casefold().strip(" .") in words or (_is_number(name) and _is_number(said) and float(name) == float(said))
    ]
    return alike[0] if len(alike) == 1 else said


def _is_number(word: Any) -> bool:
    if isinstance(word, bool):
        return False
    try:
        return math.isfinite(float(word))
    except (TypeError, ValueError, OverflowError):
        return False


@lru_cache(maxsize=16)
def _written_schema(number: int) -> type[Schema]:
    named = Enum("Importance", {name: name for name in _IMPORTANCE})  # type: ignore[misc]
    text = (str, Field(min_length=1))
    one = create_model("WrittenCriterion", __base__=Schema, name=(str, ...), text=text, importance=(named, ...))
    return create_model("WrittenCriteria", __base__=Schema, criteria=(list[one], Field(min_length=1, max_length=number)))
