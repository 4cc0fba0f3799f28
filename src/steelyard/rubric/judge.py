"""`PairwiseJudge`: two answers to one prompt, compared criterion by criterion, in both orders where it takes both."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from steelyard.checks import Check, compare_checks
from steelyard.errors import InputError, LLMError, nearest
from steelyard.folding import canonical
from steelyard.llm import Client, Reply, run_sync
from steelyard.rubric._asking import Spent, gather_or_fail
from steelyard.rubric._fence import LIMIT, fenced, visible
from steelyard.rubric._quotes import check_evidence, quote_found
from steelyard.rubric._schemas import (
    NO_PRINCIPLE,
    comparison_schema,
    criteria_schema,
    differences_schema,
    principle_of,
    scores_schema,
)
from steelyard.rubric._templates import filled
from steelyard.rubric.conversation import Conversation, Given, conversation_of, for_messages
from steelyard.rubric.criteria import MOST_CRITERIA, Criterion, check_given, with_different_names
from steelyard.rubric.meta_rubric import MetaRubric, Tier
from steelyard.rubric.verdict import Judgement, Scored, Verdict, aggregate, joined

Text = str | Conversation
_ORDERS = ("both", "adaptive", "one", "other", "sum")
_DECISIVE = 1.0
"""With `orders="adaptive"`, the size of a first score that needs no second order; see `steelyard.rubric.calibrate`."""


QUOTES = 0.25
"""The share of the quotes in a reply that must stand in the answers, if nobody says otherwise."""
_NAMED = f' the id of the principle that it comes from, or "{NO_PRINCIPLE}" where it comes from none of them;'
_KEPT_PROMPTS = 1024
"""Prompts whose criteria are kept, with `per_prompt`."""


class PairwiseJudge:
    """Judges which of two answers to a prompt is better.

    Args:
        client: asks the model; its cache, budget and limits hold here as well.
        meta_rubric: one for all prompts, or one by domain's name ("general" for the others).
        checks: programmatic checks; see `steelyard.checks`. They decide before the model is asked, where they can.
        orders: "both" (the orders must agree, else it is a tie), "adaptive" (the second only where the first score is smaller than `decisive`),
            "one", "other" (the order that "one" leaves out), or "sum" (both, and the sign of their sum: more pairs are decided, a little less surely).
            Which answer comes first where one order is asked is drawn from the texts, so that over many pairs no side gains from a judge that favours
            a place.
        decisive: for "adaptive", 0 to 2.
        stages: calls an order: 1 (all at once), 2 (differences and criteria, then scores) or 3 (each on its own).
        per_prompt: make the criteria from the prompt alone, once, and use them for all pairs of answers to it.
        criteria: how many to ask for, at most.
        limit: characters of a prompt or an answer that the model is shown.
        quotes: the share of the quotes in a reply that must stand in the answers, 0 to 1. A reply with fewer, or with one criterion said twice, is
            no verdict: it is asked again, and in the end a failure.
        principles: ask the judge which of the rubric's principles each criterion comes from, so that a reward can be split by them.

    Raises:
        InputError: where an argument is out of range.

    Reference:
        Jia et al., Open Rubric System, arXiv 2602.14069: pairwise adaptive meta-rubrics, veto, both orders. One structured call an order in place of
        two long free ones, "adaptive" and checks before the call are ours.
    """

    def __init__(
        self,
        client: Client,
        meta_rubric: MetaRubric | Mapping[str, MetaRubric],
        *,
        checks: Sequence[Check] = (),
        orders: str = "both",
        decisive: float = _DECISIVE,
        stages: int = 1,
        per_prompt: bool = False,
        criteria: int = 6,
        limit: int = LIMIT,
        quotes: float = QUOTES,
        principles: bool = False,
    ) -> None:
        if orders not in _ORDERS:
            raise InputError(f"orders must be one of {', '.join(_ORDERS)}, but is {orders!r}{nearest(str(orders), _ORDERS)}")
        if stages not in (1, 2, 3):
            raise InputError(f"stages must be 1, 2 or 3, but is {stages!r}")
        if not 0 <= decisive <= 2:
            raise InputError(f"decisive lies between 0 and 2, but is {decisive!r}")
        if not isinstance(criteria, int) or not 1 <= criteria <= MOST_CRITERIA:
            raise InputError(f"criteria must be a number from 1 to {MOST_CRITERIA}, but is {criteria!r}")
        if not isinstance(limit, int) or limit < 200:
            raise InputError(f"limit must be a number of characters, at least 200, but is {limit!r}")
        if not isinstance(quotes, (int, float)) or not 0 <= quotes <= 1:
            raise InputError(f"quotes must be a share from 0 to 1, but is {quotes!r}")
        self.rubrics = {"general": meta_rubric} if isinstance(meta_rubric, MetaRubric) else dict(meta_rubric)
        if "general" not in self.rubrics:
            raise InputError("a judge of several domains needs a rubric named 'general' for the prompts of none")
        self.client, self.checks, self.orders, self.decisive = client, list(checks), orders, decisive
        self.stages, self.per_prompt, self.number, self.limit = stages, per_prompt, criteria, limit
        self.quotes, self.principles = float(quotes), principles
        self._made: dict[tuple[str, str, str], list[Criterion]] = {}

    @property
    def fingerprint(self) -> str:
        """A checksum of all that a verdict depends on beside the pair: model, settings, principles, checks with their options, orders, stages."""
        client = self.client
        depends_on: dict[str, Any] = {
            "model": [client.model, sorted(map(str, client.settings.items())), client.structure, client.longest_string],
            "rubrics": {
                name: [rubric.id, rubric.text(), str(rubric.weights), str(rubric.route)]
                for name, rubric in sorted(self.rubrics.items())
            },
            "checks": [[check.name, check.role, check.identity] for check in self.checks],
            "asked": [self.orders, self.decisive, self.stages, self.per_prompt, self.number, self.limit, self.quotes],
        }
        if self.principles:
            depends_on["principles"] = True
        return hashlib.blake2b(json.dumps(depends_on, sort_keys=True).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    async def compare(
        self,
        prompt: Given,
        a: Given,
        b: Given,
        *,
        domain: str | None = None,
        criteria: Sequence[Criterion] | None = None,
        columns: Mapping[str, Any] | None = None,
        sample: int = 0,
    ) -> Verdict:
        """Compare two answers.

        Args:
            prompt, a, b: texts, or lists of messages: then the judge sees their roles, and tool calls with their arguments.
            domain: which of the judge's rubrics; absent or unknown: "general".
            criteria: given with the prompt, in place of ones made for the pair.
            columns: of the prompt's row, for the checks (a ground truth, instructions).
            sample: the same question with another number is asked anew; of use where the model's temperature is above 0.

        Returns:
            The verdict. A judge's failure stands in it (`winner` None and `error`), never as a score; the budget's end is raised.

        Raises:
            InputError: where given criteria are none, or a check lacks its column.
            BudgetError: where the client's budget is used up.
        """
        prompt, a, b = _texts(prompt, a, b)
        rubric = self.rubric_of(domain)
        if criteria is not None:
            check_given(criteria)
        # In a thread: a check may wait for a comparison of expressions, and the other pairs must not.
        results, decided = await asyncio.to_thread(self._compare_checks, prompt, a, b, columns)
        if decided is not None:
            winner, score = decided
            return Verdict(winner, score, "checks", checks=results, rubric=rubric.id)
        if _folded(a) == _folded(b):
            return Verdict("tie", 0.0, "no difference", checks=results, rubric=rubric.id)
        spent = Spent(sample)
        try:
            judgements = await self._orders(rubric, prompt, a, b, criteria, spent)
        except LLMError as error:
            from steelyard.errors import BudgetError

            if isinstance(error, BudgetError):
                raise
            return Verdict(
                None, None, "failure", checks=results, rubric=rubric.id, calls=spent.calls,
                tokens_in=spent.tokens_in, tokens_out=spent.tokens_out, error=str(error),
            )  # fmt: skip
        winner, score, decided_by = joined(judgements, summed=self.orders == "sum")
        return Verdict(
            winner, score, decided_by, judgements, results, rubric.id, spent.calls, spent.tokens_in, spent.tokens_out
        )  # fmt: skip

    def rubric_of(self, domain: str | None) -> MetaRubric:
        """The rubric of a domain; "general" for none, and for one that has none."""
        return self.rubrics.get(domain or "general", self.rubrics["general"])

    def passes_guards(self, prompt: Given, answer: Given, columns: Mapping[str, Any] | None = None) -> bool:
        """Whether an answer passes every guard that applies to it; asks nobody.

        Raises:
            InputError: where a guard lacks its column.
        """
        prompt, answer, _ = _texts(prompt, answer, answer)
        guards = [check for check in self.checks if check.role == "guard"]
        if not (isinstance(prompt, str) and isinstance(answer, str)):
            guards = list(map(for_messages, guards))
        results = [check(prompt, answer, columns or {}) for check in guards]  # type: ignore[arg-type]
        return all(result is None or result >= 1.0 for result in results)

    def rechecked(
        self, verdict: Verdict, prompt: Given, a: Given, b: Given, columns: Mapping[str, Any] | None = None
    ) -> Verdict | None:
        """A verdict of before with the checks run again, which costs nothing: a column that they read may hold something else now.

        Args:
            verdict: of this judge, on these texts.
            prompt, a, b, columns: as of `compare`.

        Returns:
            The verdict as it is now, the very same where no check has another result; None where the model has to be asked, since checks decided
            before and do not any more.

        Raises:
            InputError: where a check lacks its column.
        """
        results, decided = self._compare_checks(*_texts(prompt, a, b), columns)
        if results == verdict.checks:
            return verdict
        if decided is not None:
            return replace(verdict, winner=decided[0], score=decided[1], decided_by="checks", judgements=[], checks=results)
        if verdict.judgements:
            winner, score, decided_by = joined(verdict.judgements, summed=self.orders == "sum")
            return replace(verdict, winner=winner, score=score, decided_by=decided_by, checks=results)
        return replace(verdict, checks=results) if verdict.decided_by == "no difference" else None

    def compare_sync(self, prompt: Given, a: Given, b: Given, **keywords: Any) -> Verdict:
        """As `compare`, from code without an event loop."""
        return run_sync(self.compare(prompt, a, b, **keywords))

    def _compare_checks(self, prompt: Text, a: Text, b: Text, columns: Mapping[str, Any] | None) -> Any:
        checks = self.checks
        if not all(isinstance(text, str) for text in (prompt, a, b)):
            checks = [for_messages(check) for check in checks]
        return compare_checks(checks, prompt, a, b, columns or {})  # type: ignore[arg-type]

    async def _orders(
        self, rubric: MetaRubric, prompt: Text, a: Text, b: Text, criteria: Sequence[Criterion] | None, spent: Spent
    ) -> list[Judgement]:
        if criteria is None and self.per_prompt:
            criteria = await self._prompt_criteria(rubric, prompt, spent)

        def ask(swapped: bool) -> Awaitable[Judgement]:
            return self._one_order(rubric, prompt, a, b, criteria, swapped, spent)

        if self.orders in ("both", "sum"):
            return list(await gather_or_fail(ask(False), ask(True)))
        first = await ask(_first_swapped(str(prompt), str(a), str(b)) != (self.orders == "other"))
        if self.orders in ("one", "other") or abs(first.score) >= max(self.decisive, 1e-9):
            return [first]
        return [first, await ask(not first.swapped)]

    async def _one_order(
        self,
        rubric: MetaRubric,
        prompt: Text,
        a: Text,
        b: Text,
        criteria: Sequence[Criterion] | None,
        swapped: bool,
        spent: Spent,
    ) -> Judgement:
        first, second = (b, a) if swapped else (a, b)
        shown: dict[str, Text] = {"prompt": prompt, "answer 1": first, "answer 2": second}
        differences: list[str] = []
        if criteria is None and self.stages == 1:
            reply = await self._ask(
                "compare", rubric, shown, comparison_schema(self.number, self._ids(rubric)), spent,
                check=lambda found: check_evidence(found.criteria, str(first), str(second), self.quotes),
            )  # fmt: skip
            made_by_judge = [(one, Criterion(one.name, "", one.tier, principle_of(one))) for one in reply.data.criteria]
            return self._judgement(rubric, reply.data.differences, made_by_judge, str(first), str(second), swapped)
        if criteria is None:
            if self.stages == 3:
                found = await self._ask("differences", rubric, shown, differences_schema(self.number), spent)
                differences = found.data.differences
                noted: dict[str, Text] = {"prompt": prompt, "differences": "\n".join(f"- {text}" for text in differences)}
                made = await self._ask("criteria", rubric, noted, criteria_schema(self.number, self._ids(rubric)), spent)
            else:
                made = await self._ask("criteria", rubric, shown, criteria_schema(self.number, self._ids(rubric)), spent)
            criteria = with_different_names(made.data)
        # As the judge is shown them, so that it can name them.
        criteria = [replace(one, name=visible(one.name)) for one in criteria]
        listed = "\n".join(f"- {one.name} [{one.tier}]: {one.description}" for one in criteria)
        wanted = [one.name for one in criteria]

        def complete(found: Any) -> None:
            names = [item.name.value for item in found.criteria]
            if sorted(names) != sorted(wanted):
                raise ValueError(f"scored {names}, but the criteria are {wanted}")
            check_evidence(found.criteria, str(first), str(second), self.quotes, given=True)

        # The criteria are made before or the user's; they stand before the texts, where a server's prefix cache keeps them.
        reply = await self._ask(
            "given", rubric, {"criteria": listed, **shown}, scores_schema(tuple(wanted)), spent, check=complete
        )
        by_name = {one.name: one for one in criteria}
        scored = [(item, by_name[item.name.value]) for item in reply.data.criteria]
        return self._judgement(rubric, differences, scored, str(first), str(second), swapped)

    def _ids(self, rubric: MetaRubric) -> tuple[str, ...]:
        """The principles that a criterion may name."""
        return tuple(principle.id for principle in rubric.principles) if self.principles else ()

    async def _prompt_criteria(self, rubric: MetaRubric, prompt: Text, spent: Spent) -> list[Criterion]:
        key = (rubric.id, rubric.text(), str(prompt))
        if key not in self._made:
            # Equal questions under way are asked once.
            reply = await self._ask(
                "criteria", rubric, {"prompt": prompt}, criteria_schema(self.number, self._ids(rubric)), spent
            )
            self._made[key] = with_different_names(reply.data)
            while len(self._made) > _KEPT_PROMPTS:
                del self._made[next(iter(self._made))]
        return self._made[key]

    async def _ask(
        self,
        name: str,
        rubric: MetaRubric,
        texts: Mapping[str, Text],
        schema: Any,
        spent: Spent,
        check: Callable[[Any], None] | None = None,
    ) -> Reply:
        number = f"at most {self.number}" if self.number > 1 else "one"
        system = filled(name, principles=rubric.text(), number=number, named=_NAMED if self._ids(rubric) else "")
        messages = [{"role": "system", "content": system}, {"role": "user", "content": fenced(texts, limit=self.limit)}]
        try:
            reply = await self.client.ask(messages, schema=schema, check=check, sample=spent.sample)
        except LLMError as error:
            spent.add(error)
            raise
        spent.add(reply)
        return reply

    def _judgement(
        self,
        rubric: MetaRubric,
        differences: Sequence[str],
        criteria: Sequence[tuple[Any, Criterion]],
        first: str,
        second: str,
        swapped: bool,
    ) -> Judgement:
        scored = []
        for one, criterion in criteria:
            quotes = (one.quote_1, one.quote_2)
            found = [quote_found(quote, answer) for quote, answer in zip(quotes, (first, second), strict=True)]
            # Scores and quotes refer to A and B as they were given; the judge's own words are left as they are, of answers 1 and 2.
            order = (1, 0) if swapped else (0, 1)
            scored.append(
                Scored(
                    criterion.name, cast(Tier, criterion.tier), one.reason, -one.score if swapped else one.score,
                    quotes[order[0]], quotes[order[1]], found[order[0]], found[order[1]], criterion.principle,
                )
            )  # fmt: skip
        assert rubric.weights is not None
        score = aggregate([one.score for one in scored], [one.tier for one in scored], rubric.weights.model_dump())
        return Judgement(swapped, list(differences), scored, score)


def _texts(prompt: Given, a: Given, b: Given) -> tuple[Text, Text, Text]:
    made = []
    for name, given, speaker in (("prompt", prompt, "user"), ("answer A", a, "assistant"), ("answer B", b, "assistant")):
        try:
            made.append(conversation_of(given, speaker=speaker))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return made[0], made[1], made[2]


def _folded(answer: Text) -> list[tuple[str, str]]:
    """An answer as it is compared with another: alike where nothing differs but white space at the ends and the way accents are written."""
    turns = [("", answer)] if isinstance(answer, str) else [(turn.role, turn.text) for turn in answer.turns]
    return [(role, canonical(text).strip()) for role, text in turns]


def _first_swapped(prompt: str, a: str, b: str) -> bool:
    """Whether B is shown first where one order is asked: drawn from the texts, alike for either naming of the answers.

    Example:
        >>> _first_swapped("p", "x", "y") != _first_swapped("p", "y", "x")
        True
    """
    low, high = sorted((a, b))
    digest = hashlib.sha256("\0".join((prompt, low, high)).encode("utf-8", "surrogatepass")).digest()
    return bool(digest[0] % 2) != (a == low)
